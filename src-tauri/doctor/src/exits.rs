//! Exits of a container that nobody asked for, and when they are a crash loop (R30).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Continuous;
use crate::policy::Policy;

/// More exits than this are not told apart any more.
const KEPT: usize = 16;
/// An exit so soon after the start counts towards a crash loop.
const SOON_MS: i64 = 60_000;

/// The last exits, oldest first. They are part of the account: a loop goes on over a relaunch of
/// ours, and so does its count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exits {
    last: Vec<Exit>,
    /// When a person last had it tried.
    tried: Option<Continuous>,
}

/// One exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exit {
    pub(crate) at: Continuous,
    /// A stream that was connected anew tells it again.
    pub(crate) engine_ms: i64,
    pub(crate) code: i64,
    /// It came within a minute of its start.
    pub(crate) soon: bool,
}

impl Exits {
    /// Counts one; false: it was counted before.
    pub(crate) fn count(&mut self, exit: Exit) -> bool {
        if self.last.iter().any(|known| known.engine_ms == exit.engine_ms) {
            return false;
        }
        let later = self.last.iter().position(|known| known.engine_ms > exit.engine_ms);
        self.last.insert(later.unwrap_or(self.last.len()), exit);
        let excess = self.last.len().saturating_sub(KEPT);
        self.last.drain(..excess);
        true
    }

    /// How many are remembered.
    pub(crate) fn len(&self) -> usize {
        self.last.len()
    }

    /// R30: five ends in five minutes, or three in a row with the same code, each within a minute
    /// of its start. Waiting between our starts spreads the three: each follows the one before it
    /// within five minutes, which a job that is run now and then does not.
    pub(crate) fn is_crash_loop(&self, now: Continuous, policy: &Policy) -> bool {
        let mut last = self.last.iter().rev();
        let Some(newest) = last.next() else { return false };
        if now.since(newest.at) > policy.crash_loop || self.is_before_try(newest) {
            return false;
        }
        let recent = |exit: &&Exit| now.since(exit.at) <= policy.crash_loop;
        let tried = |exit: &&Exit| !self.is_before_try(exit);
        if self.last.iter().filter(recent).filter(tried).count() >= policy.crash_loop_exits {
            return true;
        }
        let mut next = newest.at;
        let follows = |exit: &&Exit| {
            let near = next.since(exit.at) <= policy.crash_loop;
            next = exit.at;
            near && exit.soon && exit.code == newest.code
        };
        newest.soon && last.take_while(follows).count() + 1 >= policy.crash_loop_alike
    }

    /// A person has it tried once more: it is no loop until it ends again.
    pub(crate) fn try_again(&mut self, now: Continuous) {
        self.tried = (!self.last.is_empty()).then_some(now);
    }

    /// It is well, or the world is another one: what was counted says nothing any more.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// What is so old that it can be part of no loop any more.
    pub(crate) fn forget_old(&mut self, now: Continuous, policy: &Policy) {
        let chain = u32::try_from(policy.crash_loop_alike).unwrap_or(u32::MAX);
        let oldest = policy.crash_loop.saturating_mul(chain);
        self.last.retain(|exit| now.since(exit.at) <= oldest);
        if self.last.is_empty() {
            self.tried = None;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.last.is_empty()
    }

    fn is_before_try(&self, exit: &Exit) -> bool {
        self.tried.is_some_and(|tried| exit.at <= tried)
    }
}

/// Whether it lived for less than a minute, where that is known.
pub(crate) fn is_soon(start_ms: Option<i64>, end_ms: i64) -> bool {
    start_ms.is_some_and(|start| end_ms.saturating_sub(start) < SOON_MS)
}

/// When something happened that the wall clock tells the age of; none: before this boot.
pub(crate) fn on_this_boot(now: crate::clock::Now, wall_ms: i64) -> Option<Continuous> {
    let age: Duration = now.wall.since(crate::clock::Wall(wall_ms));
    now.continuous.0.checked_sub(crate::clock::millis(age)).map(Continuous)
}
