//! Remedies as steps: the sequence is data here, the engine carries out one step at a time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::observation::{Listener, ProcessId, ProcessSeen};
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
    /// Unload these models (none: all that are loaded) and wait until they are gone.
    Unload {
        models: Vec<String>,
    },
    /// Load, generate, unload; with the time limit of the treatment.
    Measure {
        model: String,
    },
}

impl Step {
    /// Whether it changes nothing at all.
    pub(crate) fn only_looks(&self) -> bool {
        matches!(self, Self::FindListener | Self::FindCopies)
    }

    /// Whether it interrupts something that runs (R62).
    pub fn is_disruptive(&self) -> bool {
        match self {
            Self::Terminate(_) | Self::Kill(_) | Self::StopContainer { .. } => true,
            Self::FindListener
            | Self::FindCopies
            | Self::AwaitGone(_)
            | Self::Start(_)
            | Self::StartContainer { .. }
            | Self::ComposeUp(_)
            | Self::Unload { .. }
            | Self::Measure { .. } => false,
        }
    }
}

/// A way to start a server, chosen by the doctor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lever {
    /// Run this as a process of its own: own group, output to its log file, outlives us.
    Command(Vec<String>),
    /// macOS: `launchctl kickstart gui/UID/LABEL`.
    Launchd(String),
    /// macOS: open this application bundle.
    App(String),
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
    /// `reason` is for a person; `permanent`: trying again can't help (R31).
    Failed {
        reason: String,
        permanent: bool,
    },
}

/// What an unload gave back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unloaded {
    pub models: Vec<String>,
    /// Still in `/api/ps` when the time was up.
    pub left: Vec<String>,
    /// Bytes that the server and its runners hold less than before.
    pub freed_bytes: u64,
    /// Bytes that `/api/ps` said the models took.
    pub expected_bytes: u64,
}
