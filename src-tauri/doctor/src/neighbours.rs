//! Neighbours: services of one container are restarted together. What one of them is treated for
//! says nothing about the others, until they have had the time to come up again (R12, R14).

use crate::clock::Awake;
use crate::doctor::Doctor;
use crate::incident::RestartedBy;
use crate::phase::{Phase, Reason};
use crate::target::TargetId;
use crate::verdict::Verdict;

impl Doctor {
    /// It fails while we stop and start the container it lives in, for another one, or has not come
    /// up yet since: nothing is concluded from that. What was known to ail it before stays known.
    pub(crate) fn fails_with_neighbour(&mut self, id: &TargetId, verdict: Verdict) -> bool {
        let fails = match verdict {
            Verdict::Hard | Verdict::Soft | Verdict::Wedged => true,
            Verdict::Good { .. }
            | Verdict::Impaired
            | Verdict::Suspect
            | Verdict::Busy
            | Verdict::Misplaced
            | Verdict::WrongOwner
            | Verdict::Nothing => false,
        };
        if !fails {
            return false;
        }
        let now = self.now;
        let treated = self.neighbour_is_treated(id);
        let after = self.grace_after_neighbour(id);
        let Some(patient) = self.patients.get_mut(id) else { return false };
        let until = if treated { Some(now.awake + patient.spec.grace) } else { after };
        let Some(until) = until.filter(|_| patient.is_found() && (treated || !patient.urged))
        else {
            return false;
        };
        match patient.phase {
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { cause: None } => {
                patient.forget_counts();
                let reason = Reason::new("R12", "why.in_grace").until(until);
                patient.enter(Phase::Starting { until }, reason, now);
            }
            Phase::Degraded { cause: Some(_) }
            | Phase::Down { .. }
            | Phase::Recovering { .. }
            | Phase::GivenUp { .. } => {}
        }
        true
    }

    /// Until when it may take to come up after we started its container for another one.
    pub(crate) fn grace_after_neighbour(&self, id: &TargetId) -> Option<Awake> {
        let patient = self.patients.get(id)?;
        let inside = self.patients.get(&self.container_in(id)).filter(|one| one.spec.id != *id)?;
        let restarts = &inside.account.restarts;
        let ours = restarts.iter().rev().find(|one| one.by != RestartedBy::Other)?;
        // What was done for itself is judged by its own proof (R46).
        if patient.account.restarts.iter().any(|own| own.at == ours.at) {
            return None;
        }
        let left = patient.spec.grace.checked_sub(self.now.continuous.since(ours.at))?;
        (!left.is_zero()).then(|| self.now.awake + left)
    }

    /// A remedy acts on its container for another service in it, and nothing has answered yet.
    fn neighbour_is_treated(&self, id: &TargetId) -> bool {
        let container = self.container_in(id);
        container != *id
            && self.operations.iter().any(|one| {
                one.is_remedy()
                    && one.is_under_way()
                    && !one.is_soaking()
                    && one.target != *id
                    && self.container_in(&one.target) == container
            })
    }
}
