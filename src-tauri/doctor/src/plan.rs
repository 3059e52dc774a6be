//! The whole sequence of a remedy as data: [`Plan::next`] says what follows each outcome.

use std::time::Duration;

use crate::ensuring::EnsurePlan;
use crate::observation::{Listener, MlxServer, ProcessId, ProcessSeen};
use crate::remedy::{Lever, Outcome, Step};
use crate::sentence::Sentence;
use crate::target::{Compose, TargetId};
use crate::unsticking::Unsticking;

/// What is to be done, and how far it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Plan {
    /// A server that is one process on one port.
    Server(ServerPlan),
    Container(ContainerPlan),
    /// Docker itself: all containers with it.
    Docker,
    Unload {
        models: Vec<String>,
    },
    /// One after the other; none is all that it holds.
    UnloadMlx {
        server: MlxServer,
        models: Vec<Option<String>>,
    },
    /// Measured one after the other, unloaded after each.
    Measure {
        models: Vec<(String, Duration)>,
    },
    /// The memory limit of a container, as it runs.
    Raise {
        id: String,
        from: u64,
        to: u64,
    },
    /// Models that are to exist, one after the other.
    Ensure(EnsurePlan),
    /// Models are read whole.
    Verify {
        model: Option<String>,
    },
    /// Nothing is done: targets are looked at.
    Check {
        targets: Vec<TargetId>,
    },
}

#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct ServerPlan {
    /// Tried before the server itself is touched (1.8).
    pub(crate) unsticking: Option<Unsticking>,
    /// Stop what listens; `None` leaves it: only start what is not there.
    pub(crate) stop: Option<StopPlan>,
    /// What we started before and never saw listen: ended first, never a second copy beside it.
    pub(crate) unproven: Option<ProcessId>,
    pub(crate) start: Option<Lever>,
    /// Loads long before it listens: looked for by name before it is started.
    pub(crate) loads_first: bool,
    /// TERM to KILL where nothing but an unproven start is stopped.
    pub(crate) patience: Duration,
    pub(crate) killed: bool,
    /// How long the start itself may take to return.
    pub(crate) start_within: Duration,
    /// Who had it stopped was not obeyed: it, or its owner, did not let go in time.
    pub(crate) lingers: bool,
    /// It was stopped, and somebody started it again.
    pub(crate) came_back: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StopPlan {
    /// Only these may be stopped; anything else on the port is left alone.
    pub(crate) allowed: Vec<ProcessId>,
    pub(crate) patience: Duration,
    pub(crate) patience_kill: Duration,
    /// Who keeps it running, and is told to stop it; none: the process itself is.
    pub(crate) owner: Option<Owner>,
}

/// Another program that keeps a server running (R29). What it stops is never killed by us: it has
/// its own measure, and starts again what was killed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Owner {
    pub(crate) lever: Lever,
    /// How long it may take until the process is gone.
    pub(crate) patience: Duration,
    /// How long it is then watched whether somebody starts it again.
    pub(crate) watch: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ContainerPlan {
    pub(crate) id: String,
    pub(crate) started_ms: Option<i64>,
    pub(crate) stop: bool,
    pub(crate) start: bool,
    pub(crate) compose: Option<Compose>,
    /// Only one that Compose makes anew will do: for a light start, and for the way back.
    pub(crate) anew: bool,
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
/// `launchctl print` and `bootout`, one after the other.
const OWNER: Duration = Duration::from_secs(25);
const ENGINE_CALL: Duration = Duration::from_secs(30);
const COMPOSE: Duration = Duration::from_secs(130);
/// A terabyte from a slow disk.
const READ: Duration = Duration::from_hours(6);
const UNLOAD: Duration = Duration::from_mins(1);
/// Stopping all containers, its virtual machine, and starting both again.
const DOCKER: Duration = Duration::from_mins(3);

impl Plan {
    /// The first step, or what follows the last one.
    pub(crate) fn next(&mut self, last: Option<(&Step, &Outcome)>) -> Next {
        // One model that cannot be had or measured is no reason to leave out the others.
        if let Some((_, Outcome::Failed { reason, permanent })) = last
            && !matches!(self, Self::Measure { .. } | Self::Ensure(_))
            && !self.unsticks()
        {
            if let (Self::Container(plan), Some((Step::ComposeUp(_), _)), true) =
                (&mut *self, last, *permanent)
                && !plan.anew
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
            Self::Docker => match last {
                None => Next::Step(Step::RestartDocker, DOCKER),
                Some((_, Outcome::IdentityChanged)) => superseded("step.docker_answers"),
                Some(_) => Next::Verify,
            },
            Self::Unload { models } => match last {
                None => Next::Step(Step::Unload { models: models.clone() }, UNLOAD),
                Some((_, outcome)) => unload_ended(outcome),
            },
            Self::UnloadMlx { server, models } => {
                let done = match last {
                    Some((Step::UnloadMlx { model, .. }, outcome)) => {
                        let ended = unload_ended(outcome);
                        if matches!(ended, Next::Failed { .. }) {
                            return ended;
                        }
                        models.iter().position(|one| one == model).map_or(0, |last| last + 1)
                    }
                    Some(_) | None => 0,
                };
                match models.get(done) {
                    Some(model) => {
                        let step = Step::UnloadMlx { server: *server, model: model.clone() };
                        Next::Step(step, UNLOAD)
                    }
                    None => Next::Finished,
                }
            }
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
            Self::Raise { id, from, to } => match last {
                None => {
                    let step = Step::RaiseLimit { id: id.clone(), from: *from, to: *to };
                    Next::Step(step, ENGINE_CALL)
                }
                Some((_, Outcome::IdentityChanged)) => superseded("step.limit_changed"),
                Some(_) => Next::Finished,
            },
            Self::Ensure(plan) => plan.next(last),
            Self::Verify { model } => match last {
                None => Next::Step(Step::VerifyModels { model: model.clone() }, READ),
                Some((_, Outcome::ModelsRead(read))) if !read.corrupt.is_empty() => {
                    let says = Sentence::new("step.models_broken");
                    Next::Failed { says, permanent: false }
                }
                Some(_) => Next::Finished,
            },
            Self::Check { .. } => Next::Verify,
        }
    }

    /// Interrupts or starts something, or is the first rung of what may.
    pub(crate) fn is_remedy(&self) -> bool {
        match self {
            Self::Server(_) | Self::Container(_) | Self::Docker => true,
            Self::Unload { .. }
            | Self::UnloadMlx { .. }
            | Self::Measure { .. }
            | Self::Raise { .. }
            | Self::Ensure(_)
            | Self::Verify { .. }
            | Self::Check { .. } => false,
        }
    }

    /// Whether only a container that Compose makes anew will do.
    pub(crate) fn makes_anew(&self) -> bool {
        match self {
            Self::Container(plan) => plan.anew,
            Self::Server(_)
            | Self::Docker
            | Self::Unload { .. }
            | Self::UnloadMlx { .. }
            | Self::Measure { .. }
            | Self::Raise { .. }
            | Self::Ensure(_)
            | Self::Verify { .. }
            | Self::Check { .. } => false,
        }
    }

    /// One model is being unloaded, and the server not touched yet.
    pub(crate) fn unsticks(&self) -> bool {
        matches!(self, Self::Server(plan) if plan.unsticking.is_some())
    }

    /// A server was stopped, and somebody started it again.
    pub(crate) fn came_back(&self) -> bool {
        matches!(self, Self::Server(plan) if plan.came_back)
    }

    /// How many models are still to be measured.
    pub(crate) fn left(&self) -> usize {
        match self {
            Self::Measure { models } => models.len(),
            Self::Server(_)
            | Self::Container(_)
            | Self::Docker
            | Self::Unload { .. }
            | Self::UnloadMlx { .. }
            | Self::Raise { .. }
            | Self::Ensure(_)
            | Self::Verify { .. }
            | Self::Check { .. } => 0,
        }
    }
}

impl ServerPlan {
    fn next(&mut self, last: Option<(&Step, &Outcome)>) -> Next {
        if let Some(unsticking) = &self.unsticking {
            if let Some(next) = unsticking.next(last) {
                return next;
            }
            self.unsticking = None;
            return Next::Step(Step::FindListener, SHORT);
        }
        let Some((step, outcome)) = last else { return Next::Step(Step::FindListener, SHORT) };
        if *outcome == Outcome::IdentityChanged {
            let own = matches!(
                step,
                Step::Terminate(process) | Step::Kill(process) if self.unproven.as_ref() == Some(process)
            );
            return if own { self.before_start() } else { superseded("step.identity_changed") };
        }
        match step {
            Step::FindListener => {
                if let Outcome::Listening(listener) = outcome {
                    self.found(listener)
                } else {
                    superseded("step.identity_changed")
                }
            }
            Step::Terminate(process) => self.wait(process, |stop| stop.patience),
            Step::StopThrough { process: Some(process), .. } => self.wait(process, |stop| {
                stop.owner.as_ref().map_or(stop.patience, |owner| owner.patience)
            }),
            Step::StopThrough { process: None, .. } => self.start(),
            Step::AwaitBack => self.watched(outcome),
            Step::Kill(process) => {
                self.killed = true;
                self.wait(process, |stop| stop.patience_kill)
            }
            Step::FindCopies => {
                if let Outcome::Found(copies) = outcome {
                    self.start_alone(copies.first())
                } else {
                    superseded("step.identity_changed")
                }
            }
            Step::AwaitGone(_) if *outcome == Outcome::Gone => self.before_start(),
            Step::AwaitGone(_) if self.owner().is_some() => {
                // Gone, and its port taken again, is another thing than not gone.
                self.lingers = true;
                self.start()
            }
            // Never a second copy beside one that will not go.
            Step::AwaitGone(_) if self.killed => {
                Next::Failed { says: Sentence::new("step.cannot_be_killed"), permanent: true }
            }
            Step::AwaitGone(process) => Next::Step(Step::Kill(process.clone()), SHORT),
            Step::Start(_)
            | Step::StartContainer { .. }
            | Step::ComposeUp(_)
            | Step::RaiseLimit { .. }
            | Step::StopContainer { .. }
            | Step::RestartDocker
            | Step::Unload { .. }
            | Step::UnloadMlx { .. }
            | Step::Measure { .. }
            | Step::FindModel { .. }
            | Step::Pull { .. }
            | Step::Create { .. }
            | Step::VerifyModels { .. }
            | Step::RemoveBroken { .. }
            | Step::Prove { .. } => Next::Verify,
        }
    }

    /// What has listened since its owner stopped it.
    fn watched(&mut self, outcome: &Outcome) -> Next {
        let Outcome::Listening(listener) = outcome else { return Next::Finished };
        let same = |process: &ProcessSeen| {
            self.stop.as_ref().is_some_and(|stop| stop.allowed.contains(&process.id))
        };
        match listener {
            Listener::Nobody | Listener::NotAsked if !self.lingers => Next::Finished,
            Listener::Process(process) if !same(process) => {
                self.came_back = true;
                Next::Superseded {
                    says: Sentence::new("step.started_again")
                        .with("program", process.id.program())
                        .with("pid", process.id.pid),
                }
            }
            Listener::Nobody | Listener::NotAsked | Listener::Hidden | Listener::Process(_) => {
                Next::Failed { says: Sentence::new("step.owner_did_not_stop"), permanent: true }
            }
        }
    }

    fn owner(&self) -> Option<&Owner> {
        self.stop.as_ref()?.owner.as_ref()
    }

    fn found(&self, listener: &Listener) -> Next {
        let through = |process: Option<&ProcessSeen>| {
            let lever = self.owner()?.lever.clone();
            let process = process.map(|process| process.id.clone());
            Some(Next::Step(Step::StopThrough { lever, process }, OWNER))
        };
        match (listener, &self.stop) {
            // It may be about to start it again.
            (Listener::Nobody, Some(_)) if self.owner().is_some() => {
                through(None).unwrap_or(Next::Finished)
            }
            (Listener::Nobody, _) => match &self.unproven {
                Some(process) => Next::Step(Step::Terminate(process.clone()), SHORT),
                None => self.before_start(),
            },
            (Listener::Process(process), Some(stop)) if stop.allowed.contains(&process.id) => {
                let terminate = || Next::Step(Step::Terminate(process.id.clone()), SHORT);
                through(Some(process)).unwrap_or_else(terminate)
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
        let within = self.stop.as_ref().map_or(self.patience, patience);
        Next::Step(Step::AwaitGone(process.clone()), within)
    }

    /// Two copies of a large model are an out-of-memory by our own hand (1.8): what a person or a
    /// supervisor started since the last look is looked for first.
    fn before_start(&self) -> Next {
        if self.loads_first && self.start.is_some() {
            Next::Step(Step::FindCopies, SHORT)
        } else {
            self.start()
        }
    }

    fn start_alone(&self, copy: Option<&ProcessSeen>) -> Next {
        match copy {
            None => self.start(),
            Some(copy) => Next::Superseded {
                says: Sentence::new("step.copy")
                    .with("program", copy.id.program())
                    .with("pid", copy.id.pid),
            },
        }
    }

    fn start(&self) -> Next {
        match &self.start {
            Some(lever) => Next::Step(Step::Start(lever.clone()), self.start_within),
            None => match self.owner() {
                Some(owner) => Next::Step(Step::AwaitBack, owner.watch),
                None => Next::Finished,
            },
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

/// C4: an unload is proven by the memory, not by the answer.
fn unload_ended(outcome: &Outcome) -> Next {
    match outcome {
        Outcome::Unloaded(unloaded) if !unloaded.is_complete() => {
            Next::Failed { says: Sentence::new("step.not_unloaded"), permanent: false }
        }
        Outcome::Unloaded(_)
        | Outcome::Done
        | Outcome::Listening(_)
        | Outcome::Gone
        | Outcome::StillThere
        | Outcome::IdentityChanged
        | Outcome::Started { .. }
        | Outcome::Measured(_)
        | Outcome::Found(_)
        | Outcome::Installed(_)
        | Outcome::Proven(_)
        | Outcome::ModelsRead(_)
        | Outcome::Removed { .. }
        | Outcome::Raised(_)
        | Outcome::Failed { .. } => Next::Finished,
    }
}

fn superseded(key: &str) -> Next {
    Next::Superseded { says: Sentence::new(key) }
}
