//! One target as the doctor knows it: its phase, and what was seen of it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::cause::Cause;
use crate::clock::{Awake, Now};
use crate::ensuring::is_same;
use crate::flapping::Flaps;
use crate::incident::Incident;
use crate::latency::Latency;
use crate::ledger::{Account, Light};
use crate::light;
use crate::looking::NEVER;
use crate::observation::{
    ContainerSeen, DeepSeen, DockerSeen, EndedSeen, HostSeen, Listener, LoadedSeen, MlxSeen,
    ModelSeen, OllamaSeen, ProcessId, Surroundings,
};
use crate::order::{Depth, LookId};
use crate::phase::{Phase, Reason};
use crate::policy::Policy;
use crate::sentence::Sentence;
use crate::target::{Care, Compose, Spec, TargetId};
use crate::verdict::Verdict;
use crate::weighing::Tally;

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
    /// The start of the container that ended with many others: its end is told of with theirs.
    pub(crate) ended_in_storm: Option<i64>,
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
    /// How the last attempt failed; none once it was well again.
    pub(crate) failed: Option<Sentence>,
    /// How often it failed and came back (R54).
    pub(crate) flaps: Flaps,
}

/// What was last seen, newest reading of each kind.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    // Of a thousand patients one has it: beside the others it would only take room.
    pub ollama: Option<Box<OllamaSeen>>,
    pub mlx: Option<Box<MlxSeen>>,
    pub docker: Option<DockerSeen>,
    /// Since when Docker answers that nothing stands behind its socket yet.
    pub(crate) engine_starts: Option<Awake>,
    pub container: Option<ContainerSeen>,
    /// How Compose makes it, where it has been removed since it was seen.
    pub(crate) removed: Option<Box<Compose>>,
    pub service: Option<crate::observation::ServiceSeen>,
    pub host: Option<HostSeen>,
    /// Kept from the last full look, since shallow ones do not ask.
    pub models: Vec<ModelSeen>,
    pub loaded: Vec<LoadedFact>,
    /// What was loaded when it last stopped answering.
    pub(crate) loaded_last: Vec<LoadedFact>,
    pub surroundings: Option<Surroundings>,
    /// Processes that answered as this product does, or that we started.
    pub trusted: VecDeque<ProcessId>,
    pub(crate) container_news: crate::container::News,
    pub(crate) pressure: crate::host::Pressure,
    pub(crate) disk: crate::host::Disk,
    pub(crate) insight: crate::insight::Insight,
    /// The system wrote down that it ended this server, or that it crashed.
    pub(crate) ended: Option<(Awake, EndedSeen)>,
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
            ended_in_storm: None,
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
            failed: None,
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

    /// It answers what it is asked, though something of it may not work.
    pub(crate) fn answers(&self) -> bool {
        let sound = self.tally.hard == 0 && self.tally.soft == 0;
        self.phase.is_usable() || (matches!(self.phase, Phase::Degraded { .. }) && sound)
    }

    /// Forget all counts: after a wake, a parent's return, a new start (R14, R42).
    pub(crate) fn forget_counts(&mut self) {
        self.tally = Tally::default();
        self.first_bad = None;
        self.facts.insight.forget_deep();
    }

    /// A container that is brought up when it ends.
    pub(crate) fn is_critical(&self) -> bool {
        matches!(self.spec.care, Care::Container { critical: true, .. })
    }

    /// Given up on something that no restart cures.
    pub(crate) fn is_given_up_for_good(&self) -> bool {
        matches!(self.phase, Phase::GivenUp { trial: None, .. })
    }

    /// Ollama: this model is meant to stay in memory, by the configuration or because it never
    /// expires (R61).
    pub(crate) fn keeps(&self, fact: &LoadedFact) -> bool {
        let Care::Ollama { pinned, .. } = &self.spec.care else { return false };
        fact.ends_s.is_none() || pinned.iter().any(|name| is_same(name, &fact.seen.name))
    }

    /// A container that runs light: since when, and for how long it may.
    pub fn light(&self) -> Option<Light> {
        self.account.light.filter(|_| light::runs_light(self))
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

    /// The last request for a token, while it says something about now.
    pub fn heard(&self, now: Awake, policy: &Policy) -> Option<&DeepSeen> {
        self.facts.insight.deep_within(3 * policy.deep_every, now)
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
