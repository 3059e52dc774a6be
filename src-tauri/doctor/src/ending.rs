//! Ending: each operation ends in exactly one way, and what follows from that (R25 to R28, P5).

use std::time::Duration;

use crate::clock::millis;
use crate::doctor::Doctor;
use crate::holding::held;
use crate::incident::{IncidentState, RemedyResult, RestartRecord, RestartedBy, StoryKind, Verb};
use crate::ledger::{Intent, Restart};
use crate::light;
use crate::operation::Stage;
use crate::order::{Depth, Entry, OperationId};
use crate::phase::{Phase, Reason};
use crate::remedy::{Effect, Step};
use crate::sentence::Sentence;
use crate::target::TargetId;

impl Doctor {
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
        // How it runs now goes into the journal with it.
        let operation = &self.operations[at];
        let says = says.or_else(|| self.light_result(&operation.target, &operation.plan, result));
        self.operations[at].result = Some(result);
        self.operations[at].stage = Stage::Ended;
        if let Some(says) = &says {
            self.operations[at].say(now.wall, says.clone());
        }
        let operation = &self.operations[at];
        let (target, verb, is_remedy) =
            (operation.target.clone(), operation.verb, operation.is_remedy());
        let stopping = matches!(operation.steps.last(), Some(Step::StopContainer { .. }));
        let did_nothing =
            operation.counted && operation.steps.iter().all(|step| step.effect() == Effect::Looks);
        let plan = operation.plan.clone();
        if verb != Verb::Check {
            let entry = Entry::Remedy(self.remedy_record(at, says.clone()));
            self.record(Some(entry));
        }
        if !is_remedy {
            self.look_soon(&target, Depth::Full);
            return;
        }
        self.stagger();
        if let Some(patient) = self.patients.get_mut(&target) {
            patient.account.act = None;
            if result == RemedyResult::Superseded && did_nothing {
                let account = &mut patient.account;
                account.attempts = account.attempts.saturating_sub(1);
                account.unexplained = account.unexplained.min(account.attempts);
            } else {
                patient.account.last_attempt = Some(now.continuous);
            }
        }
        // R37: somebody started it again, which ends a hold.
        if plan.came_back()
            && let Some(patient) = self.patients.get_mut(&target)
        {
            patient.account.want();
        }
        let light = self.light_ended(&target, &plan, result);
        match result {
            RemedyResult::Verified => {
                // Before the end of their incident gives the others a grace.
                if verb == Verb::Restart {
                    self.tried_for_others(&target);
                }
                self.remedy_verified(&target, verb);
            }
            RemedyResult::Failed if light == light::Ended::AsBefore => {
                self.remedy_superseded(&target, says);
            }
            RemedyResult::Failed => {
                let permanent = permanent || light == light::Ended::Spent;
                self.remedy_failed(&target, says, permanent, stopping);
                if light == light::Ended::LightAgain {
                    self.light_again(&target);
                }
                self.tried_for_others(&target);
            }
            RemedyResult::Superseded => self.remedy_superseded(&target, says),
        }
        let container = self.container_in(&target);
        if container != target {
            self.look_soon(&container, Depth::Full);
            self.part_chain(&container);
        }
        self.inhibit_children(&target);
    }

    /// R17: after one remedy the next container is brought up 5 to 10 s later.
    pub(crate) fn stagger(&mut self) {
        let least = self.policy.stagger;
        let jitter = Duration::from_millis(self.dice(millis(least) + 1));
        self.stagger_until = Some(self.now.awake + least + jitter);
    }

    fn remedy_verified(&mut self, target: &TargetId, verb: Verb) {
        let now = self.now;
        let Some(patient) = self.patients.get_mut(target) else { return };
        if verb == Verb::Stop {
            let says = held(&patient.account, now);
            patient.enter(Phase::Unknown, Reason::says("R34", says), now);
            self.close_incident(target, IncidentState::Closed, Some("story.held"));
            self.look_soon(target, Depth::Full);
            return;
        }
        patient.forget_counts();
        patient.account.exits.forget();
        patient.last_good = Some(now);
        patient.account.given_up = None;
        patient.observed_only = false;
        patient.failed = None;
        patient.enter(Phase::Healthy, Reason::new("R46", "why.verified"), now);
        self.say_light(target);
        self.verified_in_storm(target);
        if !self.chain_outlasts(target) {
            self.close_incident(target, IncidentState::Verified, Some("story.verified"));
        }
        self.inhibit_children(target);
    }

    fn remedy_failed(
        &mut self,
        target: &TargetId,
        says: Option<Sentence>,
        permanent: bool,
        stopping: bool,
    ) {
        let now = self.now;
        if let Some(says) = &says {
            self.tell_story(target, StoryKind::Failed, says.clone());
        }
        self.tell_of_victim(target, StoryKind::Failed, "story.storm_failed");
        let backoff = self.backoff(target);
        let Some(patient) = self.patients.get_mut(target) else { return };
        patient.failed.clone_from(&says);
        let Some(patient) = self.patients.get(target) else { return };
        let Phase::Recovering { cause, .. } = &patient.phase else { return };
        // What is not there, and could not be made, is nothing that could be healed.
        let removed = patient.facts.removed.is_some() && patient.facts.container.is_none();
        if patient.account.intent != Intent::Wanted || (stopping && cause.is_none()) || removed {
            // What a person asked for could not even be stopped: nothing is to be healed.
            self.remedy_superseded(target, None);
            return;
        }
        let cause = match cause {
            Some(cause) => cause.clone(),
            None => self.diagnose(patient),
        };
        // R30: what ends again and again although we start it is a loop like any other.
        let looped = self.diagnose(patient);
        let loops = patient.account.exits.is_crash_loop(now.continuous, &self.policy)
            && looped.id != cause.id
            && self.is_never_retried(target, looped.id);
        if patient.incident.as_ref().is_none_or(|incident| incident.closed.is_some()) {
            self.open_incident(target, cause.clone(), now.awake);
        }
        self.incident_state(target, IncidentState::Open, None);
        if loops && !permanent {
            if let Some(patient) = self.patients.get_mut(target) {
                patient.forget_counts();
            }
            self.open_incident(target, looped.clone(), now.awake);
            self.is_beyond_restarts(target, looped);
            self.look_soon(target, Depth::Full);
            return;
        }
        let Some(patient) = self.patients.get_mut(target) else { return };
        patient.forget_counts();
        let spent = patient.account.attempts >= self.policy.attempts;
        let on_trial = patient.account.given_up.is_some();
        // Docker is restarted once, and then it is for a person to see to it (1.8).
        let permanent = permanent || *target == TargetId::Docker;
        if permanent || spent || on_trial {
            // How the last attempt ended is what a person needs to know now.
            let mut cause = cause;
            cause.evidence.extend(says);
            self.open_incident(target, cause.clone(), now.awake);
            self.give_up(target, cause, permanent);
            return;
        }
        let not_before = now.awake + backoff;
        let reason = Reason::new("R46", "why.attempt_failed").until(not_before);
        patient.enter(Phase::Down { cause, not_before }, reason, now);
        self.look_soon(target, Depth::Full);
    }

    fn remedy_superseded(&mut self, target: &TargetId, says: Option<Sentence>) {
        let now = self.now;
        if let Some(says) = says {
            self.tell_story(target, StoryKind::Seen, says);
        }
        self.incident_state(target, IncidentState::Open, None);
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
    pub(crate) fn backoff(&mut self, target: &TargetId) -> Duration {
        let attempts = self.patients.get(target).map_or(1, |patient| patient.account.attempts);
        let doubled = 2u32.saturating_pow(attempts.saturating_sub(1).min(8));
        let whole = (self.policy.backoff * doubled).min(self.policy.backoff_cap);
        let half = millis(whole) / 2;
        Duration::from_millis(half + self.dice(half + 1))
    }

    /// R29: a container that is restarted for a service in it has been restarted itself.
    pub(crate) fn restarted_with(&mut self, target: &TargetId, by: RestartedBy) {
        let at = self.now.continuous;
        let container = self.container_in(target);
        if container == *target {
            return;
        }
        if let Some(patient) = self.patients.get_mut(&container) {
            patient.account.count(Restart { at, automatic: by == RestartedBy::Us, by });
        }
    }

    /// R25 to R27: what was done for one service was an attempt, or a trial, for all that are still
    /// unwell in its container.
    fn tried_for_others(&mut self, target: &TargetId) {
        let now = self.now;
        let container = self.container_in(target);
        let Some(patient) = self.patients.get(target).filter(|_| container != *target) else {
            return;
        };
        let attempts = patient.account.attempts;
        let after = match patient.phase {
            Phase::Down { not_before, .. } => not_before,
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. }
            | Phase::Recovering { .. }
            | Phase::GivenUp { .. } => now.awake + self.backoff(target),
        };
        let policy = &self.policy;
        let others: Vec<TargetId> = self
            .patients
            .keys()
            .filter(|id| *id != target && **id != container && self.container_in(id) == container)
            .cloned()
            .collect();
        for id in others {
            let Some(other) = self.patients.get_mut(&id) else { continue };
            match &mut other.phase {
                Phase::Down { not_before, .. } => {
                    *not_before = after.max(*not_before);
                    other.account.attempts = other.account.attempts.max(attempts);
                    other.account.last_attempt = Some(now.continuous);
                }
                Phase::GivenUp { trial: Some(due), .. } if *due < now.continuous + policy.trial => {
                    let Some(given_up) = &mut other.account.given_up else { continue };
                    given_up.trials += 1;
                    *due = now.continuous + policy.trial_after(given_up.trials);
                    given_up.trial = Some(*due);
                }
                // It has not come up with it yet: should it not, this was an attempt for it as well.
                Phase::Starting { .. } | Phase::Degraded { .. } => {
                    other.account.attempts = other.account.attempts.max(attempts);
                    other.account.last_attempt = Some(now.continuous);
                }
                Phase::Unknown
                | Phase::Healthy
                | Phase::Slow
                | Phase::Recovering { .. }
                | Phase::GivenUp { .. } => {}
            }
        }
    }

    /// R28: every restart counts, whoever made it.
    pub(crate) fn restarted(&mut self, target: &TargetId, by: RestartedBy) {
        let now = self.now;
        let id = format!("r-{}", self.operation_id());
        let entry = RestartRecord { id, target: target.clone(), at: now.wall, by };
        let Some(patient) = self.patients.get_mut(target) else { return };
        let automatic = by == RestartedBy::Us;
        patient.account.count(Restart { at: now.continuous, automatic, by });
        let many = patient.account.restarts.len() > self.policy.restarts_alert;
        let tell = many && !std::mem::replace(&mut patient.account.rate_told, many);
        self.record(Some(Entry::Restart(entry)));
        if tell {
            self.tell_restart_rate(target);
        }
    }
}
