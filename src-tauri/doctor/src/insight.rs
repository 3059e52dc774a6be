//! What is known of a model server beyond its own answers, and for how long (R5, R6, R61).

use std::collections::VecDeque;
use std::time::Duration;

use crate::cause::{CauseId, Confidence};
use crate::clock::Awake;
use crate::observation::{
    Activity, DeepOutcome, DeepSeen, ExitSeen, LogSign, ProcessId, RunnerSeen, Signs, StoreSeen,
};
use crate::patient::LoadedFact;
use crate::policy::Policy;
use crate::sharing::Slowed;

const SIGNS_KEPT: usize = 16;
const RUNNERS_KEPT: usize = 32;

/// Kept from look to look: not every look brings everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Insight {
    /// The last request for one token.
    pub(crate) deep: Option<DeepSeen>,
    pub(crate) deep_at: Option<Awake>,
    /// Failed ones in a row (R5: two are needed).
    pub(crate) deep_fails: u32,
    pub(crate) activity: Option<Activity>,
    activity_at: Option<Awake>,
    /// Neither the server nor a runner works, since then without a break.
    idle_since: Option<Awake>,
    /// The server itself is above the limit of R61 while no runner works, since then.
    hot_since: Option<Awake>,
    /// It holds more than its models explain, since then (R61).
    leaking_since: Option<Awake>,
    /// Log lines with their time of arrival.
    log: VecDeque<(Awake, LogSign)>,
    pub(crate) store: Option<StoreSeen>,
    pub(crate) supervisors: Vec<String>,
    /// How those that we had started have ended lately.
    pub(crate) exits: Vec<ExitSeen>,
    /// Runners whose model is in nobody's list, since then.
    orphans: Vec<(RunnerSeen, Awake)>,
    /// `/api/ps` has not answered so many times in a row.
    pub(crate) ps_fails: u32,
    /// The last measurement was far below the usual, while the other server worked.
    pub(crate) slowed: Option<Slowed>,
}

impl Insight {
    pub(crate) fn take(
        &mut self,
        signs: Signs,
        loaded: &[LoadedFact],
        now: Awake,
        policy: &Policy,
    ) {
        if let Some(deep) = signs.deep {
            self.took_deep(deep, now);
        }
        if let Some(activity) = signs.activity {
            self.took_activity(activity, loaded, now, policy);
        }
        for sign in signs.log {
            self.log.push_back((now, sign));
            while self.log.len() > SIGNS_KEPT {
                self.log.pop_front();
            }
        }
        if signs.store.is_some() {
            self.store = signs.store;
        }
        if !signs.exits.is_empty() {
            self.exits = signs.exits;
        }
        if !signs.supervisors.is_empty() {
            self.supervisors = signs.supervisors;
        }
        if let Some(runners) = signs.runners {
            self.took_runners(runners, loaded, now);
        }
    }

    /// What was asked for a token then is not what is asked now: it slept, was started anew, or has
    /// unloaded the model that gave none.
    pub(crate) fn forget_deep(&mut self) {
        self.deep_fails = 0;
    }

    fn took_deep(&mut self, deep: DeepSeen, now: Awake) {
        match deep.outcome {
            // What the log told before is over.
            DeepOutcome::Answered => {
                self.deep_fails = 0;
                self.log.clear();
            }
            // A full queue proves neither life nor death; nor does a prompt "not like this": the
            // model has gone, or cannot do what was asked of it.
            DeepOutcome::Busy | DeepOutcome::Failed { status: 400..=499 } => {}
            DeepOutcome::Empty | DeepOutcome::NoFirstByte | DeepOutcome::Failed { .. } => {
                self.deep_fails += 1;
            }
        }
        self.deep_at = Some(now);
        self.deep = Some(deep);
    }

    fn took_activity(
        &mut self,
        activity: Activity,
        loaded: &[LoadedFact],
        now: Awake,
        policy: &Policy,
    ) {
        let since = |holds: bool, before: Option<Awake>| holds.then(|| before.unwrap_or(now));
        let idle = activity.server_percent < 1 && activity.runners_percent < 1;
        self.idle_since = since(idle, self.idle_since);
        let hot = activity.server_percent >= policy.hot_percent && activity.runners_percent < 1;
        self.hot_since = since(hot, self.hot_since);
        let explained: u64 = loaded.iter().map(|fact| fact.seen.size_bytes).sum();
        let unexplained = activity.footprint_bytes.saturating_sub(explained);
        self.leaking_since = since(unexplained > policy.leak_bytes, self.leaking_since);
        self.activity = Some(activity);
        self.activity_at = Some(now);
    }

    fn took_runners(&mut self, runners: Vec<RunnerSeen>, loaded: &[LoadedFact], now: Awake) {
        let is_listed = |model: &String| loaded.iter().any(|fact| fact.seen.name == *model);
        let known = |runner: &RunnerSeen| {
            !runner.left_behind && runner.model.as_ref().is_none_or(is_listed)
        };
        let before = std::mem::take(&mut self.orphans);
        let since = |process: &ProcessId| {
            before.iter().find(|(one, _)| one.process == *process).map_or(now, |(_, at)| *at)
        };
        self.orphans = runners
            .into_iter()
            .filter(|runner| !known(runner))
            .take(RUNNERS_KEPT)
            .map(|runner| {
                let at = since(&runner.process);
                (runner, at)
            })
            .collect();
    }

    /// A new incarnation begins with a clean record; what is on disk stays as it is.
    pub(crate) fn forget_incarnation(&mut self) {
        let (store, supervisors) = (self.store.take(), std::mem::take(&mut self.supervisors));
        *self = Self { store, supervisors, ..Self::default() };
    }

    /// R5: nothing has worked for long enough, by a reading that is not old.
    pub(crate) fn is_idle(&self, now: Awake, policy: &Policy) -> bool {
        let fresh = self.activity_at.is_some_and(|at| now.since(at) <= policy.activity_fresh);
        fresh && self.idle_since.is_some_and(|since| now.since(since) >= policy.idle_process)
    }

    /// For how long nothing has worked.
    pub(crate) fn idle_for(&self, now: Awake) -> Option<Duration> {
        self.idle_since.map(|since| now.since(since))
    }

    /// When the newest line came that speaks of two servers on one GPU.
    pub(crate) fn contention_at(&self, now: Awake, policy: &Policy) -> Option<Awake> {
        let fresh = |at: &Awake| now.since(*at) <= policy.sign_lasts;
        let of_metal = |sign: &LogSign| {
            matches!(sign.cause, CauseId::OllamaMetalContention | CauseId::OllamaMetalSessionLost)
        };
        let told = self.log.iter().rev().find(|(_, sign)| of_metal(sign));
        told.map(|(at, _)| *at).filter(fresh)
    }

    /// There is something for which what the other server did counts.
    pub(crate) fn tells_of_sharing(&self) -> bool {
        !self.log.is_empty() || self.slowed.is_some()
    }

    /// The slow measurement, while it says something about now.
    pub(crate) fn slowed(&self, now: Awake, policy: &Policy) -> Option<&Slowed> {
        self.slowed.as_ref().filter(|slowed| now.since(slowed.noted) <= policy.sign_lasts)
    }

    /// Something worked at the last reading.
    pub(crate) fn is_working(&self) -> bool {
        self.activity.is_some_and(|one| one.server_percent >= 1 || one.runners_percent >= 1)
    }

    /// R6: it works hard, and a request has had no byte for ten minutes.
    pub(crate) fn is_endless(&self, policy: &Policy) -> Option<Duration> {
        let activity = self.activity?;
        let silent = Duration::from_secs(activity.silent_for_s?);
        let works = activity.server_percent.max(activity.runners_percent) >= policy.hot_percent;
        (works && silent >= policy.endless).then_some(silent)
    }

    /// R61: since when it holds more than its models explain, once that has lasted.
    pub(crate) fn leaks(&self, now: Awake, policy: &Policy) -> bool {
        self.leaking_since.is_some_and(|since| now.since(since) >= policy.leak_lasts)
    }

    /// R61: the server itself works hard and no runner does.
    pub(crate) fn is_hot(&self, now: Awake, policy: &Policy) -> bool {
        self.hot_since.is_some_and(|since| now.since(since) >= policy.leak_lasts)
    }

    /// A runner that outlives its model; `of_a_dead` server, or of the one that serves.
    pub(crate) fn orphan(
        &self,
        now: Awake,
        policy: &Policy,
        of_a_dead: bool,
    ) -> Option<&RunnerSeen> {
        let lasts = |since: Awake| now.since(since) >= policy.orphan;
        let found = self
            .orphans
            .iter()
            .find(|(runner, since)| runner.left_behind == of_a_dead && lasts(*since));
        found.map(|(runner, _)| runner)
    }

    /// The newest line of this cause that is not older than ten minutes, with its confidence.
    pub(crate) fn sign(&self, id: CauseId, now: Awake, policy: &Policy) -> Option<&LogSign> {
        self.log
            .iter()
            .rev()
            .find(|(at, sign)| sign.cause == id && now.since(*at) <= policy.sign_lasts)
            .map(|(_, sign)| sign)
    }

    /// A request for a token was answered in the very look that brought this line.
    pub(crate) fn answers_despite(&self, id: CauseId) -> Option<&DeepSeen> {
        let deep = self.deep.as_ref().filter(|deep| deep.outcome == DeepOutcome::Answered)?;
        let told = self.log.iter().rev().find(|(_, sign)| sign.cause == id)?.0;
        (self.deep_at == Some(told)).then_some(deep)
    }

    pub(crate) fn deep_within(&self, time: Duration, now: Awake) -> Option<&DeepSeen> {
        let fresh = self.deep_at.is_some_and(|at| now.since(at) <= time);
        self.deep.as_ref().filter(|_| fresh)
    }

    /// The deep probe has failed, whatever else answers.
    pub(crate) fn deep_failed(&self) -> bool {
        self.deep_fails > 0
    }
}

impl LogSign {
    /// A line proves nothing by itself: at most likely.
    pub(crate) fn sure(&self) -> Confidence {
        self.confidence.min(Confidence::Likely)
    }
}
