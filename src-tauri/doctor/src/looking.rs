//! Looks: when each target is asked, and what an answer changes.

use std::time::Duration;

use crate::clock::Awake;
use crate::doctor::Doctor;
use crate::observation::Observation;
use crate::order::{Depth, Look, LookId, Order};
use crate::patient::{Looking, Patient};
use crate::phase::{Phase, Reason};
use crate::target::{Care, TargetId};

impl Doctor {
    /// Containers are not asked one by one on a timer: events and the snapshot tell.
    pub(crate) fn is_asked(patient: &Patient) -> bool {
        match patient.spec.care {
            Care::Container { .. } => patient.inhibited_by.is_none() && patient.due < NEVER,
            Care::Host | Care::Docker | Care::Ollama { .. } | Care::Mlx { .. } => true,
            Care::Service { .. } => patient.inhibited_by.is_none(),
        }
    }

    pub(crate) fn order_looks(&mut self) {
        let now = self.now.awake;
        if now >= self.next_snapshot
            && let Some(docker) = self.patients.get_mut(&TargetId::Docker)
        {
            docker.depth = Depth::Full;
        }
        let due: Vec<TargetId> = self
            .patients
            .iter()
            .filter(|(_, patient)| Self::is_asked(patient))
            .filter(|(_, patient)| match patient.looking {
                Some(looking) => now >= looking.deadline,
                None => now >= patient.due,
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.came_to_nothing(&id);
            self.look(&id, false);
        }
    }

    /// 1.2: no answer to a look for three periods is no reading, however well it was before.
    fn came_to_nothing(&mut self, id: &TargetId) {
        let now = self.now;
        let Some(patient) = self.patients.get_mut(id) else { return };
        let limit = 3 * patient.spec.interval;
        let old = patient.last_look.is_none_or(|at| now.awake.since(at) > limit);
        if patient.looking.is_none() || !old || !patient.phase.is_usable() {
            return;
        }
        patient.enter(Phase::Unknown, Reason::new("1.2", "why.no_reading"), now);
        self.inhibit_children(id);
    }

    /// R11: the last reading is too old to act upon; one more decides. Not asked for faster than
    /// fails are, so that a look that brings nothing is not repeated without end.
    pub(crate) fn confirm(&mut self, id: &TargetId) {
        let (now, retry) = (self.now.awake, self.policy.retry);
        let Some(patient) = self.patients.get_mut(id) else { return };
        let lately = patient.asked_again.is_some_and(|asked| now.since(asked) < retry);
        if lately || patient.looking.is_some_and(|looking| looking.confirms) {
            return;
        }
        patient.asked_again = Some(now);
        // R11 (a): what it depends on is asked now as well.
        let parents: Vec<TargetId> = self.parents_of(id);
        for parent in parents {
            self.look_soon(&parent, Depth::Shallow);
        }
        self.look(id, true);
    }

    pub(crate) fn look(&mut self, target: &TargetId, confirms: bool) {
        let id: LookId = self.next_id();
        let stretch = self.doubt();
        let deadline = self.now.awake + self.policy.look_deadline * stretch;
        let model = self.model_to_prove(target);
        let deep = model.is_some() || self.may_look_deep(target);
        let Some(patient) = self.patients.get_mut(target) else { return };
        let depth = match (confirms, deep) {
            (true, _) => Depth::Full,
            (false, true) => Depth::Deep,
            (false, false) => patient.depth,
        };
        patient.depth = Depth::Shallow;
        patient.looking = Some(Looking { id, depth, confirms, deadline });
        self.orders.push(Order::Look(Look { id, target: target.clone(), depth, stretch, model }));
    }

    /// R5, R7: a request for one token is for a model that is loaded, of a process that has had
    /// nothing to do; never faster than every two minutes, or five seconds after one that failed.
    fn may_look_deep(&self, target: &TargetId) -> bool {
        let Some(patient) = self.patients.get(target) else { return false };
        let answers = match &patient.phase {
            // What is down and answers was taken for wedged: only a token tells that it is not.
            Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. }
            | Phase::Down { .. }
            | Phase::GivenUp { .. } => patient.tally.hard == 0,
            Phase::Unknown | Phase::Starting { .. } | Phase::Recovering { .. } => false,
        };
        let now = self.now.awake;
        patient.is_asked_deep()
            && answers
            && !self.is_waking()
            && now >= patient.deep_due
            && patient.facts.insight.is_idle(now, &self.policy)
    }

    pub(crate) fn look_at_everything(&mut self, depth: Depth) {
        let ids: Vec<TargetId> = self.patients.keys().cloned().collect();
        for id in ids {
            self.look_soon(&id, depth);
        }
    }

    /// The next look at everything is a full one, at its usual time.
    pub(crate) fn deepen_all(&mut self) {
        for patient in self.patients.values_mut() {
            patient.depth = Depth::Full;
        }
    }

    /// At once, unless one is under way; then right after it.
    pub(crate) fn look_soon(&mut self, id: &TargetId, depth: Depth) {
        let now = self.now.awake;
        if let Some(patient) = self.patients.get_mut(id) {
            patient.due = now;
            patient.depth = patient.depth.max(depth);
        }
    }

    pub(crate) fn looked(&mut self, look: LookId, target: &TargetId, observation: Observation) {
        let Some(patient) = self.patients.get_mut(target) else { return };
        let Some(looking) = patient.looking.filter(|looking| looking.id == look) else {
            // Late beyond its deadline, or from before a sleep: it says nothing about now.
            return;
        };
        patient.looking = None;
        patient.last_look = Some(self.now.awake);
        self.schedule(target);
        self.inhibit(target);
        match observation {
            Observation::Unasked { reason } => self.unasked(target, &reason),
            Observation::Ollama(seen) => self.saw_ollama(target, seen, looking),
            Observation::Mlx(seen) => self.saw_mlx(target, seen, looking),
            Observation::Service(seen) => self.saw_service(target, seen, looking),
            Observation::Docker(seen) => self.saw_docker(target, seen, looking),
            Observation::Container(seen) => self.saw_container(target, seen),
            Observation::Host(seen) => self.saw_host(target, seen),
        }
        // What it meant may have changed how soon to look again; a container sets its own time.
        let own_time = matches!(target, TargetId::Container(_));
        if !own_time && self.patients.get(target).is_some_and(|one| one.due > self.now.awake) {
            self.schedule(target);
        }
    }

    /// The period ± 10 % (R10), so that probes spread; a quick retry is never later than named,
    /// since the time to a verdict is made of it.
    fn schedule(&mut self, id: &TargetId) {
        let Some(patient) = self.patients.get(id) else { return };
        let is_container = matches!(patient.spec.care, Care::Container { .. });
        let pace = patient.pace(&self.policy);
        let retries = pace < patient.spec.interval;
        let due = if is_container && !matches!(patient.phase, Phase::Recovering { .. }) {
            NEVER
        } else {
            let tenth = crate::clock::millis(pace) / 10;
            let jitter = self.dice(if retries { tenth + 1 } else { 2 * tenth + 1 });
            self.now.awake
                + pace.saturating_sub(Duration::from_millis(tenth))
                + Duration::from_millis(jitter)
        };
        let now = self.now.awake;
        if let Some(patient) = self.patients.get_mut(id) {
            // A request for a token is not late by another period (R5).
            let deep = Some(patient.deep_due).filter(|at| *at > now && patient.is_asked_deep());
            patient.due = deep.map_or(due, |deep| due.min(deep));
        }
    }
}

/// For a target that only events bring back to the doctor's mind.
pub(crate) const NEVER: Awake = Awake(u64::MAX);
