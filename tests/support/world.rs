//! A virtual world for the doctor: what is watched, four clocks that can be moved apart, and hands
//! that carry out orders. A month passes in a second, and the same seed gives the same tale.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use doctor::{
    Answer, Asker, Awake, Boot, Continuous, Doctor, Entry, Event, HostSeen, Incident, Ledger,
    LedgerFound, Look, MemoryGroup, Notice, Now, Order, Outcome, Policy, RemedyRecord, Reply, Spec,
    TargetId, Tell, Treatment, Wall, Wish,
};

#[path = "world/asked.rs"]
mod asked;
#[path = "world/audit.rs"]
pub mod audit;
#[path = "world/containers.rs"]
pub mod containers;
#[path = "world/disturbed.rs"]
pub mod disturbed;
#[path = "world/explained.rs"]
pub mod explained;
#[path = "world/given.rs"]
pub mod given;
#[path = "world/happen.rs"]
pub mod happen;
#[path = "world/held.rs"]
mod held;
#[path = "world/models.rs"]
mod models;
#[path = "world/noise.rs"]
pub mod noise;
#[path = "world/notices.rs"]
pub mod notices;
#[path = "world/said.rs"]
pub mod said;
#[path = "world/script.rs"]
pub mod script;
#[path = "world/servers.rs"]
pub mod servers;
#[path = "world/signs.rs"]
pub mod signs;
#[path = "world/tale.rs"]
pub mod tale;

use audit::Audit;
use containers::{Container, Engine, Service};
use noise::Noise;
use said::Said;
use servers::Server;
use tale::Tale;

/// Wall time at the start of every story: 2026-09-01 08:00 UTC, in milliseconds.
const WALL: i64 = 1_788_249_600_000;
/// What the engine's clock and the wall clock share at the start.
const ENGINE_CLOCK: i64 = WALL;
const RECORD: u64 = 2;

/// Everything there is, and the doctor in its middle.
#[allow(clippy::struct_excessive_bools, reason = "each is a trait of its own")]
pub struct World {
    pub doctor: Doctor,
    pub roster: Vec<Spec>,
    pub ollama: Option<Server>,
    pub mlx: Option<Server>,
    pub engine: Engine,
    pub containers: BTreeMap<String, Container>,
    pub services: BTreeMap<String, Service>,
    pub host: HostSeen,
    pub disk_full: bool,
    /// There is no notification daemon.
    pub notices_fail: bool,
    /// What reached the disk last.
    pub ledger: Option<Ledger>,
    /// When it was written, in the time of the story.
    written: u64,
    /// Every incident as it was last written down.
    pub journal: BTreeMap<String, Incident>,
    pub tale: Tale,
    pub audit: Audit,
    /// What was said, where somebody listens.
    pub said: Option<Said>,
    /// Whether every event is audited; benchmarks of the doctor alone leave it out.
    pub watched: bool,
    /// Whether the tale is written; a month of it is read by nobody.
    pub telling: bool,
    /// Looks that fail though nothing is wrong.
    pub noise: Option<Noise>,
    /// What the coming looks at a target bring, whatever there is.
    pub foretold: BTreeMap<TargetId, VecDeque<Option<Reply>>>,
    /// Nothing can be asked, for a reason of our own.
    pub blind: bool,
    /// A remedy of what is well is a failure of the test.
    pub strict: bool,
    /// Every notice, with the story's time.
    pub notices: Vec<(u64, Notice)>,
    /// Every event that the doctor was told, where somebody wants to tell it again.
    pub heard: Option<Vec<(Event, Now)>>,
    /// Every look that was ordered, where somebody counts them.
    pub looks: Option<Vec<Look>>,
    /// Every remedy as it was written down, where somebody reads them.
    pub remedies: Option<Vec<RemedyRecord>>,
    /// Every treatment that was ordered, with the awake time of the order.
    pub treatments: Vec<(Now, Treatment)>,
    /// Where the app is ended and started again, once.
    pub cut: Option<Cut>,
    /// How many records were ordered.
    pub records: u64,
    /// The numbers that the next doctor begins with.
    pub policy: Policy,
    /// What the running doctor's dice were made from.
    pub doctor_seed: u64,
    clocks: Clocks,
    pending: BTreeMap<(u64, u64), Pending>,
    counter: u64,
    seed: u64,
    next_pid: u32,
    tickets: u64,
}

/// `run` is the time that really passes awake; the clocks are made from it.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    run: u64,
    asleep: u64,
    /// Slept before the last boot.
    asleep_before: u64,
    since_boot: i64,
    wall_moved: i64,
    awake_back: u64,
    boot: u64,
}

/// The app is ended at this record, counted from one; what it ordered after that is never done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Before it reaches the disk.
    Before(u64),
    /// When it is on the disk, and nothing else of what was ordered with it has been done.
    After(u64),
    /// When all that was ordered with it is under way.
    AfterAll(u64),
}

enum Pending {
    Tell(Event),
    Then(Box<dyn FnOnce(&mut World) + Send>),
}

impl World {
    /// A machine that was booted an hour ago, with nothing on it yet.
    pub fn new(seed: u64) -> Self {
        let clocks = Clocks {
            run: 0,
            asleep: 0,
            asleep_before: 0,
            since_boot: 3_600_000,
            wall_moved: 0,
            awake_back: 0,
            boot: 1,
        };
        Self {
            doctor: Doctor::new(Policy::default(), Vec::new(), seed, clocks.now()),
            roster: Vec::new(),
            ollama: None,
            mlx: None,
            engine: Engine::default(),
            containers: BTreeMap::new(),
            services: BTreeMap::new(),
            host: calm_host(),
            disk_full: false,
            notices_fail: false,
            ledger: None,
            written: 0,
            journal: BTreeMap::new(),
            tale: Tale::default(),
            audit: Audit::default(),
            said: None,
            watched: true,
            telling: true,
            noise: None,
            foretold: BTreeMap::new(),
            blind: false,
            strict: false,
            notices: Vec::new(),
            heard: None,
            looks: None,
            remedies: None,
            treatments: Vec::new(),
            cut: None,
            records: 0,
            policy: disturbed::policy(),
            doctor_seed: seed,
            clocks,
            pending: BTreeMap::new(),
            counter: 0,
            seed,
            next_pid: 500,
            tickets: 0,
        }
    }

    /// How long before the story the machine was booted.
    pub fn booted(&mut self, before: Duration) {
        self.clocks.since_boot = i64::try_from(doctor::millis(before)).unwrap_or(i64::MAX);
    }

    /// Starts the doctor over this roster with what the ledger on disk says.
    pub fn begin(&mut self, found: LedgerFound) {
        let now = self.now();
        self.counter += 1;
        self.doctor_seed = self.seed.wrapping_mul(31).wrapping_add(self.counter);
        self.doctor = Doctor::new(self.policy.clone(), self.roster.clone(), self.doctor_seed, now);
        self.pending.retain(|_, pending| matches!(pending, Pending::Then(_)));
        self.tale.forget_doctor();
        let open: Vec<Incident> =
            self.journal.values().filter(|one| one.closed.is_none()).cloned().collect();
        self.audit.forget_doctor(&open);
        let known = matches!(found, LedgerFound::Good(_)) && self.ledger.is_some();
        self.tell(&Event::Restored { ledger: found, open });
        if self.engine.answers() {
            self.engine.stream = true;
            self.tell(&Event::DockerStream { connected: true });
            // What happened since the last record is told again.
            let since = if known { self.written } else { self.story_ms() };
            let told = self.engine.told.iter().filter(|(at, _)| *at >= since);
            let again: Vec<_> = told.map(|(_, news)| news.clone()).collect();
            for news in again {
                self.tell_later(20, Event::ContainerNews(news));
            }
        }
    }

    /// The app is told to end, as by a quit or a shutdown.
    pub fn quit(&mut self) {
        self.tell(&Event::Ending);
    }

    /// The app is ended at once and started again: what was not on disk is lost.
    pub fn relaunch(&mut self) {
        if self.disk_full {
            // What could not be written down is not known any more (fault 52).
            self.audit.forget_records();
            self.containers.values_mut().for_each(|one| one.held = false);
        }
        let found = self.ledger.clone().map_or(LedgerFound::None, LedgerFound::Good);
        self.begin(found);
    }

    /// The same, and what was on disk cannot be read (fault 54).
    pub fn relaunch_over_damage(&mut self) {
        self.audit.forget_records();
        self.containers.values_mut().for_each(|one| one.held = false);
        self.begin(LedgerFound::Damaged);
    }

    /// Everything stops and starts anew; `away` passes on the wall clock.
    pub fn reboot(&mut self, away: Duration) {
        self.clocks.boot += 1;
        self.clocks.run += doctor::millis(away);
        self.clocks.since_boot = 20_000 - self.clocks.passed();
        self.clocks.asleep_before = self.clocks.asleep;
        // Times of the awake clock before the boot mean nothing after it.
        self.audit = Audit::default();
        self.relaunch();
    }

    pub fn now(&self) -> Now {
        self.clocks.now()
    }

    /// Milliseconds since the story began, sleep included.
    pub fn story_ms(&self) -> u64 {
        self.clocks.run + self.clocks.asleep
    }

    /// The Docker engine's clock, which the stream's times are read on.
    pub fn engine_ms(&self) -> i64 {
        ENGINE_CLOCK + i64::try_from(self.story_ms()).unwrap_or(i64::MAX)
    }

    /// The machine sleeps: the awake clock stands, the others run on.
    pub fn sleep(&mut self, how_long: Duration) {
        self.clocks.asleep += doctor::millis(how_long);
    }

    pub fn move_wall(&mut self, milliseconds: i64) {
        self.clocks.wall_moved += milliseconds;
    }

    pub fn awake_goes_back(&mut self, how_far: Duration) {
        self.clocks.awake_back += doctor::millis(how_far);
    }

    pub fn new_pid(&mut self) -> u32 {
        self.next_pid += 1;
        self.next_pid
    }

    pub fn wish(&mut self, wish: Wish, by: Asker) {
        self.hold_ends(&wish, by);
        self.tickets += 1;
        let ticket = self.tickets;
        self.tell(&Event::Wished { ticket, wish, by, from: None });
    }

    /// Lets time pass until so many milliseconds after the story began.
    pub fn run_until(&mut self, story_ms: u64) {
        loop {
            let target = story_ms.saturating_sub(self.clocks.asleep).max(self.clocks.run);
            let wake = self.wake_at();
            let next = self.pending.keys().next().map(|(at, _)| *at);
            let at = next.map_or(wake, |next| next.min(wake));
            if at > target {
                self.clocks.run = target;
                return;
            }
            self.clocks.run = self.clocks.run.max(at);
            let due = self.pending.first_entry().filter(|entry| entry.key().0 <= at);
            match due.map(std::collections::btree_map::OccupiedEntry::remove) {
                Some(Pending::Tell(event)) => self.tell(&event),
                Some(Pending::Then(then)) => then(self),
                None => self.tell(&Event::Tick),
            }
        }
    }

    /// When the doctor wants to be woken, as run time; never in the past.
    fn wake_at(&self) -> u64 {
        let wake = self.doctor.next_wake().0;
        let behind = self.now().awake.0;
        self.clocks.run + wake.saturating_sub(behind)
    }

    pub fn later(&mut self, after_ms: u64, then: impl FnOnce(&mut World) + Send + 'static) {
        self.counter += 1;
        let key = (self.clocks.run + after_ms, self.counter);
        self.pending.insert(key, Pending::Then(Box::new(then)));
    }

    pub fn tell_later(&mut self, after_ms: u64, event: Event) {
        self.counter += 1;
        let key = (self.clocks.run + after_ms, self.counter);
        self.pending.insert(key, Pending::Tell(event));
    }

    /// Tells the doctor, and does what it orders.
    pub fn tell(&mut self, event: &Event) {
        let now = self.now();
        if let Some(heard) = &mut self.heard {
            heard.push((event.clone(), now));
        }
        let orders = self.doctor.handle(event.clone(), now);
        if self.watched {
            let story = self.story_ms();
            self.audit.check(&self.doctor, event, &orders, now, story);
            self.held_stay_down(&orders);
        }
        if let Some(said) = &mut self.said {
            said.hear(&self.doctor, &orders);
        }
        let story = self.story_ms();
        let mut cut = false;
        if self.telling {
            self.tale.observe(story, &self.doctor);
        }
        for order in orders {
            // Nothing waits for a sample of memory.
            if matches!(&order, Order::Record(one) if matches!(one.entry, Some(Entry::Memory(_)))) {
                continue;
            }
            if matches!(order, Order::Record(_)) {
                self.records += 1;
                if self.cut == Some(Cut::Before(self.records)) {
                    cut = true;
                    break;
                }
            }
            if self.telling {
                self.tale.ordered(story, &order);
            }
            match order {
                Order::Look(look) => {
                    if let Some(looks) = &mut self.looks {
                        looks.push(look.clone());
                    }
                    self.look(&look);
                }
                Order::Treat(treatment) => {
                    if self.strict {
                        self.is_needed(&treatment);
                    }
                    self.treatments.push((now, treatment.clone()));
                    self.treat(treatment);
                }
                Order::Record(record) => {
                    if let (Some(remedies), Some(Entry::Remedy(remedy))) =
                        (&mut self.remedies, &record.entry)
                    {
                        remedies.push(remedy.clone());
                    }
                    let event = if self.disk_full {
                        let reason = "no space left on device".into();
                        Event::RecordFailed { record: record.id, reason }
                    } else {
                        if let Some(Entry::Incident(incident)) = record.entry {
                            self.journal.insert(incident.id.clone(), incident);
                        }
                        if let Some(ledger) = record.ledger {
                            self.ledger = Some(ledger);
                            self.written = story;
                        }
                        Event::Recorded { record: record.id }
                    };
                    self.tell_later(RECORD, event);
                    if self.cut == Some(Cut::After(self.records)) {
                        cut = true;
                        break;
                    }
                    cut |= self.cut == Some(Cut::AfterAll(self.records));
                }
                Order::Tell(Tell::Notice(notice)) => {
                    if self.notices_fail {
                        let event = Event::NoticeFailed { notice: notice.id };
                        self.tell_later(20, event);
                    }
                    self.notices.push((story, notice));
                }
                Order::Tell(Tell::Answer { .. }) => {}
            }
        }
        if cut {
            self.cut = None;
            self.relaunch();
        }
    }

    pub fn report(&mut self, after_ms: u64, step: doctor::StepId, outcome: Outcome) {
        self.tell_later(after_ms, Event::Treated { step, outcome });
    }

    pub fn run_ms(&self) -> u64 {
        self.clocks.run
    }

    /// Pressure level, memory in use and swap in use, in GB of 64 GB and 16 GB.
    pub fn memory(&mut self, pressure: u8, swap_gb: u64) {
        const GB: u64 = 1 << 30;
        self.host.pressure = pressure;
        self.host.swap_used_bytes = swap_gb * GB;
        self.host.available_bytes = match pressure {
            1 => 40 * GB,
            2 => 6 * GB,
            _ => GB,
        };
    }
}

impl Clocks {
    fn now(&self) -> Now {
        let up = u64::try_from(self.since_boot + self.passed()).unwrap_or(0);
        let slept = self.asleep - self.asleep_before;
        Now {
            awake: Awake(up.saturating_sub(slept).saturating_sub(self.awake_back)),
            continuous: Continuous(up),
            wall: Wall(WALL + self.passed() + self.wall_moved),
            boot: Boot(self.boot),
        }
    }

    fn passed(&self) -> i64 {
        i64::try_from(self.run + self.asleep).unwrap_or(i64::MAX)
    }
}

fn calm_host() -> HostSeen {
    const GB: u64 = 1 << 30;
    HostSeen {
        memory_bytes: 64 * GB,
        available_bytes: 40 * GB,
        pressure: 1,
        swap_total_bytes: 16 * GB,
        swap_used_bytes: 0,
        load_percent: 20,
        gpu_limit: None,
        ledger: Some(vec![
            MemoryGroup { name: "python".into(), bytes: 16 * GB, processes: 9 },
            MemoryGroup { name: "ollama".into(), bytes: 12 * GB, processes: 2 },
            MemoryGroup { name: "docker".into(), bytes: 6 * GB, processes: 3 },
        ]),
        volumes: Vec::new(),
        ended: Vec::new(),
    }
}

/// One HTTP answer.
pub fn answer(url: &str, reply: Reply, took_ms: u64) -> Answer {
    Answer { url: url.into(), reply, took_ms }
}
