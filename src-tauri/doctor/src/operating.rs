//! Operating: one operation from its queue through its steps to its end (R20 to R24, R33).

use std::time::Duration;

use crate::cause::CauseId;
use crate::describing::describe;
use crate::diagnosis;
use crate::doctor::Doctor;
use crate::event::{Asker, Progress};
use crate::incident::{IncidentState, RemedyRecord, RemedyResult, StoryKind, Verb};
use crate::ledger::Act;
use crate::observation::Listener;
use crate::operation::{Operation, Stage};
use crate::order::{Entry, OperationId, Order, RecordId};
use crate::phase::{Phase, Reason};
use crate::plan::{Next, Plan};
use crate::remedy::{Effect, Outcome, Step, StepId, Treatment};
use crate::seeing::incarnation;
use crate::sentence::Sentence;
use crate::target::{Care, TargetId};

/// The engine keeps its deadlines; this much later we no longer believe that it will report.
const REPORT_MARGIN: Duration = Duration::from_secs(10);
/// A record that has brought no answer by then has failed.
const RECORD_WITHIN: Duration = Duration::from_secs(10);
/// After our own stop, its events may still be on their way for so long.
const STOP_ECHO: Duration = Duration::from_secs(30);
/// Compose itself waits for what it stops.
const COMPOSE_ECHO: Duration = Duration::from_secs(5);

impl Doctor {
    /// An automatic remedy.
    pub(crate) fn begin(&mut self, id: &TargetId, verb: Verb, plan: Plan, is_trial: bool) {
        let Some(patient) = self.patients.get_mut(id) else { return };
        let by = if std::mem::take(&mut patient.urged) { Asker::Person } else { Asker::Doctor };
        // R30: neither is a light start, the loop's own trial.
        let is_light = plan.makes_anew();
        if is_trial {
            if let Some(given_up) = &mut patient.account.given_up {
                given_up.trials += 1;
            }
        } else if !is_light {
            patient.account.attempts += 1;
            let cause = patient.phase.cause().map(|cause| cause.id);
            patient.account.unexplained += u32::from(cause == Some(CauseId::ContainerKilled));
        }
        let attempt = if is_light { 0 } else { patient.account.attempts };
        self.light_begins(id, &plan);
        // What is written of it says what is really done.
        let verb = if plan.unsticks() { Verb::Unload } else { verb };
        let operation = self.new_operation(id, verb, by, plan);
        if let Some(one) = self.operations.iter_mut().find(|one| one.id == operation) {
            one.attempt = attempt;
            one.counted = !is_trial && !is_light;
        }
    }

    /// Queued; [`Doctor::begin_queued`] lets it go as soon as nothing else is under way.
    pub(crate) fn new_operation(
        &mut self,
        id: &TargetId,
        verb: Verb,
        by: Asker,
        plan: Plan,
    ) -> OperationId {
        let operation = self.operation_id();
        let incident = self.told_in(id).map(|incident| incident.id);
        self.operations.push(Operation {
            id: operation.clone(),
            target: id.clone(),
            verb,
            by,
            incident,
            attempt: 0,
            counted: false,
            result: None,
            log: Vec::new(),
            progress: None,
            began: self.now,
            callers: Vec::new(),
            // What goes on after a pause stays what it was.
            before: self.incarnation_of(id).filter(|_| !self.stands_paused(id)),
            plan,
            stage: Stage::Queued,
            steps: Vec::new(),
            number: 0,
        });
        operation
    }

    /// R20: one remedy at a time on the whole host, and one errand of each kind beside it.
    pub(crate) fn begin_queued(&mut self) {
        loop {
            let is_free = |errand| {
                !self.operations.iter().any(|one| one.errand() == errand && one.is_under_way())
            };
            let waking = self.is_waking();
            let next = self.operations.iter().position(|one| {
                matches!(one.stage, Stage::Queued)
                    && if one.is_remedy() {
                        (!waking || one.verb == Verb::Stop)
                            && !self.is_blocked(&one.target, one.verb, Operation::is_under_way)
                    } else {
                        one.errand().is_none() || is_free(one.errand())
                    }
            });
            let Some(at) = next else { return };
            let operation = &self.operations[at];
            let (id, target, verb) =
                (operation.id.clone(), operation.target.clone(), operation.verb);
            if operation.is_remedy() {
                self.enter_recovering(&id, &target, verb);
            }
            self.proceed(&id, None);
        }
    }

    /// Nothing new may begin here: a remedy that is queued counts as well.
    pub(crate) fn another_is_under_way(&self, target: &TargetId, verb: Verb) -> bool {
        self.is_blocked(target, verb, Operation::is_running)
    }

    /// One that only soaks interrupts nothing any more, save for its own parent and child. Nor does
    /// one that has done all it can and waits for an answer, which may never come: a container that has
    /// ended, whose start interrupts nothing either (R62), does not wait behind it.
    fn is_blocked(
        &self,
        target: &TargetId,
        verb: Verb,
        counts: impl Fn(&Operation) -> bool,
    ) -> bool {
        let starts = verb == Verb::Start && matches!(target, TargetId::Container(_));
        self.operations.iter().any(|other| {
            let is_done = other.is_soaking()
                || (starts && other.verb == Verb::Restart && other.awaits_an_answer());
            other.is_remedy()
                && counts(other)
                && (!is_done
                    || self.are_kin(&other.target, target)
                    || self.are_docker_and_its_own(&other.target, target))
        })
    }

    /// A remedy is under way for it, for its container, or for another service in that.
    pub(crate) fn kin_is_treated(&self, target: &TargetId) -> bool {
        let treats = |one: &Operation| one.is_remedy() && one.is_running();
        self.operations.iter().any(|one| treats(one) && self.are_kin(&one.target, target))
    }

    /// The same target, or a service and the container that it lives in.
    fn are_kin(&self, a: &TargetId, b: &TargetId) -> bool {
        a == b || self.container_in(a) == self.container_in(b)
    }

    /// The container that a remedy of this target acts on; for others the target itself.
    pub(crate) fn container_in(&self, id: &TargetId) -> TargetId {
        match self.patients.get(id).map(|patient| &patient.spec.care) {
            Some(Care::Service { container: Some(name), .. }) => TargetId::Container(name.clone()),
            Some(
                Care::Service { container: None, .. }
                | Care::Host
                | Care::Docker
                | Care::Ollama { .. }
                | Care::Mlx { .. }
                | Care::Container { .. },
            )
            | None => id.clone(),
        }
    }

    fn enter_recovering(&mut self, operation: &OperationId, target: &TargetId, verb: Verb) {
        let now = self.now;
        let attempt =
            self.operations.iter().find(|one| one.id == *operation).map_or(0, |one| one.attempt);
        let attempts = self.policy.attempts;
        let incarnation = self.incarnation_of(target).unwrap_or_default();
        let Some(patient) = self.patients.get_mut(target) else { return };
        let act = Act { operation: operation.clone(), incarnation, verb, at: now.wall };
        patient.account.act = Some(act);
        let cause = patient.phase.cause().cloned();
        let reason = Reason::new("R46", "why.treating");
        let operation = operation.clone();
        patient.enter(Phase::Recovering { cause, operation }, reason, now);
        self.incident_state(target, IncidentState::Healing, None);
        self.bump_attempts(target);
        let key = match verb {
            Verb::Restart => "story.restart",
            Verb::Stop => "story.stop",
            Verb::Unload => "story.unstick",
            Verb::Start
            | Verb::Check
            | Verb::Measure
            | Verb::Ensure
            | Verb::Verify
            | Verb::Repair
            | Verb::Raise => "story.start",
        };
        match verb {
            Verb::Restart => self.treats_victim(target, "story.storm_restart"),
            Verb::Start => self.treats_victim(target, "story.storm_start"),
            Verb::Stop
            | Verb::Check
            | Verb::Unload
            | Verb::Measure
            | Verb::Ensure
            | Verb::Verify
            | Verb::Repair
            | Verb::Raise => {}
        }
        let says = Sentence::new(key).with("attempt", attempt.max(1)).with("of", attempts);
        self.tell_story(target, StoryKind::Done, says);
    }

    /// The step after the last one: written down first, then ordered.
    fn proceed(&mut self, id: &OperationId, last: Option<(&Step, &Outcome)>) {
        let Some(at) = self.operations.iter().position(|one| one.id == *id) else { return };
        let unstuck = self.operations[at].plan.unsticks();
        let next = self.operations[at].plan.next(last);
        if unstuck && !self.operations[at].plan.unsticks() {
            self.goes_on_to_restart(at);
        }
        match next {
            Next::Step(step, within) => {
                self.operations[at].steps.push(step.clone());
                let entry = Entry::Remedy(self.remedy_record(at, None));
                let record = self.record(Some(entry));
                let deadline = self.now.awake + RECORD_WITHIN;
                self.operations[at].stage = Stage::Writing { record, step, within, deadline };
            }
            Next::Verify => self.begin_verifying(at),
            Next::Finished => self.end(id, RemedyResult::Verified, None, false),
            Next::Failed { says, permanent } => {
                self.end(id, RemedyResult::Failed, Some(says), permanent);
            }
            Next::Superseded { says } => {
                let says = self.as_asked(at, says);
                self.end(id, RemedyResult::Superseded, Some(says), false);
            }
        }
    }

    /// What a person has started may never have been away; their start has ended a hold (R37).
    fn as_asked(&self, at: usize, says: Sentence) -> Sentence {
        let operation = &self.operations[at];
        let by_a_person = operation.by == Asker::Person && operation.verb == Verb::Start;
        if by_a_person && says.key == "step.came_back" {
            return Sentence::new("step.runs_already");
        }
        says
    }

    /// The record of the next step is settled: do it, unless the world has changed since.
    pub(crate) fn written(&mut self, record: RecordId) {
        let waiting = self.operations.iter().position(
            |one| matches!(one.stage, Stage::Writing { record: waits, .. } if waits == record),
        );
        let Some(at) = waiting else { return };
        let operation = &self.operations[at];
        let Stage::Writing { step, within, .. } = operation.stage.clone() else { return };
        let (id, target) = (operation.id.clone(), operation.target.clone());
        if step.effect() == Effect::Interrupts && self.recording_fails {
            // Fault 52: one act at most goes unrecorded, with all its steps.
            if self.unrecorded_act.as_ref().is_some_and(|act| *act != id) {
                let says = Sentence::new("step.cannot_record");
                self.end(&id, RemedyResult::Failed, Some(says), false);
                return;
            }
            self.unrecorded_act = Some(id.clone());
        }
        if matches!(step, Step::StopContainer { .. } | Step::ComposeUp(_)) {
            let until = self.now.awake + within + STOP_ECHO;
            let container = self.container_in(&target);
            let of = self.incarnation_of(&container).unwrap_or_default();
            if let Some(patient) = self.patients.get_mut(&container) {
                let news = &mut patient.facts.container_news;
                if matches!(step, Step::ComposeUp(_)) {
                    news.expect_compose(of, until);
                } else {
                    news.expect_own_stop(of, until);
                }
            }
        }
        let operation = &mut self.operations[at];
        operation.number += 1;
        let number = operation.number;
        operation.stage =
            Stage::Acting { step: step.clone(), deadline: self.now.awake + within + REPORT_MARGIN };
        let step_id = StepId { operation: id, number };
        self.orders.push(Order::Treat(Treatment { step: step_id, target, what: step, within }));
    }

    pub(crate) fn treated(&mut self, step: &StepId, outcome: &Outcome) {
        let now = self.now;
        let found = self
            .operations
            .iter()
            .position(|one| one.id == step.operation && one.number == step.number);
        let Some(at) = found else { return };
        let Stage::Acting { step, .. } = self.operations[at].stage.clone() else { return };
        let (id, target) = (self.operations[at].id.clone(), self.operations[at].target.clone());
        let outcome = &self.own_copies(&target, outcome);
        let says = describe(&step, outcome);
        self.operations[at].say(now.wall, says.clone());
        self.operations[at].progress = None;
        let raises = matches!(step, Step::RaiseLimit { .. });
        if raises || self.operations[at].is_remedy() && step.effect() != Effect::Looks {
            self.tell_story(&target, StoryKind::Done, says);
        }
        match outcome {
            Outcome::Listening(Listener::Process(process)) => {
                self.operations[at].before = Some(incarnation(process));
            }
            Outcome::Started { process: Some(process) } => {
                if let Some(patient) = self.patients.get_mut(&target) {
                    patient.trust(process);
                    patient.started = Some(process.clone());
                }
            }
            Outcome::Measured(timing) => {
                let done = self.operations[at].steps.len();
                self.operations[at].progress = Some(Progress {
                    done: u64::try_from(done.div_ceil(2)).unwrap_or(0),
                    of: u64::try_from(done / 2 + self.operations[at].plan.left()).unwrap_or(0),
                    about: timing.model.clone(),
                });
                self.record(Some(Entry::Timing((**timing).clone())));
                self.note_speed(timing);
            }
            Outcome::Listening(_)
            | Outcome::Found(_)
            | Outcome::Started { process: None }
            | Outcome::Unloaded(_)
            | Outcome::Installed(_)
            | Outcome::Proven(_)
            | Outcome::ModelsRead(_)
            | Outcome::Removed { .. }
            | Outcome::Raised(_)
            | Outcome::Done
            | Outcome::Gone
            | Outcome::StillThere
            | Outcome::Failed { .. } => {}
            Outcome::IdentityChanged => {
                let container = self.container_in(&target);
                if let Some(patient) = self.patients.get_mut(&container) {
                    patient.facts.container_news.expect_no_stop();
                }
            }
        }
        if matches!(step, Step::ComposeUp(_))
            && let Some(patient) = self.patients.get_mut(&target)
        {
            // What Compose ended is told by now.
            patient.facts.container_news.expect_no_stop_after(now.awake + COMPOSE_ECHO);
        }
        if matches!((&step, outcome), (Step::StopContainer { .. }, Outcome::Done | Outcome::Gone))
            && let Some(patient) = self.patients.get_mut(&target)
            && let Some(act) = patient.account.act.as_mut().filter(|act| act.verb == Verb::Restart)
        {
            // Its stop is over: should we end now, a stop that is told of is not ours (R33).
            act.verb = Verb::Start;
        }
        self.proceed(&id, Some((&step, outcome)));
    }

    /// Of what is named like the server only what is this very server counts.
    fn own_copies(&self, target: &TargetId, outcome: &Outcome) -> Outcome {
        match (outcome, self.patients.get(target)) {
            (Outcome::Found(found), Some(patient)) => {
                let own = found.iter().filter(|one| diagnosis::is_copy(patient, one));
                Outcome::Found(own.cloned().collect())
            }
            (outcome, _) => outcome.clone(),
        }
    }

    pub(crate) fn progressed(&mut self, step: &StepId, progress: Progress) {
        let found = self
            .operations
            .iter_mut()
            .find(|one| one.id == step.operation && one.number == step.number);
        if let Some(operation) = found {
            operation.progress = Some(progress);
        }
    }

    /// R33: Compose 1 gives no sign before it stops: from now on a stop is ours.
    pub(crate) fn stops_first(&mut self, step: &StepId) {
        let found = self.operations.iter().find(|one| {
            one.id == step.operation
                && one.number == step.number
                && matches!(one.stage, Stage::Acting { step: Step::ComposeUp(_), .. })
        });
        let Some(target) = found.map(|one| self.container_in(&one.target)) else { return };
        if let Some(patient) = self.patients.get_mut(&target) {
            patient.facts.container_news.expect_stop_first();
        }
    }

    /// What only time brings about in operations.
    pub(crate) fn advance_operations(&mut self) {
        if self.operations.is_empty() {
            return;
        }
        let now = self.now.awake;
        let ids: Vec<OperationId> = self.operations.iter().map(|one| one.id.clone()).collect();
        for id in ids {
            let Some(at) = self.operations.iter().position(|one| one.id == id) else { continue };
            match self.operations[at].stage {
                Stage::Acting { deadline, .. } if now >= deadline => {
                    let says = Sentence::new("step.no_report");
                    self.end(&id, RemedyResult::Failed, Some(says), false);
                }
                Stage::Writing { record, deadline, .. } if now >= deadline => {
                    self.record_failed(record, "no answer");
                }
                Stage::Verifying(_) => self.advance_verification(at),
                Stage::Acting { .. } | Stage::Queued | Stage::Writing { .. } | Stage::Ended => {}
            }
        }
        self.retire();
    }

    /// Ends whatever is under way on this target, or through it: a person took over.
    pub(crate) fn supersede(&mut self, target: &TargetId, key: &str) {
        let running: Vec<OperationId> = self
            .operations
            .iter()
            .filter(|one| one.is_remedy() && one.is_running() && self.are_kin(&one.target, target))
            .map(|one| one.id.clone())
            .collect();
        for id in running {
            self.end(&id, RemedyResult::Superseded, Some(Sentence::new(key)), false);
        }
    }

    /// R42: what has not begun to act when the machine falls asleep is thought over again.
    pub(crate) fn supersede_idle(&mut self) {
        let idle: Vec<OperationId> = self
            .operations
            .iter()
            .filter(|one| one.is_remedy() && one.is_running() && one.by == Asker::Doctor)
            .filter(|one| one.number == 0)
            .map(|one| one.id.clone())
            .collect();
        for id in idle {
            let says = Sentence::new("step.woke");
            self.end(&id, RemedyResult::Superseded, Some(says), false);
        }
        // What a person asked for, save a stop, waits until the machine has woken.
        for one in &mut self.operations {
            let waits = one.is_remedy() && one.verb != Verb::Stop && one.number == 0;
            if waits && matches!(one.stage, Stage::Writing { .. }) {
                one.stage = Stage::Queued;
                one.steps.clear();
            }
        }
    }

    pub(crate) fn remedy_record(&self, at: usize, says: Option<Sentence>) -> RemedyRecord {
        let operation = &self.operations[at];
        RemedyRecord {
            operation: operation.id.clone(),
            attempt: operation.attempt,
            incident: operation.incident.clone(),
            target: operation.target.clone(),
            verb: operation.verb,
            by: operation.by,
            began: operation.began.wall,
            ended: operation.result.map(|_| self.now.wall),
            result: operation.result,
            steps: operation.steps.clone(),
            says,
        }
    }
}
