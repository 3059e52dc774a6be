//! Processes started and ended by us.

mod exits;
mod log;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use doctor::{Outcome, ProcessId};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::platform::{self, Places, Signal, SignalError};

pub(crate) use exits::exits;
pub use log::{rotate, rotate_while_open};

/// A program that lives longer than this has passed its first checks: port, model directory, keys.
const EARLY: Duration = Duration::from_millis(300);

/// How often a wait looks again.
const POLL: Duration = Duration::from_millis(50);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "{program} is not on PATH nor in the usual places; install it or correct the launch command"
    )]
    NotFound { program: String },
    #[error("{program} may not be executed; check its permissions")]
    NotPermitted { program: String },
    /// `code` is none when a signal ended it. Code 0 is a program that only passes the wish on, as
    /// `brew services start` does. `words` are the last lines that it wrote.
    #[error("{program} ended at once with {}{}", end(*code, *signal), quoted(words))]
    ExitedEarly { program: String, code: Option<i32>, signal: Option<i32>, words: String },
    #[error("the log file {} cannot be written: {source}", log.display())]
    Log { log: PathBuf, source: io::Error },
    #[error("{program} could not be started: {source}")]
    Other { program: String, source: io::Error },
}

/// Starts `command` (program and arguments) as a process of its own: own session, no input, output
/// appended to `log`, with `environment` beside ours (no value: without that variable). It outlives
/// us; when it ends while we live it is collected in the background. A `log` above 10 MB is rotated first.
///
/// Returns 300 ms after the start, if it is alive then.
pub async fn start(
    command: &[String],
    environment: &[(String, Option<String>)],
    log: &Path,
) -> Result<ProcessId, StartError> {
    let (name, arguments) = command
        .split_first()
        .ok_or_else(|| StartError::NotFound { program: "an empty command".to_owned() })?;
    let places = Places::here();
    let program = find(name, &places)?;
    let (output, errors) = log::open(log)
        .and_then(|file| Ok((file.try_clone()?, file)))
        .map_err(|source| StartError::Log { log: log.to_owned(), source })?;
    let written_before = errors.metadata().map_or(0, |found| found.len());
    let mut child = spawn(&program, arguments, environment, places.search_path(), output, errors)
        .map_err(|error| not_started(name, error))?;
    let pid = child.id();
    let ended = match timeout(EARLY, child.wait()).await {
        Err(_) => None,
        Ok(status) => Some(status.map_err(|error| not_started(name, error))?),
    };
    if let Some(status) = ended {
        return Err(ended_early(name, status, log, written_before));
    }
    let process = pid.and_then(platform::process).map(|process| process.id);
    let Some(process) = process else {
        // It ended between the two looks.
        let status = child.wait().await.map_err(|error| not_started(name, error))?;
        return Err(ended_early(name, status, log, written_before));
    };
    collect(child, process.clone());
    Ok(process)
}

/// Asks this very process to end (TERM).
pub fn terminate(process: &ProcessId) -> Result<(), SignalError> {
    platform::signal(process, Signal::Terminate)
}

/// Ends this very process (KILL).
pub fn kill(process: &ProcessId) -> Result<(), SignalError> {
    platform::signal(process, Signal::Kill)
}

/// Waits until the process is gone (a zombie is) and, if given, nobody listens on `port`:
/// [`Outcome::Gone`], or [`Outcome::StillThere`] when the time is up.
pub async fn await_gone(process: &ProcessId, port: Option<u16>, within: Duration) -> Outcome {
    let deadline = Instant::now() + within;
    loop {
        if !platform::is_same(process) && is_free(port).await {
            return Outcome::Gone;
        }
        if Instant::now() >= deadline {
            return Outcome::StillThere;
        }
        sleep(POLL).await;
    }
}

async fn is_free(port: Option<u16>) -> bool {
    let Some(port) = port else { return true };
    let listening = tokio::task::spawn_blocking(move || platform::is_listening(port));
    // A look that broke off proves nothing.
    !listening.await.unwrap_or(true)
}

fn find(name: &str, places: &Places) -> Result<PathBuf, StartError> {
    if let Some(program) = places.program(name) {
        return Ok(program);
    }
    // A file that is there and not executable is another mistake than a missing one.
    if name.contains('/') && Path::new(name).is_file() {
        return Err(StartError::NotPermitted { program: name.to_owned() });
    }
    Err(StartError::NotFound { program: name.to_owned() })
}

fn spawn(
    program: &Path,
    arguments: &[String],
    environment: &[(String, Option<String>)],
    search_path: OsString,
    output: File,
    errors: File,
) -> io::Result<Child> {
    let mut command = std::process::Command::new(program);
    command
        .args(arguments)
        .env("PATH", search_path)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors);
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    platform::detach(&mut command);
    Command::from(command).spawn()
}

/// Waits for the child in the background, so that it does not stay as a zombie, and keeps how it ended.
fn collect(mut child: Child, process: ProcessId) {
    tokio::spawn(async move {
        let pid = child.id();
        match child.wait().await {
            Ok(status) => {
                tracing::info!(pid, %status, "a process that we started has ended");
                exits::keep(process, status);
            }
            Err(error) => tracing::warn!(pid, %error, "a process that we started is out of sight"),
        }
    });
}

fn not_started(name: &str, source: io::Error) -> StartError {
    let program = name.to_owned();
    if source.kind() == ErrorKind::PermissionDenied {
        return StartError::NotPermitted { program };
    }
    // The program itself was found, so it is a script whose interpreter is missing.
    let source = if source.kind() == ErrorKind::NotFound {
        io::Error::other("the interpreter that its first line names is not installed")
    } else {
        source
    };
    StartError::Other { program, source }
}

fn ended_early(name: &str, status: ExitStatus, log: &Path, written_before: u64) -> StartError {
    StartError::ExitedEarly {
        program: name.to_owned(),
        code: status.code(),
        signal: status.signal(),
        words: log::last_lines(log, written_before),
    }
}

fn end(code: Option<i32>, signal: Option<i32>) -> String {
    match (code, signal) {
        (Some(code), _) => format!("code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}

fn quoted(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}

#[cfg(test)]
mod tests;
