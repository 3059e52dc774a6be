//! The configuration: what the file says, completed by environment variables and defaults.

mod environment;
mod error;
mod reader;
mod sections;
mod values;
mod watch;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use doctor::{Spec, TargetId};
pub use reqwest::Url;

use crate::logs::{self, Signature};

pub use error::{ConfigError, ConfigErrors};
pub(crate) use values::duration;
pub use watch::watch;

/// A configuration is a few kilobytes; what is larger is some other file.
const LARGEST: u64 = 1 << 20;

/// Beside the configuration: a person's own signatures of trouble in logs.
const SIGNATURES: &str = "signatures.toml";

/// Where they are looked for.
pub fn signatures_beside(config: &Path) -> PathBuf {
    config.with_file_name(SIGNATURES)
}

/// Everything as it is meant, with nothing left open.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What is watched: host, Docker, Ollama and MLX always, then containers and services.
    pub roster: Vec<Spec>,
    /// Containers that are critical where they exist, though nothing is configured for them; they
    /// are in the roster with `configured: false`.
    pub default_critical: Vec<String>,
    pub ollama: OllamaSettings,
    pub mlx: MlxSettings,
    pub docker: DockerSettings,
    pub containers: Vec<ContainerSettings>,
    pub services: Vec<ServiceSettings>,
    pub memory: MemorySettings,
    pub schedule: ScheduleSettings,
    pub api: ApiSettings,
    pub notifications: NotificationSettings,
    pub journal: JournalSettings,
    /// What targets need of whole compose projects (`needs = ["project:NAME"]`).
    pub needs_projects: BTreeMap<TargetId, Vec<String>>,
    /// A person's own, beside those that are built in.
    pub signatures: Vec<Signature>,
    /// Environment variables that were set and could not be used; for a person.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OllamaSettings {
    /// Without a query; the path ends with `/`, so that `join` adds to it.
    pub url: Url,
    /// For one shallow question, connecting included.
    pub timeout: Duration,
    pub canary: Canary,
    pub unload_under_pressure: bool,
    /// Models that are never unloaded by us.
    pub pinned: Vec<String>,
    /// What stands for `registry.ollama.ai` when it is asked whose a model is.
    pub registry: Url,
    pub ensure: Vec<EnsuredModel>,
}

/// Which models a deep probe may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Canary {
    /// Any that is loaded.
    Auto,
    Off,
    Models(Vec<String>),
}

/// A model that is to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnsuredModel {
    pub model: String,
    /// Created from this file when it is missing; absolute.
    pub modelfile: Option<PathBuf>,
    /// Pulled first when missing.
    pub base: Option<String>,
}

impl EnsuredModel {
    /// As the doctor is told of it.
    pub(crate) fn wanted(&self) -> doctor::Ensured {
        doctor::Ensured {
            model: self.model.clone(),
            modelfile: self.modelfile.as_ref().map(|file| file.to_string_lossy().into_owned()),
            base: self.base.clone(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct MlxSettings {
    /// Without a query; the path ends with `/`, so that `join` adds to it.
    pub url: Url,
    pub timeout: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DockerSettings {
    pub host: DockerHost,
    pub timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DockerHost {
    /// The current context, then the known sockets.
    Auto,
    /// `unix:///path` or `tcp://host:port`, also from `DOCKER_HOST`.
    Address(String),
}

/// What is asked of one container beyond its [`Spec`].
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerSettings {
    pub name: String,
    pub progress: Option<Progress>,
}

/// How it is seen that a container does its work, and how long it may do none.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// A text in its log.
    Log { text: String, within: Duration },
    /// A field of a JSON answer that changes.
    Field { url: Url, field: String, within: Duration },
}

#[derive(Clone, Debug, PartialEq)]
pub struct ServiceSettings {
    pub id: TargetId,
    pub url: Url,
    pub timeout: Duration,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemorySettings {
    /// Extra rows of the memory ledger: name and patterns of executable names (`*` matches any
    /// text).
    pub groups: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleSettings {
    /// Between two full looks at everything.
    pub full_check: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiSettings {
    pub listen: Listen,
    /// Names under which the API may be addressed beside the known ones; lower case, without port.
    pub hosts: Vec<String>,
    pub recover_needs_token: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// 127.0.0.1:9099, on Linux also the Docker bridge's address.
    Auto,
    Addresses(Vec<SocketAddr>),
}

impl Listen {
    /// Where agents are told to reach us.
    pub fn port(&self) -> u16 {
        let first = match self {
            Self::Auto => None,
            Self::Addresses(addresses) => addresses.first().map(SocketAddr::port),
        };
        first.filter(|port| *port != 0).unwrap_or(crate::api::PORT)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationSettings {
    pub enabled: bool,
    pub language: Language,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// As the system speaks.
    Auto,
    English,
    Russian,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalSettings {
    /// What is over for longer is deleted.
    pub keep: Duration,
}

impl Config {
    /// Reads the file, and `signatures.toml` beside it; a missing one is an empty one. `environment` gives the value of a variable;
    /// besides the defaults of INTERFACES it is asked for `HOME`.
    pub fn load(
        file: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        let text = read(file).map_err(|says| ConfigErrors::whole_file(file, says))?;
        let mut config = Self::parse(file, &text, environment)?;
        let own = file.with_file_name(SIGNATURES);
        let text = read(&own).map_err(|says| ConfigErrors::whole_file(&own, says))?;
        config.signatures = logs::read(&own, &text)?;
        Ok(config)
    }

    /// As [`load`](Self::load), of a text already read; `file` is named in messages, and relative
    /// paths are relative to its directory.
    pub fn parse(
        file: &Path,
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        let source = reader::Source::new(file, text);
        let (table, faults) = toml::de::DeTable::parse_recoverable(text);
        if !faults.is_empty() {
            for fault in faults {
                source.broken(fault.span().unwrap_or_default(), fault.message());
            }
            return Err(source.into_errors());
        }
        let config = sections::config(&source, table.get_ref(), environment);
        match config {
            Some(config) if !source.has_errors() => Ok(config),
            Some(_) | None => Err(source.into_errors()),
        }
    }

    /// A commented file with every key and its default, as `homeostat config example` prints it.
    /// Every setting in it is commented out: saved as it is, it changes nothing.
    pub fn example() -> &'static str {
        include_str!("config/example.toml")
    }
}

fn read(file: &Path) -> Result<String, String> {
    // Looked at before opening: opening a pipe waits for its other end.
    let metadata = match std::fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(format!("can't be read: {error}")),
    };
    if metadata.is_dir() {
        return Err("is a directory; a file is expected".into());
    }
    if !metadata.is_file() {
        return Err("is not a regular file".into());
    }
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .and_then(|opened| opened.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("can't be read: {error}"))?;
    if bytes.len() as u64 > LARGEST {
        return Err("is larger than 1 MiB; this is not a configuration of Homeostat".into());
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..good]);
        let line = before.matches('\n').count() + 1;
        format!("is not UTF-8 text (line {line}); save it as UTF-8")
    })
}
