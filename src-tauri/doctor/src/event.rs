//! Everything that can happen, as the doctor is told it. One closed enum, one inbox.

use std::net::IpAddr;
use std::time::Duration;

use crate::fallback::Calls;
use crate::incident::Incident;
use crate::ledger::Ledger;
use crate::notice::NoticeId;
use crate::observation::{ContainerNews, Observation};
use crate::order::{LookId, OperationId, RecordId, Ticket};
use crate::remedy::{Outcome, StepId};
use crate::target::{Spec, TargetId};
use crate::timeline::MemorySample;
use crate::timings::{MeasurePlan, Timing};

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Nothing but time has passed.
    Tick,
    /// A look came back.
    Looked {
        look: LookId,
        target: TargetId,
        observation: Box<Observation>,
    },
    /// The engine's event stream told something about a container.
    ContainerNews(ContainerNews),
    /// The engine's event stream began, or ended.
    DockerStream {
        connected: bool,
    },
    /// One step of a remedy ended.
    Treated {
        step: StepId,
        outcome: Outcome,
    },
    /// A step that takes long tells how far it is.
    Progressed {
        step: StepId,
        progress: Progress,
    },
    /// The Compose that this step is about to run is the first one: it stops before it makes another.
    StopsFirst {
        step: StepId,
    },
    /// A person, an agent or the schedule asks for something.
    Wished {
        ticket: Ticket,
        wish: Wish,
        by: Asker,
        /// Where the call came from, when it came over the network (R38).
        from: Option<IpAddr>,
    },
    /// The machine woke; `slept` as far as it is known.
    Woke {
        slept: Duration,
    },
    /// Another configuration is in force.
    Reconfigured {
        roster: Vec<Spec>,
    },
    /// A record is on disk, or is not.
    Recorded {
        record: RecordId,
    },
    RecordFailed {
        record: RecordId,
        reason: String,
    },
    /// A notice could not be shown: it counts as not told (R52).
    NoticeFailed {
        notice: NoticeId,
    },
    /// Agents report how many calls they made.
    Called(Calls),
    /// Our own loop was late by this much: doubt ourselves first (R9).
    Late {
        by: Duration,
    },
    /// How long an exchange with ourselves over loopback took (R9).
    SelfProbed {
        took: Duration,
    },
    /// The configuration cannot be read; the last good one stays in force (fault 53).
    Misconfigured,
    /// Programs that heal the same things run beside us (A11); none: no more.
    OtherHealers {
        names: Vec<String>,
    },
    /// The application of a server ended: in the normal way, or by a crash (R36).
    Quit {
        target: TargetId,
        normal: bool,
    },
    /// We are told to end: what comes after this on disk ended in an orderly way (R32, R39).
    Ending,
    /// What the journal holds of the last hours, at start: oldest first.
    Remembered {
        memory: Vec<MemorySample>,
        timings: Vec<Timing>,
    },
    /// The ledger that was kept on disk, at start.
    Restored {
        ledger: LedgerFound,
        /// Incidents that were open when we ended: they go on.
        open: Vec<Incident>,
    },
}

/// What was found where the ledger is kept.
#[derive(Clone, Debug, PartialEq)]
pub enum LedgerFound {
    /// The very first run.
    None,
    Good(Ledger),
    /// Both generations are damaged, or they have gone: be careful (fault 54).
    Damaged,
}

/// How far a long step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    pub of: u64,
    pub about: String,
}

/// Who asks. A complaint only raises suspicion (R23); a person commands (R22).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asker {
    Person,
    Agent,
    /// The doctor itself.
    Doctor,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Look at these at once and heal what is sick; none named: everything.
    Recover {
        targets: Vec<TargetId>,
    },
    Restart {
        target: TargetId,
    },
    Start {
        target: TargetId,
    },
    /// Stop it, for so long or until a person starts it; when the time is over it is started again.
    Stop {
        target: TargetId,
        within: Option<Duration>,
    },
    /// Leave it alone, for so long or until a person ends it (R36).
    Hold {
        target: TargetId,
        within: Option<Duration>,
    },
    Release {
        target: TargetId,
    },
    Unload(Unload),
    Measure(MeasurePlan),
    CancelMeasure,
    /// See to it that this model exists and works; none named: every configured one (C3).
    Ensure {
        model: Option<String>,
    },
    /// Read the blobs of this model, or of all, and compare their sums (A8).
    VerifyModels {
        model: Option<String>,
    },
    /// Remove this model's broken blobs and bring them anew; none named: of every model that is known
    /// to be broken.
    Repair {
        model: Option<String>,
    },
    /// A container may use so many bytes from now on; none: what is proposed for it (C8).
    Raise {
        target: TargetId,
        to: Option<u64>,
    },
    /// Break off an errand.
    Cancel {
        operation: OperationId,
    },
    /// Full look at everything, nothing else.
    CheckEverything,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unload {
    Model(String),
    Idle,
    All,
}
