//! What makes the world another one than it was when something was given up (R27, R58).

use crate::cause::CauseId;
use crate::clock::{Continuous, millis};
use crate::container;
use crate::deciding::is_of_memory;
use crate::doctor::Doctor;
use crate::incident::Incident;
use crate::observation::ContainerSeen;
use crate::order::Depth;
use crate::patient::Patient;
use crate::phase::{Phase, Reason};
use crate::target::{Care, TargetId};

impl Doctor {
    /// The engine was gone and is well again: what was given up may find another world in it. What
    /// ended twice for want of memory does not, its limit is the same.
    pub(crate) fn engine_was_restarted(&mut self) {
        let now = self.now;
        let again = |patient: &&Patient| {
            matches!(patient.spec.care, Care::Container { .. })
                && patient.phase.cause().is_some_and(|cause| !is_of_memory(cause.id))
        };
        for id in self.given_up(again) {
            self.forgive(&id);
            // As for all that it brings back: a fresh grace, in which it may start it itself (R14).
            if let Some(patient) = self.patients.get_mut(&id)
                && matches!(patient.phase, Phase::Degraded { .. })
            {
                patient.enter(Phase::Unknown, Reason::new("R27", "why.world_changed"), now);
            }
        }
    }

    /// What was given up for want of room is tried again; and, when all is calm, what was given up
    /// while room was wanting, for whatever reason that may pass.
    pub(crate) fn host_has_room_again(&mut self, calm: bool) {
        let host = self.patients.get(&TargetId::Host);
        let since = host.filter(|_| calm).map(|host| host.opened);
        let again = |patient: &&Patient| {
            let transient = matches!(patient.phase, Phase::GivenUp { trial: Some(_), .. });
            patient.phase.cause().is_some_and(|cause| is_of_room(cause.id))
                || transient && since.is_some_and(|since| patient.since.awake >= since)
        };
        for id in self.given_up(again) {
            self.forgive(&id);
            self.look_soon(&id, Depth::Full);
        }
        // What was unwell for want of room has its time to mend by itself.
        for patient in self.patients.values_mut() {
            if patient.phase.cause().is_some_and(|cause| is_of_room(cause.id)) {
                patient.forget_counts();
            }
        }
    }

    /// Another container under the same name, with an image or a configuration of its own. What the
    /// old one ended of says nothing of it.
    pub(crate) fn container_was_replaced(&mut self, id: &TargetId, limit_before: u64) {
        let Some(patient) = self.patients.get_mut(id) else { return };
        let limit = patient.facts.container.as_ref().map_or(0, |seen| seen.memory_limit);
        if limit != limit_before {
            patient.account.ooms.clear();
        }
        // Somebody made it anew: whatever was tried with the one before says nothing of this one.
        if patient.facts.container.as_ref().is_some_and(|seen| !seen.light) {
            patient.account.light = None;
        }
        self.forgive(id);
    }

    /// The same container may use more memory than before, whoever saw to it: what ended for want of it
    /// finds another world (C8). True: it was given up, and is no longer.
    pub(crate) fn limit_was_raised(&mut self, id: &TargetId, before: &ContainerSeen) -> bool {
        let Some(patient) = self.patients.get_mut(id) else { return false };
        patient.account.ooms.clear();
        patient.facts.container_news.limit_was(before);
        let of_memory = patient.phase.cause().is_some_and(|cause| is_of_memory(cause.id));
        let given_up = of_memory && matches!(patient.phase, Phase::GivenUp { .. });
        if given_up {
            self.forgive(id);
        }
        given_up
    }

    /// R58: what ended for memory while this was not well, and right after its start, ended of it.
    /// That counts neither as its first nor as its second end; given up, it gets one trial.
    pub(crate) fn need_is_well(&mut self, incident: &Incident) {
        let now = self.now;
        let need = &incident.target;
        let Some(parent) = self.patients.get(need) else { return };
        // It was dead for up to one interval before the first look that failed.
        let unseen = incident.detected_after_ms + millis(parent.spec.interval);
        let ago = millis(now.awake.since(parent.opened)).saturating_add(unseen);
        let began = Continuous(now.continuous.0.saturating_sub(ago));
        let of_need = |patient: &&Patient| {
            let seen = patient.facts.container.as_ref();
            let news = &patient.facts.container_news;
            patient.spec.needs.contains(need)
                && patient.phase.cause().is_some_and(|cause| is_of_memory(cause.id))
                && patient.account.ooms.last().is_some_and(|last| *last >= began)
                && seen.is_some_and(|seen| news.lived_less_than(self.policy.oom_at_start, seen))
        };
        for id in self.given_up(of_need) {
            let Some(patient) = self.patients.get_mut(&id) else { continue };
            let at = now.continuous + patient.spec.grace;
            patient.account.ooms.retain(|oom| *oom < began);
            if let Some(given_up) = &mut patient.account.given_up {
                given_up.trial = Some(at);
            }
            if let Phase::GivenUp { trial, .. } = &mut patient.phase {
                *trial = Some(at);
            }
            patient.reason = Reason::new("R58", "why.world_changed");
        }
    }

    fn given_up(&self, which: impl Fn(&&Patient) -> bool) -> Vec<TargetId> {
        let given_up = |patient: &&Patient| matches!(patient.phase, Phase::GivenUp { .. });
        let found = self.patients.values().filter(given_up).filter(which);
        found.map(|patient| patient.spec.id.clone()).collect()
    }
}

/// A person, or whoever else it was, started it: not the engine by its own policy, nor we.
pub(crate) fn was_started_by_others(before: Option<&ContainerSeen>, seen: &ContainerSeen) -> bool {
    before.is_some_and(|before| {
        before.id == seen.id
            && before.restart_count >= seen.restart_count
            && !container::is_up(before.status)
            && container::is_up(seen.status)
    })
}

/// The same container, and its limit is higher than it was, or gone.
pub(crate) fn has_more(before: &ContainerSeen, seen: &ContainerSeen) -> bool {
    let above = |limit: u64| if limit == 0 { u64::MAX } else { limit };
    before.id == seen.id && above(seen.memory_limit) > above(before.memory_limit)
}

fn is_of_room(id: CauseId) -> bool {
    matches!(
        id,
        CauseId::HostDiskFull
            | CauseId::ContainerHostPressure
            | CauseId::DockerVmOom
            | CauseId::DockerMemoryTooSmall
    )
}
