//! Who else looks after a container, and which ones come before it (R29, C6).

use crate::clock::Awake;
use crate::container;
use crate::doctor::Doctor;
use crate::ledger::Intent;
use crate::observation::{ContainerHealth, ContainerSeen, Healer};
use crate::patient::Patient;
use crate::phase::{Phase, Reason};
use crate::sentence::Sentence;
use crate::target::{Care, Heal, TargetId};

impl Doctor {
    /// R29: one owner per kind of failure. What is unhealthy is restarted by the healer that runs
    /// beside it and is meant for it; two would restart it in each other's grace. A person's word
    /// overrules that (R22).
    pub(crate) fn is_left_to_us(&self, id: &TargetId, urged: bool) -> Result<(), Reason> {
        match self.healer_of(id).filter(|_| !urged) {
            Some(healer) => {
                let says = Sentence::new("why.other_healer").with("healer", healer.name.as_str());
                Err(Reason::says("R29", says))
            }
            None => Ok(()),
        }
    }

    /// The container that restarts this one when it is unhealthy, and it is.
    fn healer_of(&self, id: &TargetId) -> Option<&ContainerSeen> {
        let seen = self.patients.get(id)?.facts.container.as_ref()?;
        if seen.health != Some(ContainerHealth::Unhealthy) {
            return None;
        }
        self.healers().find(|healer| match &healer.healer {
            Some(Healer::Autoheal { label }) => {
                healer.id != seen.id
                    && label.as_ref().is_none_or(|label| seen.marks.contains(label))
            }
            Some(Healer::Watchtower) | None => false,
        })
    }

    /// Containers that run and heal or replace other ones.
    pub fn healers(&self) -> impl Iterator<Item = &ContainerSeen> {
        let seen = self.patients.values().filter_map(|patient| patient.facts.container.as_ref());
        seen.filter(|seen| seen.healer.is_some() && container::is_up(seen.status))
    }

    /// C6: what it depends on is brought up first, in its own project as its files say, and across
    /// projects as configured. What cannot be brought up keeps nobody waiting for long.
    pub(crate) fn its_turn(&self, patient: &Patient) -> Result<(), Reason> {
        if patient.urged {
            return Ok(());
        }
        let first = self.patients.values().find_map(|other| {
            let until = self.is_coming(other)?;
            let before = other.spec.id != patient.spec.id
                && comes_before(other, patient)
                && !comes_before(patient, other);
            before.then_some((other, until))
        });
        match first {
            Some((other, until)) => {
                let says = Sentence::new("why.comes_first").with("parent", other.spec.id.name());
                Err(Reason::says("R17", says).until(until))
            }
            None => Ok(()),
        }
    }

    /// Ended, and about to be brought up by us: until when that is waited for at the longest.
    fn is_coming(&self, other: &Patient) -> Option<Awake> {
        let seen = other.facts.container.as_ref().filter(|seen| !seen.skip)?;
        let ours = other.is_critical()
            && other.account.intent == Intent::Wanted
            && self.heal_of(other) == Heal::Auto;
        // The stream tells of an end before a reading shows it.
        let died = other.facts.container_news.die.map(|died| died.told);
        let died = died.filter(|told| Some(told.engine_ms) >= seen.started_ms);
        let ended = !container::is_up(seen.status) || died.is_some();
        let coming = match &other.phase {
            Phase::Recovering { operation, .. } => {
                !self.operations.iter().any(|one| one.id == *operation && one.is_soaking())
            }
            Phase::Down { .. } => true,
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. } => ended,
            Phase::GivenUp { .. } => false,
        };
        let first = other.first_bad.map(|first| first.awake).or(died.map(|told| told.at));
        let until = first.unwrap_or(other.since.awake) + self.policy.grace_ceiling;
        (ours && coming && self.now.awake < until).then_some(until)
    }
}

fn comes_before(other: &Patient, patient: &Patient) -> bool {
    let after = match &patient.spec.care {
        Care::Container { after, .. } => after.as_slice(),
        Care::Host
        | Care::Docker
        | Care::Ollama { .. }
        | Care::Mlx { .. }
        | Care::Service { .. } => &[],
    };
    let place = |patient: &Patient| {
        let compose = patient.facts.container.as_ref()?.compose.as_ref()?;
        Some((compose.project.clone()?, compose.service.clone()))
    };
    let depends_on = patient.facts.container.as_ref().map_or(&[][..], |seen| &seen.depends_on);
    let by_files = place(other).is_some_and(|(project, service)| {
        let same = place(patient).is_some_and(|(own, _)| own == project);
        same && depends_on.contains(&service) || after.contains(&project)
    });
    by_files || patient.spec.needs.contains(&other.spec.id)
}
