//! Other programs that heal the same servers (A11): the scripts and jobs that came before Homeostat,
//! `host_recovery_listener.py`, `system_auto_recovery.sh` and the `mlx-monitor` jobs. They are named,
//! and not fought; what is done with them at a person's wish is in [`takeover`].

pub mod takeover;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use doctor::ProcessSeen;
use serde::{Deserialize, Serialize};

use crate::platform::{self, Places};

/// The program that answers on our port when an agent asks for help.
const LISTENER: &str = "host_recovery_listener.py";
/// What a job, a unit or a line of a crontab runs when it is one of them.
const MARKS: [&str; 3] = ["host_recovery_listener", "system_auto_recovery", "mlx_monitor"];
/// The last parts of the labels of their launchd jobs. Other programs recover something too: a label
/// that only holds one of these is none of theirs.
const LABELS: [&str; 2] = ["mlx-monitor", "auto-recovery"];
/// What such a job, unit or line runs, by its file name.
const SCRIPTS: [&str; 4] =
    ["system_auto_recovery.sh", "system_auto_recovery.py", "mlx_monitor.sh", "mlx_monitor.py"];
/// A property list or a unit is a few kilobytes.
const LARGEST: u64 = 256 << 10;
/// Below the home (systemd.unit(5)).
const UNITS: &str = ".config/systemd/user";
/// Of a crontab, so much is read.
const TABLE: u64 = 64 << 10;
const WITHIN: Duration = Duration::from_secs(5);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healer {
    Listener(ProcessSeen),
    /// macOS: a job of the user's launchd.
    Job(Job),
    /// Linux: an enabled unit of the user's systemd.
    Unit(String),
    /// Such a script at work, whoever has started it: it ends by itself.
    Script(ProcessSeen),
    /// A line of the user's crontab, which is never edited: it heals only while its script is at work.
    Cron(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub label: String,
    /// Its property list.
    pub file: PathBuf,
}

impl Healer {
    /// Short, for a list.
    pub fn name(&self) -> String {
        match self {
            Self::Listener(process) => format!("{LISTENER} (pid {})", process.id.pid),
            Self::Job(job) => job.label.clone(),
            Self::Unit(unit) => unit.clone(),
            Self::Script(process) => {
                let words = process.command.iter();
                let script = words.filter_map(|word| word.rsplit('/').next());
                let script = script.into_iter().find(|name| SCRIPTS.contains(name));
                format!("{} (pid {})", script.unwrap_or("script"), process.id.pid)
            }
            Self::Cron(line) => format!("crontab: {line}"),
        }
    }

    /// Whether it heals beside us now, or may at any moment.
    pub fn heals(&self) -> bool {
        match self {
            Self::Listener(_) | Self::Job(_) | Self::Unit(_) | Self::Script(_) => true,
            Self::Cron(_) => false,
        }
    }

    /// False: its process has ended since it was found. What may be started at any moment is there.
    pub fn is_there(&self) -> bool {
        match self {
            Self::Listener(process) | Self::Script(process) => platform::is_same(&process.id),
            Self::Job(_) | Self::Unit(_) | Self::Cron(_) => true,
        }
    }

    /// Whether a person's word ends it.
    pub fn can_be_ended(&self) -> bool {
        match self {
            Self::Listener(_) | Self::Job(_) | Self::Unit(_) => true,
            Self::Script(_) | Self::Cron(_) => false,
        }
    }
}

/// All that run, or would be run, for this user. Where `launchctl` is asked, it is for a job whose
/// property list is there. With `crontab`, it is asked for its lines: that forks, so never on a timer.
pub async fn found(crontab: bool) -> Vec<Healer> {
    let look = || {
        let places = Places::here();
        (at_work(), jobs(&places.home), units(&places.home))
    };
    let Ok((mut found, jobs, units)) = tokio::task::spawn_blocking(look).await else {
        return Vec::new();
    };
    if !jobs.is_empty() {
        let loaded = platform::loaded_jobs().await;
        // Where nobody tells what is loaded, what is installed counts.
        let runs = |job: &Job| loaded.as_ref().is_none_or(|loaded| loaded.contains(&job.label));
        found.extend(jobs.into_iter().filter(runs).map(Healer::Job));
    }
    found.extend(units.into_iter().map(Healer::Unit));
    if crontab && let Ok(table) = platform::run_whole(&["crontab", "-l"], WITHIN, TABLE).await {
        found.extend(lines(&table).into_iter().map(Healer::Cron));
    }
    found
}

/// Listeners, then scripts, told in one walk. Another user's is not ours to end.
fn at_work() -> Vec<Healer> {
    let names: Vec<&str> = [LISTENER].into_iter().chain(SCRIPTS).collect();
    let mut found = platform::processes_named(&names);
    found.retain(|process| process.uid == Some(platform::user_id()));
    let (listeners, scripts): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|process| platform::goes_by(process, &[LISTENER]));
    let listeners = listeners.into_iter().map(Healer::Listener);
    listeners.chain(scripts.into_iter().map(Healer::Script)).collect()
}

/// `~/Library/LaunchAgents/*.plist`, told by label or by what they run (launchd.plist(5)). In the
/// binary form plain strings stand as they are.
fn jobs(home: &Path) -> Vec<Job> {
    let files = files(&home.join("Library/LaunchAgents"), &["plist"]);
    let job = |(file, text): (PathBuf, String)| {
        let stem = file.file_stem()?.to_string_lossy().into_owned();
        let label = label(&text).unwrap_or(stem);
        let last = label.rsplit('.').next().unwrap_or_default();
        let is_one = LABELS.contains(&last) || is_marked(&program(&text));
        is_one.then_some(Job { label, file })
    };
    files.into_iter().filter_map(job).collect()
}

/// What a property list runs. A log file's name, an order or a variable may name a healer as well, and
/// says only that both know each other. Of the binary form, which has no such order, all counts.
fn program(plist: &str) -> String {
    if plist.starts_with("bplist") {
        return plist.to_owned();
    }
    let under = |key: &str, end: &str| {
        let (_, rest) = plist.split_once(&format!("<key>{key}</key>"))?;
        rest.split_once(end).map(|(value, _)| value)
    };
    let both = [under("ProgramArguments", "</array>"), under("Program", "</string>")];
    both.into_iter().flatten().collect()
}

/// What a unit runs: `ExecStart=` and its like (systemd.service(5)), with the lines that go on. A
/// server that is only ordered after a healer is none.
fn commands(unit: &str) -> String {
    let whole = unit.replace("\\\n", " ");
    whole.lines().map(str::trim_start).filter(|line| line.starts_with("Exec")).collect()
}

/// `<key>Label</key> <string>…</string>`.
fn label(plist: &str) -> Option<String> {
    let (_, rest) = plist.split_once("<key>Label</key>")?;
    let (_, rest) = rest.split_once("<string>")?;
    let (label, _) = rest.split_once("</string>")?;
    Some(label.trim().to_owned()).filter(|label| !label.is_empty() && label.len() < 200)
}

/// Services and timers of the user's own systemd that are wanted at its start (systemctl(1), `enable`).
fn units(home: &Path) -> Vec<String> {
    let directory = home.join(UNITS);
    let unit = |(file, text): (PathBuf, String)| {
        let name = file.file_name()?.to_string_lossy().into_owned();
        // A timer runs the service of its name.
        let service = file.with_extension("service");
        let service = text_of(&service).unwrap_or_default();
        let marked = is_marked(&commands(&text)) || is_marked(&commands(&service));
        (marked && platform::is_wanted(&directory, &name)).then_some(name)
    };
    files(&directory, &["service", "timer"]).into_iter().filter_map(unit).collect()
}

/// Lines that are no comment (crontab(5)).
fn lines(table: &str) -> Vec<String> {
    let lines = table.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.filter(|line| is_marked(line)).map(|line| line.chars().take(200).collect()).collect()
}

fn is_marked(text: &str) -> bool {
    MARKS.iter().any(|mark| text.contains(mark))
}

fn files(directory: &Path, kinds: &[&str]) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let is_kind =
        |path: &PathBuf| path.extension().is_some_and(|kind| kinds.iter().any(|one| kind == *one));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_kind).collect();
    paths.sort();
    paths.into_iter().filter_map(|path| text_of(&path).map(|text| (path, text))).collect()
}

fn text_of(path: &Path) -> Option<String> {
    let small = fs::metadata(path).ok().filter(|one| one.is_file() && one.len() <= LARGEST);
    small?;
    Some(String::from_utf8_lossy(&fs::read(path).ok()?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn c12_a_process_that_has_ended_is_no_healer() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = platform::process(child.id()).unwrap();
        let healers =
            [Healer::Listener(process.clone()), Healer::Script(process), Healer::Cron("x".into())];
        assert!(healers.iter().all(Healer::is_there));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(healers.map(|healer| healer.is_there()), [false, false, true]);
    }

    #[test]
    fn jobs_are_told_by_label_or_by_what_they_run() {
        let home = tempfile::tempdir().unwrap();
        let agents = home.path().join("Library/LaunchAgents");
        let plist = |label: &str, runs: &str| {
            format!(
                "<plist><dict><key>Label</key>\n<string>{label}</string><key>ProgramArguments</key><array><string>/bin/bash</string><string>{runs}</string></array></dict></plist>"
            )
        };
        put(&agents.join("a.plist"), &plist("com.atra.mlx-monitor", "/x/check.sh"));
        put(&agents.join("b.plist"), &plist("com.x", "/Users/a/scripts/system_auto_recovery.sh"));
        put(&agents.join("c.plist"), &plist("homebrew.mxcl.ollama", "/opt/homebrew/bin/ollama"));
        put(&agents.join("d.txt"), &plist("com.d.mlx-monitor", "x"));
        let log = "<key>StandardErrorPath</key><string>/x/mlx_monitor.log</string>";
        let server =
            plist("com.mlx-server", "/x/serve.sh").replace("</dict>", &format!("{log}</dict>"));
        put(&agents.join("h.plist"), &server);
        put(&agents.join("f.plist"), &plist("com.office.auto-recovery-agent", "/x/y"));
        put(&agents.join("g.plist"), &plist("com.disk-auto-recovery.helper", "/x/y"));
        put(&agents.join("com.e.auto-recovery.plist"), "bplist00\u{0}system_auto_recovery.sh");
        let labels: Vec<String> = jobs(home.path()).into_iter().map(|job| job.label).collect();
        assert_eq!(labels, ["com.atra.mlx-monitor", "com.x", "com.e.auto-recovery"]);
    }

    #[test]
    fn only_enabled_units_count() {
        let home = tempfile::tempdir().unwrap();
        let user = home.path().join(".config/systemd/user");
        put(&user.join("heal.service"), "ExecStart=/bin/sh /x/system_auto_recovery.sh");
        put(&user.join("heal.timer"), "[Timer]\nOnUnitActiveSec=300");
        put(&user.join("other.service"), "ExecStart=/bin/true");
        assert_eq!(units(home.path()), [""; 0]);
        put(&user.join("timers.target.wants/heal.timer"), "");
        put(&user.join("default.target.wants/other.service"), "");
        assert_eq!(units(home.path()), ["heal.timer"]);
        // What names a healer without running it.
        let server = "[Unit]\nAfter=mlx_monitor.service\n# not system_auto_recovery.sh\n\
                      [Service]\nExecStart=/x/serve --log \\\n  /x/log\nConflicts=host_recovery_listener.service\n";
        put(&user.join("mlx.service"), server);
        put(&user.join("default.target.wants/mlx.service"), "");
        assert_eq!(units(home.path()), ["heal.timer"]);
        put(&user.join("long.service"), "ExecStart=/bin/sh \\\n /x/system_auto_recovery.sh");
        put(&user.join("default.target.wants/long.service"), "");
        assert_eq!(units(home.path()), ["heal.timer", "long.service"]);
    }

    #[test]
    fn a_line_of_a_crontab_that_is_a_comment_runs_nothing() {
        let table = "# */5 * * * * /x/system_auto_recovery.sh\nMAILTO=a\n\
                     */5 * * * * /x/system_auto_recovery.sh >/dev/null\n0 3 * * * backup\n";
        assert_eq!(lines(table), ["*/5 * * * * /x/system_auto_recovery.sh >/dev/null"]);
    }

    #[test]
    fn c12_a_line_of_a_crontab_holds_nothing_back_and_its_script_does() {
        let line = Healer::Cron("* * * * * /x/system_auto_recovery.sh".into());
        assert!(!line.heals() && !line.can_be_ended());
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("system_auto_recovery.sh");
        fs::write(&script, "read line\n").unwrap();
        let mut child = std::process::Command::new("sh")
            .arg(&script)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let is_script_of = |healer: &Healer, pid: u32| match healer {
            Healer::Script(process) => process.id.pid == pid,
            Healer::Listener(_) | Healer::Job(_) | Healer::Unit(_) | Healer::Cron(_) => false,
        };
        let seen = || at_work().into_iter().find(|one| is_script_of(one, child.id()));
        let began = std::time::Instant::now();
        let mut found = seen();
        while found.is_none() && began.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
            found = seen();
        }
        let found = found.expect("it is at work");
        assert!(found.heals() && !found.can_be_ended());
        assert_eq!(found.name(), format!("system_auto_recovery.sh (pid {})", child.id()));
        // Reading it is not running it.
        drop(child.stdin.take());
        child.wait().unwrap();
        let mut reads = std::process::Command::new("tail").arg("-f").arg(&script).spawn().unwrap();
        assert!(!at_work().iter().any(|one| is_script_of(one, reads.id())));
        reads.kill().unwrap();
        reads.wait().unwrap();
    }
}
