//! Light start: what ends again and again is started once with less to do, and goes back to normal
//! when it has been stable (R30, C7).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cause::{Cause, CauseId, Confidence};
use crate::clock::{Awake, Continuous, Wall, millis};
use crate::container;
use crate::deciding::is_of_memory;
use crate::doctor::Doctor;
use crate::event::Asker;
use crate::incident::{RemedyResult, StoryKind, Verb};
use crate::ledger::{Account, Intent, Light, LightStage};
use crate::patient::Patient;
use crate::phase::{Phase, Reason};
use crate::plan::{ContainerPlan, Plan};
use crate::sentence::Sentence;
use crate::target::{Care, Compose, Heal, TargetId};

impl Doctor {
    /// R30, R31: no restart cures it. What ends again and again has its light start left.
    pub(crate) fn is_beyond_restarts(&mut self, id: &TargetId, cause: Cause) {
        let now = self.now;
        let Some(patient) = self.patients.get_mut(id) else { return };
        if self.policy.light_left(patient, &cause, now.continuous) {
            patient.confirmed = Some(now.awake);
            let reason = Reason::new("R30", "why.light_next");
            patient.enter(Phase::Down { cause, not_before: now.awake }, reason, now);
            return;
        }
        if self.is_known_incurable(id, &cause) {
            // R55: told before the app was started anew.
            self.stay_given_up(id, cause, None);
            return;
        }
        let Some(patient) = self.patients.get(id) else { return };
        let lines = lines(variables(patient));
        let untried = patient.account.light.is_none() && !lines.is_empty();
        if untried && cause.confidence > Confidence::Possible && compose(patient).is_none() {
            // Without its files nobody can make it anew with other variables.
            let says = Sentence::new("story.light_impossible").with("lines", lines);
            self.tell_story(id, StoryKind::Concluded, says);
        }
        self.give_up(id, cause, true);
    }

    /// Its next start is a light one, whatever else was tried.
    pub(crate) fn light_is_due(&self, patient: &Patient, cause: &Cause) -> bool {
        self.policy.light_left(patient, cause, self.now.continuous)
    }

    /// A remedy of this target begins.
    pub(crate) fn light_begins(&mut self, id: &TargetId, plan: &Plan) {
        let Plan::Container(ContainerPlan { anew: true, compose: Some(compose), .. }) = plan else {
            return;
        };
        let since = self.now.wall;
        let Some(patient) = self.patients.get_mut(id) else { return };
        if compose.light.is_empty() {
            return;
        }
        let again = patient.account.light.is_some();
        let stage = if again { LightStage::Stays } else { LightStage::Trial };
        patient.account.light = Some(Light { since, stage });
        let says = Sentence::new("story.light_start").with("lines", lines(variables(patient)));
        self.tell_story(id, StoryKind::Concluded, says);
    }

    /// How a remedy of a container ended, and what that means for its light start.
    pub(crate) fn light_ended(
        &mut self,
        id: &TargetId,
        plan: &Plan,
        result: RemedyResult,
    ) -> Ended {
        let Plan::Container(ContainerPlan { anew: true, compose: Some(compose), .. }) = plan else {
            return Ended::AsAny;
        };
        let Some(patient) = self.patients.get_mut(id) else { return Ended::AsAny };
        let seen_light = patient.facts.container.as_ref().is_some_and(|seen| seen.light);
        let still_light = runs_light(patient);
        let all = lines(variables(patient));
        let Some(light) = &mut patient.account.light else { return Ended::AsAny };
        if compose.light.is_empty() {
            match result {
                RemedyResult::Verified => light.stage = LightStage::Returned,
                // It was to run as its files say, and did not: it is light from now on.
                RemedyResult::Failed => {
                    light.stage = LightStage::Stays;
                    return if still_light { Ended::AsBefore } else { Ended::LightAgain };
                }
                RemedyResult::Superseded => {}
            }
            return Ended::AsAny;
        }
        match (result, light.stage) {
            (RemedyResult::Verified, LightStage::Trial) => light.stage = LightStage::Runs,
            (RemedyResult::Superseded, LightStage::Trial) if !seen_light => {
                patient.account.light = None;
            }
            (RemedyResult::Failed, _) => {
                light.stage = LightStage::Spent;
                let says = Sentence::new("story.light_failed").with("lines", all);
                self.tell_story(id, StoryKind::Failed, says);
                return Ended::Spent;
            }
            (RemedyResult::Verified | RemedyResult::Superseded, _) => {}
        }
        Ended::AsAny
    }

    /// What a remedy that made it anew has led to, for its record.
    pub(crate) fn light_result(
        &self,
        id: &TargetId,
        plan: &Plan,
        result: RemedyResult,
    ) -> Option<Sentence> {
        let Plan::Container(ContainerPlan { anew: true, compose: Some(compose), .. }) = plan else {
            return None;
        };
        let light = self.patients.get(id)?.account.light;
        match (result, compose.light.is_empty()) {
            (RemedyResult::Verified, true) => light.map(|_| Sentence::new("step.as_its_files")),
            (RemedyResult::Verified, false) => {
                Some(Sentence::new("step.runs_light").with("lines", lines(&compose.light)))
            }
            (RemedyResult::Failed | RemedyResult::Superseded, _) => None,
        }
    }

    /// It could not be taken back to normal: nothing to wait for.
    pub(crate) fn light_again(&mut self, id: &TargetId) {
        let now = self.now.awake;
        let Some(patient) = self.patients.get_mut(id) else { return };
        if let Phase::Down { not_before, .. } = &mut patient.phase {
            *not_before = now;
            patient.confirmed = Some(now);
        }
    }

    /// What a reading of a container that runs well tells of its light start.
    pub(crate) fn light_is_seen(&mut self, id: &TargetId) {
        let Some(patient) = self.patients.get_mut(id) else { return };
        let Some(seen) = &patient.facts.container else { return };
        let stage = patient.account.light.map(|light| light.stage);
        match (stage, seen.light) {
            // Nobody knows any more whether it went back once already.
            (None, true) => {
                let since = Wall(seen.started_ms.unwrap_or(self.now.wall.0));
                patient.account.light = Some(Light { since, stage: LightStage::Stays });
            }
            // Somebody brought it up as its files say.
            (Some(LightStage::Runs | LightStage::Stays | LightStage::Trial), false) => {
                if let Some(light) = &mut patient.account.light {
                    light.stage = LightStage::Returned;
                }
            }
            (None | Some(LightStage::Returned | LightStage::Spent), false)
            | (
                Some(
                    LightStage::Runs
                    | LightStage::Stays
                    | LightStage::Trial
                    | LightStage::Returned
                    | LightStage::Spent,
                ),
                true,
            ) => {}
        }
    }

    /// What runs light and has been stable goes back to normal, one at a time, when all is calm.
    pub(crate) fn return_to_normal(&mut self) {
        let now = self.now.awake;
        let stable = |patient: &&Patient| {
            self.policy.light_stable_at(patient).is_some_and(|at| now >= at)
                && self.may_return(patient)
        };
        let Some(patient) = self.patients.values().find(stable) else { return };
        let id = patient.spec.id.clone();
        if let Some(plan) = plan(patient, false) {
            self.tell_story(&id, StoryKind::Concluded, Sentence::new("story.light_returns"));
            let operation = self.new_operation(&id, Verb::Restart, Asker::Doctor, plan);
            // Its incident is over, so the steps of the operation say it.
            let now = self.now.wall;
            if let Some(one) = self.operations.iter_mut().find(|one| one.id == operation) {
                one.say(now, Sentence::new("story.light_returns"));
            }
        }
    }

    /// It interrupts what runs well: only when nothing at all speaks against it.
    fn may_return(&self, patient: &Patient) -> bool {
        self.hold_until.is_none()
            && self.observes().is_none()
            && !self.recording_fails
            && self.heal_of(patient) == Heal::Auto
            && !self.is_spared(patient)
            && !self.memory_is_short()
            && self.unwell_need(patient).is_none()
            && self.storm_brakes(patient).is_none()
            && self.stagger_until.is_none_or(|until| self.now.awake >= until)
            && self.operations.iter().all(|one| !one.is_remedy() || !one.is_running())
    }

    /// What runs light says so, since when, and until when.
    pub(crate) fn say_light(&mut self, id: &TargetId) {
        let now = self.now;
        let Some(patient) = self.patients.get(id) else { return };
        let Some(light) = patient.light() else { return };
        let returns = self.policy.light_stable_at(patient);
        let says = |key: &str| {
            let says = Sentence::new(key).with("since", light.since);
            says.with("lines", lines(variables(patient)))
        };
        let reason = match returns {
            Some(at) => {
                let left = i64::try_from(millis(at.since(now.awake))).unwrap_or(i64::MAX);
                let wall = Wall(now.wall.0.saturating_add(left));
                Reason::says("R30", says("why.runs_light").with("at", wall)).until(at)
            }
            None => Reason::says("R30", says("why.stays_light")),
        };
        if let Some(patient) = self.patients.get_mut(id) {
            patient.reason = reason;
        }
    }
}

/// What follows from the end of a remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// What follows for any container.
    AsAny,
    /// Its light start did not help either.
    Spent,
    /// It was not taken back to normal, and runs light as before.
    AsBefore,
    /// It does not run as its files say: it is started light once more, at once.
    LightAgain,
}

impl crate::policy::Policy {
    /// A light start may cure it, and has not been tried; or it is to run light and does not.
    fn light_left(&self, patient: &Patient, cause: &Cause, now: Continuous) -> bool {
        let possible = !variables(patient).is_empty()
            && compose(patient).is_some()
            && cause.confidence > Confidence::Possible;
        let ends = matches!(cause.id, CauseId::ContainerCrashLoop | CauseId::ContainerLoggerCrash)
            || is_of_memory(cause.id);
        possible
            && match patient.account.light.map(|light| light.stage) {
                None | Some(LightStage::Returned) => {
                    ends && patient.account.exits.is_crash_loop(now, self)
                }
                Some(LightStage::Stays) => {
                    patient.facts.container.as_ref().is_some_and(|seen| !seen.light)
                }
                Some(LightStage::Trial | LightStage::Runs | LightStage::Spent) => false,
            }
    }

    /// When it goes back to normal, if it stays as it is.
    pub(crate) fn light_stable_at(&self, patient: &Patient) -> Option<Awake> {
        let runs = patient.account.light.is_some_and(|light| light.stage == LightStage::Runs);
        let wanted = patient.account.intent == Intent::Wanted && patient.inhibited_by.is_none();
        let well = runs && wanted && patient.phase.is_usable() && runs_light(patient);
        Some(patient.healthy_since.filter(|_| well)? + self.light_stable)
    }
}

impl Account {
    /// It is to run light, also when it is only brought up again.
    pub(crate) fn is_light(&self) -> bool {
        self.light.is_some_and(|light| match light.stage {
            LightStage::Trial | LightStage::Runs | LightStage::Stays => true,
            LightStage::Returned | LightStage::Spent => false,
        })
    }
}

/// Made with our variables, whatever the ledger knows of it.
pub(crate) fn runs_light(patient: &Patient) -> bool {
    patient.facts.container.as_ref().is_some_and(|seen| seen.light && container::is_up(seen.status))
}

/// Makes it anew: light, or as its files say. None without its files.
pub(crate) fn plan(patient: &Patient, light: bool) -> Option<Plan> {
    let seen = patient.facts.container.as_ref()?;
    let mut compose = compose(patient)?;
    compose.light = if light { variables(patient).clone() } else { BTreeMap::new() };
    Some(Plan::Container(ContainerPlan {
        id: seen.id.clone(),
        started_ms: seen.started_ms,
        stop: false,
        start: true,
        compose: Some(compose),
        anew: true,
        stop_timeout: Duration::from_secs(seen.stop_timeout_s),
    }))
}

/// As the configuration or its labels say it, without our variables.
pub(crate) fn compose(patient: &Patient) -> Option<Compose> {
    let configured = match &patient.spec.care {
        Care::Container { compose, .. } => compose.clone(),
        Care::Host
        | Care::Docker
        | Care::Ollama { .. }
        | Care::Mlx { .. }
        | Care::Service { .. } => None,
    };
    configured.or_else(|| patient.facts.container.as_ref()?.compose.clone())
}

/// What is configured for its light start.
pub(crate) fn variables(patient: &Patient) -> &BTreeMap<String, String> {
    const NONE: &BTreeMap<String, String> = &BTreeMap::new();
    match &patient.spec.care {
        Care::Container { light, .. } => light,
        Care::Host
        | Care::Docker
        | Care::Ollama { .. }
        | Care::Mlx { .. }
        | Care::Service { .. } => NONE,
    }
}

/// As they are written in an environment.
pub(crate) fn lines(variables: &BTreeMap<String, String>) -> String {
    let each = variables.iter().map(|(name, value)| format!("{name}={value}"));
    each.collect::<Vec<_>>().join(", ")
}
