//! The real `mlx_lm.server` with a tiny random model.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{eventually, http, programs};

/// Installed once under Cargo's target directory (about 350 MB); gone when dropped, with whatever
/// the engine started in its place.
pub struct Mlx {
    installed: PathBuf,
    directory: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Mlx {
    /// Installed, not running.
    pub fn install() -> Result<Self> {
        let installed = programs::target_directory()?.join("mlx");
        programs::run(Command::new(script()).arg("install").arg(&installed))?;
        Ok(Self {
            installed,
            directory: tempfile::Builder::new().prefix("mlx-").tempdir()?,
            port: programs::free_port()?,
            child: None,
        })
    }

    /// Installed, running and answering.
    pub fn start() -> Result<Self> {
        let mut mlx = Self::install()?;
        mlx.serve()?;
        mlx.await_answer();
        Ok(mlx)
    }

    /// The server that this starts can be [sabotaged](Mlx::sabotage); one that the engine starts in
    /// its place can not.
    pub fn serve(&mut self) -> Result<()> {
        let log = File::options().append(true).create(true).open(self.log_file())?;
        let command = self.command();
        let (program, arguments) = command.split_first().context("an empty command")?;
        let child = Command::new(program)
            .args(arguments)
            .env("MLX_SABOTAGE", self.sabotage_file())
            .env("PYTHONPATH", script().with_file_name("mlx-sabotage"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits for `GET /health`: importing MLX takes some seconds.
    pub fn await_answer(&self) {
        let url = format!("{}/health", self.url());
        let client = http::client(Duration::from_secs(2));
        eventually(&format!("an answer of {url}"), Duration::from_mins(1), || {
            client.get(&url).send().ok()?.status().is_success().then_some(())
        });
    }

    /// Ends the thread that generates: `/health` says 503 from then on (FACTS B.1).
    pub fn sabotage(&self) -> Result<()> {
        Ok(std::fs::write(self.sabotage_file(), "")?)
    }

    /// What starts it: for `[mlx] launch`.
    pub fn command(&self) -> Vec<String> {
        let text = |path: &Path| path.display().to_string();
        vec![
            text(&script()),
            "run".into(),
            text(&self.installed),
            self.port.to_string(),
            text(&self.directory.path().join("pids")),
        ]
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Every server started on this port that still runs.
    pub fn running(&self) -> Vec<u32> {
        let text = std::fs::read_to_string(self.directory.path().join("pids")).unwrap_or_default();
        let pids = text.lines().filter_map(|line| line.parse().ok());
        pids.filter(|pid| programs::is_alive(*pid)).collect()
    }

    /// `kill -9` of every server that runs on this port.
    pub fn kill(&mut self) {
        let mark = self.directory.path().display().to_string();
        for pid in self.running() {
            programs::end_own(pid, &mark);
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// What the child that the test started has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn sabotage_file(&self) -> PathBuf {
        self.directory.path().join("sabotage")
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }
}

impl Drop for Mlx {
    fn drop(&mut self) {
        self.kill();
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("real/mlx-server")
}
