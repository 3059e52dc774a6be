//! What is watched: the targets, and how each is cared for.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The name of a target, written `host`, `docker`, `ollama`, `mlx`, `container:NAME`, `service:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum TargetId {
    Host,
    Docker,
    Ollama,
    Mlx,
    Container(String),
    Service(String),
}

impl TargetId {
    /// The kind as the API calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Docker => "docker",
            Self::Ollama => "ollama",
            Self::Mlx => "mlx",
            Self::Container(_) => "container",
            Self::Service(_) => "service",
        }
    }

    /// How people call it.
    pub fn name(&self) -> &str {
        match self {
            Self::Host => "Memory",
            Self::Docker => "Docker",
            Self::Ollama => "Ollama",
            Self::Mlx => "MLX",
            Self::Container(name) | Self::Service(name) => name,
        }
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host | Self::Docker | Self::Ollama | Self::Mlx => f.write_str(self.kind()),
            Self::Container(name) => write!(f, "container:{name}"),
            Self::Service(name) => write!(f, "service:{name}"),
        }
    }
}

impl FromStr for TargetId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.split_once(':')) {
            ("host", _) => Ok(Self::Host),
            ("docker", _) => Ok(Self::Docker),
            ("ollama", _) => Ok(Self::Ollama),
            ("mlx", _) => Ok(Self::Mlx),
            (_, Some(("container", name))) if !name.is_empty() => Ok(Self::Container(name.into())),
            (_, Some(("service", name))) if !name.is_empty() => Ok(Self::Service(name.into())),
            _ => Err(format!(
                "`{text}` is not a target; expected host, docker, ollama, mlx, container:NAME or service:NAME"
            )),
        }
    }
}

impl TryFrom<String> for TargetId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<TargetId> for String {
    fn from(id: TargetId) -> Self {
        id.to_string()
    }
}

/// One target as configured, or as assumed where nothing is configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    pub id: TargetId,
    /// How people call it.
    pub name: String,
    /// Named in the configuration. What is not, and was never seen alive, is "not found": no
    /// incident, no part in the summary.
    pub configured: bool,
    pub heal: Heal,
    /// Between two shallow looks (before jitter).
    pub interval: Duration,
    /// After a start, failures do not count for this long (R12: 25 s to 120 s).
    pub grace: Duration,
    /// Soft parents (R16): what it cannot work without.
    pub needs: Vec<TargetId>,
    pub care: Care,
}

/// What only one kind of target has.
#[derive(Clone, Debug, PartialEq)]
pub enum Care {
    Host,
    Docker,
    Ollama {
        launch: Launch,
        /// Models that are never unloaded unless a person names them.
        pinned: Vec<String>,
        /// Idle models are unloaded by us when memory is short (1.8).
        unload_under_pressure: bool,
        /// Models that are to exist (C3).
        ensure: Vec<Ensured>,
    },
    Mlx {
        launch: Option<Launch>,
    },
    Container {
        /// Brought up when found stopped, unless a person stopped it.
        critical: bool,
        compose: Option<Compose>,
        /// What it is started with, once, when it ends again and again (R30); empty: nothing is
        /// configured.
        light: BTreeMap<String, String>,
        /// Compose projects whose critical containers are brought up before it (C6).
        after: Vec<String>,
    },
    Service {
        /// HTTP status codes that mean "well".
        expect: Vec<u16>,
        /// The container to restart for it.
        container: Option<String>,
    },
}

/// A model that is to exist, and where it comes from when it does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ensured {
    pub model: String,
    /// Created from this file, an absolute path; none: pulled.
    pub modelfile: Option<String>,
    /// What the file builds on: pulled first.
    pub base: Option<String>,
}

/// What the doctor may do by itself (R60).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heal {
    // In the order of how much is left to people.
    Auto,
    Ask,
    Observe,
}

/// How a server is started, as the configuration says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Launch {
    /// The doctor chooses a lever from what is installed.
    Auto,
    App,
    Brew,
    Serve,
    Launchd(String),
    Command(Vec<String>),
}

/// Where a container's compose service is described.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compose {
    /// In the order of `-f`; absolute paths.
    pub files: Vec<String>,
    pub service: String,
    pub project: Option<String>,
    pub directory: Option<String>,
    /// One, or several with commas.
    pub env_file: Option<String>,
    /// Variables that it runs with for now, beside what the files say (R30). The files stay as they
    /// are: these come from a file of ours, named after them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub light: BTreeMap<String, String>,
}

/// As the log has it: of the variables only their names, since a value may be a secret.
impl fmt::Debug for Compose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compose")
            .field("files", &self.files)
            .field("service", &self.service)
            .field("project", &self.project)
            .field("directory", &self.directory)
            .field("env_file", &self.env_file)
            .field("light", &self.light.keys())
            .finish()
    }
}
