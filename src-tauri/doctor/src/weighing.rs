//! Weighing: how one look moves the phase of a target that is asked (RECOVERY 1.2, R5, R8).

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Now;
use crate::patient::Patient;
use crate::phase::{Phase, Reason};
use crate::policy::Policy;
use crate::sentence::Sentence;
use crate::target::Care;
use crate::verdict::Verdict;

/// Counts of looks in a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) good: u32,
    pub(crate) hard: u32,
    pub(crate) soft: u32,
    recent: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    good: bool,
    took: Duration,
}

const WINDOW: usize = 5;

/// Why it is not healthy yet, though it answers.
const RISING: &str = "why.one_more_success";

/// What a look led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Steady,
    /// Enough fails: look once more, fully, before concluding (R11).
    Confirm,
    /// The confirming look failed too.
    ConfirmedDown,
    /// Something fails that no restart cures; the cause is to be named.
    Ailing,
    BecameHealthy,
}

impl Patient {
    /// Moves the phase by one look at a target that is asked over the network.
    pub(crate) fn weigh(
        &mut self,
        verdict: Verdict,
        confirms: bool,
        now: Now,
        policy: &Policy,
        doubt: u32,
    ) -> Turn {
        match verdict {
            Verdict::Nothing => {
                let stale = 3 * self.spec.interval;
                if self.last_good.is_none_or(|good| now.awake.since(good.awake) > stale)
                    && self.phase.is_usable()
                {
                    self.enter(Phase::Unknown, Reason::new("1.2", "why.no_reading"), now);
                }
                Turn::Steady
            }
            Verdict::Good { took_ms } => self.good(Duration::from_millis(took_ms), now, policy),
            Verdict::Impaired => self.impaired(now),
            Verdict::Suspect => self.suspect(confirms, now, policy),
            Verdict::Wedged => self.wedged(now, policy),
            Verdict::Hard => self.hard(confirms, now, policy, doubt),
            // One long task: it is late, and nothing is wrong with it.
            Verdict::Busy if matches!(self.spec.care, Care::Service { .. }) => self.busy(now),
            Verdict::Soft | Verdict::Busy | Verdict::Misplaced | Verdict::WrongOwner => {
                self.soft(confirms, now, policy)
            }
        }
    }

    fn good(&mut self, took: Duration, now: Now, policy: &Policy) -> Turn {
        self.tally.push(true, took);
        self.answered(now);
        self.first_bad = None;
        let late = self.latency.limit(policy.slow_after, policy.slow_times);
        self.latency.take(took, now.awake);
        self.urged = false;
        match &self.phase {
            Phase::Starting { .. } => self.healthy(now),
            Phase::Unknown
            | Phase::Degraded { .. }
            | Phase::Down { .. }
            | Phase::GivenUp { .. } => {
                if self.tally.good >= policy.successes {
                    self.healthy(now)
                } else {
                    self.reason = Reason::new("1.2", RISING);
                    Turn::Steady
                }
            }
            Phase::Healthy => {
                if self.tally.late(late) >= 3 {
                    self.enter(Phase::Slow, Reason::new("1.2", "why.slow"), now);
                }
                Turn::Steady
            }
            Phase::Slow => {
                if self.tally.is_quick(late * policy.slow_leave_percent / 100) {
                    self.enter(Phase::Healthy, Reason::new("1.2", "why.healthy"), now);
                }
                Turn::Steady
            }
            Phase::Recovering { .. } => Turn::Steady,
        }
    }

    /// It can be used, and what fails of it is named; that no restart follows is the table's part.
    fn impaired(&mut self, now: Now) -> Turn {
        self.answered(now);
        match self.phase {
            Phase::Recovering { .. } => Turn::Steady,
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. }
            | Phase::Down { .. }
            | Phase::GivenUp { .. } => Turn::Ailing,
        }
    }

    /// At work on one long task: late, and not to be disturbed.
    fn busy(&mut self, now: Now) -> Turn {
        self.forget_counts();
        let waits = matches!(
            self.phase,
            Phase::Unknown | Phase::Healthy | Phase::Degraded { .. } | Phase::Down { .. }
        );
        if waits && self.is_found() {
            self.enter(Phase::Slow, Reason::new("1.2", "why.busy"), now);
            return Turn::BecameHealthy;
        }
        Turn::Steady
    }

    /// One request for a token has failed: degraded until the next one tells (1.2).
    fn suspect(&mut self, confirms: bool, now: Now, policy: &Policy) -> Turn {
        self.answered(now);
        self.falls_back();
        if confirms && self.gives_no_token(now, policy) {
            return Turn::ConfirmedDown;
        }
        // Also where nothing was known: it answers, and only so may it be asked again.
        if self.phase.is_usable() || matches!(self.phase, Phase::Unknown) {
            let reason = Reason::new("R5", "why.deep_failed_once").until(self.deep_due);
            self.enter(Phase::Degraded { cause: None }, reason, now);
        }
        Turn::Steady
    }

    fn wedged(&mut self, now: Now, policy: &Policy) -> Turn {
        self.first_bad = self.first_bad.or(Some(now));
        self.suspect(false, now, policy);
        match self.phase {
            Phase::Recovering { .. } => Turn::Steady,
            // R11: once more at the surface, with everything that tells the cause.
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. }
            | Phase::Down { .. }
            | Phase::GivenUp { .. } => {
                if self.gives_no_token(now, policy) {
                    Turn::Confirm
                } else {
                    Turn::Steady
                }
            }
        }
    }

    /// R5: two failed requests for a token in a row, of a process that has nothing to do; after an
    /// agent's complaint one is enough, since the complaint was the other (R23).
    fn gives_no_token(&self, now: Now, policy: &Policy) -> bool {
        let complained = self.complained.is_some_and(|at| now.awake.since(at) <= policy.complaint);
        let needed = if complained { 1 } else { policy.deep_fails };
        self.facts.insight.deep_fails >= needed
    }

    fn answered(&mut self, now: Now) {
        if matches!(self.spec.care, Care::Mlx { .. }) {
            // It has loaded.
            self.note = None;
        }
        self.tally.good += 1;
        self.tally.hard = 0;
        self.tally.soft = 0;
        self.last_good = Some(now);
        self.account.seen_alive = true;
        self.account.doubtful = false;
    }

    fn healthy(&mut self, now: Now) -> Turn {
        self.enter(Phase::Healthy, Reason::new("1.2", "why.healthy"), now);
        Turn::BecameHealthy
    }

    /// It was on its way up, and is no more.
    fn falls_back(&mut self) {
        if std::mem::take(&mut self.tally.good) > 0 && self.reason.says.key == RISING {
            self.reason.clone_from(&self.entered);
        }
    }

    fn hard(&mut self, confirms: bool, now: Now, policy: &Policy, doubt: u32) -> Turn {
        self.falls_back();
        if !self.is_found() {
            self.enter(Phase::Unknown, Reason::new("1.2", "why.not_found"), now);
            return Turn::Steady;
        }
        if let Phase::Starting { until } = self.phase
            && now.awake < until
        {
            self.reason = Reason::new("R12", "why.in_grace").until(until);
            return Turn::Steady;
        }
        self.tally.push(false, Duration::ZERO);
        self.tally.hard += 1;
        self.tally.soft = 0;
        self.first_bad = self.first_bad.or(Some(now));
        match self.phase {
            Phase::Unknown | Phase::Starting { .. } | Phase::Healthy | Phase::Slow => {
                let cause = None;
                self.enter(Phase::Degraded { cause }, self.failing(policy, doubt), now);
            }
            Phase::Degraded { .. } => self.reason = self.failing(policy, doubt),
            Phase::Down { .. } | Phase::GivenUp { .. } if confirms => return Turn::ConfirmedDown,
            Phase::Down { .. } | Phase::GivenUp { .. } => {
                self.confirmed = Some(now.awake);
                return Turn::Steady;
            }
            Phase::Recovering { .. } => return Turn::Steady,
        }
        let enough = policy.hard_fails * doubt;
        if confirms && (self.tally.hard > enough || self.urged) {
            Turn::ConfirmedDown
        } else if confirms {
            Turn::Ailing
        } else if self.tally.hard >= enough {
            Turn::Confirm
        } else if doubt == 1 && self.tally.is_mixed() {
            Turn::Ailing
        } else {
            Turn::Steady
        }
    }

    fn failing(&self, policy: &Policy, doubt: u32) -> Reason {
        Reason::says(
            "R11",
            Sentence::new("why.failing")
                .with("fails", self.tally.hard)
                .with("of", policy.hard_fails * doubt),
        )
    }

    fn soft(&mut self, confirms: bool, now: Now, policy: &Policy) -> Turn {
        self.tally.push(false, Duration::ZERO);
        self.falls_back();
        self.tally.hard = 0;
        if !self.is_found() {
            self.enter(Phase::Unknown, Reason::new("1.2", "why.not_found"), now);
            return Turn::Steady;
        }
        if let Phase::Starting { until } = self.phase
            && now.awake < until
        {
            self.reason = Reason::new("R12", "why.in_grace").until(until);
            return Turn::Steady;
        }
        self.tally.soft += 1;
        self.first_bad = self.first_bad.or(Some(now));
        // Three of the last five, and not in a row: a look more would only meet the good ones.
        if confirms || self.tally.is_mixed() {
            return Turn::Ailing;
        }
        if self.tally.in_a_row() >= policy.soft_fails {
            // The cause of a soft fail may need a full look: who owns the port, for one.
            Turn::Confirm
        } else {
            Turn::Steady
        }
    }
}

impl Tally {
    fn push(&mut self, good: bool, took: Duration) {
        self.recent.push_back(Sample { good, took });
        while self.recent.len() > WINDOW {
            self.recent.pop_front();
        }
    }

    fn fails(&self) -> usize {
        self.recent.iter().filter(|sample| !sample.good).count()
    }

    /// Three of the last five failed, and not in a row: that has a name, and is nothing to restart
    /// for (1.2).
    pub(crate) fn is_mixed(&self) -> bool {
        self.fails() >= 3 && self.fails() > self.in_a_row()
    }

    fn in_a_row(&self) -> usize {
        self.recent.iter().rev().take_while(|sample| !sample.good).count()
    }

    fn late(&self, limit: Duration) -> usize {
        self.recent.iter().filter(|sample| sample.good && sample.took > limit).count()
    }

    fn is_quick(&self, limit: Duration) -> bool {
        self.recent.len() == WINDOW
            && self.recent.iter().all(|sample| sample.good && sample.took < limit)
    }
}
