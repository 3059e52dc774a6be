//! Errands that disturb nothing: models unloaded and measured (E1, R61).

use std::time::Duration;

use crate::doctor::Doctor;
use crate::event::{Asker, Unload};
use crate::incident::{RemedyResult, Verb};
use crate::observation::MlxServer;
use crate::order::{OperationId, Response};
use crate::plan::Plan;
use crate::sentence::Sentence;
use crate::target::TargetId;
use crate::timings::{MeasurePlan, time_limit};
use crate::wishing::unknown;

/// More errands of a kind at once than this are too many.
const ERRANDS: usize = 16;

impl Doctor {
    pub(crate) fn wish_unload(&mut self, what: Unload, by: Asker) -> Response {
        if let Unload::Model(name) = &what
            && let Some(model) = of_mlx(name)
        {
            return self.wish_unload_mlx(model, by);
        }
        let Some(ollama) = self.patients.get(&TargetId::Ollama) else {
            return unknown(&TargetId::Ollama);
        };
        if !ollama.answers() {
            return Response::NotNow(Sentence::new("why.ollama_unwell"));
        }
        let only_idle = what == Unload::Idle;
        let models: Vec<String> = match what {
            Unload::Model(name) => vec![name],
            Unload::All => {
                let loaded = ollama.facts.loaded.iter().filter(|fact| !ollama.keeps(fact));
                loaded.map(|fact| fact.seen.name.clone()).collect()
            }
            Unload::Idle => {
                self.idle_models(ollama).iter().map(|fact| fact.seen.name.clone()).collect()
            }
        };
        if models.is_empty() {
            let key = if only_idle { "why.no_idle_model" } else { "why.only_pinned" };
            return Response::Impossible(Sentence::new(key));
        }
        self.errand(Verb::Unload, by, Plan::Unload { models })
    }

    /// Most MLX servers cannot let go of a model: only their restart frees the memory (FACTS B.1 to
    /// B.3), and that is another wish.
    fn wish_unload_mlx(&mut self, model: Option<String>, by: Asker) -> Response {
        let target = TargetId::Mlx;
        let Some(mlx) = self.patients.get(&target) else { return unknown(&target) };
        let Some(seen) = mlx.facts.mlx.as_ref().filter(|_| mlx.answers()) else {
            return Response::NotNow(Sentence::new("why.mlx_unwell"));
        };
        let server = seen.server;
        let possible = match server {
            MlxServer::Omni => true,
            // By name only.
            MlxServer::Omlx | MlxServer::LmStudio => {
                if model.is_none() {
                    return Response::Impossible(Sentence::new("why.name_the_model"));
                }
                true
            }
            MlxServer::MlxLm
            | MlxServer::OpenAi
            | MlxServer::ModelServer
            | MlxServer::Ollama
            | MlxServer::Unrecognised => false,
        };
        if !possible {
            return Response::Impossible(Sentence::new("why.restart_to_free"));
        }
        self.errand_on(target, Verb::Unload, by, Plan::UnloadMlx { server, model })
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
