//! Docker on its way up: its socket answers, and says that nothing stands behind it yet. That is no
//! failure before the ceiling of R13 has passed; after it, an engine that still answers so is stuck.
//!
//! Docker Desktop's own process answers 500 to every question, `_ping` too, from when it opens the
//! socket until its virtual machine runs; and for ever when that never comes up (docker/for-mac #7775,
//! #6956, docker/for-win #13834).

use crate::clock::Awake;
use crate::doctor::Doctor;
use crate::observation::Reply;
use crate::patient::Patient;
use crate::phase::{Phase, Reason};
use crate::target::TargetId;

impl Doctor {
    /// Notes since when it answers so. An answer of another kind in between does not begin it anew
    /// before the ceiling has passed: what starts in vain again and again is not starting.
    pub(crate) fn note_engine_start(&mut self, target: &TargetId, reply: &Reply) {
        let (now, ceiling) = (self.now, self.policy.grace_ceiling);
        let Some(patient) = self.patients.get_mut(target) else { return };
        if is_not_yet_there(reply) {
            patient.facts.engine_starts = patient.facts.engine_starts.or(Some(now.awake));
            patient.first_bad = patient.first_bad.or(Some(now));
        } else if answers(reply)
            || patient.facts.engine_starts.is_some_and(|since| now.awake >= since + ceiling)
        {
            patient.facts.engine_starts = None;
        }
        let Some(until) = self.engine_starts_until(target) else { return };
        let Some(patient) = self.patients.get(target) else { return };
        match patient.phase {
            // What was down and is coming up, and what was never seen otherwise.
            Phase::Unknown | Phase::Degraded { .. } | Phase::Down { .. } => {
                self.engine_starts(target, until);
            }
            // What was well and says so once may have stumbled: its next answers tell.
            Phase::Healthy | Phase::Slow => {}
            Phase::Starting { .. } | Phase::Recovering { .. } | Phase::GivenUp { .. } => {}
        }
    }

    /// Until when what it answers counts as starting; none: it does not.
    pub(crate) fn engine_starts_until(&self, target: &TargetId) -> Option<Awake> {
        let patient = self.patients.get(target).filter(|one| one.is_docker() && one.is_found())?;
        let until = patient.facts.engine_starts? + self.policy.grace_ceiling;
        (patient.is_not_yet_there() && self.now.awake < until).then_some(until)
    }

    pub(crate) fn engine_starts(&mut self, target: &TargetId, until: Awake) {
        let now = self.now;
        // Whatever ran in it has ended: it comes up anew.
        self.engine_gone = true;
        if let Some(patient) = self.patients.get_mut(target) {
            patient.enter(Phase::Starting { until }, starting(until), now);
        }
    }

    /// A look inside the grace says only that it counts nothing; this one knows what is going on.
    pub(crate) fn tell_engine_start(&mut self, target: &TargetId) {
        let Some(until) = self.engine_starts_until(target) else { return };
        if let Some(patient) = self.patients.get_mut(target)
            && let Phase::Starting { .. } = patient.phase
        {
            patient.reason = starting(until);
        }
    }
}

impl Patient {
    /// Its socket answers, and nothing behind it.
    pub(crate) fn is_not_yet_there(&self) -> bool {
        self.facts.docker.as_ref().is_some_and(|seen| is_not_yet_there(&seen.ping.reply))
    }
}

fn starting(until: Awake) -> Reason {
    Reason::new("R13", "why.docker_starting").until(until)
}

fn is_not_yet_there(reply: &Reply) -> bool {
    matches!(reply, Reply::Status { code: 500..=599, .. })
}

fn answers(reply: &Reply) -> bool {
    matches!(reply, Reply::Status { code: 200, .. })
}
