//! A Docker engine that runs nothing: it speaks the engine's protocol on a unix socket, and tells of
//! containers and events whatever it is told to, also what a real one does on its worst days only.
//!
//! Where it matters it behaves as moby does: the last 256 events are kept and replayed from `since`,
//! each listener has room for 1024, and what a listener does not take within 100 ms is dropped
//! (moby `daemon/events/events.go`, `pkg/pubsub/publisher.go`).

mod container;
mod routes;
mod stream;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub use container::{Container, Health, Policy};
pub use stream::Delivery;
use stream::Stream;

/// Gone with its socket when it is dropped.
pub struct FakeDocker {
    directory: TempDir,
    shared: Arc<Shared>,
    /// None only while it is dropped.
    runtime: Option<Runtime>,
}

struct Shared {
    state: Mutex<State>,
    stream: Mutex<Stream>,
    /// Every question since the start, such as `GET /_ping`, without its query and API version.
    calls: Mutex<Vec<String>>,
}

#[derive(Default)]
struct State {
    containers: BTreeMap<String, Container>,
    /// Nothing is answered while this is set, nor refused: an engine that hangs.
    hangs: bool,
}

impl FakeDocker {
    pub fn start() -> Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let directory = tempfile::Builder::new().prefix("fake-docker-").tempdir()?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            stream: Mutex::default(),
            calls: Mutex::default(),
        });
        let fake = Self { directory, shared, runtime: Some(runtime) };
        fake.listen()?;
        Ok(fake)
    }

    /// For `[docker] host`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Adds containers that have run for an hour, without an event: as they are found at first.
    pub fn found(&self, containers: impl IntoIterator<Item = Container>) {
        let mut state = self.shared.state();
        for container in containers {
            state.containers.insert(container.name.clone(), container);
        }
    }

    /// Changes a container without a word.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Container)) {
        if let Some(container) = self.shared.state().containers.get_mut(name) {
            change(container);
        }
    }

    /// `docker run`.
    pub fn run(&self, container: Container) {
        let name = container.name.clone();
        self.found([container]);
        self.change(&name, Container::start);
        self.tell(&name, &["create", "start"]);
    }

    pub fn starts(&self, name: &str) {
        self.change(name, Container::start);
        self.tell(name, &["start"]);
    }

    /// Its main process ends with this code.
    pub fn ends(&self, name: &str, code: i64) {
        self.change(name, |container| container.end(code, false));
        self.tell(name, &["die"]);
    }

    /// Its limit ends it: `oom`, then `die`.
    pub fn runs_out_of_memory(&self, name: &str) {
        self.change(name, |container| container.end(137, true));
        self.tell(name, &["oom", "die"]);
    }

    /// `docker stop`, by whomever.
    pub fn is_stopped(&self, name: &str) {
        self.shared.stop(name);
    }

    /// Events about this container, in this order, however they are delivered now.
    pub fn tell(&self, name: &str, actions: &[&str]) {
        self.shared.tell(name, actions);
    }

    /// From now on events go out like this.
    pub fn deliver(&self, delivery: Delivery) {
        self.shared.stream().delivery = delivery;
    }

    /// Ends every stream; with half an event as its last bytes.
    pub fn break_off(&self) {
        self.shared.stream().break_off();
    }

    /// Nothing is answered any more, or all of it again.
    pub fn hang(&self, hangs: bool) {
        self.shared.state().hangs = hangs;
    }

    /// It goes away with its socket; containers and history stay.
    pub fn go(&mut self) {
        self.shared.stream().close();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let _ = std::fs::remove_file(self.socket());
    }

    pub fn come_back(&mut self) -> Result<()> {
        self.runtime = Some(
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?,
        );
        self.listen()
    }

    /// How many questions began like this, such as `GET /containers/`.
    pub fn asked(&self, start: &str) -> usize {
        let calls = self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().filter(|call| call.starts_with(start)).count()
    }

    pub fn forget_calls(&self) {
        self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Events that some listener did not take in time.
    pub fn dropped(&self) -> usize {
        self.shared.stream().dropped
    }

    pub fn is_running(&self, name: &str) -> bool {
        self.shared.state().containers.get(name).is_some_and(|one| one.status == "running")
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    fn listen(&self) -> Result<()> {
        let Some(runtime) = &self.runtime else { return Ok(()) };
        let _inside = runtime.enter();
        let listener = tokio::net::UnixListener::bind(self.socket())?;
        runtime.spawn(routes::serve(listener, self.shared.clone()));
        Ok(())
    }
}

impl Drop for FakeDocker {
    fn drop(&mut self) {
        self.go();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stream(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self, name: &str) {
        let mut runs = false;
        if let Some(container) = self.state().containers.get_mut(name) {
            runs = container.status == "running";
            container.end(143, false);
        }
        if runs {
            self.tell(name, &["kill", "die", "stop"]);
        }
    }

    fn start(&self, name: &str) {
        if let Some(container) = self.state().containers.get_mut(name) {
            container.start();
        }
        self.tell(name, &["start"]);
    }

    fn tell(&self, name: &str, actions: &[&str]) {
        let Some(container) = self.state().containers.get(name).cloned() else { return };
        self.stream().tell(&container, actions);
    }
}
