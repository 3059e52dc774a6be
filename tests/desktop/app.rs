//! The real app with a directory of its own, watching a fake Ollama.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Result;
use engine::view::{Snapshot, Target};
use rustix::process::Signal;
use tempfile::TempDir;
use tests::{Ollama, eventually, http, programs};

use crate::SOON;
use crate::desktop::Desktop;

/// Killed when dropped.
pub(crate) struct App {
    directory: TempDir,
    port: u16,
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl App {
    /// Configured, not started.
    pub(crate) fn prepare(desktop: &Desktop, ollama: &Ollama) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("homeostat-").tempdir()?;
        let mut environment = ollama.environment();
        environment.extend(desktop.environment());
        let app = Self { directory, port: programs::free_port()?, environment, child: None };
        app.configure(&format!(
            "[docker]\nhost = \"unix:///nonexistent/docker.sock\"\nheal = \"observe\"\n\
             [ollama]\nurl = \"{}\"\ninterval = \"2s\"\npinned = [\"llama3.2:latest\"]\n\
             [api]\nlisten = \"127.0.0.1:{}\"\n",
            ollama.url(),
            app.port
        ))?;
        Ok(app)
    }

    /// Started, and its engine answers.
    pub(crate) fn start(desktop: &Desktop, ollama: &Ollama) -> Result<Self> {
        let mut app = Self::prepare(desktop, ollama)?;
        let log = File::create(app.directory.path().join("output"))?;
        let mut command = app.command()?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        app.child = Some(command.spawn()?);
        app.await_health();
        Ok(app)
    }

    pub(crate) fn configure(&self, configuration: &str) -> Result<()> {
        let fresh = self.directory.path().join("config.new");
        std::fs::write(&fresh, configuration)?;
        Ok(std::fs::rename(fresh, self.configuration())?)
    }

    pub(crate) fn program() -> Result<PathBuf> {
        programs::own("homeostat-app")
    }

    /// A copy of the app that would use the same directory.
    pub(crate) fn command(&self) -> Result<Command> {
        let mut command = Command::new(Self::program()?);
        command.args(self.arguments()).envs(self.environment());
        command.env_remove("DOCKER_HOST");
        Ok(command)
    }

    pub(crate) fn arguments(&self) -> Vec<String> {
        ["--config", &self.configuration().display().to_string()]
            .into_iter()
            .chain(["--data", &self.data().display().to_string()])
            .map(str::to_owned)
            .collect()
    }

    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        self.environment.clone()
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.directory.path().join("config.toml")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn await_health(&self) {
        eventually("an answer of /health", SOON, || self.get("/health").ok());
    }

    pub(crate) fn status(&self) -> Result<Snapshot> {
        Ok(serde_json::from_str(&self.get("/status")?)?)
    }

    /// Waits for a snapshot that fits.
    #[track_caller]
    pub(crate) fn wait_for(
        &self,
        what: &str,
        deadline: Duration,
        fits: impl Fn(&Snapshot) -> bool,
    ) -> Snapshot {
        eventually(what, deadline, || self.status().ok().filter(|snapshot| fits(snapshot)))
    }

    #[track_caller]
    pub(crate) fn wait_for_ollama(
        &self,
        what: &str,
        deadline: Duration,
        fits: impl Fn(&Target) -> bool,
    ) {
        self.wait_for(&format!("Ollama: {what}"), deadline, |snapshot| {
            snapshot.targets.iter().any(|target| target.id == "ollama" && fits(target))
        });
    }

    /// The app's own log of today and what it printed.
    pub(crate) fn log(&self) -> String {
        let mut text =
            std::fs::read_to_string(self.directory.path().join("output")).unwrap_or_default();
        let logs = std::fs::read_dir(self.data().join("logs"));
        for log in logs.into_iter().flatten().flatten() {
            text.push_str(&std::fs::read_to_string(log.path()).unwrap_or_default());
        }
        text
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|end| end.is_none()))
    }

    /// SIGTERM, as at a logout.
    pub(crate) fn terminate(&mut self) -> Result<ExitStatus> {
        if let Some(child) = &self.child {
            programs::send(child.id(), Signal::TERM)?;
        }
        Ok(self.end())
    }

    /// How it ends by itself.
    #[track_caller]
    pub(crate) fn end(&mut self) -> ExitStatus {
        let child = self.child.as_mut();
        let child = child.unwrap_or_else(|| panic!("it was not started"));
        eventually("the app's end", Duration::from_secs(10), || child.try_wait().ok().flatten())
    }

    fn get(&self, path: &str) -> Result<String> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let client = http::client(Duration::from_secs(5));
        Ok(client.get(url).send()?.error_for_status()?.text()?)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Captured by the test, and shown when it fails.
            #[allow(clippy::print_stdout, reason = "this is how a test tells")]
            {
                println!("{}", self.log());
            }
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
