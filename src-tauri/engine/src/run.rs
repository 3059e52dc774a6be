//! The loop: wait for the doctor's time or an event, hand it over, carry out its orders, publish.

mod application;
mod handover;
mod records;
mod settings;
mod surroundings;
mod watchdog;

pub use settings::language;

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use application::Application;
use doctor::{
    Doctor, Event, LedgerFound, Look, Observation, Order, Outcome, Policy, Record, Response,
    Sentence, Tell, Ticket, Timing, Treatment,
};
use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::MissedTickBehavior;

use self::handover::Handovers;
use self::records::Records;
use crate::api::{self, Token};
use crate::config::Config;
use crate::environments::Environments;
use crate::handle::{Asked, Ends, Gate, Handle, Restarts};
use crate::hands::Hands;
use crate::journal::Journal;
use crate::ledger::LedgerFile;
use crate::paths::{Lock, LockError, Paths};
use crate::picture::{self, Frame};
use crate::platform::{self, Power};
use crate::probe;
use crate::senses::Senses;
use crate::view::{NoticeView, Summary};
use crate::words::{Words, rfc3339};
use crate::{clock, config, log, view};

/// Where to read and write; what is not given comes from the environment, then from the platform.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub config: Option<PathBuf>,
    pub data: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "Homeostat is running already with this data directory{}; quit it first, or give another \
         one with --data",
        .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    )]
    AlreadyRunning { pid: Option<u32> },
    #[error("the data directory {} can't be used: {reason}", .directory.display())]
    Data { directory: PathBuf, reason: String },
}

/// A running engine. Dropping it stops nothing in order: call [`Engine::stop`].
pub struct Engine {
    pub handle: Handle,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    _lock: Lock,
}

impl Engine {
    /// Ends the loop and the API; the servers that it started go on.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(Duration::from_secs(5), self.task).await.is_err() {
            tracing::warn!("the engine did not stop within 5 s");
        }
    }
}

/// Events that may wait; what is beyond is held back at its source.
const INBOX: usize = 1024;
/// At most five pictures a second.
const PUBLISH_EVERY: Duration = Duration::from_millis(200);
/// Between two attempts to write what waits for room on the disk.
const RETRY: Duration = Duration::from_secs(15);
/// Between two looks for other healers: what heals beside us is noticed before much is done.
const HEALERS: Duration = Duration::from_secs(10);
/// Between two rounds of tidying up.
const UPKEEP: Duration = Duration::from_mins(5);
const DAY: Duration = Duration::from_hours(24);

pub async fn start(options: Options) -> Result<Engine, StartError> {
    let environment = |name: &str| std::env::var(name).ok();
    let (paths, lock) = claim(options, &environment)?;
    log::to_files(&paths.logs());
    let mut messages = BTreeMap::new();
    let ran_before = paths.journal().exists();
    let (journal, problem) = Journal::open(&paths.journal());
    if let Some(problem) = problem {
        messages.insert("journal", problem);
    }
    // Before it is read: what is saved between the two would else be missed for good.
    let (saved, config_saved) = mpsc::channel(4);
    let beside = config::signatures_beside(&paths.config);
    let watches = [
        tokio::spawn(config::watch(beside, saved.clone())),
        tokio::spawn(config::watch(paths.config.clone(), saved)),
    ];
    let settings::First { config, problem, unread } = settings::first_config(&paths, &environment)
        .map_err(|reason| StartError::Data { directory: paths.data.clone(), reason })?;
    if let Some(problem) = problem {
        messages.insert("config", problem);
    }
    let words = Arc::new(Words::new(settings::language(&config, &environment)));
    let now = clock::now();
    let seed = now.wall.0.unsigned_abs() ^ (u64::from(std::process::id()) << 40);
    let policy = Policy { full_check: config.schedule.full_check, ..Policy::default() };
    let mut doctor = Doctor::new(policy, config.roster.clone(), seed, now);
    let ledger = LedgerFile::new(paths.ledger());
    let open = journal.open_incidents().unwrap_or_else(|error| {
        tracing::warn!(%error, "open incidents could not be read");
        Vec::new()
    });
    let found = ledger.load_beside(ran_before);
    let written = match &found {
        LedgerFound::Good(ledger) => Some(ledger.written),
        LedgerFound::None | LedgerFound::Damaged => None,
    };
    let mut orders = doctor.handle(Event::Restored { ledger: found, open }, now);
    if messages.contains_key("config") {
        orders.extend(doctor.handle(Event::Misconfigured, now));
    }
    orders.extend(doctor.handle(records::remembered(&journal, now.wall), now));
    let timings = journal.latest_timings().unwrap_or_default();
    let frame = Frame {
        words: &words,
        config: &config,
        timings: &timings,
        messages: Vec::new(),
        unread: unread.then(|| messages.get("config").cloned()).flatten(),
        takeover: None,
    };
    let first = picture::snapshot(&doctor, &frame);
    let (handle, ends) = Handle::new(first, journal.clone(), words.clone());
    let token = match Token::load_or_create(&paths.token()) {
        Ok(token) => Some(token),
        Err(error) => {
            messages.insert("token", error.to_string());
            None
        }
    };
    let (stop, stopping) = watch::channel(false);
    let (inbox, events) = mpsc::channel(INBOX);
    let environments = Arc::new(Environments::load(&paths.environments()));
    let away = written.map(|written| now.wall.since(written));
    let senses = Arc::new(Senses::new(&config, environments, None).told_of_ends(away));
    senses.store.reading().begin(paths.digests());
    let (records, writer) = Records::spawn_writer(journal.clone(), ledger, inbox.clone());
    let (handover, handed) = Handovers::new(&paths);
    let mut engine = Loop {
        doctor,
        config,
        words,
        senses,
        paths,
        ends,
        inbox,
        records: Some(records),
        writer: Some(writer),
        journal,
        timings,
        messages,
        unread,
        tickets: HashMap::new(),
        done: Vec::new(),
        next_ticket: 0,
        running: HashMap::new(),
        stream: None,
        application: Arc::default(),
        api: None,
        handle: handle.clone(),
        token,
        published: None,
        handover,
    };
    engine.serve().await;
    engine.follow_events(written);
    engine.carry_out(&mut orders);
    watchdog::watch(handle.pulse(), stopping.clone());
    let task = tokio::spawn(engine.run(events, handed, (config_saved, watches), stopping));
    Ok(Engine { handle, stop, task, _lock: lock })
}

/// The data directory for us alone.
fn claim(
    options: Options,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(Paths, Lock), StartError> {
    let unusable = |directory: PathBuf, reason: String| StartError::Data { directory, reason };
    let default = Paths { config: platform::config_file(), data: platform::data_directory() };
    let paths = Paths::choose(options.config, options.data, environment, default)
        .map_err(|error| unusable(PathBuf::from("."), error.to_string()))?;
    paths.prepare().map_err(|error| unusable(paths.data.clone(), error.to_string()))?;
    let lock = Lock::take(&paths.lock()).map_err(|error| match error {
        LockError::Held { pid } => StartError::AlreadyRunning { pid },
        LockError::Unusable { .. } => unusable(paths.data.clone(), error.to_string()),
    })?;
    Ok((paths, lock))
}

struct Loop {
    doctor: Doctor,
    config: Config,
    words: Arc<Words>,
    senses: Arc<Senses>,
    paths: Paths,
    ends: Ends,
    inbox: mpsc::Sender<Event>,
    /// None only at the end.
    records: Option<Records>,
    writer: Option<JoinHandle<()>>,
    journal: Journal,
    timings: Vec<Timing>,
    /// About Homeostat itself, by subject.
    messages: BTreeMap<&'static str, String>,
    /// Nothing of what a person configured is in force yet.
    unread: bool,
    tickets: HashMap<Ticket, oneshot::Sender<Response>>,
    /// Who is told that it is done when the picture that shows it is out.
    done: Vec<oneshot::Sender<Response>>,
    next_ticket: Ticket,
    /// Steps under way, so that a cancelled errand stops at once.
    running: HashMap<String, AbortHandle>,
    stream: Option<JoinHandle<()>>,
    application: Arc<Application>,
    api: Option<api::Serving>,
    handle: Handle,
    token: Option<Token>,
    published: Option<Instant>,
    handover: Handovers,
}

impl Loop {
    async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut handed: mpsc::Receiver<handover::News>,
        (mut config_saved, watches): (mpsc::Receiver<PathBuf>, [JoinHandle<()>; 2]),
        mut stopping: watch::Receiver<bool>,
    ) {
        let (power, mut slept) = mpsc::channel(8);
        let _activity = platform::keep_awake_activity();
        let power_watch = tokio::spawn(platform::watch_power(power));
        let mut upkeep = tokio::time::interval(UPKEEP);
        let mut retry = tokio::time::interval(RETRY);
        self.look_for_healers(true);
        let mut healers = tokio::time::interval(HEALERS);
        // After a long wait once is enough.
        healers.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_prune: Option<Instant> = None;
        let mut changed = true;
        // One receiver for all rounds: a fresh copy takes what it was born with for news.
        let mut opened = self.api.as_ref().map(api::Serving::changes);
        loop {
            self.beat();
            // News that never end must not keep the picture waiting.
            if changed && self.publish_in().is_zero() {
                self.publish();
                changed = false;
            }
            let due = self.doctor.next_wake();
            let now = clock::now();
            let wait = due.since(now.awake).min(doctor::LONGEST_WAIT);
            let publish_in = changed.then(|| self.publish_in());
            tokio::select! {
                biased;
                () = stopped(&mut stopping) => break,
                Some(event) = events.recv() => {
                    self.handle(event);
                    // What else is there is taken in one go, and drawn once.
                    for _ in 0..256 {
                        let Ok(event) = events.try_recv() else { break };
                        self.handle(event);
                    }
                    changed = true;
                }
                Some(asked) = self.ends.wishes.recv() => {
                    self.asked(asked);
                    changed = true;
                }
                Some(event) = self.ends.told.recv() => {
                    self.handle(event);
                    changed = true;
                }
                () = tokio::time::sleep(publish_in.unwrap_or(DAY)), if publish_in.is_some() => {
                    self.publish();
                    changed = false;
                }
                () = tokio::time::sleep(wait) => {
                    let late = clock::now().awake.since(due);
                    if late > Duration::from_secs(1) && wait < doctor::LONGEST_WAIT {
                        self.handle(Event::Late { by: late });
                    }
                    self.handle(Event::Tick);
                    changed = true;
                }
                Some(news) = slept.recv() => {
                    if news == Power::Woke {
                        self.senses.docker.kick();
                        self.handle(Event::Woke { slept: Duration::ZERO });
                        changed = true;
                    }
                }
                Some(_) = config_saved.recv() => {
                    self.reload().await;
                    self.look_for_healers(true);
                    // The API may have been opened anew.
                    opened = self.api.as_ref().map(api::Serving::changes);
                    changed = true;
                }
                () = door_changed(&mut opened) => {
                    self.note_api();
                    changed = true;
                }
                Some(what) = self.ends.handovers.recv() => {
                    self.hand_over(what);
                    changed = true;
                }
                Some(news) = handed.recv() => {
                    self.handed_over(news).await;
                    opened = self.api.as_ref().map(api::Serving::changes);
                    changed = true;
                }
                _ = retry.tick() => {
                    self.retry_journal();
                }
                _ = healers.tick() => self.look_for_healers(false),
                _ = upkeep.tick() => {
                    self.upkeep(&mut last_prune);
                    changed |= self.supervise_stream();
                }
            }
        }
        power_watch.abort();
        watches.iter().for_each(JoinHandle::abort);
        self.senses.store.reading().end();
        self.handle(Event::Ending);
        self.publish();
        self.close().await;
    }

    fn beat(&self) {
        let since = u64::try_from(self.ends.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.ends.heartbeat.store(since, Ordering::Relaxed);
    }

    fn handle(&mut self, event: Event) {
        self.forget_ended_healers();
        let mut orders = self.doctor.handle(event, clock::now());
        self.carry_out(&mut orders);
    }

    fn carry_out(&mut self, orders: &mut Vec<Order>) {
        for order in orders.drain(..) {
            match order {
                Order::Look(look) => self.look(look),
                Order::Treat(treatment) => self.treat(treatment),
                Order::Record(record) => self.record(record),
                Order::Tell(Tell::Notice(notice)) => {
                    let at = self.doctor.now().wall;
                    let notice = self.words.notice(&notice, at);
                    self.tell(notice);
                }
                Order::Tell(Tell::Answer { ticket, response }) => self.answer(ticket, response),
            }
        }
        self.drop_what_ended();
        self.set_gate();
    }

    /// Who hears "done" and looks must see it: such an answer waits for the next picture.
    fn answer(&mut self, ticket: Ticket, response: Response) {
        let Some(respond) = self.tickets.remove(&ticket) else { return };
        if response == Response::Done {
            self.done.push(respond);
        } else {
            // Whoever asked may have gone away meanwhile.
            let _ = respond.send(response);
        }
    }

    fn look(&self, look: Look) {
        let (senses, inbox) = (self.senses.clone(), self.inbox.clone());
        let application = self.application.clone();
        tokio::spawn(async move {
            let looking = AssertUnwindSafe(senses.look(&look)).catch_unwind();
            let observation = looking.await.unwrap_or_else(|_| {
                tracing::error!(target = %look.target, "a probe broke");
                Observation::Unasked { reason: "the probe itself broke; see the log".into() }
            });
            // Before a time-out is believed: are we the slow one? (R9)
            if probe::timed_out(&observation) {
                let took = probe::ourselves().await;
                let _ = inbox.send(Event::SelfProbed { took }).await;
            }
            application.watch(&observation, &inbox);
            // The loop has ended when nobody listens.
            let observation = Box::new(observation);
            let _ =
                inbox.send(Event::Looked { look: look.id, target: look.target, observation }).await;
        });
    }

    fn treat(&mut self, treatment: Treatment) {
        tracing::info!(target = %treatment.target, step = ?treatment.what, "treating");
        let inbox = self.inbox.clone();
        let hands = Hands {
            senses: self.senses.clone(),
            logs: self.paths.logs(),
            light: self.paths.light(),
            stopped_jobs: self.paths.stopped_jobs(),
            inbox: inbox.clone(),
        };
        let operation = treatment.step.operation.clone();
        let task = tokio::spawn(async move {
            let acting = AssertUnwindSafe(hands.carry_out(&treatment)).catch_unwind();
            let outcome = acting.await.unwrap_or_else(|_| {
                tracing::error!(step = ?treatment.what, "an action broke");
                Outcome::Failed {
                    reason: "the action itself broke; see the log".into(),
                    permanent: false,
                }
            });
            tracing::info!(step = ?treatment.what, ?outcome, "treated");
            let _ = inbox.send(Event::Treated { step: treatment.step, outcome }).await;
        });
        self.running.insert(operation, task.abort_handle());
    }

    /// An errand that was cancelled is broken off; a stop or a start never is (R24).
    fn drop_what_ended(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let running: Vec<String> = self
            .doctor
            .operations()
            .filter(|one| one.is_running())
            .map(|one| one.id.clone())
            .collect();
        let cancelled =
            self.doctor.operations().filter(|one| one.can_be_cancelled() && !one.is_running());
        for one in cancelled {
            if let Some(task) = self.running.get(&one.id) {
                task.abort();
            }
        }
        self.running.retain(|id, task| running.contains(id) && !task.is_finished());
    }

    fn record(&mut self, record: Record) {
        if let Some(doctor::Entry::Timing(timing)) = &record.entry {
            let same = |one: &Timing| one.server == timing.server && one.model == timing.model;
            self.timings.retain(|one| !same(one));
            self.timings.push(timing.clone());
        }
        if let Some(records) = &self.records {
            records.send(record);
        }
    }

    fn tell(&self, notice: NoticeView) {
        tracing::info!(kind = notice.kind, title = notice.title, "notice");
        if self.config.notifications.enabled {
            // Nobody may be listening: the snapshot and the journal tell it too.
            let _ = self.ends.notices.send(notice);
        }
    }

    fn tell_about_ourselves(&self, title: &str, body: &str) {
        self.tell(NoticeView {
            id: 0,
            kind: "ourselves".into(),
            target: "host".into(),
            cause: None,
            title: self.words.say(title),
            body: body.to_owned(),
            button: "show".into(),
            button_text: self.words.say("notice.show"),
            quiet: false,
            incident: None,
            at: rfc3339(clock::now().wall),
        });
    }

    fn asked(&mut self, asked: Asked) {
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        self.tickets.insert(ticket, asked.respond);
        self.handle(Event::Wished { ticket, wish: asked.wish, by: asked.by, from: asked.from });
    }

    // Publishing.

    fn publish_in(&self) -> Duration {
        self.published.map_or(Duration::ZERO, |last| PUBLISH_EVERY.saturating_sub(last.elapsed()))
    }

    fn publish(&mut self) {
        self.published = Some(Instant::now());
        let mut messages: Vec<String> = self.messages.values().cloned().collect();
        messages.extend(self.not_shown());
        messages.extend(self.journal.message().filter(|_| !self.messages.contains_key("journal")));
        let frame = Frame {
            words: &self.words,
            config: &self.config,
            timings: &self.timings,
            messages,
            unread: self.messages.get("config").filter(|_| self.unread).cloned(),
            takeover: self.handover.drawn(&self.words),
        };
        let snapshot = picture::snapshot(&self.doctor, &frame);
        let before = self.ends.snapshot.borrow().summary;
        if before != snapshot.summary {
            let word = view::word(&snapshot.summary);
            tracing::info!(summary = word, headline = snapshot.headline, "summary");
        }
        let counted =
            self.doctor.patients().map(|one| (one.spec.id.to_string(), one.account.restarted));
        let restarts: Restarts = counted.collect();
        if **self.ends.restarts.borrow() != restarts {
            self.ends.restarts.send_replace(Arc::new(restarts));
        }
        let busy = snapshot.summary == Summary::Healing || !snapshot.operations.is_empty();
        self.ends.snapshot.send_replace(Arc::new(snapshot));
        for respond in self.done.drain(..) {
            let _ = respond.send(Response::Done);
        }
        let operations = picture::operations(&self.doctor, &self.words);
        if busy || **self.ends.operations.borrow() != operations {
            self.ends.operations.send_replace(Arc::new(operations));
        }
    }

    /// What the desktop could not show is said where a person looks (fault 61).
    fn not_shown(&self) -> Option<String> {
        let count = u32::try_from(self.doctor.undelivered()).unwrap_or(u32::MAX);
        let says = Sentence::new("ourselves.not_shown").with("count", count);
        (count > 0).then(|| self.words.sentence(&says))
    }

    fn set_gate(&self) {
        let until = |id| picture::usable_for(&self.doctor, id).map(|left| Instant::now() + left);
        let has_models = self
            .doctor
            .patient(&doctor::TargetId::Ollama)
            .is_some_and(|ollama| !ollama.facts.models.is_empty());
        let ollama = until(&doctor::TargetId::Ollama).filter(|_| has_models);
        let gate = Gate {
            ollama_until: ollama,
            mlx_until: until(&doctor::TargetId::Mlx),
            embeddings_until: ollama,
            fallback: self.doctor.fallback(),
            calls: self.doctor.calls_lately(),
        };
        self.ends.gate.send_replace(gate);
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // The engine's owner being gone is an end as well.
    let _ = stopping.wait_for(|stop| *stop).await;
}

async fn door_changed(doors: &mut Option<watch::Receiver<api::Listening>>) {
    let told = match doors {
        Some(doors) => doors.changed().await.is_ok(),
        None => false,
    };
    if !told {
        std::future::pending::<()>().await;
    }
}
