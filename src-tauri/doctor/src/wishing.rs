//! Wishes of people and agents: what is granted, joined, or refused with a reason (R20 to R24).

use std::time::Duration;

use crate::diagnosis;
use crate::doctor::Doctor;
use crate::event::{Asker, Unload, Wish};
use crate::incident::{RemedyResult, Verb};
use crate::ledger::Intent;
use crate::lever::lever;
use crate::observation::Listener;
use crate::operation::Stage;
use crate::order::{Depth, OperationId, Order, Response, Tell, Ticket};
use crate::phase::Phase;
use crate::plan::{Plan, ServerPlan};
use crate::planning::container_plan;
use crate::remedy::Lever;
use crate::sentence::Sentence;
use crate::target::{Care, TargetId};
use crate::timings::{MeasurePlan, time_limit};

/// More checks at once than this are one too many.
const CHECKS: usize = 16;
/// More errands of a kind at once than this are too many.
const ERRANDS: usize = 16;

impl Doctor {
    pub(crate) fn wished(&mut self, ticket: Ticket, wish: Wish, by: Asker) {
        let response = match wish {
            Wish::Recover { targets } => self.wish_recover(targets, by),
            Wish::CheckEverything => self.wish_recover(Vec::new(), Asker::Agent),
            Wish::Restart { target } => self.wish_remedy(&target, Verb::Restart, by),
            Wish::Start { target } => self.wish_remedy(&target, Verb::Start, by),
            Wish::Stop { target } => self.wish_remedy(&target, Verb::Stop, by),
            Wish::Hold { target } => self.wish_hold(&target),
            Wish::Release { target } => self.wish_release(&target),
            Wish::Unload(what) => self.wish_unload(what, by),
            Wish::Measure(plan) => self.wish_measure(&plan, by),
            Wish::CancelMeasure => self.wish_cancel(),
        };
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
            return Some(Response::Held(Sentence::new("why.held")));
        }
        let parent = patient.inhibited_by.as_ref()?;
        let says = Sentence::new("why.parent").with("parent", parent.to_string());
        Some(Response::NotNow(says))
    }

    /// An agent's word makes us look. A person's word is the confirmation as well (R22), and, when
    /// it names the target, ends a hold (R37): "recover everything" starts nothing that somebody
    /// stopped on purpose.
    fn suspect(&mut self, target: &TargetId, by: Asker, named: bool) {
        self.look_soon(target, Depth::Full);
        let Some(patient) = self.patients.get_mut(target) else { return };
        patient.looking = None;
        if by != Asker::Person {
            // R23: the complaint counts as one observation, and a request for a token follows it.
            patient.complained = Some(self.now.awake);
            patient.deep_due = self.now.awake;
            return;
        }
        if named && patient.account.intent != Intent::Wanted {
            patient.account.intent = Intent::Wanted;
            patient.met = true;
        }
        let wanted = patient.account.intent == Intent::Wanted;
        patient.urged = wanted;
        let inhibited = patient.inhibited_by.is_some();
        self.forgive(target);
        if wanted && !inhibited && self.running_on(target).is_none() {
            self.look(target, true);
        }
    }

    fn wish_remedy(&mut self, target: &TargetId, verb: Verb, by: Asker) -> Response {
        if let TargetId::Service(_) = target {
            return self.wish_for_service(target, verb, by);
        }
        let Some(patient) = self.patients.get(target) else { return unknown(target) };
        if let Some(parent) = &patient.inhibited_by {
            let says = Sentence::new("why.parent").with("parent", parent.to_string());
            return Response::NotNow(says);
        }
        let Some(patient) = self.patients.get(target) else { return unknown(target) };
        if self.is_waking() && verb != Verb::Stop {
            return Response::NotNow(Sentence::new("why.waking"));
        }
        if verb == Verb::Start && patient.phase.is_usable() {
            if let Some(patient) = self.patients.get_mut(target) {
                patient.account.intent = Intent::Wanted;
            }
            return Response::Done;
        }
        if let Some(running) = self.running_on(target) {
            if running.verb == verb || (running.verb == Verb::Restart && verb == Verb::Start) {
                let operation = running.id.clone();
                return Response::Accepted { operation, targets: vec![target.clone()] };
            }
            self.supersede(target, "step.person");
        }
        let plan = match self.person_plan(target, verb) {
            Ok(plan) => plan,
            Err(says) => return Response::Impossible(says),
        };
        if let Some(patient) = self.patients.get_mut(target) {
            patient.account.given_up = None;
            patient.met = true;
            patient.facts.container_news.ends.clear();
            patient.account.intent = if verb == Verb::Stop { Intent::Held } else { Intent::Wanted };
        }
        let operation = self.new_operation(target, verb, by, plan);
        Response::Accepted { operation, targets: vec![target.clone()] }
    }

    /// A service is restarted through its container.
    fn wish_for_service(&mut self, target: &TargetId, verb: Verb, by: Asker) -> Response {
        let Some(patient) = self.patients.get(target) else { return unknown(target) };
        match &patient.spec.care {
            Care::Service { container: Some(name), .. } => {
                let container = TargetId::Container(name.clone());
                self.wish_remedy(&container, verb, by)
            }
            Care::Service { container: None, .. }
            | Care::Host
            | Care::Docker
            | Care::Ollama { .. }
            | Care::Mlx { .. }
            | Care::Container { .. } => Response::Impossible(Sentence::new("why.no_container")),
        }
    }

    fn person_plan(&self, target: &TargetId, verb: Verb) -> Result<Plan, Sentence> {
        let Some(patient) = self.patients.get(target) else {
            return Err(Sentence::new("why.no_such_target"));
        };
        match patient.spec.care {
            Care::Ollama { .. } | Care::Mlx { .. } => {
                let stops = verb != Verb::Start;
                if let Listener::Process(process) = patient.listener()
                    && !diagnosis::is_own_server(patient, process)
                {
                    return Err(Sentence::new("step.other_process")
                        .with("program", process.id.program())
                        .with("pid", process.id.pid));
                }
                if verb == Verb::Stop {
                    if matches!(lever(patient), Some(Ok(Lever::App(_) | Lever::Launchd(_)))) {
                        return Err(Sentence::new("why.supervised"));
                    }
                    return Ok(Plan::Server(ServerPlan {
                        stop: Some(self.stop_plan(patient)),
                        unproven: patient.started.clone(),
                        start: None,
                        patience: self.policy.patience_ollama,
                        killed: false,
                        start_within: Duration::ZERO,
                    }));
                }
                self.server_plan(patient, stops)
            }
            Care::Container { .. } => {
                container_plan(patient, verb != Verb::Start, verb != Verb::Stop)
                    .ok_or_else(|| Sentence::new("why.no_such_container"))
            }
            Care::Docker => Err(Sentence::new("why.docker_by_hand")),
            Care::Host => Err(Sentence::new("why.not_the_host")),
            Care::Service { .. } => Err(Sentence::new("why.no_container")),
        }
    }

    fn wish_hold(&mut self, target: &TargetId) -> Response {
        if !self.patients.contains_key(target) {
            return unknown(target);
        }
        self.hold(target, "why.held");
        Response::Done
    }

    fn wish_release(&mut self, target: &TargetId) -> Response {
        if !self.patients.contains_key(target) {
            return unknown(target);
        }
        if let Some(patient) = self.patients.get_mut(target) {
            patient.account.intent = Intent::Wanted;
            // It was released on purpose: it is wanted, though it may never have been seen to run.
            patient.met = true;
        }
        self.forgive(target);
        self.look_soon(target, Depth::Full);
        Response::Done
    }

    fn wish_unload(&mut self, what: Unload, by: Asker) -> Response {
        let Some(ollama) = self.patients.get(&TargetId::Ollama) else {
            return unknown(&TargetId::Ollama);
        };
        if !ollama.phase.is_usable() {
            return Response::NotNow(Sentence::new("why.ollama_unwell"));
        }
        let (now, idle) = (self.now.awake, self.policy.idle_model);
        let loaded = &ollama.facts.loaded;
        let Care::Ollama { pinned, .. } = &ollama.spec.care else {
            return unknown(&TargetId::Ollama);
        };
        let only_idle = what == Unload::Idle;
        let models: Vec<String> = match what {
            Unload::Model(name) => vec![name],
            Unload::All => Vec::new(),
            Unload::Idle => loaded
                .iter()
                // A model that never expires is pinned (R61).
                .filter(|fact| fact.ends_s.is_some() && now.since(fact.quiet_since) >= idle)
                .filter(|fact| !pinned.contains(&fact.seen.name))
                .map(|fact| fact.seen.name.clone())
                .collect(),
        };
        if models.is_empty() && only_idle {
            return Response::Impossible(Sentence::new("why.no_idle_model"));
        }
        self.errand(Verb::Unload, by, Plan::Unload { models })
    }

    /// E1: never under memory pressure, one at a time.
    fn wish_measure(&mut self, wanted: &MeasurePlan, by: Asker) -> Response {
        if let Some(running) = self.running_verb(Verb::Measure) {
            let operation = running.id.clone();
            return Response::Accepted { operation, targets: Vec::new() };
        }
        let strained = self
            .patients
            .get(&TargetId::Host)
            .and_then(|host| host.facts.host.as_ref())
            .is_some_and(|seen| seen.pressure >= 2);
        if strained {
            return Response::NotNow(Sentence::new("why.under_pressure"));
        }
        let known = self.measurable();
        let models: Vec<(String, Duration)> = if wanted.models.is_empty() {
            known.iter().map(|(name, size)| (name.clone(), time_limit(*size))).collect()
        } else {
            let mut models = Vec::new();
            for name in &wanted.models {
                // `llama3` is `llama3:latest` to Ollama, and so it is here.
                let full = format!("{name}:latest");
                let found = known.iter().find(|(known, _)| known == name || *known == full);
                let Some((name, size)) = found else {
                    let says = Sentence::new("why.no_such_model").with("model", name.as_str());
                    return Response::Impossible(says);
                };
                models.push((name.clone(), time_limit(*size)));
            }
            models
        };
        if models.is_empty() {
            return Response::Impossible(Sentence::new("why.no_models"));
        }
        self.errand(Verb::Measure, by, Plan::Measure { models })
    }

    /// All models with their size on disk; those of MLX as `mlx:NAME`, of unknown size.
    fn measurable(&self) -> Vec<(String, Option<u64>)> {
        let mut models = Vec::new();
        if let Some(ollama) = self.patients.get(&TargetId::Ollama)
            && ollama.phase.is_usable()
        {
            let named = ollama.facts.models.iter().filter(|model| !only_embeds(&model.name));
            models.extend(named.map(|model| (model.name.clone(), Some(model.size_bytes))));
        }
        if let Some(mlx) = self.patients.get(&TargetId::Mlx)
            && mlx.phase.is_usable()
            && let Some(names) = mlx.facts.mlx.as_ref().and_then(|seen| seen.models.clone())
        {
            models.extend(names.into_iter().map(|name| (format!("mlx:{name}"), None)));
        }
        models
    }

    fn running_count(&self, verb: Verb) -> usize {
        self.operations.iter().filter(|one| one.verb == verb && one.is_running()).count()
    }

    fn errand(&mut self, verb: Verb, by: Asker, plan: Plan) -> Response {
        let target = TargetId::Ollama;
        let same = self.operations.iter().find(|one| one.is_running() && one.plan == plan);
        if let Some(running) = same {
            return Response::Accepted { operation: running.id.clone(), targets: vec![target] };
        }
        if self.running_count(verb) >= ERRANDS {
            return Response::NotNow(Sentence::new("why.too_many_errands"));
        }
        let operation = self.new_operation(&target, verb, by, plan);
        Response::Accepted { operation, targets: vec![target] }
    }

    fn wish_cancel(&mut self) -> Response {
        let Some(running) = self.running_verb(Verb::Measure) else {
            return Response::Impossible(Sentence::new("why.nothing_measured"));
        };
        let id = running.id.clone();
        let says = Some(Sentence::new("step.cancelled"));
        self.end(&id, RemedyResult::Superseded, says, false);
        Response::Done
    }

    /// A check ends when each of its targets is well, or has settled otherwise.
    pub(crate) fn finish_checks(&mut self) {
        let checks: Vec<(OperationId, Vec<TargetId>, crate::clock::Now)> = self
            .operations
            .iter()
            .filter(|one| matches!(one.stage, Stage::Verifying(_)))
            .filter_map(|one| match &one.plan {
                Plan::Check { targets } => Some((one.id.clone(), targets.clone(), one.began)),
                Plan::Server(_)
                | Plan::Container(_)
                | Plan::Unload { .. }
                | Plan::Measure { .. } => None,
            })
            .collect();
        for (id, targets, began) in checks {
            let mut sick = Vec::new();
            let mut pending = false;
            for target in &targets {
                match self.settled(target, began.awake) {
                    Settled::Well => {}
                    Settled::Sick => sick.push(target.to_string()),
                    Settled::Pending => pending = true,
                }
            }
            if pending {
                continue;
            }
            let (result, says) = if sick.is_empty() {
                (RemedyResult::Verified, Sentence::new("step.all_well"))
            } else {
                let says = Sentence::new("step.still_sick").with("targets", sick.join(", "));
                (RemedyResult::Failed, says)
            };
            self.end(&id, result, Some(says), false);
            for target in &targets {
                // The wish is fulfilled or not; it does not hang over the next failure.
                if let Some(patient) = self.patients.get_mut(target) {
                    patient.urged = false;
                }
            }
        }
        self.retire();
    }

    fn settled(&self, target: &TargetId, began: crate::clock::Awake) -> Settled {
        let Some(patient) = self.patients.get(target) else { return Settled::Well };
        let fresh = patient.last_good.is_some_and(|good| good.awake >= began);
        let aside = !patient.is_found()
            || patient.inhibited_by.is_some()
            || patient.account.intent != Intent::Wanted;
        if aside {
            return Settled::Well;
        }
        if patient.looking.is_some_and(|looking| looking.confirms) {
            return Settled::Pending;
        }
        let container = matches!(patient.spec.care, Care::Container { .. });
        match &patient.phase {
            Phase::Healthy | Phase::Slow if fresh || container => Settled::Well,
            Phase::GivenUp { .. } => Settled::Sick,
            Phase::Degraded { cause: Some(_) } => Settled::Sick,
            // Down and nothing will be done: no remedy, no leave, no lever.
            Phase::Down { .. }
                if matches!(patient.reason.rule, "R60" | "R62" | "R16" | "R19" | "R33" | "1.2") =>
            {
                Settled::Sick
            }
            Phase::Unknown if container => Settled::Well,
            Phase::Healthy
            | Phase::Slow
            | Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Degraded { cause: None }
            | Phase::Down { .. }
            | Phase::Recovering { .. } => Settled::Pending,
        }
    }

    /// What a click may ask for now.
    pub fn actions(&self, target: &TargetId) -> Vec<Verb> {
        let Some(patient) = self.patients.get(target) else { return Vec::new() };
        let possible = |verb: Verb| self.person_plan(target, verb).is_ok();
        let up = patient.phase.is_usable()
            || matches!(patient.phase, Phase::Degraded { .. } | Phase::Starting { .. });
        let down = matches!(patient.phase, Phase::Down { .. } | Phase::GivenUp { .. })
            || patient.account.intent != Intent::Wanted;
        match patient.spec.care {
            Care::Ollama { .. } | Care::Mlx { .. } | Care::Container { .. } => {
                let verbs = [
                    (Verb::Restart, up || matches!(patient.phase, Phase::Down { .. })),
                    (Verb::Start, down && !up),
                    (Verb::Stop, up),
                ];
                let offered =
                    verbs.into_iter().filter(|(verb, offered)| *offered && possible(*verb));
                offered.map(|(verb, _)| verb).collect()
            }
            Care::Service { container: Some(_), .. } if patient.inhibited_by.is_none() => {
                vec![Verb::Restart]
            }
            Care::Service { .. } | Care::Host | Care::Docker => Vec::new(),
        }
    }
}

/// Embedding models generate nothing that could be timed; Ollama's list does not tell them apart,
/// their names do.
fn only_embeds(model: &str) -> bool {
    let name = model.to_lowercase();
    ["embed", "minilm", "bge-"].iter().any(|part| name.contains(part))
}

enum Settled {
    Well,
    Sick,
    Pending,
}

fn unknown(target: &TargetId) -> Response {
    Response::Impossible(Sentence::new("why.no_such_target").with("target", target.to_string()))
}
