//! Loaded models: one child process each, reference counts, expiry (server/sched.go).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::catalogue::Model;
use super::control::{Control, NEVER};
use super::environment::Environment;
use super::log;

pub(crate) struct Runners {
    loaded: Mutex<HashMap<String, Arc<Runner>>>,
    /// One model loads at a time (sched.go `activeLoading`).
    load: tokio::sync::Mutex<()>,
    pending: AtomicUsize,
    environment: Arc<Environment>,
}

/// A loaded model.
pub(crate) struct Runner {
    pub(crate) model: Model,
    pub(crate) context: u64,
    /// `OLLAMA_NUM_PARALLEL` requests at once; others wait.
    pub(crate) slots: Semaphore,
    loaded_ms: i64,
    child: Mutex<Child>,
    life: Mutex<Life>,
    changed: Notify,
}

struct Life {
    requests: usize,
    keep_alive: Duration,
    /// None while a request runs.
    due: Option<Instant>,
    expires_at: Timestamp,
}

/// A request's hold on a runner.
pub(crate) struct Lease {
    pub(crate) runner: Arc<Runner>,
    /// How long the request waited for the model to be loaded.
    pub(crate) loaded_in: Duration,
}

/// Why there is no runner; the status and text of `handleScheduleError` (server/routes.go).
pub(crate) enum LoadError {
    QueueFull,
    Failed(String),
}

impl Runners {
    pub(crate) fn new(environment: Arc<Environment>) -> Arc<Self> {
        Arc::new(Self {
            loaded: Mutex::default(),
            load: tokio::sync::Mutex::new(()),
            pending: AtomicUsize::new(0),
            environment,
        })
    }

    /// Longest remaining time first (server/routes.go `PsHandler`).
    pub(crate) fn loaded(&self) -> Vec<(Arc<Runner>, Timestamp)> {
        let mut all: Vec<_> = lock(&self.loaded)
            .values()
            .map(|runner| (runner.clone(), lock(&runner.life).expires_at))
            .collect();
        all.sort_by_key(|(_, expires)| std::cmp::Reverse(*expires));
        all
    }

    /// The runner of this model, loaded first when it is not (sched.go `getRunner`).
    pub(crate) async fn lease(
        self: &Arc<Self>,
        model: &Model,
        keep_alive: Option<Duration>,
        context: Option<u64>,
    ) -> Result<Lease, LoadError> {
        let began = Instant::now();
        let context = context.unwrap_or(self.environment.context).min(model.context_length).max(4);
        if let Some(runner) = self.usable(&model.name, context) {
            return Ok(runner.lease(keep_alive, began));
        }
        if self.pending.fetch_add(1, Ordering::SeqCst) >= self.environment.max_queue {
            self.pending.fetch_sub(1, Ordering::SeqCst);
            return Err(LoadError::QueueFull);
        }
        let _pending = Pending(&self.pending);
        let _turn = self.load.lock().await;
        if let Some(runner) = self.usable(&model.name, context) {
            return Ok(runner.lease(keep_alive, began));
        }
        self.make_room(&model.name).await;
        let child = self.start(model, context).await.map_err(LoadError::Failed)?;
        let keep_alive = keep_alive.unwrap_or(self.environment.keep_alive);
        let runner = Arc::new(Runner {
            model: model.clone(),
            context,
            slots: Semaphore::new(self.environment.parallel),
            loaded_ms: Timestamp::now().as_millisecond(),
            child: Mutex::new(child),
            life: Mutex::new(Life {
                requests: 0,
                keep_alive,
                due: None,
                expires_at: after(keep_alive),
            }),
            changed: Notify::new(),
        });
        let count = {
            let mut loaded = lock(&self.loaded);
            loaded.insert(model.name.clone(), runner.clone());
            loaded.len()
        };
        log::info("sched.go:699", "loaded runners", &[("count", &count.to_string())]);
        let lease = runner.lease(Some(keep_alive), began);
        tokio::spawn(self.clone().retire(runner));
        Ok(lease)
    }

    /// Unloads it as soon as no request runs (sched.go `expireRunner`).
    pub(crate) fn expire(&self, name: &str) {
        if let Some(runner) = lock(&self.loaded).get(name) {
            runner.expire();
        }
    }

    /// At the end of the server (sched.go `unloadAllRunners`).
    pub(crate) fn kill_all(&self) {
        for (_, runner) in lock(&self.loaded).drain() {
            let _ = lock(&runner.child).start_kill();
        }
    }

    /// Loaded, alive and with the context asked for (sched.go `needsReload`); one that is not is
    /// put aside.
    fn usable(&self, name: &str, context: u64) -> Option<Arc<Runner>> {
        let mut loaded = lock(&self.loaded);
        let runner = loaded.get(name)?.clone();
        if runner.is_alive() && runner.context == context {
            return Some(runner);
        }
        loaded.remove(name);
        let _ = lock(&runner.child).start_kill();
        runner.expire();
        None
    }

    /// Unloads the one that expires first until a further model may be loaded.
    async fn make_room(&self, coming: &str) {
        loop {
            let runner = {
                let loaded = lock(&self.loaded);
                if loaded.len() < self.environment.max_loaded || loaded.contains_key(coming) {
                    return;
                }
                let first = loaded.values().min_by_key(|runner| lock(&runner.life).expires_at);
                first.cloned()
            };
            if let Some(runner) = runner {
                runner.expire();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts the child and waits until it is ready (`llm/llama_server.go` `startLlamaServer`,
    /// `WaitUntilRunning`).
    async fn start(&self, model: &Model, context: u64) -> Result<Child, String> {
        let began = Instant::now();
        let failed = |error: std::io::Error| format!("error starting llama-server: {error}");
        let port = free_port().map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?.with_file_name("llama-server");
        let blob = self.environment.blob(model);
        let mut command = Command::new(&program);
        command
            .arg("--model")
            .arg(blob)
            .args(["--port", &port.to_string(), "--host", "127.0.0.1", "--no-webui", "--offline"])
            .args(["-c", &(context * self.environment.parallel as u64).to_string()])
            .args(["-np", &self.environment.parallel.to_string()])
            .env("FAKE_LLAMA_MEMORY", model.memory_bytes.to_string())
            .env("FAKE_LLAMA_LOAD_MS", model.load_ms.to_string())
            .stdin(Stdio::null())
            // A client that goes away while the model loads ends the load.
            .kill_on_drop(true);
        if let Some(message) = &model.load_error {
            command.env("FAKE_LLAMA_ERROR", message);
        }
        let words: Vec<_> = std::iter::once(program.as_os_str())
            .chain(command.as_std().get_args())
            .map(|word| word.to_string_lossy())
            .collect();
        log::info("llama_server.go:433", "starting llama-server", &[("cmd", &words.join(" "))]);
        let mut child = command.spawn().map_err(failed)?;
        log::info("llama_server.go:1297", "waiting for llama-server to start responding", &[]);
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                let status = status.code().map_or_else(
                    || "llama-server process has terminated".to_owned(),
                    |code| format!("llama-server process has terminated: exit status {code}"),
                );
                let message = match &model.load_error {
                    Some(last) => format!("{status}: {last}"),
                    None => status,
                };
                log::info("sched.go:632", "Load failed", &[("error", &message)]);
                return Err(message);
            }
            if is_ready(port).await {
                let took = began.elapsed().as_secs_f64();
                let message = format!("llama-server started in {took:.2} seconds");
                log::info("llama_server.go:1362", &message, &[]);
                return Ok(child);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Waits until the runner's time is over, then ends it (sched.go `processCompleted`).
    async fn retire(self: Arc<Self>, runner: Arc<Runner>) {
        loop {
            let due = lock(&runner.life).due;
            let Some(due) = due else {
                runner.changed.notified().await;
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = runner.changed.notified() => continue,
            }
            if lock(&runner.life).requests == 0 {
                break;
            }
        }
        {
            let mut loaded = lock(&self.loaded);
            if loaded.get(&runner.model.name).is_some_and(|own| Arc::ptr_eq(own, &runner)) {
                loaded.remove(&runner.model.name);
            }
        }
        let control = self.environment.control.read();
        if control.unload_ms == NEVER {
            // Never dropped: dropping would kill it.
            std::mem::forget(runner);
            return;
        }
        tokio::time::sleep(Duration::from_millis(control.unload_ms)).await;
        let _ = lock(&runner.child).start_kill();
    }
}

impl Runner {
    pub(crate) fn is_stuck(&self, control: &Control) -> bool {
        self.loaded_ms < control.stuck_before_ms
    }

    pub(crate) fn is_alive(&self) -> bool {
        matches!(lock(&self.child).try_wait(), Ok(None))
    }

    fn lease(self: &Arc<Self>, keep_alive: Option<Duration>, began: Instant) -> Lease {
        let mut life = lock(&self.life);
        life.requests += 1;
        life.due = None;
        if let Some(keep_alive) = keep_alive {
            life.keep_alive = keep_alive;
        }
        Lease { runner: self.clone(), loaded_in: began.elapsed() }
    }

    fn expire(&self) {
        let mut life = lock(&self.life);
        life.keep_alive = Duration::ZERO;
        life.expires_at = Timestamp::now();
        if life.requests == 0 {
            life.due = Some(Instant::now());
        }
        drop(life);
        self.changed.notify_one();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut life = lock(&self.runner.life);
        life.requests = life.requests.saturating_sub(1);
        if life.requests == 0 {
            life.expires_at = after(life.keep_alive);
            // A time that no clock can hold is for ever.
            life.due = Instant::now().checked_add(life.keep_alive);
        }
        drop(life);
        self.runner.changed.notify_one();
    }
}

struct Pending<'a>(&'a AtomicUsize);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A port that was free a moment ago (`llm/llama_server.go` asks the system in the same way).
pub(crate) fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn after(keep_alive: Duration) -> Timestamp {
    let span = SignedDuration::try_from(keep_alive).unwrap_or(SignedDuration::MAX);
    Timestamp::now().checked_add(span).unwrap_or(Timestamp::MAX)
}

/// `GET /health` of the runner: 503 while it loads, then 200.
async fn is_ready(port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await?;
        stream
            .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).await?;
        Ok::<_, std::io::Error>(head)
    };
    let answer = tokio::time::timeout(Duration::from_millis(200), ask).await;
    matches!(answer, Ok(Ok(head)) if head.ends_with(b" 200"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
