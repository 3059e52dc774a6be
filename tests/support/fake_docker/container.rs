//! A container as the list, `inspect` and its events show it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

#[derive(Clone, Debug)]
pub struct Container {
    pub name: String,
    pub id: String,
    /// `running`, `exited`, `paused`, …
    pub status: &'static str,
    pub health: Option<Health>,
    pub policy: Policy,
    pub memory_limit: u64,
    pub restart_count: u64,
    pub exit_code: i64,
    pub oom_killed: bool,
    pub labels: Vec<(String, String)>,
    started: Timestamp,
    finished: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Starting,
    Healthy,
    Unhealthy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    No,
    Always,
    UnlessStopped,
}

impl Container {
    /// Running for an hour, with a limit of 512 MiB and no restart policy.
    pub fn named(name: &str) -> Self {
        let number = name.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
        let started = Timestamp::now() - SignedDuration::from_hours(1);
        Self {
            name: name.to_owned(),
            id: format!("{number:064x}"),
            status: "running",
            health: None,
            policy: Policy::No,
            memory_limit: 512 << 20,
            restart_count: 0,
            exit_code: 0,
            oom_killed: false,
            labels: Vec::new(),
            started,
            finished: None,
        }
    }

    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The engine forgets an out-of-memory when it starts again (moby `container/state.go`,
    /// `SetRunning`).
    pub(super) fn start(&mut self) {
        (self.status, self.exit_code, self.oom_killed) = ("running", 0, false);
        self.started = Timestamp::now();
    }

    pub(super) fn end(&mut self, code: i64, oom_killed: bool) {
        (self.status, self.exit_code, self.oom_killed) = ("exited", code, oom_killed);
        self.finished = Some(Timestamp::now());
    }

    pub(super) fn listed(&self) -> Value {
        json!({
            "Id": self.id,
            "Names": [format!("/{}", self.name)],
            "Image": "example/agent:latest",
            "ImageID": format!("sha256:{}", self.id),
            "Command": "python -m agent --serve",
            "Created": self.started.as_second(),
            "Ports": [{"PrivatePort": 8000, "Type": "tcp"}],
            "Labels": self.all_labels(),
            "State": self.status,
            "Status": self.for_people(),
            "HostConfig": {"NetworkMode": "knowledge_default"},
            "NetworkSettings": {"Networks": {"knowledge_default": {"IPAddress": "172.18.0.7"}}},
            "Mounts": [],
        })
    }

    pub(super) fn inspected(&self) -> Value {
        // As large as those of real services: about 10 KiB, most of it environment.
        let environment: Vec<String> = (0..90)
            .map(|n| format!("SETTING_{n}=a value of some length, as real ones have"))
            .collect();
        let mut state = json!({
            "Status": self.status, "Running": self.status == "running", "Paused": false,
            "Restarting": self.status == "restarting", "OOMKilled": self.oom_killed,
            "Dead": false, "Pid": 4242, "ExitCode": self.exit_code, "Error": "",
            "StartedAt": self.started.to_string(),
            "FinishedAt": self.finished.map_or("0001-01-01T00:00:00Z".into(), |at| at.to_string()),
        });
        if let Some(health) = self.health {
            state["Health"] = json!({"Status": health.word(), "FailingStreak": 0, "Log": []});
        }
        json!({
            "Id": self.id, "Name": format!("/{}", self.name), "Created": self.started.to_string(),
            "Path": "python", "Args": ["-m", "agent"], "State": state,
            "Image": format!("sha256:{}", self.id), "RestartCount": self.restart_count,
            "HostConfig": {
                "Memory": self.memory_limit,
                "RestartPolicy": {"Name": self.policy.word(), "MaximumRetryCount": 0},
            },
            "Config": {
                "Image": "example/agent:latest", "Env": environment, "Labels": self.all_labels(),
            },
            "NetworkSettings": {"Ports": {}, "Networks": {"knowledge_default": {"IPAddress": "172.18.0.7"}}},
        })
    }

    /// As the engine writes an event, with a new line after it.
    pub(super) fn event(&self, action: &str, at: Timestamp) -> String {
        let mut attributes = json!({"name": self.name, "image": "example/agent:latest"});
        for (name, value) in &self.labels {
            attributes[name] = json!(value);
        }
        match action {
            "die" => attributes["exitCode"] = json!(self.exit_code.to_string()),
            "kill" => attributes["signal"] = json!("15"),
            _ => {}
        }
        let event = json!({
            "status": action, "id": self.id, "from": "example/agent:latest", "Type": "container",
            "Action": action, "Actor": {"ID": self.id, "Attributes": attributes},
            "scope": "local", "time": at.as_second(), "timeNano": nanoseconds(at),
        });
        format!("{event}\n")
    }

    fn all_labels(&self) -> Value {
        let mut labels = json!({
            "com.docker.compose.config-hash": self.id,
            "com.docker.compose.version": "2.40.0",
            "org.opencontainers.image.source": "https://example.org/agent",
        });
        for (name, value) in &self.labels {
            labels[name] = json!(value);
        }
        labels
    }

    fn for_people(&self) -> String {
        match self.status {
            "running" => "Up About an hour".to_owned(),
            "exited" => format!("Exited ({}) About a minute ago", self.exit_code),
            other => other.to_owned(),
        }
    }
}

impl Health {
    fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl Policy {
    fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Always => "always",
            Self::UnlessStopped => "unless-stopped",
        }
    }
}

pub(super) fn nanoseconds(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX)
}
