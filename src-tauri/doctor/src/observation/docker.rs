//! What a probe saw of Docker and its containers.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Answer, LogSign, Setting};
use crate::target::Compose;

/// The Docker engine: `_ping`, and in a snapshot its containers.
#[derive(Clone, Debug, PartialEq)]
pub struct DockerSeen {
    /// `url` is the socket's address.
    pub ping: Answer,
    pub engine: Option<EngineSeen>,
    /// None when only pinged, or when they could not be listed.
    pub containers: Option<Vec<ContainerSeen>>,
    /// Names of containers that are there but could not be read this time: nothing is known of
    /// them, least of all that they are gone.
    pub unread: Vec<String>,
    /// Who could restart it; only asked of one that does not answer, and not at every look.
    pub keeper: Option<EngineKeeper>,
}

/// What a Docker engine runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineKeeper {
    /// Docker Desktop is installed; whether its own processes live, though the engine is silent.
    Desktop { runs: bool },
    /// A unit of the system's own systemd, which only an administrator restarts.
    Unit(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSeen {
    pub version: String,
    /// Memory of the machine or VM that it runs in, bytes.
    pub memory_bytes: u64,
    /// It takes of the host's memory what it needs and gives it back: that number is no share that
    /// somebody chose (docs.orbstack.dev, Efficiency, dynamic memory).
    pub takes_as_needed: bool,
}

/// A container as `inspect` tells it (FACTS C.2).
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerSeen {
    /// 64 hex digits; with `started_ms` the incarnation (R4).
    pub id: String,
    pub name: String,
    pub image: String,
    pub status: ContainerStatus,
    pub health: Option<ContainerHealth>,
    pub exit_code: i64,
    pub oom_killed: bool,
    /// Milliseconds since 1970 on the engine's clock; none: never.
    pub started_ms: Option<i64>,
    pub finished_ms: Option<i64>,
    /// Restarts made by the engine's own policy.
    pub restart_count: u64,
    pub restart_policy: RestartPolicy,
    /// Bytes; 0 is no limit.
    pub memory_limit: u64,
    /// What it held at most since its start, bytes; none: it does not run, or nobody can tell.
    pub peak_bytes: Option<u64>,
    pub stop_timeout_s: u64,
    pub stop_signal: String,
    /// Of its health check; 0 without one.
    pub start_period_s: u64,
    pub compose: Option<Compose>,
    /// It was made with our variables beside its files (R30), which `compose` does not name.
    pub light: bool,
    /// How many requests at once it sends or lets through, by its environment.
    pub settings: Vec<Setting>,
    /// Services of its own compose project that come before it (`depends_on`).
    pub depends_on: Vec<String>,
    /// Names of its labels whose value is `true`: what other healers go by.
    pub marks: Vec<String>,
    /// What it does with other containers, where it is a healer.
    pub healer: Option<Healer>,
    /// On the engine's networks, while it runs.
    pub addresses: Vec<IpAddr>,
    /// Labelled to be left alone.
    pub skip: bool,
    pub log: ContainerLog,
    /// Work that the configuration expects of it (A12); none: nothing is expected, or not read.
    pub progress: Option<ProgressSeen>,
}

/// A container that restarts or replaces other ones by itself (R29).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Healer {
    /// Restarts what is unhealthy: what bears this label with the value `true`, or everything where
    /// there is none (willfarrell/docker-autoheal, `docker-entrypoint`).
    Autoheal { label: Option<String> },
    /// Replaces containers whose image is new (containrrr/watchtower).
    Watchtower,
}

/// What its log tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerLog {
    /// Nothing was written for so many seconds; none: not read.
    pub silent_for_s: Option<u64>,
    pub last_line: Option<String>,
    pub signs: Vec<LogSign>,
    /// Its last lines, the newest last, without prompts and secrets: up to its end, or up to now
    /// while it is unwell. Empty: not read.
    pub tail: Vec<String>,
}

/// Whether work goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgressSeen {
    pub silent_for_s: u64,
    /// Longer than this is too long.
    pub within_s: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerStatus {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerHealth {
    Starting,
    Healthy,
    Unhealthy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicy {
    No,
    Always,
    UnlessStopped,
    /// At most so many times; 0 is without end.
    OnFailure(u64),
}

/// One event of the engine's stream (FACTS C.1). It raises a look; the decision is taken from a
/// fresh reading (R2), save what only the stream tells: `oom`, `kill`, `stop`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerNews {
    pub id: String,
    pub name: String,
    /// Milliseconds since 1970 on the engine's clock.
    pub at_ms: i64,
    pub what: ContainerEvent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerEvent {
    Create,
    Start,
    Oom,
    Die {
        exit_code: i64,
    },
    /// Number or name as the engine gives it, e.g. `15`.
    Kill {
        signal: String,
    },
    Stop,
    Restart,
    Pause,
    Unpause,
    Destroy,
    Rename {
        old: String,
    },
    Health(ContainerHealth),
}
