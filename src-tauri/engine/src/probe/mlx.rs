//! An MLX server: asked at the paths that the known kinds answer, and recognised by its answers,
//! never by its port (FACTS B.1 to B.4).

mod deep;
mod kind;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use doctor::{
    Answer, Body, Depth, Listener, LoadedSeen, Look, MlxSeen, MlxServer, Observation, ProcessId,
    ProcessSeen, Reply, Setting, Signs, Surroundings, TargetId,
};
use serde_json::Value;

use crate::environments::Environments;
use crate::logs::{self, Logs, Of, Signature};
use crate::platform;

use super::http::{self, Got, LIST_CAP, Outcome, SHALLOW_CAP};
use super::supervised::Supervised;
use super::work::{self, Work};
use super::{is_program, ollama, port_of};

pub struct Mlx {
    /// Without a slash at the end.
    pub url: String,
    pub timeout: Duration,
    /// The program of a configured launch command.
    pub program: Option<String>,
    known: Mutex<Option<ProcessSeen>>,
    /// What the process was found to be.
    kind: Mutex<Option<(ProcessId, MlxServer)>>,
    work: Arc<Work>,
    logs: Arc<Logs>,
    supervised: Supervised,
    environments: Arc<Environments>,
}

/// Not LM Studio's app: it runs for its window's sake as well, and then no server is loading.
const RELATIVES: [&str; 6] = [
    "mlx_lm.server",
    "mlx_lm",
    "mlx-openai-server",
    "mlx-omni-server",
    "mlx_api_server.py",
    "omlx",
];

impl Mlx {
    pub fn new(
        url: &str,
        timeout: Duration,
        program: Option<String>,
        signatures: &[Signature],
    ) -> Self {
        let environments = Arc::new(Environments::fresh());
        let url = url.trim_end_matches('/').to_owned();
        // oMLX's own (FACTS B.2); the others write to where whoever starts them says.
        let places = vec![platform::home().join(".omlx/logs/server.log")];
        Self {
            supervised: Supervised::new(TargetId::Mlx, port_of(&url), environments.clone()),
            environments,
            url,
            timeout,
            program,
            known: Mutex::new(None),
            kind: Mutex::new(None),
            work: Arc::default(),
            logs: Arc::new(Logs::new(Of::Mlx, signatures, places)),
        }
    }

    /// What it sees is remembered there, beyond its own life.
    #[must_use]
    pub fn remembering(mut self, environments: Arc<Environments>) -> Self {
        let port = port_of(&self.url);
        self.supervised = Supervised::new(TargetId::Mlx, port, environments.clone());
        self.environments = environments;
        self
    }

    /// With what it runs, while it answers as what it is: a stranger's settings are not ours.
    async fn remember(&self, process: &ProcessSeen) {
        let (process, port) = (process.clone(), port_of(&self.url));
        let environments = self.environments.clone();
        let remembering = move || environments.remember(&TargetId::Mlx, port, &process);
        // What is not remembered now is at the next look.
        let _ = tokio::task::spawn_blocking(remembering).await;
    }

    /// With `stretch` times the usual patience (R9).
    pub async fn look(&self, look: &Look) -> Observation {
        let (depth, stretch) = (look.depth, look.stretch);
        let heard = match self.hear(depth, self.timeout * stretch).await {
            Ok(heard) => heard,
            Err(reason) => return Observation::Unasked { reason },
        };
        let Heard { asked, server, loaded } = heard;
        let alive = asked.last().is_some_and(|answer| is_status(&answer.reply));
        let models = match depth {
            Depth::Full | Depth::Deep if alive => self.models().await,
            Depth::Full | Depth::Deep | Depth::Shallow => None,
        };
        let listener = ollama::listener(port_of(&self.url), depth, &self.known).await;
        let surroundings = match depth {
            Depth::Shallow => None,
            Depth::Full | Depth::Deep => Some(self.surroundings(&listener).await),
        };
        let process = match &listener {
            Listener::Process(process) => Some(process),
            Listener::Nobody | Listener::Hidden | Listener::NotAsked => None,
        };
        if let (Some(process), true) = (process, alive) {
            self.found(process, server);
            if is_mlx(server) {
                self.remember(process).await;
            }
        }
        let activity = match process {
            Some(process) => work::activity(&self.work, &process.id, depth).await,
            None => None,
        };
        let settings = match (depth, process) {
            (Depth::Full | Depth::Deep, Some(process)) => {
                let (pid, command) = (process.id.pid, process.command.clone());
                let reading = tokio::task::spawn_blocking(move || settings(server, pid, &command));
                reading.await.ok().flatten()
            }
            (Depth::Full | Depth::Deep | Depth::Shallow, _) => None,
        };
        let mut deep = None;
        if let (Depth::Deep, true, Some(process)) = (depth, alive, process) {
            deep = deep::ask(&self.url, server, models.as_deref(), process, stretch).await;
            let (work, process) = (self.work.clone(), process.id.clone());
            // What is not forgiven counts as work, which errs on the safe side.
            let _ = tokio::task::spawn_blocking(move || work.forgive(&process)).await;
        }
        let log = logs::signs(&self.logs, process.map(|process| process.id.clone())).await;
        let exits = super::exits(&listener);
        Observation::Mlx(MlxSeen {
            asked,
            server,
            models,
            loaded,
            settings,
            listener,
            surroundings,
            signs: Signs { deep, activity, log, exits, ..Signs::default() },
        })
    }

    /// The questions of one look. A kind that has a path of its own is asked there first while it is
    /// the same process: that is one request, and tells what is loaded as well.
    async fn hear(&self, depth: Depth, within: Duration) -> Result<Heard, String> {
        let known = self.known_kind().await;
        if let Some(path) = known.and_then(kind::own_path) {
            let got = http::get(&self.at(path), within, LIST_CAP).await;
            let found = kind::of_own_path(path, &got);
            let body = if found.is_some() { Body::Expected } else { Body::Other };
            let failed = matches!(got.outcome, Outcome::Failed(_));
            let answer = got.answer(|_| body)?;
            if let Some((server, loaded)) = found {
                return Ok(Heard { asked: vec![answer], server, loaded: Some(loaded) });
            }
            // No answer at all here is none at any path; any other may be of another program.
            if failed {
                let server = MlxServer::Unrecognised;
                return Ok(Heard { asked: vec![answer], server, loaded: None });
            }
        }
        let mut heard = self.hear_in_turn(within).await?;
        let lives = heard.asked.last().is_some_and(|answer| is_status(&answer.reply));
        let new = depth > Depth::Shallow || known.is_none();
        if lives && new {
            self.hear_more(&mut heard, within).await?;
        }
        Ok(heard)
    }

    async fn hear_in_turn(&self, within: Duration) -> Result<Heard, String> {
        let mut heard = Heard { asked: Vec::new(), server: MlxServer::Unrecognised, loaded: None };
        for path in ["/health", "/v1/models", "/api/tags", "/"] {
            let got = http::get(&self.at(path), within, LIST_CAP).await;
            heard.server = recognise(path, &got).unwrap_or(heard.server);
            let answer = got.answer(|body| judge(path, body))?;
            let more = goes_on(path, heard.server, &answer);
            heard.asked.push(answer);
            if !more {
                break;
            }
        }
        Ok(heard)
    }

    /// What only one kind answers: asked when the usual paths leave open which it is, or what of its
    /// models is in memory.
    async fn hear_more(&self, heard: &mut Heard, within: Duration) -> Result<(), String> {
        let path = match heard.server {
            MlxServer::LmStudio => kind::LM_STUDIO,
            MlxServer::Omlx => kind::OMLX,
            // It has no `/health` (FACTS B.2).
            MlxServer::Unrecognised if is_absent(heard.asked.first()) => kind::OMNI,
            MlxServer::MlxLm
            | MlxServer::OpenAi
            | MlxServer::Omni
            | MlxServer::ModelServer
            | MlxServer::Ollama
            | MlxServer::Unrecognised => return Ok(()),
        };
        let got = http::get(&self.at(path), within, LIST_CAP).await;
        if let Some((server, loaded)) = kind::of_own_path(path, &got) {
            heard.server = server;
            heard.loaded = Some(loaded);
            heard.asked.push(got.answer(|_| Body::Expected)?);
        }
        Ok(())
    }

    /// What the process that listened last was found to be, while it lives.
    async fn known_kind(&self) -> Option<MlxServer> {
        let (process, server) = self.kind.lock().ok()?.clone()?;
        let looking = tokio::task::spawn_blocking(move || platform::is_same(&process));
        looking.await.unwrap_or(false).then_some(server)
    }

    fn found(&self, process: &ProcessSeen, server: MlxServer) {
        if let Ok(mut kind) = self.kind.lock() {
            *kind = Some((process.id.clone(), server));
        }
    }

    /// One that has not listened yet is found by its name (FACTS B.1 to B.3).
    async fn surroundings(&self, listener: &Listener) -> Surroundings {
        let supervisor = self.supervised.by(listener).await;
        let program = self.program.clone();
        let gathered = tokio::task::spawn_blocking(move || {
            let mut surroundings = Surroundings {
                relatives: platform::processes_named(&RELATIVES),
                supervisor,
                root: platform::user_id() == 0,
                ..Surroundings::default()
            };
            surroundings.installed.missing_program = program.filter(|program| !is_program(program));
            surroundings
        });
        gathered.await.unwrap_or_default()
    }

    /// Whatever is named like an MLX server or like the configured program, loading or not; none
    /// when nobody could tell.
    pub async fn copies(&self) -> Option<Vec<ProcessSeen>> {
        let program = self.program.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let mut names = RELATIVES.to_vec();
            names.extend(program.as_deref().and_then(|program| program.rsplit('/').next()));
            platform::processes_named(&names)
        });
        looking.await.ok()
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// An empty reply here is no dead server: `mlx_lm` 0.32 breaks off when the Hugging Face cache
    /// does not exist (FACTS I.2).
    async fn models(&self) -> Option<Vec<String>> {
        let list: Value =
            http::get(&self.at("/v1/models"), self.timeout, SHALLOW_CAP.max(LIST_CAP))
                .await
                .json()?;
        let names = list["data"].as_array()?.iter();
        Some(names.filter_map(|model| model["id"].as_str().map(str::to_owned)).collect())
    }
}

/// What the questions of one look came to.
struct Heard {
    asked: Vec<Answer>,
    server: MlxServer,
    loaded: Option<Vec<LoadedSeen>>,
}

/// How many requests at once it lets through: by its environment, of which only these names are
/// read, and for `mlx_lm.server` by its command line, whose defaults are 32 and 8 (mlx-lm
/// `mlx_lm/server.py`, `--decode-concurrency`, `--prompt-concurrency`). None: it is not shown to us.
fn settings(server: MlxServer, pid: u32, command: &[String]) -> Option<Vec<Setting>> {
    let variables = platform::environment(pid)?;
    let mut settings = Setting::among(|name| {
        variables.iter().find(|(known, _)| known.as_str() == name).map(|(_, value)| value.clone())
    });
    if server == MlxServer::MlxLm {
        settings.extend([("--decode-concurrency", 32), ("--prompt-concurrency", 8)].map(
            |(name, default)| {
                let value = flag(command, name).unwrap_or(default);
                Setting { name: name.to_owned(), value }
            },
        ));
    }
    Some(settings)
}

/// `--name N` or `--name=N`.
fn flag(command: &[String], name: &str) -> Option<u32> {
    let at = command.iter().position(|word| {
        word.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    })?;
    let same = command[at].split_once('=').map(|(_, value)| value);
    same.or_else(|| command.get(at + 1).map(String::as_str))?.parse().ok()
}

fn is_mlx(server: MlxServer) -> bool {
    match server {
        MlxServer::MlxLm
        | MlxServer::OpenAi
        | MlxServer::Omni
        | MlxServer::Omlx
        | MlxServer::LmStudio
        | MlxServer::ModelServer => true,
        MlxServer::Ollama | MlxServer::Unrecognised => false,
    }
}

/// A path that is not there says nothing: the next one may be.
fn goes_on(path: &str, server: MlxServer, answer: &Answer) -> bool {
    if server == MlxServer::LmStudio {
        return path == "/health" && is_status(&answer.reply);
    }
    match &answer.reply {
        Reply::Status { code: 404 | 405, .. } => true,
        // Ollama answers `/v1/models` too; only `/` tells them apart.
        Reply::Status { code: 200..=299, body: Body::Expected } => {
            path == "/v1/models" || path == "/api/tags"
        }
        // Empty at `/v1/models` is a known fault of a living mlx_lm.
        Reply::Empty => path != "/health" && path != "/",
        Reply::Status { .. }
        | Reply::Refused
        | Reply::Unreachable { .. }
        | Reply::ConnectTimeout
        | Reply::Silent
        | Reply::Stalled
        | Reply::Reset
        | Reply::Malformed { .. }
        | Reply::TooLarge => false,
    }
}

fn is_status(reply: &Reply) -> bool {
    matches!(reply, Reply::Status { .. })
}

fn is_absent(answer: Option<&Answer>) -> bool {
    answer.is_some_and(|answer| matches!(answer.reply, Reply::Status { code: 404, .. }))
}

fn judge(path: &str, body: &[u8]) -> Body {
    http::shape(body, |value| match path {
        "/health" => value["status"].is_string(),
        "/v1/models" => value["object"] == "list" || value["data"].is_array(),
        "/api/tags" => value["models"].is_array(),
        _ => value["server"] == "MLX Model Server",
    })
}

fn recognise(path: &str, got: &Got) -> Option<MlxServer> {
    let Outcome::Answered { code, body } = &got.outcome else { return None };
    if path == "/" && body.as_slice() == b"Ollama is running" {
        return Some(MlxServer::Ollama);
    }
    // mlx_lm.server: any unknown path gives 404 with the bare text `Not Found`; since 0.32.2 a
    // dead generation thread gives 503 `{"status": "unavailable"}`.
    if *code == 404 && body.as_slice() == b"Not Found" {
        return Some(MlxServer::MlxLm);
    }
    let value: Value = serde_json::from_slice(body).ok()?;
    match path {
        "/health" if kind::is_lm_studio(path, &value) => Some(MlxServer::LmStudio),
        "/health" if value["engine_pool"].is_object() => Some(MlxServer::Omlx),
        "/health" if value["model_status"].is_string() => Some(MlxServer::OpenAi),
        "/health" if value["service"] == "MLX API Server" => Some(MlxServer::ModelServer),
        "/health" if value.as_object().is_some_and(|map| map.len() == 1) => {
            matches!(value["status"].as_str(), Some("ok" | "unavailable"))
                .then_some(MlxServer::MlxLm)
        }
        "/" if value["server"] == "MLX Model Server" => Some(MlxServer::ModelServer),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
