//! What a target says of itself must be whole and true at every moment: the rule, what would change
//! it, when it is looked at next, and why nothing is done. What was promised must come.

use std::collections::BTreeMap;
use std::time::Duration;

use doctor::{
    Awake, Care, Confidence, Doctor, Event, Heal, Intent, NextLook, Operation, Order, Patient,
    Phase, Reason, TargetId, Verb, Why,
};

/// A look that brings nothing is given up after 45 s; by then the next one is asked for.
const UNDECIDED: Duration = Duration::from_secs(100);

/// What was said of each target after the last event.
#[derive(Default)]
pub struct Explained {
    said: BTreeMap<TargetId, Said>,
}

struct Said {
    why: Why,
    state: (&'static str, Intent, Option<TargetId>),
    /// Remedies of it that have begun, and those of its siblings that have ended: what was done for
    /// one service of a container was an attempt for all of them.
    begun: usize,
    /// Since when only a last look was missing.
    confirming: Option<Awake>,
}

impl Explained {
    /// Panics with what is missing or not so.
    pub fn check(&mut self, doctor: &Doctor, event: &Event, orders: &[Order]) {
        let now = doctor.now().awake;
        let mut said = BTreeMap::new();
        for patient in doctor.patients() {
            let id = &patient.spec.id;
            let why = doctor.why(id).expect("a target that is watched");
            assert!(!why.rule.is_empty() && !why.says.key.is_empty(), "why: {id} has no rule");
            assert!(!why.changes.is_empty(), "why: nothing would change {id}: {why:?}");
            let before = self.said.remove(id);
            let looked = is_looked_at(id, event, orders);
            let state = state(patient);
            next_look_is_true(doctor, patient, &why);
            if let Some(before) = &before
                && before.state == state
                && !looked
                && !doctor.is_waking()
            {
                promise_of_a_look_is_kept(id, &before.why, &why, now);
            }
            let tried = |one: &&Operation| {
                is_remedy_of(one, id) || !one.is_running() && is_remedy_beside(doctor, one, patient)
            };
            let begun = doctor.operations().filter(tried).count();
            let treated = doctor.operations().any(|one| is_remedy_of(one, id) && one.is_running());
            let mut confirming = None;
            if let (Phase::Unknown, Some(reason)) = (&patient.phase, &why.nothing_done) {
                is_true(doctor, patient, reason);
            }
            let failed = matches!(patient.phase, Phase::Down { .. } | Phase::GivenUp { .. });
            if failed && !treated {
                let Some(reason) = &why.nothing_done else {
                    panic!("why: {id} is {:?} and does not say why nothing is done", patient.phase)
                };
                is_true(doctor, patient, reason);
                if let Some(before) = before.as_ref().filter(|before| before.begun == begun) {
                    promise_of_an_attempt_is_kept(id, &before.why, reason);
                }
                if reason.says.key == "why.confirming" {
                    let since = before.and_then(|before| before.confirming).unwrap_or(now);
                    let lasts = now.since(since);
                    assert!(lasts < UNDECIDED, "why: {id} is being confirmed for {lasts:?}");
                    confirming = Some(since);
                }
            }
            if let Some(at) = why.next_attempt {
                assert!(failed && at >= now, "why: an attempt at {at:?}, now {now:?}");
            }
            said.insert(id.clone(), Said { why, state, begun, confirming });
        }
        self.said = said;
    }
}

/// A look at it begins or ends; Docker's own tells of all containers.
fn is_looked_at(id: &TargetId, event: &Event, orders: &[Order]) -> bool {
    let ends = matches!(event, Event::Looked { target, .. }
        if target == id
            || (*target == TargetId::Docker && matches!(id, TargetId::Container(_))));
    ends || orders.iter().any(|order| matches!(order, Order::Look(look) if look.target == *id))
}

fn next_look_is_true(doctor: &Doctor, patient: &Patient, why: &Why) {
    let (id, now) = (&patient.spec.id, doctor.now().awake);
    match &why.next_look {
        NextLook::Now => {}
        NextLook::At(at) => assert!(*at > now, "why: {id} is looked at at {at:?}, now {now:?}"),
        NextLook::With(parent) => {
            assert_eq!(patient.inhibited_by.as_ref(), Some(parent), "why: {id} waits for it");
        }
        NextLook::Told(at) => {
            assert!(matches!(id, TargetId::Container(_)), "why: who tells of {id}?");
            let engine = doctor.why(&TargetId::Docker).map(|why| why.next_look);
            let comes = *at > now || engine == Some(NextLook::Now);
            assert!(comes, "why: {id} is told of at {at:?}, now {now:?}, {engine:?}");
        }
    }
}

/// A look that was named comes by then; it is not put off without one.
fn promise_of_a_look_is_kept(id: &TargetId, before: &Why, why: &Why, now: Awake) {
    let NextLook::At(promised) = before.next_look else { return };
    assert!(now < promised, "why: no look at {id} came at {promised:?}, now {now:?}");
    if let NextLook::At(at) = why.next_look {
        assert!(at <= promised, "why: a look at {id} was put off from {promised:?} to {at:?}");
    }
}

/// A wait that was named is not made longer, unless an attempt was made meanwhile.
fn promise_of_an_attempt_is_kept(id: &TargetId, before: &Why, reason: &Reason) {
    let Some(promised) = before.nothing_done.as_ref().filter(|one| one.rule == reason.rule) else {
        return;
    };
    // The stagger begins anew with each container that is brought up.
    if !["R26", "R29", "R27"].contains(&reason.rule) {
        return;
    }
    if let (Some(promised), Some(at)) = (promised.next, reason.next) {
        let late = at.since(promised);
        assert!(late < Duration::from_secs(1), "why: {id} is put off by {late:?}: {reason:?}");
    }
}

/// The reason why nothing is done is so.
fn is_true(doctor: &Doctor, patient: &Patient, reason: &Reason) {
    let (id, now) = (&patient.spec.id, doctor.now().awake);
    let host_suffers = doctor
        .patient(&TargetId::Host)
        .is_some_and(|host| matches!(host.phase, Phase::Degraded { .. }));
    let so = match (reason.rule, reason.says.key.as_str()) {
        ("R35", "why.no_such_container") => true,
        ("R34" | "R35", _) => patient.account.intent != Intent::Wanted,
        ("R15", _) => patient.inhibited_by.is_some(),
        ("R42", _) => doctor.is_waking(),
        ("R20", _) => doctor.operations().any(|one| is_remedy(one) && one.is_running()),
        ("R62", _) => {
            patient.phase.cause().is_some_and(|cause| cause.confidence == Confidence::Possible)
        }
        ("R60", "why.ask") => heals(doctor, patient).contains(&Heal::Ask),
        ("R60", "why.observe") => heals(doctor, patient).contains(&Heal::Observe),
        ("R19", _) => host_suffers,
        ("R26" | "R29" | "R27" | "R28", _) if reason.next.is_some() => {
            reason.next.is_some_and(|at| at > now)
        }
        ("R11", "why.confirming") => true,
        ("R25" | "R28" | "R30" | "R31", _) => {
            matches!(patient.phase, Phase::GivenUp { trial: None, .. })
        }
        // What others decide has its own tests.
        _ => !reason.rule.is_empty(),
    };
    assert!(so, "why: it is not so that {id} waits for {reason:?}, {:?}", patient.phase);
}

fn state(patient: &Patient) -> (&'static str, Intent, Option<TargetId>) {
    (super::audit::word(&patient.phase), patient.account.intent, patient.inhibited_by.clone())
}

fn is_remedy(operation: &Operation) -> bool {
    matches!(operation.verb, Verb::Start | Verb::Stop | Verb::Restart)
}

fn is_remedy_of(operation: &Operation, id: &TargetId) -> bool {
    is_remedy(operation) && operation.target == *id
}

fn is_remedy_beside(doctor: &Doctor, operation: &Operation, patient: &Patient) -> bool {
    let container = |care: &Care| match care {
        Care::Service { container, .. } => container.clone(),
        Care::Host
        | Care::Docker
        | Care::Ollama { .. }
        | Care::Mlx { .. }
        | Care::Container { .. } => None,
    };
    let inside = container(&patient.spec.care);
    let other = doctor.patient(&operation.target).and_then(|one| container(&one.spec.care));
    is_remedy(operation) && inside.is_some() && inside == other
}

/// Its own mode, and that of the container which it lives in.
fn heals(doctor: &Doctor, patient: &Patient) -> Vec<Heal> {
    let container = match &patient.spec.care {
        Care::Service { container: Some(name), .. } => Some(TargetId::Container(name.clone())),
        Care::Service { container: None, .. }
        | Care::Host
        | Care::Docker
        | Care::Ollama { .. }
        | Care::Mlx { .. }
        | Care::Container { .. } => None,
    };
    let container = container.and_then(|id| doctor.patient(&id));
    [Some(patient), container].into_iter().flatten().map(|one| one.spec.heal).collect()
}
