//! Remedies as steps: the sequence is data here, the engine carries out one step at a time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::observation::{Listener, MlxServer, ModelSeen, ProcessId, ProcessSeen};
use crate::order::OperationId;
use crate::target::{Compose, TargetId};
use crate::timings::Timing;

/// One step of one operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StepId {
    pub operation: OperationId,
    /// Counts up from 0 within the operation, over all attempts.
    pub number: u32,
}

/// Order one step. The engine reports within `within`, or says that it could not.
#[derive(Clone, Debug, PartialEq)]
pub struct Treatment {
    pub step: StepId,
    pub target: TargetId,
    pub what: Step,
    pub within: Duration,
}

/// What the engine can be told to do. Before each signal it checks the identity again (R4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Who listens on the target's port now?
    FindListener,
    /// Which processes of the server live now, though they may not listen yet?
    FindCopies,
    /// TERM to this very process.
    Terminate(ProcessId),
    /// KILL to this very process.
    Kill(ProcessId),
    /// Wait until the process is gone and the port is free. A zombie counts as gone.
    AwaitGone(ProcessId),
    /// Make whoever keeps it running stop it, and not start it again: only while it keeps this very
    /// process (none: nobody listens, and it is not to start it either).
    StopThrough {
        lever: Lever,
        process: Option<ProcessId>,
    },
    /// Who listens again, within the time? Nobody: it stays away.
    AwaitBack,
    Start(Lever),
    /// `POST /containers/{id}/start`, for a container that is stopped.
    StartContainer {
        id: String,
    },
    /// `docker compose up -d --no-deps SERVICE`.
    ComposeUp(Compose),
    /// Stop this incarnation; refused when the container was started anew since.
    StopContainer {
        id: String,
        started_ms: Option<i64>,
    },
    /// `POST /containers/{id}/update`: its memory limit, bytes; refused when that is no longer `from`.
    RaiseLimit {
        id: String,
        from: u64,
        to: u64,
    },
    /// `docker desktop restart`; refused when the engine answers again.
    RestartDocker,
    /// Unload these models (none: all that are loaded) and wait until they are gone.
    Unload {
        models: Vec<String>,
    },
    /// Make an MLX server let go of this model, or of all that it has (none), where its kind can.
    UnloadMlx {
        server: MlxServer,
        model: Option<String>,
    },
    /// Load, generate, unload; with the time limit of the treatment.
    Measure {
        model: String,
    },
    /// Is it installed?
    FindModel {
        model: String,
    },
    /// `POST /api/pull`; broken off as soon as it is known that too little would stay free.
    Pull {
        model: String,
        reserve: Reserve,
    },
    /// `ollama create MODEL -f FILE`.
    Create {
        model: String,
        modelfile: String,
    },
    /// Read the blobs of this model, or of all.
    VerifyModels {
        model: Option<String>,
    },
    /// Read the model's blobs and remove those that are not what they should be.
    RemoveBroken {
        model: String,
    },
    /// One token, or one embedding where it can do nothing else; it stays in memory only if it was
    /// there before.
    Prove {
        model: String,
    },
}

/// What must stay free on the disk that takes something new (R64).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserve {
    pub bytes: u64,
    /// Of the whole volume.
    pub percent: u64,
}

impl Reserve {
    /// Whether `coming` bytes may still be written to a volume of which so much is free.
    pub fn allows(self, coming: u64, free: u64, total: u64) -> bool {
        coming == 0 || free.saturating_sub(self.least(total)) >= coming
    }

    /// Bytes that stay free on a volume of that size.
    pub fn least(self, total: u64) -> u64 {
        self.bytes.max(total / 100 * self.percent)
    }
}

/// The most that a step does to what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It changes nothing at all.
    Looks,
    /// It may make something run that did not.
    Starts,
    /// It interrupts something that runs, or waits for its end (R62).
    Interrupts,
    /// What runs goes on, in another state.
    Changes,
}

impl Step {
    pub fn effect(&self) -> Effect {
        match self {
            Self::FindListener
            | Self::FindCopies
            | Self::AwaitBack
            | Self::FindModel { .. }
            | Self::VerifyModels { .. } => Effect::Looks,
            Self::Start(_) | Self::StartContainer { .. } | Self::ComposeUp(_) => Effect::Starts,
            Self::Terminate(_)
            | Self::Kill(_)
            | Self::AwaitGone(_)
            | Self::StopThrough { .. }
            | Self::StopContainer { .. }
            | Self::RestartDocker => Effect::Interrupts,
            Self::RaiseLimit { .. }
            | Self::Unload { .. }
            | Self::UnloadMlx { .. }
            | Self::Measure { .. }
            | Self::Pull { .. }
            | Self::Create { .. }
            | Self::RemoveBroken { .. }
            | Self::Prove { .. } => Effect::Changes,
        }
    }
}

/// A way to start a server, and to stop what another program keeps running; chosen by the doctor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lever {
    /// Run this as a process of its own: own group, output to its log file, outlives us.
    Command(Vec<String>),
    /// macOS: `launchctl kickstart gui/UID/LABEL`, `bootout` and `bootstrap`.
    Launchd(String),
    /// macOS: open this application bundle, or quit it.
    App(String),
    /// Linux: `systemctl --user start UNIT`, or `stop`.
    Unit(String),
    /// Linux, where we are root: `systemctl --system start UNIT`, or `stop`.
    SystemUnit(String),
}

impl Lever {
    /// Whether another program owns the server, and starts it again by itself (R29).
    pub(crate) fn has_owner(&self) -> bool {
        match self {
            Self::Launchd(_) | Self::App(_) | Self::Unit(_) | Self::SystemUnit(_) => true,
            Self::Command(_) => false,
        }
    }
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Done,
    Listening(Listener),
    /// Whatever is named like the server; the doctor tells whose they are.
    Found(Vec<ProcessSeen>),
    Gone,
    StillThere,
    /// The process asked for is no longer that process, or the container a newer incarnation.
    IdentityChanged,
    /// None when another program (launchd, an app) started it.
    Started {
        process: Option<ProcessId>,
    },
    Unloaded(Unloaded),
    Measured(Box<Timing>),
    /// None: it is not installed.
    Installed(Option<ModelSeen>),
    /// It answered.
    Proven(ModelSeen),
    /// So many models were read.
    ModelsRead(ModelsRead),
    /// These blobs are gone, and these models need them.
    Removed {
        blobs: Vec<String>,
        models: Vec<String>,
    },
    /// The memory limit was raised, until the container is made anew.
    Raised(LimitLasts),
    /// `reason` is for a person; `permanent`: trying again can't help (R31).
    Failed {
        reason: String,
        permanent: bool,
    },
}

/// What makes a raised memory limit last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitLasts {
    /// A line of its compose file.
    Line(LimitPlace),
    /// Its compose file is not here, or has no place for it: the words for whoever has it.
    InCompose { file: String, service: String },
    /// It was made without one.
    WhenMade,
}

/// Where a limit is written, and what to write there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitPlace {
    pub file: String,
    /// From 1.
    pub line: u32,
    pub text: String,
    /// In place of what that line says now; else before it.
    pub instead: bool,
}

/// What reading models found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelsRead {
    pub models: u32,
    pub bytes: u64,
    /// Model and blob; every model that shares a broken blob.
    pub corrupt: Vec<(String, String)>,
}

impl Unloaded {
    /// Gone from the list, and from memory.
    pub fn is_complete(&self) -> bool {
        self.left.is_empty() && self.holders.is_empty()
    }
}

/// A process and the bytes that it holds: footprint on macOS, PSS on Linux.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub bytes: u64,
}

/// What an unload gave back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unloaded {
    pub models: Vec<String>,
    /// Still in `/api/ps` when the time was up.
    pub left: Vec<String>,
    /// Processes that still hold memory for them when the time was up.
    pub holders: Vec<Holder>,
    /// Bytes that came free with the processes that ended; none: they are not shown to us.
    pub freed_bytes: Option<u64>,
    /// Bytes that `/api/ps` said the models took.
    pub expected_bytes: u64,
}
