//! What is seen of the machine itself.

use serde::{Deserialize, Serialize};

/// Memory of the host (RECOVERY 1.3 Memory, R65).
#[derive(Clone, Debug, PartialEq)]
pub struct HostSeen {
    pub memory_bytes: u64,
    pub available_bytes: u64,
    /// 1 normal, 2 warning, 4 critical.
    pub pressure: u8,
    pub swap_total_bytes: u64,
    pub swap_used_bytes: u64,
    /// Load of the last minute per core, in per cent; 0: not known.
    pub load_percent: u32,
    /// What the GPU may hold of it; none: the system sets no such limit, or does not tell.
    pub gpu_limit: Option<GpuLimit>,
    /// Only in full looks: reading it costs.
    pub ledger: Option<Vec<MemoryGroup>>,
    /// File systems that hold the models, the journal or Docker; empty: not read this time.
    pub volumes: Vec<VolumeSeen>,
    /// Processes that the system ended for memory, or that crashed, since the last look.
    pub ended: Vec<EndedSeen>,
}

/// How much of the memory the GPU may hold (macOS, `sysctl iogpu.wired_limit_mb`, FACTS B.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuLimit {
    pub bytes: u64,
    /// A person set it; else it is the system's own, and only about so many.
    pub is_set: bool,
}

/// A file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSeen {
    pub path: String,
    pub free_bytes: u64,
    pub total_bytes: u64,
}

/// A process that the system ended (Jetsam, the kernel's OOM killer), or that crashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedSeen {
    pub victim: String,
    pub pid: u32,
    /// Who held most of the memory then, where it was told.
    pub largest: Option<String>,
    pub why: EndedWhy,
}

/// What the system wrote down as the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndedWhy {
    /// The machine had no memory left.
    OutOfMemory,
    /// It passed the limit that was set for it, or for its group.
    OverLimit,
    /// A fault of its own; the signal by its name, empty where none was told.
    Crashed { signal: String },
}

/// One row of the memory ledger: an owner and what it really holds (PSS on Linux, footprint on macOS).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryGroup {
    pub name: String,
    pub bytes: u64,
    pub processes: u32,
}
