//! Errands that disturb nothing: models unloaded and measured (E1, R61).

use std::time::Duration;

use crate::doctor::Doctor;
use crate::ensuring::is_same;
use crate::event::{Asker, Unload};
use crate::incident::{RemedyResult, Verb};
use crate::observation::MlxServer;
use crate::order::{OperationId, Response};
use crate::patient::{LoadedFact, Patient};
use crate::plan::Plan;
use crate::sentence::Sentence;
use crate::target::TargetId;
use crate::timings::{MeasurePlan, time_limit};
use crate::wishing::unknown;

/// More errands of a kind at once than this are too many.
const ERRANDS: usize = 16;

impl Doctor {
    pub(crate) fn wish_unload(&mut self, what: Unload, by: Asker) -> Response {
        let only_idle = match what {
            Unload::Model(name) => return self.wish_unload_model(name, by),
            Unload::All => false,
            Unload::Idle => true,
        };
        let ollama = self.plan_for_ollama(only_idle);
        let mlx = self.plan_for_mlx(only_idle);
        let found = |id| self.patients.get(id).is_some_and(Patient::is_found);
        match (ollama, mlx) {
            (Ok(plan), Err(_)) => self.errand(Verb::Unload, by, plan),
            (Ok(plan), Ok(other)) => {
                let beside = self.errand_on(TargetId::Mlx, Verb::Unload, by, other);
                let mut response = self.errand(Verb::Unload, by, plan);
                if let (Response::Accepted { targets, .. }, Response::Accepted { .. }) =
                    (&mut response, beside)
                {
                    targets.push(TargetId::Mlx);
                }
                response
            }
            (Err(why), Ok(plan)) => {
                let left_out = matches!(why, Response::NotNow(_)) && found(&TargetId::Ollama);
                let response = self.errand_on(TargetId::Mlx, Verb::Unload, by, plan);
                if let (true, Response::Accepted { operation, .. }) = (left_out, &response) {
                    let wall = self.now.wall;
                    let begun = self.operations.iter_mut().find(|one| one.id == *operation);
                    if let Some(begun) = begun {
                        begun.say(wall, Sentence::new("step.ollama_left_out"));
                    }
                }
                response
            }
            (Err(_), Err(why)) if found(&TargetId::Mlx) && !found(&TargetId::Ollama) => why,
            (Err(why), Err(_)) => why,
        }
    }

    /// Without `mlx:` it is the server's that has it in memory, and Ollama's where both have.
    fn wish_unload_model(&mut self, name: String, by: Asker) -> Response {
        if let Some(model) = of_mlx(&name) {
            return self.wish_unload_mlx(model, by);
        }
        let has = |id: &TargetId, is: &dyn Fn(&str) -> bool| {
            let server = self.patients.get(id).filter(|server| server.answers());
            server.is_some_and(|one| one.facts.loaded.iter().any(|fact| is(&fact.seen.name)))
        };
        if !has(&TargetId::Ollama, &|one| is_same(one, &name))
            && has(&TargetId::Mlx, &|one| one == name)
        {
            return self.wish_unload_mlx(Some(name), by);
        }
        match self.ollama_that_answers() {
            Ok(_) => self.errand(Verb::Unload, by, Plan::Unload { models: vec![name] }),
            Err(why) => why,
        }
    }

    fn ollama_that_answers(&self) -> Result<&Patient, Response> {
        let Some(ollama) = self.patients.get(&TargetId::Ollama) else {
            return Err(unknown(&TargetId::Ollama));
        };
        if ollama.answers() {
            Ok(ollama)
        } else {
            Err(Response::NotNow(Sentence::new("why.ollama_unwell")))
        }
    }

    fn plan_for_ollama(&self, only_idle: bool) -> Result<Plan, Response> {
        let ollama = self.ollama_that_answers()?;
        let name = |fact: &LoadedFact| fact.seen.name.clone();
        let models: Vec<String> = if only_idle {
            self.idle_models(ollama).into_iter().map(name).collect()
        } else {
            ollama.facts.loaded.iter().filter(|fact| !ollama.keeps(fact)).map(name).collect()
        };
        if models.is_empty() { Err(none_to_unload(only_idle)) } else { Ok(Plan::Unload { models }) }
    }

    fn plan_for_mlx(&self, only_idle: bool) -> Result<Plan, Response> {
        let (mlx, server) = self.mlx_that_unloads()?;
        let models =
            if only_idle { self.idle_models_of_mlx() } else { self.models_of_mlx(mlx, server) };
        if models.is_empty() {
            return Err(none_to_unload(only_idle));
        }
        Ok(Plan::UnloadMlx { server, models })
    }

    fn wish_unload_mlx(&mut self, model: Option<String>, by: Asker) -> Response {
        let server = match self.mlx_that_unloads() {
            Ok((_, server)) => server,
            Err(why) => return why,
        };
        if model.is_none() && matches!(server, MlxServer::Omlx | MlxServer::LmStudio) {
            return Response::Impossible(Sentence::new("why.name_the_model"));
        }
        let plan = Plan::UnloadMlx { server, models: vec![model] };
        self.errand_on(TargetId::Mlx, Verb::Unload, by, plan)
    }

    /// Most MLX servers cannot let go of a model: only their restart frees the memory (FACTS B.1 to
    /// B.3), and that is another wish.
    fn mlx_that_unloads(&self) -> Result<(&Patient, MlxServer), Response> {
        let Some(mlx) = self.patients.get(&TargetId::Mlx) else {
            return Err(unknown(&TargetId::Mlx));
        };
        let Some(seen) = mlx.facts.mlx.as_ref().filter(|_| mlx.answers()) else {
            return Err(Response::NotNow(Sentence::new("why.mlx_unwell")));
        };
        match seen.server {
            MlxServer::Omni | MlxServer::Omlx | MlxServer::LmStudio => Ok((mlx, seen.server)),
            MlxServer::MlxLm
            | MlxServer::OpenAi
            | MlxServer::ModelServer
            | MlxServer::Ollama
            | MlxServer::Unrecognised => {
                Err(Response::Impossible(Sentence::new("why.restart_to_free")))
            }
        }
    }

    /// E1: never under memory pressure, one at a time.
    pub(crate) fn wish_measure(&mut self, wanted: &MeasurePlan, by: Asker) -> Response {
        if let Some(running) = self.running_verb(Verb::Measure) {
            let operation = running.id.clone();
            return Response::Accepted { operation, targets: Vec::new() };
        }
        if self.is_short_of_memory() {
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

    pub(crate) fn is_short_of_memory(&self) -> bool {
        let host = self.patients.get(&TargetId::Host);
        host.and_then(|host| host.facts.host.as_ref()).is_some_and(|seen| seen.pressure >= 2)
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

    pub(crate) fn running_count(&self, verb: Verb) -> usize {
        self.operations.iter().filter(|one| one.verb == verb && one.is_running()).count()
    }

    pub(crate) fn errand(&mut self, verb: Verb, by: Asker, plan: Plan) -> Response {
        self.errand_on(TargetId::Ollama, verb, by, plan)
    }

    pub(crate) fn errand_on(
        &mut self,
        target: TargetId,
        verb: Verb,
        by: Asker,
        plan: Plan,
    ) -> Response {
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

    pub(crate) fn wish_cancel_measure(&mut self) -> Response {
        let Some(running) = self.running_verb(Verb::Measure) else {
            return Response::Impossible(Sentence::new("why.nothing_measured"));
        };
        let id = running.id.clone();
        self.wish_cancel(&id)
    }

    /// Only what takes long and can be left half done is broken off: a stop or a start never is
    /// (R24), and an unload is on its way already.
    pub(crate) fn wish_cancel(&mut self, id: &OperationId) -> Response {
        let found = self.operations.iter().find(|one| one.id == *id && one.is_running());
        let Some(running) = found else {
            return Response::Impossible(Sentence::new("why.nothing_to_cancel"));
        };
        if !running.can_be_cancelled() {
            return Response::Impossible(Sentence::new("why.not_to_cancel"));
        }
        let id = running.id.clone();
        let says = Some(Sentence::new("step.cancelled"));
        self.end(&id, RemedyResult::Superseded, says, false);
        Response::Done
    }
}

fn none_to_unload(only_idle: bool) -> Response {
    let key = if only_idle { "why.no_idle_model" } else { "why.only_pinned" };
    Response::Impossible(Sentence::new(key))
}

/// `mlx` is whatever the MLX server holds, `mlx:NAME` one model of it.
#[allow(clippy::option_option, reason = "not of MLX, all of it, one of it")]
fn of_mlx(name: &str) -> Option<Option<String>> {
    match name.strip_prefix("mlx") {
        Some("") => Some(None),
        Some(rest) => {
            rest.strip_prefix(':').filter(|name| !name.is_empty()).map(|name| Some(name.into()))
        }
        None => None,
    }
}

/// Embedding models generate nothing that could be timed; Ollama's list does not tell them apart,
/// their names do.
fn only_embeds(model: &str) -> bool {
    let name = model.to_lowercase();
    ["embed", "minilm", "bge-"].iter().any(|part| name.contains(part))
}
