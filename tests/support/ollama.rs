//! An installed Ollama of a test's own: the fake program, its models, its port and its misbehaviour.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::fake_ollama::{Control, Mode, Model, Published, publish, write_models};
use crate::{eventually, http, programs};

/// Whatever was started for it, by the test or by the engine, is gone when it is dropped.
pub struct Ollama {
    directory: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Ollama {
    /// Installed, not running.
    pub fn install(models: &[Model]) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("ollama-").tempdir()?;
        let binaries = directory.path().join("bin");
        std::fs::create_dir(&binaries)?;
        std::os::unix::fs::symlink(programs::own("ollama")?, binaries.join("ollama"))?;
        programs::own("llama-server")?;
        write_models(&directory.path().join("models.json"), models)?;
        Ok(Self { directory, port: programs::free_port()?, child: None })
    }

    /// Installed, running and answering.
    pub fn start(models: &[Model]) -> Result<Self> {
        let mut ollama = Self::install(models)?;
        ollama.serve()?;
        ollama.await_answer();
        Ok(ollama)
    }

    /// Starts `ollama serve` as a child of the test.
    pub fn serve(&mut self) -> Result<()> {
        self.serve_with(|_| {})
    }

    /// As another user, with a models directory of that user's; only root can.
    pub fn serve_as(&mut self, uid: u32) -> Result<()> {
        let models = self.directory.path().join("models-of-another");
        std::fs::create_dir_all(&models)?;
        std::os::unix::fs::chown(&models, Some(uid), None)?;
        let pids = self.directory.path().join("pids");
        File::options().append(true).create(true).open(&pids)?;
        for (path, mode) in [(self.directory.path(), 0o755), (&pids, 0o666)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        }
        self.serve_with(|command| {
            command.uid(uid).env("OLLAMA_MODELS", &models).env_remove("FAKE_OLLAMA_MODELS");
        })
    }

    /// [`Ollama::serve`] with further variables, as a person sets them in a terminal.
    pub fn serve_set(&mut self, variables: &[(&str, &str)]) -> Result<()> {
        self.serve_with(|command| {
            command.envs(variables.iter().copied());
        })
    }

    fn serve_with(&mut self, change: impl FnOnce(&mut Command)) -> Result<()> {
        let log = File::options().append(true).create(true).open(self.log_file())?;
        let mut command = Command::new(self.binary());
        command
            .arg("serve")
            .envs(self.environment())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        change(&mut command);
        self.child = Some(command.spawn()?);
        Ok(())
    }

    /// Waits until `GET /api/version` is answered, by whoever was started there.
    pub fn await_answer(&self) {
        let url = format!("{}/api/version", self.url());
        let client = http::client(Duration::from_secs(1));
        eventually(&format!("an answer of {url}"), Duration::from_secs(10), || {
            let answer = client.get(&url).send().ok()?;
            answer.status().is_success().then_some(())
        });
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn binary(&self) -> PathBuf {
        self.directory.path().join("bin/ollama")
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// For an engine that shall find and start this Ollama: `PATH` begins with its directory.
    pub fn environment(&self) -> Vec<(String, String)> {
        let at = |name: &str| self.directory.path().join(name).display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        [
            ("PATH", format!("{}:{path}", at("bin"))),
            ("HOME", at("")),
            ("OLLAMA_HOST", format!("127.0.0.1:{}", self.port)),
            ("OLLAMA_MODELS", at("models")),
            ("FAKE_OLLAMA_MODELS", at("models.json")),
            ("FAKE_OLLAMA_REGISTRY", at("registry.json")),
            ("FAKE_OLLAMA_CONTROL", at("control.json")),
            ("FAKE_OLLAMA_PIDS", at("pids")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Misbehaves from now on, also after a restart.
    pub fn misbehave(&self, control: &Control) -> Result<()> {
        control.write(&self.directory.path().join("control.json"))
    }

    /// What can be pulled from now on.
    pub fn publish(&self, all: &[Published]) -> Result<()> {
        publish(&self.directory.path().join("registry.json"), all)
    }

    /// Its models directory.
    pub fn models(&self) -> PathBuf {
        self.directory.path().join("models")
    }

    /// [`Ollama::misbehave`] with one mode for all paths.
    pub fn turn(&self, mode: Mode) -> Result<()> {
        self.misbehave(&Control { mode, ..Control::default() })
    }

    /// Adds a line to what it has printed, as if it were its own.
    pub fn note(&self, line: &str) -> Result<()> {
        let mut log = File::options().append(true).open(self.log_file())?;
        Ok(writeln!(log, "{line}")?)
    }

    /// The child that the test started.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Every process ever started for it that still runs: servers and runners.
    pub fn running(&self) -> Vec<u32> {
        let text = std::fs::read_to_string(self.directory.path().join("pids")).unwrap_or_default();
        let pids = text.lines().filter_map(|line| line.parse().ok());
        pids.filter(|pid| programs::is_alive(*pid)).collect()
    }

    /// `kill -9` of the child that the test started.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the test has not started this Ollama")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// SIGTERM to the child that the test started; how it ended.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        let mut child = self.child.take().context("the test has not started this Ollama")?;
        programs::send(child.id(), Signal::TERM)?;
        Ok(eventually("the end after SIGTERM", Duration::from_secs(10), || {
            child.try_wait().ok().flatten()
        }))
    }

    /// How the child that the test started ended, when it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok().flatten()
    }

    /// What the child that the test started has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }
}

impl Drop for Ollama {
    fn drop(&mut self) {
        let mark = self.directory.path().display().to_string();
        for pid in self.running() {
            programs::end_own(pid, &mark);
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
