//! Containers: what the event stream told, and what an end means (RECOVERY 1.9, 1.14).

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Awake;
use crate::observation::{ContainerEvent, ContainerNews, ContainerSeen, ContainerStatus};
use crate::policy::Policy;

/// What the stream told lately, with the time of the engine's clock and of ours.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct News {
    pub(crate) oom: Option<Told>,
    pub(crate) die: Option<Died>,
    kill: Option<Told>,
    pub(crate) stop: Option<Told>,
    /// Our own clock at the last ends, for crash loops.
    pub(crate) ends: VecDeque<Awake>,
    last: Option<(i64, ContainerEvent)>,
    /// The `oom` that has been concluded and told.
    pub(crate) told: Option<Told>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) engine_ms: i64,
    pub(crate) at: Awake,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Died {
    pub(crate) told: Told,
    pub(crate) exit_code: i64,
}

/// What a piece of news asks of the doctor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Told before: a replay.
    Old,
    Look,
    /// Look, but only after the verdict time: a late `oom` may follow.
    LookLater,
    /// Somebody stopped it on purpose (R34).
    Stopped,
    /// Somebody started it: a hold ends (R37).
    Started,
    Paused,
    Destroyed,
}

impl News {
    pub(crate) fn hear(&mut self, news: &ContainerNews, limits: Stop, now: Awake) -> Heard {
        let this = (news.at_ms, news.what.clone());
        if self.last.as_ref() == Some(&this) {
            return Heard::Old;
        }
        self.last = Some(this);
        let told = Told { engine_ms: news.at_ms, at: now };
        match &news.what {
            ContainerEvent::Oom => {
                self.oom = Some(told);
                Heard::LookLater
            }
            ContainerEvent::Die { exit_code } => {
                self.die = Some(Died { told, exit_code: *exit_code });
                self.ends.push_back(now);
                while self.ends.len() > 16 {
                    self.ends.pop_front();
                }
                if self.was_killed_before(news.at_ms, limits) {
                    Heard::Stopped
                } else {
                    Heard::LookLater
                }
            }
            ContainerEvent::Kill { signal } => {
                if is_a_stop(signal, limits.signal) {
                    self.kill = Some(told);
                }
                Heard::Look
            }
            // A container waiting in Docker's back-off gets `stop` without `kill` or `die`.
            ContainerEvent::Stop => {
                self.stop = Some(told);
                Heard::Stopped
            }
            ContainerEvent::Start | ContainerEvent::Restart => {
                self.kill = None;
                self.stop = None;
                Heard::Started
            }
            ContainerEvent::Pause => Heard::Paused,
            ContainerEvent::Unpause => Heard::Started,
            ContainerEvent::Destroy => Heard::Destroyed,
            ContainerEvent::Create | ContainerEvent::Rename { .. } | ContainerEvent::Health(_) => {
                Heard::Look
            }
        }
    }

    /// A stop signal within stop timeout + 5 s before the end.
    fn was_killed_before(&self, engine_ms: i64, limits: Stop) -> bool {
        self.kill.is_some_and(|kill| {
            let between = engine_ms.saturating_sub(kill.engine_ms);
            let limit = i64::try_from(limits.within.as_millis()).unwrap_or(i64::MAX);
            (0..=limit).contains(&between)
        })
    }

    /// Ended by the kernel for memory, as far as the stream tells: `oom` close to this end, in
    /// either order.
    pub(crate) fn oom_near(&self, end_ms: Option<i64>, policy: &Policy) -> bool {
        let near = i64::try_from(2 * policy.verdict.as_millis()).unwrap_or(i64::MAX);
        match (self.oom, end_ms.or(self.die.map(|die| die.told.engine_ms))) {
            (Some(oom), Some(end)) => (oom.engine_ms - end).abs() <= near,
            (Some(_) | None, None) | (None, Some(_)) => false,
        }
    }

    /// Five ends in five minutes (R30).
    pub(crate) fn is_crash_loop(&self, now: Awake, policy: &Policy) -> bool {
        let recent = |end: &&Awake| now.since(**end) <= policy.crash_loop;
        self.ends.iter().filter(recent).count() >= policy.crash_loop_exits
    }
}

/// How this container is stopped: its signal, and how long before its end the signal may lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop<'a> {
    pub(crate) signal: &'a str,
    pub(crate) within: Duration,
}

impl<'a> Stop<'a> {
    pub(crate) fn of(seen: Option<&'a ContainerSeen>, policy: &Policy) -> Self {
        let timeout = seen.map_or(10, |seen| seen.stop_timeout_s);
        let within = Duration::from_secs(timeout) + policy.kill_to_die;
        Self { signal: seen.map_or("SIGTERM", |seen| &seen.stop_signal), within }
    }
}

/// TERM, INT, QUIT, KILL or the image's own stop signal; HUP, USR1 and WINCH are not (R34).
fn is_a_stop(signal: &str, own: &str) -> bool {
    let name = match signal {
        "1" => "HUP",
        "2" => "INT",
        "3" => "QUIT",
        "9" => "KILL",
        "10" => "USR1",
        "12" => "USR2",
        "15" => "TERM",
        "28" => "WINCH",
        other => other.strip_prefix("SIG").unwrap_or(other),
    };
    matches!(name, "TERM" | "INT" | "QUIT" | "KILL")
        || name == own.strip_prefix("SIG").unwrap_or(own)
        || signal == own
}

/// Whether a container in this state is running or about to.
pub(crate) fn is_up(status: ContainerStatus) -> bool {
    match status {
        ContainerStatus::Running | ContainerStatus::Restarting => true,
        ContainerStatus::Created
        | ContainerStatus::Paused
        | ContainerStatus::Removing
        | ContainerStatus::Exited
        | ContainerStatus::Dead => false,
    }
}

/// Id and start: what R4 calls the incarnation.
pub(crate) fn incarnation(seen: &ContainerSeen) -> String {
    format!("{}@{}", seen.id, seen.started_ms.unwrap_or(0))
}
