//! The way to a running engine: its address and token from the data directory, its API over HTTP.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use doctor::Sentence;
use engine::api::Token;
use engine::paths::Paths;
use engine::words::Words;
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::Failure;
use crate::place::words;

/// The API itself promises its slowest answer within two seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// No answer of ours is larger.
const LARGEST: usize = 32 * 1024 * 1024;

pub(crate) struct Connection {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    paths: Paths,
    client: Client,
}

/// What the engine writes into the file `address`.
#[derive(Deserialize)]
struct Announcement {
    address: SocketAddr,
    pid: u32,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    detail: String,
}

/// What came of asking for something.
#[derive(Debug, Deserialize)]
pub(crate) struct Accepted {
    /// None: done at once.
    pub(crate) operation: Option<String>,
}

impl Connection {
    /// Finds the engine of this data directory; does not speak to it yet.
    pub(crate) fn find(paths: &Paths) -> Result<Self, Failure> {
        let file = paths.data.join("address");
        let mut text = String::new();
        match File::open(&file).and_then(|open| open.take(4096).read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let says =
                    Sentence::new("cli.no_engine").with("data", paths.data.display().to_string());
                return Err(no_engine(&words(paths), &says));
            }
            Err(error) => {
                return Err(Failure::Other(
                    anyhow!(error).context(format!("{} cannot be read", file.display())),
                ));
            }
        }
        let announced: Announcement = serde_json::from_str(&text).with_context(|| {
            format!("{} is damaged; start the engine again to renew it", file.display())
        })?;
        let client = client(ANSWER_WITHIN)?;
        let Announcement { address, pid } = announced;
        Ok(Self { address, pid, paths: paths.clone(), client })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let value = self.send(Method::GET, path, None).await?;
        Ok(serde_json::from_value(value).context("the engine's answer is of another version")?)
    }

    /// In the engine's language; English where it does not say.
    pub(crate) async fn words(&self) -> Words {
        #[derive(Default, Deserialize)]
        struct Language {
            #[serde(default)]
            language: String,
        }
        let said: Language = self.get("/status").await.unwrap_or_default();
        Words::new(&said.language)
    }

    /// With the token.
    pub(crate) async fn act(&self, path: &str, body: &Value) -> Result<Accepted, Failure> {
        let value = self.send(Method::POST, path, Some(body)).await?;
        Ok(serde_json::from_value(value).context("the engine's answer is of another version")?)
    }

    pub(crate) async fn cancel(&self, path: &str) -> Result<(), Failure> {
        self.send(Method::DELETE, path, None).await.map(|_| ())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let mut request =
            self.client.request(method.clone(), format!("http://{}{path}", self.address));
        if method != Method::GET {
            let token = Token::load(&self.paths.data.join("token")).map_err(anyhow::Error::new)?;
            request = request.bearer_auth(token.expose());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| self.silent(&error))?;
        let status = response.status();
        let text = read(response).await.map_err(|error| {
            Failure::Other(error.context(format!("the engine at {} broke off", self.address)))
        })?;
        if status.is_success() || (status == StatusCode::SERVICE_UNAVAILABLE && path == "/health") {
            return Ok(serde_json::from_slice(&text)
                .with_context(|| format!("what answers at {} is not Homeostat", self.address))?);
        }
        match serde_json::from_slice::<Problem>(&text) {
            Ok(problem) if !problem.detail.is_empty() => Err(Failure::Refused(problem.detail)),
            Ok(_) | Err(_) => Err(Failure::Refused(format!(
                "the engine at {} answered {status} to {method} {path}",
                self.address
            ))),
        }
    }

    fn silent(&self, error: &reqwest::Error) -> Failure {
        let words = words(&self.paths);
        let why = words.say(if error.is_timeout() {
            "cli.engine_slow"
        } else if error.is_connect() {
            "cli.engine_gone"
        } else {
            "cli.engine_closed"
        });
        let says = Sentence::new("cli.engine_silent")
            .with("address", self.address.to_string())
            .with("pid", self.pid)
            .with("why", why);
        no_engine(&words, &says)
    }
}

fn no_engine(words: &Words, says: &Sentence) -> Failure {
    Failure::NoEngine(format!("{}\n{}", words.sentence(says), words.say("cli.start_it")))
}

/// Goes straight to the address: a proxy of the environment is not for this machine.
pub(crate) fn client(within: Duration) -> anyhow::Result<Client> {
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(2))
        .timeout(within)
        .build()
        .context("no HTTP client could be made")
}

/// The whole body, up to the largest that is taken.
pub(crate) async fn read(mut response: reqwest::Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LARGEST {
            return Err(anyhow!("the answer is larger than 32 MiB"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A name as one part of a path.
pub(crate) fn encoded(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_part_of_the_path() {
        assert_eq!(encoded("service:Victoria Agent"), "service:Victoria%20Agent");
        assert_eq!(encoded("a/../b?c#d%"), "a%2F..%2Fb%3Fc%23d%25");
    }
}
