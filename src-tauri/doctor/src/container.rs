//! Containers: what the event stream told, and what an end means (RECOVERY 1.9, 1.14).

use std::time::Duration;

use crate::clock::{Awake, Now};
use crate::exits::{Exit, Exits, is_soon, on_this_boot};
use crate::observation::{ContainerEvent, ContainerNews, ContainerSeen, ContainerStatus};
use crate::patient::Facts;
use crate::policy::Policy;

/// What the stream told lately, with the time of the engine's clock and of ours.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct News {
    pub(crate) oom: Option<Told>,
    pub(crate) die: Option<Died>,
    kill: Option<Told>,
    started_ms: Option<i64>,
    /// A start was told of while we ran: it is not found ended, it has ended.
    pub(crate) began: bool,
    /// When the life began that ended last.
    lived_from: Option<i64>,
    /// What our own stop will still bring, unless a start was told of since (R33).
    own_stop: Option<OwnStop>,
    /// The container that our own Compose made last.
    made: Option<String>,
    last: Option<(i64, ContainerEvent)>,
    /// The `oom` that has been concluded and told.
    pub(crate) told: Option<Told>,
    /// The limit under which this incarnation ended, where it was raised since.
    limit_then: Option<(Option<i64>, u64)>,
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

/// A stop that we ordered. What it brings is no person's doing: its signal, then KILL if it has to
/// be forced, one end and one `stop`, each once.
#[derive(Clone, Debug, PartialEq)]
struct OwnStop {
    until: Awake,
    /// The incarnation that it ends; another one that was seen to run is ended by somebody else.
    of: String,
    /// Compose brings it up, and makes it anew where its description has changed: until it comes to
    /// that it stops nothing.
    compose: bool,
    /// Compose 1 stops the old one first, renames it, and only then creates the new one, under the very
    /// name (docker/compose v1 `compose/service.py`, `recreate_container`): nothing tells a person's
    /// stop from its own.
    stops_first: bool,
    /// What Compose makes in its place. It creates the new one under a name of its own, stops and
    /// removes the old one, and starts the new one (docker/compose `pkg/compose/convergence.go`,
    /// `recreateContainer`).
    made: Option<String>,
    /// Somebody else stops it as well: whatever it brings is not known to be ours.
    spoilt: bool,
    /// With the engine's time: a stream that was connected anew tells it again.
    told: Vec<(Brought, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Brought {
    Signal,
    Force,
    End,
    Stop,
}

impl OwnStop {
    fn is_of(&self, id: &str) -> bool {
        self.of.is_empty() || self.of.split('@').next() == Some(id)
    }

    /// Compose ends any incarnation of the container: it may start by its policy until it is stopped.
    fn outlasts_start(&self, id: &str) -> bool {
        self.compose && self.is_of(id)
    }

    fn brings(&mut self, what: Brought, news: &ContainerNews, limits: Stop, now: Awake) -> bool {
        let another =
            |seen: &ContainerSeen| incarnation(seen) != self.of && !self.outlasts_start(&seen.id);
        if now >= self.until
            || self.spoilt
            || !self.is_of(&news.id)
            || limits.running.is_some_and(another)
            || (self.compose && self.made.is_none() && !self.stops_first)
        {
            return false;
        }
        let signalled = self.told.iter().any(|(told, _)| *told == Brought::Signal);
        if self.compose && what == Brought::End && !signalled {
            // It ended by itself before Compose came to stop it: that stop is still to come.
            return false;
        }
        if let Some((_, told_ms)) = self.told.iter().find(|(told, _)| *told == what) {
            return *told_ms == news.at_ms;
        }
        self.told.push((what, news.at_ms));
        true
    }
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
    /// What our own Compose made has been started by it.
    Made,
    Paused,
    Destroyed,
}

impl News {
    /// Its limit was raised: what ended before that ended under the one before.
    pub(crate) fn limit_was(&mut self, before: &ContainerSeen) {
        if !is_up(before.status) {
            self.limit_then.get_or_insert((before.started_ms, before.memory_limit));
        }
    }

    /// The memory limit that it ran, or ended, under; 0 is none.
    pub(crate) fn limit_of(&self, seen: &ContainerSeen) -> u64 {
        let then = self.limit_then.filter(|(started_ms, _)| *started_ms == seen.started_ms);
        then.map_or(seen.memory_limit, |(_, limit)| limit)
    }

    /// `history`: it happened before we began, and only tells whose doing the present is, and what
    /// a loop had come to by then.
    pub(crate) fn hear(
        &mut self,
        exits: &mut Exits,
        news: &ContainerNews,
        limits: Stop,
        clocks: Now,
        history: bool,
    ) -> Heard {
        let now = clocks.awake;
        let this = (news.at_ms, news.what.clone());
        if self.last.as_ref() == Some(&this) {
            return Heard::Old;
        }
        self.last = Some(this);
        let told = Told { engine_ms: news.at_ms, at: now };
        // What was told of an incarnation before the running one is history.
        let since = limits.running.and_then(|seen| seen.started_ms);
        let is_past = since.is_some_and(|since| news.at_ms < since);
        match &news.what {
            ContainerEvent::Oom => {
                self.oom = Some(told);
                Heard::LookLater
            }
            ContainerEvent::Die { exit_code } => {
                self.die = Some(Died { told, exit_code: *exit_code });
                self.lived_from = self.started_ms;
                let own = is_past || self.is_of_ours(Brought::End, news, limits, now);
                let killed = self.was_killed_before(news.at_ms, limits);
                if own || killed {
                    return if own { Heard::LookLater } else { Heard::Stopped };
                }
                // What the stream has not told of this life's start a reading may have shown.
                let start = self.started_ms.max(since.filter(|since| *since <= news.at_ms));
                let soon = is_soon(start, news.at_ms);
                let at = if history {
                    on_this_boot(clocks, news.at_ms)
                } else {
                    Some(clocks.continuous)
                };
                let exit = at.map(|at| Exit { at, engine_ms: news.at_ms, code: *exit_code, soon });
                let is_new = exit.is_some_and(|exit| exits.count(exit));
                match (history, is_new) {
                    (true, _) => Heard::Look,
                    (false, true) => Heard::LookLater,
                    (false, false) => Heard::Old,
                }
            }
            ContainerEvent::Kill { signal } => {
                if is_a_stop(signal, limits.signal) {
                    self.kill = Some(told);
                    let forced = name_of(signal) == "KILL" && name_of(limits.signal) != "KILL";
                    let what = if forced { Brought::Force } else { Brought::Signal };
                    if !is_past && !self.is_of_ours(what, news, limits, now) {
                        self.own_stop.iter_mut().for_each(|own| own.spoilt = true);
                    }
                }
                Heard::Look
            }
            // A container waiting in Docker's back-off gets `stop` without `kill` or `die`.
            ContainerEvent::Stop => {
                if is_past || self.is_of_ours(Brought::Stop, news, limits, now) {
                    Heard::Look
                } else {
                    Heard::Stopped
                }
            }
            ContainerEvent::Start | ContainerEvent::Restart => {
                self.kill = None;
                self.started_ms = Some(news.at_ms);
                self.began |= !history;
                let ended = self.own_stop.take_if(|own| !own.outlasts_start(&news.id));
                let made = ended.filter(|own| now < own.until).and_then(|own| own.made);
                if made.as_ref() == Some(&news.id) {
                    self.made = made;
                    return Heard::Made;
                }
                Heard::Started
            }
            ContainerEvent::Pause => Heard::Paused,
            ContainerEvent::Unpause => {
                // It goes on as it was: whatever of ours was to stop it is over.
                self.own_stop.take_if(|own| !own.outlasts_start(&news.id));
                Heard::Started
            }
            ContainerEvent::Destroy => Heard::Destroyed,
            ContainerEvent::Create | ContainerEvent::Rename { .. } | ContainerEvent::Health(_) => {
                Heard::Look
            }
        }
    }

    fn is_of_ours(
        &mut self,
        what: Brought,
        news: &ContainerNews,
        limits: Stop,
        now: Awake,
    ) -> bool {
        self.own_stop.as_mut().is_some_and(|own| own.brings(what, news, limits, now))
    }

    /// A container was created under `name`; whether our own Compose does that, to replace this one.
    pub(crate) fn is_replaced(&mut self, name: &str, by: &str, now: Awake) -> bool {
        let Some(own) = self.own_stop.as_mut().filter(|own| own.compose && now < own.until) else {
            return false;
        };
        let short = name.split('_').next().unwrap_or_default();
        let is_its = own.made.is_none() && short.len() == SHORT_ID && own.of.starts_with(short);
        if is_its {
            own.made = Some(by.to_owned());
        }
        is_its
    }

    /// A container was created under this one's own name: by our own Compose 1 it is what it makes.
    pub(crate) fn succeed(&mut self, by: &str, now: Awake) {
        if let Some(own) = self.own_stop.as_mut().filter(|own| own.stops_first && now < own.until)
            && !own.is_of(by)
        {
            own.made.get_or_insert_with(|| by.to_owned());
        }
    }

    /// Our own Compose made this container.
    pub(crate) fn was_made(&self, id: &str) -> bool {
        self.made.as_deref() == Some(id)
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
        match (self.oom, end_ms) {
            (Some(oom), Some(end)) => (oom.engine_ms - end).abs() <= near,
            (Some(_) | None, None) | (None, Some(_)) => false,
        }
    }

    /// When the stream told of a want of memory, and whether that ended the container.
    pub(crate) fn want_of_memory(&self) -> Option<(i64, bool)> {
        let oom = self.oom?.engine_ms;
        let ended = self.die.is_some_and(|Died { told, exit_code }| {
            exit_code == 137 && (told.engine_ms - oom).abs() <= OOM_END_MS
        });
        Some((oom, ended))
    }

    /// A stop signal was sent close to this end.
    pub(crate) fn kill_near(&self, end_ms: Option<i64>, policy: &Policy) -> bool {
        let near = i64::try_from(policy.kill_to_die.as_millis()).unwrap_or(i64::MAX);
        match (self.kill, end_ms) {
            (Some(kill), Some(end)) => (0..=near).contains(&(end - kill.engine_ms)),
            (Some(_) | None, None) | (None, Some(_)) => false,
        }
    }

    /// The last end that the stream told of, and when that life began.
    pub(crate) fn last_end(&self) -> Option<(i64, Option<i64>)> {
        self.die.map(|died| (died.told.engine_ms, self.lived_from))
    }

    /// How long it lived before its last end, where both are known.
    pub(crate) fn lived(&self, seen: &ContainerSeen) -> Option<Duration> {
        let (start, end) = if is_up(seen.status) {
            // It runs again: only the stream told of the life before.
            (self.lived_from?, self.die?.told.engine_ms)
        } else {
            (
                seen.started_ms?,
                self.end_of(seen).map(|died| died.told.engine_ms).or(seen.finished_ms)?,
            )
        };
        u64::try_from(end.checked_sub(start)?).ok().map(Duration::from_millis)
    }

    /// It lived for less than this before its last end (R58).
    pub(crate) fn lived_less_than(&self, limit: Duration, seen: &ContainerSeen) -> bool {
        let end = self.end_of(seen).map(|died| died.told.engine_ms).or(seen.finished_ms);
        let limit = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        match (self.started_ms.or(seen.started_ms), end) {
            (Some(start), Some(end)) => (0..limit).contains(&(end - start)),
            (Some(_) | None, None) | (None, Some(_)) => false,
        }
    }

    /// We stop this incarnation ourselves now: what the stream tells of it is no person's doing.
    pub(crate) fn expect_own_stop(&mut self, of: String, until: Awake) {
        self.expect(of, false, until);
    }

    /// Compose brings it up now. What a stop of ours right before it brings is still ours.
    pub(crate) fn expect_compose(&mut self, of: String, until: Awake) {
        if self.own_stop.as_ref().is_none_or(|own| own.compose || own.spoilt) {
            self.expect(of, true, until);
        }
    }

    fn expect(&mut self, of: String, compose: bool, until: Awake) {
        self.own_stop = Some(OwnStop {
            until,
            of,
            compose,
            stops_first: false,
            made: None,
            spoilt: false,
            told: Vec::new(),
        });
    }

    /// The Compose that brings it up now is the first one.
    pub(crate) fn expect_stop_first(&mut self) {
        if let Some(own) = self.own_stop.as_mut().filter(|own| own.compose) {
            own.stops_first = true;
        }
    }

    /// What was to be made anew has been: from then on an end of it is not ours.
    pub(crate) fn expect_no_stop_after(&mut self, until: Awake) {
        if let Some(own) = self.own_stop.as_mut().filter(|own| own.compose) {
            own.until = own.until.min(until);
        }
    }

    /// Our stop was not carried out: whatever ends it now is not ours.
    pub(crate) fn expect_no_stop(&mut self) {
        self.own_stop = None;
    }

    /// The end that this reading of a stopped container shows, if the stream told of it.
    pub(crate) fn end_of(&self, seen: &ContainerSeen) -> Option<Died> {
        let near = |died: &Died| {
            seen.finished_ms.is_none_or(|at| (at - died.told.engine_ms).abs() <= SAME_END_MS)
        };
        self.die.filter(near)
    }
}

/// Whether the end at `at_ms`, of a life that began at `from_ms`, is the one that is known: what a
/// reading and what the stream says of one end differs a little (both on the engine's clock).
pub(crate) fn is_same_end(known_ms: i64, at_ms: i64, from_ms: Option<i64>) -> bool {
    let began_before = from_ms.is_none_or(|from| from <= known_ms);
    known_ms == at_ms || began_before && (at_ms - known_ms).abs() <= SAME_END_MS
}

/// An `oom` and the end that it means are told within this time, in either order.
pub(crate) const OOM_END_MS: i64 = 4_000;
/// So long are the ids that people see.
const SHORT_ID: usize = 12;
/// The engine writes an end down and tells of it within this time.
const SAME_END_MS: i64 = 5_000;

/// How this container is stopped: its signal, and how long before its end the signal may lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop<'a> {
    pub(crate) signal: &'a str,
    pub(crate) within: Duration,
    /// Its last reading, when it was seen to run.
    pub(crate) running: Option<&'a ContainerSeen>,
}

impl<'a> Stop<'a> {
    pub(crate) fn of(seen: Option<&'a ContainerSeen>, policy: &Policy) -> Self {
        let timeout = seen.map_or(10, |seen| seen.stop_timeout_s);
        let within = Duration::from_secs(timeout) + policy.kill_to_die;
        let running = seen.filter(|seen| seen.status == ContainerStatus::Running);
        Self { signal: seen.map_or("SIGTERM", |seen| &seen.stop_signal), within, running }
    }
}

/// TERM, INT, QUIT, KILL or the image's own stop signal; HUP, USR1 and WINCH are not (R34).
fn is_a_stop(signal: &str, own: &str) -> bool {
    let name = name_of(signal);
    matches!(name, "TERM" | "INT" | "QUIT" | "KILL") || name == name_of(own)
}

/// A signal's name without `SIG`; the engine tells of it by number or by name.
fn name_of(signal: &str) -> &str {
    match signal {
        "1" => "HUP",
        "2" => "INT",
        "3" => "QUIT",
        "9" => "KILL",
        "10" => "USR1",
        "12" => "USR2",
        "15" => "TERM",
        "28" => "WINCH",
        other => other.strip_prefix("SIG").unwrap_or(other),
    }
}

/// It was ended, last time, by a kill that neither the kernel nor a person explains: when, on the
/// engine's clock.
pub(crate) fn unexplained_kill(facts: &Facts, policy: &Policy) -> Option<i64> {
    let seen = facts.container.as_ref()?;
    let news = &facts.container_news;
    let (code, end) = match news.die {
        Some(died) => (died.exit_code, died.told.engine_ms),
        None if is_up(seen.status) => return None,
        None => (seen.exit_code, seen.finished_ms?),
    };
    let explained = (seen.oom_killed && !is_up(seen.status))
        || news.oom_near(Some(end), policy)
        || news.kill_near(Some(end), policy);
    (code == 137 && !explained).then_some(end)
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

/// It was created and never started. What could not be started stays `created` too, with the code of
/// that failure: 126, 127, and 128 for any other (moby `daemon/start.go`, `containerStart`).
pub(crate) fn is_not_started(seen: &ContainerSeen) -> bool {
    seen.status == ContainerStatus::Created && seen.exit_code == 0
}

/// Id and start: what R4 calls the incarnation.
pub(crate) fn incarnation(seen: &ContainerSeen) -> String {
    format!("{}@{}", seen.id, seen.started_ms.unwrap_or(0))
}
