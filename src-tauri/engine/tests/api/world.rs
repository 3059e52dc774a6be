//! A served API, the loop's ends, and a client that speaks plain TCP.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doctor::{Asker, Response, Wish};
use engine::api::{ApiSettings, Listen, Serving, Token, serve};
use engine::handle::{Ends, Gate, Handle};
use engine::journal::Journal;
use engine::view::{
    Intent, Memory, Model, Operation, OperationState, Snapshot, State, Summary, Target, Why,
};
use engine::words::Words;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nothing in these tests may take longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) type Answers = fn(&Wish) -> Response;

pub(crate) struct World {
    pub(crate) directory: TempDir,
    pub(crate) serving: Serving,
    pub(crate) address: SocketAddr,
    pub(crate) token: Token,
    pub(crate) journal: Journal,
    pub(crate) snapshot: tokio::sync::watch::Sender<Arc<Snapshot>>,
    pub(crate) operations: tokio::sync::watch::Sender<Arc<Vec<Operation>>>,
    pub(crate) gate: tokio::sync::watch::Sender<Gate>,
    pub(crate) restarts: tokio::sync::watch::Sender<Arc<engine::handle::Restarts>>,
    pub(crate) notices: tokio::sync::broadcast::Sender<engine::view::NoticeView>,
    heartbeat: Arc<std::sync::atomic::AtomicU64>,
    /// What was wished for, and by whom.
    pub(crate) wishes: Arc<Mutex<Vec<(Wish, Asker)>>>,
    /// What the loop was told without an answer.
    pub(crate) told: tokio::sync::Mutex<tokio::sync::mpsc::Receiver<doctor::Event>>,
}

impl World {
    /// Every wish is accepted as operation `op-1` for Ollama.
    pub(crate) async fn new() -> Self {
        Self::answering(|_| Response::Accepted {
            operation: "op-1".into(),
            targets: vec![doctor::TargetId::Ollama],
        })
        .await
    }

    pub(crate) async fn answering(answers: Answers) -> Self {
        Self::with(answers, |settings| settings).await
    }

    pub(crate) async fn with(answers: Answers, change: fn(ApiSettings) -> ApiSettings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let token = Token::load_or_create(&directory.path().join("token")).unwrap();
        let (journal, _) = Journal::open(&directory.path().join("journal.db"));
        let (handle, ends) = Handle::new(snapshot(), journal.clone(), Arc::new(Words::default()));
        let Ends {
            mut wishes,
            snapshot,
            operations,
            gate,
            restarts,
            notices,
            heartbeat,
            began: _,
            told,
            handovers: _,
        } = ends;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hearing = heard.clone();
        tokio::spawn(async move {
            while let Some(asked) = wishes.recv().await {
                let response = answers(&asked.wish);
                hearing.lock().unwrap().push((asked.wish, asked.by));
                let _ = asked.respond.send(response);
            }
        });
        let settings = change(ApiSettings {
            listen: Listen::Addresses(vec![([127, 0, 0, 1], 0).into()]),
            hosts: vec!["studio.local".into()],
            recover_needs_token: false,
        });
        let file = directory.path().join("address");
        let serving = serve(handle, settings, token.clone(), file).await;
        let address = serving.addresses()[0];
        Self {
            directory,
            serving,
            address,
            token,
            journal,
            snapshot,
            operations,
            gate,
            restarts,
            notices,
            heartbeat,
            wishes: heard,
            told: tokio::sync::Mutex::new(told),
        }
    }

    pub(crate) fn beat(&self, at: Duration) {
        self.heartbeat.store(u64::try_from(at.as_millis()).unwrap(), Ordering::Relaxed);
    }

    pub(crate) fn wished(&self) -> Vec<(Wish, Asker)> {
        self.wishes.lock().unwrap().clone()
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Authorization: Bearer {}", self.token.expose())
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[], "").await
    }

    /// With the token and a JSON body.
    pub(crate) async fn act(&self, method: &str, path: &str, body: &str) -> Reply {
        self.ask(method, path, &[&self.bearer(), "Content-Type: application/json"], body).await
    }

    /// One request on its own connection.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> Reply {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|header| header.starts_with("Host:")) {
            write!(head, "Host: {}\r\n", self.address).unwrap();
        }
        for header in headers {
            write!(head, "{header}\r\n").unwrap();
        }
        if !body.is_empty() {
            write!(head, "Content-Length: {}\r\n", body.len()).unwrap();
        }
        self.raw(&format!("{head}\r\n{body}")).await
    }

    /// Exactly these bytes; then whatever comes until the connection closes.
    pub(crate) async fn raw(&self, bytes: &str) -> Reply {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        read(&mut stream).await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// An answer as it came; `status` is 0 when the connection was closed without one.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Asserts a problem document of this status.
    pub(crate) fn is_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(problem["title"].is_string() && problem["detail"].as_str().unwrap().len() > 10);
    }
}

pub(crate) async fn read(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    // A reset after the answer is no matter: what came before it counts.
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.unwrap();
    reply(&bytes)
}

pub(crate) fn reply(bytes: &[u8]) -> Reply {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Reply { status, head: head.into(), body: body.into() }
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

pub(crate) fn operation(verb: &str, state: OperationState) -> Operation {
    Operation {
        id: "op-1".into(),
        target: "ollama".into(),
        verb: verb.into(),
        state,
        steps: Vec::new(),
        text: "looked".into(),
        done: None,
        of: None,
    }
}

pub(crate) fn model(name: &str, gigabytes: u64, expires_in_s: Option<u64>, pinned: bool) -> Model {
    Model {
        server: "ollama".into(),
        name: name.into(),
        size_bytes: gigabytes * 1_000_000_000,
        vram_bytes: gigabytes * 1_000_000_000,
        context_length: 4096,
        expires_in_s,
        pinned,
        tokens_per_s: None,
    }
}

pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        version: "0.1.0".into(),
        at: "2026-01-31T12:00:00Z".into(),
        summary: Summary::Well,
        headline: "All is well".into(),
        subline: String::new(),
        targets: vec![target("ollama"), target("container:web")],
        models: Vec::new(),
        memory: Memory {
            total_bytes: 128_000_000_000,
            available_bytes: 50_000_000_000,
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
        kind: id.split(':').next().unwrap().into(),
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
        detail: [("latency_ms".to_owned(), Value::from(245))].into(),
    }
}
