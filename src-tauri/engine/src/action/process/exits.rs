//! How the processes that we started have ended: the system tells it to their parent alone, once.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};

use doctor::{ExitHow, ExitSeen, ProcessId};

/// More servers than this are not looked after.
const KEPT: usize = 8;

/// The children are of this whole process, and so is what became of them.
static EXITS: Mutex<VecDeque<ExitSeen>> = Mutex::new(VecDeque::new());

/// The last ones, the newest at the end.
pub(crate) fn exits() -> Vec<ExitSeen> {
    EXITS.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
}

pub(super) fn keep(process: ProcessId, status: ExitStatus) {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => ExitHow::Code(code),
        (None, Some(signal)) => ExitHow::Signal(name(signal)),
        // Stopped or continued: it has not ended.
        (None, None) => return,
    };
    let mut exits = EXITS.lock().unwrap_or_else(PoisonError::into_inner);
    exits.push_back(ExitSeen { process, how });
    while exits.len() > KEPT {
        exits.pop_front();
    }
}

/// Those that end a process; their numbers are not the same on every system.
fn name(signal: i32) -> String {
    let known = [
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGXCPU, "SIGXCPU"),
    ];
    let found = known.iter().find(|(number, _)| *number == signal);
    found.map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}
