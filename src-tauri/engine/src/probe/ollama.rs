//! Ollama: `/api/version` decides, `/api/tags` and `/api/ps` tell the rest (FACTS A.2, A.3; R63).

use std::sync::Mutex;
use std::time::Duration;

use doctor::{
    Body, Depth, Listener, LoadedSeen, ModelSeen, Observation, OllamaSeen, ProcessSeen, Reply,
    Signs, Surroundings,
};
use serde::Deserialize;

use super::http::{self, LIST_CAP, SHALLOW_CAP};
use super::port_of;
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
    known: Mutex<Option<ProcessSeen>>,
}

impl Ollama {
    pub fn new(url: &str, timeout: Duration, program: Option<String>) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        Self { url, timeout, program, known: Mutex::new(None) }
    }

    /// With `stretch` times the usual patience (R9).
    pub async fn look(&self, depth: Depth, stretch: u32) -> Observation {
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
        let (loaded, ps_fails) = match loaded {
            Ok(loaded) => (Some(loaded), None),
            Err(reply) => (None, reply),
        };
        let listener = listener(port_of(&self.url), depth, &self.known).await;
        let surroundings = match depth {
            Depth::Shallow => None,
            Depth::Full | Depth::Deep => Some(self.surroundings().await),
        };
        Observation::Ollama(OllamaSeen {
            version,
            product_version,
            installed,
            loaded,
            listener,
            surroundings,
            ps_fails,
            signs: Signs::default(),
        })
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn installed(&self) -> Option<Vec<ModelSeen>> {
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
        self.list_loaded(within).await.ok()
    }

    /// The list, or how the question ended where that says something about the server.
    async fn list_loaded(&self, within: Duration) -> Result<Vec<LoadedSeen>, Option<Reply>> {
        let got = http::get(&self.at("/api/ps"), within, LIST_CAP).await;
        let Some(running) = got.json::<Running>() else {
            let answer = got.answer(|_| Body::Garbage);
            return Err(answer.ok().map(|answer| answer.reply));
        };
        let now = jiff::Timestamp::now().as_second();
        let seen = running.models.into_iter().map(|model| LoadedSeen {
            name: model.name,
            size_bytes: model.size,
            vram_bytes: model.size_vram,
            context_length: model.context_length,
            expires_in_s: expires_in(&model.expires_at, now),
        });
        Ok(seen.collect())
    }

    async fn surroundings(&self) -> Surroundings {
        let program = self.program.clone();
        let gathered = tokio::task::spawn_blocking(move || {
            let mut installed = platform::installed_ollama(&platform::Places::here());
            installed.missing_program = program.filter(|program| !super::is_program(program));
            Surroundings { relatives: platform::processes_named(&RELATIVES), installed }
        });
        gathered.await.unwrap_or_default()
    }
}

/// Seconds until it is unloaded; none when that is more than a year away: `keep_alive: -1` gives
/// about 292 years (FACTS A.3).
fn expires_in(text: &str, now: i64) -> Option<u64> {
    const YEAR: i64 = 366 * 24 * 3600;
    let at = text.parse::<jiff::Timestamp>().ok()?.as_second();
    let left = at.saturating_sub(now);
    (left < YEAR).then(|| u64::try_from(left).unwrap_or(0))
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

#[derive(Deserialize)]
struct Running {
    #[serde(default)]
    models: Vec<InMemory>,
}

#[derive(Deserialize)]
struct InMemory {
    name: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    size_vram: u64,
    #[serde(default)]
    context_length: u64,
    #[serde(default)]
    expires_at: String,
}
