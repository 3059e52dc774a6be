//! What a process costs, read from `/proc` (`proc_pid_stat(5)`, `proc_pid_status(5)`).

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tests::programs;

/// Counted since the start of the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Clock ticks in user and kernel mode, 100 a second.
    ticks: u64,
    /// Times that a thread was woken after it had waited.
    wake_ups: u64,
    /// Bytes resident, shared pages included.
    pub(crate) resident: u64,
    /// Bytes, shared pages divided among their users.
    proportional: u64,
}

impl Cost {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, rest) = stat.rsplit_once(") ").context("an odd /proc/PID/stat")?;
        let field = |number: usize| {
            // Field 3 is the first after the name.
            let text = rest.split_whitespace().nth(number - 3).unwrap_or_default();
            text.parse::<u64>().with_context(|| format!("field {number} of stat is {text:?}"))
        };
        let threads = std::fs::read_dir(format!("/proc/{pid}/task"))?.flatten();
        let wake_ups =
            threads.filter_map(|thread| status(&thread.path(), "voluntary_ctxt_switches"));
        Ok(Self {
            ticks: field(14)? + field(15)?,
            wake_ups: wake_ups.sum(),
            resident: status(Path::new(&format!("/proc/{pid}")), "VmRSS").unwrap_or(0) * 1024,
            proportional: programs::memory(pid).unwrap_or(0),
        })
    }

    /// In user and kernel mode since `earlier`.
    pub(crate) fn processor_seconds(&self, earlier: &Self) -> f64 {
        Duration::from_millis((self.ticks - earlier.ticks) * 10).as_secs_f64()
    }

    /// One line of the table, for what was spent since `earlier`.
    pub(crate) fn line(&self, name: &str, earlier: &Self, seconds: u64) -> String {
        let hundredths = (self.ticks - earlier.ticks) * 100 / seconds;
        let tenths = self.wake_ups.saturating_sub(earlier.wake_ups) * 10 / seconds;
        format!(
            "{name:<16} {:>8} {:>10} {:>8} {:>8}",
            format!("{}.{:02}", hundredths / 100, hundredths % 100),
            format!("{}.{}", tenths / 10, tenths % 10),
            megabytes(self.resident),
            megabytes(self.proportional),
        )
    }

    pub(crate) fn heading() -> String {
        format!(
            "{:<16} {:>8} {:>10} {:>8} {:>8}",
            "process", "CPU %", "wakes/s", "RSS MB", "PSS MB"
        )
    }
}

/// Millions of bytes with two digits after the point.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{}.{:02}", bytes / 1_000_000, bytes % 1_000_000 / 10_000)
}

fn status(directory: &Path, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(directory.join("status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}
