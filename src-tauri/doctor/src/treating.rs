//! Treating: whether to act, and one operation from its first step to its proof.

use std::time::Duration;

use crate::cause::{Cause, CauseId, Confidence};
use crate::clock::millis;
use crate::diagnosis;
use crate::doctor::Doctor;
use crate::event::{Asker, Progress};
use crate::host::Strain;
use crate::incident::{
    IncidentState, RemedyRecord, RemedyResult, RestartRecord, RestartedBy, StoryKind, Verb,
};
use crate::ledger::{Act, GivenUp, Intent, Restart};
use crate::looking::incarnation;
use crate::observation::{Installed, Listener};
use crate::operation::{Operation, Stage, Verification};
use crate::order::{Depth, Entry, OperationId, Order, RecordId};
use crate::patient::Patient;
use crate::phase::{Phase, Reason};
use crate::remedy::{
    ContainerPlan, Lever, Next, Outcome, Plan, ServerPlan, Step, StepId, StopPlan, Treatment,
};
use crate::sentence::{Sentence, Value};
use crate::target::{Care, Heal, Launch, TargetId};
use crate::verdict::Verdict;

const START_WITHIN: Duration = Duration::from_secs(20);
/// The engine keeps its deadlines; this much later we no longer believe that it will report.
const REPORT_MARGIN: Duration = Duration::from_secs(10);

impl Doctor {
    /// Confirmed: it is down. The remedy, if there is one, is considered right after.
    pub(crate) fn down(&mut self, id: &TargetId) {
        let now = self.now;
        let Some(patient) = self.patients.get(id) else { return };
        let cause = diagnosis::diagnose(patient, now, &self.policy);
        let since = patient.first_bad.map_or(now.awake, |first| first.awake);
        let not_before = now.awake + self.wait_for_others(patient);
        self.open_incident(id, cause.clone(), since);
        if matches!(cause.id, CauseId::ContainerOomLimit | CauseId::DockerVmOom) {
            self.note_oom(id);
            self.tell_oom(id, &cause);
        }
        let Some(patient) = self.patients.get_mut(id) else { return };
        let reason = Reason::new("R11", "why.down");
        patient.enter(Phase::Down { cause: cause.clone(), not_before }, reason, now);
        if is_never_retried(cause.id) {
            self.give_up(id, cause, true);
        }
        self.inhibit_children(id);
    }

    /// R29: one owner per kind of failure. Another supervisor gets its time first.
    fn wait_for_others(&self, patient: &Patient) -> Duration {
        match (&patient.spec.care, lever(patient)) {
            (_, Some(Ok(Lever::App(_) | Lever::Launchd(_)))) => self.policy.supervisor,
            (Care::Container { .. }, _) => match &patient.facts.container {
                Some(seen) if Self::docker_may_restart(seen) => self.policy.docker_policy,
                Some(_) | None => Duration::ZERO,
            },
            (
                Care::Host
                | Care::Docker
                | Care::Ollama { .. }
                | Care::Mlx { .. }
                | Care::Service { .. },
                _,
            ) => Duration::ZERO,
        }
    }

    /// Unwell in a way that no restart cures.
    pub(crate) fn ailing(&mut self, id: &TargetId) {
        let now = self.now;
        let Some(patient) = self.patients.get(id) else { return };
        match patient.phase {
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. } => {}
            Phase::Down { .. } | Phase::Recovering { .. } | Phase::GivenUp { .. } => return,
        }
        let cause = diagnosis::diagnose(patient, now, &self.policy);
        let since = patient.first_bad.map_or(now.awake, |first| first.awake);
        if matches!(
            cause.id,
            CauseId::ContainerStopped | CauseId::ContainerKilled | CauseId::ContainerOomLimit
        ) {
            // Docker restarts it right now; its end is judged when it stays ended.
            let cause = None;
            let reason = Reason::new("R29", "why.docker_restarts");
            if let Some(patient) = self.patients.get_mut(id) {
                patient.enter(Phase::Degraded { cause }, reason, now);
            }
            return;
        }
        self.open_incident(id, cause.clone(), since);
        let Some(patient) = self.patients.get_mut(id) else { return };
        let reason = Reason::new("R8", "why.ailing");
        patient.enter(Phase::Degraded { cause: Some(cause.clone()) }, reason, now);
        if is_never_retried(cause.id) {
            self.give_up(id, cause, true);
        }
    }

    pub(crate) fn give_up(&mut self, id: &TargetId, cause: Cause, permanent: bool) {
        let (now, first, cap) = (self.now, self.policy.trial, self.policy.trial_cap);
        let Some(patient) = self.patients.get_mut(id) else { return };
        let trials = patient.account.given_up.map_or(0, |given_up| given_up.trials);
        let wait = (first * 2u32.saturating_pow(trials.min(8))).min(cap);
        let trial = (!permanent).then_some(now.continuous + wait);
        patient.account.given_up = Some(GivenUp { trials, trial });
        let reason = if permanent {
            Reason::new("R31", "why.cannot_be_cured")
        } else {
            Reason::says("R25", Sentence::new("why.given_up").with("wait", wait))
        };
        patient.enter(Phase::GivenUp { cause, trial }, reason, now);
        self.incident_state(id, IncidentState::GivenUp, Some("story.given_up"));
        self.tell_needs_you(id);
    }

    pub(crate) fn consider_all(&mut self) {
        let ids: Vec<TargetId> = self.patients.keys().cloned().collect();
        for id in ids {
            self.consider(&id);
        }
    }

    /// Whether to act now; if not, why not is written where a person can read it.
    fn consider(&mut self, id: &TargetId) {
        let Some(patient) = self.patients.get(id) else { return };
        let is_trial = match &patient.phase {
            Phase::Down { .. } => false,
            Phase::GivenUp { trial: Some(trial), .. } if self.now.continuous >= *trial => true,
            Phase::GivenUp { .. } if patient.urged => true,
            Phase::GivenUp { .. }
            | Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. }
            | Phase::Recovering { .. } => return,
        };
        match self.decide(patient) {
            Ok((verb, plan)) => self.begin(id, verb, plan, is_trial),
            Err(Refusal::Wait(reason)) => {
                if let Some(patient) = self.patients.get_mut(id) {
                    patient.reason = reason;
                }
            }
            Err(Refusal::Observe(verb)) => self.would_have(id, verb),
            Err(Refusal::Hopeless) => {
                let cause = patient.phase.cause().cloned();
                if let (Some(cause), false) = (cause, is_trial) {
                    let permanent =
                        matches!(cause.id, CauseId::ContainerOomLimit | CauseId::DockerVmOom);
                    self.give_up(id, cause, permanent);
                }
            }
        }
    }

    fn decide(&self, patient: &Patient) -> Result<(Verb, Plan), Refusal> {
        let wait = |rule, key| Err(Refusal::Wait(Reason::new(rule, key)));
        let account = &patient.account;
        let Some(cause) = patient.phase.cause() else { return wait("1.2", "why.no_cause") };
        if account.intent != Intent::Wanted {
            return wait("R34", "why.held");
        }
        if patient.inhibited_by.is_some() {
            return wait("R15", "why.parent_unwell");
        }
        if let Some(until) = self.hold_until
            && !patient.urged
        {
            let mut reason = Reason::new("R42", "why.waking");
            reason.next = Some(until);
            return Err(Refusal::Wait(reason));
        }
        let (verb, plan) = match self.plan(patient) {
            Ok(planned) => planned,
            Err(says) => return Err(Refusal::Wait(Reason::says("R60", says))),
        };
        let disruptive = verb == Verb::Restart;
        if disruptive && cause.confidence == Confidence::Possible && !patient.urged {
            return wait("R62", "why.only_possible");
        }
        if !patient.urged {
            match patient.spec.heal {
                Heal::Auto => {}
                Heal::Ask => return wait("R60", "why.ask"),
                Heal::Observe => return Err(Refusal::Observe(verb)),
            }
        }
        if disruptive && self.memory_is_critical() && !patient.urged {
            return wait("R19", "why.memory_critical");
        }
        if disruptive && self.recording_fails && self.unrecorded_acts > 0 {
            return wait("R33", "why.cannot_record");
        }
        if !patient.urged {
            let oom = matches!(cause.id, CauseId::ContainerOomLimit | CauseId::DockerVmOom);
            if oom && account.ooms.len() >= 2 {
                return Err(Refusal::Hopeless);
            }
            if account.attempts >= self.policy.attempts && account.given_up.is_none() {
                return Err(Refusal::Hopeless);
            }
            let automatic = account.restarts.iter().filter(|restart| restart.automatic).count();
            if automatic >= self.policy.restarts_limit {
                return Err(Refusal::Hopeless);
            }
            if let Phase::Down { not_before, .. } = patient.phase
                && self.now.awake < not_before
            {
                let key = if account.attempts > 0 { "why.backoff" } else { "why.supervisor" };
                let rule = if account.attempts > 0 { "R26" } else { "R29" };
                let mut reason = Reason::new(rule, key);
                reason.next = Some(not_before);
                return Err(Refusal::Wait(reason));
            }
        }
        if self.running_remedy().is_some() {
            return wait("R20", "why.one_at_a_time");
        }
        Ok((verb, plan))
    }

    fn memory_is_critical(&self) -> bool {
        self.patients
            .get(&TargetId::Host)
            .is_some_and(|host| host.facts.pressure.verdict == Strain::Critical)
    }

    /// The remedy for what this target has, or why there is none.
    fn plan(&self, patient: &Patient) -> Result<(Verb, Plan), Sentence> {
        let none = || Sentence::new("why.no_remedy");
        let Some(cause) = patient.phase.cause() else { return Err(none()) };
        match &patient.spec.care {
            Care::Ollama { .. } | Care::Mlx { .. } => {
                let stops = match cause.id {
                    CauseId::OllamaWedged | CauseId::MlxWedged | CauseId::MlxGenerationDead => true,
                    CauseId::OllamaNotRunning | CauseId::OllamaOnlyMcp | CauseId::MlxNotRunning => {
                        false
                    }
                    _ => return Err(none()),
                };
                let verb = if stops { Verb::Restart } else { Verb::Start };
                Ok((verb, self.server_plan(patient, stops)?))
            }
            Care::Container { critical: true, .. } => match cause.id {
                CauseId::ContainerStopped
                | CauseId::ContainerKilled
                | CauseId::ContainerOomLimit
                | CauseId::DockerVmOom => {
                    let plan = container_plan(patient, false, true).ok_or_else(none)?;
                    Ok((Verb::Start, plan))
                }
                _ => Err(none()),
            },
            Care::Container { critical: false, .. } => Err(Sentence::new("why.not_critical")),
            Care::Service { container: Some(name), .. } => {
                self.service_plan(patient, cause.id, name)
            }
            Care::Service { container: None, .. } => Err(Sentence::new("why.no_container")),
            Care::Docker => Err(Sentence::new("why.docker_consent")),
            Care::Host => Err(none()),
        }
    }

    /// A service that no longer answers, in a container that runs: the container is restarted,
    /// unless what it needs is itself unwell (R16).
    fn service_plan(
        &self,
        patient: &Patient,
        cause: CauseId,
        name: &str,
    ) -> Result<(Verb, Plan), Sentence> {
        match cause {
            CauseId::ServiceRefused | CauseId::ServiceTimeout | CauseId::ServiceEmptyReply => {}
            _ => return Err(Sentence::new("why.no_remedy")),
        }
        let sick = patient.spec.needs.iter().find(|need| {
            self.patients.get(need).is_some_and(|need| need.is_found() && !need.phase.is_usable())
        });
        if let Some(sick) = sick {
            return Err(Sentence::new("why.soft_parent").with("parent", sick.to_string()));
        }
        let container = self
            .patients
            .get(&TargetId::Container(name.into()))
            .filter(|container| container.account.intent == Intent::Wanted)
            .ok_or_else(|| Sentence::new("why.no_such_container"))?;
        let plan = container_plan(container, true, true)
            .ok_or_else(|| Sentence::new("why.no_such_container"))?;
        Ok((Verb::Restart, plan))
    }

    pub(crate) fn server_plan(&self, patient: &Patient, stops: bool) -> Result<Plan, Sentence> {
        let start = match lever(patient) {
            Some(Ok(lever)) => Some(lever),
            Some(Err(says)) => return Err(says),
            None => return Err(Sentence::new("why.no_launch")),
        };
        Ok(Plan::Server(ServerPlan {
            stop: stops.then(|| self.stop_plan(patient)),
            start,
            killed: false,
            start_within: START_WITHIN,
        }))
    }

    /// Only the process that was judged sick may be stopped, by its identity (R4).
    pub(crate) fn stop_plan(&self, patient: &Patient) -> StopPlan {
        let allowed = match patient.listener() {
            Listener::Process(process) if diagnosis::is_own_server(patient, process) => {
                vec![process.id.clone()]
            }
            Listener::Process(_) | Listener::Nobody | Listener::Hidden | Listener::NotAsked => {
                Vec::new()
            }
        };
        let patience = match patient.spec.care {
            Care::Mlx { .. } => self.policy.patience_mlx,
            Care::Host
            | Care::Docker
            | Care::Ollama { .. }
            | Care::Container { .. }
            | Care::Service { .. } => self.policy.patience_ollama,
        };
        StopPlan { allowed, patience, patience_kill: self.policy.patience_kill }
    }

    /// R60: in `observe` it is written down what would have been done, once per episode.
    fn would_have(&mut self, id: &TargetId, verb: Verb) {
        let says = Sentence::new("story.would_have").with("verb", verb_word(verb));
        if let Some(patient) = self.patients.get_mut(id) {
            patient.reason = Reason::new("R60", "why.observe");
            if std::mem::replace(&mut patient.observed_only, true) {
                return;
            }
        }
        self.tell_story(id, StoryKind::Concluded, says);
    }

    /// An automatic remedy.
    fn begin(&mut self, id: &TargetId, verb: Verb, plan: Plan, is_trial: bool) {
        let Some(patient) = self.patients.get_mut(id) else { return };
        let by = if std::mem::take(&mut patient.urged) { Asker::Person } else { Asker::Doctor };
        if is_trial {
            if let Some(given_up) = &mut patient.account.given_up {
                given_up.trials += 1;
            }
        } else {
            patient.account.attempts += 1;
        }
        let attempt = patient.account.attempts;
        let operation = self.new_operation(id, verb, by, plan);
        if let Some(one) = self.operations.iter_mut().find(|one| one.id == operation) {
            one.attempt = attempt;
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
        let patient = self.patients.get(id);
        let incident = patient
            .and_then(|patient| patient.incident.as_ref())
            .filter(|incident| incident.closed.is_none())
            .map(|incident| incident.id.clone());
        self.operations.push(Operation {
            id: operation.clone(),
            target: id.clone(),
            verb,
            by,
            incident,
            attempt: 0,
            result: None,
            log: Vec::new(),
            progress: None,
            began: self.now,
            before: patient.and_then(|patient| patient.incarnation.clone()),
            plan,
            stage: Stage::Queued,
            steps: Vec::new(),
            number: 0,
        });
        operation
    }

    /// R20: one remedy at a time on the whole host, and one errand beside it.
    pub(crate) fn begin_queued(&mut self) {
        loop {
            let remedy_free = self.running_remedy().is_none();
            let errand = |one: &Operation| matches!(one.verb, Verb::Unload | Verb::Measure);
            let errand_free = !self.operations.iter().any(|one| errand(one) && one.is_under_way());
            let next = self.operations.iter().position(|one| {
                matches!(one.stage, Stage::Queued)
                    && if one.is_remedy() { remedy_free } else { !errand(one) || errand_free }
            });
            let Some(at) = next else { return };
            let operation = &mut self.operations[at];
            let (id, target, verb) =
                (operation.id.clone(), operation.target.clone(), operation.verb);
            if operation.is_remedy() {
                self.enter_recovering(&id, &target, verb);
            }
            self.proceed(&id, None);
        }
    }

    fn enter_recovering(&mut self, operation: &OperationId, target: &TargetId, verb: Verb) {
        let now = self.now;
        let key = format!("story.{}", verb_word(verb));
        let attempt =
            self.operations.iter().find(|one| one.id == *operation).map_or(0, |one| one.attempt);
        let attempts = self.policy.attempts;
        let Some(patient) = self.patients.get_mut(target) else { return };
        patient.account.act = Some(Act {
            operation: operation.clone(),
            incarnation: patient.incarnation.clone().unwrap_or_default(),
            verb,
            at: now.wall,
        });
        let cause = patient.phase.cause().cloned();
        let reason = Reason::says("R46", Sentence::new("why.treating"));
        let operation = operation.clone();
        patient.enter(Phase::Recovering { cause, operation }, reason, now);
        self.incident_state(target, IncidentState::Healing, None);
        self.bump_attempts(target);
        let says = Sentence::new(key).with("attempt", attempt.max(1)).with("of", attempts);
        self.tell_story(target, StoryKind::Done, says);
    }

    /// The step after the last one: written down first, then ordered.
    fn proceed(&mut self, id: &OperationId, last: Option<(&Step, &Outcome)>) {
        let Some(at) = self.operations.iter().position(|one| one.id == *id) else { return };
        let next = self.operations[at].plan.next(last);
        match next {
            Next::Step(step, within) => {
                self.operations[at].steps.push(step.clone());
                let entry = Entry::Remedy(self.remedy_record(at, None));
                let record = self.record(Some(entry));
                self.operations[at].stage = Stage::Writing { record, step, within };
            }
            Next::Verify => self.begin_verifying(at),
            Next::Finished => self.end(id, RemedyResult::Verified, None, false),
            Next::Failed { says, permanent } => {
                self.end(id, RemedyResult::Failed, Some(says), permanent);
            }
            Next::Superseded { says } => {
                self.end(id, RemedyResult::Superseded, Some(says), false);
            }
        }
    }

    /// The record of the next step is settled: do it, unless the world has changed since.
    pub(crate) fn written(&mut self, record: RecordId) {
        let waiting = self.operations.iter().position(
            |one| matches!(one.stage, Stage::Writing { record: waits, .. } if waits == record),
        );
        let Some(at) = waiting else { return };
        let operation = &self.operations[at];
        let Stage::Writing { step, within, .. } = operation.stage.clone() else { return };
        let id = operation.id.clone();
        if step.is_disruptive() && self.recording_fails {
            if self.unrecorded_acts > 0 {
                let says = Sentence::new("step.cannot_record");
                self.end(&id, RemedyResult::Failed, Some(says), false);
                return;
            }
            self.unrecorded_acts += 1;
        }
        let operation = &mut self.operations[at];
        operation.number += 1;
        let treatment = Treatment {
            step: StepId { operation: id, number: operation.number },
            target: operation.target.clone(),
            what: step.clone(),
            within,
        };
        operation.stage = Stage::Acting { step, deadline: self.now.awake + within + REPORT_MARGIN };
        self.orders.push(Order::Treat(treatment));
    }

    pub(crate) fn treated(&mut self, step: &StepId, outcome: Outcome) {
        let now = self.now;
        let found = self
            .operations
            .iter()
            .position(|one| one.id == step.operation && one.number == step.number);
        let Some(at) = found else { return };
        let Stage::Acting { step, .. } = self.operations[at].stage.clone() else { return };
        let (id, target) = (self.operations[at].id.clone(), self.operations[at].target.clone());
        let says = describe(&step, &outcome);
        self.operations[at].say(now.wall, says.clone());
        self.operations[at].progress = None;
        if self.operations[at].is_remedy() && !matches!(step, Step::FindListener) {
            self.tell_story(&target, StoryKind::Done, says);
        }
        match &outcome {
            Outcome::Listening(Listener::Process(process)) => {
                self.operations[at].before = Some(incarnation(process));
            }
            Outcome::Started { process: Some(process) } => {
                if let Some(patient) = self.patients.get_mut(&target) {
                    patient.trust(process);
                }
            }
            Outcome::Measured(timing) => {
                let done = self.operations[at].steps.len();
                self.operations[at].progress = Some(Progress {
                    done: u64::try_from(done / 2).unwrap_or(0),
                    of: 0,
                    about: timing.model.clone(),
                });
                self.record(Some(Entry::Timing((**timing).clone())));
            }
            Outcome::Listening(_)
            | Outcome::Started { process: None }
            | Outcome::Unloaded(_)
            | Outcome::Done
            | Outcome::Gone
            | Outcome::StillThere
            | Outcome::IdentityChanged
            | Outcome::Failed { .. } => {}
        }
        self.proceed(&id, Some((&step, &outcome)));
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

    // Verification (R46).

    fn begin_verifying(&mut self, at: usize) {
        let now = self.now;
        let operation = &mut self.operations[at];
        let (target, by) = (operation.target.clone(), operation.by);
        let grace = self
            .patients
            .get(&target)
            .map_or(Duration::ZERO, |patient| patient.spec.grace)
            .min(self.policy.grace_ceiling);
        operation.stage = Stage::Verifying(Verification {
            deadline: now.awake + grace,
            goods: 0,
            soak_until: None,
            last_look: false,
        });
        if !operation.is_remedy() {
            return;
        }
        let by = match by {
            Asker::Person | Asker::Agent => RestartedBy::Person,
            Asker::Doctor => RestartedBy::Us,
        };
        self.restarted(&target, by);
        if let Some(patient) = self.patients.get_mut(&target) {
            patient.forget_counts();
            patient.looking = None;
            let says = Sentence::new("why.verifying").with("grace", grace);
            patient.reason = Reason::says("R46", says);
            patient.reason.next = Some(now.awake + grace);
        }
        self.look_soon(&target, Depth::Full);
    }

    /// Takes the look if a remedy is under way here; false leaves it to the ordinary judgement.
    pub(crate) fn verify(&mut self, target: &TargetId, verdict: Verdict, depth: Depth) -> bool {
        let now = self.now;
        let found = self
            .operations
            .iter()
            .position(|one| one.is_remedy() && one.is_under_way() && one.target == *target);
        let Some(at) = found else { return false };
        let id = self.operations[at].id.clone();
        let replaced = self.is_replaced(target, self.operations[at].before.as_deref());
        let Stage::Verifying(verification) = &mut self.operations[at].stage else { return true };
        let soaking = verification.soak_until.is_some();
        match verdict {
            Verdict::Good { .. } if !soaking => {
                verification.goods = if replaced { verification.goods + 1 } else { 0 };
                if verification.goods >= self.policy.successes {
                    verification.soak_until = Some(now.awake + self.policy.soak);
                    self.answers_again(target);
                } else {
                    self.look_soon_verifying(target);
                }
            }
            Verdict::Good { .. } if verification.last_look && depth == Depth::Full => {
                self.end(&id, RemedyResult::Verified, None, false);
            }
            Verdict::Hard | Verdict::WrongOwner | Verdict::Misplaced if soaking => {
                let says = Sentence::new("step.failed_in_soak");
                self.end(&id, RemedyResult::Failed, Some(says), false);
            }
            Verdict::Good { .. } | Verdict::Nothing | Verdict::Busy | Verdict::Soft => {}
            Verdict::Hard | Verdict::WrongOwner | Verdict::Misplaced => {
                verification.goods = 0;
                self.look_soon_verifying(target);
            }
        }
        true
    }

    fn look_soon_verifying(&mut self, target: &TargetId) {
        let at = self.now.awake + self.policy.verify_every;
        if let Some(patient) = self.patients.get_mut(target) {
            patient.due = at;
            patient.depth = Depth::Full;
        }
    }

    /// R46 (1) and (2): another incarnation than before, and the port is its own.
    fn is_replaced(&self, target: &TargetId, before: Option<&str>) -> bool {
        let Some(patient) = self.patients.get(target) else { return false };
        match patient.spec.care {
            Care::Ollama { .. } | Care::Mlx { .. } => match patient.listener() {
                Listener::Process(process) => before != Some(incarnation(process).as_str()),
                Listener::Nobody => false,
                Listener::Hidden | Listener::NotAsked => before.is_none(),
            },
            Care::Container { .. } => patient.incarnation.as_deref() != before,
            Care::Host | Care::Docker | Care::Service { .. } => true,
        }
    }

    fn answers_again(&mut self, target: &TargetId) {
        let now = self.now;
        let soak = self.policy.soak;
        if let Some(patient) = self.patients.get_mut(target) {
            patient.last_good = Some(now);
            patient.account.seen_alive = true;
            patient.reason = Reason::says("R46", Sentence::new("why.soaking").with("soak", soak));
            patient.reason.next = Some(now.awake + soak);
            patient.due = now.awake + self.policy.retry;
            if let Some(incident) = &mut patient.incident
                && incident.closed.is_none()
            {
                incident.answering_after_ms = Some(millis(now.wall.since(incident.opened)));
            }
        }
        self.tell_story(target, StoryKind::Proven, Sentence::new("story.answers_again"));
        self.inhibit_children(target);
    }

    pub(crate) fn advance_operations(&mut self) {
        let now = self.now.awake;
        let ids: Vec<OperationId> = self.operations.iter().map(|one| one.id.clone()).collect();
        for id in ids {
            let Some(operation) = self.operations.iter_mut().find(|one| one.id == id) else {
                continue;
            };
            let (target, is_remedy) = (operation.target.clone(), operation.is_remedy());
            match &mut operation.stage {
                Stage::Acting { deadline, .. } if now >= *deadline => {
                    let says = Sentence::new("step.no_report");
                    self.end(&id, RemedyResult::Failed, Some(says), false);
                }
                Stage::Verifying(verification) if is_remedy => match verification.soak_until {
                    None if now >= verification.deadline => {
                        let says = Sentence::new("step.not_answering");
                        self.end(&id, RemedyResult::Failed, Some(says), false);
                    }
                    Some(until) if now >= until && !verification.last_look => {
                        verification.last_look = true;
                        self.look_soon(&target, Depth::Full);
                    }
                    // The last look itself never came, three looks long.
                    Some(until) if now >= until + 3 * self.policy.look_deadline => {
                        let says = Sentence::new("step.not_answering");
                        self.end(&id, RemedyResult::Failed, Some(says), false);
                    }
                    None | Some(_) => {}
                },
                Stage::Acting { .. }
                | Stage::Verifying(_)
                | Stage::Queued
                | Stage::Writing { .. }
                | Stage::Ended => {}
            }
        }
        self.retire();
    }

    /// Ends whatever is under way on this target: a person took over.
    pub(crate) fn supersede(&mut self, target: &TargetId, key: &str) {
        let running: Vec<OperationId> = self
            .operations
            .iter()
            .filter(|one| one.is_remedy() && one.is_running() && one.target == *target)
            .map(|one| one.id.clone())
            .collect();
        for id in running {
            self.end(&id, RemedyResult::Superseded, Some(Sentence::new(key)), false);
        }
    }

    /// One operation has ended, in exactly one way (P5).
    pub(crate) fn end(
        &mut self,
        id: &OperationId,
        result: RemedyResult,
        says: Option<Sentence>,
        permanent: bool,
    ) {
        let now = self.now;
        let Some(at) = self.operations.iter().position(|one| one.id == *id) else { return };
        if !self.operations[at].is_running() {
            return;
        }
        self.operations[at].result = Some(result);
        self.operations[at].stage = Stage::Ended;
        if let Some(says) = &says {
            self.operations[at].say(now.wall, says.clone());
        }
        let operation = &self.operations[at];
        let (target, verb, is_remedy) =
            (operation.target.clone(), operation.verb, operation.is_remedy());
        if verb != Verb::Check {
            let entry = Entry::Remedy(self.remedy_record(at, says.clone()));
            self.record(Some(entry));
        }
        if !is_remedy {
            self.look_soon(&target, Depth::Full);
            return;
        }
        if let Some(patient) = self.patients.get_mut(&target) {
            patient.account.act = None;
            patient.account.last_attempt = Some(now.continuous);
        }
        match result {
            RemedyResult::Verified => self.remedy_verified(&target, verb),
            RemedyResult::Failed => self.remedy_failed(&target, says, permanent),
            RemedyResult::Superseded => self.remedy_superseded(&target, says),
        }
        self.inhibit_children(&target);
    }

    fn remedy_verified(&mut self, target: &TargetId, verb: Verb) {
        let now = self.now;
        let Some(patient) = self.patients.get_mut(target) else { return };
        if verb == Verb::Stop {
            patient.enter(Phase::Unknown, Reason::new("R34", "why.held"), now);
            self.close_incident(target, IncidentState::Closed, Some("story.held"));
            self.look_soon(target, Depth::Full);
            return;
        }
        patient.forget_counts();
        patient.last_good = Some(now);
        patient.account.given_up = None;
        patient.observed_only = false;
        patient.enter(Phase::Healthy, Reason::new("R46", "why.verified"), now);
        self.close_incident(target, IncidentState::Verified, Some("story.verified"));
        self.inhibit_children(target);
    }

    fn remedy_failed(&mut self, target: &TargetId, says: Option<Sentence>, permanent: bool) {
        let now = self.now;
        if let Some(says) = says {
            self.tell_story(target, StoryKind::Failed, says);
        }
        let backoff = self.backoff(target);
        let Some(patient) = self.patients.get(target) else { return };
        let Phase::Recovering { cause, .. } = &patient.phase else { return };
        let cause = match cause {
            Some(cause) => cause.clone(),
            None => diagnosis::diagnose(patient, now, &self.policy),
        };
        if patient.incident.as_ref().is_none_or(|incident| incident.closed.is_some()) {
            self.open_incident(target, cause.clone(), now.awake);
        }
        self.incident_state(target, IncidentState::Open, None);
        let Some(patient) = self.patients.get_mut(target) else { return };
        patient.forget_counts();
        let spent = patient.account.attempts >= self.policy.attempts;
        let on_trial = patient.account.given_up.is_some();
        if permanent || spent || on_trial {
            self.give_up(target, cause, permanent);
            return;
        }
        let not_before = now.awake + backoff;
        let mut reason = Reason::new("R26", "why.backoff");
        reason.next = Some(not_before);
        patient.enter(Phase::Down { cause, not_before }, reason, now);
        self.look_soon(target, Depth::Full);
    }

    fn remedy_superseded(&mut self, target: &TargetId, says: Option<Sentence>) {
        let now = self.now;
        if let Some(says) = says {
            self.tell_story(target, StoryKind::Seen, says);
        }
        if let Some(patient) = self.patients.get_mut(target)
            && let Phase::Recovering { cause, .. } = &patient.phase
        {
            let cause = cause.clone();
            patient.forget_counts();
            patient.enter(Phase::Degraded { cause }, Reason::new("R20", "why.look_again"), now);
        }
        self.look_soon(target, Depth::Full);
    }

    /// R26: 20 s, 40 s, … up to 300 s, of which 50 to 100 %.
    fn backoff(&mut self, target: &TargetId) -> Duration {
        let attempts = self.patients.get(target).map_or(1, |patient| patient.account.attempts);
        let doubled = 2u32.saturating_pow(attempts.saturating_sub(1).min(8));
        let whole = (self.policy.backoff * doubled).min(self.policy.backoff_cap);
        let half = millis(whole) / 2;
        Duration::from_millis(half + self.dice(half + 1))
    }

    /// R28: every restart counts, whoever made it.
    pub(crate) fn restarted(&mut self, target: &TargetId, by: RestartedBy) {
        let now = self.now;
        let id = format!("r-{}", self.operation_id());
        let entry = RestartRecord { id, target: target.clone(), at: now.wall, by };
        let Some(patient) = self.patients.get_mut(target) else { return };
        let automatic = by == RestartedBy::Us;
        patient.account.restarts.push(Restart { at: now.continuous, automatic });
        let many = patient.account.restarts.len() > self.policy.restarts_alert;
        let tell = many && !std::mem::replace(&mut patient.account.rate_told, many);
        self.record(Some(Entry::Restart(entry)));
        if tell {
            self.tell_restart_rate(target);
        }
    }

    fn remedy_record(&self, at: usize, says: Option<Sentence>) -> RemedyRecord {
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

/// Why nothing is done.
enum Refusal {
    Wait(Reason),
    /// R60: only write down what would have been done.
    Observe(Verb),
    /// The budget is spent.
    Hopeless,
}

/// R31: no restart cures these; a person is told at once.
fn is_never_retried(id: CauseId) -> bool {
    matches!(
        id,
        CauseId::OllamaPortTaken
            | CauseId::MlxPortTaken
            | CauseId::OllamaNotInstalled
            | CauseId::ContainerCannotRun
            | CauseId::ContainerCrashLoop
    )
}

/// The way to start this server; `None`: nothing is configured, it is only watched.
pub(crate) fn lever(patient: &Patient) -> Option<Result<Lever, Sentence>> {
    let launch = match &patient.spec.care {
        Care::Ollama { launch, .. } => launch,
        Care::Mlx { launch } => launch.as_ref()?,
        Care::Host | Care::Docker | Care::Container { .. } | Care::Service { .. } => return None,
    };
    let installed = patient.facts.surroundings.clone().unwrap_or_default().installed;
    Some(choose(launch, &installed))
}

fn choose(launch: &Launch, installed: &Installed) -> Result<Lever, Sentence> {
    let serve = || match &installed.binary {
        Some(binary) => Ok(Lever::Command(vec![binary.clone(), "serve".into()])),
        None => Err(Sentence::new("why.no_binary")),
    };
    match launch {
        Launch::Command(command) => match &installed.missing_program {
            Some(program) => {
                Err(Sentence::new("why.missing_program").with("program", program.as_str()))
            }
            None => Ok(Lever::Command(command.clone())),
        },
        Launch::Launchd(label) => Ok(Lever::Launchd(label.clone())),
        Launch::App => Ok(Lever::App(
            installed.app.clone().unwrap_or_else(|| "/Applications/Ollama.app".into()),
        )),
        Launch::Brew => Ok(Lever::Launchd("homebrew.mxcl.ollama".into())),
        Launch::Serve => serve(),
        Launch::Auto => {
            if let Some(app) = &installed.app {
                return Ok(Lever::App(app.clone()));
            }
            if installed.brew_service.is_some() {
                return Ok(Lever::Launchd("homebrew.mxcl.ollama".into()));
            }
            match &installed.systemd_unit {
                // Another user's service: two supervisors on one port would fight (R29).
                Some(unit) => Err(Sentence::new("why.systemd").with("unit", unit.as_str())),
                None => serve(),
            }
        }
    }
}

pub(crate) fn container_plan(patient: &Patient, stop: bool, start: bool) -> Option<Plan> {
    let seen = patient.facts.container.as_ref()?;
    let configured = match &patient.spec.care {
        Care::Container { compose, .. } => compose.clone(),
        Care::Host
        | Care::Docker
        | Care::Ollama { .. }
        | Care::Mlx { .. }
        | Care::Service { .. } => None,
    };
    Some(Plan::Container(ContainerPlan {
        id: seen.id.clone(),
        started_ms: seen.started_ms,
        stop,
        start,
        compose: configured.or_else(|| seen.compose.clone()),
        stop_timeout: Duration::from_secs(seen.stop_timeout_s),
    }))
}

pub(crate) fn verb_word(verb: Verb) -> &'static str {
    match verb {
        Verb::Check => "check",
        Verb::Start => "start",
        Verb::Stop => "stop",
        Verb::Restart => "restart",
        Verb::Unload => "unload",
        Verb::Measure => "measure",
    }
}

/// One step and how it ended, as a line of the story.
fn describe(step: &Step, outcome: &Outcome) -> Sentence {
    if let Outcome::Failed { reason, .. } = outcome {
        return Sentence::new("step.failed").with("reason", reason.as_str());
    }
    let process = |key: &str, pid: u32| Sentence::new(key).with("pid", pid);
    match step {
        Step::FindListener => match outcome {
            Outcome::Listening(Listener::Process(found)) => {
                process("step.found", found.id.pid).with("program", found.id.program())
            }
            _ => Sentence::new("step.found_nobody"),
        },
        Step::Terminate(id) => process("step.terminated", id.pid),
        Step::Kill(id) => process("step.killed", id.pid),
        Step::AwaitGone(id) if *outcome == Outcome::Gone => process("step.gone", id.pid),
        Step::AwaitGone(id) => process("step.still_there", id.pid),
        Step::Start(lever) => {
            let what = match lever {
                Lever::Command(command) => command.first().cloned().unwrap_or_default(),
                Lever::Launchd(label) => label.clone(),
                Lever::App(app) => app.clone(),
            };
            let says = Sentence::new("step.started").with("what", what);
            match outcome {
                Outcome::Started { process: Some(id) } => says.with("pid", id.pid),
                _ => says.with("pid", "-"),
            }
        }
        Step::StartContainer { .. } => Sentence::new("step.container_started"),
        Step::ComposeUp(compose) => {
            Sentence::new("step.compose_up").with("service", compose.service.as_str())
        }
        Step::StopContainer { .. } => Sentence::new("step.container_stopped"),
        Step::Unload { models } => match outcome {
            Outcome::Unloaded(unloaded) => {
                let key =
                    if unloaded.left.is_empty() { "step.unloaded" } else { "step.unload_left" };
                Sentence::new(key)
                    .with("models", unloaded.models.join(", "))
                    .with("left", unloaded.left.join(", "))
                    .with("freed", Value::Bytes(unloaded.freed_bytes))
            }
            _ => Sentence::new("step.unload").with("models", models.join(", ")),
        },
        Step::Measure { model } => match outcome {
            Outcome::Measured(timing) => match (&timing.error, timing.tokens_per_s) {
                (Some(error), _) => Sentence::new("step.not_measured")
                    .with("model", model.as_str())
                    .with("reason", error.as_str()),
                (None, rate) => Sentence::new("step.measured")
                    .with("model", model.as_str())
                    .with("rate", format!("{:.1}", rate.unwrap_or_default())),
            },
            _ => Sentence::new("step.measure").with("model", model.as_str()),
        },
    }
}
