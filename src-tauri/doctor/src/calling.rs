//! Who calls: a container that complains is not taken down for its own complaint (R38).

use std::net::IpAddr;

use crate::doctor::Doctor;
use crate::order::Response;
use crate::patient::Patient;
use crate::target::{Heal, TargetId};

/// More callers of one and the same check than this are not told apart.
const CALLERS: usize = 16;

impl Doctor {
    /// The container with this address on one of the engine's networks, unless it names itself or
    /// what lives in it. A call that came through a proxy of the engine bears another address, and
    /// then nobody can tell.
    pub(crate) fn calling_container(&self, from: IpAddr, named: &[TargetId]) -> Option<TargetId> {
        let from = from.to_canonical();
        let has = |patient: &&Patient| {
            let seen = patient.facts.container.as_ref();
            seen.is_some_and(|seen| seen.addresses.contains(&from))
        };
        let caller = self.patients.values().find(has)?.spec.id.clone();
        let itself = named.iter().any(|target| self.container_in(target) == caller);
        (!itself).then_some(caller)
    }

    /// While what it asked for is looked into, its own container is left alone.
    pub(crate) fn spare(&mut self, response: &Response, caller: Option<TargetId>) {
        let (Response::Accepted { operation, .. }, Some(caller)) = (response, caller) else {
            return;
        };
        let Some(at) = self.operations.iter().position(|one| one.id == *operation) else { return };
        let callers = &mut self.operations[at].callers;
        if !callers.contains(&caller) && callers.len() < CALLERS {
            callers.push(caller);
        }
    }

    /// Its complaint is being looked into.
    pub(crate) fn is_spared(&self, patient: &Patient) -> bool {
        let acted_on = self.container_in(&patient.spec.id);
        self.operations.iter().any(|one| one.is_running() && one.callers.contains(&acted_on))
    }

    /// R60: what is done to a container for the sake of a service is done to the container: the
    /// stricter of both modes holds.
    pub(crate) fn heal_of(&self, patient: &Patient) -> Heal {
        let acted_on = self.patients.get(&self.container_in(&patient.spec.id));
        let modes = [Some(patient), acted_on].into_iter().flatten().map(|one| one.spec.heal);
        modes.max().unwrap_or(patient.spec.heal)
    }
}
