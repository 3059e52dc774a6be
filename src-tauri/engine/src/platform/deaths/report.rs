//! Reports that macOS leaves of what crashed and of what it ended for memory: `.ips` files, a line of
//! JSON and a body of JSON (Apple, "Interpreting the JSON format of a crash report"; "Identifying
//! high-memory use with jetsam event reports"). Only a name, a pid and a reason are taken from them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use doctor::{EndedSeen, EndedWhy};
use serde::Deserialize;
use serde_json::Value;

use super::{is_ours, is_told, plain};

/// A report of a machine with a thousand processes is about a megabyte.
const CAP: u64 = 8 << 20;
/// What cannot be read and is younger than this may still be being written.
const WRITTEN_WITHIN: Duration = Duration::from_mins(1);
/// A change within the same second may not show in the directory's time.
const CLOCK_STEP: Duration = Duration::from_secs(2);

/// The directories that reports are left in, each report told once.
#[derive(Debug)]
pub(in super::super) struct Reports {
    directories: Vec<PathBuf>,
    /// Older reports are no news.
    from: SystemTime,
    read: BTreeSet<PathBuf>,
    /// The directories' times when they were last listed.
    listed: Vec<Option<SystemTime>>,
}

impl Reports {
    pub(in super::super) fn new(directories: Vec<PathBuf>, from: SystemTime) -> Self {
        Self { directories, from, read: BTreeSet::new(), listed: Vec::new() }
    }

    /// What is new; without a change of the directories one question about each.
    pub(in super::super) fn news(&mut self) -> Vec<EndedSeen> {
        let changed = |path: &PathBuf| fs::metadata(path).and_then(|one| one.modified()).ok();
        let times: Vec<Option<SystemTime>> = self.directories.iter().map(changed).collect();
        let fresh = times.iter().flatten().any(|time| is_younger(*time, CLOCK_STEP));
        if times == self.listed && !fresh {
            return Vec::new();
        }
        self.listed = times;
        let present: BTreeSet<PathBuf> =
            self.directories.iter().flat_map(|directory| reports(directory)).collect();
        self.read.retain(|path| present.contains(path));
        let mut found = Vec::new();
        for path in present {
            if self.read.contains(&path) {
                continue;
            }
            match self.ended(&path) {
                Some(ended) => {
                    found.extend(ended);
                    self.read.insert(path);
                }
                // Half of it may be there.
                None => self.listed.clear(),
            }
        }
        found
    }

    /// None: not whole yet.
    fn ended(&self, path: &Path) -> Option<Vec<EndedSeen>> {
        let Ok(written) = fs::metadata(path).and_then(|one| one.modified()) else {
            return Some(Vec::new());
        };
        if written < self.from {
            return Some(Vec::new());
        }
        let found = text(path).and_then(|text| parse(&text));
        if found.is_none() && is_younger(written, WRITTEN_WITHIN) {
            return None;
        }
        Some(found.unwrap_or_default())
    }
}

/// Reports that may tell of what is ours, by their names: `JetsamEvent-…`, `Python-2026-05-14-….ips`.
fn reports(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| path.extension().is_some_and(|kind| kind == "ips"))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("JetsamEvent-") || is_ours(&name)
        })
        .collect()
}

fn text(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(CAP).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn is_younger(time: SystemTime, than: Duration) -> bool {
    SystemTime::now().duration_since(time).is_ok_and(|age| age <= than)
}

/// None: not JSON, or not whole.
fn parse(text: &str) -> Option<Vec<EndedSeen>> {
    let (head, body) = text.split_once('\n')?;
    let head: Head = serde_json::from_str(head).ok()?;
    let kind = head.bug_type.as_str().unwrap_or_default();
    // A program may file a report of itself and go on.
    if head.is_simulated.as_ref().is_some_and(|one| one.as_u64() != Some(0)) {
        return Some(Vec::new());
    }
    let ended = match kind {
        "298" => jetsam(&serde_json::from_str(body).ok()?),
        "309" => vec![crash(&head, &serde_json::from_str(body).ok()?)],
        // Too much CPU, too many writes, a spin: it lives on.
        _ => Vec::new(),
    };
    Some(ended.into_iter().filter(is_told).collect())
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    bug_type: Value,
    #[serde(default)]
    app_name: Option<String>,
    #[serde(default)]
    is_simulated: Option<Value>,
}

#[derive(Deserialize)]
struct Crash {
    #[serde(default)]
    pid: u32,
    #[serde(default, rename = "procName")]
    name: Option<String>,
    #[serde(default)]
    exception: Option<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(default)]
    signal: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

fn crash(head: &Head, body: &Crash) -> EndedSeen {
    let exception = body.exception.as_ref();
    let signal = exception.and_then(|one| one.signal.as_ref().or(one.kind.as_ref()));
    let is_name = |text: &&String| {
        text.len() < 24 && text.bytes().all(|one| one.is_ascii_alphanumeric() || one == b'_')
    };
    let signal = signal.filter(is_name).cloned().unwrap_or_default();
    let name = body.name.as_ref().or(head.app_name.as_ref());
    EndedSeen {
        victim: plain(name.map(String::as_str).unwrap_or_default()),
        pid: body.pid,
        largest: None,
        why: EndedWhy::Crashed { signal },
    }
}

#[derive(Deserialize)]
struct Jetsam {
    #[serde(default, rename = "largestProcess")]
    largest: Option<String>,
    #[serde(default)]
    processes: Vec<Process>,
}

#[derive(Deserialize)]
struct Process {
    #[serde(default)]
    pid: u32,
    #[serde(default)]
    name: String,
    /// Only of what was ended: `per-process-limit`, `vm-compressor-space-shortage`, `highwater`.
    #[serde(default)]
    reason: Option<String>,
}

/// Every process of the machine is listed; the ones that were ended bear a reason. The largest is
/// not always among them.
fn jetsam(body: &Jetsam) -> Vec<EndedSeen> {
    let largest = body.largest.as_deref().map(plain).filter(|name| !name.is_empty());
    let ended = body.processes.iter().filter_map(|process| {
        let why = match process.reason.as_deref()? {
            // What has nothing to do is ended all the time, and costs nobody anything.
            "long-idle-exit" | "idle-exit" => return None,
            "per-process-limit" | "highwater" => EndedWhy::OverLimit,
            _ => EndedWhy::OutOfMemory,
        };
        let largest = largest.clone().filter(|_| why == EndedWhy::OutOfMemory);
        Some(EndedSeen { victim: plain(&process.name), pid: process.pid, largest, why })
    });
    ended.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRASH: &str = r#"{"app_name":"Python","timestamp":"2026-05-14 21:00:01.00 -0500","app_version":"3.14.5","platform":1,"bug_type":"309","os_version":"macOS 26.5 (25F71)","name":"Python"}
{
  "uptime" : 14000,
  "pid" : 35499,
  "procLaunch" : "2026-05-14 21:00:00.1807 -0500",
  "procName" : "Python",
  "procPath" : "\/Users\/USER\/*\/Python.app\/Contents\/MacOS\/Python",
  "parentProc" : "zsh",
  "exception" : {"codes":"0x0000000000000000, 0x0000000000000000","rawCodes":[0,0],"type":"EXC_CRASH","signal":"SIGABRT"},
  "termination" : {"flags":0,"code":6,"namespace":"SIGNAL","indicator":"Abort trap: 6","byProc":"Python","byPid":35499},
  "asi" : {"libsystem_c.dylib":["abort() called"]}
}
"#;

    /// Abridged from a machine whose compressor was full.
    const JETSAM: &str = r#"{"bug_type":"298","timestamp":"2026-04-10 05:05:26.00 +0200","os_version":"macOS 26.4 (25E246)","incident_id":"E0F9"}
{
  "crashReporterKey" : "x",
  "memoryStatus" : {"pageSize": 16384, "memoryPages": {"free": 940}},
  "largestProcess" : "Python",
  "processes" : [
    {"uuid":"a","states":["daemon","idle"],"rpages":96,"name":"knowledgeconstructiond","pid":46005,"reason":"per-process-limit","killDelta":75696},
    {"uuid":"b","states":["daemon","idle"],"rpages":96,"name":"ollama-helper","pid":46006,"reason":"long-idle-exit"},
    {"uuid":"c","states":["active"],"rpages":9437184,"name":"Python","pid":812,"reason":"vm-compressor-space-shortage"},
    {"uuid":"d","states":["active"],"rpages":119425,"name":"com.apple.Virtualization.Virtual","pid":1104},
    {"uuid":"e","states":["active"],"rpages":700,"name":"Safari","pid":1105,"reason":"vm-compressor-space-shortage"},
    {"uuid":"f","states":["active"],"rpages":700,"name":"ollama","pid":1106,"reason":"per-process-limit"}
  ]
}
"#;

    fn ended(victim: &str, pid: u32, largest: Option<&str>, why: EndedWhy) -> EndedSeen {
        EndedSeen { victim: victim.into(), pid, largest: largest.map(String::from), why }
    }

    #[test]
    fn a_crash_is_a_name_a_pid_and_a_signal() {
        let why = EndedWhy::Crashed { signal: "SIGABRT".into() };
        assert_eq!(parse(CRASH), Some(vec![ended("Python", 35499, None, why)]));
        let other = CRASH.replace("\"procName\" : \"Python\"", "\"procName\" : \"Safari\"");
        assert_eq!(parse(&other), Some(Vec::new()));
        let alive = CRASH.replace("{\"app_name\"", "{\"is_simulated\":1,\"app_name\"");
        assert_eq!(parse(&alive), Some(Vec::new()), "it reports on itself and lives on");
        let spin = CRASH.replace("\"309\"", "\"202\"");
        assert_eq!(parse(&spin), Some(Vec::new()));
        let odd = CRASH.replace("SIGABRT", "/Users/ann");
        let why = EndedWhy::Crashed { signal: String::new() };
        assert_eq!(parse(&odd), Some(vec![ended("Python", 35499, None, why)]));
    }

    #[test]
    fn of_a_jetsam_report_only_what_was_ended_is_told_with_the_largest() {
        let expected = vec![
            ended("Python", 812, Some("Python"), EndedWhy::OutOfMemory),
            ended("Safari", 1105, Some("Python"), EndedWhy::OutOfMemory),
            ended("ollama", 1106, None, EndedWhy::OverLimit),
        ];
        assert_eq!(parse(JETSAM), Some(expected));
        let none = JETSAM.replace("\"reason\"", "\"killed\"");
        assert_eq!(parse(&none), Some(Vec::new()), "the largest alone is no victim");
    }

    #[test]
    fn what_is_not_whole_is_read_again_and_what_was_read_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let from = SystemTime::now() - Duration::from_mins(1);
        let missing = folder.path().join("missing");
        let mut reports = Reports::new(vec![missing, folder.path().to_owned()], from);
        assert_eq!(reports.news(), []);
        let path = folder.path().join("Python-2026-05-14-210001.ips");
        fs::write(&path, &CRASH[..600]).unwrap();
        assert_eq!(reports.news(), []);
        fs::write(&path, CRASH).unwrap();
        fs::write(folder.path().join("Safari-2026-05-14-210001.ips"), CRASH).unwrap();
        fs::write(folder.path().join("Python-2026-05-14-210001.diag"), CRASH).unwrap();
        assert_eq!(reports.news().len(), 1);
        assert_eq!(reports.news(), []);
        fs::write(folder.path().join("JetsamEvent-2026-04-10-050526.ips"), JETSAM).unwrap();
        assert_eq!(reports.news().len(), 3);
        assert_eq!(reports.news(), []);
    }

    #[test]
    fn reports_of_before_are_no_news() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("JetsamEvent-2026-04-10-050526.ips"), JETSAM).unwrap();
        let later = SystemTime::now() + Duration::from_mins(1);
        assert_eq!(Reports::new(vec![folder.path().to_owned()], later).news(), []);
    }

    #[test]
    fn what_is_no_report_is_nothing() {
        for text in
            ["", "{}", "x\ny", "[]\n[]", "{\"bug_type\":298}\n{}", "{\"bug_type\":\"298\"}\n"]
        {
            assert!(parse(text).unwrap_or_default().is_empty(), "{text}");
        }
    }
}
