//! Taking over from them at a person's wish, and giving back what was taken (C12). What is needed for
//! the way back is written down before anything is ended; it holds environments, so it is its owner's
//! alone.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use doctor::{Outcome, ProcessSeen};
use serde::{Deserialize, Serialize};

use super::{Healer, Job};
use crate::action::process;
use crate::platform;

/// A listener that is asked to end has this long; then it is killed.
const GRACE: Duration = Duration::from_secs(5);
const WITHIN: Duration = Duration::from_secs(10);

/// What was ended, so that it can be put back as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    pub jobs: Vec<Job>,
    pub units: Vec<String>,
    pub listeners: Vec<Ran>,
}

/// How a process ran.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    pub command: Vec<String>,
    pub directory: Option<PathBuf>,
    pub environment: Vec<(String, String)>,
}

/// Without values, which may be secrets.
impl std::fmt::Debug for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ran").field("program", &self.command.first()).finish_non_exhaustive()
    }
}

impl Taken {
    /// What the file holds; none: nothing was taken.
    pub fn load(file: &Path) -> Option<Self> {
        let taken: Self = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
        (!taken.is_empty()).then_some(taken)
    }

    fn save(&self, file: &Path) -> io::Result<()> {
        crate::api::write_private(file, &serde_json::to_vec(self)?)
    }

    /// Of nothing there is no file.
    fn keep(&self, file: &Path) -> Result<(), String> {
        let kept = if self.is_empty() { std::fs::remove_file(file) } else { self.save(file) };
        match kept {
            Err(error) if !self.is_empty() || error.kind() != io::ErrorKind::NotFound => {
                Err(format!("{} cannot be written: {error}", file.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.units.is_empty() && self.listeners.is_empty()
    }

    pub fn names(&self) -> Vec<String> {
        let jobs = self.jobs.iter().map(|job| job.label.clone());
        let listeners = self.listeners.iter().map(|_| super::LISTENER.to_owned());
        jobs.chain(self.units.iter().cloned()).chain(listeners).collect()
    }
}

/// Ends them all, each in its own way: a job and a unit so that they stay ended after the next login.
/// A line of a crontab stays. What was taken before and not given back is kept.
///
/// Each is written down before it is ended, and struck out again when it could not be: the file holds
/// what was really taken, also when this ends halfway.
pub async fn take(found: &[Healer], file: &Path) -> Result<(), String> {
    let mut taken = Taken::load(file).unwrap_or_default();
    // Before anything is ended: a process that is gone tells nothing.
    let mut listeners = Vec::new();
    for healer in found {
        if let Healer::Listener(process) = healer {
            // A job's or unit's own process comes back with it.
            let ran = if is_of_a_unit(process, found) { None } else { Some(ran(process).await?) };
            listeners.push((process, ran));
        }
    }
    for healer in found {
        let before = taken.clone();
        let ended = match healer {
            Healer::Job(job) => {
                add(&mut taken.jobs, job.clone());
                taken.keep(file)?;
                platform::unload_job(&job.label).await
            }
            Healer::Unit(unit) => {
                add(&mut taken.units, unit.clone());
                taken.keep(file)?;
                let command = ["systemctl", "--user", "disable", "--now", unit];
                platform::run(&command, WITHIN).await.map(drop)
            }
            Healer::Listener(_) | Healer::Script(_) | Healer::Cron(_) => continue,
        };
        if let Err(error) = ended {
            if runs(healer).await {
                before.keep(file)?;
            }
            return Err(error.to_string());
        }
    }
    // After what would start them again.
    for (process, ran) in listeners {
        let before = taken.clone();
        if let Some(ran) = ran {
            add(&mut taken.listeners, ran);
            taken.keep(file)?;
        }
        if let Err(error) = end(process).await {
            if platform::is_same(&process.id) {
                before.keep(file)?;
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Whether a job or a unit would still run after a failed attempt to end it.
async fn runs(healer: &Healer) -> bool {
    match healer {
        Healer::Job(job) => {
            platform::loaded_jobs().await.is_none_or(|loaded| loaded.contains(&job.label))
        }
        Healer::Unit(unit) => {
            let home = platform::Places::here().home;
            let wanted = platform::is_wanted(&home.join(super::UNITS), unit);
            let asked = ["systemctl", "--user", "is-active", unit.as_str()];
            let active = platform::run(&asked, WITHIN).await;
            // Where nobody can be asked, nothing was done either.
            wanted || active.is_ok()
        }
        Healer::Listener(_) | Healer::Script(_) | Healer::Cron(_) => false,
    }
}

fn add<T: PartialEq>(list: &mut Vec<T>, one: T) {
    if !list.contains(&one) {
        list.push(one);
    }
}

/// Puts back what was taken. What cannot be put back is told and stays written down.
pub async fn give_back(file: &Path, log: &Path) -> Result<(), String> {
    let Some(mut taken) = Taken::load(file) else { return Ok(()) };
    let mut problems = Vec::new();
    let mut left = Taken::default();
    for job in taken.jobs.drain(..) {
        if let Err(error) = platform::load_job(&job.label, &job.file).await {
            problems.push(error.to_string());
            left.jobs.push(job);
        }
    }
    for unit in taken.units.drain(..) {
        let command = ["systemctl", "--user", "enable", "--now", &unit];
        if let Err(error) = platform::run(&command, WITHIN).await {
            problems.push(error.to_string());
            left.units.push(unit);
        }
    }
    for ran in taken.listeners.drain(..) {
        if let Err(error) = start(&ran, log) {
            // Not its arguments, which may be secrets: this is shown.
            problems.push(format!("{}: {error}", super::LISTENER));
            left.listeners.push(ran);
        }
    }
    if problems.is_empty() {
        return std::fs::remove_file(file).map_err(|error| error.to_string());
    }
    left.save(file).map_err(|error| error.to_string())?;
    Err(problems.join("; "))
}

fn is_of_a_unit(process: &ProcessSeen, found: &[Healer]) -> bool {
    let unit = platform::unit(process.id.pid).filter(|unit| unit.of_user);
    unit.is_some_and(|unit| found.contains(&Healer::Unit(unit.name)))
}

async fn ran(process: &ProcessSeen) -> Result<Ran, String> {
    let (id, command) = (process.id.clone(), process.command.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let ran = Ran {
            command,
            directory: platform::working_directory(id.pid),
            environment: platform::environment(id.pid).unwrap_or_default(),
        };
        // The pid may have been given to another process since.
        platform::is_same(&id).then_some(ran)
    });
    let ran = reading.await.ok().flatten();
    ran.filter(|ran| !ran.command.is_empty())
        .ok_or_else(|| format!("pid {} has changed while it was looked at", process.id.pid))
}

/// This very process, and only it.
async fn end(process: &ProcessSeen) -> Result<(), String> {
    let id = &process.id;
    if !platform::is_same(id) {
        return Ok(());
    }
    if let Err(error) = process::terminate(id)
        && platform::is_same(id)
    {
        return Err(error.to_string());
    }
    if process::await_gone(id, None, GRACE).await == Outcome::Gone {
        return Ok(());
    }
    process::kill(id).map_err(|error| error.to_string())?;
    let gone = process::await_gone(id, None, GRACE).await == Outcome::Gone;
    gone.then_some(()).ok_or_else(|| format!("pid {} does not end", id.pid))
}

/// As it ran: its words, its directory, its environment; its output goes to a log of ours.
fn start(ran: &Ran, log: &Path) -> io::Result<()> {
    let (program, arguments) =
        ran.command.split_first().ok_or_else(|| io::Error::other("its command is not known"))?;
    // What it writes is not ours to show to others.
    let output = OpenOptions::new().append(true).create(true).mode(0o600).open(log)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(ran.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    if let Some(directory) = &ran.directory {
        command.current_dir(directory);
    }
    platform::detach(&mut command);
    let mut child = tokio::process::Command::from(command).spawn()?;
    tokio::spawn(async move {
        // Collected when it ends, so that it does not stay as a zombie.
        let _ = child.wait().await;
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(child: &std::process::Child) -> Healer {
        let found = platform::processes_named(&["host_recovery_listener.py"]);
        let found = found.into_iter().find(|one| one.id.pid == child.id());
        Healer::Listener(found.expect("it runs"))
    }

    /// An interpreter that has not yet become its script goes by another name.
    fn start(script: &Path) -> std::process::Child {
        let child = Command::new("sh").arg(script).stdin(Stdio::piped()).spawn().unwrap();
        let began = std::time::Instant::now();
        while platform::processes_named(&["host_recovery_listener.py"])
            .iter()
            .all(|one| one.id.pid != child.id())
        {
            assert!(began.elapsed() < Duration::from_secs(10));
            std::thread::yield_now();
        }
        child
    }

    #[tokio::test]
    async fn taking_over_from_nobody_leaves_nothing_to_give_back() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("taken.json");
        take(&[], &file).await.unwrap();
        assert_eq!(Taken::load(&file), None);
        std::fs::write(&file, serde_json::to_vec(&Taken::default()).unwrap()).unwrap();
        assert_eq!(Taken::load(&file), None, "also where an empty record was left");
    }

    #[tokio::test]
    async fn only_what_was_really_taken_is_written_down() {
        let place = tempfile::tempdir().unwrap();
        let script = place.path().join("host_recovery_listener.py");
        std::fs::write(&script, "read line\n").unwrap();
        let file = place.path().join("taken.json");
        // A job ends nowhere but on a Mac, and there is none of this name there.
        let job = Job { label: "com.example.none.such".into(), file: "/none.plist".into() };
        let mut child = start(&script);
        let found = [listener(&child), Healer::Cron("* * * * * x".into()), Healer::Job(job)];
        if cfg!(target_os = "linux") {
            take(&found, &file).await.unwrap_err();
            assert_eq!(Taken::load(&file), None, "neither the job nor the listener");
            assert!(!file.exists());
            assert!(child.try_wait().unwrap().is_none(), "it still runs");
        }

        take(&found[..2], &file).await.unwrap();
        child.wait().unwrap();
        let taken = Taken::load(&file).unwrap();
        assert_eq!((taken.listeners.len(), taken.jobs.len()), (1, 0));
        // What comes after it fails, and what was taken stays on record.
        if cfg!(target_os = "linux") {
            take(&found[2..], &file).await.unwrap_err();
            assert_eq!(Taken::load(&file), Some(taken));
        }
    }
}
