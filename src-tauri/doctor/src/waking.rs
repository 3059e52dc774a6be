//! Waking, and doubting ourselves first: what clocks that ran apart mean (RECOVERY 1.11, R9).

use std::time::Duration;

use crate::clock::{Awake, Continuous, Now};
use crate::doctor::{Doctor, LONGEST_WAIT};
use crate::order::Depth;
use crate::phase::{Phase, Reason};
use crate::target::{Care, TargetId};

impl Doctor {
    /// R41: the continuous clock ran on while the awake clock stood.
    pub(crate) fn notice_sleep(&mut self, now: Now) {
        let awake = now.awake.since(self.now.awake);
        let continuous = now.continuous.since(self.now.continuous);
        let slept = continuous.saturating_sub(awake);
        if slept > self.policy.sleep {
            self.now = now;
            self.woke();
        }
    }

    /// R9: woken much later than asked for, we were starved ourselves.
    pub(crate) fn notice_lateness(&mut self, now: Now) {
        let by = now.awake.since(self.now.awake).saturating_sub(LONGEST_WAIT);
        self.late(by);
    }

    /// R42: all states unknown, counts zero, no remedy and no notice for a minute. A remedy that
    /// has begun to act goes on: its deadlines count awake time, so the sleep has not used them up.
    pub(crate) fn woke(&mut self) {
        let now = self.now;
        let until = now.awake + self.policy.wake_hold;
        let held = self.hold_until.map_or(now.awake, |held| held.max(now.awake));
        self.hold_until = Some(until);
        self.woke_at = Some(now.awake);
        self.supersede_idle();
        self.extend_verifications(until.since(held));
        for patient in self.patients.values_mut() {
            patient.forget_counts();
            patient.looking = None;
            patient.due = now.awake;
            patient.depth = Depth::Full;
            // After the hold one request for a token, of what was loaded before the sleep.
            patient.deep_due = until;
            if let Phase::GivenUp { trial: Some(trial), .. } = &mut patient.phase {
                // R27: after a sleep the world may have changed; one trial, after the hold.
                *trial = (*trial).min(now.continuous);
            }
            let busy = matches!(patient.phase, Phase::Recovering { .. } | Phase::GivenUp { .. });
            if !busy && !matches!(patient.spec.care, Care::Host) {
                let reason = Reason::new("R42", "why.waking").until(until);
                patient.enter(Phase::Unknown, reason, now);
            }
        }
    }

    /// R9: when our own loop is late, we are probably the slow one.
    pub(crate) fn late(&mut self, by: Duration) {
        if by > Duration::from_secs(1) {
            self.doubt_until = Some(self.now.awake + self.policy.doubt);
        }
    }

    /// Booted a moment ago: what is watched is still coming up (R14). The continuous clock counts
    /// from the boot.
    pub(crate) fn is_freshly_booted(&self) -> bool {
        self.now.continuous < Continuous::default() + self.policy.boot_grace
    }

    /// R9: an exchange with ourselves that takes long means that we are the slow one.
    pub(crate) fn probed_ourselves(&mut self, took: Duration) {
        if took > self.policy.slow_self {
            self.slow_self_until = Some(self.now.awake + self.policy.doubt);
        }
    }

    /// The processor cannot give everybody what they need: by the machine's own load, or as we see it by
    /// ourselves (R9). Who works then gets little of it, and is late without being hung.
    pub(crate) fn is_overloaded(&self) -> bool {
        let host = self.patients.get(&TargetId::Host).and_then(|host| host.facts.host.as_ref());
        let limit = self.policy.overloaded_percent;
        self.doubt() > 1 || host.is_some_and(|seen| seen.load_percent > limit)
    }

    /// R9: how many times over a fail must be seen, and how much longer is waited for an answer:
    /// 1, and one more for each of a late loop, critical memory, and a slow exchange with ourselves.
    pub(crate) fn doubt(&self) -> u32 {
        let lasts = |until: Option<Awake>| until.is_some_and(|until| self.now.awake < until);
        let critical = self
            .patients
            .get(&TargetId::Host)
            .and_then(|host| host.facts.host.as_ref())
            .is_some_and(|seen| seen.pressure >= 4);
        1 + u32::from(lasts(self.doubt_until))
            + u32::from(lasts(self.slow_self_until))
            + u32::from(critical)
    }
}
