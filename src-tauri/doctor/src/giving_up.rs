//! Giving up: the breaker opens, and tells when it lets one trial through (R25, R27, R31).

use crate::cause::{Cause, CauseId};
use crate::clock::Continuous;
use crate::doctor::Doctor;
use crate::incident::IncidentState;
use crate::ledger::GivenUp;
use crate::patient::Patient;
use crate::phase::{Phase, Reason};
use crate::sentence::Sentence;
use crate::target::TargetId;

impl Doctor {
    pub(crate) fn give_up(&mut self, id: &TargetId, cause: Cause, permanent: bool) {
        self.leave_storm(id, &cause);
        let now = self.now;
        let tried = self.told_in(id).is_some_and(|incident| incident.attempts > 0);
        let Some(patient) = self.patients.get_mut(id) else { return };
        let trials = patient.account.given_up.map_or(0, |given_up| given_up.trials);
        let wait = self.policy.trial_after(trials);
        let trial = (!permanent).then_some(now.continuous + wait);
        patient.account.given_up = Some(GivenUp { cause: Some(cause.id), trials, trial });
        let reason = if permanent {
            Reason::new("R31", "why.cannot_be_cured")
        } else {
            let attempts = patient.account.attempts;
            let says = if tried || attempts == 0 {
                Sentence::new("why.given_up")
            } else {
                // All were made for failures before this one, and verified.
                Sentence::new("why.budget_spent").with("attempts", attempts)
            };
            Reason::says("R25", says.with("wait", wait))
        };
        patient.enter(Phase::GivenUp { cause, trial }, reason, now);
        self.incident_state(id, IncidentState::GivenUp, Some("story.given_up"));
        self.tell_needs_you(id);
    }

    /// Given up for good on this very cause, before the app was started anew.
    pub(crate) fn is_known_incurable(&self, id: &TargetId, cause: &Cause) -> bool {
        let given_up = self.patients.get(id).and_then(|patient| patient.account.given_up);
        given_up.is_some_and(|known| known.trial.is_none() && known.cause == Some(cause.id))
    }

    pub(crate) fn stay_given_up(&mut self, id: &TargetId, cause: Cause, trial: Option<Continuous>) {
        let now = self.now;
        let Some(patient) = self.patients.get_mut(id) else { return };
        let reason = Reason::new("R25", "why.still_given_up");
        patient.enter(Phase::GivenUp { cause, trial }, reason, now);
        self.incident_state(id, IncidentState::GivenUp, Some("story.given_up"));
        self.told_before(id);
    }
}

/// R27, R30: exits are forgotten with time. What was given up as a loop, and shows no more than its
/// last end when it is seen again, is no other world for that, and is not started.
pub(crate) fn is_known_loop(given_up: &GivenUp, cause: &Cause) -> bool {
    let looped = given_up.cause == Some(CauseId::ContainerCrashLoop);
    looped && matches!(cause.id, CauseId::ContainerStopped | CauseId::ContainerKilled)
}

/// What was told of that loop.
pub(crate) fn known_loop(patient: &Patient, cause: &Cause) -> Option<Cause> {
    let given_up = patient.account.given_up.filter(|known| is_known_loop(known, cause))?;
    let told = patient.incident.as_ref().filter(|one| one.closed.is_none())?;
    (given_up.cause == Some(told.cause.id)).then(|| told.cause.clone())
}
