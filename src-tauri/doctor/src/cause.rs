//! What can be wrong: every cause has a stable id, evidence, and a confidence.

use serde::{Deserialize, Serialize};

use crate::sentence::Sentence;

/// A conclusion about one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    pub id: CauseId,
    pub confidence: Confidence,
    /// What it is concluded from, most telling first; at most eight lines.
    pub evidence: Vec<Sentence>,
    /// Values for the cause's own text and advice.
    pub says: Sentence,
}

/// Nothing disruptive follows from `Possible` (R62).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    Possible,
    Likely,
    Certain,
}

macro_rules! cause_ids {
    ($($variant:ident = $text:literal,)*) => {
        /// The stable names of all causes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum CauseId {
            $(#[serde(rename = $text)] $variant,)*
        }

        impl CauseId {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

cause_ids! {
    OllamaNotRunning = "ollama.not_running",
    OllamaOnlyMcp = "ollama.only_mcp",
    OllamaNotInstalled = "ollama.not_installed",
    OllamaPortTaken = "ollama.port_taken",
    OllamaWedged = "ollama.wedged",
    OllamaOverloaded = "ollama.overloaded",
    MlxNotRunning = "mlx.not_running",
    MlxWrongEndpoint = "mlx.wrong_endpoint",
    MlxGenerationDead = "mlx.generation_dead",
    MlxWedged = "mlx.wedged",
    MlxPortTaken = "mlx.port_taken",
    DockerDown = "docker.down",
    ContainerOomLimit = "container.oom_limit",
    ContainerOomChild = "container.oom_child",
    DockerVmOom = "docker.vm_oom",
    ContainerKilled = "container.killed",
    ContainerCrashLoop = "container.crash_loop",
    ContainerStopped = "container.stopped",
    ContainerUnhealthy = "container.unhealthy",
    ContainerCannotRun = "container.cannot_run",
    ServiceRefused = "service.refused",
    ServiceTimeout = "service.timeout",
    ServiceEmptyReply = "service.empty_reply",
    ServiceBadStatus = "service.bad_status",
    HostMemoryPressure = "host.memory_pressure",
    HostSwapExhausted = "host.swap_exhausted",
    Unknown = "unknown",
}

impl std::fmt::Display for CauseId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
