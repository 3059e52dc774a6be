//! The kernel's log, read when the kernel counts one more process that it ended for want of memory:
//! from `/dev/kmsg` where we may (Linux `Documentation/ABI/testing/dev-kmsg`), else from the journal.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doctor::EndedSeen;

use super::super::deaths::{is_told, kernel};
use super::awake;
use super::process::names_container;

/// What was written longer ago than this before our start is no news.
const LOOK_BACK: Duration = Duration::from_hours(1);
/// The clock of the kernel's log goes by itself, a few seconds off in a week.
const CLOCKS_DIFFER: Duration = Duration::from_secs(5);
/// The kernel counts a moment before it writes, and the journal reads a moment after.
const TRIES: u8 = 3;
/// The journal gives no answer after this.
const JOURNAL_WITHIN: Duration = Duration::from_secs(5);
const JOURNAL_CAP: u64 = 2 << 20;

/// Processes that the kernel has ended, each told once.
#[derive(Debug, Default)]
pub struct Deaths {
    /// Before our start, as far back as this, is told too.
    since: Option<Duration>,
    counted: Option<u64>,
    tries: u8,
    /// Sequence number of the newest record of the kernel's log that was read.
    newest: Option<u64>,
    /// Since 1970: what the journal holds before was read.
    journal_from: Option<Duration>,
}

impl Deaths {
    /// With what was written since so long ago; none: only what is new from now on.
    pub fn new(since: Option<Duration>) -> Self {
        Self { since: since.map(|since| since.min(LOOK_BACK)), ..Self::default() }
    }

    /// What is new. Blocks, though briefly: one small read, and the log only when the kernel has
    /// ended something.
    pub fn news(&mut self) -> Vec<EndedSeen> {
        let Some(count) = count(&fs::read_to_string("/proc/vmstat").unwrap_or_default()) else {
            return Vec::new();
        };
        let before = self.counted.replace(count);
        if before.is_none() {
            return self.first();
        }
        if before != Some(count) {
            self.tries = TRIES;
        }
        if self.tries == 0 {
            return Vec::new();
        }
        self.tries -= 1;
        let found = match records() {
            Some(records) => self.of_records(&records, Duration::ZERO),
            None => self.of_journal(),
        };
        if !found.is_empty() {
            self.tries = 0;
        }
        told(found)
    }

    /// Where the log ends now; and what was written while we did not run.
    fn first(&mut self) -> Vec<EndedSeen> {
        let Some(records) = records() else {
            self.journal_from = Some(now().saturating_sub(self.since.unwrap_or_default()));
            return if self.since.is_some() { told(self.of_journal()) } else { Vec::new() };
        };
        let since = self.since.map(|since| since + CLOCKS_DIFFER);
        let found = since.map(|since| self.of_records(&records, awake().saturating_sub(since)));
        self.newest = records.last().map(|record| record.number);
        told(found.unwrap_or_default())
    }

    fn of_records(&mut self, records: &[Record], from: Duration) -> Vec<kernel::Kill> {
        let new = records.iter().filter(|record| {
            self.newest.is_none_or(|newest| record.number > newest) && record.at >= from
        });
        let found = kernel::kills(new.map(|record| record.text.as_str()));
        if !found.is_empty() {
            // Without one it may be half a story: it is read once more then.
            self.newest = records.last().map(|record| record.number);
        }
        found
    }

    fn of_journal(&mut self) -> Vec<kernel::Kill> {
        let until = now();
        let from = self.journal_from.unwrap_or(until);
        let text = journal("journalctl", from).unwrap_or_default();
        let found = kernel::kills(text.lines());
        if !found.is_empty() {
            self.journal_from = Some(until);
        }
        found
    }
}

/// A container's own limit is told of by its engine.
fn told(found: Vec<kernel::Kill>) -> Vec<EndedSeen> {
    let in_container = |kill: &kernel::Kill| {
        kill.ended.why == doctor::EndedWhy::OverLimit
            && kill.group.as_deref().is_some_and(names_container)
    };
    let outside = found.into_iter().filter(|kill| !in_container(kill));
    outside.map(|kill| kill.ended).filter(is_told).collect()
}

/// `oom_kill` of `/proc/vmstat`, since Linux 4.13.
fn count(vmstat: &str) -> Option<u64> {
    vmstat.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

/// One record of the kernel's log.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    number: u64,
    /// Since boot, without sleep.
    at: Duration,
    text: String,
}

/// All that is in the kernel's log; none: it is not ours to read.
fn records() -> Option<Vec<Record>> {
    let mut file =
        File::options().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg").ok()?;
    let mut records = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    loop {
        // Each read gives one record.
        match file.read(&mut buffer) {
            Ok(0) => return Some(records),
            Ok(length) => {
                let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
                records.extend(record(&text));
            }
            // Records were overwritten before they were read: the next read goes on after them.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(records),
            Err(_) => return (!records.is_empty()).then_some(records),
        }
    }
}

/// `3,2332,35953201018,-;text`, then lines of a dictionary. What a program wrote into the log has a
/// facility, the kernel itself has none: priority below 8.
fn record(text: &str) -> Option<Record> {
    let (head, body) = text.split_once(';')?;
    let mut fields = head.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let number = fields.next()?.parse().ok()?;
    let at = Duration::from_micros(fields.next()?.parse().ok()?);
    let text = body.lines().next().unwrap_or_default().to_owned();
    (priority < 8).then_some(Record { number, at, text })
}

/// The kernel's lines since then, of this boot; empty for who may not read the system's journal.
fn journal(program: &str, from: Duration) -> Option<String> {
    let since = format!("@{}.{:06}", from.as_secs(), from.subsec_micros());
    let mut child = Command::new(program)
        .args(["--dmesg", "--since", &since, "--output", "cat", "--no-pager", "--quiet"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let output = child.stdout.take()?;
    let (read, all) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        // What came before it broke off is worth reading.
        let _ = output.take(JOURNAL_CAP).read_to_end(&mut text);
        let _ = read.send(text);
    });
    let text = all.recv_timeout(JOURNAL_WITHIN).ok();
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
    text.map(|text| String::from_utf8_lossy(&text).into_owned())
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use doctor::EndedWhy;

    use super::*;

    fn text(number: u64, at: u64, text: &str) -> Record {
        Record { number, at: Duration::from_secs(at), text: text.to_owned() }
    }

    const KILL: &str = "Out of memory: Killed process 9 (python3) total-vm:1kB, anon-rss:1kB";

    #[test]
    fn records_of_the_kernel_are_told_from_what_programs_write() {
        let line = "3,2332,35953201018,-;Out of memory: x; y\n SUBSYSTEM=memory\n";
        let expected = Record {
            number: 2332,
            at: Duration::from_micros(35_953_201_018),
            text: "Out of memory: x; y".into(),
        };
        assert_eq!(record(line), Some(expected));
        assert_eq!(record("12,2333,35953201018,-;Out of memory: Killed process 1 (a)"), None);
        for broken in ["", "3,1", "3,1,x,-;a", "x,1,1,-;a"] {
            assert_eq!(record(broken), None, "{broken}");
        }
    }

    #[test]
    fn each_kill_is_told_once_and_half_a_story_is_read_again() {
        let mut ends = Deaths { newest: Some(1), ..Deaths::default() };
        let mut log = vec![text(1, 1, KILL), text(2, 2, "a invoked oom-killer: x")];
        assert_eq!(ends.of_records(&log, Duration::ZERO), []);
        assert_eq!(ends.newest, Some(1));
        log.push(text(3, 3, KILL));
        assert_eq!(ends.of_records(&log, Duration::ZERO).len(), 1);
        assert_eq!(ends.of_records(&log, Duration::ZERO), []);
    }

    #[test]
    fn what_was_written_before_counts_as_far_back_as_asked() {
        let log = [text(1, 10, KILL), text(2, 100, KILL)];
        let mut ends = Deaths::new(Some(Duration::from_mins(1)));
        assert_eq!(ends.of_records(&log, Duration::from_secs(50)).len(), 1);
        assert_eq!(Deaths::new(Some(Duration::from_hours(30))).since, Some(LOOK_BACK));
    }

    #[test]
    fn a_container_at_its_limit_is_left_to_its_engine() {
        let id = "0123456789abcdef".repeat(4);
        let kill = |group: &str, why: EndedWhy| kernel::Kill {
            ended: EndedSeen { victim: "python3".into(), pid: 9, largest: None, why },
            group: Some(group.into()),
        };
        let docker = format!("/system.slice/docker-{id}.scope");
        for (expected, kill) in [
            (0, kill(&docker, EndedWhy::OverLimit)),
            (0, kill(&format!("/docker/{id}"), EndedWhy::OverLimit)),
            (1, kill(&docker, EndedWhy::OutOfMemory)),
            (1, kill("/system.slice/ollama.service", EndedWhy::OverLimit)),
        ] {
            assert_eq!(told(vec![kill.clone()]).len(), expected, "{kill:?}");
        }
    }

    #[test]
    fn the_kernel_counts_what_it_ends() {
        assert_eq!(count("pgfault 1\noom_kill 42\noom_killer 7\n"), Some(42));
        assert_eq!(count("pgfault 1\n"), None);
        assert!(count(&fs::read_to_string("/proc/vmstat").unwrap()).is_some());
    }

    #[test]
    fn who_may_not_read_the_log_asks_the_journal() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("journalctl");
        std::fs::write(&program, format!("#!/bin/sh\necho \"$*\"\necho '{KILL}'\n")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let text = journal(program.to_str().unwrap(), Duration::from_micros(1_700_000_000_000_005));
        let text = text.unwrap();
        let asked = "--dmesg --since @1700000000.000005 --output cat --no-pager --quiet";
        assert_eq!(text.lines().next(), Some(asked));
        assert_eq!(kernel::kills(text.lines()).len(), 1);
        assert_eq!(journal("/nonexistent/journalctl", Duration::ZERO), None);
    }
}
