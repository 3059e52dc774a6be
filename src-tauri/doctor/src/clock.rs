//! Time as the doctor is told it: four clocks, never read here (RECOVERY R44).

use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One reading of all four clocks. Each rule names the clock it counts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Stands still while the machine sleeps: time-outs, grace, verification.
    pub awake: Awake,
    /// Runs on in sleep: hourly ledgers and give-up timers. Counts from the boot.
    pub continuous: Continuous,
    /// What a person reads on the wall: display only, it may jump either way.
    pub wall: Wall,
    /// Changes with every boot.
    pub boot: Boot,
}

/// Milliseconds on the clock that stops in sleep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Awake(pub u64);

/// Milliseconds on the clock that runs on in sleep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Continuous(pub u64);

/// Milliseconds since 1970 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wall(pub i64);

/// The boot session: a UUID that the kernel makes at every boot, as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot(pub u64);

impl Awake {
    /// How long after `earlier` this is; zero if the clock went backwards.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Continuous {
    /// How long after `earlier` this is; zero if the clock went backwards.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Wall {
    /// How long after `earlier` this is; zero if the clock was set back.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Awake {
    type Output = Self;
    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(millis(later)))
    }
}

impl Add<Duration> for Continuous {
    type Output = Self;
    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(millis(later)))
    }
}

/// An awake clock that never goes back, whatever it is told: macOS' was seen to, after long sleeps
/// (libuv #2891; R44).
#[derive(Clone, Copy, Debug)]
pub(crate) struct SteadyClock {
    /// As told.
    pub(crate) last: Awake,
    /// How far back it has been told to go.
    pub(crate) lag: Duration,
}

impl SteadyClock {
    pub(crate) fn steady(&mut self, told: Awake) -> Awake {
        self.lag = self.lag.saturating_add(self.last.since(told));
        self.last = told;
        told + self.lag
    }

    pub(crate) fn as_told(self, steady: Awake) -> Awake {
        Awake(steady.0.saturating_sub(millis(self.lag)))
    }
}

/// A duration in whole milliseconds; what does not fit is the largest number.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
