//! Flapping: what fails and comes back again and again is told once and not restarted without end
//! (R54; the method is Nagios', base/flapping.c).

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::{Awake, Now, millis};
use crate::doctor::Doctor;
use crate::patient::Patient;
use crate::phase::{Phase, Reason};
use crate::policy::Policy;
use crate::target::TargetId;

/// Between 21 states lie 20 changes.
const CHANGES: u64 = 20;
/// Changes in a row that are worth keeping: several may lie within one slot.
const KEPT: usize = 64;

/// The confirmed states of a target, as far as they changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flaps {
    well: Option<bool>,
    changes: VecDeque<Awake>,
    flapping: bool,
}

impl Flaps {
    /// A phase that says nothing for certain changes nothing; nor does what a person asked for.
    pub(crate) fn note(&mut self, phase: &Phase, now: Awake) {
        let well = match phase {
            Phase::Healthy | Phase::Slow => true,
            Phase::Down { .. }
            | Phase::GivenUp { .. }
            | Phase::Degraded { cause: Some(_) }
            | Phase::Recovering { cause: Some(_), .. } => false,
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Degraded { cause: None }
            | Phase::Recovering { cause: None, .. } => return,
        };
        if self.well.replace(well).is_some_and(|before| before != well) {
            self.changes.push_back(now);
            while self.changes.len() > KEPT {
                self.changes.pop_front();
            }
        }
    }

    /// How much of the last 20 slots saw a change, in thousandths; the newest weighs 1.25, the
    /// oldest 0.75.
    fn share(&self, now: Awake, slot: Duration) -> u64 {
        let slot = millis(slot).max(1);
        let age = |at: &Awake| (now.0 / slot).saturating_sub(at.0 / slot);
        let mut slots: Vec<u64> = self.changes.iter().map(age).collect();
        slots.dedup();
        let weight = |age: u64| 750 + 500 * (CHANGES - 1 - age) / (CHANGES - 1);
        slots.into_iter().filter(|age| *age < CHANGES).map(weight).sum::<u64>() / CHANGES
    }

    fn forget(&mut self, now: Awake, slot: Duration) {
        let longest = slot * u32::try_from(CHANGES).unwrap_or(u32::MAX);
        self.changes.retain(|at| now.since(*at) < longest);
    }
}

impl Doctor {
    pub(crate) fn is_flapping(&self, id: &TargetId) -> bool {
        self.patients.get(id).is_some_and(|patient| patient.flaps.flapping)
    }

    /// While it flaps, a second restart of ours that did not end it was the last.
    pub(crate) fn flapping_suspends(&self, patient: &Patient) -> Option<Reason> {
        let window = self.policy.flap_slot * u32::try_from(CHANGES).unwrap_or(u32::MAX);
        let lately = |at| self.now.continuous.since(at) < window;
        let ours = patient.account.restarts.iter().filter(|one| one.automatic && lately(one.at));
        let spent = ours.count() >= self.policy.flap_restarts;
        (patient.flaps.flapping && spent).then(|| Reason::new("R54", "why.flapping"))
    }

    pub(crate) fn watch_flapping(&mut self) {
        let (now, policy) = (self.now, &self.policy);
        let turned: Vec<(TargetId, bool)> = self
            .patients
            .values_mut()
            .filter(|patient| !patient.flaps.changes.is_empty() || patient.flaps.flapping)
            .filter_map(|patient| {
                let flapping = turns(&mut patient.flaps, now, policy)?;
                Some((patient.spec.id.clone(), flapping))
            })
            .collect();
        for (id, flapping) in turned {
            if flapping {
                self.tell_flapping(&id);
            } else {
                self.tell_settled(&id);
            }
        }
    }
}

/// Whether it begins or ends to flap now.
fn turns(flaps: &mut Flaps, now: Now, policy: &Policy) -> Option<bool> {
    flaps.forget(now.awake, policy.flap_slot);
    let share = flaps.share(now.awake, policy.flap_slot);
    let flapping =
        if flaps.flapping { share > policy.flap_stop } else { share >= policy.flap_start };
    (std::mem::replace(&mut flaps.flapping, flapping) != flapping).then_some(flapping)
}
