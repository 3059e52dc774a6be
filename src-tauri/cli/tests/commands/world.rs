//! A served API in this process, and the command as a process of its own.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doctor::{Asker, Response, Wish};
use engine::api::{ApiSettings, Listen, Serving, Token, serve};
use engine::handle::Handle;
use engine::journal::Journal;
use engine::view::{
    Intent, Memory, Operation, OperationState, OperationStep, Snapshot, State, Summary, Target, Why,
};
use engine::words::Words;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::watch;

/// No command in these tests may take longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) directory: TempDir,
    pub(crate) journal: Journal,
    pub(crate) snapshot: watch::Sender<Arc<Snapshot>>,
    pub(crate) operations: watch::Sender<Arc<Vec<Operation>>>,
    wishes: Arc<Mutex<Vec<(Wish, Asker)>>>,
    _serving: Serving,
    /// Held so that notices have somewhere to go, and the loop a heart.
    _rest: Box<dyn std::any::Any + Send>,
}

impl World {
    /// Accepts every wish as operation `op-1`.
    pub(crate) async fn new() -> Self {
        Self::answering(|_| Response::Accepted {
            operation: "op-1".into(),
            targets: vec![doctor::TargetId::Ollama],
        })
        .await
    }

    pub(crate) async fn answering(answers: fn(&Wish) -> Response) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let token = Token::load_or_create(&directory.path().join("token")).unwrap();
        let (journal, _) = Journal::open(&directory.path().join("journal.db"));
        let (handle, ends) = Handle::new(snapshot(), journal.clone(), Arc::new(Words::default()));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hearing = heard.clone();
        let mut inbox = ends.wishes;
        tokio::spawn(async move {
            while let Some(asked) = inbox.recv().await {
                let response = answers(&asked.wish);
                hearing.lock().unwrap().push((asked.wish, asked.by));
                let _ = asked.respond.send(response);
            }
        });
        let settings = ApiSettings {
            listen: Listen::Addresses(vec![([127, 0, 0, 1], 0).into()]),
            hosts: Vec::new(),
            recover_needs_token: false,
        };
        let file = directory.path().join("address");
        let serving = serve(handle, settings, token, file).await;
        Self {
            directory,
            journal,
            snapshot: ends.snapshot,
            operations: ends.operations,
            wishes: heard,
            _serving: serving,
            _rest: Box::new((ends.gate, ends.notices, ends.heartbeat)),
        }
    }

    pub(crate) fn wished(&self) -> Vec<(Wish, Asker)> {
        self.wishes.lock().unwrap().clone()
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        run(self.directory.path(), arguments).await
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        command(self.directory.path(), arguments)
    }
}

/// How a command ended and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) complaint: String,
}

impl Ended {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            complaint: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs the command with this data directory and nothing of our own environment.
pub(crate) async fn run(data: &Path, arguments: &[&str]) -> Ended {
    let output = tokio::time::timeout(DEADLINE, command(data, arguments).output());
    output.await.expect("the command took too long").unwrap().into()
}

fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homeostat"));
    command
        .args(arguments)
        .env_clear()
        .env("HOME", data)
        .env("HOMEOSTAT_DATA", data)
        .env("HOMEOSTAT_CONFIG", data.join("config.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Polls until it holds.
pub(crate) async fn eventually(mut holds: impl FnMut() -> bool) {
    let poll = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, poll).await.expect("it never came true");
}

pub(crate) fn operation(state: OperationState, steps: &[&str], text: &str) -> Operation {
    Operation {
        id: "op-1".into(),
        target: "ollama".into(),
        verb: "restart".into(),
        state,
        steps: steps
            .iter()
            .map(|step| OperationStep { at: "2026-01-31T12:00:00Z".into(), text: (*step).into() })
            .collect(),
        text: text.into(),
        done: None,
        of: None,
    }
}

pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        version: "0.1.0".into(),
        at: "2026-01-31T12:00:00Z".into(),
        summary: Summary::Well,
        headline: "Everything is well".into(),
        subline: "2 of 2 healthy".into(),
        targets: vec![target("ollama"), target("container:web")],
        models: Vec::new(),
        memory: Memory {
            total_bytes: 128 << 30,
            available_bytes: 50 << 30,
            pressure: 1,
            ..Memory::default()
        },
        incidents: Vec::new(),
        operations: Vec::new(),
        fallback: false,
        timings: Vec::new(),
        messages: Vec::new(),
        takeover: None,
        language: "en".into(),
    }
}

fn target(id: &str) -> Target {
    Target {
        id: id.into(),
        kind: id.split(':').next().unwrap_or_default().into(),
        name: id.into(),
        state: State::Healthy,
        since: "2026-01-31T11:00:00Z".into(),
        intent: Intent::Wanted,
        inhibited_by: None,
        cause: None,
        restarts_last_hour: 0,
        actions: vec!["restart".into()],
        line: "0.9.1 on 127.0.0.1:11434".into(),
        why: Why { rule: "R1".into(), text: "It answers".into(), ..Why::default() },
        found: true,
        detail: std::collections::BTreeMap::new(),
    }
}
