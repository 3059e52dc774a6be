//! How hard a server and its runners work: processor time between two looks, read from the process
//! table. Who works has an excuse not to answer, who does not has none (R5).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doctor::{Activity, Depth, ProcessId};

use crate::platform::{self, Usage};

/// A shorter time says nothing: a tick of the processor's account is 10 ms.
const SHORTEST: Duration = Duration::from_secs(2);
/// Waiting for so many pages a second to come from disk is work as well, though no processor's.
const PAGE_INS: u64 = 50;

/// One server's work from look to look.
#[derive(Default)]
pub(crate) struct Work {
    before: Mutex<Option<Reading>>,
}

/// What a server and all that it started had used at one time.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// Of the clock that stands while the machine sleeps.
    at: Duration,
    server: ProcessId,
    used: HashMap<ProcessId, Usage>,
    footprint_bytes: Option<u64>,
}

/// Per cent of one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) server: u32,
    pub(crate) runners: u32,
}

/// [`Work::activity`] beside the loop.
pub(crate) async fn activity(
    work: &Arc<Work>,
    server: &ProcessId,
    depth: Depth,
) -> Option<Activity> {
    let (work, server) = (work.clone(), server.clone());
    tokio::task::spawn_blocking(move || work.activity(&server, depth)).await.ok().flatten()
}

impl Work {
    /// Since the last look; none at the first one, and where the system does not show it (another
    /// user's process on macOS). Memory is counted anew in full looks only: it costs.
    pub(crate) fn activity(&self, server: &ProcessId, depth: Depth) -> Option<Activity> {
        let mut before = self.before.lock().ok()?;
        let last = before.take().filter(|last| last.server == *server);
        let mut now = Reading::take(server, last.as_ref())?;
        now.footprint_bytes = last
            .as_ref()
            .and_then(|last| last.footprint_bytes)
            .filter(|_| depth == Depth::Shallow)
            .or_else(|| Some(now.footprint()));
        let footprint_bytes = now.footprint_bytes.unwrap_or(0);
        let Some(last) = last else {
            *before = Some(now);
            return None;
        };
        if now.at.saturating_sub(last.at) < SHORTEST {
            *before = Some(last);
            return None;
        }
        let share = now.since(&last);
        *before = Some(now);
        Some(Activity {
            server_percent: share.server,
            runners_percent: share.runners,
            footprint_bytes,
            silent_for_s: None,
        })
    }

    /// Begins anew from here: what was used up to now was our own question.
    pub(crate) fn forgive(&self, server: &ProcessId) {
        if let Ok(mut before) = self.before.lock()
            && let Some(last) = before.as_mut().filter(|last| last.server == *server)
            && let Some(mut now) = Reading::take(server, Some(last))
        {
            now.footprint_bytes = last.footprint_bytes;
            *last = now;
        }
    }
}

impl Reading {
    /// None when the server is gone, or not shown to us.
    pub(crate) fn take(server: &ProcessId, last: Option<&Self>) -> Option<Self> {
        let at = platform::awake();
        let mut used = HashMap::from([(server.clone(), platform::usage(server)?)]);
        let mut runners = platform::offspring(server.pid);
        // A list of children that is read while one of them ends may leave another one out.
        runners.extend(last.iter().flat_map(|last| last.used.keys().cloned()));
        for runner in runners {
            if !used.contains_key(&runner)
                && let Some(usage) = platform::usage(&runner)
            {
                used.insert(runner, usage);
            }
        }
        Some(Self { at, server: server.clone(), used, footprint_bytes: None })
    }

    /// Processes that it has started.
    pub(crate) fn runners(&self) -> impl Iterator<Item = &ProcessId> {
        self.used.keys().filter(|process| **process != self.server)
    }

    fn footprint(&self) -> u64 {
        self.used.keys().filter_map(|process| platform::footprint(process.pid)).sum()
    }

    /// The share of a core since then. A process that is new has used all of its time since.
    pub(crate) fn since(&self, last: &Self) -> Share {
        let time = self.at.saturating_sub(last.at);
        let percent = |of_server: bool| {
            let ours = self.used.iter().filter(|(one, _)| (**one == self.server) == of_server);
            let (mut processor, mut page_ins) = (Duration::ZERO, 0_u64);
            for (process, now) in ours {
                let then = last.used.get(process).copied().unwrap_or_default();
                processor += now.processor.saturating_sub(then.processor);
                page_ins += now.page_ins.saturating_sub(then.page_ins);
            }
            share(processor, page_ins, time)
        };
        Share { server: percent(true), runners: percent(false) }
    }
}

impl Share {
    /// R5: below one per cent nothing is done.
    pub(crate) fn is_idle(self) -> bool {
        self.server < 1 && self.runners < 1
    }
}

/// Whole per cent, rounded down: 0.9 is idle (R5).
fn share(processor: Duration, page_ins: u64, time: Duration) -> u32 {
    let per_cent = processor.as_nanos() * 100 / time.as_nanos().max(1);
    let reads = u128::from(page_ins) * 1000 >= u128::from(PAGE_INS) * time.as_millis().max(1);
    u32::try_from(per_cent).unwrap_or(u32::MAX).max(u32::from(reads))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn r5_below_one_per_cent_is_idle_and_reading_from_disk_is_not() {
        assert_eq!(share(Duration::from_millis(99), 0, 10 * SECOND), 0);
        assert_eq!(share(Duration::from_millis(100), 0, 10 * SECOND), 1);
        assert_eq!(share(15 * SECOND, 0, 10 * SECOND), 150);
        assert_eq!(share(Duration::ZERO, 499, 10 * SECOND), 0);
        assert_eq!(share(Duration::ZERO, 500, 10 * SECOND), 1);
        assert!(Share { server: 0, runners: 0 }.is_idle());
        assert!(!Share { server: 0, runners: 1 }.is_idle());
    }

    fn process(pid: u32) -> ProcessId {
        ProcessId { pid, started: 1, executable: "/bin/ollama".into() }
    }

    fn reading(at: u64, used: &[(u32, u64)]) -> Reading {
        let used = used.iter().map(|(pid, seconds)| {
            (
                process(*pid),
                Usage { processor: SECOND * u32::try_from(*seconds).unwrap(), page_ins: 0 },
            )
        });
        Reading {
            at: Duration::from_secs(at),
            server: process(1),
            used: used.collect(),
            footprint_bytes: None,
        }
    }

    #[test]
    fn the_servers_work_is_told_from_its_runners_work() {
        let before = reading(100, &[(1, 50), (2, 7)]);
        // Its own half a core, a runner's whole one, and a new runner that has used 2 s.
        let after = reading(110, &[(1, 55), (2, 17), (3, 2)]);
        assert_eq!(after.since(&before), Share { server: 50, runners: 120 });
        // The runner has ended.
        let after = reading(110, &[(1, 50)]);
        assert_eq!(after.since(&before), Share { server: 0, runners: 0 });
    }

    #[test]
    fn a_first_reading_and_one_too_soon_say_nothing() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let server = platform::process(child.id()).unwrap().id;
        let work = Work::default();
        assert_eq!(work.activity(&server, Depth::Full), None);
        assert_eq!(work.activity(&server, Depth::Full), None);
        // As if the first one had been ten seconds ago.
        work.before.lock().unwrap().as_mut().unwrap().at -= 10 * SECOND;
        let activity = work.activity(&server, Depth::Shallow).unwrap();
        assert_eq!((activity.server_percent, activity.runners_percent), (0, 0));
        assert!(activity.footprint_bytes > 0);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(work.activity(&server, Depth::Full), None);
    }
}
