//! The eight states of a target, and the reason that each state carries (RECOVERY 1.2).

use crate::cause::Cause;
use crate::change::{Change, awaited};
use crate::clock::{Awake, Continuous};
use crate::order::OperationId;
use crate::sentence::Sentence;

#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// No trustworthy reading.
    Unknown,
    /// A new incarnation inside its grace, not started by us.
    Starting {
        until: Awake,
    },
    Healthy,
    /// Right answers, late: never restarted.
    Slow,
    /// Some looks fail, or what fails is nothing a restart can cure.
    Degraded {
        cause: Option<Cause>,
    },
    /// A confirmed failure.
    Down {
        cause: Cause,
        /// Not before this may the next attempt begin (R26, R29).
        not_before: Awake,
    },
    /// Our remedy is being carried out or verified.
    Recovering {
        /// None: nothing was wrong, a person asked.
        cause: Option<Cause>,
        operation: OperationId,
    },
    /// The budget is spent, or a restart can't cure it.
    GivenUp {
        cause: Cause,
        /// The half-open trial, for causes that may pass (R27).
        trial: Option<Continuous>,
    },
}

impl Phase {
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Unknown | Self::Starting { .. } | Self::Healthy | Self::Slow => None,
            Self::Degraded { cause } | Self::Recovering { cause, .. } => cause.as_ref(),
            Self::Down { cause, .. } | Self::GivenUp { cause, .. } => Some(cause),
        }
    }

    /// Healthy or merely late: it can be used.
    pub fn is_usable(&self) -> bool {
        match self {
            Self::Healthy | Self::Slow => true,
            Self::Unknown
            | Self::Starting { .. }
            | Self::Degraded { .. }
            | Self::Down { .. }
            | Self::Recovering { .. }
            | Self::GivenUp { .. } => false,
        }
    }
}

/// Why a target is in its phase: the rule that holds it there and what comes next.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// As in RECOVERY, such as `R11`.
    pub rule: &'static str,
    pub says: Sentence,
    /// Until when it holds by itself: a grace, a back-off, a soak.
    pub next: Option<Awake>,
    /// What would end it, beside what any target in its phase waits for.
    pub changes: &'static [Change],
}

impl Reason {
    pub(crate) fn new(rule: &'static str, key: &str) -> Self {
        Self::says(rule, Sentence::new(key))
    }

    pub(crate) fn says(rule: &'static str, says: Sentence) -> Self {
        let changes = awaited(&says.key);
        Self { rule, says, next: None, changes }
    }

    pub(crate) fn until(mut self, next: Awake) -> Self {
        self.next = Some(next);
        self
    }
}
