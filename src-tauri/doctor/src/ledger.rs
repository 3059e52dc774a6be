//! What must survive a relaunch so that nothing is restarted too often or against a person's will.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::{Boot, Continuous, Wall};
use crate::order::OperationId;
use crate::target::TargetId;

/// Kept in a small checksummed file beside the journal; replaced whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// The boot session in which it was written, and the clocks then: continuous time starts anew
    /// with a boot, wall time then tells how long ago something was.
    pub boot: Boot,
    pub written: Wall,
    pub written_continuous: Continuous,
    pub targets: BTreeMap<TargetId, Account>,
}

/// One target's account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub intent: Intent,
    /// Attempts in the running episode (R25).
    pub attempts: u32,
    /// When the target was last seen to be healthy without a break since, or the last attempt ended;
    /// an episode closes 10 minutes after.
    pub episode: Option<String>,
    pub given_up: bool,
    /// Restarts within the last hour (R28).
    pub restarts: Vec<Restart>,
    /// An own act that was written down and not yet seen to end (R33).
    pub act: Option<Act>,
    /// Ever seen alive.
    pub seen_alive: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Restart {
    pub at: Continuous,
    /// Made by us without being asked.
    pub automatic: bool,
}

/// Written before it is done: which stop was ours (R33).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Act {
    pub operation: OperationId,
    /// Container id with start time, or pid with start time.
    pub incarnation: String,
    pub verb: crate::incident::Verb,
    pub at: Wall,
}

/// Whether it is meant to run (R33 to R37).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    #[default]
    Wanted,
    /// A person stopped it; it stays so until a person starts or releases it.
    Held,
    /// It ended in an orderly way and was not meant to go on.
    Completed,
}
