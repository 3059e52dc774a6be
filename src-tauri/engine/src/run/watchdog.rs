//! Who watches the loop: a thread of its own, since a loop that hangs cannot say so itself (R39).

use std::io::Write as _;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::handle::Pulse;

/// Three periods of the loop's longest wait.
const PATIENCE: Duration = Duration::from_secs(3 * 30);
const EVERY: Duration = Duration::from_secs(10);
/// `EX_SOFTWARE` of sysexits(3): launchd and systemd start what ended so again.
const CODE: i32 = 70;

/// A round of ours that took longer than this did not run in between, and neither did the loop.
const FROZEN: Duration = Duration::from_secs(3 * 10);

/// Ends the process when the loop has not come round for three periods; whoever started us starts us
/// again. Sleep does not count: the loop's clock stands in it. Nor does a time in which the whole
/// process stood still: whoever stopped it may not be there to start it again.
pub(super) fn watch(pulse: Pulse, stopping: watch::Receiver<bool>) {
    let watching = move || {
        let mut rounds = Rounds::begun(Instant::now());
        while !is_over(&stopping) {
            std::thread::sleep(EVERY);
            let silent = rounds.silent(Instant::now(), pulse.silent_for());
            if silent >= PATIENCE && !is_over(&stopping) {
                let seconds = silent.as_secs();
                tracing::error!(
                    seconds,
                    "the loop does not come round any more; ending to be started again"
                );
                // Without a terminal nobody reads it; the log has it.
                let _ = writeln!(
                    std::io::stderr(),
                    "homeostat: the loop has not come round for {seconds} s; ending to be started again"
                );
                std::process::exit(CODE);
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("watchdog".into()).spawn(watching) {
        tracing::warn!(%error, "nobody watches the loop");
    }
}

/// The watchdog's own rounds, by which it tells a loop that hangs from a process that was stopped.
struct Rounds {
    last: Instant,
    /// When the process last went on after standing still; the loop is not blamed for what was before.
    resumed: Option<Instant>,
}

impl Rounds {
    fn begun(now: Instant) -> Self {
        Self { last: now, resumed: None }
    }

    /// How long the loop has been silent while it could have come round.
    fn silent(&mut self, now: Instant, silent: Duration) -> Duration {
        let gap = now.saturating_duration_since(self.last);
        self.last = now;
        if gap > FROZEN {
            tracing::warn!(seconds = gap.as_secs(), "the whole process stood still");
            self.resumed = Some(now);
        }
        self.resumed.map_or(silent, |resumed| silent.min(now.saturating_duration_since(resumed)))
    }
}

/// Told to stop, or whoever could tell it is gone.
fn is_over(stopping: &watch::Receiver<bool>) -> bool {
    *stopping.borrow() || stopping.has_changed().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Rounds at these seconds with the loop's silence at each: the first at which the process is ended.
    fn ends_at(rounds: &[(u32, u32)]) -> Option<u32> {
        let start = Instant::now();
        let mut watched = Rounds::begun(start);
        let mut rounds = rounds.iter().copied();
        let ended = rounds
            .find(|&(at, silent)| watched.silent(start + SECOND * at, SECOND * silent) >= PATIENCE);
        ended.map(|(at, _)| at)
    }

    #[test]
    fn r39_a_loop_that_hangs_ends_the_process() {
        let hangs: Vec<(u32, u32)> = (1..20).map(|round| (round * 10, round * 10)).collect();
        assert_eq!(ends_at(&hangs), Some(90));
        // A busy machine lets every round come late.
        let late: Vec<(u32, u32)> = (1..20).map(|round| (round * 25, round * 25)).collect();
        assert_eq!(ends_at(&late), Some(100));
    }

    #[test]
    fn r39_a_process_that_stood_still_gives_the_loop_a_fresh_period() {
        // Stopped from second 10 to 160; the loop comes round again a second later.
        assert_eq!(ends_at(&[(10, 2), (160, 152), (170, 9), (180, 19)]), None);
        // The loop never comes round again: ended three periods after the process went on.
        let mut hangs = vec![(10, 2), (160, 152)];
        hangs.extend((17..30).map(|round| (round * 10, round * 10 - 8)));
        assert_eq!(ends_at(&hangs), Some(250));
    }
}
