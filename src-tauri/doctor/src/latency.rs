//! What is usual for a target: the median of its answers over a day (1.2 Slow).

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Awake;

/// One sample every ten minutes makes a day.
const EVERY: Duration = Duration::from_mins(10);
const DAY: usize = 144;
/// With fewer than these nothing is usual yet.
const ENOUGH: usize = 12;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Latency {
    samples: VecDeque<Duration>,
    last: Option<Awake>,
    /// Kept ready, since it is asked for after every look.
    median: Option<Duration>,
}

impl Latency {
    pub(crate) fn take(&mut self, took: Duration, now: Awake) {
        if self.last.is_some_and(|last| now.since(last) < EVERY) {
            return;
        }
        self.last = Some(now);
        self.samples.push_back(took);
        if self.samples.len() > DAY {
            self.samples.pop_front();
        }
        let mut sorted: Vec<Duration> = self.samples.iter().copied().collect();
        sorted.sort_unstable();
        self.median = sorted.get(sorted.len() / 2).copied().filter(|_| sorted.len() >= ENOUGH);
    }

    /// Later than this is late: the fixed limit, or so many times what is usual, whichever is more.
    pub(crate) fn limit(&self, fixed: Duration, times: u32) -> Duration {
        self.median.map_or(fixed, |median| fixed.max(median * times))
    }
}
