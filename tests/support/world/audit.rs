//! What must hold after every single event, in every story and every random sequence (P1 to P15).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use doctor::{
    Asker, Awake, Boot, Care, Continuous, Doctor, Effect, Entry, Event, Incident, Intent,
    LONGEST_WAIT, LookId, Now, Operation, OperationId, Order, Phase, RemedyResult, RestartedBy,
    Step, TargetId, Verb, Wish,
};

use super::notices::Notices;

/// Longer than any operation may take: three attempts with all their waits.
const LONGEST_OPERATION_S: u64 = 30 * 60;

/// What is given up waits no longer than this for the incident that tells of it.
const UNTOLD: Duration = Duration::from_secs(30);

/// Remembers what it saw before each event.
#[derive(Default)]
pub struct Audit {
    phases: BTreeMap<TargetId, &'static str>,
    results: BTreeMap<OperationId, Option<RemedyResult>>,
    /// When the last attempt that did something ended.
    ended: BTreeMap<TargetId, (Boot, Continuous)>,
    /// When the half-open trial of what is given up is due.
    trials: BTreeMap<TargetId, Option<Continuous>>,
    /// When each look was ordered.
    looks: BTreeMap<LookId, Awake>,
    /// When something was last started or stopped there.
    acted: BTreeMap<TargetId, Awake>,
    /// Automatic restarts, in the story's time: relaunches and boots do not make them undone (P14).
    restarts: BTreeMap<TargetId, VecDeque<u64>>,
    /// What is given up and stands in no open incident, since when.
    untold: BTreeMap<TargetId, Awake>,
    notices: Notices,
    looks_since_wake: BTreeMap<TargetId, u32>,
    was_waking: bool,
    ticks: (u64, u32),
    /// Whether what each target says of itself is audited too.
    pub explained: Option<super::explained::Explained>,
}

impl Audit {
    /// A new doctor begins.
    pub fn forget_doctor(&mut self, open: &[Incident]) {
        self.notices.forget_doctor(open);
        let explained = self.explained.as_ref().map(|_| super::explained::Explained::default());
        *self = Self {
            ended: std::mem::take(&mut self.ended),
            restarts: std::mem::take(&mut self.restarts),
            notices: std::mem::take(&mut self.notices),
            explained,
            ..Self::default()
        };
    }

    /// Nothing reached the disk lately, so the next doctor cannot know of it.
    pub fn forget_records(&mut self) {
        self.ended.clear();
        self.restarts.clear();
        self.notices = Notices::default();
    }

    /// Panics with what does not hold.
    pub fn check(
        &mut self,
        doctor: &Doctor,
        event: &Event,
        orders: &[Order],
        now: Now,
        story_ms: u64,
    ) {
        self.wakes(doctor, event, now);
        self.operations(doctor, orders, now);
        starts(doctor, orders);
        self.phases(doctor, event);
        self.ordered(doctor, orders, story_ms);
        self.notices.check(doctor, orders, now.continuous);
        bounds(doctor, orders);
        self.told(doctor);
        if let Some(explained) = &mut self.explained {
            explained.check(doctor, event, orders);
        }
        if let Event::Looked { look, .. } = event {
            self.looks.remove(look);
        }
    }

    /// R49, R53: what was given up, and is wanted, stands in an incident that is open, or will as soon as
    /// it is known whether it is part of a storm.
    fn told(&mut self, doctor: &Doctor) {
        let open: Vec<&Incident> = doctor
            .patients()
            .filter_map(|patient| patient.incident.as_ref())
            .filter(|incident| incident.closed.is_none())
            .collect();
        let now = doctor.now().awake;
        let mut untold = BTreeMap::new();
        for patient in doctor.patients() {
            let id = &patient.spec.id;
            let needs_you = matches!(patient.phase, Phase::GivenUp { .. })
                && patient.account.intent == Intent::Wanted
                && patient.inhibited_by.is_none();
            let stands = |one: &&Incident| one.target == *id || one.affects.contains(id);
            if needs_you && !open.iter().any(stands) {
                let since = self.untold.remove(id).unwrap_or(now);
                let lasts = now.since(since);
                assert!(lasts < UNTOLD, "R53: {id} is given up, and no incident tells of it");
                untold.insert(id.clone(), since);
            }
        }
        self.untold = untold;
    }

    /// Remembers looks and acts; P2, P14: six automatic restarts in any hour, whatever happens to us.
    fn ordered(&mut self, doctor: &Doctor, orders: &[Order], story_ms: u64) {
        const HOUR_MS: u64 = 3_600_000;
        for order in orders {
            match order {
                Order::Look(look) => {
                    self.looks.insert(look.id, doctor.now().awake);
                }
                Order::Treat(treatment)
                    if !matches!(treatment.what, Step::FindListener | Step::FindCopies) =>
                {
                    let errand =
                        matches!(treatment.what, Step::Unload { .. } | Step::Measure { .. });
                    if !errand {
                        self.acted.insert(treatment.target.clone(), doctor.now().awake);
                    }
                }
                Order::Record(record) => {
                    let Some(Entry::Restart(restart)) = &record.entry else { continue };
                    if restart.by != RestartedBy::Us {
                        continue;
                    }
                    let restarts = self.restarts.entry(restart.target.clone()).or_default();
                    restarts.push_back(story_ms);
                    restarts.retain(|at| story_ms.saturating_sub(*at) < HOUR_MS);
                    let count = restarts.len();
                    assert!(count <= 6, "P2: {count} restarts of {} in an hour", restart.target);
                }
                Order::Treat(_) | Order::Tell(_) => {}
            }
        }
        assert!(self.looks.len() <= 10_000, "P15: looks that are never answered");
    }

    /// It is never woken in the past, never later than in 30 s, and does not spin.
    fn wakes(&mut self, doctor: &Doctor, event: &Event, now: Now) {
        let wake = doctor.next_wake();
        assert!(wake > now.awake, "next wake {wake:?} is not after {now:?}");
        assert!(wake <= now.awake + LONGEST_WAIT, "next wake {wake:?} is too far from {now:?}");
        if *event == Event::Tick {
            let second = now.continuous.0 / 1000;
            self.ticks =
                if self.ticks.0 == second { (second, self.ticks.1 + 1) } else { (second, 1) };
            assert!(self.ticks.1 < 200, "woken {} times within a second", self.ticks.1);
        }
    }

    fn operations(&mut self, doctor: &Doctor, orders: &[Order], now: Now) {
        let mut busy: Vec<&Operation> = Vec::new();
        // What has ended can only change with a record of it.
        let recorded = orders.iter().any(|order| matches!(order, Order::Record(_)));
        for operation in doctor.operations().filter(|one| recorded || one.is_running()) {
            let before = self.results.insert(operation.id.clone(), operation.result);
            if let Some(Some(result)) = before {
                assert_eq!(operation.result, Some(result), "P5: {} ended twice", operation.id);
            }
            let is_remedy = operation.is_remedy();
            // What was superseded has given its attempt back, or made way for a person.
            let ended =
                matches!(operation.result, Some(RemedyResult::Failed | RemedyResult::Verified));
            if ended && before == Some(None) && is_remedy {
                let at = (doctor.now().boot, doctor.now().continuous);
                self.ended.insert(operation.target.clone(), at);
            }
            if operation.is_running() {
                let age = now.awake.since(operation.began.awake).as_secs();
                assert!(age < LONGEST_OPERATION_S, "P5: {} runs for {age} s", operation.id);
                if is_remedy {
                    let same = busy.iter().any(|other| other.target == operation.target);
                    assert!(!same, "P13: two remedies of {}", operation.target);
                    let kin =
                        busy.iter().filter(|other| is_under_way(doctor, other)).find(|other| {
                            let (one, two) =
                                (container_of(doctor, other), container_of(doctor, operation));
                            let of_docker = |a: &TargetId, b: &TargetId| {
                                *a == TargetId::Docker && matches!(b, TargetId::Container(_))
                            };
                            one == two || of_docker(&one, &two) || of_docker(&two, &one)
                        });
                    assert!(
                        kin.is_none() || !is_under_way(doctor, operation),
                        "P1: {} is treated together with its parent or child",
                        operation.target
                    );
                    busy.push(operation);
                }
            }
        }
        // R62: the start of a container that has ended interrupts nothing, and needs not wait for the
        // answer of what was restarted before.
        let starts = busy.iter().any(|one| {
            one.verb == Verb::Start
                && matches!(one.target, TargetId::Container(_))
                && is_under_way(doctor, one)
        });
        let acting = doctor.patients().filter(|patient| match &patient.phase {
            Phase::Recovering { operation, .. } => busy.iter().any(|one| {
                let awaits = starts && one.verb == Verb::Restart && one.awaits_an_answer();
                one.id == *operation && !one.is_soaking() && !awaits
            }),
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. }
            | Phase::Down { .. }
            | Phase::GivenUp { .. } => false,
        });
        let acting: Vec<String> = acting.map(|patient| patient.spec.id.to_string()).collect();
        assert!(acting.len() <= 1, "P1: remedies of {acting:?} at once");
    }

    fn phases(&mut self, doctor: &Doctor, event: &Event) {
        let waking = doctor.is_waking();
        if waking && !self.was_waking {
            self.looks_since_wake.clear();
        }
        self.was_waking = waking;
        if let Event::Looked { target, .. } = event {
            *self.looks_since_wake.entry(target.clone()).or_default() += 1;
        }
        // A person's word is a confirmation of its own (R22).
        if let Event::Wished { wish: Wish::Recover { targets }, by: Asker::Person, .. } = event {
            for patient in doctor.patients() {
                if targets.is_empty() || targets.contains(&patient.spec.id) {
                    *self.looks_since_wake.entry(patient.spec.id.clone()).or_default() += 1;
                }
            }
        }
        for patient in doctor.patients() {
            let id = &patient.spec.id;
            let phase = word(&patient.phase);
            if self.phases.get(id) == Some(&phase) && phase != "given up" {
                continue;
            }
            let before = self.phases.insert(id.clone(), phase).unwrap_or("unknown");
            if before == phase && before != "given up" {
                continue;
            }
            let trial = match &patient.phase {
                Phase::GivenUp { trial, .. } => self.trials.insert(id.clone(), *trial),
                Phase::Unknown
                | Phase::Starting { .. }
                | Phase::Healthy
                | Phase::Slow
                | Phase::Degraded { .. }
                | Phase::Down { .. }
                | Phase::Recovering { .. } => self.trials.remove(id),
            };
            if before == phase {
                continue;
            }
            match &patient.phase {
                Phase::Recovering { operation, .. } => {
                    let operation = doctor.operations().find(|one| one.id == *operation);
                    let operation = operation.expect("the operation of a recovering target");
                    self.begins(doctor, operation, before);
                    if before == "given up" && operation.by == Asker::Doctor {
                        let due = trial.flatten().is_some_and(|at| doctor.now().continuous >= at);
                        assert!(due, "P7: {id} was given up and is treated before its trial");
                    }
                }
                Phase::Down { .. } => {
                    // A remedy that was under way may fail at any time; that concludes nothing new.
                    let failed = before == "recovering";
                    assert!(!waking || failed, "P10: {id} is down while waking");
                    let looks = self.looks_since_wake.get(id).copied().unwrap_or(0);
                    let by_itself = matches!(id, TargetId::Container(_)) || failed;
                    assert!(by_itself || looks >= 3, "P10: {id} is down after {looks} looks");
                }
                Phase::Healthy => {
                    let Event::Looked { look, target, .. } = event else {
                        panic!("P6: {id} is healthy after {event:?}");
                    };
                    let told = matches!(id, TargetId::Container(_)) && *target == TargetId::Docker;
                    assert!(target == id || told, "P6: {id} is healthy after a look at {target}");
                    let sample = self.looks.get(look).copied();
                    let started = self.acted.get(id).copied();
                    assert!(
                        before != "recovering" || sample >= started,
                        "P6: {id} is healthy by a look of {sample:?}, and was started {started:?}"
                    );
                }
                Phase::Unknown
                | Phase::Starting { .. }
                | Phase::Slow
                | Phase::Degraded { .. }
                | Phase::GivenUp { .. } => {}
            }
        }
    }

    fn begins(&self, doctor: &Doctor, operation: &Operation, before: &str) {
        let id = &operation.target;
        let patient = doctor.patient(id).expect("a known target");
        let stops = operation.verb == Verb::Stop;
        assert!(!doctor.is_waking() || stops, "P3: {id} is treated while waking");
        if operation.by != Asker::Doctor {
            return;
        }
        // A confirmed failure passes through `down` within the same event; a container's end is
        // its own proof (1.2).
        let from = ["down", "given up", "degraded", "unknown"].contains(&before)
            || matches!(id, TargetId::Container(_));
        assert!(from, "P3: {id} is treated while {before}");
        assert_eq!(patient.account.intent, Intent::Wanted, "P3: {id} is treated and not wanted");
        assert!(patient.inhibited_by.is_none(), "P3: {id} is treated while inhibited");
        assert!(patient.account.attempts <= 3, "P2: attempt {} of {id}", operation.attempt);
        let automatic = patient.account.restarts.iter().filter(|one| one.automatic).count();
        assert!(automatic <= 6, "P2: {automatic} restarts of {id} within the hour");
        if operation.attempt > 1
            && before != "given up"
            && let Some((boot, ended)) = self.ended.get(id)
            && *boot == doctor.now().boot
        {
            let gap = doctor.now().continuous.since(*ended);
            assert!(gap.as_secs() >= 10, "P4: {id} is treated {gap:?} after the last attempt");
        }
    }
}

fn container_of(doctor: &Doctor, operation: &Operation) -> TargetId {
    match doctor.patient(&operation.target).map(|patient| &patient.spec.care) {
        Some(Care::Service { container: Some(name), .. }) => TargetId::Container(name.clone()),
        Some(
            Care::Service { container: None, .. }
            | Care::Host
            | Care::Docker
            | Care::Ollama { .. }
            | Care::Mlx { .. }
            | Care::Container { .. },
        )
        | None => operation.target.clone(),
    }
}

/// Its target is in its hands; what only waits in the queue is not.
fn is_under_way(doctor: &Doctor, operation: &Operation) -> bool {
    doctor.patient(&operation.target).is_some_and(|patient| {
        matches!(&patient.phase, Phase::Recovering { operation: own, .. } if *own == operation.id)
    })
}

/// P12: nothing that is held is started.
fn starts(doctor: &Doctor, orders: &[Order]) {
    for order in orders {
        let Order::Treat(treatment) = order else { continue };
        let patient = doctor.patient(&treatment.target).expect("a known target");
        if treatment.what.effect() == Effect::Starts {
            assert_eq!(
                patient.account.intent,
                Intent::Wanted,
                "P12: {} is started and not wanted",
                treatment.target
            );
        }
    }
}

/// P15: nothing grows without end.
fn bounds(doctor: &Doctor, orders: &[Order]) {
    assert!(orders.len() < 6_000, "P15: {} orders at once", orders.len());
    let running = doctor.operations().filter(|operation| operation.is_running()).count();
    assert!(running <= 64, "P15: {running} operations");
    assert!(doctor.patients().count() <= 2_001, "P15: too many targets");
    for patient in doctor.patients() {
        assert!(patient.account.restarts.len() <= 64, "P15: restarts");
        assert!(patient.account.ooms.len() <= 16, "P15: ends for want of memory");
        let story = patient.incident.as_ref().map_or(0, |incident| incident.story.len());
        assert!(story <= 200, "P15: a story of {story} lines");
    }
}

pub(super) fn word(phase: &Phase) -> &'static str {
    match phase {
        Phase::Unknown => "unknown",
        Phase::Starting { .. } => "starting",
        Phase::Healthy => "healthy",
        Phase::Slow => "slow",
        Phase::Degraded { .. } => "degraded",
        Phase::Down { .. } => "down",
        Phase::Recovering { .. } => "recovering",
        Phase::GivenUp { .. } => "given up",
    }
}
