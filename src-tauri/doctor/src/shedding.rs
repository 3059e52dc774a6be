//! The ladder of host memory (1.8): idle models of either engine are unloaded while it is short.

use std::time::Duration;

use crate::doctor::Doctor;
use crate::ensuring::is_same;
use crate::event::Asker;
use crate::incident::{StoryKind, Verb};
use crate::observation::MlxServer;
use crate::patient::{LoadedFact, Patient};
use crate::plan::Plan;
use crate::sentence::Sentence;
use crate::target::{Care, Heal, TargetId};

/// What can be unloaded without anybody missing it.
#[derive(Debug)]
struct Idle {
    /// As a person names it.
    model: String,
    bytes: u64,
    /// For how long nobody has asked for it.
    quiet: Duration,
    target: TargetId,
    heal: Heal,
    plan: Plan,
}

impl Doctor {
    /// While memory is short one idle model after the other is unloaded, each given time to show
    /// whether it was enough.
    pub(crate) fn shed_idle_models(&mut self) {
        let now = self.now.awake;
        if self.is_waking() || self.shed_until.is_some_and(|until| now < until) {
            return;
        }
        let errand = |verb| self.running_verb(verb).is_some();
        if errand(Verb::Unload) || errand(Verb::Measure) {
            return;
        }
        let Some(idle) = self.least_valuable() else { return };
        let observes = self.is_faltering() || idle.heal == Heal::Observe;
        let key = if observes { "story.would_have_unloaded" } else { "story.unloads" };
        let says = Sentence::new(key)
            .with("model", idle.model.as_str())
            .with("bytes", crate::Value::Bytes(idle.bytes));
        self.tell_story(&TargetId::Host, StoryKind::Done, says);
        self.shed_until = Some(now + self.policy.pressure_clear);
        if observes {
            return;
        }
        let again = self.policy.shed_again;
        self.shed.retain(|_, at| now.since(*at) < again);
        self.shed.insert(idle.model, now);
        self.errand_on(idle.target, Verb::Unload, Asker::Doctor, idle.plan);
    }

    /// The one whose next request is the farthest away, by how long the last one is ago. Idle times
    /// of the same order (10 to 20 min, 20 to 40, ...) say the same about that; of those the largest
    /// goes first, since one that is loaded again costs less time than several.
    fn least_valuable(&self) -> Option<Idle> {
        let mut all = self.idle_of_ollama();
        all.extend(self.sheds().then(|| self.idle_of_mlx()).into_iter().flatten());
        all.retain(|idle| idle.heal != Heal::Ask && !self.came_back(&idle.model));
        // The first of equals: the order is that of the lists.
        all.into_iter().rev().max_by_key(|idle| (self.order_of(idle.quiet), idle.bytes))
    }

    fn order_of(&self, quiet: Duration) -> u32 {
        let times = quiet.as_secs() / self.policy.idle_model.as_secs().max(1);
        times.max(1).ilog2()
    }

    /// R61: loaded, without a request for ten minutes, and not meant to stay.
    pub(crate) fn idle_models<'a>(&self, ollama: &'a Patient) -> Vec<&'a LoadedFact> {
        let mut models: Vec<&LoadedFact> = ollama
            .facts
            .loaded
            .iter()
            .filter(|fact| self.is_quiet(fact) && !ollama.keeps(fact))
            .collect();
        let order = |fact: &LoadedFact| {
            (self.order_of(self.now.awake.since(fact.quiet_since)), fact.seen.size_bytes)
        };
        models.sort_by_key(|fact| std::cmp::Reverse(order(fact)));
        models
    }

    /// The same of an MLX server; none is all that it holds.
    pub(crate) fn idle_models_of_mlx(&self) -> Vec<Option<String>> {
        let plans = self.idle_of_mlx().into_iter().map(|idle| idle.plan);
        let models = plans.filter_map(|plan| match plan {
            Plan::UnloadMlx { models, .. } => Some(models),
            Plan::Server(_)
            | Plan::Container(_)
            | Plan::Docker
            | Plan::Unload { .. }
            | Plan::Measure { .. }
            | Plan::Raise { .. }
            | Plan::Ensure(_)
            | Plan::Verify { .. }
            | Plan::Check { .. } => None,
        });
        models.flatten().collect()
    }

    /// All that an MLX server of this kind holds and that is not meant to stay.
    pub(crate) fn models_of_mlx(&self, mlx: &Patient, server: MlxServer) -> Vec<Option<String>> {
        let goes = |fact: &&LoadedFact| !self.stays_in_mlx(fact);
        let loaded = &mlx.facts.loaded;
        match server {
            // All goes at once, or nothing.
            MlxServer::Omni => {
                let all = !loaded.is_empty() && loaded.iter().all(|fact| goes(&fact));
                all.then_some(None).into_iter().collect()
            }
            MlxServer::Omlx | MlxServer::LmStudio => {
                loaded.iter().filter(goes).map(|fact| Some(fact.seen.name.clone())).collect()
            }
            MlxServer::MlxLm
            | MlxServer::OpenAi
            | MlxServer::ModelServer
            | MlxServer::Ollama
            | MlxServer::Unrecognised => Vec::new(),
        }
    }

    fn is_quiet(&self, fact: &LoadedFact) -> bool {
        self.now.awake.since(fact.quiet_since) >= self.policy.idle_model
    }

    fn idle_of_ollama(&self) -> Vec<Idle> {
        let Some(ollama) = self.patients.get(&TargetId::Ollama) else { return Vec::new() };
        let Care::Ollama { unload_under_pressure: true, .. } = &ollama.spec.care else {
            return Vec::new();
        };
        // Something works, and nobody can tell which model it is.
        if !ollama.answers() || ollama.facts.insight.is_working() {
            return Vec::new();
        }
        let idle = self.idle_models(ollama).into_iter().map(|fact| Idle {
            model: fact.seen.name.clone(),
            bytes: fact.seen.size_bytes,
            quiet: self.now.awake.since(fact.quiet_since),
            target: TargetId::Ollama,
            heal: ollama.spec.heal,
            plan: Plan::Unload { models: vec![fact.seen.name.clone()] },
        });
        idle.collect()
    }

    /// The same of an MLX server of a kind whose unload is proven (FACTS B.2); the others free their
    /// memory by a restart only, and that is a person's to decide. That it is idle is known by its
    /// processes alone, so they must have been seen to do nothing all that time, and to hold what
    /// the models are said to take: else it is other processes that hold them, and maybe work.
    fn idle_of_mlx(&self) -> Vec<Idle> {
        let known = self.patients.get(&TargetId::Mlx).filter(|mlx| mlx.answers());
        let Some((mlx, seen)) = known.and_then(|mlx| Some((mlx, mlx.facts.mlx.as_ref()?))) else {
            return Vec::new();
        };
        let (now, insight, loaded) = (self.now.awake, &mlx.facts.insight, &mlx.facts.loaded);
        let Some(quiet) = insight.idle_for(now).filter(|_| insight.is_idle(now, &self.policy))
        else {
            return Vec::new();
        };
        let held = insight.activity.map_or(0, |activity| activity.footprint_bytes);
        let told: u64 = loaded.iter().map(|fact| fact.seen.size_bytes).sum();
        if held < told / 2 || quiet < self.policy.idle_model {
            return Vec::new();
        }
        let since = |fact: &LoadedFact| quiet.min(now.since(fact.quiet_since));
        let server = seen.server;
        let idle = |name: &str, bytes: u64, quiet: Duration, model: Option<String>| Idle {
            model: format!("mlx:{name}"),
            bytes,
            quiet,
            target: TargetId::Mlx,
            heal: mlx.spec.heal,
            plan: Plan::UnloadMlx { server, models: vec![model] },
        };
        let spared = |fact: &LoadedFact| !self.is_quiet(fact) || self.stays_in_mlx(fact);
        match server {
            // All that it holds goes at once; of what size its models are is not told.
            MlxServer::Omni => match loaded.first() {
                Some(first) if held >= self.policy.idle_mlx_bytes && !loaded.iter().any(spared) => {
                    let quiet = loaded.iter().map(since).min().unwrap_or_default();
                    vec![idle(&first.seen.name, held, quiet, None)]
                }
                Some(_) | None => Vec::new(),
            },
            MlxServer::Omlx | MlxServer::LmStudio => loaded
                .iter()
                .filter(|fact| fact.seen.size_bytes > 0 && !spared(fact))
                .map(|fact| {
                    let name = &fact.seen.name;
                    idle(name, fact.seen.size_bytes, since(fact), Some(name.clone()))
                })
                .collect(),
            MlxServer::MlxLm
            | MlxServer::OpenAi
            | MlxServer::ModelServer
            | MlxServer::Ollama
            | MlxServer::Unrecognised => Vec::new(),
        }
    }

    /// This model is meant to stay in memory (R61).
    pub fn keeps(&self, server: &TargetId, fact: &LoadedFact) -> bool {
        match server {
            TargetId::Mlx => self.stays_in_mlx(fact),
            TargetId::Ollama => self.patients.get(server).is_some_and(|ollama| ollama.keeps(fact)),
            TargetId::Host | TargetId::Docker | TargetId::Container(_) | TargetId::Service(_) => {
                false
            }
        }
    }

    /// A model of the MLX server that is meant to stay in memory: by its server's own settings, or
    /// by ours, which name it with or without `mlx:`.
    fn stays_in_mlx(&self, fact: &LoadedFact) -> bool {
        let ollama = self.patients.get(&TargetId::Ollama);
        let pinned: &[String] = match ollama.map(|ollama| &ollama.spec.care) {
            Some(Care::Ollama { pinned, .. }) => pinned,
            Some(
                Care::Host
                | Care::Docker
                | Care::Mlx { .. }
                | Care::Container { .. }
                | Care::Service { .. },
            )
            | None => &[],
        };
        let named =
            |name: &String| is_same(name.strip_prefix("mlx:").unwrap_or(name), &fact.seen.name);
        fact.seen.stays || pinned.iter().any(named)
    }

    /// One setting for both engines: it stands with Ollama's, which are always there.
    fn sheds(&self) -> bool {
        let ollama = self.patients.get(&TargetId::Ollama);
        ollama.is_some_and(|ollama| {
            matches!(ollama.spec.care, Care::Ollama { unload_under_pressure: true, .. })
        })
    }

    /// It is in memory again though we unloaded it lately: somebody uses it, and unloading it once
    /// more would only make them wait again.
    fn came_back(&self, model: &str) -> bool {
        let unloaded = self.shed.get(model);
        unloaded.is_some_and(|at| self.now.awake.since(*at) < self.policy.shed_again)
    }
}
