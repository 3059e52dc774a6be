//! Processes as `sysctl kern.proc` tells them: unlike `proc_pidinfo` it shows owner and start time
//! of other users' processes too (FACTS D.1).

use std::path::PathBuf;
use std::time::Duration;

use doctor::{ProcessId, ProcessSeen};

use super::super::name::pair;
use super::super::signal::is_same_identity;
use super::super::{Unit, Usage};
use super::{descriptor_path, executable_path, nanoseconds, resource_usage, sysctl, user_name};

/// `sizeof(struct kinfo_proc)` on 64-bit systems (XNU bsd/sys/sysctl.h, bsd/sys/proc.h).
const ROW_SIZE: usize = 648;

/// The process with this pid; none when there is none, or when it is dead and only waits to be
/// collected.
pub fn process(pid: u32) -> Option<ProcessSeen> {
    let row = Row::read(pid)?;
    Some(ProcessSeen { user: user_name(row.uid), ..row.seen() })
}

/// Whether this very process is alive (R4). Cheap: two system calls.
pub fn is_same(expected: &ProcessId) -> bool {
    identity(expected.pid).is_some_and(|found| is_same_identity(expected, &found))
}

pub(in super::super) fn identity(pid: u32) -> Option<ProcessId> {
    Row::read(pid).map(Row::identity)
}

pub(in super::super) fn parent(pid: u32) -> Option<u32> {
    Row::read(pid).map(|row| row.parent)
}

/// All living processes. Argument lists of other users' processes are empty. By what names their users
/// go is not asked: of all of them, that costs more than everything else.
pub(in super::super) fn processes() -> Vec<ProcessSeen> {
    rows().into_iter().map(Row::seen).collect()
}

/// What this very process has used since it was started; none when it is gone or another user's.
pub fn usage(process: &ProcessId) -> Option<Usage> {
    Row::read(process.pid).filter(|row| row.started == process.started)?;
    let usage = resource_usage(process.pid)?;
    let ticks = usage.ri_user_time.saturating_add(usage.ri_system_time);
    Some(Usage { processor: Duration::from_nanos(nanoseconds(ticks)), page_ins: usage.ri_pageins })
}

/// Regular files that are its standard output or error: its log, wherever it lies.
pub fn written_files(pid: u32) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        [1, 2].into_iter().filter_map(|number| descriptor_path(pid, number)).collect();
    found.retain(|path| path.is_absolute() && path.is_file());
    found.dedup();
    found
}

/// Where it runs: `lsof -d cwd`, whose field `n` is the path (lsof(8)).
pub fn working_directory(pid: u32) -> Option<PathBuf> {
    let pid = pid.to_string();
    let asked = ["-a", "-p", pid.as_str(), "-d", "cwd", "-Fn"];
    let output = std::process::Command::new("/usr/sbin/lsof").args(asked).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let path = text.lines().find_map(|line| line.strip_prefix('n'))?;
    Some(PathBuf::from(path)).filter(|path| path.is_dir())
}

/// There is no systemd here.
pub fn unit(_pid: u32) -> Option<Unit> {
    None
}

/// Children that are alive.
pub(in super::super) fn children(pid: u32) -> Vec<ProcessId> {
    rows()
        .into_iter()
        .filter(|row| row.parent == pid && row.pid != pid)
        .map(Row::identity)
        .collect()
}

/// Containers run in a virtual machine here, whose processes are not ours to see.
pub(in super::super) fn is_in_container(_pid: u32) -> bool {
    false
}

pub(super) fn pids() -> Vec<u32> {
    rows().into_iter().map(|row| row.pid).collect()
}

fn rows() -> Vec<Row> {
    let table = sysctl(&[libc::CTL_KERN, libc::KERN_PROC, libc::KERN_PROC_ALL]).unwrap_or_default();
    table.chunks_exact(ROW_SIZE).filter_map(Row::parse).collect()
}

/// What of a `kinfo_proc` is needed.
#[derive(Clone, Copy, Debug)]
struct Row {
    pid: u32,
    parent: u32,
    uid: u32,
    /// Microseconds since 1970.
    started: u64,
}

impl Row {
    fn read(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        let table = sysctl(&[libc::CTL_KERN, libc::KERN_PROC, libc::KERN_PROC_PID, pid])?;
        Self::parse(table.get(..ROW_SIZE)?)
    }

    /// None for a zombie. Offsets: `p_starttime` 0 and 8, `p_stat` 36, `p_pid` 40,
    /// `e_ucred.cr_uid` 420, `e_ppid` 560.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let half = |at: usize| -> Option<u32> {
            Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
        };
        let seconds = u64::from_ne_bytes(bytes.get(..8)?.try_into().ok()?);
        let row = Self {
            pid: half(40)?,
            parent: half(560)?,
            uid: half(420)?,
            started: seconds.saturating_mul(1_000_000).saturating_add(u64::from(half(8)?)),
        };
        let is_zombie = u32::from(*bytes.get(36)?) == libc::SZOMB;
        (!is_zombie).then_some(row)
    }

    fn identity(self) -> ProcessId {
        let executable = executable_path(self.pid).unwrap_or_default();
        ProcessId { pid: self.pid, started: self.started, executable }
    }

    fn seen(self) -> ProcessSeen {
        ProcessSeen {
            id: self.identity(),
            uid: Some(self.uid),
            user: None,
            parent: Some(self.parent),
            command: command(self.pid),
            since: i64::try_from(self.started / 1_000_000).ok(),
        }
    }
}

/// `KERN_PROCARGS2`: the number of arguments, the executable's path, zeroes, the arguments, and
/// then the environment (XNU `bsd/kern/kern_sysctl.c`, `sysctl_procargsx`).
fn command(pid: u32) -> Vec<String> {
    words(pid).map(|(count, words)| words.into_iter().take(count).collect()).unwrap_or_default()
}

/// A variable of the environment that the process was started with; none: not set, or not ours to
/// read. It stands behind the arguments, up to an empty word.
pub fn variable(pid: u32, name: &str) -> Option<String> {
    let (count, words) = words(pid)?;
    let mut environment = words.into_iter().skip(count).take_while(|word| !word.is_empty());
    environment.find_map(|word| Some(word.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

/// All of the environment that it was started with; none for another user's process, unless we are
/// root. What is no text is left out.
pub fn environment(pid: u32) -> Option<Vec<(String, String)>> {
    let (count, words) = words(pid)?;
    let own = words.into_iter().skip(count).take_while(|word| !word.is_empty());
    let text = own.filter(|word| !word.contains(char::REPLACEMENT_CHARACTER));
    Some(text.filter_map(|word| pair(word.as_bytes())).collect())
}

/// Arguments and environment, and how many of them are arguments.
fn words(pid: u32) -> Option<(usize, Vec<String>)> {
    let bytes = sysctl(&[libc::CTL_KERN, libc::KERN_PROCARGS2, i32::try_from(pid).ok()?])?;
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let count = usize::try_from(i32::from_ne_bytes(*count)).ok()?;
    let after_path = rest.iter().position(|byte| *byte == 0)?;
    let padded = rest.get(after_path..)?;
    let first = padded.iter().position(|byte| *byte != 0)?;
    let words = padded.get(first..)?.split(|byte| *byte == 0);
    Some((count, words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()))
}
