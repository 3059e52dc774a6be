//! The doctor: told an event and the time, it returns orders. Everything it knows is in here.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::{Awake, Continuous, Now, SteadyClock, Wall};
use crate::crashes::Observing;
use crate::event::Event;
use crate::fallback::Fallback;
use crate::incident::Verb;
use crate::ledger::{Account, Ledger, LightStage};
use crate::operation::{Operation, Stage};
use crate::order::{Depth, OperationId, Order};
use crate::patient::Patient;
use crate::patients::Patients;
use crate::phase::{Phase, Reason};
use crate::policy::Policy;
use crate::rates::Notices;
use crate::sharing::Speeds;
use crate::storm::Brake;
use crate::target::{Spec, TargetId};
use crate::timeline::Timeline;

/// No wait is longer than this, so that a clock that jumps is noticed (R44).
pub const LONGEST_WAIT: Duration = Duration::from_secs(30);
const ENDED_KEPT: usize = 100;
/// Accounts of containers that are gone; more than this are forgotten.
const ABSENT_KEPT: usize = 256;

#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Doctor {
    pub(crate) policy: Policy,
    pub(crate) patients: Patients,
    /// Accounts of targets that are not on the roster now, a container that is gone for one.
    pub(crate) absent: BTreeMap<TargetId, Account>,
    pub(crate) operations: Vec<Operation>,
    ended: VecDeque<Operation>,
    pub(crate) orders: Vec<Order>,
    pub(crate) now: Now,
    /// Nothing is concluded before (R42).
    pub(crate) hold_until: Option<Awake>,
    /// No idle model is unloaded for want of memory before (1.8).
    pub(crate) shed_until: Option<Awake>,
    /// When the machine last woke.
    pub(crate) woke_at: Option<Awake>,
    /// Our loop was late, so fails count less until then (R9).
    pub(crate) doubt_until: Option<Awake>,
    /// We answered ourselves slowly, so they count less until then (R9).
    pub(crate) slow_self_until: Option<Awake>,
    pub(crate) notices: Notices,
    /// Nothing is done unasked before, and why (R39, fault 53).
    pub(crate) observing: Option<Observing>,
    /// Programs that heal the same things beside us, by name.
    pub(crate) healers: Vec<String>,
    /// As in the ledger (R39).
    pub(crate) crashes: Vec<Continuous>,
    /// We were told to end.
    pub(crate) ending: bool,
    pub(crate) last_record: Awake,
    /// Containers that turned bad at once (R18).
    pub(crate) brake: Brake,
    /// The one operation that acted since a record last reached the disk (fault 52).
    pub(crate) unrecorded_act: Option<OperationId>,
    pub(crate) recording_fails: bool,
    pub(crate) next_snapshot: Awake,
    /// Holds that came from the stream lately: a daemon's shutdown looks the same (R34).
    pub(crate) held_lately: Vec<(TargetId, Awake)>,
    /// No container is brought up before (R17).
    pub(crate) stagger_until: Option<Awake>,
    /// The engine was seen to be gone since its stream last began.
    pub(crate) engine_lost: bool,
    /// It was gone, or down, since it was last well (R27).
    pub(crate) engine_gone: bool,
    /// When its stream began again after that.
    pub(crate) engine_back: Option<Awake>,
    /// What stopped since then was stopped by the engine.
    pub(crate) engine_stopped: bool,
    /// Since then we run.
    pub(crate) began: Wall,
    /// What the engine tells until then may have happened before that.
    pub(crate) replayed: Option<Awake>,
    /// The engine has been well before: a return of it gives its containers time (R14).
    pub(crate) engine_was_well: bool,
    clock: SteadyClock,
    full_check_due: Awake,
    pub(crate) dirty_incidents: Vec<TargetId>,
    pub(crate) fallback: Fallback,
    pub(crate) timeline: Timeline,
    pub(crate) speeds: Speeds,
    /// Models that we unloaded for want of memory, and when.
    pub(crate) shed: BTreeMap<String, Awake>,
    session: u64,
    counter: u64,
    random: u64,
}

/// What time may change though nothing was seen.
struct Stirred {
    /// Some account holds what is forgotten after a while.
    accounts: bool,
    /// Some target is down or given up.
    sick: bool,
    /// Some container was started light.
    light: bool,
}

impl Doctor {
    /// `seed` makes jitter and ids: the same seed and events give the same orders.
    pub fn new(policy: Policy, roster: Vec<Spec>, seed: u64, now: Now) -> Self {
        let mut doctor = Self {
            policy,
            patients: Patients::default(),
            absent: BTreeMap::new(),
            operations: Vec::new(),
            ended: VecDeque::new(),
            orders: Vec::new(),
            now,
            hold_until: None,
            shed_until: None,
            woke_at: None,
            doubt_until: None,
            slow_self_until: None,
            notices: Notices::default(),
            observing: None,
            healers: Vec::new(),
            crashes: Vec::new(),
            ending: false,
            last_record: now.awake,
            brake: Brake::default(),
            unrecorded_act: None,
            recording_fails: false,
            next_snapshot: now.awake,
            held_lately: Vec::new(),
            stagger_until: None,
            engine_lost: false,
            engine_gone: false,
            engine_back: None,
            engine_stopped: false,
            began: now.wall,
            replayed: None,
            engine_was_well: false,
            clock: SteadyClock { last: now.awake, lag: Duration::ZERO },
            full_check_due: now.awake,
            dirty_incidents: Vec::new(),
            fallback: Fallback::default(),
            timeline: Timeline::default(),
            speeds: Speeds::default(),
            shed: BTreeMap::new(),
            session: seed,
            counter: 0,
            random: seed | 1,
        };
        doctor.full_check_due = now.awake + doctor.policy.full_check;
        doctor.enrol(roster);
        doctor
    }

    /// The one way in.
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Order> {
        let now = Now { awake: self.clock.steady(now.awake), ..now };
        self.notice_lateness(now);
        self.notice_sleep(now);
        self.now = now;
        match event {
            Event::Tick => {}
            Event::Looked { look, target, observation } => {
                self.looked(look, &target, *observation);
            }
            Event::ContainerNews(news) => self.heard(&news),
            Event::DockerStream { connected } => self.stream(connected),
            Event::Treated { step, outcome } => self.treated(&step, &outcome),
            Event::Progressed { step, progress } => self.progressed(&step, progress),
            Event::StopsFirst { step } => self.stops_first(&step),
            Event::Wished { ticket, wish, by, from } => self.wished(ticket, wish, by, from),
            Event::Woke { .. } => self.woke(),
            Event::Reconfigured { roster } => self.reconfigured(roster),
            Event::Recorded { record } => self.recorded(record),
            Event::RecordFailed { record, reason } => self.record_failed(record, &reason),
            Event::Called(calls) => self.called(calls),
            Event::Late { by } => self.late(by),
            Event::SelfProbed { took } => self.probed_ourselves(took),
            Event::NoticeFailed { notice } => self.notice_failed(notice),
            Event::Misconfigured => self.misconfigured(),
            Event::OtherHealers { names } => self.healers = names,
            Event::Quit { target, normal } => self.application_ended(&target, normal),
            Event::Ending => self.ending(),
            Event::Remembered { memory, timings } => {
                self.recall_memory(memory);
                self.recall_speeds(&timings);
            }
            Event::Restored { ledger, open } => self.restored(ledger, open),
        }
        self.advance();
        self.add_ledger();
        std::mem::take(&mut self.orders)
    }

    /// When it wants to be woken next, on the awake clock as it was told: always after the last
    /// event, at the latest 30 s after it.
    pub fn next_wake(&self) -> Awake {
        let now = self.now.awake;
        let latest = now + LONGEST_WAIT;
        // What is past and was not acted upon waits for something else than time.
        let ahead = |at: &Awake| *at > now;
        let patients = self.patients.values().filter_map(|patient| {
            let look = match patient.looking {
                Some(looking) => Some(looking.deadline),
                None => Self::is_asked(patient).then_some(patient.due),
            };
            [look, self.phase_ends(patient).filter(ahead)].into_iter().flatten().min()
        });
        let stages = self.operations.iter().filter_map(|operation| match &operation.stage {
            Stage::Acting { deadline, .. } | Stage::Writing { deadline, .. } => Some(*deadline),
            Stage::Verifying(verification) => {
                Some(verification.soak_until.unwrap_or(verification.deadline))
            }
            Stage::Queued | Stage::Ended => None,
        });
        let rest = stages
            .chain(self.next_notice())
            .chain(self.next_storm())
            .chain(self.stagger_until)
            .filter(ahead)
            .chain(self.hold_until)
            .chain([self.full_check_due]);
        let soon = now + Duration::from_millis(1);
        let due = patients.chain(rest).min().map_or(latest, |due| due.clamp(soon, latest));
        self.clock.as_told(due)
    }

    /// When time alone may bring about a remedy of this patient.
    fn phase_ends(&self, patient: &Patient) -> Option<Awake> {
        match &patient.phase {
            Phase::Down { not_before, .. } => Some(*not_before),
            Phase::GivenUp { trial: Some(trial), .. } => {
                Some(self.now.awake + trial.since(self.now.continuous))
            }
            Phase::GivenUp { trial: None, .. }
            | Phase::Starting { .. }
            | Phase::Unknown
            | Phase::Degraded { .. }
            | Phase::Recovering { .. } => None,
            Phase::Healthy | Phase::Slow => self.policy.light_stable_at(patient),
        }
    }

    pub fn patients(&self) -> impl Iterator<Item = &Patient> {
        self.patients.values()
    }

    pub fn patient(&self, id: &TargetId) -> Option<&Patient> {
        self.patients.get(id)
    }

    /// Running ones and the last that ended, oldest first.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.ended.iter().chain(&self.operations)
    }

    pub fn now(&self) -> Now {
        self.now
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Since waking nothing is concluded until then.
    pub fn is_waking(&self) -> bool {
        self.hold_until.is_some_and(|until| self.now.awake < until)
    }

    /// The ledger as it is now.
    pub fn ledger(&self) -> Ledger {
        let mut targets = self.absent.clone();
        for (id, patient) in self.patients.iter() {
            if patient.account != Account::default() {
                targets.insert(id.clone(), patient.account.clone());
            }
        }
        Ledger {
            boot: self.now.boot,
            written: self.now.wall,
            written_continuous: self.now.continuous,
            ended: self.ending,
            crashes: self.crashes.clone(),
            observing: self.is_faltering(),
            targets,
        }
    }

    /// Everything that only time brings about.
    fn advance(&mut self) {
        if self.hold_until.is_some_and(|until| self.now.awake >= until) {
            self.hold_until = None;
            self.look_at_everything(Depth::Full);
        }
        if self.now.awake >= self.full_check_due {
            self.full_check_due = self.now.awake + self.policy.full_check;
            self.deepen_all();
        }
        self.end_holds();
        self.end_observing();
        self.advance_operations();
        self.advance_storm();
        // Most events change nothing: one pass tells what there is to think about.
        let stirred = self.stirred();
        if stirred.accounts {
            self.close_episodes();
        }
        if stirred.sick {
            self.consider_all();
        }
        if stirred.light {
            self.return_to_normal();
        }
        if !self.operations.is_empty() {
            self.begin_queued();
            self.finish_checks();
        }
        self.judge_fallback();
        self.order_looks();
        self.tell_due();
        self.write_down();
    }

    fn stirred(&self) -> Stirred {
        let mut stirred = Stirred { accounts: false, sick: false, light: false };
        for patient in self.patients.values() {
            stirred.accounts |= patient.account.is_running_down();
            stirred.light |= patient.account.light.is_some();
            stirred.sick |= matches!(patient.phase, Phase::Down { .. } | Phase::GivenUp { .. });
        }
        stirred
    }

    /// R25: ten minutes of health close an episode. Hourly ledgers forget what is older.
    fn close_episodes(&mut self) {
        const HOUR: Duration = Duration::from_hours(1);
        let now = self.now;
        for patient in self.patients.values_mut() {
            let account = &mut patient.account;
            account.restarts.retain(|restart| now.continuous.since(restart.at) < HOUR);
            account.ooms.retain(|oom| now.continuous.since(*oom) < self.policy.oom_repeat);
            account.exits.forget_old(now.continuous, &self.policy);
            account.oom_told = account.oom_told.filter(|at| now.continuous.since(*at) < HOUR);
            if account.restarts.len() <= self.policy.restarts_rearm {
                account.rate_told = false;
            }
            let healthy = patient
                .healthy_since
                .is_some_and(|since| now.awake.since(since) >= self.policy.episode_closes);
            if healthy && account.attempts > 0 {
                account.renew_attempts();
            }
        }
    }

    fn enrol(&mut self, roster: Vec<Spec>) {
        for spec in roster {
            let id = spec.id.clone();
            if let Some(patient) = self.patients.get_mut(&id) {
                patient.spec = spec;
                continue;
            }
            let account = self.absent.remove(&id).unwrap_or_default();
            let mut patient = Patient::new(spec, account, self.now);
            if self.is_freshly_booted() {
                patient.give_grace("why.booted", self.now);
            }
            self.patients.insert(id, patient);
        }
    }

    /// R27: an edited configuration is a changed world, so what was given up is tried again.
    fn reconfigured(&mut self, roster: Vec<Spec>) {
        self.configured_well();
        let kept: Vec<TargetId> = roster.iter().map(|spec| spec.id.clone()).collect();
        let gone: Vec<TargetId> = self
            .patients
            .keys()
            .filter(|id| !kept.contains(id) && !matches!(id, TargetId::Container(_)))
            .cloned()
            .collect();
        for id in gone {
            self.dismiss(&id);
        }
        for (id, patient) in self.patients.iter_mut() {
            // A container that is no longer named is still watched, but no longer critical.
            if !kept.contains(id) {
                patient.spec = crate::containers::uncritical(&patient.spec.name);
            }
        }
        self.enrol(roster);
        let ids: Vec<TargetId> = self.patients.keys().cloned().collect();
        for id in ids {
            self.forgive(&id);
        }
        self.look_at_everything(Depth::Full);
    }

    /// No longer watched: its account is kept, an open incident is closed.
    pub(crate) fn dismiss(&mut self, id: &TargetId) {
        self.supersede(id, "step.not_watched");
        self.close_incident(id, crate::incident::IncidentState::Closed, None);
        self.write_incidents();
        if let Some(mut patient) = self.patients.remove(id)
            && patient.account.is_worth_keeping()
        {
            // What comes back under this name is another one.
            patient.account.exits.forget();
            if self.absent.len() >= ABSENT_KEPT {
                self.absent.pop_first();
            }
            self.absent.insert(id.clone(), patient.account);
        }
    }

    /// The budget is fresh again and the breaker closed.
    pub(crate) fn forgive(&mut self, id: &TargetId) {
        let now = self.now;
        if let Some(patient) = self.patients.get_mut(id)
            && !patient.account.is_locked(&self.policy)
        {
            patient.account.renew_attempts();
            patient.account.given_up = None;
            patient.account.exits.forget();
            // Its light start did not help in a world that is another one now.
            patient.account.light.take_if(|light| light.stage == LightStage::Spent);
            if let Phase::GivenUp { cause, .. } = &patient.phase {
                let cause = Some(cause.clone());
                let reason = Reason::new("R27", "why.world_changed");
                patient.enter(Phase::Degraded { cause }, reason, now);
                patient.forget_counts();
                self.incident_state(id, crate::incident::IncidentState::Open, None);
            }
        }
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(crate) fn operation_id(&mut self) -> OperationId {
        let number = self.next_id();
        format!("{:08x}-{number}", self.session & 0xffff_ffff)
    }

    /// A number that looks random and comes again with the same seed.
    pub(crate) fn dice(&mut self, sides: u64) -> u64 {
        // xorshift64 (Marsaglia, 2003).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % sides.max(1)
    }

    pub(crate) fn retire(&mut self) {
        let (ended, running): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.operations).into_iter().partition(|one| !one.is_running());
        self.operations = running;
        for operation in ended {
            self.ended.push_back(operation);
            while self.ended.len() > ENDED_KEPT {
                self.ended.pop_front();
            }
        }
    }

    pub(crate) fn running_on(&self, target: &TargetId) -> Option<&Operation> {
        let same = |one: &&Operation| one.is_remedy() && one.is_running() && one.target == *target;
        self.operations.iter().find(same)
    }

    pub(crate) fn running_verb(&self, verb: Verb) -> Option<&Operation> {
        self.operations.iter().find(|one| one.verb == verb && one.is_running())
    }
}
