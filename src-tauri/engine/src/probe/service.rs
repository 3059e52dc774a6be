//! Any HTTP service: its address, and whether it answers as expected; while it does not, what its
//! container tells.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use doctor::{Answer, Behind, Body, Observation, Reply, ServiceSeen};
use futures_util::future::join_all;
use reqwest::Url;

use crate::address;

use super::docker::{Docker, Doors};
use super::http::{self, SHALLOW_CAP};

pub struct Service {
    pub url: String,
    pub timeout: Duration,
    /// Statuses that mean that it is well.
    pub expect: Vec<u16>,
    /// Where it runs, when that is configured.
    pub container: Option<Inside>,
}

/// The container that a service runs in.
pub struct Inside {
    docker: Docker,
    name: String,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Where else it was found to answer: its ports are not read again in a while.
    elsewhere: Option<(Instant, String)>,
    work: Option<(Instant, Option<u32>)>,
}

/// Between two looks for another address, and between two questions for its work.
const AGAIN: Duration = Duration::from_mins(1);
const WORK_AGAIN: Duration = Duration::from_secs(30);
/// Addresses that are tried at most.
const TRIED: usize = 6;
const WITHIN: Duration = Duration::from_secs(2);

impl Service {
    /// With `stretch` times the usual patience (R9).
    pub async fn look(&self, stretch: u32) -> Observation {
        let got = http::get(&self.url, self.timeout * stretch, SHALLOW_CAP).await;
        let answer = match got.answer(|_| Body::Expected) {
            Ok(answer) => answer,
            Err(reason) => return Observation::Unasked { reason },
        };
        let fails = !self.is_expected(&answer);
        let mut seen = ServiceSeen::from(answer);
        seen.address = address::told_apart(&self.url);
        if let Some(inside) = self.container.as_ref().filter(|_| fails) {
            (seen.elsewhere, seen.behind) = self.elsewhere(inside).await;
            if seen.elsewhere.is_none() && is_hung(&seen.answer.reply) {
                seen.cpu_percent = inside.work().await;
            }
        }
        Observation::Service(seen)
    }

    fn is_expected(&self, answer: &Answer) -> bool {
        matches!(answer.reply, Reply::Status { code, .. } if self.expect.contains(&code))
    }

    /// The same question where it may have been meant: another published port of its container, or
    /// a port inside that nothing leads to. Never where the configured port leads as it should: what
    /// else the container serves says nothing of this service. Where it answers nowhere: what listens
    /// behind its port.
    async fn elsewhere(&self, inside: &Inside) -> (Option<Answer>, Option<Behind>) {
        let known = inside.known(|known| known.elsewhere.clone());
        if let Some((_, url)) = known.filter(|(at, _)| at.elapsed() < AGAIN)
            && let Some(answer) = self.ask(&url).await
        {
            return (Some(answer), None);
        }
        // That it was not there a moment ago says nothing: its program may only just have begun, and
        // to restart it for a wrong address is worse than one more question.
        let Some(doors) = inside.docker.doors(&inside.name).await else { return (None, None) };
        let urls = others(&self.url, &doors);
        let answers = join_all(urls.iter().take(TRIED).map(|url| self.ask(url))).await;
        let found = urls.into_iter().zip(answers).find_map(|(url, answer)| Some((url, answer?)));
        // The whole one is asked again: that of the answer is without the values of its query.
        let (url, found) = found.unzip();
        let url = url.map(|url| (Instant::now(), url));
        inside.known(|known| known.elsewhere = url);
        let behind = match here(&self.url, &doors).filter(|_| found.is_none()) {
            Some(port) => inside.docker.behind(doors, port).await,
            None => None,
        };
        (found, behind)
    }

    /// None: not as expected.
    async fn ask(&self, url: &str) -> Option<Answer> {
        let got = http::get(url, WITHIN.min(self.timeout), SHALLOW_CAP).await;
        got.answer(|_| Body::Expected).ok().filter(|answer| self.is_expected(answer))
    }
}

impl Inside {
    pub fn new(docker: Docker, name: String) -> Self {
        Self { docker, name, known: Mutex::default() }
    }

    async fn work(&self) -> Option<u32> {
        let known = self.known(|known| known.work);
        if let Some((_, percent)) = known.filter(|(at, _)| at.elapsed() < WORK_AGAIN) {
            return percent;
        }
        let percent = self.docker.cpu_percent(&self.name).await;
        self.known(|known| known.work = Some((Instant::now(), percent)));
        percent
    }

    fn known<T>(&self, of: impl FnOnce(&mut Known) -> T) -> T {
        of(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// It takes connections, and does not answer.
fn is_hung(reply: &Reply) -> bool {
    matches!(reply, Reply::Silent | Reply::Stalled)
}

/// The port that is asked for, where it may be this container's: another host's is not.
fn here(url: &str, doors: &Doors) -> Option<u16> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback() || doors.addresses.contains(&address));
    url.port_or_known_default().filter(|_| here)
}

/// The other addresses of what is asked for at this one.
fn others(url: &str, doors: &Doors) -> Vec<String> {
    let Some(port) = here(url, doors) else { return Vec::new() };
    let Ok(url) = Url::parse(url) else { return Vec::new() };
    let at = |host: Option<String>, port: u16| {
        let mut url = url.clone();
        if let Some(host) = host {
            url.set_host(Some(&host)).ok()?;
        }
        url.set_port(Some(port)).ok()?;
        Some(url.to_string())
    };
    let within = |port: u16| {
        let hosts = doors.addresses.iter().map(|address| match address {
            std::net::IpAddr::V4(address) => address.to_string(),
            std::net::IpAddr::V6(address) => format!("[{address}]"),
        });
        hosts.filter_map(|host| at(Some(host), port)).collect::<Vec<_>>()
    };
    let leads = doors.published.iter().find(|(_, outside)| *outside == port);
    match leads {
        // It leads to the port of the same number: there is no wrong side.
        Some((inside, _)) if *inside == port => Vec::new(),
        // It leads to one port, and the program may listen on the other.
        Some(_) => within(port),
        None => {
            let published = doors.published.iter().filter_map(|(_, outside)| at(None, *outside));
            let unpublished = doors.inside.iter().flat_map(|inside| within(*inside));
            published.chain(unpublished).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn doors(published: &[(u16, u16)], inside: &[u16]) -> Doors {
        Doors {
            published: published.to_vec(),
            inside: inside.to_vec(),
            addresses: vec!["172.17.0.2".parse().unwrap()],
            first: None,
            image: None,
        }
    }

    #[test]
    fn where_else_it_may_answer() {
        let health = "http://127.0.0.1:8010/health?deep=1";
        assert_eq!(
            others(health, &doors(&[(8010, 8020)], &[9000])),
            ["http://127.0.0.1:8020/health?deep=1", "http://172.17.0.2:9000/health?deep=1"]
        );
        // The program listens on 8010 inside, the mapping leads to 8000.
        assert_eq!(
            others(health, &doors(&[(8000, 8010)], &[])),
            ["http://172.17.0.2:8010/health?deep=1"]
        );
    }

    /// A key in the query is sent, and neither shown nor stored.
    #[tokio::test]
    async fn a_key_in_the_query_is_asked_with_and_not_told() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/x", socket.local_addr().unwrap());
        let asked = thread::spawn(move || {
            let (mut stream, _) = socket.accept().unwrap();
            let mut request = String::new();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut request).unwrap();
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            request
        });
        let service = Service {
            url: format!("{address}?token=sk-abc"),
            timeout: Duration::from_secs(30),
            expect: vec![200],
            container: None,
        };
        let Observation::Service(seen) = service.look(1).await else { panic!("it was asked") };
        assert!(matches!(seen.answer.reply, Reply::Status { code: 200, .. }), "{seen:?}");
        assert_eq!(seen.answer.url, format!("{address}?token=…"));
        assert!(asked.join().unwrap().starts_with("GET /x?token=sk-abc "));
    }

    #[test]
    fn where_the_mapping_is_right_nothing_else_is_asked() {
        let none: [String; 0] = [];
        let right = doors(&[(8010, 8010), (9090, 9090)], &[]);
        assert_eq!(others("http://localhost:8010/health", &right), none);
        assert_eq!(others("http://10.0.0.7:8010/health", &doors(&[(1, 2)], &[])), none);
        assert_eq!(others("not a url", &right), none);
    }
}
