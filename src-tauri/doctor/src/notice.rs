//! What is told to people unasked (R49 to R57).

use serde::{Deserialize, Serialize};

use crate::cause::CauseId;
use crate::sentence::Sentence;
use crate::target::TargetId;

/// Names one notice, so that its failure to be shown can be reported.
pub type NoticeId = u64;

/// One native notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub id: NoticeId,
    pub kind: NoticeKind,
    pub target: TargetId,
    pub cause: Option<CauseId>,
    pub title: Sentence,
    /// What is wrong, what suffers with it, what was done, what to do (R56).
    pub lines: Vec<Sentence>,
    /// What its button does.
    pub button: Button,
    /// It ends nothing that was told: the one word after a repair that nobody noticed (R51).
    pub quiet: bool,
    pub incident: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// Something is wrong for longer than 30 s.
    Problem,
    OutOfMemory,
    NeedsYou,
    Recovered,
    /// More than three restarts in an hour.
    RestartRate,
    /// It fails and comes back again and again; its changes are muted from now on (R54).
    Flapping,
    /// A critical container that a person stopped is still stopped (R35).
    Held,
    /// More calls of agents go to the cloud than to the models here (C10).
    CloudCalls,
    /// What the rates held back, in one (R53).
    Digest,
    /// About Homeostat itself: port taken, journal damaged, configuration wrong.
    Ourselves,
}

/// What a click on a notice's button asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Button {
    /// Open the window at this target.
    Show,
    Start,
    Restart,
    Release,
}
