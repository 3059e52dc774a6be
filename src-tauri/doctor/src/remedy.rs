//! Remedies as steps: the sequence is data here, the engine carries out one step at a time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::observation::{Listener, ProcessId};
use crate::order::OperationId;
use crate::sentence::Sentence;
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
    /// Whether it interrupts something that runs (R62).
    pub fn is_disruptive(&self) -> bool {
        match self {
            Self::Terminate(_) | Self::Kill(_) | Self::StopContainer { .. } => true,
            Self::FindListener
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

/// The whole sequence of a remedy, as a value: [`Plan::next`] says what follows each outcome.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Plan {
    /// A server that is one process on one port.
    Server(ServerPlan),
    Container(ContainerPlan),
    Unload {
        models: Vec<String>,
    },
    /// Measured one after the other, unloaded after each.
    Measure {
        models: Vec<(String, Duration)>,
    },
    /// Nothing is done: targets are looked at.
    Check {
        targets: Vec<TargetId>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerPlan {
    /// Stop what listens; `None` leaves it: only start what is not there.
    pub(crate) stop: Option<StopPlan>,
    pub(crate) start: Option<Lever>,
    pub(crate) killed: bool,
    /// How long the start itself may take to return.
    pub(crate) start_within: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StopPlan {
    /// Only these may be stopped; anything else on the port is left alone.
    pub(crate) allowed: Vec<ProcessId>,
    pub(crate) patience: Duration,
    pub(crate) patience_kill: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ContainerPlan {
    pub(crate) id: String,
    pub(crate) started_ms: Option<i64>,
    pub(crate) stop: bool,
    pub(crate) start: bool,
    pub(crate) compose: Option<Compose>,
    /// The container's own stop timeout.
    pub(crate) stop_timeout: Duration,
}

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    Step(Step, Duration),
    /// The world is as it should be; now it must be proven.
    Verify,
    /// Nothing more to do, and nothing to prove.
    Finished,
    Failed {
        says: Sentence,
        permanent: bool,
    },
    /// The world is not what it was when this was decided.
    Superseded {
        says: Sentence,
    },
}

const SHORT: Duration = Duration::from_secs(5);
const ENGINE_CALL: Duration = Duration::from_secs(30);
const COMPOSE: Duration = Duration::from_secs(130);
const UNLOAD: Duration = Duration::from_secs(60);

impl Plan {
    /// The first step, or what follows the last one.
    pub(crate) fn next(&mut self, last: Option<(&Step, &Outcome)>) -> Next {
        if let Some((_, Outcome::Failed { reason, permanent })) = last {
            if let (Self::Container(plan), Some((Step::ComposeUp(_), _)), true) =
                (&mut *self, last, *permanent)
            {
                // The compose file has gone: the container itself can still be started.
                plan.compose = None;
                return plan.start_step();
            }
            let says = Sentence::new("step.failed").with("reason", reason.as_str());
            return Next::Failed { says, permanent: *permanent };
        }
        match self {
            Self::Server(plan) => plan.next(last),
            Self::Container(plan) => plan.next(last),
            Self::Unload { models } => match last {
                None => Next::Step(Step::Unload { models: models.clone() }, UNLOAD),
                Some(_) => Next::Finished,
            },
            Self::Measure { models } => {
                if let Some((Step::Measure { model }, _)) = last {
                    return Next::Step(Step::Unload { models: vec![model.clone()] }, UNLOAD);
                }
                if models.is_empty() {
                    return Next::Finished;
                }
                let (model, within) = models.remove(0);
                Next::Step(Step::Measure { model }, within)
            }
            Self::Check { .. } => Next::Verify,
        }
    }
}

impl ServerPlan {
    fn next(&mut self, last: Option<(&Step, &Outcome)>) -> Next {
        let Some((step, outcome)) = last else { return Next::Step(Step::FindListener, SHORT) };
        if *outcome == Outcome::IdentityChanged {
            return superseded("step.identity_changed");
        }
        match step {
            Step::FindListener => match outcome {
                Outcome::Listening(listener) => self.found(listener),
                _ => superseded("step.identity_changed"),
            },
            Step::Terminate(process) => self.wait(process, |stop| stop.patience),
            Step::Kill(process) => {
                self.killed = true;
                self.wait(process, |stop| stop.patience_kill)
            }
            Step::AwaitGone(_) if *outcome == Outcome::Gone => self.start(),
            // Never a second copy beside one that will not go.
            Step::AwaitGone(_) if self.killed => {
                Next::Failed { says: Sentence::new("step.cannot_be_killed"), permanent: true }
            }
            Step::AwaitGone(process) => Next::Step(Step::Kill(process.clone()), SHORT),
            Step::Start(_)
            | Step::StartContainer { .. }
            | Step::ComposeUp(_)
            | Step::StopContainer { .. }
            | Step::Unload { .. }
            | Step::Measure { .. } => Next::Verify,
        }
    }

    fn found(&self, listener: &Listener) -> Next {
        match (listener, &self.stop) {
            (Listener::Nobody, _) => self.start(),
            (Listener::Process(process), Some(stop)) if stop.allowed.contains(&process.id) => {
                Next::Step(Step::Terminate(process.id.clone()), SHORT)
            }
            (Listener::Process(process), Some(_)) => Next::Superseded {
                says: Sentence::new("step.other_process")
                    .with("program", process.id.program())
                    .with("pid", process.id.pid),
            },
            (Listener::Process(_), None) => superseded("step.came_back"),
            (Listener::Hidden | Listener::NotAsked, _) => {
                Next::Failed { says: Sentence::new("step.hidden_process"), permanent: false }
            }
        }
    }

    fn wait(&self, process: &ProcessId, patience: impl Fn(&StopPlan) -> Duration) -> Next {
        let within = self.stop.as_ref().map_or(SHORT, patience);
        Next::Step(Step::AwaitGone(process.clone()), within)
    }

    fn start(&self) -> Next {
        match &self.start {
            Some(lever) => Next::Step(Step::Start(lever.clone()), self.start_within),
            None => Next::Finished,
        }
    }
}

impl ContainerPlan {
    fn next(&self, last: Option<(&Step, &Outcome)>) -> Next {
        match last {
            None if self.stop => {
                let step = Step::StopContainer { id: self.id.clone(), started_ms: self.started_ms };
                Next::Step(step, self.stop_timeout + ENGINE_CALL)
            }
            None => self.start_step(),
            Some((_, Outcome::IdentityChanged)) => superseded("step.container_changed"),
            Some((Step::StopContainer { .. }, Outcome::StillThere)) => Next::Failed {
                says: Sentence::new("step.container_will_not_stop"),
                permanent: false,
            },
            Some((Step::StopContainer { .. }, _)) if self.start => self.start_step(),
            Some((Step::StopContainer { .. }, _)) => Next::Finished,
            Some(_) => Next::Verify,
        }
    }

    fn start_step(&self) -> Next {
        match &self.compose {
            // A container that was stopped a moment ago is still the right one: compose is for
            // bringing back what is gone or was changed.
            Some(compose) if !self.stop => Next::Step(Step::ComposeUp(compose.clone()), COMPOSE),
            Some(_) | None => Next::Step(Step::StartContainer { id: self.id.clone() }, ENGINE_CALL),
        }
    }
}

fn superseded(key: &str) -> Next {
    Next::Superseded { says: Sentence::new(key) }
}
