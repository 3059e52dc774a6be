//! What is told to people unasked, and when (R49 to R57).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::cause::CauseId;
use crate::clock::{Awake, Continuous};
use crate::sentence::Sentence;
use crate::target::TargetId;

/// One native notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub kind: NoticeKind,
    pub target: TargetId,
    pub cause: Option<CauseId>,
    pub title: Sentence,
    /// What happened, what was done, what to do.
    pub lines: Vec<Sentence>,
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
    /// About Homeostat itself: port taken, journal damaged, configuration wrong.
    Ourselves,
}

/// What was told and when: the memory behind the rates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notices {
    /// Opened incidents that have not been told yet.
    pub(crate) waiting: BTreeMap<TargetId, Awake>,
    /// Problems that were told and not yet closed (R52).
    pub(crate) told: BTreeSet<TargetId>,
    /// Which incident was said to need a person, and when.
    pub(crate) needs: BTreeMap<TargetId, (String, Continuous)>,
    pub(crate) last: BTreeMap<(NoticeKind, TargetId, Option<CauseId>), Continuous>,
    pub(crate) hour: VecDeque<Continuous>,
    pub(crate) ooms: BTreeMap<TargetId, Continuous>,
    pub(crate) own: BTreeMap<&'static str, Continuous>,
}
