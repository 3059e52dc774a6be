//! Misbehaviour that a test switches on while the server runs.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// An unloaded runner lives on.
pub const NEVER: u64 = u64::MAX;

/// What goes wrong. The default is a server that is well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Control {
    pub mode: Mode,
    /// Only requests whose path begins so are hit; empty: all.
    pub path: String,
    /// SIGTERM and SIGINT are not heard.
    pub ignore_terminate: bool,
    /// The process ends with this exit code at once, and at every later start.
    pub exit: Option<u8>,
    /// The process runs and never listens.
    pub never_listen: bool,
    /// An unload ends its runner so much later, or [`NEVER`]; the list has forgotten it at once
    /// (ollama#17792).
    pub unload_ms: u64,
    /// The process is gone this long after its start.
    pub die_after_ms: Option<u64>,
    pub runners: Runners,
    /// Runners that were loaded before this time (milliseconds since 1970) give no token, without any
    /// work; those loaded later do.
    pub stuck_before_ms: i64,
}

/// What all runners do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runners {
    #[default]
    Idle,
    /// Somebody's long prompt: they burn a core, and their slots say so.
    Work,
    /// A request whose step never ends: no work is done, and their slots still answer.
    Stand,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Well,
    /// Takes requests and never answers.
    Hang,
    /// Runs, and the port is closed.
    Refuse,
    /// 200 without a body.
    EmptyBody,
    /// Generates 200 with no text and no count of tokens, as after a reset of the GPU (ollama issue
    /// 18213).
    EmptyAnswers,
    /// Generates an error after the head and a first piece went out (server/routes.go
    /// `streamResponse`).
    FailsLate,
    /// Each answer comes 3 s late.
    Slow,
    /// 503 for all (the queue is full).
    Busy,
    /// Not HTTP.
    Garbage,
    /// Resets each connection.
    Reset,
    /// Closes each connection without a word.
    Mute,
}

impl Mode {
    /// Whether it shows below HTTP, when a connection is made.
    pub(crate) fn is_of_connection(self) -> bool {
        match self {
            Self::Refuse | Self::Garbage | Self::Reset | Self::Mute => true,
            Self::Well
            | Self::Hang
            | Self::EmptyBody
            | Self::EmptyAnswers
            | Self::FailsLate
            | Self::Slow
            | Self::Busy => false,
        }
    }
}

impl Control {
    /// Writes it as a whole, so that a reader never sees half of it.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let fresh = file.with_extension("new");
        std::fs::write(&fresh, serde_json::to_vec(self)?)?;
        Ok(std::fs::rename(fresh, file)?)
    }
}

/// The file that a running server obeys.
#[derive(Clone, Default)]
pub(crate) struct ControlFile(pub(crate) Option<PathBuf>);

/// Names the file in the environment of server and runners.
pub(crate) const CONTROL: &str = "FAKE_OLLAMA_CONTROL";

impl ControlFile {
    /// No file means that nothing goes wrong.
    pub(crate) fn read(&self) -> Control {
        let text = self.0.as_ref().and_then(|file| std::fs::read(file).ok());
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// What hits a request for this path.
    pub(crate) fn mode_for(&self, path: &str) -> Mode {
        let control = self.read();
        if path.starts_with(&control.path) { control.mode } else { Mode::Well }
    }
}
