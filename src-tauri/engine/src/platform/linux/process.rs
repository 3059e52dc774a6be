//! Processes as `/proc` tells them (proc(5)).

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doctor::{ProcessId, ProcessSeen};

use super::super::name::pair;
use super::super::signal::is_same_identity;
use super::super::{Unit, Usage};
use super::{continuous, ticks_per_second, user_name};

/// How much of a file of `/proc` is read; an argument list can be megabytes.
const CAP: u64 = 64 * 1024;
/// The same for an environment, of which no part may be missed.
const ENVIRONMENT_CAP: u64 = 2 << 20;

/// The process with this pid; none when there is none, or when it is dead and only waits to be
/// collected.
pub fn process(pid: u32) -> Option<ProcessSeen> {
    let mut seen = anybodys(pid)?;
    seen.uid = uid(pid);
    seen.user = seen.uid.and_then(user_name);
    seen.since = since(seen.id.started);
    Some(seen)
}

/// Whether this very process is alive (R4). Cheap: two small reads.
pub fn is_same(expected: &ProcessId) -> bool {
    identity(expected.pid).is_some_and(|found| is_same_identity(expected, &found))
}

pub(in super::super) fn identity(pid: u32) -> Option<ProcessId> {
    let stat = Stat::read(pid)?;
    Some(ProcessId { pid, started: stat.started, executable: executable(pid) })
}

pub(in super::super) fn parent(pid: u32) -> Option<u32> {
    Stat::read(pid).map(|stat| stat.parent)
}

/// All living processes that are shown to us. Whose they are is not asked: of all of them, the user
/// database alone would cost more than everything else.
pub(in super::super) fn processes() -> Vec<ProcessSeen> {
    pids().filter_map(anybodys).collect()
}

fn anybodys(pid: u32) -> Option<ProcessSeen> {
    let stat = Stat::read(pid)?;
    Some(ProcessSeen {
        id: ProcessId { pid, started: stat.started, executable: executable(pid) },
        uid: None,
        user: None,
        parent: Some(stat.parent),
        command: command(pid),
        since: None,
    })
}

/// What this very process has used since it was started; none when it is gone.
pub fn usage(process: &ProcessId) -> Option<Usage> {
    let stat = Stat::read(process.pid).filter(|stat| stat.started == process.started)?;
    Some(stat.usage)
}

/// Regular files that are its standard output or error: its log, wherever it lies.
pub fn written_files(pid: u32) -> Vec<PathBuf> {
    let target = |number: u8| fs::read_link(format!("/proc/{pid}/fd/{number}")).ok();
    let mut found: Vec<PathBuf> = [1, 2].into_iter().filter_map(target).collect();
    found.retain(|path| path.is_absolute() && path.is_file());
    found.dedup();
    found
}

/// Where it runs; none for another user's process.
pub fn working_directory(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd")).ok().filter(|path| path.is_dir())
}

/// The service that it runs in, told by its control group (systemd.slice(5)).
pub fn unit(pid: u32) -> Option<Unit> {
    unit_in(&String::from_utf8_lossy(&read(&format!("/proc/{pid}/cgroup"))?))
}

/// Children that are alive, whichever thread of `pid` has started them
/// (`/proc/PID/task/TID/children`, proc(5)); without that file, whoever names `pid` as its parent.
pub(in super::super) fn children(pid: u32) -> Vec<ProcessId> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists: Vec<Option<Vec<u8>>> =
        threads.map(|thread| read(&thread.path().join("children").to_string_lossy())).collect();
    let found: Vec<u32> = if lists.iter().any(Option::is_some) {
        let texts = lists.iter().flatten().map(|list| String::from_utf8_lossy(list));
        texts
            .flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .filter_map(|word| word.parse().ok())
            .collect()
    } else {
        pids().filter(|child| parent(*child) == Some(pid)).collect()
    };
    found.into_iter().filter_map(identity).collect()
}

/// Whether it runs in a container of Docker's, told by its control group. Where we run in a
/// container ourselves, its other processes are not "in a container" seen from here.
pub(in super::super) fn is_in_container(pid: u32) -> bool {
    let group = |file: String| read(&file).map(|text| String::from_utf8_lossy(&text).into_owned());
    let Some(theirs) = group(format!("/proc/{pid}/cgroup")) else { return false };
    names_container(&theirs) && group("/proc/self/cgroup".to_owned()).as_ref() != Some(&theirs)
}

pub(super) fn pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The beginning of a file.
pub(super) fn read(path: &str) -> Option<Vec<u8>> {
    // Most of these files are a page at most: with less room it would be asked for in many pieces.
    let mut bytes = Vec::with_capacity(4096);
    File::open(path).ok()?.take(CAP).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// What of `/proc/PID/stat` is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Ticks after boot.
    started: u64,
    usage: Usage,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&String::from_utf8_lossy(&read(&format!("/proc/{pid}/stat"))?))
    }

    /// None for a zombie and for a dead process. The name in parentheses may hold anything, other
    /// parentheses too, so counting begins after the last one.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Fields 3, 4, 12, 14, 15 and 22 of proc_pid_stat(5).
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        if matches!(*fields.first()?, "Z" | "X" | "x") {
            return None;
        }
        let ticks = number(11)?.saturating_add(number(12)?);
        let usage = Usage {
            processor: Duration::from_millis(ticks.saturating_mul(1000) / ticks_per_second()),
            page_ins: number(9)?,
        };
        Some(Self { parent: fields.get(1)?.parse().ok()?, started: number(19)?, usage })
    }
}

/// Empty for a kernel thread and for a process of another user.
fn executable(pid: u32) -> String {
    fs::read_link(format!("/proc/{pid}/exe"))
        .map(|path| path.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn command(pid: u32) -> Vec<String> {
    let bytes = read(&format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// A variable of the environment that the process was started with; none: not set, or not ours to
/// read (`proc(5)`: only of the same user).
pub fn variable(pid: u32, name: &str) -> Option<String> {
    let bytes = read(&format!("/proc/{pid}/environ"))?;
    let mut words =
        bytes.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok());
    words.find_map(|word| Some(word.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

/// All of the environment that it was started with; none for another user's process, unless we are
/// root (`/proc/PID/environ`, proc(5)). What is no text is left out.
pub fn environment(pid: u32) -> Option<Vec<(String, String)>> {
    let mut bytes = Vec::new();
    let file = File::open(format!("/proc/{pid}/environ")).ok()?;
    file.take(ENVIRONMENT_CAP).read_to_end(&mut bytes).ok()?;
    Some(bytes.split(|byte| *byte == 0).filter_map(pair).collect())
}

/// The effective user.
fn uid(pid: u32) -> Option<u32> {
    let text = read(&format!("/proc/{pid}/status"))?;
    let text = String::from_utf8_lossy(&text);
    text.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().nth(1)?.parse().ok()
}

/// Seconds since 1970, counted back from now.
fn since(started: u64) -> Option<i64> {
    let age = continuous().saturating_sub(Duration::from_secs(started / ticks_per_second()));
    let born = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.checked_sub(age)?;
    i64::try_from(born.as_secs()).ok()
}

/// `0::/system.slice/ollama.service`, `0::/user.slice/…/user@1000.service/app.slice/ollama.service`.
fn unit_in(cgroup: &str) -> Option<Unit> {
    let parts = || cgroup.lines().flat_map(|line| line.split('/'));
    let last = cgroup.lines().filter_map(|line| line.rsplit('/').next());
    let is_own = |name: &&str| name.ends_with(".service") && !name.starts_with("user@");
    let name = last.into_iter().find(is_own)?.to_owned();
    Some(Unit { name, of_user: parts().any(|part| part.starts_with("user@")) })
}

/// `…/docker/HEX` with the cgroupfs driver, `…/docker-HEX.scope` with systemd's (moby
/// `daemon/oci_linux.go`).
pub(super) fn names_container(cgroup: &str) -> bool {
    let is_id = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    cgroup.lines().any(|line| {
        let parts: Vec<&str> = line.split('/').collect();
        parts.iter().zip(parts.iter().skip(1)).any(|(above, id)| *above == "docker" && is_id(id))
            || parts.iter().any(|part| {
                part.strip_prefix("docker-")
                    .and_then(|rest| rest.strip_suffix(".scope"))
                    .is_some_and(is_id)
            })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Stat, Unit, Usage, children, identity, names_container, unit_in, usage};

    #[test]
    fn stat_with_a_name_that_looks_like_fields() {
        let line = "42 (a) Z 1 (b) S 7 1 1 0 -1 4 1 0 5 0 30 12 0 0 20 0 1 0 9876 1 1 1";
        let usage = Usage { processor: Duration::from_millis(420), page_ins: 5 };
        assert_eq!(Stat::parse(line), Some(Stat { parent: 7, started: 9876, usage }));
    }

    #[test]
    fn children_of_every_thread_are_found_and_what_they_use_is_told() {
        let mut child =
            std::thread::spawn(|| std::process::Command::new("sleep").arg("60").spawn().unwrap())
                .join()
                .unwrap();
        let found = children(std::process::id());
        let own = found.iter().find(|process| process.pid == child.id()).unwrap();
        assert!(usage(own).unwrap().processor < Duration::from_secs(5));
        let other = doctor::ProcessId { started: own.started + 1, ..own.clone() };
        assert_eq!(usage(&other), None, "another incarnation of the same pid");
        let gone = own.clone();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(usage(&gone), None);
        assert!(!children(std::process::id()).contains(&gone));
    }

    #[test]
    fn work_shows() {
        let us = identity(std::process::id()).unwrap();
        let before = usage(&us).unwrap().processor;
        let mut sum = 0_u64;
        while usage(&us).unwrap().processor < before + Duration::from_millis(50) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(sum > 0);
    }

    #[test]
    fn zombies_and_broken_lines_are_nobody() {
        for line in [
            "42 (a) Z 7 1 1 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 9876 1",
            "42 (a) X 7 1 1 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 9876 1",
            "42 (a) S 7 1",
            "42 (a) S x 1 1 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 9876 1",
            "",
            "garbage",
        ] {
            assert_eq!(Stat::parse(line), None, "{line}");
        }
    }

    #[test]
    fn units() {
        let unit = |name: &str, of_user| Some(Unit { name: name.into(), of_user });
        for (text, expected) in [
            ("0::/system.slice/ollama.service\n", unit("ollama.service", false)),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/ollama.service\n",
                unit("ollama.service", true),
            ),
            ("0::/user.slice/user-1000.slice/session-2.scope\n", None),
            ("0::/user.slice/user-1000.slice/user@1000.service\n", None),
            (
                "12:cpu:/\n1:name=systemd:/system.slice/ollama.service\n",
                unit("ollama.service", false),
            ),
            ("0::/\n", None),
        ] {
            assert_eq!(unit_in(text), expected, "{text}");
        }
    }

    #[test]
    fn control_groups() {
        let id = "0123456789abcdef".repeat(4);
        for (text, expected) in [
            (format!("0::/docker/{id}\n"), true),
            (format!("0::/system.slice/docker-{id}.scope\n"), true),
            (format!("0::/docker/{id}/init.scope\n"), true),
            ("0::/system.slice/docker.service\n".to_owned(), false),
            ("0::/\n".to_owned(), false),
            (format!("0::/{id}\n"), false),
        ] {
            assert_eq!(names_container(&text), expected, "{text}");
        }
    }
}
