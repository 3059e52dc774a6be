//! Wishes of people and agents: what is granted, joined, or refused with a reason (R20 to R24).

use std::net::IpAddr;
use std::time::Duration;

use crate::diagnosis;
use crate::doctor::Doctor;
use crate::event::{Asker, Wish};
use crate::holding::held;
use crate::incident::Verb;
use crate::ledger::{HeldBy, Intent, LightStage};
use crate::lever::{keeper, lever};
use crate::light;
use crate::observation::{ContainerStatus, Listener};
use crate::order::{Depth, Order, Response, Tell, Ticket};
use crate::patient::Patient;
use crate::phase::Phase;
use crate::plan::Plan;
use crate::planning::{container_plan, removed_plan};
use crate::sentence::Sentence;
use crate::target::{Care, TargetId};

/// More checks at once than this are one too many.
const CHECKS: usize = 16;

impl Doctor {
    pub(crate) fn wished(&mut self, ticket: Ticket, wish: Wish, by: Asker, from: Option<IpAddr>) {
        if by == Asker::Person
            && matches!(
                wish,
                Wish::Recover { .. }
                    | Wish::Restart { .. }
                    | Wish::Start { .. }
                    | Wish::Release { .. }
            )
        {
            self.trust_ourselves();
        }
        let response = match wish {
            Wish::Recover { targets } => {
                let from = from.filter(|_| by == Asker::Agent);
                let caller = from.and_then(|from| self.calling_container(from, &targets));
                let response = self.wish_recover(targets, by);
                self.spare(&response, caller);
                response
            }
            Wish::CheckEverything => self.wish_recover(Vec::new(), Asker::Agent),
            Wish::Restart { target } => self.wish_remedy(&target, Verb::Restart, by),
            Wish::Start { target } => self.wish_remedy(&target, Verb::Start, by),
            Wish::Stop { target, within } => self.wish_stop(&target, within, by),
            Wish::Hold { target, within } => self.wish_hold(&target, within),
            Wish::Release { target } => self.wish_release(&target),
            Wish::Unload(what) => self.wish_unload(what, by),
            Wish::Measure(plan) => self.wish_measure(&plan, by),
            Wish::CancelMeasure => self.wish_cancel_measure(),
            Wish::Ensure { model } => self.wish_ensure(model, by),
            Wish::VerifyModels { model } => self.wish_verify(model, by),
            Wish::Repair { model } => self.wish_repair(model, by),
            Wish::Raise { target, to } => self.wish_raise(&target, to, by),
            Wish::Cancel { operation } => self.wish_cancel(&operation),
        };
        // What a person was promised is on its way to the disk before they hear of it (P12, P14).
        if self.ledger_changed() {
            self.record(None);
        }
        self.orders.push(Order::Tell(Tell::Answer { ticket, response }));
    }

    /// A complaint raises suspicion: look at once (R23). A person's wish also skips back-off and
    /// giving up, and ends a hold (R22, R37).
    fn wish_recover(&mut self, named: Vec<TargetId>, by: Asker) -> Response {
        let everything = named.is_empty();
        let targets: Vec<TargetId> = if everything {
            let found = self.patients.values().filter(|patient| patient.is_found());
            found.map(|patient| patient.spec.id.clone()).collect()
        } else {
            named
        };
        for target in &targets {
            if !self.patients.contains_key(target) {
                return unknown(target);
            }
        }
        if let [target] = targets.as_slice()
            && !everything
            && let Some(refused) = self.refuses_recover(target, by)
        {
            return refused;
        }
        if self.is_waking() {
            return Response::NotNow(Sentence::new("why.waking"));
        }
        for target in &targets {
            self.suspect(target, by, !everything);
        }
        let same = self.operations.iter().find(|one| {
            one.is_running()
                && matches!(&one.plan, Plan::Check { targets: already } if *already == targets)
        });
        if let Some(running) = same {
            return Response::Accepted { operation: running.id.clone(), targets };
        }
        if let [target] = targets.as_slice()
            && let Some(running) = self.running_on(target)
        {
            return Response::Accepted { operation: running.id.clone(), targets };
        }
        if self.running_count(Verb::Check) >= CHECKS {
            return Response::NotNow(Sentence::new("why.too_many_checks"));
        }
        let about = targets.first().filter(|_| !everything).cloned().unwrap_or(TargetId::Host);
        let plan = Plan::Check { targets: targets.clone() };
        let operation = self.new_operation(&about, Verb::Check, by, plan);
        Response::Accepted { operation, targets }
    }

    fn refuses_recover(&self, target: &TargetId, by: Asker) -> Option<Response> {
        let patient = self.patients.get(target)?;
        if patient.account.intent == Intent::Held && by != Asker::Person {
            return Some(Response::Held(held(&patient.account, self.now)));
        }
        if patient.account.is_locked(&self.policy) && !patient.phase.is_usable() {
            return Some(Response::Impossible(Sentence::new("why.panic_locked")));
        }
        let parent = patient.inhibited_by.as_ref()?;
        let says = Sentence::new("why.parent").with("parent", parent.name());
        Some(Response::NotNow(says))
    }

    /// An agent's word makes us look. A person's word is the confirmation as well (R22), and, when
    /// it names the target, ends a hold (R37): "recover everything" starts nothing that somebody
    /// stopped on purpose.
    fn suspect(&mut self, target: &TargetId, by: Asker, named: bool) {
        self.look_soon(target, Depth::Full);
        let Some(patient) = self.patients.get_mut(target) else { return };
        patient.looking = None;
        // R23: the complaint counts as one observation, and a request for a token follows it. Who
        // asks for a look at everything complains of nothing.
        if named {
            patient.complained = Some(self.now.awake);
        }
        patient.deep_due = self.now.awake;
        if by != Asker::Person {
            return;
        }
        if named && self.stands_paused(target) {
            self.wish_remedy(target, Verb::Start, by);
            return;
        }
        let Some(patient) = self.patients.get_mut(target) else { return };
        if named && patient.account.intent != Intent::Wanted {
            patient.account.want();
            patient.met = true;
        }
        let wanted = patient.account.intent == Intent::Wanted;
        // Nobody said of what is well, among everything, that it is sick: it keeps its own measure.
        let meant = wanted && (named || !patient.phase.is_usable());
        patient.urged = meant;
        let inhibited = patient.inhibited_by.is_some();
        self.forgive(target);
        if meant && !inhibited && self.running_on(target).is_none() {
            self.look(target, true);
        }
    }

    /// A container that is paused: it is held for as long as it is (R35), so that to end the hold is to
    /// let it go on.
    pub(crate) fn stands_paused(&self, target: &TargetId) -> bool {
        let patient = self.patients.get(&self.container_in(target));
        let seen = patient.and_then(|patient| patient.facts.container.as_ref());
        seen.is_some_and(|seen| seen.status == ContainerStatus::Paused)
    }

    /// R37: with a time it is a pause. It ends in a start, since it was we who stopped it.
    fn wish_stop(&mut self, target: &TargetId, within: Option<Duration>, by: Asker) -> Response {
        if within.is_some()
            && let Some(patient) = self.patients.get(target)
            && let Some(says) = cannot_start(patient)
        {
            return Response::Impossible(says);
        }
        let response = self.wish_remedy(target, Verb::Stop, by);
        let container = self.container_in(target);
        if let (Response::Accepted { .. }, Some(patient)) =
            (&response, self.patients.get_mut(&container))
        {
            let until = within.map(|within| self.now.continuous + within);
            patient.account.hold(HeldBy::Stop, until, self.now.wall);
        }
        response
    }

    /// The time for which a person had it stopped is over. Where no start can be ordered at once
    /// (its lever is not known yet, what it lives in is not well), it is looked at and healed as
    /// at a person's word.
    pub(crate) fn end_pause(&mut self, target: &TargetId) {
        let started = self.wish_remedy(target, Verb::Start, Asker::Person);
        if !matches!(started, Response::Accepted { .. } | Response::Done) {
            self.suspect(target, Asker::Person, true);
        }
    }

    fn wish_remedy(&mut self, target: &TargetId, verb: Verb, by: Asker) -> Response {
        if let TargetId::Service(_) = target {
            return self.wish_for_service(target, verb, by);
        }
        let Some(patient) = self.patients.get(target) else { return unknown(target) };
        if let Some(parent) = &patient.inhibited_by {
            let says = Sentence::new("why.parent").with("parent", parent.name());
            return Response::NotNow(says);
        }
        let Some(patient) = self.patients.get(target) else { return unknown(target) };
        if self.is_waking() && verb != Verb::Stop {
            return Response::NotNow(Sentence::new("why.waking"));
        }
        let runs = patient.phase.is_usable() || patient.answers();
        if verb == Verb::Start && runs && self.running_on(target).is_none() {
            if let Some(patient) = self.patients.get_mut(target) {
                patient.account.want();
            }
            return Response::Done;
        }
        // R22: not even a person's word overrules the lock; releasing does.
        if patient.account.is_locked(&self.policy) && verb != Verb::Stop {
            return Response::Impossible(Sentence::new("why.panic_locked"));
        }
        if let Some(running) = self.running_on(target) {
            let starts = matches!(running.verb, Verb::Restart | Verb::Unload);
            if running.verb == verb || (starts && verb == Verb::Start) {
                let operation = running.id.clone();
                return Response::Accepted { operation, targets: vec![target.clone()] };
            }
            self.supersede(target, "step.person");
        }
        if *target == TargetId::Docker && by != Asker::Person {
            return Response::Impossible(Sentence::new("why.only_a_person"));
        }
        let plan = match self.person_plan(target, verb) {
            Ok(plan) => plan,
            Err(says) => return Response::Impossible(says),
        };
        let (continuous, now) = (self.now.continuous, self.now.wall);
        if let Some(patient) = self.patients.get_mut(target) {
            patient.account.given_up = None;
            patient.met = true;
            patient.account.exits.try_again(continuous);
            patient.account.light.take_if(|light| light.stage == LightStage::Spent);
            if verb == Verb::Stop {
                patient.account.hold(HeldBy::Stop, None, now);
            } else {
                patient.account.want();
            }
        }
        self.light_begins(target, &plan);
        let operation = self.new_operation(target, verb, by, plan);
        Response::Accepted { operation, targets: vec![target.clone()] }
    }

    /// A service is restarted through its container.
    fn wish_for_service(&mut self, target: &TargetId, verb: Verb, by: Asker) -> Response {
        let Some(patient) = self.patients.get(target) else { return unknown(target) };
        match &patient.spec.care {
            Care::Service { container: Some(name), .. } => {
                let container = TargetId::Container(name.clone());
                let response = self.wish_remedy(&container, verb, by);
                let begins = matches!(verb, Verb::Start | Verb::Restart) && by == Asker::Person;
                if begins && matches!(response, Response::Accepted { .. } | Response::Done) {
                    self.ends_hold(target);
                }
                response
            }
            Care::Service { container: None, .. }
            | Care::Host
            | Care::Docker
            | Care::Ollama { .. }
            | Care::Mlx { .. }
            | Care::Container { .. } => Response::Impossible(Sentence::new("why.no_container")),
        }
    }

    /// R37: a person who starts it ends its own hold as well, not only that of its container.
    fn ends_hold(&mut self, target: &TargetId) {
        let Some(patient) = self.patients.get_mut(target) else { return };
        if patient.account.intent != Intent::Held {
            return;
        }
        patient.account.want();
        // It was held on purpose: it is wanted, though it may never have been seen to run.
        patient.met = true;
        self.look_soon(target, Depth::Full);
    }

    fn person_plan(&self, target: &TargetId, verb: Verb) -> Result<Plan, Sentence> {
        let Some(patient) = self.patients.get(target) else {
            return Err(Sentence::new("why.no_such_target"));
        };
        match patient.spec.care {
            Care::Ollama { .. } | Care::Mlx { .. } => {
                if let Listener::Process(process) = patient.listener()
                    && !diagnosis::is_own_server(patient, process)
                {
                    return Err(Sentence::new("step.other_process")
                        .with("program", process.id.program())
                        .with("pid", process.id.pid));
                }
                match verb {
                    Verb::Stop => self.stop_by_a_person(patient),
                    Verb::Start => self.start_by_a_person(patient),
                    Verb::Restart
                    | Verb::Check
                    | Verb::Unload
                    | Verb::Measure
                    | Verb::Ensure
                    | Verb::Verify
                    | Verb::Repair => self.server_plan(patient, true),
                    Verb::Raise => Err(Sentence::new("why.no_limit_to_raise")),
                }
            }
            Care::Container { .. } => {
                if patient.facts.container.as_ref().is_some_and(|seen| seen.skip) {
                    return Err(Sentence::new("why.skip"));
                }
                // A person's restart takes what runs light back to what its files say (R30).
                let normal = verb == Verb::Restart && light::runs_light(patient);
                let cause = patient.phase.cause();
                let light = cause.is_some_and(|cause| self.light_is_due(patient, cause));
                let anew = (normal || light && verb != Verb::Stop)
                    .then(|| light::plan(patient, !normal))
                    .flatten();
                anew.or_else(|| container_plan(patient, verb != Verb::Start, verb != Verb::Stop))
                    .or_else(|| removed_plan(patient).filter(|_| verb == Verb::Start))
                    .ok_or_else(|| Sentence::new("why.no_such_container"))
            }
            Care::Docker if verb == Verb::Restart => {
                self.docker_plan(patient).map_err(|reason| reason.says)
            }
            Care::Docker => Err(Sentence::new("why.docker_by_hand")),
            Care::Host => Err(Sentence::new("why.not_the_host")),
            Care::Service { .. } => Err(Sentence::new("why.no_container")),
        }
    }

    fn wish_hold(&mut self, target: &TargetId, within: Option<Duration>) -> Response {
        if !self.patients.contains_key(target) {
            return unknown(target);
        }
        self.hold(target, HeldBy::Hold, within);
        Response::Done
    }

    fn wish_release(&mut self, target: &TargetId) -> Response {
        if !self.patients.contains_key(target) {
            return unknown(target);
        }
        // What was taken down is not there to be looked at: it comes back by being made.
        if self.stands_paused(target) || self.is_held_and_removed(target) == Some(true) {
            return self.wish_remedy(target, Verb::Start, Asker::Person);
        }
        // A service that was stopped is released as it was stopped: with its container.
        let container = self.held_with(target).cloned();
        let with = container.map(|container| self.wish_release(&container));
        if let Some(patient) = self.patients.get_mut(target) {
            patient.account.want();
            patient.account.panics.clear();
            // It was released on purpose: it is wanted, though it may never have been seen to run.
            patient.met = true;
        }
        self.forgive(target);
        self.look_soon(target, Depth::Full);
        with.unwrap_or(Response::Done)
    }

    /// Whether a click may end its hold: what was taken down, and cannot be made anew, is ended by
    /// whoever starts it.
    pub fn may_release(&self, target: &TargetId) -> bool {
        self.is_held_and_removed(target) != Some(false)
    }

    /// A held container that is not there any more; whether it can be made anew.
    pub(crate) fn is_held_and_removed(&self, target: &TargetId) -> Option<bool> {
        let patient = self.patients.get(target)?;
        let container = matches!(patient.spec.care, Care::Container { .. });
        let held = patient.account.intent == Intent::Held && patient.inhibited_by.is_none();
        let gone = container && held && patient.met && patient.facts.container.is_none();
        gone.then(|| removed_plan(patient).is_some())
    }

    /// Whether a click may have it stopped for an hour: a model server that can be stopped now, and
    /// started again then.
    pub fn may_pause(&self, target: &TargetId) -> bool {
        let Some(patient) = self.patients.get(target) else { return false };
        matches!(patient.spec.care, Care::Ollama { .. } | Care::Mlx { .. })
            && self.actions(target).contains(&Verb::Stop)
            && cannot_start(patient).is_none()
    }

    /// What a click may ask for now.
    pub fn actions(&self, target: &TargetId) -> Vec<Verb> {
        let Some(patient) = self.patients.get(target) else { return Vec::new() };
        let possible = |verb: Verb| self.person_plan(target, verb).is_ok();
        let up = patient.phase.is_usable()
            || matches!(patient.phase, Phase::Degraded { .. } | Phase::Starting { .. });
        let down = matches!(patient.phase, Phase::Down { .. } | Phase::GivenUp { .. })
            || patient.account.intent != Intent::Wanted
            || patient.facts.removed.is_some();
        match patient.spec.care {
            Care::Ollama { .. } | Care::Mlx { .. } | Care::Container { .. } => {
                let verbs = [
                    (Verb::Restart, up || matches!(patient.phase, Phase::Down { .. })),
                    (Verb::Start, down && !up),
                    (Verb::Stop, up),
                ];
                let offered =
                    verbs.into_iter().filter(|(verb, offered)| *offered && possible(*verb));
                let ensure = patient.offers_ensure().then_some(Verb::Ensure);
                let repair = patient.offers_repair().then_some(Verb::Repair);
                let raise = self.proposed_limit(target).map(|_| Verb::Raise);
                let more = ensure.into_iter().chain(repair).chain(raise);
                offered.map(|(verb, _)| verb).chain(more).collect()
            }
            Care::Service { container: Some(_), .. } if patient.inhibited_by.is_none() => {
                vec![Verb::Restart]
            }
            Care::Service { container: Some(_), .. } => {
                let container = self.held_with(target);
                let starts = container.is_some_and(|id| self.actions(id).contains(&Verb::Start));
                starts.then_some(Verb::Start).into_iter().collect()
            }
            Care::Docker if possible(Verb::Restart) => vec![Verb::Restart],
            Care::Service { .. } | Care::Host | Care::Docker => Vec::new(),
        }
    }
}

/// Why a server that is stopped could not be started again by us; containers always can. Whoever
/// is told to stop it can be told to start it.
fn cannot_start(patient: &Patient) -> Option<Sentence> {
    match keeper(patient) {
        Some(Ok(_)) => return None,
        Some(Err(says)) => return Some(says),
        None => {}
    }
    match (&patient.spec.care, lever(patient)) {
        (_, Some(Err(says))) => Some(says),
        (Care::Mlx { launch: None }, _) => Some(Sentence::new("why.no_launch")),
        (_, Some(Ok(_)) | None) => None,
    }
}

pub(crate) fn unknown(target: &TargetId) -> Response {
    Response::Impossible(Sentence::new("why.no_such_target").with("target", target.to_string()))
}
