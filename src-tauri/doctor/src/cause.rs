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
    OllamaOtherUser = "ollama.other_user",
    OllamaOtherStore = "ollama.other_store",
    OllamaPortTaken = "ollama.port_taken",
    OllamaRivalSupervisors = "ollama.rival_supervisors",
    OllamaAfterWake = "ollama.after_wake",
    OllamaMetalContention = "ollama.metal_contention",
    OllamaMetalSessionLost = "ollama.metal_session_lost",
    OllamaMetalOom = "ollama.metal_oom",
    OllamaGpuMemoryLeaked = "ollama.gpu_memory_leaked",
    OllamaEmptyAnswers = "ollama.empty_answers",
    OllamaWedged = "ollama.wedged",
    OllamaLeftBehind = "ollama.left_behind",
    OllamaUnloadStuck = "ollama.unload_stuck",
    OllamaOverloaded = "ollama.overloaded",
    OllamaModelMissing = "ollama.model_missing",
    OllamaModelCorrupt = "ollama.model_corrupt",
    OllamaLeak = "ollama.leak",
    OllamaCrashed = "ollama.crashed",
    OllamaVersionRegression = "ollama.version_regression",
    MlxNotRunning = "mlx.not_running",
    MlxWrongEndpoint = "mlx.wrong_endpoint",
    MlxGenerationDead = "mlx.generation_dead",
    MlxWedged = "mlx.wedged",
    MlxPortTaken = "mlx.port_taken",
    MlxMetalOom = "mlx.metal_oom",
    MlxLoading = "mlx.loading",
    MlxCrashed = "mlx.crashed",
    DockerDown = "docker.down",
    DockerVmOom = "docker.vm_oom",
    DockerResourceSaver = "docker.resource_saver",
    DockerMemoryTooSmall = "docker.memory_too_small",
    ContainerOomLimit = "container.oom_limit",
    ContainerOomChild = "container.oom_child",
    ContainerKilled = "container.killed",
    ContainerCrashLoop = "container.crash_loop",
    ContainerStopped = "container.stopped",
    ContainerUnhealthy = "container.unhealthy",
    ContainerStartupHang = "container.startup_hang",
    ContainerLoggerCrash = "container.logger_crash",
    ContainerCannotRun = "container.cannot_run",
    ContainerHostPressure = "container.host_pressure",
    ContainerNoProgress = "container.no_progress",
    ServiceRefused = "service.refused",
    ServiceTimeout = "service.timeout",
    ServiceEmptyReply = "service.empty_reply",
    ServiceBadStatus = "service.bad_status",
    ServiceWrongSideOfMapping = "service.wrong_side_of_mapping",
    ServiceBusy = "service.busy",
    HostMemoryPressure = "host.memory_pressure",
    HostSwapExhausted = "host.swap_exhausted",
    HostDiskFull = "host.disk_full",
    HostPanicSuspect = "host.panic_suspect",
    HostProcessKilled = "host.process_killed",
    HostWoke = "host.woke",
    Unknown = "unknown",
}

impl std::fmt::Display for CauseId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
