//! What becomes of the containers that a storm has hit: the root's incident tells it, and each
//! leaves the storm when it is well (R18, R49).

use crate::cause::CauseId;
use crate::clock::Awake;
use crate::doctor::Doctor;
use crate::incident::{Incident, StoryKind};
use crate::ledger::Intent;
use crate::phase::Phase;
use crate::sentence::Sentence;
use crate::target::{Heal, TargetId};

impl Doctor {
    /// The open incident that tells what is done to this target: its own, or that of the storm.
    pub(crate) fn told_in(&self, id: &TargetId) -> Option<Incident> {
        self.open_one(&self.teller(id)).or_else(|| self.open_one(&self.storm_root(id)?))
    }

    /// A line about this container in the incident of the storm, unless it has one of its own.
    pub(crate) fn tell_of_victim(&mut self, id: &TargetId, kind: StoryKind, key: &str) {
        let says = Sentence::new(key).with("target", self.name(id));
        self.tell_in_storm(id, kind, says);
    }

    pub(crate) fn tell_in_storm(&mut self, id: &TargetId, kind: StoryKind, says: Sentence) {
        if let Some(root) = self.storm_root(id)
            && self.open_one(id).is_none()
        {
            self.tell_story(&root, kind, says);
        }
    }

    /// What is done to a container that has no incident of its own is the storm's attempt.
    pub(crate) fn treats_victim(&mut self, id: &TargetId, key: &str) {
        if let Some(root) = self.storm_root(id)
            && self.open_one(id).is_none()
        {
            self.bump_attempts(&root);
            let says = Sentence::new(key).with("target", self.name(id));
            self.tell_story(&root, StoryKind::Done, says);
        }
    }

    /// Its recovery is proven: what befalls it from now on is its own.
    pub(crate) fn verified_in_storm(&mut self, id: &TargetId) {
        self.tell_of_victim(id, StoryKind::Proven, "story.storm_verified");
        if let Some(storm) = &mut self.brake.storm
            && storm.hit.remove(id).is_some()
        {
            storm.left.insert(id.clone());
        }
    }

    /// Well for as long as a proof takes, however that came about; or wanted no longer.
    pub(crate) fn let_well_ones_leave(&mut self) {
        let now = self.now.awake;
        let Some(storm) = &self.brake.storm else { return };
        let (mut well, mut unwanted) = (Vec::new(), Vec::new());
        for (id, hit) in &storm.hit {
            let wanted = self.patients.get(id).map(|patient| patient.account.intent);
            if wanted != Some(Intent::Wanted) || self.is_beyond(id) {
                unwanted.push(id.clone());
            } else if self.leaves_at(id, *hit).is_some_and(|at| now >= at) {
                well.push(id.clone());
            }
        }
        for id in &well {
            self.tell_of_victim(id, StoryKind::Proven, "story.storm_well");
        }
        let Some(storm) = &mut self.brake.storm else { return };
        for id in unwanted {
            storm.hit.remove(&id);
            storm.dropped.insert(id);
        }
        for id in well {
            storm.hit.remove(&id);
            storm.left.insert(id);
        }
    }

    pub(crate) fn next_to_leave(&self) -> Option<Awake> {
        let storm = self.brake.storm.as_ref()?;
        storm.hit.iter().filter_map(|(id, hit)| self.leaves_at(id, *hit)).min()
    }

    /// What a notice about the root says of the treatment of the others.
    pub(crate) fn storm_treatment(&self, incident: &Incident) -> Option<Sentence> {
        let storm = self.brake.storm.as_ref().filter(|storm| storm.root == incident.target)?;
        let patients = storm.hit.keys().filter_map(|id| self.patients.get(id));
        let heals = patients
            .into_iter()
            .any(|patient| patient.spec.heal == Heal::Auto && patient.is_critical());
        if !heals || incident.cause.id == CauseId::DockerDown {
            return None;
        }
        Some(if incident.attempts > 0 {
            Sentence::new("notice.storm_tried").with("attempts", incident.attempts)
        } else {
            Sentence::new("notice.storm_waits")
        })
    }

    /// Gone for good, or given up before.
    fn is_beyond(&self, id: &TargetId) -> bool {
        self.patients.get(id).is_none_or(|patient| {
            patient.facts.container.is_none() || matches!(patient.phase, Phase::GivenUp { .. })
        })
    }

    fn leaves_at(&self, id: &TargetId, hit: Awake) -> Option<Awake> {
        let since = self.patients.get(id)?.healthy_since?;
        if self.brake.storm.as_ref().is_some_and(|storm| storm.returns) {
            // The engine itself was away: that they run again is all that was missing.
            return Some(since);
        }
        Some(since.max(hit) + self.policy.soak)
    }
}
