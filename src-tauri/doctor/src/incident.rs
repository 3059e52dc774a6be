//! Incidents with their story, and what was done.

use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::clock::Wall;
use crate::event::Asker;
use crate::order::OperationId;
use crate::remedy::Step;
use crate::sentence::Sentence;
use crate::target::TargetId;

/// One episode of one root target being unwell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub id: String,
    pub target: TargetId,
    pub cause: Cause,
    pub state: IncidentState,
    /// When it was decided that something is wrong.
    pub opened: Wall,
    pub closed: Option<Wall>,
    /// From the first failed look, or the container's end, to `opened`.
    pub detected_after_ms: u64,
    /// From `opened` to "answering again" (R46, conditions 1 to 3).
    pub answering_after_ms: Option<u64>,
    /// From `opened` to verified.
    pub recovered_after_ms: Option<u64>,
    pub attempts: u32,
    /// What suffers with it and is told of here alone, in the order of the ids.
    #[serde(default)]
    pub affects: Vec<TargetId>,
    /// What a container wrote last, the newest line last; without prompts and secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    pub story: Vec<StoryLine>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    Open,
    Healing,
    GivenUp,
    /// Healed by us and proven.
    Verified,
    /// It came back without us.
    HealedItself,
    /// A person took over, or it is no longer watched.
    Closed,
}

/// One line of "what happened".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoryLine {
    pub at: Wall,
    pub kind: StoryKind,
    pub says: Sentence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoryKind {
    Seen,
    Concluded,
    Done,
    Proven,
    Failed,
}

/// One attempt at one remedy; written before its first step, again when it ended (R48).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemedyRecord {
    pub operation: OperationId,
    pub attempt: u32,
    pub incident: Option<String>,
    pub target: TargetId,
    pub verb: Verb,
    pub by: Asker,
    pub began: Wall,
    pub ended: Option<Wall>,
    pub result: Option<RemedyResult>,
    /// The steps taken so far.
    pub steps: Vec<Step>,
    pub says: Option<Sentence>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    Check,
    Start,
    Stop,
    Restart,
    Unload,
    Measure,
    Ensure,
    /// Reading models whole.
    Verify,
    /// Bringing the broken parts of a model anew.
    Repair,
    /// More memory for a container, as it runs.
    Raise,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemedyResult {
    Verified,
    Failed,
    Superseded,
}

/// One restart, whoever made it (R28).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartRecord {
    pub id: String,
    pub target: TargetId,
    pub at: Wall,
    pub by: RestartedBy,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartedBy {
    Us,
    Person,
    /// Docker's policy, launchd, an application.
    #[default]
    Other,
}
