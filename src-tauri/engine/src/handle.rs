//! The way in for everyone outside the loop: read the snapshot, make a wish, hear notices.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use doctor::{Asker, Calls, Event, NoticeId, Response, Restarted, Sentence, Wish};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::audit::Audits;
use crate::docker_host::Surroundings;
use crate::journal::Journal;
use crate::probe::docker::Docker;
use crate::view::{NoticeView, Operation, OperationState, Snapshot};
use crate::words::Words;

/// Cheap to clone; all clones speak to the one loop.
#[derive(Clone)]
pub struct Handle {
    pub(crate) wishes: mpsc::Sender<Asked>,
    pub(crate) snapshot: watch::Receiver<Arc<Snapshot>>,
    pub(crate) operations: watch::Receiver<Arc<Vec<Operation>>>,
    pub(crate) gate: watch::Receiver<Gate>,
    pub(crate) restarts: watch::Receiver<Arc<Restarts>>,
    pub(crate) notices: broadcast::Sender<NoticeView>,
    pub(crate) told: mpsc::Sender<Event>,
    pub(crate) handovers: mpsc::Sender<Handover>,
    pub(crate) heartbeat: Arc<AtomicU64>,
    pub(crate) began: Instant,
    /// The Docker engine as it is configured now.
    docker: Arc<Mutex<Docker>>,
    pub(crate) audits: Arc<Audits>,
    pub journal: Journal,
    pub words: Arc<Words>,
}

/// All that were seen, by target.
pub type Restarts = BTreeMap<String, Restarted>;

/// A wish on its way to the loop, with the way back for its answer.
pub struct Asked {
    pub wish: Wish,
    pub by: Asker,
    /// Where it came from, when it came over the network.
    pub from: Option<IpAddr>,
    pub respond: oneshot::Sender<Response>,
}

/// What becomes of other healers, at a person's wish (C12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    TakeOver,
    GiveBack,
}

/// The other ends of a handle's channels: what the loop hears and where it publishes.
pub struct Ends {
    pub wishes: mpsc::Receiver<Asked>,
    pub snapshot: watch::Sender<Arc<Snapshot>>,
    pub operations: watch::Sender<Arc<Vec<Operation>>>,
    pub gate: watch::Sender<Gate>,
    pub restarts: watch::Sender<Arc<Restarts>>,
    pub notices: broadcast::Sender<NoticeView>,
    /// What the loop is told and answers nobody.
    pub told: mpsc::Receiver<Event>,
    pub handovers: mpsc::Receiver<Handover>,
    /// Milliseconds since `began` at the loop's last turn.
    pub heartbeat: Arc<AtomicU64>,
    pub began: Instant,
}

/// Until when each answer of `GET /llm` stays true; kept as instants so that a stopped loop
/// cannot leave a stale "yes" behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    pub ollama_until: Option<Instant>,
    pub mlx_until: Option<Instant>,
    pub embeddings_until: Option<Instant>,
    pub fallback: bool,
    /// Of agents, within the last hour.
    pub calls: Calls,
}

impl Handle {
    /// A handle and the ends that its loop holds; `first` is seen until the loop publishes.
    pub fn new(first: Snapshot, journal: Journal, words: Arc<Words>) -> (Self, Ends) {
        let (wishes, inbox) = mpsc::channel(64);
        let (snapshot_sender, snapshot) = watch::channel(Arc::new(first));
        let (operations_sender, operations) = watch::channel(Arc::default());
        let (gate_sender, gate) = watch::channel(Gate::default());
        let (restarts_sender, restarts) = watch::channel(Arc::default());
        let (notices, _) = broadcast::channel(64);
        let (told, reports) = mpsc::channel(64);
        let (handovers, handed) = mpsc::channel(4);
        let heartbeat = Arc::new(AtomicU64::new(0));
        let began = Instant::now();
        let ends = Ends {
            wishes: inbox,
            snapshot: snapshot_sender,
            operations: operations_sender,
            gate: gate_sender,
            restarts: restarts_sender,
            notices: notices.clone(),
            told: reports,
            handovers: handed,
            heartbeat: heartbeat.clone(),
            began,
        };
        (
            Self {
                wishes,
                snapshot,
                operations,
                gate,
                restarts,
                notices,
                told,
                handovers,
                heartbeat,
                began,
                docker: Arc::new(Mutex::new(Docker::new("auto", Surroundings::of_this_process()))),
                audits: Arc::default(),
                journal,
                words,
            },
            ends,
        )
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// Wakes at every new snapshot; the latest wins.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// The Docker engine that is watched.
    pub fn docker(&self) -> Docker {
        self.docker.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_docker(&self, docker: Docker) {
        *self.docker.lock().unwrap_or_else(PoisonError::into_inner) = docker;
    }

    /// Every notice from now on.
    pub fn notices(&self) -> broadcast::Receiver<NoticeView> {
        self.notices.subscribe()
    }

    /// The notice of this id could not be shown: it counts as not told, and comes again later.
    pub fn notice_failed(&self, id: NoticeId) {
        // Never waits: with so many failures waiting already, one more tells nothing new.
        let _ = self.told.try_send(Event::NoticeFailed { notice: id });
    }

    /// Agents made these calls to language models.
    pub async fn called(&self, calls: Calls) {
        // A loop that has ended counts no calls.
        let _ = self.told.send(Event::Called(calls)).await;
    }

    pub fn restarts(&self) -> Arc<Restarts> {
        self.restarts.borrow().clone()
    }

    pub fn gate(&self) -> Gate {
        *self.gate.borrow()
    }

    /// Running operations and the last ones that ended, newest last.
    pub fn operations(&self) -> Arc<Vec<Operation>> {
        self.operations.borrow().clone()
    }

    pub fn operation(&self, id: &str) -> Option<Operation> {
        self.operations().iter().find(|operation| operation.id == id).cloned()
    }

    /// Waits until the operation is no longer running; what it is then, or when the time is up.
    pub async fn operation_end(&self, id: &str, within: Duration) -> Option<Operation> {
        let mut operations = self.operations.clone();
        let ended = operations.wait_for(|all| {
            all.iter()
                .any(|operation| operation.id == id && operation.state != OperationState::Running)
        });
        let _ = tokio::time::timeout(within, ended).await;
        self.operation(id)
    }

    /// Asks for something; the answer comes at once, what it leads to is an operation.
    pub async fn wish(&self, wish: Wish, by: Asker) -> Response {
        self.wish_from(wish, by, None).await
    }

    /// … that came over the network from this address.
    pub async fn wish_from(&self, wish: Wish, by: Asker, from: Option<IpAddr>) -> Response {
        let (respond, response) = oneshot::channel();
        let stopped = || Response::NotNow(Sentence::new("ourselves.stopping"));
        if self.wishes.send(Asked { wish, by, from, respond }).await.is_err() {
            return stopped();
        }
        response.await.unwrap_or_else(|_| stopped())
    }

    /// Asks for it; the snapshot tells how it goes. False: so much is asked for already.
    pub fn hand_over(&self, what: Handover) -> bool {
        self.handovers.try_send(what).is_ok()
    }

    /// How long the loop has not come round; it comes round at least every 30 s.
    pub fn silent_for(&self) -> Duration {
        self.pulse().silent_for()
    }

    /// What the loop's silence is read from, and nothing else: it keeps no journal open.
    pub(crate) fn pulse(&self) -> Pulse {
        Pulse { heartbeat: self.heartbeat.clone(), began: self.began }
    }
}

/// When the loop last came round.
pub(crate) struct Pulse {
    heartbeat: Arc<AtomicU64>,
    began: Instant,
}

impl Pulse {
    pub(crate) fn silent_for(&self) -> Duration {
        let beat = Duration::from_millis(self.heartbeat.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(beat)
    }
}
