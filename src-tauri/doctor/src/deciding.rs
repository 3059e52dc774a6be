//! Deciding: what a confirmed failure means, and whether to act on it now (RECOVERY 1.2, 1.7).

use std::time::Duration;

use crate::cause::{Cause, CauseId, Confidence};
use crate::clock::Awake;
use crate::container;
use crate::doctor::Doctor;
use crate::giving_up::{is_known_loop, known_loop};
use crate::holding::held;
use crate::incident::{StoryKind, Verb};
use crate::ledger::{GivenUp, HeldBy, Intent};
use crate::lever::lever;
use crate::panics::panic_cause;
use crate::patient::Patient;
use crate::phase::{Phase, Reason};
use crate::plan::Plan;
use crate::sentence::Sentence;
use crate::target::{Care, Heal, TargetId};

/// Why nothing is done.
pub(crate) enum Refusal {
    Wait(Reason),
    /// R11: the last reading is too old to act upon.
    Confirm,
    /// R60: only write down what would have been done.
    Observe(Verb),
    /// The budget is spent.
    Hopeless,
}

impl Doctor {
    /// Confirmed: it is down. The remedy, if there is one, is considered right after.
    pub(crate) fn down(&mut self, id: &TargetId) {
        let now = self.now;
        let Some(patient) = self.patients.get_mut(id) else { return };
        patient.confirmed = Some(now.awake);
        if let Phase::GivenUp { .. } = patient.phase {
            return;
        }
        // Fault 54: without a ledger nobody knows whether a person stopped it. The engine is never
        // started by us, so there is nothing to hold.
        let ours = !matches!(patient.spec.care, Care::Docker);
        if ours && patient.account.doubtful && !patient.urged {
            patient.account.hold(HeldBy::LedgerLost, None, now.wall);
            patient.enter(Phase::Unknown, Reason::new("R35", "why.ledger_lost"), now);
            return;
        }
        let known = match patient.phase {
            Phase::Down { not_before, .. } => Some(not_before),
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. }
            | Phase::Recovering { .. }
            | Phase::GivenUp { .. } => None,
        };
        let Some(patient) = self.patients.get(id) else { return };
        let cause = self.conclude(patient);
        let cause = known_loop(patient, &cause).unwrap_or(cause);
        let since = patient.first_bad.map_or(now.awake, |first| first.awake);
        // R27: given up for good on something else, before the app was started anew: that world has
        // changed.
        let other = |given_up: &GivenUp| {
            given_up.trial.is_none()
                && given_up.cause.is_some_and(|known| known != cause.id)
                && !is_known_loop(given_up, &cause)
        };
        let restored = patient.account.given_up.filter(|given_up| !other(given_up));
        if cause.id == CauseId::MlxLoading && self.extend_start(id, &cause) {
            return;
        }
        let not_before = match known {
            Some(not_before) => not_before,
            None => now.awake + self.wait_for_others(id, &cause).max(self.rest(id)),
        };
        self.open_incident(id, cause.clone(), since);
        let of_memory = is_of_memory(cause.id);
        let told = self.patients.get(id).is_some_and(|patient| {
            patient.phase.cause().is_some_and(|before| before.id == cause.id)
        });
        // One end is counted once, however often it is judged; one in the soak is another (R46).
        if of_memory && self.is_another_end(id, told) {
            self.note_oom(id);
            self.tell_oom(id, &cause);
        }
        let Some(patient) = self.patients.get_mut(id) else { return };
        patient.account.given_up = restored;
        let mut reason = Reason::new("R11", "why.down");
        if not_before > now.awake {
            reason.next = Some(not_before);
        }
        patient.enter(Phase::Down { cause: cause.clone(), not_before }, reason, now);
        // A person may have mended what no restart cures: their word is worth one try (R22).
        let asked = patient.urged && matches!(patient.spec.care, Care::Container { .. });
        if self.is_never_retried(id, cause.id) && !asked {
            self.is_beyond_restarts(id, cause);
        } else if let Some(GivenUp { trial, .. }) = restored {
            // Given up before the app was started anew, and told then (R55).
            self.stay_given_up(id, cause, trial);
        }
        self.inhibit_children(id);
    }

    /// R13: once, to the ceiling, while its process is on its way.
    fn extend_start(&mut self, id: &TargetId, cause: &Cause) -> bool {
        let (now, ceiling) = (self.now, self.policy.grace_ceiling);
        let Some(patient) = self.patients.get_mut(id) else { return false };
        if std::mem::replace(&mut patient.extended, true) {
            return false;
        }
        let until = patient.first_bad.map_or(now.awake, |first| first.awake) + ceiling;
        patient.note = Some(cause.clone());
        let reason = Reason::new("R13", "why.still_loading").until(until);
        patient.enter(Phase::Starting { until }, reason, now);
        true
    }

    /// Where the engine does not tell when it ended, only another cause tells of another end.
    fn is_another_end(&mut self, id: &TargetId, told: bool) -> bool {
        let Some(patient) = self.patients.get_mut(id) else { return false };
        let seen = patient.facts.container.as_ref();
        let started_ms = seen.and_then(|seen| seen.started_ms);
        match seen.and_then(|seen| seen.finished_ms) {
            Some(end) => patient.account.is_another_oom(end, started_ms),
            None => !told,
        }
    }

    /// R29: one owner per kind of failure. Another supervisor gets its time first, unless the
    /// process is still there: then no supervisor will do anything.
    fn wait_for_others(&self, id: &TargetId, cause: &Cause) -> Duration {
        let Some(patient) = self.patients.get(id) else { return Duration::ZERO };
        match &patient.spec.care {
            Care::Ollama { .. } | Care::Mlx { .. } => {
                let supervised = matches!(lever(patient), Some(Ok(lever)) if lever.has_owner());
                if supervised && !is_there(cause.id) {
                    self.policy.supervisor
                } else {
                    Duration::ZERO
                }
            }
            Care::Container { .. } => match &patient.facts.container {
                Some(seen) if Self::docker_may_restart(seen) => self.policy.docker_policy,
                Some(_) | None => Duration::ZERO,
            },
            Care::Host | Care::Docker | Care::Service { .. } => Duration::ZERO,
        }
    }

    /// R26: what is left of the delay since the last attempt ended.
    fn rest(&mut self, id: &TargetId) -> Duration {
        let now = self.now.continuous;
        let account = self.patients.get(id).map(|patient| &patient.account);
        let last = account.filter(|account| account.attempts > 0).and_then(|one| one.last_attempt);
        match last {
            Some(last) => self.backoff(id).saturating_sub(now.since(last)),
            None => Duration::ZERO,
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
            | Phase::Degraded { .. }
            | Phase::Down { .. } => {}
            Phase::Recovering { .. } | Phase::GivenUp { .. } => return,
        }
        if let Some(until) = self.engine_starts_until(id) {
            self.engine_starts(id, until);
            self.inhibit_children(id);
            return;
        }
        let Some(patient) = self.patients.get(id) else { return };
        let mut cause = self.conclude(patient);
        if cause.id == CauseId::OllamaLeak && self.may_end_leak(patient) {
            self.down(id);
            return;
        }
        if patient.tally.is_mixed() {
            // In between it answers, which contradicts whatever the last fail looked like.
            cause.confidence = Confidence::Possible;
        }
        let since = patient.first_bad.map_or(now.awake, |first| first.awake);
        let loops = is_of_memory(cause.id) && self.is_never_retried(id, cause.id);
        if !loops
            && matches!(
                cause.id,
                CauseId::ContainerStopped
                    | CauseId::ContainerKilled
                    | CauseId::ContainerOomLimit
                    | CauseId::ContainerCannotRun
                    | CauseId::DockerVmOom
                    | CauseId::DockerMemoryTooSmall
            )
        {
            // Docker restarts it right now; its end is judged when it stays ended.
            let cause = None;
            let reason = Reason::new("R29", "why.docker_restarts");
            if let Some(patient) = self.patients.get_mut(id) {
                patient.enter(Phase::Degraded { cause }, reason, now);
            }
            return;
        }
        self.open_incident(id, cause.clone(), since);
        let works = self.works_inside(id);
        let Some(patient) = self.patients.get_mut(id) else { return };
        let waits = matches!(cause.id, CauseId::ContainerUnhealthy | CauseId::ContainerStartupHang)
            && matches!(patient.spec.care, Care::Container { critical: true, .. });
        let reason = if waits {
            // 1.2: unhealthy for 30 s is down, and then something is done.
            let since = patient.first_bad.map_or(now.awake, |first| first.awake);
            let down = since + self.policy.unhealthy;
            if works && now.awake >= down {
                Reason::new("R6", "why.works_inside")
            } else {
                Reason::new("1.2", "why.unhealthy").until(down)
            }
        } else {
            Reason::new("R8", "why.ailing")
        };
        patient.enter(Phase::Degraded { cause: Some(cause.clone()) }, reason, now);
        if self.is_never_retried(id, cause.id) {
            self.is_beyond_restarts(id, cause);
        }
    }

    pub(crate) fn consider_all(&mut self) {
        let due: Vec<TargetId> = self
            .patients
            .iter()
            .filter(|(_, patient)| self.may_be_due(patient))
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.consider(&id);
        }
    }

    /// Whether a remedy may be due: what is down, and what was given up and has its trial.
    pub(crate) fn may_be_due(&self, patient: &Patient) -> bool {
        match &patient.phase {
            Phase::Down { .. } => true,
            Phase::GivenUp { trial, .. } => {
                patient.urged || trial.is_some_and(|trial| self.now.continuous >= trial)
            }
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. }
            | Phase::Recovering { .. } => false,
        }
    }

    /// Whether to act now; if not, why not is written where a person can read it.
    fn consider(&mut self, id: &TargetId) {
        let Some(patient) = self.patients.get(id) else { return };
        let is_trial = matches!(patient.phase, Phase::GivenUp { .. });
        match self.decide(patient) {
            // What was seen since it was judged may have told another cause.
            Ok(_) if !is_trial && self.has_another_cause(id) => {
                self.down(id);
                if let Some(Ok((verb, plan))) = self.patients.get(id).map(|one| self.decide(one)) {
                    self.begin(id, verb, plan, false);
                }
            }
            Ok((verb, plan)) => self.begin(id, verb, plan, is_trial),
            Err(Refusal::Wait(reason)) => {
                if let Some(patient) = self.patients.get_mut(id) {
                    patient.reason = reason;
                }
            }
            Err(Refusal::Confirm) => {
                if let (true, Some(cause)) = (is_trial, self.incurable_by_now(id)) {
                    // A trial would be confirmed for ever: no look shows any more what it was for.
                    self.open_incident(id, cause.clone(), self.now.awake);
                    self.give_up(id, cause, true);
                    return;
                }
                if let Some(patient) = self.patients.get_mut(id) {
                    patient.reason = Reason::new("R11", "why.confirming");
                }
                self.confirm(id);
            }
            Err(Refusal::Observe(verb)) => self.would_have(id, verb),
            // What is being done for a sibling may cure it as well.
            Err(Refusal::Hopeless) if self.kin_is_treated(id) => {
                if let Some(patient) = self.patients.get_mut(id) {
                    patient.reason = Reason::new("R20", "why.one_at_a_time");
                }
            }
            Err(Refusal::Hopeless) => {
                let cause = patient.phase.cause().cloned();
                if let (Some(cause), false) = (cause, is_trial) {
                    let permanent = is_of_memory(cause.id);
                    self.give_up(id, cause, permanent);
                }
            }
        }
    }

    fn has_another_cause(&self, id: &TargetId) -> bool {
        self.patients.get(id).is_some_and(|patient| {
            let known = patient.phase.cause().map(|cause| cause.id);
            known != Some(self.conclude(patient).id)
        })
    }

    /// What was given up for one reason fails for another now, which no restart cures.
    fn incurable_by_now(&self, id: &TargetId) -> Option<Cause> {
        let cause = self.conclude(self.patients.get(id)?);
        (self.has_another_cause(id) && self.is_never_retried(id, cause.id)).then_some(cause)
    }

    /// What answers is asked what of it does not work; what fails, why.
    fn conclude(&self, patient: &Patient) -> Cause {
        if patient.account.is_locked(&self.policy) {
            return panic_cause(&patient.account);
        }
        // A dead generation beside a missing model is what it is down for.
        let answers = patient.tally.hard == 0
            && patient.tally.soft == 0
            && !patient.facts.insight.deep_failed();
        let impaired = if answers { self.impairment(&patient.spec.id) } else { None };
        impaired.unwrap_or_else(|| self.diagnose(patient))
    }

    pub(crate) fn decide(&self, patient: &Patient) -> Result<(Verb, Plan), Refusal> {
        let wait = |rule, key| Err(Refusal::Wait(Reason::new(rule, key)));
        let Some(cause) = patient.phase.cause() else { return wait("1.2", "why.no_cause") };
        if patient.account.intent != Intent::Wanted {
            let says = held(&patient.account, self.now);
            return Err(Refusal::Wait(Reason::says("R34", says)));
        }
        if patient.account.is_locked(&self.policy) {
            return wait("R32", "why.panic_locked");
        }
        if patient.inhibited_by.is_some() {
            return wait("R15", "why.parent_unwell");
        }
        // R42: not even a person's word counts while the machine is waking.
        if let Some(until) = self.hold_until {
            return Err(Refusal::Wait(Reason::new("R42", "why.waking").until(until)));
        }
        if self.running_on(&patient.spec.id).is_some() {
            return wait("R20", "why.under_way");
        }
        let (verb, plan) = self.plan(patient).map_err(Refusal::Wait)?;
        if patient.is_docker() {
            // Who asks that all be well does not ask that every container end.
            return wait("R60", "why.docker_consent");
        }
        if !patient.urged {
            self.may_act_unasked(patient, cause, verb)?;
        }
        if verb == Verb::Restart && self.recording_fails && self.unrecorded_act.is_some() {
            return wait("R33", "why.cannot_record");
        }
        if self.another_is_under_way(&patient.spec.id, verb) {
            return wait("R20", "why.one_at_a_time");
        }
        let fresh = |at: Option<Awake>| {
            at.is_some_and(|at| self.now.awake.since(at) <= self.policy.confirm_within)
        };
        let parents = self.parents_of(&patient.spec.id);
        let parents_fresh = parents
            .iter()
            .filter_map(|parent| self.patients.get(parent))
            .all(|parent| fresh(parent.last_look) || !Self::is_asked(parent));
        if fresh(patient.confirmed) && parents_fresh {
            Ok((verb, plan))
        } else {
            Err(Refusal::Confirm)
        }
    }

    /// What only holds for acts of our own accord; a person's word overrules it (R22).
    fn may_act_unasked(&self, patient: &Patient, cause: &Cause, verb: Verb) -> Result<(), Refusal> {
        let wait = |rule, key| Err(Refusal::Wait(Reason::new(rule, key)));
        let account = &patient.account;
        let disruptive = verb == Verb::Restart;
        if let Some(reason) = self.storm_brakes(patient).or_else(|| self.flapping_suspends(patient))
        {
            return Err(Refusal::Wait(reason));
        }
        if disruptive && cause.confidence == Confidence::Possible {
            return wait("R62", "why.only_possible");
        }
        if let Some(reason) = self.observes() {
            return Err(Refusal::Wait(reason));
        }
        if self.is_spared(patient) {
            return wait("R38", "why.hosts_caller");
        }
        match self.heal_of(patient) {
            Heal::Auto => {}
            Heal::Ask => return wait("R60", "why.ask"),
            Heal::Observe => return Err(Refusal::Observe(verb)),
        }
        if disruptive && self.memory_is_critical() && !self.is_largest(patient) {
            return wait("R19", "why.memory_critical");
        }
        if cause.id == CauseId::ContainerHostPressure && self.memory_is_short() {
            return wait("R19", "why.memory_short");
        }
        if let Some(need) = self.dies_of_its_need(patient, cause.id) {
            let says = Sentence::new("why.dies_of_its_need").with("parent", need.name());
            return Err(Refusal::Wait(Reason::says("R58", says)));
        }
        if let Some(until) = self.grace_after_neighbour(&patient.spec.id) {
            return Err(Refusal::Wait(Reason::new("R12", "why.in_grace").until(until)));
        }
        // R30: the light start is the loop's one trial, whatever was tried before.
        let light = self.light_is_due(patient, cause);
        if !light && is_of_memory(cause.id) && account.ooms.len() >= 2 {
            return Err(Refusal::Hopeless);
        }
        // 1.14: killed, and nobody knows by whom: one attempt tells whether it stays.
        let unexplained = cause.id == CauseId::ContainerKilled && account.unexplained >= 1;
        let spent = unexplained || account.attempts >= self.policy.attempts;
        if !light && spent && account.given_up.is_none() {
            return Err(Refusal::Hopeless);
        }
        // R29: of a service, those of its container as well.
        let acted_on = self.patients.get(&self.container_in(&patient.spec.id));
        let automatic = acted_on.map_or(0, |acted_on| acted_on.account.automatic());
        if automatic.max(account.automatic()) >= self.policy.restarts_limit {
            return Err(Refusal::Hopeless);
        }
        if let Phase::Down { not_before, .. } = patient.phase
            && self.now.awake < not_before
        {
            let (rule, key) = if account.attempts > 0 {
                ("R26", "why.backoff")
            } else {
                ("R29", "why.supervisor")
            };
            return Err(Refusal::Wait(Reason::new(rule, key).until(not_before)));
        }
        if let Some(until) = self.grace_of_container(patient) {
            return Err(Refusal::Wait(Reason::new("R12", "why.started_by_others").until(until)));
        }
        if let Some(until) = self.stagger_until
            && self.now.awake < until
            && !light
            && matches!(
                patient.spec.care,
                Care::Container { .. } | Care::Service { container: Some(_), .. }
            )
        {
            return Err(Refusal::Wait(Reason::new("R17", "why.staggered").until(until)));
        }
        Ok(())
    }

    /// R12: a service whose container has only just begun, whoever began it, has its grace: it was down
    /// because there was no container, or another one.
    fn grace_of_container(&self, patient: &Patient) -> Option<Awake> {
        let Care::Service { container: Some(_), .. } = &patient.spec.care else { return None };
        let inside = self.patients.get(&self.container_in(&patient.spec.id))?;
        let seen = inside.facts.container.as_ref().filter(|seen| container::is_up(seen.status))?;
        let lived = u64::try_from(self.now.wall.0.checked_sub(seen.started_ms?)?).ok()?;
        let left = patient.spec.grace.checked_sub(Duration::from_millis(lived))?;
        (!left.is_zero()).then(|| self.now.awake + left)
    }

    /// R31: no restart cures these; a person is told at once.
    pub(crate) fn is_never_retried(&self, target: &TargetId, id: CauseId) -> bool {
        let loops = || {
            self.patients.get(target).is_some_and(|patient| {
                patient.account.exits.is_crash_loop(self.now.continuous, &self.policy)
            })
        };
        let in_a_loop = id == CauseId::ContainerLoggerCrash || is_of_memory(id);
        is_incurable(id) || (in_a_loop && loops())
    }

    /// R60: in `observe` it is written down what would have been done, once per episode.
    fn would_have(&mut self, id: &TargetId, verb: Verb) {
        let key = match verb {
            Verb::Restart => "story.would_have_restarted",
            Verb::Start
            | Verb::Stop
            | Verb::Check
            | Verb::Unload
            | Verb::Measure
            | Verb::Ensure
            | Verb::Verify
            | Verb::Repair
            | Verb::Raise => "story.would_have_started",
        };
        if let Some(patient) = self.patients.get_mut(id) {
            patient.reason = Reason::new("R60", "why.observe");
            if std::mem::replace(&mut patient.observed_only, true) {
                return;
            }
        }
        self.tell_story(id, StoryKind::Concluded, Sentence::new(key));
    }
}

fn is_incurable(id: CauseId) -> bool {
    matches!(
        id,
        CauseId::OllamaPortTaken
            | CauseId::MlxPortTaken
            | CauseId::OllamaNotInstalled
            | CauseId::ContainerCannotRun
            | CauseId::ContainerCrashLoop
            | CauseId::OllamaGpuMemoryLeaked
            | CauseId::HostPanicSuspect
    )
}

/// Ended for want of memory: one restart, then the limit must be raised (1.14).
pub(crate) fn is_of_memory(id: CauseId) -> bool {
    matches!(id, CauseId::ContainerOomLimit | CauseId::DockerVmOom | CauseId::DockerMemoryTooSmall)
}

/// It ends again and again.
pub(crate) fn is_loop(id: CauseId) -> bool {
    matches!(id, CauseId::ContainerCrashLoop | CauseId::ContainerLoggerCrash)
}

/// The server's process is still there, however unwell.
fn is_there(id: CauseId) -> bool {
    crate::planning::server_remedy(id) == Some(Verb::Restart)
}
