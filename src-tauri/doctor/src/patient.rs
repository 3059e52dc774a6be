//! One target as the doctor knows it: its phase, what was seen of it, and how a look moves it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::cause::Cause;
use crate::clock::{Awake, Now};
use crate::flapping::Flaps;
use crate::incident::Incident;
use crate::latency::Latency;
use crate::ledger::Account;
use crate::looking::NEVER;
use crate::observation::{
    ContainerSeen, DockerSeen, HostSeen, Listener, LoadedSeen, MlxSeen, ModelSeen, OllamaSeen,
    ProcessId, Surroundings,
};
use crate::order::{Depth, LookId};
use crate::phase::{Phase, Reason};
use crate::policy::Policy;
use crate::sentence::Sentence;
use crate::target::{Care, Spec, TargetId};
use crate::verdict::Verdict;

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Patient {
    pub spec: Spec,
    pub phase: Phase,
    /// When it entered its phase.
    pub since: Now,
    /// Why it is in its phase, or since then why nothing is done about it.
    pub reason: Reason,
    /// Why it entered its phase.
    pub(crate) entered: Reason,
    pub facts: Facts,
    pub account: Account,
    /// The account as it was last written down.
    pub(crate) written: Account,
    /// The parent that is not well; while there is one, nothing is concluded (R15).
    pub inhibited_by: Option<TargetId>,
    /// The newest incident; open or closed.
    pub incident: Option<Incident>,
    pub last_good: Option<Now>,
    /// First failed look of the current run of fails.
    pub(crate) first_bad: Option<Now>,
    pub(crate) tally: Tally,
    pub(crate) due: Awake,
    pub(crate) depth: Depth,
    pub(crate) looking: Option<Looking>,
    pub(crate) incarnation: Option<String>,
    pub(crate) healthy_since: Option<Awake>,
    /// When the last reading came that showed it down (R11).
    pub(crate) confirmed: Option<Awake>,
    /// When a confirming look was last asked for.
    pub(crate) asked_again: Option<Awake>,
    /// When its newest incident was opened, on the clock that durations are counted with.
    pub(crate) opened: Awake,
    /// A container that is found stopped is not judged before (R14, R17).
    pub(crate) settles: Option<Awake>,
    /// It has been judged, or a person spoke for it: no longer "found stopped at first sight".
    pub(crate) met: bool,
    pub(crate) last_verdict: Option<Verdict>,
    /// The process that we started last, until it is seen to listen.
    pub(crate) started: Option<ProcessId>,
    /// A person asked: skip back-off and giving up once (R22).
    pub(crate) urged: bool,
    /// What is worth knowing of a target that is not failing: why it is slow, or what it waits for.
    pub note: Option<Cause>,
    /// When any look last came back (R11).
    pub(crate) last_look: Option<Awake>,
    /// Not before this is a request for a token sent (R5).
    pub(crate) deep_due: Awake,
    /// When an agent last complained (R23).
    pub(crate) complained: Option<Awake>,
    /// A container: it has been well in this incarnation.
    pub(crate) up: bool,
    /// Its start has been given more time already (R13).
    pub(crate) extended: bool,
    pub(crate) latency: Latency,
    /// What it was when a heal was only recorded, so that it is recorded once.
    pub(crate) observed_only: bool,
    /// How often it failed and came back (R54).
    pub(crate) flaps: Flaps,
}

/// What was last seen, newest reading of each kind.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub ollama: Option<OllamaSeen>,
    pub mlx: Option<MlxSeen>,
    pub docker: Option<DockerSeen>,
    pub container: Option<ContainerSeen>,
    pub service: Option<crate::observation::ServiceSeen>,
    pub host: Option<HostSeen>,
    /// Kept from the last full look, since shallow ones do not ask.
    pub models: Vec<ModelSeen>,
    pub loaded: Vec<LoadedFact>,
    pub surroundings: Option<Surroundings>,
    /// Processes that answered as this product does, or that we started.
    pub trusted: VecDeque<ProcessId>,
    pub(crate) container_news: crate::container::News,
    pub(crate) pressure: crate::host::Pressure,
    pub(crate) disk: crate::host::Disk,
    pub(crate) insight: crate::insight::Insight,
}

/// A loaded model, and since when no request has moved its end.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedFact {
    pub seen: LoadedSeen,
    /// Wall time at which it will be unloaded by its server, in seconds; none: never.
    pub ends_s: Option<i64>,
    pub quiet_since: Awake,
    /// When it was first seen to be loaded.
    pub since: Awake,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Looking {
    pub(crate) id: LookId,
    pub(crate) depth: Depth,
    pub(crate) confirms: bool,
    pub(crate) deadline: Awake,
}

/// Counts of looks in a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) good: u32,
    pub(crate) hard: u32,
    pub(crate) soft: u32,
    recent: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    good: bool,
    took: Duration,
}

const WINDOW: usize = 5;

/// Why it is not healthy yet, though it answers.
const RISING: &str = "why.one_more_success";

/// What a look led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Steady,
    /// Enough fails: look once more, fully, before concluding (R11).
    Confirm,
    /// The confirming look failed too.
    ConfirmedDown,
    /// Something fails that no restart cures; the cause is to be named.
    Ailing,
    BecameHealthy,
}

impl Patient {
    pub(crate) fn new(spec: Spec, account: Account, now: Now) -> Self {
        // Containers are told of by the engine's snapshot.
        let due = if matches!(spec.care, Care::Container { .. }) { NEVER } else { now.awake };
        Self {
            spec,
            phase: Phase::Unknown,
            since: now,
            reason: Reason::new("1.2", "why.first_look"),
            entered: Reason::new("1.2", "why.first_look"),
            facts: Facts::default(),
            account,
            written: Account::default(),
            inhibited_by: None,
            incident: None,
            last_good: None,
            first_bad: None,
            tally: Tally::default(),
            due,
            depth: Depth::Full,
            looking: None,
            incarnation: None,
            healthy_since: None,
            confirmed: None,
            asked_again: None,
            opened: now.awake,
            settles: None,
            met: false,
            last_verdict: None,
            started: None,
            urged: false,
            note: None,
            last_look: None,
            deep_due: now.awake,
            complained: None,
            up: false,
            extended: false,
            latency: Latency::default(),
            observed_only: false,
            flaps: Flaps::default(),
        }
    }

    /// Neither configured nor ever seen alive: it is not there, and that is no trouble.
    pub fn is_found(&self) -> bool {
        self.spec.configured || self.account.seen_alive
    }

    pub(crate) fn enter(&mut self, phase: Phase, reason: Reason, now: Now) {
        if std::mem::discriminant(&self.phase) != std::mem::discriminant(&phase) {
            self.since = now;
        }
        self.healthy_since = match phase {
            Phase::Healthy | Phase::Slow => self.healthy_since.or(Some(now.awake)),
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Degraded { .. }
            | Phase::Down { .. }
            | Phase::Recovering { .. }
            | Phase::GivenUp { .. } => None,
        };
        self.flaps.note(&phase, now.awake);
        self.phase = phase;
        self.entered.clone_from(&reason);
        self.reason = reason;
    }

    /// R14: what is only just coming up is not judged yet.
    pub(crate) fn give_grace(&mut self, why: &str, now: Now) {
        let until = now.awake + self.spec.grace;
        match self.spec.care {
            Care::Container { .. } => self.settles = Some(until),
            Care::Docker | Care::Ollama { .. } | Care::Mlx { .. } | Care::Service { .. } => {
                let reason = Reason::new("R14", why).until(until);
                self.enter(Phase::Starting { until }, reason, now);
            }
            Care::Host => {}
        }
    }

    /// Forget all counts: after a wake, a parent's return, a new start (R14, R42).
    pub(crate) fn forget_counts(&mut self) {
        self.tally = Tally::default();
        self.first_bad = None;
        self.facts.insight.forget_deep();
    }

    /// Given up on something that no restart cures.
    pub(crate) fn is_given_up_for_good(&self) -> bool {
        matches!(self.phase, Phase::GivenUp { trial: None, .. })
    }

    /// The process that listens, where it is known.
    pub(crate) fn listener(&self) -> &Listener {
        let ollama = self.facts.ollama.as_ref().map(|seen| &seen.listener);
        let mlx = self.facts.mlx.as_ref().map(|seen| &seen.listener);
        ollama.or(mlx).unwrap_or(&Listener::NotAsked)
    }

    pub(crate) fn trust(&mut self, process: &ProcessId) {
        if !self.facts.trusted.contains(process) {
            self.facts.trusted.push_back(process.clone());
            while self.facts.trusted.len() > 8 {
                self.facts.trusted.pop_front();
            }
        }
    }

    /// Moves the phase by one look at a target that is asked over the network.
    pub(crate) fn weigh(
        &mut self,
        verdict: Verdict,
        confirms: bool,
        now: Now,
        policy: &Policy,
        doubt: u32,
    ) -> Turn {
        match verdict {
            Verdict::Nothing => {
                let stale = 3 * self.spec.interval;
                if self.last_good.is_none_or(|good| now.awake.since(good.awake) > stale)
                    && self.phase.is_usable()
                {
                    self.enter(Phase::Unknown, Reason::new("1.2", "why.no_reading"), now);
                }
                Turn::Steady
            }
            Verdict::Good { took_ms } => self.good(Duration::from_millis(took_ms), now, policy),
            Verdict::Impaired => self.impaired(now),
            Verdict::Suspect => self.suspect(confirms, now, policy),
            Verdict::Wedged => self.wedged(now, policy),
            Verdict::Hard => self.hard(confirms, now, policy, doubt),
            // One long task: it is late, and nothing is wrong with it.
            Verdict::Busy if matches!(self.spec.care, Care::Service { .. }) => self.busy(now),
            Verdict::Soft | Verdict::Busy | Verdict::Misplaced | Verdict::WrongOwner => {
                self.soft(confirms, now, policy)
            }
        }
    }

    fn good(&mut self, took: Duration, now: Now, policy: &Policy) -> Turn {
        self.tally.push(true, took);
        self.answered(now);
        self.first_bad = None;
        let late = self.latency.limit(policy.slow_after, policy.slow_times);
        self.latency.take(took, now.awake);
        self.urged = false;
        match &self.phase {
            Phase::Starting { .. } => self.healthy(now),
            Phase::Unknown
            | Phase::Degraded { .. }
            | Phase::Down { .. }
            | Phase::GivenUp { .. } => {
                if self.tally.good >= policy.successes {
                    self.healthy(now)
                } else {
                    self.reason = Reason::new("1.2", RISING);
                    Turn::Steady
                }
            }
            Phase::Healthy => {
                if self.tally.late(late) >= 3 {
                    self.enter(Phase::Slow, Reason::new("1.2", "why.slow"), now);
                }
                Turn::Steady
            }
            Phase::Slow => {
                if self.tally.is_quick(late * policy.slow_leave_percent / 100) {
                    self.enter(Phase::Healthy, Reason::new("1.2", "why.healthy"), now);
                }
                Turn::Steady
            }
            Phase::Recovering { .. } => Turn::Steady,
        }
    }

    /// It can be used, and what fails of it is named; that no restart follows is the table's part.
    fn impaired(&mut self, now: Now) -> Turn {
        self.answered(now);
        match self.phase {
            Phase::Recovering { .. } => Turn::Steady,
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. }
            | Phase::Down { .. }
            | Phase::GivenUp { .. } => Turn::Ailing,
        }
    }

    /// At work on one long task: late, and not to be disturbed.
    fn busy(&mut self, now: Now) -> Turn {
        self.forget_counts();
        let waits = matches!(
            self.phase,
            Phase::Unknown | Phase::Healthy | Phase::Degraded { .. } | Phase::Down { .. }
        );
        if waits && self.is_found() {
            self.enter(Phase::Slow, Reason::new("1.2", "why.busy"), now);
            return Turn::BecameHealthy;
        }
        Turn::Steady
    }

    /// One request for a token has failed: degraded until the next one tells (1.2).
    fn suspect(&mut self, confirms: bool, now: Now, policy: &Policy) -> Turn {
        self.answered(now);
        self.falls_back();
        if confirms && self.gives_no_token(now, policy) {
            return Turn::ConfirmedDown;
        }
        // Also where nothing was known: it answers, and only so may it be asked again.
        if self.phase.is_usable() || matches!(self.phase, Phase::Unknown) {
            let reason = Reason::new("R5", "why.deep_failed_once").until(self.deep_due);
            self.enter(Phase::Degraded { cause: None }, reason, now);
        }
        Turn::Steady
    }

    fn wedged(&mut self, now: Now, policy: &Policy) -> Turn {
        self.first_bad = self.first_bad.or(Some(now));
        self.suspect(false, now, policy);
        match self.phase {
            Phase::Recovering { .. } => Turn::Steady,
            // R11: once more at the surface, with everything that tells the cause.
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. }
            | Phase::Down { .. }
            | Phase::GivenUp { .. } => {
                if self.gives_no_token(now, policy) {
                    Turn::Confirm
                } else {
                    Turn::Steady
                }
            }
        }
    }

    /// R5: two failed requests for a token in a row, of a process that has nothing to do; after an
    /// agent's complaint one is enough, since the complaint was the other (R23).
    fn gives_no_token(&self, now: Now, policy: &Policy) -> bool {
        let complained = self.complained.is_some_and(|at| now.awake.since(at) <= policy.complaint);
        let needed = if complained { 1 } else { policy.deep_fails };
        self.facts.insight.deep_fails >= needed
    }

    fn answered(&mut self, now: Now) {
        if matches!(self.spec.care, Care::Mlx { .. }) {
            // It has loaded.
            self.note = None;
        }
        self.tally.good += 1;
        self.tally.hard = 0;
        self.tally.soft = 0;
        self.last_good = Some(now);
        self.account.seen_alive = true;
        self.account.doubtful = false;
    }

    /// A request for a token can tell something: a model is there, and the work can be read.
    pub(crate) fn is_asked_deep(&self) -> bool {
        let loaded = match &self.spec.care {
            Care::Ollama { .. } => !self.facts.loaded.is_empty(),
            Care::Mlx { .. } => {
                self.facts.mlx.as_ref().and_then(|seen| seen.models.as_ref()).is_some()
            }
            Care::Host | Care::Docker | Care::Container { .. } | Care::Service { .. } => false,
        };
        loaded && self.facts.insight.activity.is_some()
    }

    /// A container that has been well since it was started.
    pub(crate) fn was_up(&self) -> bool {
        self.up
    }

    fn healthy(&mut self, now: Now) -> Turn {
        self.enter(Phase::Healthy, Reason::new("1.2", "why.healthy"), now);
        Turn::BecameHealthy
    }

    /// It was on its way up, and is no more.
    fn falls_back(&mut self) {
        if std::mem::take(&mut self.tally.good) > 0 && self.reason.says.key == RISING {
            self.reason.clone_from(&self.entered);
        }
    }

    fn hard(&mut self, confirms: bool, now: Now, policy: &Policy, doubt: u32) -> Turn {
        self.falls_back();
        if !self.is_found() {
            self.enter(Phase::Unknown, Reason::new("1.2", "why.not_found"), now);
            return Turn::Steady;
        }
        if let Phase::Starting { until } = self.phase
            && now.awake < until
        {
            self.reason = Reason::new("R12", "why.in_grace").until(until);
            return Turn::Steady;
        }
        self.tally.push(false, Duration::ZERO);
        self.tally.hard += 1;
        self.tally.soft = 0;
        self.first_bad = self.first_bad.or(Some(now));
        match self.phase {
            Phase::Unknown | Phase::Starting { .. } | Phase::Healthy | Phase::Slow => {
                let cause = None;
                self.enter(Phase::Degraded { cause }, self.failing(policy, doubt), now);
            }
            Phase::Degraded { .. } => self.reason = self.failing(policy, doubt),
            Phase::Down { .. } | Phase::GivenUp { .. } if confirms => return Turn::ConfirmedDown,
            Phase::Down { .. } | Phase::GivenUp { .. } => {
                self.confirmed = Some(now.awake);
                return Turn::Steady;
            }
            Phase::Recovering { .. } => return Turn::Steady,
        }
        let enough = policy.hard_fails * doubt;
        if confirms && (self.tally.hard > enough || self.urged) {
            Turn::ConfirmedDown
        } else if confirms {
            Turn::Ailing
        } else if self.tally.hard >= enough {
            Turn::Confirm
        } else if doubt == 1 && self.tally.is_mixed() {
            Turn::Ailing
        } else {
            Turn::Steady
        }
    }

    fn failing(&self, policy: &Policy, doubt: u32) -> Reason {
        Reason::says(
            "R11",
            Sentence::new("why.failing")
                .with("fails", self.tally.hard)
                .with("of", policy.hard_fails * doubt),
        )
    }

    fn soft(&mut self, confirms: bool, now: Now, policy: &Policy) -> Turn {
        self.tally.push(false, Duration::ZERO);
        self.falls_back();
        self.tally.hard = 0;
        if !self.is_found() {
            self.enter(Phase::Unknown, Reason::new("1.2", "why.not_found"), now);
            return Turn::Steady;
        }
        if let Phase::Starting { until } = self.phase
            && now.awake < until
        {
            self.reason = Reason::new("R12", "why.in_grace").until(until);
            return Turn::Steady;
        }
        self.tally.soft += 1;
        self.first_bad = self.first_bad.or(Some(now));
        // Three of the last five, and not in a row: a look more would only meet the good ones.
        if confirms || self.tally.is_mixed() {
            return Turn::Ailing;
        }
        if self.tally.soft >= policy.soft_fails || self.tally.fails() >= 3 {
            // The cause of a soft fail may need a full look: who owns the port, for one.
            Turn::Confirm
        } else {
            Turn::Steady
        }
    }

    /// When to look again, before jitter.
    pub(crate) fn pace(&self, policy: &Policy) -> Duration {
        let retry = match self.spec.care {
            Care::Docker => policy.retry_docker,
            Care::Host | Care::Ollama { .. } | Care::Mlx { .. } => policy.retry,
            Care::Container { .. } | Care::Service { .. } => policy.retry,
        };
        let failing = self.tally.hard > 0 || self.tally.soft > 0;
        let rising = self.tally.good == 1 && !self.phase.is_usable();
        match self.phase {
            Phase::Recovering { .. } => policy.verify_every,
            Phase::Unknown if !self.is_found() && !rising => self.spec.interval,
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. } => {
                if self.tally.hard > 0 || (failing && !self.has_cause()) || rising {
                    retry.min(self.spec.interval)
                } else {
                    self.spec.interval
                }
            }
            Phase::Down { .. } | Phase::GivenUp { .. } => {
                if rising {
                    retry.min(self.spec.interval)
                } else {
                    self.spec.interval
                }
            }
        }
    }

    fn has_cause(&self) -> bool {
        self.phase.cause().is_some()
    }
}

impl Tally {
    fn push(&mut self, good: bool, took: Duration) {
        self.recent.push_back(Sample { good, took });
        while self.recent.len() > WINDOW {
            self.recent.pop_front();
        }
    }

    fn fails(&self) -> usize {
        self.recent.iter().filter(|sample| !sample.good).count()
    }

    /// Three of the last five failed, and not in a row: that has a name, and is nothing to restart
    /// for (1.2).
    pub(crate) fn is_mixed(&self) -> bool {
        let in_a_row = self.recent.iter().rev().take_while(|sample| !sample.good).count();
        self.fails() >= 3 && self.fails() > in_a_row
    }

    fn late(&self, limit: Duration) -> usize {
        self.recent.iter().filter(|sample| sample.good && sample.took > limit).count()
    }

    fn is_quick(&self, limit: Duration) -> bool {
        self.recent.len() == WINDOW
            && self.recent.iter().all(|sample| sample.good && sample.took < limit)
    }
}
