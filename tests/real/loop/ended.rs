//! What the kernel really ended for want of memory.

use std::fs;
use std::path::{Path, PathBuf};

use tests::{Model, Ollama};

use crate::ollama::{healthy, watching_with};
use crate::{SLACK, SOON, VERDICT_CLOSED, VERIFIED, cause_is, without_mcp};

/// A control group whose members may hold so much memory together.
pub(crate) struct Group(PathBuf);

impl Group {
    pub(crate) fn new(name: &str, bytes: u64) -> Self {
        let (root, limit) = if Path::new("/sys/fs/cgroup/memory").is_dir() {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            ("/sys/fs/cgroup", "memory.max")
        };
        let path = Path::new(root).join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        let group = Self(path);
        fs::write(group.0.join(limit), bytes.to_string()).unwrap();
        group
    }

    /// As `docker run --cgroup-parent` wants it.
    pub(crate) fn name(&self) -> String {
        format!("/{}", self.0.file_name().unwrap().to_string_lossy())
    }

    fn take(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Only an empty one can be removed.
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_server_that_the_kernel_ended_for_memory_says_so_and_is_brought_back() {
    let _alone = without_mcp();
    let ollama = Ollama::start(&[Model::named("m:latest")]).unwrap();
    let engine = watching_with(&ollama, &ollama.environment());
    healthy(&engine);
    let pid = ollama.pid().unwrap();
    // Next to none: it dies at its next allocation.
    let group = Group::new("homeostat-ended", 4096);
    group.take(pid);
    let sick = engine.wait_for_target("ollama", "its cause", VERDICT_CLOSED + SLACK, |ollama| {
        cause_is(ollama, "ollama.crashed")
    });
    let evidence = sick.cause.unwrap().evidence.join("\n");
    assert!(evidence.contains(&format!("(pid {pid})")), "{evidence}");
    assert!(evidence.contains("passed the memory limit"), "{evidence}");
    engine.wait_for_incident("ollama", "verified", VERIFIED);
    let host = engine.wait_for_incident("host", "closed", SOON);
    assert_eq!(host.cause.id, "host.process_killed");
    assert_eq!(host.cause.evidence.len(), 1, "{host:#?}");
}
