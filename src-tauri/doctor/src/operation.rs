//! An operation: one wish or one remedy on its way, step by step.

use std::time::Duration;

use crate::clock::{Awake, Now, Wall};
use crate::event::{Asker, Progress};
use crate::incident::{RemedyResult, Verb};
use crate::order::{OperationId, RecordId};
use crate::plan::Plan;
use crate::remedy::Step;
use crate::sentence::Sentence;
use crate::target::TargetId;

#[derive(Clone, Debug)]
pub struct Operation {
    pub id: OperationId,
    pub target: TargetId,
    pub verb: Verb,
    pub by: Asker,
    pub incident: Option<String>,
    pub attempt: u32,
    /// Counts against the budget of the episode.
    pub(crate) counted: bool,
    /// None: still running.
    pub result: Option<RemedyResult>,
    /// What has happened so far.
    pub log: Vec<(Wall, Sentence)>,
    pub progress: Option<Progress>,
    pub began: Now,
    pub(crate) plan: Plan,
    pub(crate) stage: Stage,
    pub(crate) steps: Vec<Step>,
    pub(crate) number: u32,
    /// Containers whose complaint this is: they are not treated for it, unless they named
    /// themselves (R38).
    pub(crate) callers: Vec<TargetId>,
    /// The incarnation that is to be replaced.
    pub(crate) before: Option<String>,
}

/// Errands wait for those of their own kind only: a download of hours keeps no unload waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    Memory,
    Download,
    Reading,
    Limit,
}

#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// Waits until nothing else is under way on this host (R20).
    Queued,
    /// The next step waits until it is on disk.
    Writing {
        record: RecordId,
        step: Step,
        within: Duration,
        deadline: Awake,
    },
    Acting {
        step: Step,
        deadline: Awake,
    },
    Verifying(Verification),
    Ended,
}

/// R46: answering again, then a soak, then the same kind of check once more.
#[derive(Clone, Debug)]
pub(crate) struct Verification {
    pub(crate) began: Awake,
    pub(crate) deadline: Awake,
    /// The deadline was moved once already (R13).
    pub(crate) extended: bool,
    pub(crate) goods: u32,
    pub(crate) soak_until: Option<Awake>,
    /// The soak is over; the last, full look is awaited.
    pub(crate) last_look: bool,
    /// The model whose answer failed: it must answer before this is verified.
    pub(crate) deep_model: Option<String>,
    /// The incarnation that answers again.
    pub(crate) proven: Option<String>,
}

impl Operation {
    /// Interrupts or starts something: only one such at a time on the whole host.
    pub fn is_remedy(&self) -> bool {
        self.plan.is_remedy()
    }

    /// The queue that it waits in; none for what is no errand.
    pub(crate) fn errand(&self) -> Option<Errand> {
        match self.verb {
            Verb::Unload | Verb::Measure if !self.is_remedy() => Some(Errand::Memory),
            Verb::Ensure | Verb::Repair => Some(Errand::Download),
            Verb::Verify => Some(Errand::Reading),
            Verb::Raise => Some(Errand::Limit),
            Verb::Unload
            | Verb::Measure
            | Verb::Start
            | Verb::Stop
            | Verb::Restart
            | Verb::Check => None,
        }
    }

    /// It takes long, and nothing is worse for having been left half done.
    pub fn can_be_cancelled(&self) -> bool {
        match self.verb {
            Verb::Measure | Verb::Ensure | Verb::Verify | Verb::Repair => true,
            Verb::Start | Verb::Stop | Verb::Restart | Verb::Check | Verb::Unload | Verb::Raise => {
                false
            }
        }
    }

    pub fn is_running(&self) -> bool {
        self.result.is_none()
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.is_running() && !matches!(self.stage, Stage::Queued)
    }

    /// It answers again and only has to go on doing so.
    pub fn is_soaking(&self) -> bool {
        matches!(&self.stage, Stage::Verifying(verification) if verification.soak_until.is_some())
    }

    /// All its steps are done, and nothing has answered yet.
    pub fn awaits_an_answer(&self) -> bool {
        matches!(&self.stage, Stage::Verifying(verification) if verification.soak_until.is_none())
    }

    pub(crate) fn say(&mut self, at: Wall, says: Sentence) {
        self.log.push((at, says));
        if self.log.len() > 64 {
            self.log.remove(0);
        }
    }
}
