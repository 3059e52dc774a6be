//! The chain: services that stop answering together are told of in one incident, which names the
//! container they live in (R49). Each is still judged, treated and proven by its own answers (R46).

use crate::cause::{Cause, CauseId, Confidence};
use crate::clock::Awake;
use crate::doctor::Doctor;
use crate::folding::is_soft_symptom;
use crate::incident::{Incident, IncidentState};
use crate::ledger::Intent;
use crate::observation::{ContainerHealth, ContainerStatus};
use crate::order::Depth;
use crate::patient::Patient;
use crate::phase::Phase;
use crate::sentence::Sentence;
use crate::target::TargetId;

/// Among the values of a cause that was concluded from a container's services.
const SERVICES: &str = "services";

impl Doctor {
    /// Several services of this one's container have stopped answering, and nothing in it answers: it
    /// is the container, in whatever health it says it is.
    pub(crate) fn blame_container(&mut self, id: &TargetId, cause: CauseId, since: Awake) {
        let container = self.container_in(id);
        if container == *id || !is_silence(cause) || self.has_open(&container) {
            return;
        }
        let Some(services) = self.silent_services(&container) else { return };
        let names: Vec<String> = services.iter().map(|id| self.name(id)).collect();
        let count = u32::try_from(services.len()).unwrap_or(u32::MAX);
        let evidence = Sentence::new("evidence.services_silent")
            .with("count", count)
            .with("names", names.join(", "));
        let id = CauseId::ContainerUnhealthy;
        let says = Sentence::new(id.as_str()).with(SERVICES, count);
        let cause = Cause { id, confidence: Confidence::Likely, evidence: vec![evidence], says };
        self.begin_incident(&container, cause, since);
        for one in services {
            // What was tried for it before the others were known to be silent belongs here as well.
            let attempts = self.open_one(&one).map_or(0, |own| own.attempts);
            self.fold(&one, &container);
            if let Some(patient) = self.patients.get_mut(&container)
                && let Some(incident) = &mut patient.incident
            {
                incident.attempts = incident.attempts.max(attempts);
            }
        }
    }

    /// The container whose open incident this service's trouble belongs to.
    pub(crate) fn sick_container(&self, id: &TargetId, cause: CauseId) -> Option<TargetId> {
        let container = self.container_in(id);
        let incident = self.patients.get(&container)?.incident.as_ref()?;
        if container == *id || incident.closed.is_some() {
            return None;
        }
        let belongs =
            if is_of_services(incident) { is_silence(cause) } else { is_soft_symptom(cause) };
        belongs.then_some(container)
    }

    /// Where it is told what becomes of this target: with its container, when the incident of that
    /// lists it and it has none of its own.
    pub(crate) fn teller(&self, id: &TargetId) -> TargetId {
        let container = self.container_in(id);
        if container == *id || self.has_open(id) {
            return id.clone();
        }
        let incident = self.patients.get(&container).and_then(|patient| patient.incident.as_ref());
        let listed = incident.is_some_and(|one| one.closed.is_none() && one.affects.contains(id));
        if listed { container } else { id.clone() }
    }

    /// The patient whose treatment decides when the container's incident is told.
    pub(crate) fn treated_in<'a>(&'a self, patient: &'a Patient) -> &'a Patient {
        let open = patient.incident.as_ref().filter(|one| one.closed.is_none());
        let Some(incident) = open.filter(|incident| is_of_services(incident)) else {
            return patient;
        };
        let listed = || incident.affects.iter().filter_map(|id| self.patients.get(id));
        let treated = listed().find(|one| matches!(one.phase, Phase::Recovering { .. }));
        treated
            .or_else(|| listed().find(|one| matches!(one.phase, Phase::Down { .. })))
            .unwrap_or(patient)
    }

    /// The container runs, which it did all the while: that alone ends no incident of its services.
    pub(crate) fn chain_outlasts(&self, container: &TargetId) -> bool {
        let Some(incident) = self.open_chain(container) else { return false };
        incident.affects.iter().any(|id| self.is_missed(id))
    }

    /// A service that has no incident of its own is well again, or watched no longer. When one
    /// answers, it is not the container that keeps the others from it.
    pub(crate) fn service_settled(&mut self, id: &TargetId, state: IncidentState) {
        let container = self.teller(id);
        let Some(incident) = self.open_one(&container).filter(|_| container != *id) else { return };
        // What its own health check told is over when that passes.
        let of_services = is_of_services(&incident);
        let proven = of_services || self.passes(&container);
        let tried = incident.attempts > 0;
        let others = incident.affects.iter().any(|one| one != id && self.is_missed(one));
        // The remedy of another one is proven by its own answers.
        let treated = self.operations.iter().any(|one| {
            one.is_remedy() && one.is_running() && self.container_in(&one.target) == container
        });
        match state {
            IncidentState::Verified if proven => {
                self.close_incident(&container, state, Some("story.verified"));
            }
            IncidentState::HealedItself if of_services && !treated => {
                let key = if tried { "story.well_again" } else { "story.healed_itself" };
                self.close_incident(&container, state, Some(key));
            }
            IncidentState::Closed if of_services && !others => {
                self.close_incident(&container, state, None);
            }
            IncidentState::Verified
            | IncidentState::HealedItself
            | IncidentState::Closed
            | IncidentState::Open
            | IncidentState::Healing
            | IncidentState::GivenUp => {}
        }
    }

    /// A remedy of one of its services has ended, and another one answers: it was not the container.
    pub(crate) fn part_chain(&mut self, container: &TargetId) {
        let Some(incident) = self.open_chain(container) else { return };
        let answers =
            |id: &TargetId| self.patients.get(id).is_some_and(|one| one.phase.is_usable());
        if incident.affects.iter().any(answers) && self.chain_outlasts(container) {
            self.close_incident(container, IncidentState::Closed, Some("story.service_answers"));
        }
    }

    /// R11: the others in its container are asked, so that what ails them all is named at once.
    pub(crate) fn ask_siblings(&mut self, id: &TargetId) {
        let TargetId::Container(name) = self.container_in(id) else { return };
        let since = self.patients.get(id).and_then(|patient| patient.first_bad);
        let Some(since) = since else { return };
        for sibling in self.services_in(&name) {
            let unasked = self.patients.get(&sibling).is_some_and(|one| {
                one.looking.is_none() && one.last_look.is_none_or(|at| at < since.awake)
            });
            if unasked && sibling != *id {
                self.look_soon(&sibling, Depth::Shallow);
            }
        }
    }

    /// R6: a service in it takes connections and works hard, which its health check may well wait for.
    pub(crate) fn works_inside(&self, container: &TargetId) -> bool {
        let TargetId::Container(name) = container else { return false };
        self.services_in(name).iter().filter_map(|id| self.patients.get(id)).any(|service| {
            let busy = service.note.as_ref().is_some_and(|note| note.id == CauseId::ServiceBusy);
            busy && service.phase.is_usable()
        })
    }

    /// All services of a container that runs, where there are several and none of them answers, and
    /// nothing that they need explains it.
    fn silent_services(&self, container: &TargetId) -> Option<Vec<TargetId>> {
        let TargetId::Container(name) = container else { return None };
        let inside = self.patients.get(container)?;
        let seen = inside.facts.container.as_ref()?;
        let runs = seen.status == ContainerStatus::Running && !seen.skip;
        let wanted = inside.account.intent == Intent::Wanted && inside.inhibited_by.is_none();
        if !runs || !wanted || self.lacks_a_need(inside) {
            return None;
        }
        // What never answered may have a wrong address, and says nothing about the container.
        let services: Vec<&Patient> = self
            .services_in(name)
            .iter()
            .filter_map(|id| self.patients.get(id))
            .filter(|one| one.account.intent == Intent::Wanted && one.account.seen_alive)
            .collect();
        let silent = services.len() > 1 && services.iter().all(|one| self.is_silent(one));
        silent.then(|| services.iter().map(|one| one.spec.id.clone()).collect())
    }

    fn is_silent(&self, service: &Patient) -> bool {
        let fails = match &service.phase {
            Phase::Degraded { .. } => service.tally.hard > 0,
            Phase::Down { .. } | Phase::Recovering { .. } => true,
            // Given up before the others fell silent: it has an incident of its own, and needs a person.
            Phase::GivenUp { .. }
            | Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow => false,
        };
        fails && is_silence(self.diagnose(service).id) && !self.lacks_a_need(service)
    }

    /// Watched, wanted, and not well.
    fn is_missed(&self, id: &TargetId) -> bool {
        self.patients
            .get(id)
            .is_some_and(|one| one.account.intent == Intent::Wanted && !one.phase.is_usable())
    }

    /// It runs, and its own health check has nothing against it.
    fn passes(&self, container: &TargetId) -> bool {
        let inside = self.patients.get(container);
        inside.and_then(|inside| inside.facts.container.as_ref()).is_some_and(|seen| {
            let fails =
                matches!(seen.health, Some(ContainerHealth::Unhealthy | ContainerHealth::Starting));
            seen.status == ContainerStatus::Running && !fails
        })
    }

    fn open_chain(&self, container: &TargetId) -> Option<Incident> {
        self.open_one(container).filter(is_of_services)
    }
}

/// It was concluded from the services in the container, which may have no health check at all.
fn is_of_services(incident: &Incident) -> bool {
    incident.cause.says.values.contains_key(SERVICES)
}

/// No answer at all, of which the container may be the cause; a wrong answer has its own.
fn is_silence(id: CauseId) -> bool {
    matches!(id, CauseId::ServiceRefused | CauseId::ServiceTimeout | CauseId::ServiceEmptyReply)
}
