//! Signals to one very process (R4).

use doctor::ProcessId;

use super::system;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Terminate,
    Kill,
}

/// Why no signal was sent.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// It is no longer there, or dead and only waits to be collected.
    #[error("process {pid} has already ended")]
    Gone { pid: u32 },
    /// The pid was given to another process since.
    #[error(
        "process {} is no longer {} (started {}): it is now {} (started {}); nothing was sent",
        expected.pid, expected.executable, expected.started, found.executable, found.started
    )]
    Changed { expected: ProcessId, found: ProcessId },
    /// Another user's process, or one that Homeostat never touches: itself, what it runs under.
    #[error("process {pid} may not be signalled: {reason}")]
    NotPermitted { pid: u32, reason: String },
    #[error("the signal could not be sent to process {pid}: {source}")]
    Other { pid: u32, source: std::io::Error },
}

/// Sends `signal` to this very process: its start time and executable are compared just before,
/// and on Linux it goes through a pidfd, so that a pid given away in between receives nothing.
pub fn signal(target: &ProcessId, signal: Signal) -> Result<(), SignalError> {
    refuse_our_own_line(target.pid)?;
    system::send(target, signal)
}

/// Whether the process that has this pid now is `expected`. Called by `send` of both systems.
pub(super) fn check(expected: &ProcessId) -> Result<(), SignalError> {
    let Some(found) = system::identity(expected.pid) else {
        return Err(SignalError::Gone { pid: expected.pid });
    };
    if is_same_identity(expected, &found) {
        return Ok(());
    }
    Err(SignalError::Changed { expected: expected.clone(), found })
}

/// Same pid, same start time, same executable as far as both are known. An executable that was
/// replaced on disk while it runs is still the same.
pub(super) fn is_same_identity(expected: &ProcessId, found: &ProcessId) -> bool {
    let (wanted, is) = (path(expected), path(found));
    expected.pid == found.pid
        && expected.started == found.started
        && (wanted.is_empty() || is.is_empty() || wanted == is)
}

fn path(id: &ProcessId) -> &str {
    id.executable.strip_suffix(" (deleted)").unwrap_or(&id.executable)
}

/// The error of a system call that was to send a signal.
pub(super) fn refusal(pid: u32, source: std::io::Error) -> SignalError {
    match source.raw_os_error() {
        Some(libc::ESRCH) => SignalError::Gone { pid },
        Some(libc::EPERM) => SignalError::NotPermitted {
            pid,
            reason: "it belongs to another user; stop it as that user or as root".to_owned(),
        },
        Some(_) | None => SignalError::Other { pid, source },
    }
}

/// Pid 0 and 1, ourselves, and the processes that we run under.
fn refuse_our_own_line(pid: u32) -> Result<(), SignalError> {
    let refuse = |reason: &str| Err(SignalError::NotPermitted { pid, reason: reason.to_owned() });
    if pid <= 1 {
        return refuse("it is the system itself");
    }
    if i32::try_from(pid).is_err() {
        return refuse("no process can have this number");
    }
    if pid == std::process::id() {
        return refuse("it is Homeostat itself");
    }
    let mut above = system::parent(std::process::id());
    // No line of parents is this long; a table that changes while it is read may hold a ring.
    for _ in 0..64 {
        match above {
            Some(parent) if parent == pid => return refuse("Homeostat runs under it"),
            Some(parent) if parent > 1 => above = system::parent(parent),
            Some(_) | None => break,
        }
    }
    Ok(())
}
