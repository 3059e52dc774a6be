//! How a process ended that somebody else started (R36).

use doctor::ProcessId;

use super::system;

/// What its end says of the wish behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It ended itself without an error, or was asked to end.
    Normal,
    /// It failed, or was killed: Force Quit and want of memory look the same from outside.
    Crash,
}

/// Waits, on the calling thread, until this process ends. None: nobody can tell how it will.
pub fn exit(process: &ProcessId) -> Option<Exit> {
    system::wait_status(process).map(meaning)
}

/// Of a status as wait(2) gives it. `SIGTERM`, `SIGINT` and `SIGHUP` are how one asks.
fn meaning(status: i32) -> Exit {
    let asked = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];
    let normal = if libc::WIFSIGNALED(status) {
        asked.contains(&libc::WTERMSIG(status))
    } else {
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    };
    if normal { Exit::Normal } else { Exit::Crash }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::{Exit, meaning};

    #[test]
    fn r36_what_ends_of_itself_or_is_asked_to_is_no_crash() {
        let ends = |script: &str| {
            meaning(Command::new("sh").args(["-c", script]).status().unwrap().into_raw())
        };
        for script in ["exit 0", "kill -TERM $$", "kill -INT $$", "kill -HUP $$"] {
            assert_eq!(ends(script), Exit::Normal, "{script}");
        }
        for script in ["exit 2", "kill -KILL $$", "kill -SEGV $$", "kill -ABRT $$", "kill -ILL $$"]
        {
            assert_eq!(ends(script), Exit::Crash, "{script}");
        }
    }
}
