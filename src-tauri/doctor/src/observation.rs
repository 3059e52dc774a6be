//! What a probe saw. Sickness is data: a refused connection is an observation, never an error.

use serde::{Deserialize, Serialize};

use crate::cause::{CauseId, Confidence};

mod docker;
mod host;

pub use docker::*;
pub use host::*;

/// The answer to one [`Look`](crate::Look).
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    Host(HostSeen),
    Docker(DockerSeen),
    /// None: the engine knows no container of that name.
    Container(Option<ContainerSeen>),
    Ollama(OllamaSeen),
    Mlx(MlxSeen),
    Service(ServiceSeen),
    /// We could not ask, for a reason of our own (no file descriptors, no memory): says nothing
    /// about the target.
    Unasked {
        reason: String,
    },
}

/// One question over HTTP and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub url: String,
    pub reply: Reply,
    pub took_ms: u64,
}

/// How an HTTP question ended (RECOVERY 1.3, R8).
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Nothing listens on the port.
    Refused,
    /// The name does not resolve, no route, and the like.
    Unreachable {
        reason: String,
    },
    ConnectTimeout,
    /// Connected, and not one byte of a head before the deadline.
    Silent,
    /// A head, but the body stopped before its end.
    Stalled,
    Reset,
    /// Closed without any answer.
    Empty,
    /// Not HTTP, or broken chunks.
    Malformed {
        reason: String,
    },
    /// The body passed the size cap and was cut.
    TooLarge,
    Status {
        code: u16,
        body: Body,
    },
}

/// What the body of an answer was.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// The shape that this product answers.
    Expected,
    /// Valid, but of another product.
    Other,
    /// Was to be JSON and is not.
    Garbage,
}

/// Ollama: `/api/version` decides, the rest is detail (R63).
#[derive(Clone, Debug, PartialEq)]
pub struct OllamaSeen {
    pub version: Answer,
    /// Only when it answered as Ollama does.
    pub product_version: Option<String>,
    /// From `/api/tags`; none when not asked or not answered.
    pub installed: Option<Vec<ModelSeen>>,
    /// From `/api/ps`; none when not asked or not answered.
    pub loaded: Option<Vec<LoadedSeen>>,
    /// The process that listens, when it could be found.
    pub listener: Listener,
    /// Looked up only in full looks.
    pub surroundings: Option<Surroundings>,
    /// `/api/ps` was asked and did not answer, while the version did: the scheduler holds its lock
    /// over a runner that will not end (FACTS 0, 7).
    pub ps_fails: Option<Reply>,
    pub signs: Signs,
}

/// An MLX server, of whatever kind (FACTS B.2 to B.4).
#[derive(Clone, Debug, PartialEq)]
pub struct MlxSeen {
    /// `/health` first, then `/v1/models`, `/api/tags`, `/`, until one tells.
    pub asked: Vec<Answer>,
    pub server: MlxServer,
    /// Model names from `/v1/models`.
    pub models: Option<Vec<String>>,
    /// What is in memory, where its kind tells (FACTS B.2); none: not asked, or not told.
    pub loaded: Option<Vec<LoadedSeen>>,
    /// How many requests at once it lets through; none: not read this time.
    pub settings: Option<Vec<Setting>>,
    pub listener: Listener,
    pub surroundings: Option<Surroundings>,
    pub signs: Signs,
}

/// The variables that say how many requests at once are let through to a model server (C5): of
/// nothing else in an environment is the value ever read.
pub const CONCURRENCY: [&str; 4] = [
    "MLX_MAX_CONCURRENT",
    "SMART_WORKER_MAX_CONCURRENT",
    "MAX_CONCURRENT_VICTORIA",
    "UVICORN_WORKERS",
];

/// A setting that is a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub name: String,
    pub value: u32,
}

impl Setting {
    /// The ones of [`CONCURRENCY`] among variables, in that order.
    pub fn among(value: impl Fn(&str) -> Option<String>) -> Vec<Self> {
        let number = |name: &str| value(name)?.trim().parse().ok();
        let named =
            |name: &&str| number(name).map(|value| Self { name: (*name).to_owned(), value });
        CONCURRENCY.iter().filter_map(named).collect()
    }
}

/// Which program answers on the MLX port, told by its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MlxServer {
    MlxLm,
    OpenAi,
    Omni,
    Omlx,
    LmStudio,
    /// The `MLX Model Server` of FACTS B.3.
    ModelServer,
    /// Answers like Ollama: somebody else's port.
    Ollama,
    Unrecognised,
}

/// An HTTP service, and where else it was looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceSeen {
    pub answer: Answer,
    /// Tells the address asked from every other one, also where what is shown of both is the same.
    pub address: String,
    /// The same question on another side of the port mapping: inside the container, or at another
    /// published port.
    pub elsewhere: Option<Answer>,
    /// Per cent of one core that its container uses; none where that was not read.
    pub cpu_percent: Option<u32>,
    /// Looked up while it fails, where its port leads into its container.
    pub behind: Option<Behind>,
}

/// Where a published port leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The port inside the container.
    pub port: u16,
    /// What is listened on there; none: nobody can tell.
    pub open: Option<Vec<OpenPort>>,
    /// Ports that its image declares; only asked for where nobody can tell.
    pub declared: Vec<u16>,
}

/// A TCP port that is listened on in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenPort {
    pub port: u16,
    /// On its loopback only: a published port does not reach it.
    pub inside_only: bool,
}

impl From<Answer> for ServiceSeen {
    fn from(answer: Answer) -> Self {
        let address = answer.url.clone();
        Self { answer, address, elsewhere: None, cpu_percent: None, behind: None }
    }
}

/// What tells more of a model server than its own answers. Each is none where nobody could tell,
/// and nothing is concluded from what nobody could tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signs {
    /// One request for one token, or for one embedding (R5).
    pub deep: Option<DeepSeen>,
    pub activity: Option<Activity>,
    /// Log lines that matched a signature since the last look.
    pub log: Vec<LogSign>,
    pub store: Option<StoreSeen>,
    /// Who would each start this server on this port: Ollama.app, a launchd label, a unit.
    pub supervisors: Vec<String>,
    /// Processes that serve one model each.
    pub runners: Option<Vec<RunnerSeen>>,
    /// While nobody listens: how those that we had started have ended lately.
    pub exits: Vec<ExitSeen>,
}

/// How a process has ended: only who started it is told (R59).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitSeen {
    pub process: ProcessId,
    pub how: ExitHow,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitHow {
    Code(i32),
    /// By its name, such as `SIGKILL`.
    Signal(String),
}

/// The answer to a request that proves that generation works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeepSeen {
    pub model: String,
    pub outcome: DeepOutcome,
    pub took_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeepOutcome {
    Answered,
    /// 200 without a single token (FACTS 0, 2).
    Empty,
    /// Not one byte within the time limit.
    NoFirstByte,
    /// Any other status than 200.
    Failed {
        status: u16,
    },
    /// It says that its queue is full.
    Busy,
}

/// How hard the server and its runners work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Per cent of one core, the server itself and its runners, since the last look.
    pub server_percent: u32,
    pub runners_percent: u32,
    /// Bytes that the server and its runners hold: footprint on macOS, PSS on Linux.
    pub footprint_bytes: u64,
    /// The oldest request has had no byte of its answer for so many seconds.
    pub silent_for_s: Option<u64>,
}

/// A log line that matched a signature; the line itself holds no prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSign {
    pub cause: CauseId,
    pub confidence: Confidence,
    pub line: String,
}

/// Models on disk, apart from what the server says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreSeen {
    /// Who owns the models directory of the user that we run as.
    pub owner_uid: u32,
    pub manifests: u32,
    /// Models with a blob that is missing or has another length or digest, with the blob's name.
    pub corrupt: Vec<(String, String)>,
    /// Configured models that are not there.
    pub missing: Vec<String>,
    /// The server's models directory, and why it cannot be read.
    pub unreadable: Option<String>,
    /// The server lists nothing, and keeps its models elsewhere by its own word.
    pub elsewhere: Option<Elsewhere>,
}

/// Two directories that are not one and the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// Where the server that listens looks for models.
    pub served: String,
    /// Where those of the user lie that we run as.
    pub own: String,
}

/// A process that serves one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerSeen {
    pub process: ProcessId,
    /// None: its command line does not tell.
    pub model: Option<String>,
    pub footprint_bytes: u64,
    /// The server that has started it is gone: nobody will ever end it (FACTS A.1).
    pub left_behind: bool,
}

/// A model on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSeen {
    pub name: String,
    pub size_bytes: u64,
    pub parameters: String,
    pub quantisation: String,
}

/// A model in memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadedSeen {
    pub name: String,
    /// Zero: its server does not tell.
    pub size_bytes: u64,
    pub vram_bytes: u64,
    pub context_length: u64,
    /// Seconds until its server unloads it by itself; none: never, or not told.
    pub expires_in_s: Option<u64>,
    /// Its MLX server was told to keep it.
    #[serde(default)]
    pub stays: bool,
}

/// A process as R4 names it; a bare pid is never acted on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    pub pid: u32,
    /// Linux: clock ticks after boot (`/proc/PID/stat` field 22). macOS: microseconds since 1970.
    pub started: u64,
    /// Absolute path; empty where the system does not tell.
    pub executable: String,
}

impl ProcessId {
    /// The file name of the executable.
    pub fn program(&self) -> &str {
        let name = self.executable.rsplit('/').next().unwrap_or_default();
        name.strip_suffix(" (deleted)").unwrap_or(name)
    }

    /// Pid and start time: what no other process has.
    pub(crate) fn incarnation(&self) -> String {
        format!("{}@{}", self.pid, self.started)
    }
}

/// A process and what a person wants to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSeen {
    pub id: ProcessId,
    pub uid: Option<u32>,
    pub user: Option<String>,
    pub parent: Option<u32>,
    /// Argument list; never shown or stored whole, it may hold secrets.
    pub command: Vec<String>,
    /// Seconds since 1970.
    pub since: Option<i64>,
}

/// Who listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listener {
    Nobody,
    Process(ProcessSeen),
    /// Somebody does, but the system does not show us who (another user's process).
    Hidden,
    /// Not looked up this time.
    NotAsked,
}

/// What is around a model server: gathered in full looks only, since it costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Processes named like the server or like what it is mistaken for (`ollama-mcp`).
    pub relatives: Vec<ProcessSeen>,
    pub installed: Installed,
    /// Of the process that listens; while nobody does, of the one that did last.
    pub supervisor: Option<Supervisor>,
    /// We are the superuser: the system's own services are ours to stop.
    pub root: bool,
}

/// Who has started a server, and would start it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Supervisor {
    /// macOS: the application bundle at this path.
    App(String),
    /// macOS: a job of the user that we run as, by its label.
    Launchd(String),
    /// Linux: a systemd unit, such as `ollama.service`.
    Unit {
        name: String,
        /// Of the user's own systemd, which we may use.
        of_user: bool,
    },
    /// We have.
    Homeostat,
    /// A shell, by its name: somebody at a terminal, or a script.
    Shell(String),
    /// Any other program, by its name.
    Program(String),
    /// It belongs to this user; who started it is not ours to know.
    OtherUser(String),
    /// Whoever it was has ended.
    Nobody,
    /// The system does not show us the process.
    NotVisible,
}

/// Which ways to start the server exist on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// The `ollama` command, absolute.
    pub binary: Option<String>,
    /// macOS: the `Ollama.app` bundle.
    pub app: Option<String>,
    /// macOS: the Homebrew service's property list.
    pub brew_service: Option<String>,
    /// Linux: the systemd unit file.
    pub systemd_unit: Option<String>,
    /// Set when a configured launch command's program is missing.
    pub missing_program: Option<String>,
}
