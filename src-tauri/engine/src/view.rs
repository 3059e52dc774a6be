//! What is drawn: one snapshot for tray, window, command line and `GET /status`. Plain values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// Everything there is to see at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct Snapshot {
    pub version: String,
    /// RFC 3339, UTC.
    pub at: String,
    pub summary: Summary,
    /// The whole machine in one sentence, and what else there is to say.
    pub headline: String,
    pub subline: String,
    pub targets: Vec<Target>,
    pub models: Vec<Model>,
    pub memory: Memory,
    /// Open incidents only; the others are asked for page by page.
    pub incidents: Vec<Incident>,
    pub operations: Vec<Operation>,
    pub fallback: bool,
    /// Newest measurement of each model.
    pub timings: Vec<ModelTiming>,
    /// About Homeostat itself: a port taken, a bad configuration, a damaged journal.
    pub messages: Vec<String>,
    /// None: no other healer runs here, and none was ended by us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub takeover: Option<Takeover>,
    /// `en` or `ru`.
    pub language: String,
}

/// Other programs that heal the same things, and what a click may do about them (C12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Takeover {
    /// One sentence.
    pub text: String,
    /// Those that run, one line each.
    pub others: Vec<String>,
    /// `take_over`, `give_back`, both or neither.
    pub can: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Summary {
    Well,
    Healing,
    Attention,
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct Target {
    /// `host`, `docker`, `ollama`, `mlx`, `container:NAME`, `service:NAME`.
    pub id: String,
    pub kind: String,
    pub name: String,
    pub state: State,
    /// RFC 3339, UTC: since when it is in this state.
    pub since: String,
    pub intent: Intent,
    pub inhibited_by: Option<String>,
    pub cause: Option<Cause>,
    pub restarts_last_hour: u32,
    /// What a click may ask for now: `restart`, `start`, `stop`, `pause` (a stop for
    /// an hour), `ensure`, `repair`, `raise`, `hold`, `release`.
    pub actions: Vec<String>,
    /// One short line under the name: a version, an address, how long it is up.
    pub line: String,
    pub why: Why,
    /// False: neither configured nor ever seen alive, shown as "not found".
    pub found: bool,
    /// What only this kind has, as text by name.
    pub detail: BTreeMap<String, serde_json::Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Unknown,
    Starting,
    Healthy,
    Slow,
    Degraded,
    Down,
    Recovering,
    GivenUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    Wanted,
    Held,
    Completed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Cause {
    /// Stable, such as `ollama.not_running`.
    pub id: String,
    pub text: String,
    /// `certain`, `likely`, `possible`.
    pub confidence: String,
    pub evidence: Vec<String>,
    pub advice: String,
}

/// Why it is in this state, what would change that, and what happens next. Times are RFC 3339, UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Why {
    /// The rule that holds it here, such as `R11`.
    pub rule: String,
    pub text: String,
    /// When the next look or attempt is due.
    pub next: Option<String>,
    /// Since when it is so.
    #[serde(default)]
    pub since: String,
    /// What would change it, the nearest first.
    #[serde(default)]
    pub changes: Vec<String>,
    /// How the next look comes about.
    #[serde(default)]
    pub look: Look,
    /// None: one is under way, or nobody knows when.
    #[serde(default)]
    pub next_look: Option<String>,
    /// When the next attempt or trial may begin by itself.
    #[serde(default)]
    pub next_attempt: Option<String>,
    /// Why nothing is done; none while something is, or while there is nothing to do.
    #[serde(default)]
    pub nothing_done: Option<String>,
    /// The rule that says so.
    #[serde(default)]
    pub nothing_done_rule: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// At its time.
    #[default]
    At,
    /// One is under way.
    Now,
    /// Docker's events tell at once, its snapshot at that time.
    Told,
    /// Not before what it depends on is well.
    Waits,
}

/// A model that is in memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct Model {
    /// `ollama` or `mlx`.
    pub server: String,
    pub name: String,
    #[ts(type = "number")]
    pub size_bytes: u64,
    #[ts(type = "number")]
    pub vram_bytes: u64,
    #[ts(type = "number")]
    pub context_length: u64,
    /// Seconds until its server unloads it; none: never.
    #[ts(type = "number | null")]
    pub expires_in_s: Option<u64>,
    pub pinned: bool,
    pub tokens_per_s: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Memory {
    #[ts(type = "number")]
    pub total_bytes: u64,
    #[ts(type = "number")]
    pub available_bytes: u64,
    /// 1 normal, 2 warning, 4 critical; 0 not known yet.
    pub pressure: u8,
    #[ts(type = "number")]
    pub swap_total_bytes: u64,
    #[ts(type = "number")]
    pub swap_used_bytes: u64,
    /// What the GPU may hold of it (macOS, `iogpu.wired_limit_mb`); none: there is no such limit.
    #[serde(default)]
    #[ts(type = "number | null")]
    pub gpu_limit_bytes: Option<u64>,
    /// A person set that limit; else it is about what the system allows.
    #[serde(default)]
    pub gpu_limit_is_set: bool,
    pub groups: Vec<MemoryGroup>,
    /// How hard each model server worked in each of the last sixty minutes.
    #[serde(default)]
    pub work: Vec<ServerWork>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ServerWork {
    /// `ollama` or `mlx`.
    pub server: String,
    /// Per cent of one core, at most, minute by minute, oldest first; none: not read.
    pub percent: Vec<Option<u32>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct MemoryGroup {
    pub name: String,
    #[ts(type = "number")]
    pub bytes: u64,
    pub processes: u32,
    /// By how much it has grown; none: nothing is known of that time.
    #[serde(default)]
    #[ts(type = "number | null")]
    pub grew_10m_bytes: Option<i64>,
    #[serde(default)]
    #[ts(type = "number | null")]
    pub grew_6h_bytes: Option<i64>,
    /// In steps of ten minutes over the last six hours, oldest first; none: not read.
    #[serde(default)]
    #[ts(type = "(number | null)[]")]
    pub history: Vec<Option<u64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Incident {
    pub id: String,
    pub target: String,
    pub cause: Cause,
    /// `open`, `healing`, `given_up`, `verified`, `healed_itself`, `closed`.
    pub state: String,
    /// RFC 3339, UTC.
    pub opened: String,
    pub closed: Option<String>,
    #[ts(type = "number")]
    pub detected_after_ms: u64,
    #[ts(type = "number | null")]
    pub answering_after_ms: Option<u64>,
    #[ts(type = "number | null")]
    pub recovered_after_ms: Option<u64>,
    pub attempts: u32,
    /// Names of the targets that suffer with this one and have no incident of their own.
    #[serde(default)]
    pub affects: Vec<String>,
    /// What a container wrote last, the newest line last; without prompts and secrets.
    #[serde(default)]
    pub log: Vec<String>,
    pub story: Vec<StoryLine>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct StoryLine {
    /// RFC 3339, UTC.
    pub at: String,
    /// `seen`, `concluded`, `done`, `proven`, `failed`.
    pub kind: String,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Operation {
    pub id: String,
    pub target: String,
    /// `check`, `start`, `stop`, `restart`, `unload`, `measure`, `ensure`, `verify`, `repair`, `raise`.
    pub verb: String,
    pub state: OperationState,
    pub steps: Vec<OperationStep>,
    /// How it went, or is going, in one sentence.
    pub text: String,
    #[ts(type = "number | null")]
    pub done: Option<u64>,
    #[ts(type = "number | null")]
    pub of: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    Running,
    Verified,
    Failed,
    Superseded,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct OperationStep {
    pub at: String,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct ModelTiming {
    pub server: String,
    pub model: String,
    pub at: String,
    #[ts(type = "number | null")]
    pub load_ms: Option<u64>,
    #[ts(type = "number | null")]
    pub first_token_ms: Option<u64>,
    pub prompt_tokens_per_s: Option<f64>,
    pub tokens_per_s: Option<f64>,
    #[ts(type = "number | null")]
    pub memory_bytes: Option<u64>,
    pub error: Option<String>,
}

/// A native notification, with its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct NoticeView {
    /// `problem`, `out_of_memory`, `needs_you`, `recovered`, `restart_rate`, `flapping`, `held`,
    /// `digest`, `ourselves`.
    pub kind: String,
    pub target: String,
    pub cause: Option<String>,
    pub title: String,
    pub body: String,
    /// What its button does: `show`, `start`, `restart`, `release`; and its word.
    pub button: String,
    pub button_text: String,
    /// It ends nothing that was told before: no reason to call anybody.
    pub quiet: bool,
    pub incident: Option<String>,
    pub at: String,
    /// Names it when it could not be shown; 0: the loop's own, which nobody keeps.
    #[ts(type = "number")]
    pub id: u64,
}

/// The word that stands for a value of an enum in JSON.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}
