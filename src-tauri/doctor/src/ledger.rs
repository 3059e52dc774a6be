//! What must survive a relaunch so that nothing is restarted too often or against a person's will.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cause::CauseId;
use crate::clock::{Boot, Continuous, Wall};
use crate::container::is_same_end;
use crate::exits::Exits;
use crate::incident::RestartedBy;
use crate::order::OperationId;
use crate::target::TargetId;

/// More restarts within the hour than this are not told apart any more.
const RESTARTS_KEPT: usize = 64;

/// Kept in a small checksummed file beside the journal; replaced whole. What an older version did
/// not write is as if it had never happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// The boot session in which it was written, and the clocks then: continuous time starts anew
    /// with a boot, wall time then tells how long ago something was.
    pub boot: Boot,
    pub written: Wall,
    pub written_continuous: Continuous,
    /// We were told to end and did: what is not so marked was cut off (R32, R39).
    pub ended: bool,
    /// Starts of ours that no orderly end came before, in this boot session (R39).
    pub crashes: Vec<Continuous>,
    /// After too many of them nothing is done unasked (R39).
    pub observing: bool,
    pub targets: BTreeMap<TargetId, Account>,
}

/// How often something was restarted, by whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Restarted {
    pub us: u64,
    pub person: u64,
    pub others: u64,
}

/// One target's account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Account {
    pub intent: Intent,
    /// Since when, by whom and until when it is held; only while it is.
    pub hold: Option<Hold>,
    /// The ledger that knew whether a person stopped it is lost (fault 54).
    pub doubtful: bool,
    /// Attempts in the running episode (R25).
    pub attempts: u32,
    /// Those among them for an end by an unknown hand (1.14).
    pub unexplained: u32,
    /// When the last attempt ended; an episode closes after 10 minutes of health.
    pub last_attempt: Option<Continuous>,
    pub given_up: Option<GivenUp>,
    /// Restarts within the last hour (R28).
    pub restarts: Vec<Restart>,
    /// All restarts since the ledger was begun.
    pub restarted: Restarted,
    /// A container's exits that nobody asked for: those that may be part of a crash loop (R30).
    pub exits: Exits,
    /// When the kernel ended it for memory, within the last hour (1.14).
    pub ooms: Vec<Continuous>,
    /// The last end that was counted among them, in milliseconds on the engine's clock: it is not
    /// counted again after a relaunch.
    pub oom_end: Option<i64>,
    /// When an end for want of memory was last told (R50).
    pub oom_told: Option<Continuous>,
    /// More than three restarts in an hour have been told (R57).
    pub rate_told: bool,
    /// An own act that was written down and not yet seen to end (R33).
    pub act: Option<Act>,
    /// Ever seen alive.
    pub seen_alive: bool,
    /// A service: the address at which it was. At another one it has never been well.
    pub alive_at: Option<String>,
    /// When its newest incarnation began, whoever started it; model servers only (R32).
    pub started: Option<Wall>,
    /// When it last had a model loaded or was measured; model servers only (R32).
    pub busy: Option<Wall>,
    /// When the machine went down shortly after it was started or busy (R32).
    pub panics: Vec<Wall>,
    /// Since when it is held, and whether that was told of (R35).
    pub held_since: Option<Continuous>,
    pub held_told: bool,
    /// Its light start; none: there was none since it was made (R30).
    pub light: Option<Light>,
}

/// The light start of a container that ended again and again (R30).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Light {
    pub since: Wall,
    pub stage: LightStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LightStage {
    /// Being tried.
    Trial,
    /// It holds; when it has been stable it goes back to normal.
    Runs,
    /// It runs as its files say again. That is tried once: if it loops now, it stays light.
    Returned,
    /// Light until a person says otherwise.
    Stays,
    /// It did not help, and is not tried again.
    Spent,
}

/// A hold (R36, R37).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub since: Wall,
    pub by: HeldBy,
    /// None: until a person ends it.
    pub until: Option<Continuous>,
}

/// How it came to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldBy {
    /// A person asked us to leave it alone.
    Hold,
    /// A person asked us to stop it.
    Stop,
    /// It was stopped by somebody else than us.
    Outside,
    /// Its application was quit in the normal way (R36).
    Quit,
    Paused,
    /// It was stopped when we first saw it (R35).
    Found,
    /// It was only created: whoever made it has not started it yet.
    Created,
    /// Nobody knows whether a person stopped it (fault 54).
    LedgerLost,
}

impl Account {
    /// The budget of the episode is whole again (R25).
    pub(crate) fn renew_attempts(&mut self) {
        self.attempts = 0;
        self.unexplained = 0;
    }

    /// It is to run: a hold, and every doubt about one, has ended.
    pub(crate) fn want(&mut self) {
        self.intent = Intent::Wanted;
        self.hold = None;
        self.doubtful = false;
    }

    pub(crate) fn hold(&mut self, by: HeldBy, until: Option<Continuous>, since: Wall) {
        self.intent = Intent::Held;
        self.hold = Some(Hold { since, by, until });
        self.doubtful = false;
    }

    /// Whether this end for want of memory, of a life that began at `from_ms`, is another one than
    /// the last that was counted; from now on it is the last.
    pub(crate) fn is_another_oom(&mut self, end_ms: i64, from_ms: Option<i64>) -> bool {
        let counted = self.oom_end.replace(end_ms);
        !counted.is_some_and(|known| is_same_end(known, end_ms, from_ms))
    }

    /// One more within the hour; of too many those of others are forgotten first, since the budget
    /// is made of ours.
    pub(crate) fn count(&mut self, restart: Restart) {
        let kept = match restart.by {
            RestartedBy::Us => &mut self.restarted.us,
            RestartedBy::Person => &mut self.restarted.person,
            RestartedBy::Other => &mut self.restarted.others,
        };
        *kept = kept.saturating_add(1);
        self.restarts.push(restart);
        if self.restarts.len() > RESTARTS_KEPT {
            let others = self.restarts.iter().position(|one| !one.automatic);
            self.restarts.remove(others.unwrap_or(0));
        }
    }

    /// Automatic restarts within the hour.
    pub(crate) fn automatic(&self) -> usize {
        self.restarts.iter().filter(|restart| restart.automatic).count()
    }

    /// Whether it holds anything that is forgotten with time.
    pub(crate) fn is_running_down(&self) -> bool {
        self.attempts > 0
            || self.rate_told
            || self.oom_told.is_some()
            || !self.restarts.is_empty()
            || !self.exits.is_empty()
            || !self.ooms.is_empty()
    }

    /// Whether a container that is gone leaves something that must be known when it comes back.
    pub(crate) fn is_worth_keeping(&self) -> bool {
        let Self { seen_alive, ref alive_at, oom_end, ref exits, .. } = *self;
        let (alive_at, exits) = (alive_at.clone(), exits.clone());
        *self != Self { exits, oom_end, seen_alive, alive_at, ..Self::default() }
    }
}

/// The open breaker (R27).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// What it was given up for.
    #[serde(default)]
    pub cause: Option<CauseId>,
    /// Half-open trials made so far.
    pub trials: u32,
    /// None: no restart can cure it, so there is no trial.
    pub trial: Option<Continuous>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Restart {
    pub at: Continuous,
    /// Made by us without being asked.
    pub automatic: bool,
    #[serde(default)]
    pub by: RestartedBy,
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

impl Ledger {
    /// The accounts with their times on the clock of `now`: continuous time starts anew with each
    /// boot, wall time then tells how long ago something was (R44).
    pub fn on_this_boot(mut self, now: crate::clock::Now) -> BTreeMap<TargetId, Account> {
        if self.boot != now.boot {
            let away = now.wall.since(self.written);
            let written = self.written_continuous;
            let moved = |at: Continuous| {
                let age = written.since(at) + away;
                Continuous(now.continuous.0.saturating_sub(crate::clock::millis(age)))
            };
            for account in self.targets.values_mut() {
                if let Some(Hold { until: Some(until), .. }) = &mut account.hold {
                    let left = until.since(written).saturating_sub(away);
                    *until = now.continuous + left;
                }
                for restart in &mut account.restarts {
                    restart.at = moved(restart.at);
                }
                for oom in &mut account.ooms {
                    *oom = moved(*oom);
                }
                // A boot is another world, and what it starts is counted afresh (R27).
                account.exits.forget();
                account.given_up.take_if(|known| known.cause == Some(CauseId::ContainerCrashLoop));
                account.oom_told = account.oom_told.map(moved);
                account.last_attempt = account.last_attempt.map(moved);
                account.held_since = account.held_since.map(moved);
                if let Some(GivenUp { trial: Some(trial), .. }) = &mut account.given_up {
                    let left = trial.since(written).saturating_sub(away);
                    *trial = now.continuous + left;
                }
            }
        }
        self.targets
    }
}
