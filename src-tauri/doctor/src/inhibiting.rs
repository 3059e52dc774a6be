//! Inhibition: while a parent is not well nothing is concluded about its children (R15, R17).

use crate::doctor::Doctor;
use crate::observation::ContainerStatus;
use crate::order::Depth;
use crate::patient::Patient;
use crate::phase::{Phase, Reason};
use crate::target::{Care, TargetId};

impl Doctor {
    /// R15: while the parent is not well, nothing is concluded about the child.
    pub(crate) fn inhibit(&mut self, id: &TargetId) {
        let parent = self.patients.get(id).and_then(|patient| self.unwell_parent(patient));
        let now = self.now;
        let grace = self.engine_was_well || self.is_freshly_booted();
        // A parent that was never read yet, or only once, is no parent that is unwell.
        let unread =
            parent.as_ref().and_then(|parent| self.patients.get(parent)).is_some_and(|parent| {
                let unjudged = !self.engine_was_well && self.open_one(&parent.spec.id).is_none();
                matches!(parent.phase, Phase::Unknown)
                    && (parent.last_good.is_none() || parent.is_docker() && unjudged)
            });
        // R37: what a person stopped is not given up, nor is what lives in it.
        let held = parent.as_ref().is_some_and(|parent| self.is_held_container(parent));
        let Some(patient) = self.patients.get_mut(id) else { return };
        let given_up = matches!(patient.phase, Phase::GivenUp { .. });
        let settled =
            matches!(patient.phase, Phase::Unknown | Phase::Recovering { .. }) || given_up && !held;
        if patient.inhibited_by == parent && (parent.is_none() || settled) {
            return;
        }
        patient.inhibited_by.clone_from(&parent);
        if let Some(parent) = parent {
            patient.forget_counts();
            if given_up && held {
                patient.account.given_up = None;
                patient.account.renew_attempts();
            }
            let folds = !matches!(patient.phase, Phase::Recovering { .. }) && (!given_up || held);
            if folds {
                let key = if unread { "why.parent_unread" } else { "why.parent" };
                let says = crate::Sentence::new(key).with("parent", parent.name());
                patient.enter(Phase::Unknown, Reason::says("R15", says), now);
                if !unread {
                    self.fold_into_parent(id);
                }
            }
            return;
        }
        patient.forget_counts();
        patient.due = now.awake;
        patient.depth = Depth::Full;
        // R14, R17: the parent is back, the child gets a fresh grace; not so when it is only seen
        // for the first time.
        let is_container = matches!(patient.spec.care, Care::Container { .. });
        if matches!(patient.phase, Phase::Unknown) && (grace || !is_container) {
            patient.give_grace("why.parent_back", now);
        }
    }

    fn unwell_parent(&self, patient: &Patient) -> Option<TargetId> {
        let parent = match &patient.spec.care {
            Care::Container { .. } => TargetId::Docker,
            Care::Service { container: Some(name), .. } => TargetId::Container(name.clone()),
            Care::Service { container: None, .. }
            | Care::Host
            | Care::Docker
            | Care::Ollama { .. }
            | Care::Mlx { .. } => return None,
        };
        let known = self.patients.get(&parent)?;
        // A container that runs, in whatever health, does not hide its service; one that Docker is
        // just restarting does (R29).
        let seen = known.facts.container.as_ref();
        let runs = seen.is_some_and(|seen| seen.status == ContainerStatus::Running);
        let well = known.phase.is_usable()
            || (runs && matches!(known.phase, Phase::Degraded { .. } | Phase::Starting { .. }));
        (!well).then_some(parent)
    }

    /// What it depends on, hard and soft, as far as it is watched (R11, R15, R16).
    pub(crate) fn parents_of(&self, id: &TargetId) -> Vec<TargetId> {
        let Some(patient) = self.patients.get(id) else { return Vec::new() };
        let container = match &patient.spec.care {
            Care::Service { container: Some(name), .. } => Some(TargetId::Container(name.clone())),
            Care::Service { container: None, .. }
            | Care::Container { .. }
            | Care::Host
            | Care::Docker
            | Care::Ollama { .. }
            | Care::Mlx { .. } => None,
        };
        let found = |id: &TargetId| self.patients.get(id).is_some_and(Patient::is_found);
        let needs = patient.spec.needs.iter().chain(&container);
        needs.filter(|id| found(id)).cloned().collect()
    }

    /// The first of its soft parents that is not well (R16).
    pub(crate) fn unwell_need(&self, patient: &Patient) -> Option<TargetId> {
        let unwell = |need: &&TargetId| {
            let known = self.patients.get(need).filter(|need| need.is_found());
            known.is_some_and(|need| !need.phase.is_usable())
        };
        patient.spec.needs.iter().find(unwell).cloned()
    }

    pub(crate) fn inhibit_children(&mut self, parent: &TargetId) {
        let children: Vec<TargetId> = match parent {
            TargetId::Docker => {
                let containers = self.patients.values();
                let containers =
                    containers.filter(|one| matches!(one.spec.care, Care::Container { .. }));
                containers.map(|one| one.spec.id.clone()).collect()
            }
            TargetId::Container(parent) => self.services_in(parent),
            TargetId::Host | TargetId::Ollama | TargetId::Mlx | TargetId::Service(_) => return,
        };
        for child in children {
            self.inhibit(&child);
            self.inhibit_children(&child);
        }
    }

    /// Of a thousand containers hardly one has any, so only services are looked through.
    pub(crate) fn services_in(&self, container: &str) -> Vec<TargetId> {
        let services = self.patients.range(TargetId::Service(String::new())..);
        let inside = services.filter(|(_, one)| {
            matches!(&one.spec.care, Care::Service { container: Some(name), .. } if name == container)
        });
        inside.map(|(id, _)| id.clone()).collect()
    }
}
