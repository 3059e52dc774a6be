//! What the engine's events mean.

use std::collections::{HashMap, VecDeque};

use bollard::models::EventMessage;
use doctor::{ContainerEvent, ContainerHealth, ContainerNews, Wall};

/// The news in an event; none where it says nothing about the state of a container (`exec_*`,
/// `attach`, `update` and the like).
pub(super) fn news(event: &EventMessage) -> Option<ContainerNews> {
    let actor = event.actor.as_ref()?;
    let id = actor.id.clone().filter(|id| !id.is_empty())?;
    let none = HashMap::new();
    let attributes = actor.attributes.as_ref().unwrap_or(&none);
    let attribute = |name: &str| attributes.get(name).map(String::as_str).unwrap_or_default();
    let what = match event.action.as_deref()? {
        "create" => ContainerEvent::Create,
        "start" => ContainerEvent::Start,
        "oom" => ContainerEvent::Oom,
        // An exit code that can't be read is no orderly end.
        "die" => ContainerEvent::Die { exit_code: attribute("exitCode").parse().unwrap_or(-1) },
        "kill" => ContainerEvent::Kill { signal: attribute("signal").to_owned() },
        "stop" => ContainerEvent::Stop,
        "restart" => ContainerEvent::Restart,
        "pause" => ContainerEvent::Pause,
        "unpause" => ContainerEvent::Unpause,
        "destroy" => ContainerEvent::Destroy,
        "rename" => {
            ContainerEvent::Rename { old: attribute("oldName").trim_start_matches('/').to_owned() }
        }
        "health_status: starting" => ContainerEvent::Health(ContainerHealth::Starting),
        "health_status: healthy" => ContainerEvent::Health(ContainerHealth::Healthy),
        "health_status: unhealthy" => ContainerEvent::Health(ContainerHealth::Unhealthy),
        _ => return None,
    };
    let name = attribute("name").trim_start_matches('/').to_owned();
    Some(ContainerNews { id, name, at_ms: nanoseconds(event).div_euclid(1_000_000), what })
}

/// An end that was not orderly.
pub(super) struct Death {
    pub(super) id: String,
    pub(super) at_ms: i64,
    /// None: a child of it was killed, and it lives on.
    pub(super) lived_ms: Option<i64>,
}

/// The death that an event tells of: an end with an error, or a process that was killed for memory.
pub(super) fn death(event: &EventMessage) -> Option<Death> {
    let actor = event.actor.as_ref()?;
    let id = actor.id.clone().filter(|id| !id.is_empty())?;
    let attribute = |name: &str| Some(actor.attributes.as_ref()?.get(name)?.as_str());
    let lived_ms = match event.action.as_deref()? {
        "oom" => None,
        "die" if attribute("exitCode") != Some("0") => {
            // Whole seconds (moby `daemon/monitor.go`), so it may have been one more.
            let seconds: Option<i64> = attribute("execDuration").and_then(|text| text.parse().ok());
            seconds.map(|seconds| seconds.saturating_add(1).saturating_mul(1000))
        }
        _ => return None,
    };
    Some(Death { id, at_ms: nanoseconds(event).div_euclid(1_000_000), lived_ms })
}

/// Nanoseconds since 1970 on the engine's clock.
pub(super) fn nanoseconds(event: &EventMessage) -> i64 {
    let whole = || event.time.unwrap_or_default().saturating_mul(1_000_000_000);
    event.time_nano.unwrap_or_else(whole)
}

/// The last events, so that those which the engine tells again after a reconnect are known.
#[derive(Default)]
pub(super) struct Heard {
    last: VecDeque<(i64, String, String)>,
    /// The engine's time of the newest, nanoseconds.
    pub(super) newest: Option<i64>,
    /// When the first stream began, on our clock; tells where to go on when nothing was heard since.
    began: Option<i64>,
}

/// The engine keeps 256 events and tells no more of the past (moby `daemon/events/events.go`); as
/// many again may have come live meanwhile.
const REMEMBERED: usize = 512;

/// A stream begins so long before the newest event that was heard, nanoseconds.
const OVERLAP: i64 = 5_000_000_000;

impl Heard {
    /// As if everything up to then had been heard: the next stream begins right there.
    pub(super) fn after(since: Option<Wall>) -> Self {
        let newest = since.map(|wall| wall.0.saturating_mul(1_000_000).saturating_add(OVERLAP));
        Self { newest, ..Self::default() }
    }

    /// A stream begins now: what happens from here on is for us to hear.
    pub(super) fn begin(&mut self) {
        let now = jiff::Timestamp::now().as_nanosecond();
        self.began = self.began.or(i64::try_from(now).ok());
    }

    /// Whether this event is new; from now on it is not.
    pub(super) fn is_new(&mut self, event: &EventMessage) -> bool {
        let id = event.actor.as_ref().and_then(|actor| actor.id.clone()).unwrap_or_default();
        let key = (nanoseconds(event), id, event.action.clone().unwrap_or_default());
        // The newest are at the back, and a repeated one is rarely far from there.
        if self.last.iter().rev().any(|heard| *heard == key) {
            return false;
        }
        self.newest = Some(self.newest.map_or(key.0, |newest| newest.max(key.0)));
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(key);
        true
    }

    /// The `since` of the next stream: 5 s before the newest, or before the first one began, as
    /// `seconds.nanoseconds`.
    pub(super) fn since(&self) -> Option<String> {
        const SECOND: i64 = 1_000_000_000;
        let from = self.newest.or(self.began)?.saturating_sub(OVERLAP).max(0);
        Some(format!("{}.{:09}", from / SECOND, from % SECOND))
    }
}
