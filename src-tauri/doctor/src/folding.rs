//! Folding: one incident, named after the root, lists all that suffers with it (R15, R16, R49).

use crate::cause::{Cause, CauseId};
use crate::doctor::Doctor;
use crate::incident::{Incident, IncidentState, StoryKind};
use crate::ledger::Intent;
use crate::order::Depth;
use crate::patient::Patient;
use crate::phase::{Phase, Reason};
use crate::sentence::Sentence;
use crate::target::{Care, TargetId};

/// More than this are counted by nobody.
const AFFECTS: usize = 200;
/// So many are named in a notice.
const NAMED: usize = 6;

impl Doctor {
    /// The open incident that trouble of this kind belongs to, if it is not the target's own: that
    /// of the parent which inhibits it, or of something that it needs.
    pub(crate) fn root_of(&self, id: &TargetId, cause: CauseId) -> Option<TargetId> {
        let patient = self.patients.get(id)?;
        if let Some(root) = self.storm_root(id) {
            return Some(root);
        }
        if patient.inhibited_by.is_some() {
            return self.root_above(id);
        }
        if let Some(need) = self.dies_of_its_need(patient, cause) {
            return Some(need).filter(|root| self.has_open(root));
        }
        if !is_soft_symptom(cause) {
            return None;
        }
        let root = self.needs_of(patient).find_map(|need| {
            if self.has_open(need) { Some(need.clone()) } else { self.listed_by(need) }
        });
        root.filter(|root| root != id).or_else(|| self.sick_container(id, cause))
    }

    /// Takes this target's trouble into the root's incident.
    pub(crate) fn fold(&mut self, id: &TargetId, root: &TargetId) {
        let mut taken = vec![id.clone()];
        let parent = self.name(root);
        if let Some(own) = self.open_one(id) {
            taken.extend(own.affects);
            let says = Sentence::new("story.folded").with("parent", parent);
            self.tell_story(id, StoryKind::Seen, says);
            self.notices.needs_nobody(id);
            self.shut_incident(id, IncidentState::Closed);
        }
        for one in taken {
            self.list(root, one);
        }
    }

    /// Another incident lists it at the moment.
    pub(crate) fn listed_by(&self, id: &TargetId) -> Option<TargetId> {
        let lists =
            |incident: &Incident| incident.closed.is_none() && incident.affects.contains(id);
        let root = self.patients.values().find(|one| one.incident.as_ref().is_some_and(lists))?;
        Some(root.spec.id.clone())
    }

    /// The incident of this target has just been opened: it takes in what suffers already.
    pub(crate) fn gather(&mut self, root: &TargetId) {
        let children: Vec<TargetId> = self
            .patients
            .values()
            .filter(|patient| patient.spec.id != *root && self.suffers_from(patient, root))
            .map(|patient| patient.spec.id.clone())
            .collect();
        for child in children {
            self.fold(&child, root);
        }
    }

    /// R15: its parent is not well.
    pub(crate) fn fold_into_parent(&mut self, id: &TargetId) {
        let above = self.root_above(id).filter(|_| self.patients.get(id).is_some_and(waits));
        if let Some(root) = above {
            self.fold(id, &root);
            return;
        }
        let root = self.top_parent(id);
        let says = Sentence::new("story.folded").with("parent", self.name(&root));
        self.tell_story(id, StoryKind::Seen, says);
        self.close_incident(id, IncidentState::Closed, None);
    }

    /// The root's incident has ended. What it listed and is still unwell is judged again, after a
    /// fresh grace when the root is well (R14, R17), and has an incident of its own otherwise.
    pub(crate) fn unfold(&mut self, incident: &Incident) {
        let now = self.now;
        self.storm_ends_with(incident);
        let is_well = match incident.state {
            IncidentState::Verified | IncidentState::HealedItself => true,
            IncidentState::Open
            | IncidentState::Healing
            | IncidentState::GivenUp
            | IncidentState::Closed => false,
        };
        if is_well {
            self.need_is_well(incident);
        }
        for id in &incident.affects {
            let Some(patient) = self.patients.get_mut(id) else { continue };
            let given_up = matches!(patient.phase, Phase::GivenUp { .. });
            let sick = match &patient.phase {
                Phase::Down { cause, .. }
                | Phase::Degraded { cause: Some(cause) }
                | Phase::GivenUp { cause, .. } => cause.clone(),
                Phase::Unknown
                | Phase::Starting { .. }
                | Phase::Healthy
                | Phase::Slow
                | Phase::Degraded { cause: None }
                | Phase::Recovering { .. } => continue,
            };
            let has_own = patient.incident.as_ref().is_some_and(|own| own.closed.is_none());
            if patient.inhibited_by.is_some() || has_own {
                continue;
            }
            if given_up {
                // It still needs a person, whom nothing else would tell of it any more: as of any other
                // problem, unless it follows the others at once (R50), and then every few hours.
                self.stand_alone(id, sick);
                self.incident_state(id, IncidentState::GivenUp, Some("story.given_up"));
                if let Some(own) = self.open_one(id) {
                    self.notices.needed(id, own.id, now.continuous);
                }
            } else if is_well {
                patient.forget_counts();
                patient.give_grace("why.parent_back", now);
                if let Some(until) = patient.settles {
                    let reason = Reason::new("R17", "why.parent_back").until(until);
                    patient.enter(Phase::Starting { until }, reason, now);
                }
                self.look_soon(id, Depth::Full);
            } else {
                self.stand_alone(id, sick);
            }
        }
    }

    /// Its trouble is its own from now on.
    pub(crate) fn stand_alone(&mut self, id: &TargetId, cause: Cause) {
        let now = self.now.awake;
        let since = self.patients.get(id).and_then(|patient| patient.first_bad);
        let has_own = self.open_one(id).is_some();
        if !has_own {
            self.begin_incident(id, cause, since.map_or(now, |since| since.awake));
        }
    }

    /// How many others suffer, and the first few by name.
    pub(crate) fn affected(&self, incident: &Incident) -> Option<Sentence> {
        let count = u32::try_from(incident.affects.len()).unwrap_or(u32::MAX);
        let mut names: Vec<String> =
            incident.affects.iter().take(NAMED).map(|id| self.name(id)).collect();
        if incident.affects.len() > NAMED {
            names.push("…".into());
        }
        let says = Sentence::new("notice.affects").with("count", count);
        (count > 0).then(|| says.with("names", names.join(", ")))
    }

    pub(crate) fn list(&mut self, root: &TargetId, child: TargetId) {
        let Some(patient) = self.patients.get_mut(root) else { return };
        let Some(incident) = &mut patient.incident else { return };
        if incident.closed.is_some() || incident.affects.len() >= AFFECTS || child == *root {
            return;
        }
        if let Err(at) = incident.affects.binary_search(&child) {
            incident.affects.insert(at, child);
            self.touch_incident(root);
        }
    }

    /// Something that it needs is there and not well.
    pub(crate) fn lacks_a_need(&self, patient: &Patient) -> bool {
        self.needs_of(patient)
            .filter_map(|need| self.patients.get(need))
            .any(|need| need.is_found() && !need.phase.is_usable())
    }

    fn suffers_from(&self, patient: &Patient, root: &TargetId) -> bool {
        if patient.inhibited_by.is_some() {
            let busy = matches!(patient.phase, Phase::Recovering { .. } | Phase::GivenUp { .. });
            return waits(patient) && !busy && self.top_parent(&patient.spec.id) == *root;
        }
        let sick = match &patient.phase {
            Phase::Down { cause, .. } | Phase::Degraded { cause: Some(cause) } => cause.id,
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { cause: None }
            | Phase::Recovering { .. }
            | Phase::GivenUp { .. } => return false,
        };
        is_soft_symptom(sick)
            && (self.needs_of(patient).any(|need| need == root)
                || self.sick_container(&patient.spec.id, sick).as_ref() == Some(root))
    }

    /// What it cannot work without; a service needs what its container needs, too.
    pub(crate) fn needs_of<'a>(
        &'a self,
        patient: &'a Patient,
    ) -> impl Iterator<Item = &'a TargetId> {
        let container = match &patient.spec.care {
            Care::Service { container: Some(name), .. } => {
                self.patients.get(&TargetId::Container(name.clone()))
            }
            Care::Service { container: None, .. }
            | Care::Host
            | Care::Docker
            | Care::Ollama { .. }
            | Care::Mlx { .. }
            | Care::Container { .. } => None,
        };
        patient.spec.needs.iter().chain(container.into_iter().flat_map(|one| &one.spec.needs))
    }

    /// The open incident of what inhibits it; a container may suffer from something else itself.
    fn root_above(&self, id: &TargetId) -> Option<TargetId> {
        let top = self.top_parent(id);
        if self.has_open(&top) {
            return Some(top);
        }
        let listed = matches!(top, TargetId::Container(_)).then(|| self.listed_by(&top));
        listed.flatten().filter(|root| root != id)
    }

    /// Along the chain of parents that inhibit each other.
    fn top_parent(&self, id: &TargetId) -> TargetId {
        let mut top = id;
        while let Some(parent) = self.patients.get(top).and_then(|one| one.inhibited_by.as_ref()) {
            top = parent;
        }
        top.clone()
    }

    pub(crate) fn has_open(&self, id: &TargetId) -> bool {
        let incident = self.patients.get(id).and_then(|patient| patient.incident.as_ref());
        incident.is_some_and(|incident| incident.closed.is_none())
    }
}

/// Wanted, and known to be there: it is missed while its parent is away.
fn waits(patient: &Patient) -> bool {
    let known = patient.spec.configured || patient.account.seen_alive;
    known && patient.account.intent == Intent::Wanted
}

/// It runs and does not do its work, which may well be for want of what it needs (R16). What has
/// ended has its own proof and its own cause.
pub(crate) fn is_soft_symptom(id: CauseId) -> bool {
    matches!(
        id,
        CauseId::ContainerUnhealthy
            | CauseId::ContainerStartupHang
            | CauseId::ContainerNoProgress
            | CauseId::ServiceRefused
            | CauseId::ServiceTimeout
            | CauseId::ServiceEmptyReply
            | CauseId::ServiceBadStatus
            | CauseId::ServiceBusy
    )
}
