//! Settings from the environment (envconfig/config.go).

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::catalogue::{Model, write_models};
use super::control::{CONTROL, ControlFile};
use super::registry::Published;
use super::store::blob_of;

pub(crate) struct Environment {
    /// `OLLAMA_HOST` as host and port.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) models_directory: PathBuf,
    pub(crate) keep_alive: Duration,
    pub(crate) max_loaded: usize,
    pub(crate) max_queue: usize,
    pub(crate) parallel: usize,
    pub(crate) context: u64,
    pub(crate) control: ControlFile,
    pub(crate) pids: Option<PathBuf>,
    models_file: PathBuf,
    registry_file: Option<PathBuf>,
}

/// Longer than any test and any machine: "for ever" (api/types.go: `math.MaxInt64` nanoseconds).
pub(crate) const FOR_EVER: Duration = Duration::from_nanos(i64::MAX.unsigned_abs());

impl Environment {
    /// Fails as `ollama serve` does without a home (cmd/cmd.go `initializeKeypair`).
    pub(crate) fn read() -> Result<Self, String> {
        let home = var("HOME").ok_or("$HOME is not defined")?;
        let (host, port) = host(&var("OLLAMA_HOST").unwrap_or_default());
        let models_directory = var("OLLAMA_MODELS")
            .map_or_else(|| PathBuf::from(&home).join(".ollama/models"), PathBuf::from);
        let models_file = var("FAKE_OLLAMA_MODELS")
            .map_or_else(|| models_directory.join("models.json"), PathBuf::from);
        Ok(Self {
            host,
            port,
            keep_alive: var("OLLAMA_KEEP_ALIVE")
                .and_then(|text| duration(&text))
                .unwrap_or(Duration::from_mins(5)),
            max_loaded: number("OLLAMA_MAX_LOADED_MODELS").filter(|most| *most > 0).unwrap_or(3),
            max_queue: number("OLLAMA_MAX_QUEUE").unwrap_or(512),
            parallel: number("OLLAMA_NUM_PARALLEL").filter(|most| *most > 0).unwrap_or(1),
            context: number("OLLAMA_CONTEXT_LENGTH").filter(|tokens| *tokens > 0).unwrap_or(4096),
            control: ControlFile(var(CONTROL).map(PathBuf::from)),
            pids: var("FAKE_OLLAMA_PIDS").map(PathBuf::from),
            models_directory,
            models_file,
            registry_file: var("FAKE_OLLAMA_REGISTRY").map(PathBuf::from),
        })
    }

    /// Read anew each time: models come and go while the server runs.
    pub(crate) fn models(&self) -> Vec<Model> {
        let text = std::fs::read(&self.models_file).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Where the weights of a model lie.
    pub(crate) fn blob(&self, model: &Model) -> PathBuf {
        let directory = &self.models_directory;
        blob_of(directory, &model.name)
            .unwrap_or_else(|| directory.join("blobs").join(format!("sha256-{}", model.digest())))
    }

    /// Installed from now on, in the place of one of the same name.
    pub(crate) fn add(&self, model: Model) -> Result<(), String> {
        let mut models = self.models();
        models.retain(|one| one.name != model.name);
        models.push(model);
        write_models(&self.models_file, &models).map_err(|error| error.to_string())
    }

    /// What can be pulled.
    pub(crate) fn registry(&self) -> Vec<Published> {
        let text = self.registry_file.as_ref().and_then(|file| std::fs::read(file).ok());
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// As Go prints an address to listen on.
    pub(crate) fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Where a client finds the server.
pub(crate) fn client_url() -> String {
    let (host, port) = host(&var("OLLAMA_HOST").unwrap_or_default());
    format!("http://{host}:{port}")
}

fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    var(name)?.parse().ok()
}

/// `envconfig.Host`: scheme, host and port are each optional.
fn host(text: &str) -> (String, u16) {
    let (standard, rest) = match text.split_once("://") {
        Some(("http", rest)) => (80, rest),
        Some(("https", rest)) => (443, rest),
        Some((_, rest)) => (11434, rest),
        None => (11434, text),
    };
    let (rest, _) = rest.split_once('/').unwrap_or((rest, ""));
    let bare = rest.trim_matches(['[', ']']);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return (address.to_string(), standard);
    }
    let (host, port) = rest.rsplit_once(':').unwrap_or((rest, ""));
    let host = host.trim_matches(['[', ']']);
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    (host.to_owned(), port.parse().unwrap_or(standard))
}

/// A number of seconds or a Go duration; negative means for ever (envconfig `KeepAlive`).
fn duration(text: &str) -> Option<Duration> {
    match text.parse::<f64>() {
        Ok(seconds) => seconds_of(seconds),
        Err(_) => go_duration(text),
    }
}

pub(crate) fn seconds_of(seconds: f64) -> Option<Duration> {
    if seconds < 0.0 {
        return Some(FOR_EVER);
    }
    Duration::try_from_secs_f64(seconds).ok().map(|given| given.min(FOR_EVER))
}

/// `time.ParseDuration`: `1h30m`, `1.5s`, `300ms`; negative means for ever here.
pub(crate) fn go_duration(text: &str) -> Option<Duration> {
    if let Some(rest) = text.strip_prefix('-') {
        return go_duration(rest).map(|_| FOR_EVER);
    }
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..digits].parse().ok()?;
        let tail = &rest[digits..];
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let unit = match &tail[..end] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        sum += value * unit;
        rest = &tail[end..];
    }
    if text.is_empty() { None } else { seconds_of(sum) }
}
