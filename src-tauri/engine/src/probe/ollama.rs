//! Ollama: `/api/version` decides, `/api/tags` and `/api/ps` tell the rest (FACTS A.2, A.3; R63).

mod ability;
mod deep;
mod keep;
mod question;
mod running;
mod slots;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use doctor::{
    Activity, DeepSeen, Depth, Listener, LoadedSeen, Look, ModelSeen, Observation, OllamaSeen,
    ProcessId, ProcessSeen, Reply, Signs, Surroundings, TargetId,
};
use jiff::Timestamp;
use serde::Deserialize;

use self::deep::{Deep, Patient};
use self::keep::Keep;
use self::running::{Running, list};
use self::slots::Stalls;
use super::http::{self, LIST_CAP, SHALLOW_CAP};
use super::port_of;
use super::supervised::Supervised;
use super::work::Work;
use crate::config::Canary;
use crate::environments::Environments;
use crate::logs::{self, Logs, Of, Signature};
use crate::platform;

/// `/api/tags` and `/api/ps` may be slow while `/api/version` answers (R63).
const LISTS: Duration = Duration::from_secs(12);
/// Names of the server, of its runners, and of what is mistaken for it.
const RELATIVES: [&str; 4] = ["ollama", "Ollama", "llama-server", "ollama-mcp"];

pub struct Ollama {
    /// Without a slash at the end.
    pub url: String,
    pub timeout: Duration,
    /// The program of a configured launch command.
    pub program: Option<String>,
    canary: Canary,
    known: Mutex<Option<ProcessSeen>>,
    work: Arc<Work>,
    deep: Deep,
    keep: Keep,
    stalls: Stalls,
    logs: Arc<Logs>,
    environments: Arc<Environments>,
    supervised: Supervised,
}

impl Ollama {
    pub fn new(
        url: &str,
        timeout: Duration,
        program: Option<String>,
        canary: Canary,
        signatures: &[Signature],
    ) -> Self {
        let environments = Arc::new(Environments::fresh());
        Self {
            url: url.trim_end_matches('/').to_owned(),
            timeout,
            program,
            canary,
            known: Mutex::new(None),
            work: Arc::default(),
            deep: Deep::default(),
            keep: Keep::default(),
            stalls: Stalls::default(),
            logs: Arc::new(Logs::new(Of::Ollama, signatures, platform::ollama_logs())),
            supervised: Supervised::new(TargetId::Ollama, port_of(url), environments.clone()),
            environments,
        }
    }

    /// What it sees is remembered there, beyond its own life.
    #[must_use]
    pub fn remembering(mut self, environments: Arc<Environments>) -> Self {
        let port = port_of(&self.url);
        self.supervised = Supervised::new(TargetId::Ollama, port, environments.clone());
        self.environments = environments;
        self
    }

    /// With `stretch` times the usual patience (R9).
    pub async fn look(&self, look: &Look) -> Observation {
        let (depth, stretch) = (look.depth, look.stretch);
        let patience = self.timeout * stretch;
        let got = http::get(&self.at("/api/version"), patience, SHALLOW_CAP).await;
        let product_version = got.json::<Version>().map(|answer| answer.version);
        let expected = product_version.is_some();
        let judged = got.answer(|body| http::shape(body, |value| value["version"].is_string()));
        let version = match judged {
            Ok(version) => version,
            Err(reason) => return Observation::Unasked { reason },
        };
        let (installed, loaded) = match (expected, depth) {
            (false, _) => (None, Err(None)),
            (true, Depth::Full | Depth::Deep) => {
                tokio::join!(self.installed(), self.list_loaded(LISTS * stretch))
            }
            (true, Depth::Shallow) => (None, self.list_loaded(patience).await),
        };
        let (running, ps_fails) = match loaded {
            Ok(running) => (Some(running), None),
            Err(reply) => (None, reply),
        };
        let listener = listener(port_of(&self.url), depth, &self.known).await;
        self.remember(&listener).await;
        let (surroundings, supervisors) = match depth {
            Depth::Shallow => (None, Vec::new()),
            Depth::Full | Depth::Deep => {
                let (surroundings, supervisors) = self.surroundings(&listener).await;
                (Some(surroundings), supervisors)
            }
        };
        let process = match &listener {
            Listener::Process(process) => Some(process.id.clone()),
            Listener::Nobody | Listener::Hidden | Listener::NotAsked => None,
        };
        let activity = self.activity(process.as_ref(), depth).await;
        let deep = match &running {
            Some(running) if depth == Depth::Deep => {
                self.deep(look, process.clone(), running).await
            }
            Some(_) | None => None,
        };
        let log = logs::signs(&self.logs, process).await;
        let now = Timestamp::now();
        let loaded = running.map(|list| list.iter().map(|one| one.seen(now)).collect());
        let exits = super::exits(&listener);
        Observation::Ollama(OllamaSeen {
            version,
            product_version,
            installed,
            loaded,
            listener,
            surroundings,
            ps_fails,
            signs: Signs { deep, activity, log, supervisors, exits, ..Signs::default() },
        })
    }

    async fn activity(&self, process: Option<&ProcessId>, depth: Depth) -> Option<Activity> {
        let mut activity = super::work::activity(&self.work, process?, depth).await?;
        activity.silent_for_s = self.stalls.silent(process?, activity).await;
        Some(activity)
    }

    async fn deep(
        &self,
        look: &Look,
        process: Option<ProcessId>,
        loaded: &[Running],
    ) -> Option<DeepSeen> {
        if let Some(model) = &look.model {
            return self.deep.prove(&self.url, model, loaded).await;
        }
        let patient = Patient {
            url: &self.url,
            canary: &self.canary,
            process: process.as_ref(),
            loaded,
            keep: &self.keep,
            stretch: look.stretch,
        };
        let deep = self.deep.ask(&patient).await;
        if let Some(process) = process.filter(|_| deep.is_some()) {
            let work = self.work.clone();
            // What is not forgiven counts as work, which errs on the safe side.
            let _ = tokio::task::spawn_blocking(move || work.forgive(&process)).await;
        }
        deep
    }

    /// With what it runs, while it runs. A stranger on the port is not asked.
    async fn remember(&self, listener: &Listener) {
        let Listener::Process(process) = listener else { return };
        if process.id.program() != "ollama" {
            return;
        }
        let (process, port) = (process.clone(), port_of(&self.url));
        let environments = self.environments.clone();
        let remembering = move || environments.remember(&TargetId::Ollama, port, &process);
        // What is not remembered now is at the next look.
        let _ = tokio::task::spawn_blocking(remembering).await;
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// What is on disk, from `/api/tags`.
    pub async fn installed(&self) -> Option<Vec<ModelSeen>> {
        let tags: Tags = http::get(&self.at("/api/tags"), LISTS, LIST_CAP).await.json()?;
        let seen = tags.models.into_iter().map(|model| ModelSeen {
            name: model.name,
            size_bytes: model.size,
            parameters: model.details.parameter_size,
            quantisation: model.details.quantization_level,
        });
        Some(seen.collect())
    }

    /// What is in memory, from `/api/ps`.
    pub async fn loaded(&self, within: Duration) -> Option<Vec<LoadedSeen>> {
        let list = list(&self.url, within).await.ok()?;
        let now = Timestamp::now();
        Some(list.iter().map(|running| running.seen(now)).collect())
    }

    async fn list_loaded(&self, within: Duration) -> Result<Vec<Running>, Option<Reply>> {
        let list = list(&self.url, within).await?;
        self.keep.tend(&self.url, &list).await;
        Ok(list)
    }

    /// What is around it, and everything that would start it.
    async fn surroundings(&self, listener: &Listener) -> (Surroundings, Vec<String>) {
        let supervisor = self.supervised.by(listener).await;
        let (program, port) = (self.program.clone(), port_of(&self.url));
        let gathered = tokio::task::spawn_blocking(move || {
            let places = platform::Places::here();
            let mut installed = platform::installed_ollama(&places);
            installed.missing_program = program.filter(|program| !super::is_program(program));
            let relatives = platform::processes_named(&RELATIVES);
            let supervisors = platform::would_start(&places, &relatives, supervisor.as_ref(), port);
            let root = platform::user_id() == 0;
            (Surroundings { relatives, installed, supervisor, root }, supervisors)
        });
        gathered.await.unwrap_or_default()
    }
}

/// `llama3` and `llama3:latest` are the same model to Ollama, and case does not matter
/// (types/model/name.go `DefaultName`, server/routes.go `getExistingName`).
pub(crate) fn same(a: &str, b: &str) -> bool {
    let full = |name: &str| {
        let (_, last) = name.rsplit_once('/').unwrap_or(("", name));
        if last.contains(':') { name.to_owned() } else { format!("{name}:latest") }
    };
    full(a).eq_ignore_ascii_case(&full(b))
}

/// Who listens on the port. A process that is still the same costs one read; only when it is not,
/// or everything is wanted, the port is looked up anew.
pub(crate) async fn listener(
    port: u16,
    depth: Depth,
    known: &Mutex<Option<ProcessSeen>>,
) -> Listener {
    let before = known.lock().ok().and_then(|known| known.clone());
    let found = tokio::task::spawn_blocking(move || match before {
        Some(process) if depth == Depth::Shallow && platform::is_same(&process.id) => {
            Listener::Process(process)
        }
        Some(_) | None => platform::listener(port),
    });
    let listener = found.await.unwrap_or(Listener::NotAsked);
    if let Ok(mut known) = known.lock() {
        *known = match &listener {
            Listener::Process(process) => Some(process.clone()),
            Listener::Nobody | Listener::Hidden | Listener::NotAsked => None,
        };
    }
    listener
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    details: Details,
}

#[derive(Default, Deserialize)]
struct Details {
    #[serde(default)]
    parameter_size: String,
    #[serde(default)]
    quantization_level: String,
}
