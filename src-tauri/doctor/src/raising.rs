//! More memory for a container, as it runs: only ever at a person's word, and never more than Docker
//! has (C8). It interrupts nothing, and lasts until the container is made anew.

use crate::cause::CauseId;
use crate::diagnosis::proposal;
use crate::doctor::Doctor;
use crate::event::Asker;
use crate::incident::Verb;
use crate::operation::Operation;
use crate::order::Response;
use crate::patient::Patient;
use crate::plan::Plan;
use crate::sentence::{Sentence, Value};
use crate::target::{Care, TargetId};
use crate::wishing::unknown;

impl Doctor {
    pub(crate) fn wish_raise(&mut self, target: &TargetId, to: Option<u64>, by: Asker) -> Response {
        let Some(patient) = self.patients.get(target) else {
            return unknown(target);
        };
        if by != Asker::Person {
            return Response::Impossible(Sentence::new("why.raise_by_a_person"));
        }
        if let Some(parent) = &patient.inhibited_by {
            let says = Sentence::new("why.parent").with("parent", parent.name());
            return Response::NotNow(says);
        }
        let plan = match self.raise_plan(target, to) {
            Ok(plan) => plan,
            Err(says) => return Response::Impossible(says),
        };
        // Another number for the same container waits for what the first one comes to.
        let others =
            |one: &&Operation| one.is_running() && one.verb == Verb::Raise && one.target == *target;
        if self.operations.iter().find(others).is_some_and(|one| one.plan != plan) {
            return Response::NotNow(Sentence::new("why.too_many_errands"));
        }
        self.errand_on(target.clone(), Verb::Raise, by, plan)
    }

    /// What a click may raise its limit to: only where it ended at that limit, and there is room.
    pub fn proposed_limit(&self, target: &TargetId) -> Option<u64> {
        let patient = self.patients.get(target)?;
        let ended_of_it =
            patient.phase.cause().is_some_and(|cause| cause.id == CauseId::ContainerOomLimit);
        if !ended_of_it || patient.inhibited_by.is_some() {
            return None;
        }
        match self.raise_plan(target, None) {
            Ok(Plan::Raise { to, .. }) => Some(to),
            Ok(_) | Err(_) => None,
        }
    }

    fn raise_plan(&self, target: &TargetId, to: Option<u64>) -> Result<Plan, Sentence> {
        let patient = self.patients.get(target).ok_or_else(|| Sentence::new("why.no_container"))?;
        let Care::Container { .. } = patient.spec.care else {
            return Err(Sentence::new("why.no_container"));
        };
        let Some(seen) = &patient.facts.container else {
            return Err(Sentence::new("why.no_such_container"));
        };
        if seen.skip {
            return Err(Sentence::new("why.skip"));
        }
        let from = seen.memory_limit;
        if from == 0 {
            return Err(Sentence::new("why.no_limit_to_raise"));
        }
        let to = to.unwrap_or_else(|| proposal(from));
        if to <= from {
            let says = Sentence::new("why.limit_not_lower").with("limit", Value::Bytes(from));
            return Err(says);
        }
        self.has_room_for(to, patient)?;
        Ok(Plan::Raise { id: seen.id.clone(), from, to })
    }

    /// Docker's memory, less what the others that run may take.
    fn has_room_for(&self, to: u64, patient: &Patient) -> Result<(), Sentence> {
        let docker = self.docker_bytes();
        if docker == 0 {
            return Err(Sentence::new("why.docker_memory_unknown"));
        }
        let others = self.other_limits(patient);
        if others.saturating_add(to) <= docker {
            return Ok(());
        }
        Err(Sentence::new("why.no_room_to_raise")
            .with("to", Value::Bytes(to))
            .with("docker", Value::Bytes(docker))
            .with("others", Value::Bytes(others)))
    }
}
