//! Whether a container gets its work done (A12): a text that comes in its log, or a field of an
//! answer that changes.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use doctor::{ContainerSeen, ContainerStatus, ProgressSeen};
use serde_json::Value;

use super::docker::Docker;
use super::http::{self, Outcome, SHALLOW_CAP};
use crate::clock;
use crate::config::Progress as Expected;

/// The work that is expected of one container.
pub struct Progress {
    expected: Expected,
    docker: Docker,
    known: Mutex<Option<Known>>,
}

/// What the looks before have found of this incarnation.
#[derive(Clone, Debug)]
struct Known {
    incarnation: (String, Option<i64>),
    /// On our clock, which stands still while the machine sleeps: what sleeps gets nothing done.
    quiet_since: Instant,
    looked: Instant,
    /// The log is read up to here, milliseconds since 1970 on the engine's clock.
    read_to_ms: i64,
    value: Option<Value>,
}

/// Not asked more often: a container that is unwell is looked at every few seconds.
const AGAIN: Duration = Duration::from_secs(20);
const WITHIN: Duration = Duration::from_secs(5);

impl Progress {
    pub fn new(expected: Expected, docker: Docker) -> Self {
        Self { expected, docker, known: Mutex::default() }
    }

    /// None: it does not run, or nobody can tell.
    pub async fn look(&self, seen: &ContainerSeen) -> Option<ProgressSeen> {
        if seen.status != ContainerStatus::Running {
            return None;
        }
        let incarnation = (seen.id.clone(), seen.started_ms);
        let known = self.known().filter(|known| known.incarnation == incarnation);
        let fresh = known.as_ref().filter(|known| known.looked.elapsed() < AGAIN);
        let (within, now) = match (fresh, &self.expected) {
            (Some(known), Expected::Log { within, .. } | Expected::Field { within, .. }) => {
                (*within, known.clone())
            }
            (None, Expected::Log { text, within }) => {
                let from = known.unwrap_or_else(|| Known::new(incarnation, *within));
                (*within, self.read_log(seen, text, from).await?)
            }
            (None, Expected::Field { url, field, within }) => {
                let from = known.unwrap_or_else(|| Known::new(incarnation, Duration::ZERO));
                (*within, read_field(url.as_str(), field, from).await?)
            }
        };
        let silent = now.quiet_since.elapsed();
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        Some(ProgressSeen { silent_for_s: silent.as_secs(), within_s: within.as_secs() })
    }

    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn read_log(&self, seen: &ContainerSeen, text: &str, mut from: Known) -> Option<Known> {
        let found = self.docker.find_in_log(&seen.id, from.read_to_ms, text).await;
        let wall = clock::now().wall.0;
        if let Some(at) = found.matched_ms {
            let since = before(wall.saturating_sub(at));
            from.quiet_since = from.quiet_since.max(since);
        }
        from.read_to_ms = found.newest_ms.unwrap_or(from.read_to_ms).max(from.read_to_ms);
        if found.whole {
            from.looked = Instant::now();
            return Some(from);
        }
        // There is more than can be read at once: the next look goes on from here.
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Known { looked: before(60_000), ..from });
        None
    }
}

impl Known {
    /// An incarnation that was not looked at before. Its log may tell of so long a time before now.
    fn new(incarnation: (String, Option<i64>), back: Duration) -> Self {
        let wall = clock::now().wall.0;
        let back = i64::try_from((back + AGAIN).as_millis()).unwrap_or(i64::MAX);
        let started = incarnation.1.unwrap_or(wall);
        let from = started.max(wall.saturating_sub(back)).min(wall);
        Self {
            incarnation,
            quiet_since: before(wall.saturating_sub(from)),
            looked: Instant::now(),
            read_to_ms: from,
            value: None,
        }
    }
}

/// So many milliseconds ago.
fn before(milliseconds: i64) -> Instant {
    let ago = Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default());
    let now = Instant::now();
    now.checked_sub(ago).unwrap_or(now)
}

async fn read_field(url: &str, field: &str, mut from: Known) -> Option<Known> {
    let got = http::get(url, WITHIN, SHALLOW_CAP).await;
    let Outcome::Answered { code: 200, body } = got.outcome else { return None };
    let answer: Value = serde_json::from_slice(&body).ok()?;
    let value = field.split('.').try_fold(&answer, |value, name| match value {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        Value::Object(fields) => fields.get(name),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })?;
    if from.value.as_ref() != Some(value) {
        from.quiet_since = Instant::now();
        from.value = Some(value.clone());
    }
    from.looked = Instant::now();
    Some(from)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_field_that_changes_is_work() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/stats", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for done in [1, 1, 2] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 1024];
                let _ = stream.read(&mut head).await;
                let body = format!(r#"{{"queues":[{{"done":{done}}}]}}"#);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        let known = Known::new(("id".into(), None), Duration::ZERO);
        let ask = async |from: Known| read_field(&url, "queues.0.done", from).await.unwrap();
        let first = ask(known).await;
        let same = ask(first.clone()).await;
        assert_eq!(same.quiet_since, first.quiet_since);
        let other = ask(same.clone()).await;
        assert!(other.quiet_since > same.quiet_since);
        assert!(read_field("http://127.0.0.1:1/", "queues", other).await.is_none());
    }
}
