//! A real Docker engine of a test's own, without any registry (`real/docker-engine`).

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

use crate::programs;

/// Stopped and removed with its containers when it is dropped.
pub struct DockerEngine {
    directory: TempDir,
}

impl DockerEngine {
    /// Running, with the image `busybox:local`. Needs root.
    pub fn start() -> Result<Self> {
        let engine = Self { directory: tempfile::Builder::new().prefix("docker-").tempdir()? };
        engine.script("start")?;
        engine.script("image")?;
        Ok(engine)
    }

    /// For `[docker] host`.
    pub fn host(&self) -> String {
        format!("unix://{}/docker.sock", self.directory.path().display())
    }

    /// `docker …`; what it printed.
    pub fn docker(&self, arguments: &[&str]) -> Result<String> {
        let host = self.host();
        programs::run(Command::new("docker").args(arguments).env("DOCKER_HOST", host))
    }

    /// `docker-compose …` in that directory.
    pub fn compose(&self, directory: &Path, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("docker-compose");
        programs::run(
            command.args(arguments).current_dir(directory).env("DOCKER_HOST", self.host()),
        )
    }

    /// Ends it as a crash would, its socket included.
    pub fn kill(&self) -> Result<()> {
        self.script("kill")
    }

    /// Ends it in order: it stops its containers first, and keeps them.
    pub fn end(&self) -> Result<()> {
        self.script("end")
    }

    /// After [`DockerEngine::kill`] or [`DockerEngine::end`].
    pub fn start_again(&self) -> Result<()> {
        self.script("start")
    }

    fn script(&self, verb: &str) -> Result<()> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("real/docker-engine");
        programs::run(Command::new(script).arg(verb).arg(self.directory.path())).map(drop)
    }
}

impl Drop for DockerEngine {
    fn drop(&mut self) {
        // What is left is told by the engine's own log.
        let _ = self.script("stop");
    }
}
