//! A Docker engine on a unix socket that does what a real one won't do on demand.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::docker_host::Surroundings;
use engine::probe::docker::{Docker, Pace};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// Short, so that a deadline passes within a test.
pub(crate) const PACE: Pace = Pace {
    connect: Duration::from_secs(1),
    answer: Duration::from_millis(400),
    idle: Duration::from_millis(200),
    reconnect: Duration::from_millis(30),
    reconnect_at_most: Duration::from_millis(120),
    poll: Duration::from_millis(20),
};

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Fake {
    socket: PathBuf,
    folder: Option<tempfile::TempDir>,
    /// Every request line since the start, such as `GET /_ping`.
    calls: Arc<Mutex<Vec<String>>>,
    _served: JoinSet<()>,
}

impl Fake {
    /// `answer` gets the request's method and path with query, how many of just these came before,
    /// and the connection.
    pub(crate) fn start<F>(
        answer: impl Fn(String, usize, UnixStream) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let folder = tempfile::tempdir().unwrap();
        let mut fake = Self::at(&folder.path().join("docker.sock"), answer);
        fake.folder = Some(folder);
        fake
    }

    pub(crate) fn at<F>(
        socket: &Path,
        answer: impl Fn(String, usize, UnixStream) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(socket).unwrap();
        let calls = Arc::new(Mutex::new(Vec::<String>::new()));
        let log = Arc::clone(&calls);
        let mut served = JoinSet::new();
        served.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let Some(call) = head_of(&mut stream).await else { continue };
                let path = call.split('?').next().unwrap_or_default().to_owned();
                let before = {
                    let mut log = log.lock().unwrap();
                    log.push(call.clone());
                    log.iter().filter(|call| call.split('?').next() == Some(&path)).count() - 1
                };
                connections.spawn(answer(call, before, stream));
            }
        });
        Self { socket: socket.to_owned(), folder: None, calls, _served: served }
    }

    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    pub(crate) fn docker(&self) -> Docker {
        Docker::with_pace(self.host(), Surroundings::default(), PACE)
    }

    pub(crate) fn calls(&self, start: &str) -> Vec<String> {
        self.calls.lock().unwrap().iter().filter(|call| call.starts_with(start)).cloned().collect()
    }
}

async fn head_of(stream: &mut UnixStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut words = head.split(' ');
    Some(format!("{} {}", words.next()?, words.next()?))
}

pub(crate) async fn json(mut stream: UnixStream, status: u16, body: &str) {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let _ = stream.write_all(text.as_bytes()).await;
}

/// The head of an endless answer; what follows goes through [`chunk`].
pub(crate) async fn begin(stream: &mut UnixStream) {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let _ = stream.write_all(head.as_bytes()).await;
}

/// False when nobody reads any more.
pub(crate) async fn chunk(stream: &mut UnixStream, text: &str) -> bool {
    let chunk = format!("{:x}\r\n{text}\r\n", text.len());
    stream.write_all(chunk.as_bytes()).await.is_ok()
}

pub(crate) async fn for_ever(stream: UnixStream) {
    std::future::pending::<()>().await;
    drop(stream);
}

/// An event as the engine writes it, ending with a new line.
pub(crate) fn event(action: &str, name: &str, nanoseconds: i64) -> String {
    let event = serde_json::json!({
        "Type": "container",
        "Action": action,
        "Actor": {
            "ID": id(name),
            "Attributes": {
                "name": name, "exitCode": "137", "execDuration": "2", "signal": "15",
                "oldName": "/before",
                "image": "busybox:local", "com.docker.compose.project": "knowledge",
            },
        },
        "scope": "local",
        "time": nanoseconds / 1_000_000_000,
        "timeNano": nanoseconds,
    });
    format!("{event}\n")
}

/// What `inspect` answers, as far as we read it.
pub(crate) fn container(name: &str, status: &str, started: &str) -> serde_json::Value {
    serde_json::json!({
        "Id": id(name),
        "Name": format!("/{name}"),
        "Image": "sha256:0",
        "State": {
            "Status": status, "Running": status == "running", "OOMKilled": false, "ExitCode": 0,
            "StartedAt": started, "FinishedAt": "0001-01-01T00:00:00Z",
        },
        "RestartCount": 0,
        "HostConfig": {"Memory": 0, "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}},
        "Config": {"Image": "busybox:local", "Labels": {"homeostat.skip": "true"}, "StopTimeout": 0},
    })
}

pub(crate) fn id(name: &str) -> String {
    let number = name.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
    format!("{number:064x}")
}
