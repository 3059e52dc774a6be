//! Two model servers on one GPU: what the other one did when this one failed or was slow (C5), and
//! what makes a model need so much memory.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::{Awake, Wall};
use crate::doctor::Doctor;
use crate::ensuring::is_same;
use crate::observation::{GpuLimit, MlxServer, Setting};
use crate::patient::{LoadedFact, Patient};
use crate::target::{Care, TargetId};
use crate::timings::Timing;

/// What is known of both servers at once, for a conclusion about one of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sharing {
    /// The other server's work at the moment of the newest line that speaks of contention.
    pub(crate) other_load: Option<OtherLoad>,
    /// How many requests at once are let through, by whom.
    pub(crate) settings: Vec<(String, Setting)>,
    /// Loaded models whose context, not whose weights, takes the memory.
    pub(crate) contexts: Vec<LongContext>,
    /// What the GPU may hold, and what both servers hold.
    pub(crate) gpu: Option<GpuLimit>,
    pub(crate) gpu_bytes: u64,
    /// The MLX server has had nothing to do for so long that its memory is held for nothing, and
    /// its kind cannot let go of it.
    pub(crate) idle_mlx_bytes: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OtherLoad {
    pub(crate) server: TargetId,
    pub(crate) at: Wall,
    /// Of one core, at most, in the minutes around.
    pub(crate) percent: u32,
    pub(crate) bytes: Option<u64>,
}

/// A loaded model that takes far more than its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LongContext {
    pub(crate) model: String,
    pub(crate) bytes: u64,
    pub(crate) file_bytes: u64,
    pub(crate) context: u64,
}

impl LongContext {
    /// What Ollama takes by itself when neither the model nor `OLLAMA_CONTEXT_LENGTH` says another:
    /// 262144 from 47 GiB of GPU memory on, 32768 from 23 (Ollama `server/routes.go`).
    pub(crate) fn is_default(&self) -> bool {
        matches!(self.context, 262_144 | 32_768)
    }
}

/// A measurement far below what the model did before, while the other server worked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Slowed {
    pub(crate) noted: Awake,
    pub(crate) model: String,
    /// Tokens a second, rounded.
    pub(crate) was: i64,
    pub(crate) is: i64,
    pub(crate) load: OtherLoad,
}

/// The last speeds of each model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Speeds {
    known: BTreeMap<(TargetId, String), VecDeque<f64>>,
}

const SPEEDS_KEPT: usize = 9;
const MODELS_KEPT: usize = 200;
/// So many measurements make a habit.
const HABIT: usize = 3;

impl Speeds {
    /// The usual speed before this one, where there is a habit.
    fn take(&mut self, timing: &Timing) -> Option<f64> {
        let speed = timing.tokens_per_s.filter(|speed| speed.is_finite() && *speed > 0.0)?;
        let key = (timing.server.clone(), timing.model.clone());
        if self.known.len() >= MODELS_KEPT && !self.known.contains_key(&key) {
            return None;
        }
        let before = self.known.entry(key).or_default();
        let mut sorted: Vec<f64> = before.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let usual = sorted.get(sorted.len() / 2).copied().filter(|_| sorted.len() >= HABIT);
        before.push_back(speed);
        if before.len() > SPEEDS_KEPT {
            before.pop_front();
        }
        usual
    }
}

impl Doctor {
    /// What is known of both servers when one of them is judged, or the memory of the host.
    pub(crate) fn sharing(&self, patient: &Patient) -> Sharing {
        match patient.spec.care {
            Care::Ollama { .. } | Care::Mlx { .. } | Care::Host => {}
            Care::Docker | Care::Container { .. } | Care::Service { .. } => {
                return Sharing::default();
            }
        }
        let of = |id: &TargetId| self.patients.get(id);
        let host = of(&TargetId::Host).and_then(|host| host.facts.host.as_ref());
        let loaded = of(&TargetId::Ollama).map_or(0, |ollama| {
            loaded(ollama).iter().map(|fact| fact.seen.vram_bytes).sum::<u64>()
        });
        let mlx = of(&TargetId::Mlx)
            .filter(|mlx| mlx.answers())
            .and_then(|mlx| mlx.facts.insight.activity)
            .map_or(0, |activity| activity.footprint_bytes);
        Sharing {
            other_load: self.other_load(patient),
            settings: self.settings(),
            contexts: of(&TargetId::Ollama).map(long_contexts).unwrap_or_default(),
            gpu: host.and_then(|seen| seen.gpu_limit),
            gpu_bytes: loaded.saturating_add(mlx),
            idle_mlx_bytes: self.idle_mlx(),
        }
    }

    fn other_load(&self, patient: &Patient) -> Option<OtherLoad> {
        let other = other_server(&patient.spec.id)?;
        let told = patient.facts.insight.contention_at(self.now.awake, &self.policy)?;
        let ago = i64::try_from(self.now.awake.since(told).as_millis()).ok()?;
        let at = Wall(self.now.wall.0.saturating_sub(ago));
        self.load_at(&other, at, Duration::from_mins(1))
    }

    fn load_at(&self, server: &TargetId, at: Wall, before: Duration) -> Option<OtherLoad> {
        let percent = self.timeline.load(server, at, before)?;
        let bytes = self.timeline.held(server.kind());
        Some(OtherLoad { server: server.clone(), at, percent, bytes })
    }

    /// Of the MLX server first, then of containers, in the order of their names.
    fn settings(&self) -> Vec<(String, Setting)> {
        let of_mlx = self.patients.get(&TargetId::Mlx).and_then(|mlx| mlx.facts.mlx.as_ref());
        let of_mlx = of_mlx.and_then(|seen| seen.settings.as_ref()).into_iter().flatten();
        let of_mlx = of_mlx.map(|setting| (TargetId::Mlx.name().to_owned(), setting.clone()));
        let of_containers = self.patients.values().flat_map(|patient| {
            let seen = patient.facts.container.as_ref().filter(|_| patient.phase.is_usable());
            let settings = seen.map(|seen| seen.settings.as_slice()).unwrap_or_default();
            let owner = patient.spec.id.name();
            settings.iter().map(|setting| (owner.to_owned(), setting.clone()))
        });
        of_mlx.chain(of_containers).collect()
    }

    /// R61: idle for as long as a model that is shed; only where its kind cannot be told to unload.
    fn idle_mlx(&self) -> Option<u64> {
        let mlx = self.patients.get(&TargetId::Mlx).filter(|mlx| mlx.answers())?;
        let seen = mlx.facts.mlx.as_ref()?;
        let keeps = match seen.server {
            MlxServer::MlxLm | MlxServer::ModelServer | MlxServer::Unrecognised => true,
            // These unload what is idle by themselves, or when they are told to (FACTS B.2).
            MlxServer::OpenAi
            | MlxServer::Omni
            | MlxServer::Omlx
            | MlxServer::LmStudio
            | MlxServer::Ollama => false,
        };
        let idle = mlx.facts.insight.idle_for(self.now.awake)? >= self.policy.idle_model;
        let bytes = mlx.facts.insight.activity?.footprint_bytes;
        (keeps && idle && bytes >= self.policy.idle_mlx_bytes).then_some(bytes)
    }

    /// A measurement is compared with the usual speed of that model.
    pub(crate) fn note_speed(&mut self, timing: &Timing) {
        let Some(usual) = self.speeds.take(timing) else { return };
        let Some(speed) = timing.tokens_per_s else { return };
        let Some(other) = other_server(&timing.server) else { return };
        let share = f64::from(self.policy.slowed_percent) / 100.0;
        // It took a while: the other one may have stopped a moment ago.
        let load = self.load_at(&other, self.now.wall, Duration::from_mins(2));
        let contends = self.policy.contends_percent;
        let slowed = match load {
            Some(load) if speed < usual * share && load.percent >= contends => Some(Slowed {
                noted: self.now.awake,
                model: timing.model.clone(),
                was: rounded(usual),
                is: rounded(speed),
                load,
            }),
            Some(_) | None => None,
        };
        if let Some(patient) = self.patients.get_mut(&timing.server) {
            patient.facts.insight.slowed = slowed;
        }
    }

    pub(crate) fn recall_speeds(&mut self, timings: &[Timing]) {
        for timing in timings {
            self.speeds.take(timing);
        }
    }
}

fn other_server(id: &TargetId) -> Option<TargetId> {
    match id {
        TargetId::Ollama => Some(TargetId::Mlx),
        TargetId::Mlx => Some(TargetId::Ollama),
        TargetId::Host | TargetId::Docker | TargetId::Container(_) | TargetId::Service(_) => None,
    }
}

/// What is loaded; of one that has stopped answering, what was.
fn loaded(ollama: &Patient) -> &[LoadedFact] {
    let facts = &ollama.facts;
    let knows = ollama.phase.is_usable() || !facts.loaded.is_empty();
    if knows { &facts.loaded } else { &facts.loaded_last }
}

/// Half as much again as the file, and gigabytes of it: the weights are not what takes the room.
fn long_contexts(ollama: &Patient) -> Vec<LongContext> {
    const GB: u64 = 1 << 30;
    let file = |name: &str| {
        ollama.facts.models.iter().find(|one| is_same(&one.name, name)).map(|one| one.size_bytes)
    };
    let long = loaded(ollama).iter().filter_map(|fact| {
        let (seen, file_bytes) = (&fact.seen, file(&fact.seen.name)?);
        let beyond = seen.size_bytes.saturating_sub(file_bytes);
        (seen.context_length >= 32_768 && beyond >= 4 * GB && beyond >= file_bytes / 2).then(|| {
            LongContext {
                model: seen.name.clone(),
                bytes: seen.size_bytes,
                file_bytes,
                context: seen.context_length,
            }
        })
    });
    let mut long: Vec<LongContext> = long.collect();
    long.sort_by_key(|one| std::cmp::Reverse(one.bytes.saturating_sub(one.file_bytes)));
    long
}

#[allow(clippy::cast_possible_truncation, reason = "tokens a second are few")]
fn rounded(speed: f64) -> i64 {
    speed.round().max(1.0) as i64
}
