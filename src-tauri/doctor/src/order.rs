//! Everything the doctor can order: look, treat, record, tell.

use serde::{Deserialize, Serialize};

use crate::incident::{Incident, RemedyRecord, RestartRecord};
use crate::ledger::Ledger;
use crate::notice::Notice;
use crate::remedy::Treatment;
use crate::sentence::Sentence;
use crate::target::TargetId;
use crate::timeline::MemorySample;
use crate::timings::Timing;

pub type LookId = u64;
pub type RecordId = u64;
/// Names one wish, so that its answer finds the asker.
pub type Ticket = u64;

#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    Look(Look),
    Treat(Treatment),
    Record(Record),
    Tell(Tell),
}

/// Ask a target how it is. Answered by [`Event::Looked`](crate::Event::Looked).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub id: LookId,
    pub target: TargetId,
    pub depth: Depth,
    /// How many times its usual patience a probe shows: we may be the slow one (R9).
    pub stretch: u32,
    /// A deep look may load this model, which was loaded before (R46).
    pub model: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// One cheap question.
    Shallow,
    /// With everything that tells the cause: port owner, processes, models, memory by owner.
    Full,
    /// Everything, and a request that proves that generation works (R5).
    Deep,
}

/// Put on disk. Answered by [`Event::Recorded`](crate::Event::Recorded) or
/// [`Event::RecordFailed`](crate::Event::RecordFailed).
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub id: RecordId,
    /// The whole ledger as it is now: written first, apart from the journal. It goes with the first
    /// record of one event, so none means that it is on its way already.
    pub ledger: Option<Ledger>,
    pub entry: Option<Entry>,
}

/// A row of the journal; written again under the same id it replaces the older one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    Incident(Incident),
    Remedy(RemedyRecord),
    Restart(RestartRecord),
    Timing(Timing),
    Memory(MemorySample),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Tell {
    Notice(Notice),
    /// To whoever made the wish.
    Answer {
        ticket: Ticket,
        response: Response,
    },
}

/// What becomes of a wish.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// An operation runs for it, or one that already ran was joined (R21).
    Accepted { operation: OperationId, targets: Vec<TargetId> },
    /// Done at once: a hold, a release.
    Done,
    /// A person holds it.
    Held(Sentence),
    /// Waking, or its parent is not well: ask again later.
    NotNow(Sentence),
    /// It can't be done: no such target, no known way to start it, and the like.
    Impossible(Sentence),
}

pub type OperationId = String;
