//! The Docker engine: a ping, a snapshot of its containers, and its stream of events.

mod audited;
mod inspect;
mod keeper;
mod line;
mod log;
mod news;
mod ports;
mod snapshot;
mod stream;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bollard::query_parameters::InspectContainerOptions;
use doctor::{Answer, Body, ContainerSeen, DockerSeen, EngineKeeper, Reply, millis};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use crate::docker_host::{Endpoint, Surroundings};

pub(crate) use line::{Limits, Trouble};
pub use ports::Doors;

/// One engine as configured. Cheap to clone; all clones share what is known of it.
#[derive(Clone)]
pub struct Docker {
    shared: Arc<Shared>,
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Until a connection stands.
    pub connect: Duration,
    /// Until a ping or another question is answered: Docker Desktop wakes its virtual machine from
    /// Resource Saver within 3 to 10 s (R10).
    pub answer: Duration,
    /// Without an event, until the engine is pinged.
    pub idle: Duration,
    /// Before a lost stream is opened again: first, and at most, doubling in between.
    pub reconnect: Duration,
    pub reconnect_at_most: Duration,
    /// Between two looks at a container that was told to start or stop.
    pub poll: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            answer: Duration::from_secs(12),
            idle: Duration::from_secs(30),
            reconnect: Duration::from_secs(1),
            reconnect_at_most: Duration::from_secs(15),
            poll: Duration::from_millis(500),
        }
    }
}

struct Shared {
    host: String,
    surroundings: Surroundings,
    pace: Pace,
    /// Where the engine answered last.
    current: Mutex<Option<Endpoint>>,
    /// What the last snapshot read, by id.
    known: Mutex<HashMap<String, snapshot::Known>>,
    words: Mutex<log::Words>,
    /// Logs of the dying that are being read: more at once would be a burst of our own.
    hearing: Arc<Semaphore>,
    /// Containers that are asked for by name: a thousand that change at once are read in turn.
    asking: Semaphore,
    /// Why the engine that answered last is of no use.
    too_old: Mutex<Option<String>>,
    /// What it runs in, and when that was asked.
    keeper: Mutex<Option<(Instant, Option<EngineKeeper>)>>,
    kick: Notify,
}

/// Bytes that an answer may have: `_ping` and `version`, a list, one container. A container takes
/// 2 to 4 KiB in a list and about 10 KiB alone; labels and environment can make it much larger.
const SMALL: u64 = 1 << 18;
const LIST: u64 = 32 << 20;
pub(crate) const CONTAINER: u64 = 4 << 20;

/// Logs of the dying that are read at once.
const HEARD_AT_ONCE: usize = 4;
/// Containers that are read at once.
const ASKED_AT_ONCE: usize = 8;

impl Docker {
    /// `host` is `auto`, `unix://…` or `tcp://…`; nothing is opened yet.
    pub fn new(host: impl Into<String>, surroundings: Surroundings) -> Self {
        Self::with_pace(host, surroundings, Pace::default())
    }

    pub fn with_pace(host: impl Into<String>, surroundings: Surroundings, pace: Pace) -> Self {
        let shared = Shared {
            host: host.into(),
            surroundings,
            pace,
            current: Mutex::default(),
            known: Mutex::default(),
            words: Mutex::default(),
            hearing: Arc::new(Semaphore::new(HEARD_AT_ONCE)),
            asking: Semaphore::new(ASKED_AT_ONCE),
            too_old: Mutex::default(),
            keeper: Mutex::default(),
            kick: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// `GET /_ping`, over a new connection.
    pub async fn ping(&self) -> DockerSeen {
        let mut seen = self.ping_now().await;
        let answers = matches!(seen.ping.reply, Reply::Status { code: 200, .. });
        if let Some(reply) = self.too_old().filter(|_| answers) {
            seen.ping.reply = reply;
        }
        seen
    }

    /// What the last snapshot found of its version.
    fn too_old(&self) -> Option<Reply> {
        let reason = self.shared.too_old.lock().unwrap_or_else(PoisonError::into_inner).clone();
        reason.map(|reason| Reply::Unreachable { reason })
    }

    async fn ping_now(&self) -> DockerSeen {
        let began = Instant::now();
        let limits = Limits { within: self.pace().answer, cap: SMALL };
        let ping = match self.ask(limits, async |docker| docker.ping().await).await {
            Ok(body) => Answer {
                url: self.address(),
                reply: Reply::Status {
                    code: 200,
                    body: if body.trim() == "OK" { Body::Expected } else { Body::Other },
                },
                took_ms: millis(began.elapsed()),
            },
            Err(trouble) => trouble.answer,
        };
        DockerSeen { ping, engine: None, containers: None, unread: Vec::new(), keeper: None }
    }

    /// One container as it is now, with what its log tells of its end or its hanging; none where the
    /// engine knows no container of that name or id.
    pub async fn container(&self, name: &str) -> Result<Option<ContainerSeen>, Answer> {
        // One that hangs must not make a queue that only grows.
        let within = self.pace().answer;
        let Ok(Ok(_turn)) = timeout(within, self.shared.asking.acquire()).await else {
            let (url, took_ms) = (self.address(), millis(within));
            return Err(Answer { url, reply: Reply::Silent, took_ms });
        };
        let Some(mut seen) = self.inspect(name).await.map_err(|trouble| trouble.answer)? else {
            return Ok(None);
        };
        seen.log = self.log_of(&seen, true).await;
        Ok(Some(seen))
    }

    /// Opens the event stream anew at once, as after a wake.
    pub fn kick(&self) {
        self.shared.kick.notify_one();
    }

    /// Where the engine answered last, or what is configured: for people.
    pub fn address(&self) -> String {
        self.current().map_or_else(|| self.host().to_owned(), |endpoint| endpoint.to_string())
    }

    pub(crate) async fn inspect(&self, name: &str) -> Result<Option<ContainerSeen>, Trouble> {
        if !is_container_name(name) {
            return Ok(None);
        }
        let limits = Limits { within: self.pace().answer, cap: CONTAINER };
        let asked = self
            .ask(limits, async |docker| {
                docker.inspect_container(name, None::<InspectContainerOptions>).await
            })
            .await;
        match asked {
            // The engine also finds by the first digits of an id, which is not what was asked.
            Ok(found) => match inspect::seen(found) {
                Some(seen) if seen.name == name || seen.id == name => Ok(Some(seen)),
                Some(_) => Ok(None),
                None => Err(self.garbage("the answer lacks the container's id, name or state")),
            },
            Err(Trouble {
                answer: Answer { reply: Reply::Status { code: 404, .. }, .. }, ..
            }) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    fn garbage(&self, message: &str) -> Trouble {
        let reply = Reply::Status { code: 200, body: Body::Garbage };
        Trouble {
            answer: Answer { url: self.address(), reply, took_ms: 0 },
            message: message.to_owned(),
        }
    }

    pub(crate) fn pace(&self) -> Pace {
        self.shared.pace
    }

    pub(crate) fn surroundings(&self) -> &Surroundings {
        &self.shared.surroundings
    }

    /// As configured: `auto`, `unix://…` or `tcp://…`.
    pub fn host(&self) -> &str {
        &self.shared.host
    }

    pub(crate) fn current(&self) -> Option<Endpoint> {
        self.shared.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_current(&self, endpoint: &Endpoint) {
        *self.shared.current.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(endpoint.clone());
    }
}

/// What the engine takes as a name (moby `daemon/names`); anything else could change the path of
/// the question.
fn is_container_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}
