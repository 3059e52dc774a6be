//! The cloud as a fallback: agents are told to use it while Ollama cannot be healed, and that they
//! use it more than they should is told (C10).

use std::collections::VecDeque;
use std::time::Duration;

use crate::cause::CauseId;
use crate::clock::Continuous;
use crate::doctor::Doctor;
use crate::notice::NoticeKind;
use crate::order::Depth;
use crate::phase::Phase;
use crate::sentence::Sentence;
use crate::target::TargetId;

/// Calls are counted over so long.
const WINDOW: Duration = Duration::from_hours(1);
/// What is told within this time is one entry.
const GRAIN: Duration = Duration::from_mins(1);

/// Calls of agents to language models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    pub local: u64,
    pub cloud: u64,
}

impl Calls {
    fn add(&mut self, other: Self) {
        self.local = self.local.saturating_add(other.local);
        self.cloud = self.cloud.saturating_add(other.cloud);
    }

    fn all(self) -> u64 {
        self.local.saturating_add(self.cloud)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Fallback {
    /// Agents are told to use the cloud.
    is_on: bool,
    /// What was reported within the hour, a minute an entry.
    lately: VecDeque<(Continuous, Calls)>,
    /// Since the start.
    ever: Calls,
    /// That the cloud does more than half was told; again after it has done less.
    told: bool,
}

impl Doctor {
    /// Whether agents should use the cloud: Ollama was given up or is not installed, and has not
    /// been verified since.
    pub fn fallback(&self) -> bool {
        self.fallback.is_on
    }

    /// Calls that agents reported, since the start.
    pub fn calls(&self) -> Calls {
        self.fallback.ever
    }

    /// Calls that agents reported within the last hour.
    pub fn calls_lately(&self) -> Calls {
        let mut sum = Calls::default();
        for (at, calls) in &self.fallback.lately {
            if self.now.continuous.since(*at) < WINDOW {
                sum.add(*calls);
            }
        }
        sum
    }

    /// What agents report of their calls. More than half of them in the cloud is told once, and
    /// Ollama is looked at in depth: the agents may know more than its answers show (R23).
    pub(crate) fn called(&mut self, calls: Calls) {
        let now = self.now.continuous;
        self.fallback.ever.add(calls);
        self.fallback.lately.retain(|(at, _)| now.since(*at) < WINDOW);
        match self.fallback.lately.back_mut() {
            Some((at, sum)) if now.since(*at) < GRAIN => sum.add(calls),
            Some(_) | None => self.fallback.lately.push_back((now, calls)),
        }
        let lately = self.calls_lately();
        let is_much = lately.all() >= self.policy.cloud_calls
            && lately.cloud.saturating_mul(100)
                > lately.all().saturating_mul(self.policy.cloud_percent);
        if !is_much {
            self.fallback.told = false;
        } else if !std::mem::replace(&mut self.fallback.told, true) {
            self.tell_cloud_calls(lately);
            self.look_soon(&TargetId::Ollama, Depth::Deep);
        }
    }

    /// Told by its own phase, and only withdrawn by health that was verified.
    pub(crate) fn judge_fallback(&mut self) {
        let Some(ollama) = self.patients.get(&TargetId::Ollama) else { return };
        let is_missing =
            ollama.phase.cause().is_some_and(|cause| cause.id == CauseId::OllamaNotInstalled);
        match &ollama.phase {
            Phase::GivenUp { .. } => self.fallback.is_on = true,
            Phase::Healthy | Phase::Slow => self.fallback.is_on = false,
            Phase::Unknown if ollama.account.given_up.is_some() => self.fallback.is_on = true,
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Degraded { .. }
            | Phase::Down { .. }
            | Phase::Recovering { .. } => self.fallback.is_on |= is_missing,
        }
    }

    fn tell_cloud_calls(&mut self, lately: Calls) {
        let id = TargetId::Ollama;
        let percent = lately.cloud.saturating_mul(100) / lately.all().max(1);
        let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let title = Sentence::new("notice.cloud_calls")
            .with("percent", count(percent))
            .with("count", count(lately.all()));
        let incident = self.open_one(&id);
        let advice =
            if incident.is_some() { "notice.cloud_calls_sick" } else { "notice.cloud_calls_well" };
        let lines = vec![Sentence::new(advice)];
        self.tell(NoticeKind::CloudCalls, &id, incident.as_ref(), title, lines);
    }
}
