//! Hearing: what a piece of news from Docker's stream changes, and whose stop it tells of (R33 to R37).

use std::collections::BTreeSet;
use std::time::Duration;

use crate::container::{self, Heard, Stop};
use crate::containers::PATIENTS;
use crate::doctor::Doctor;
use crate::ledger::{HeldBy, Intent};
use crate::looking::NEVER;
use crate::observation::{ContainerEvent, ContainerNews};
use crate::order::Depth;
use crate::storm;
use crate::target::{Care, TargetId};

/// The engine tells what happened since our last record at once, when our first stream begins.
const REPLAY: Duration = Duration::from_secs(5);
/// So far may its clock be ahead of ours: what it told live in that time is taken for the past.
const APART_MS: i64 = 1_000;

impl Doctor {
    /// News from the stream.
    pub(crate) fn heard(&mut self, news: &ContainerNews) {
        let now = self.now;
        let id = TargetId::Container(news.name.clone());
        if !self.patients.contains_key(&id)
            && news.what == ContainerEvent::Start
            && self.patients.contains_key(&TargetId::Docker)
            && self.patients.len() < PATIENTS
        {
            // Known to nobody yet: a container that just began.
            self.admit(&news.name);
        }
        if news.what == ContainerEvent::Create && self.is_made_by_us(news) {
            return;
        }
        let own = self.is_our_doing(&id);
        let policy = self.policy.clone();
        let history = self.is_history(news);
        let clears_up = !history && self.engine_clears_up();
        let docker = !history && self.docker_stops_its_own();
        let Some(patient) = self.patients.get_mut(&id) else { return };
        if news.what == ContainerEvent::Create {
            patient.facts.container_news.succeed(&news.id, now.awake);
        }
        let container = patient.facts.container.clone();
        let limits = Stop::of(container.as_ref(), &policy);
        let heard = patient.facts.container_news.hear(
            &mut patient.account.exits,
            news,
            limits,
            now,
            history,
        );
        match heard {
            Heard::Old => return,
            Heard::Look => {}
            Heard::LookLater => {
                let later = now.awake + policy.verdict;
                patient.due = if patient.due == NEVER { later } else { patient.due.min(later) };
                patient.depth = Depth::Full;
                if let (ContainerEvent::Die { exit_code }, false) = (&news.what, own) {
                    let how = storm::ended(container.as_ref(), *exit_code, Some(news.at_ms));
                    self.turned_bad(&id, how);
                }
                return;
            }
            // R34: an engine that comes back after a crash clears up what it left behind, and tells of
            // what it ended while it went: two or all of them, which is no person's doing.
            Heard::Stopped if clears_up && self.engine_stopped => {}
            Heard::Stopped if docker => {}
            Heard::Stopped => {
                self.hold_by_event(&id);
                if history {
                    // An engine that goes or comes now did not stop it then.
                    self.held_lately.retain(|(held, _)| *held != id);
                }
                self.engine_stopped = clears_up && self.want_what_the_engine_stopped();
            }
            Heard::Started => {
                // Whether Docker's policy started what is held, only a reading tells (R37).
                let held = patient.account.intent == Intent::Held
                    && patient.account.hold.as_ref().is_some_and(|one| one.by == HeldBy::Hold);
                let asked = patient.account.intent != Intent::Wanted && !held
                    || news.what == ContainerEvent::Restart;
                if asked && !own {
                    patient.account.want();
                    self.forgive(&id);
                }
            }
            Heard::Made => {}
            Heard::Paused => self.hold(&id, HeldBy::Paused, None),
            Heard::Destroyed => {}
        }
        self.look_soon(&id, Depth::Full);
    }

    /// What Compose makes has the name of what it replaces behind that one's short id, until it has
    /// replaced it.
    fn is_made_by_us(&mut self, news: &ContainerNews) -> bool {
        let now = self.now.awake;
        let Some((_, replaced)) = news.name.split_once('_') else { return false };
        let patient = self.patients.get_mut(&TargetId::Container(replaced.into()));
        patient.is_some_and(|one| one.facts.container_news.is_replaced(&news.name, &news.id, now))
    }

    /// A remedy of ours is under way on this container, or on the service inside it (R33).
    pub(crate) fn is_our_doing(&self, id: &TargetId) -> bool {
        self.running_on(id).is_some()
            || self.operations.iter().any(|one| {
                let inside = self.patients.get(&one.target).is_some_and(|patient| {
                    matches!(
                        (&patient.spec.care, id),
                        (Care::Service { container: Some(name), .. }, TargetId::Container(this))
                            if name == this
                    )
                });
                one.is_remedy() && one.is_running() && inside
            })
    }

    /// R34: a person stopped it, unless the engine itself goes away now.
    fn hold_by_event(&mut self, id: &TargetId) {
        let now = self.now.awake;
        let Some(account) = self.patients.get(id).map(|patient| &patient.account) else { return };
        let for_a_while = account.hold.as_ref().is_some_and(|hold| hold.until.is_some());
        if for_a_while {
            self.hold(id, HeldBy::Outside, None);
        } else if account.intent == Intent::Wanted {
            self.hold(id, HeldBy::Outside, None);
            let window = self.policy.daemon_stop;
            self.held_lately.retain(|(other, at)| other != id && now.since(*at) <= window);
            self.held_lately.push((id.clone(), now));
        }
    }

    pub(crate) fn stream(&mut self, connected: bool) {
        if connected {
            self.replayed.get_or_insert(self.now.awake + REPLAY);
            if std::mem::take(&mut self.engine_lost) {
                self.engine_back = Some(self.now.awake);
                self.engine_stopped = false;
            }
            self.look_soon(&TargetId::Docker, Depth::Full);
        } else {
            self.engine_went_away();
            self.look_soon(&TargetId::Docker, Depth::Shallow);
        }
    }

    /// R34: a daemon that shuts down stops its containers as a person would. What it stopped
    /// within the last 15 s, two or all of them, stays wanted.
    fn engine_went_away(&mut self) {
        self.want_what_the_engine_stopped();
    }

    /// Its ping failed while its stream goes on: that one container stopped, though it was the last,
    /// is rather a person's doing.
    pub(crate) fn engine_may_have_gone(&mut self) {
        let (now, window) = (self.now.awake, self.policy.daemon_stop);
        self.held_lately.retain(|(_, at)| now.since(*at) <= window);
        if self.held_lately.len() >= 2 {
            self.want_what_the_engine_stopped();
        }
    }

    /// Whether those that stopped lately were so many that the engine must have stopped them.
    fn want_what_the_engine_stopped(&mut self) -> bool {
        let now = self.now.awake;
        let window = self.policy.daemon_stop;
        self.held_lately.retain(|(_, at)| now.since(*at) <= window);
        // By their last readings: their phases are unknown as soon as the engine is not well. What
        // is held by a wish runs on, and shows as well that not all have stopped.
        let stopped: BTreeSet<&TargetId> = self.held_lately.iter().map(|(held, _)| held).collect();
        let running = self
            .patients
            .iter()
            .filter(|(id, _)| !stopped.contains(id))
            .map(|(_, patient)| patient)
            .filter_map(|patient| patient.facts.container.as_ref())
            .filter(|seen| container::is_up(seen.status))
            .count();
        let is_engine =
            self.held_lately.len() >= 2 || (running == 0 && !self.held_lately.is_empty());
        if is_engine {
            for (id, _) in std::mem::take(&mut self.held_lately) {
                if let Some(patient) = self.patients.get_mut(&id) {
                    patient.account.want();
                }
                self.look_soon(&id, Depth::Full);
            }
        }
        is_engine
    }

    /// What the engine tells again of the time in which we did not run.
    fn is_history(&self, news: &ContainerNews) -> bool {
        let began = self.began.0.saturating_add(APART_MS);
        self.replayed.is_some_and(|until| self.now.awake < until) && news.at_ms <= began
    }

    fn engine_clears_up(&self) -> bool {
        self.engine_back
            .is_some_and(|back| self.now.awake.since(back) <= self.policy.engine_clears_up)
    }
}
