//! The real `homeostat run` with a directory of its own, and questions to its API.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use engine::view::{Incident, Operation, Snapshot, Target};
use reqwest::blocking::{Client, Response};
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::{eventually, http, programs};

/// Killed when dropped; what it started lives on and is its owner's to end.
pub struct Engine {
    directory: TempDir,
    port: u16,
    environment: Vec<(String, String)>,
    child: Option<Child>,
    client: Client,
}

impl Engine {
    /// Writes the configuration, with an `[api]` address of its own added, starts and waits for
    /// `GET /health`.
    pub fn start(configuration: &str, environment: &[(String, String)]) -> Result<Self> {
        let mut engine = Self::prepare(configuration, environment)?;
        engine.run()?;
        engine.await_health()?;
        Ok(engine)
    }

    /// All that [`Engine::start`] does but starting.
    pub fn prepare(configuration: &str, environment: &[(String, String)]) -> Result<Self> {
        let engine = Self {
            directory: tempfile::Builder::new().prefix("homeostat-").tempdir()?,
            port: programs::free_port()?,
            environment: environment.to_vec(),
            child: None,
            client: http::client(Duration::from_secs(10)),
        };
        engine.configure(configuration)?;
        Ok(engine)
    }

    /// Writes a new configuration; a running engine reloads it by itself.
    pub fn configure(&self, configuration: &str) -> Result<()> {
        let api = format!("\n[api]\nlisten = \"127.0.0.1:{}\"\n", self.port);
        let whole = if configuration.contains("[api]") {
            configuration.to_owned()
        } else {
            format!("{configuration}{api}")
        };
        let fresh = self.directory.path().join("config.new");
        std::fs::write(&fresh, whole)?;
        Ok(std::fs::rename(fresh, self.configuration_file())?)
    }

    /// Starts the process, again after [`Engine::kill`] with what is left in its directory.
    pub fn run(&mut self) -> Result<()> {
        let log = File::options().append(true).create(true).open(self.log_file())?;
        let child = self
            .command("run")?
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// `homeostat VERB` that finds this engine.
    pub fn command(&self, verb: &str) -> Result<Command> {
        let mut command = Command::new(programs::homeostat()?);
        command
            .arg(verb)
            .arg("--config")
            .arg(self.configuration_file())
            .arg("--data")
            .arg(self.data())
            .env_remove("DOCKER_HOST")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    pub fn await_health(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            if self.get("/health").is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if let Some(status) = self.ended() {
                bail!("the engine ended with {status} at its start:\n{}", self.log());
            }
            if began.elapsed() > Duration::from_secs(20) {
                bail!("the engine is not healthy after 20 s:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Its data directory: journal, ledger, token, logs.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub fn configuration_file(&self) -> PathBuf {
        self.directory.path().join("config.toml")
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn get(&self, path: &str) -> Result<Response> {
        Ok(self.client.get(self.url(path)).send()?)
    }

    /// `GET` that must be answered with 200 and JSON of that shape.
    pub fn json<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T> {
        let answer = self.get(path)?;
        let status = answer.status();
        let text = answer.text()?;
        if !status.is_success() {
            bail!("GET {path}: {status}: {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("GET {path} answered {text}"))
    }

    /// `POST` with the token, as a person.
    pub fn post(&self, path: &str, body: &Value) -> Result<Response> {
        let token = std::fs::read_to_string(self.data().join("token"))?;
        let request = self.client.post(self.url(path)).bearer_auth(token.trim());
        Ok(request.json(body).send()?)
    }

    /// `POST` as anyone may.
    pub fn post_without_token(&self, path: &str, body: &Value) -> Result<Response> {
        Ok(self.client.post(self.url(path)).json(body).send()?)
    }

    pub fn status(&self) -> Result<Snapshot> {
        self.json("/status")
    }

    pub fn target(&self, id: &str) -> Result<Target> {
        let snapshot = self.status()?;
        let found = snapshot.targets.into_iter().find(|target| target.id == id);
        found.with_context(|| format!("no target {id} in the snapshot"))
    }

    /// One incident with its story.
    pub fn incident(&self, id: &str) -> Result<Incident> {
        self.json(&format!("/incidents/{id}"))
    }

    /// Newest first, one page, without their stories.
    pub fn incidents(&self) -> Result<Vec<Incident>> {
        #[derive(Deserialize)]
        struct Page {
            incidents: Vec<Incident>,
        }
        Ok(self.json::<Page>("/incidents")?.incidents)
    }

    pub fn operation(&self, id: &str) -> Result<Operation> {
        self.json(&format!("/operations/{id}"))
    }

    /// Waits for a snapshot that fits; on a miss the last one and the log are told.
    #[track_caller]
    pub fn wait_for(
        &self,
        what: &str,
        deadline: Duration,
        fits: impl Fn(&Snapshot) -> bool,
    ) -> Snapshot {
        let began = Instant::now();
        let mut last = None;
        while began.elapsed() < deadline {
            if let Ok(snapshot) = self.status() {
                if fits(&snapshot) {
                    return snapshot;
                }
                last = Some(snapshot);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("not within {deadline:?}: {what}\n{last:#?}\n{}", tail(&self.log(), 60));
    }

    /// [`Engine::wait_for`] one target.
    #[track_caller]
    pub fn wait_for_target(
        &self,
        id: &str,
        what: &str,
        deadline: Duration,
        fits: impl Fn(&Target) -> bool,
    ) -> Target {
        let snapshot = self.wait_for(&format!("{id}: {what}"), deadline, |snapshot| {
            snapshot.targets.iter().any(|target| target.id == id && fits(target))
        });
        let found = snapshot.targets.into_iter().find(|target| target.id == id);
        found.unwrap_or_else(|| panic!("{id} left the snapshot"))
    }

    /// Waits until an incident of that target is in that state; it comes with its story.
    #[track_caller]
    pub fn wait_for_incident(&self, target: &str, state: &str, deadline: Duration) -> Incident {
        let began = Instant::now();
        let mut last = Vec::new();
        while began.elapsed() < deadline {
            if let Ok(incidents) = self.incidents() {
                let found = incidents
                    .iter()
                    .find(|incident| incident.target == target && incident.state == state);
                // The one incident may come from the last snapshot, a moment older than the list.
                let whole = found.and_then(|found| self.incident(&found.id).ok());
                if let Some(whole) = whole.filter(|whole| whole.state == state) {
                    return whole;
                }
                last = incidents;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!(
            "not within {deadline:?}: an incident of {target} that is {state}\n{last:#?}\n{}",
            tail(&self.log(), 60)
        );
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the engine does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// SIGTERM, and how it ended.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        let mut child = self.child.take().context("the engine does not run")?;
        programs::send(child.id(), Signal::TERM)?;
        Ok(eventually("the engine's end after SIGTERM", Duration::from_secs(10), || {
            child.try_wait().ok().flatten()
        }))
    }

    /// How it ended, when it has by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok().flatten()
    }

    /// What the process has printed, and its own log files.
    pub fn log(&self) -> String {
        let mut text = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        let files = std::fs::read_dir(self.data().join("logs")).into_iter().flatten().flatten();
        for file in files {
            text.push_str(&std::fs::read_to_string(file.path()).unwrap_or_default());
        }
        text
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("output.log")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
