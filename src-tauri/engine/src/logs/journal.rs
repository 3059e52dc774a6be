//! The journal of a systemd unit: a server that runs as one writes to no file (FACTS A.8,
//! `journalctl -u ollama`). One `journalctl` follows it for as long as it is needed.

use std::io::{ErrorKind, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::tail::Pieces;
use crate::platform::Unit;

/// Bytes that are read in one look at most; the rest waits in the pipe.
const AT_ONCE: usize = 1 << 20;

pub(super) struct Journal {
    unit: Unit,
    child: Child,
    /// Gone when it could not be had or has ended: then this unit's journal is not for us.
    output: Option<ChildStdout>,
    pieces: Pieces,
}

impl Journal {
    /// From now on. None: there is no such program.
    pub(super) fn follow(program: &str, unit: &Unit) -> Option<Self> {
        let mut command = Command::new(program);
        if unit.of_user {
            command.arg("--user");
        }
        command
            .args(["--unit", &unit.name, "--follow", "--lines", "0", "--output", "cat"])
            .args(["--no-pager", "--quiet"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let output = child.stdout.take().filter(|output| {
            let flags = fcntl_getfl(output);
            flags.is_ok_and(|flags| fcntl_setfl(output, flags | OFlags::NONBLOCK).is_ok())
        });
        Some(Self { unit: unit.clone(), child, output, pieces: Pieces::default() })
    }

    pub(super) fn is_of(&self, unit: &Unit) -> bool {
        self.unit == *unit
    }

    /// Whole lines that are new; never waits.
    pub(super) fn read(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        let mut read = 0;
        while read < AT_ONCE
            && let Some(output) = &mut self.output
        {
            match output.read(&mut buffer) {
                Ok(0) => self.output = None,
                Ok(count) => {
                    read += count;
                    self.pieces.take(buffer.get(..count).unwrap_or_default(), &mut lines);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.output = None,
            }
        }
        lines
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn what_the_journal_says_is_read_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("journalctl");
        let script = "#!/bin/sh\necho \"$*\"\nprintf 'half '\nread never\nexec sleep 60\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let unit = Unit { name: "ollama.service".into(), of_user: false };
        let mut journal = Journal::follow(program.to_str().unwrap(), &unit).unwrap();
        let began = Instant::now();
        let lines = loop {
            let lines = journal.read();
            if !lines.is_empty() {
                break lines;
            }
            assert!(began.elapsed() < Duration::from_secs(10));
            std::thread::yield_now();
        };
        assert_eq!(
            lines,
            ["--unit ollama.service --follow --lines 0 --output cat --no-pager --quiet"]
        );
        assert_eq!(journal.read(), [""; 0], "half a line is none");
        assert!(journal.is_of(&unit));
        assert!(Journal::follow("/nonexistent/journalctl", &unit).is_none());
    }
}
