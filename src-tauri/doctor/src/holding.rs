//! Holding: what a person stopped stays stopped, for a time or until a person ends it (R33 to R37).

use std::time::Duration;

use crate::clock::{Now, Wall, millis};
use crate::doctor::Doctor;
use crate::incident::IncidentState;
use crate::ledger::{Account, HeldBy, Hold, Intent};
use crate::order::Depth;
use crate::patient::Patient;
use crate::phase::{Phase, Reason};
use crate::sentence::Sentence;
use crate::target::TargetId;

impl Doctor {
    /// From now on it is left alone. What is held already keeps its timer, unless a person sets
    /// another.
    pub(crate) fn hold(&mut self, id: &TargetId, by: HeldBy, within: Option<Duration>) {
        let now = self.now;
        self.supersede(id, "step.held");
        let Some(patient) = self.patients.get_mut(id) else { return };
        let until = within.map(|within| now.continuous + within);
        // Whoever stops it while a hold runs out by the clock makes it last.
        let for_a_while = patient.account.hold.as_ref().is_some_and(|hold| hold.until.is_some());
        if patient.account.intent != Intent::Held
            || for_a_while
            || matches!(by, HeldBy::Hold | HeldBy::Stop)
        {
            patient.account.hold(by, until, now.wall);
        }
        patient.account.given_up = None;
        patient.urged = false;
        patient.met = true;
        patient.forget_counts();
        if !patient.phase.is_usable() || by == HeldBy::Paused {
            let says = held(&patient.account, now);
            patient.enter(Phase::Unknown, Reason::says("R34", says), now);
        }
        self.close_incident(id, IncidentState::Closed, Some("story.held"));
    }

    /// R37: a timer ends a hold; the target is looked at and, when it is down, healed. What we
    /// stopped for that time is started again.
    pub(crate) fn end_holds(&mut self) {
        let now = self.now.continuous;
        // R42: nothing is started while the machine is waking.
        let waking = self.is_waking();
        let over = |hold: &Hold| hold.until.is_some_and(|until| now >= until);
        let ended: Vec<TargetId> = self
            .patients
            .iter()
            .filter(|(_, one)| one.account.hold.as_ref().is_some_and(over))
            .filter(|(_, one)| !(waking && is_paused(&one.account)))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ended {
            let paused = self.patients.get(&id).is_some_and(|one| is_paused(&one.account));
            if let Some(patient) = self.patients.get_mut(&id) {
                // The start knows by the hold who has stopped it, and ends it.
                if !paused {
                    patient.account.want();
                }
                // It was held on purpose: it is wanted, though it may never have been seen to run.
                patient.met = true;
            }
            self.look_soon(&id, Depth::Full);
            if paused {
                self.end_pause(&id);
            }
        }
    }

    /// Its container is held: it is stopped with it, and released with it.
    pub fn held_with(&self, id: &TargetId) -> Option<&TargetId> {
        let parent = self.patients.get(id)?.inhibited_by.as_ref()?;
        self.is_held_container(parent).then_some(parent)
    }

    pub(crate) fn is_held_container(&self, id: &TargetId) -> bool {
        let inside = self.patients.get(id);
        matches!(id, TargetId::Container(_))
            && inside.is_some_and(|inside| inside.account.intent == Intent::Held)
    }

    /// R36: who quits the application means it; a crash is a fault like any other. What ends
    /// while we are at it ends through us, and what we had quit at a person's word keeps their time.
    pub(crate) fn application_ended(&mut self, target: &TargetId, normal: bool) {
        let stopped = |hold: &Hold| hold.by == HeldBy::Stop;
        let account = self.patients.get(target).map(|patient| &patient.account);
        let by_us = account.and_then(|account| account.hold.as_ref()).is_some_and(stopped);
        if normal && !by_us && self.running_on(target).is_none() {
            self.hold(target, HeldBy::Quit, None);
        }
        self.look_soon(target, Depth::Full);
    }
}

/// A person had it stopped for a time.
fn is_paused(account: &Account) -> bool {
    let timed = |hold: &Hold| hold.by == HeldBy::Stop && hold.until.is_some();
    account.hold.as_ref().is_some_and(timed)
}

/// It did not run when it came to be held. Who asked us to stop it may not have been obeyed before
/// we ended ourselves, and what is to be left alone may run.
pub(crate) fn hold_is_of_what_is_gone(account: &Account) -> bool {
    let gone = account.hold.as_ref().is_some_and(|hold| match hold.by {
        HeldBy::Outside
        | HeldBy::Quit
        | HeldBy::Paused
        | HeldBy::Found
        | HeldBy::Created
        | HeldBy::LedgerLost => true,
        HeldBy::Hold | HeldBy::Stop => false,
    });
    gone && account.act.is_none()
}

/// An engine that shuts down, or clears up after a crash, stops its containers as a person would:
/// only so long after a stop is it known whose it was (R34).
const ENGINE_GOES: Duration = Duration::from_secs(15);

/// Why what lives in a container is left alone together with it.
pub(crate) fn held_in(container: &Patient, now: Now) -> Sentence {
    let own = held(&container.account, now);
    let key = if own.key == "why.stopped" { "why.stopped_with" } else { "why.held_with" };
    let says = Sentence::new(key).with("parent", container.spec.id.name());
    match own.values.get("at") {
        Some(at) if key == "why.stopped_with" => says.with("at", at.clone()),
        Some(_) | None => says,
    }
}

/// Why it is left alone: who stopped it and when, or until when.
pub(crate) fn held(account: &Account, now: Now) -> Sentence {
    let Some(hold) = &account.hold else { return Sentence::new("why.held") };
    if let Some(until) = hold.until {
        let left = i64::try_from(millis(until.since(now.continuous))).unwrap_or(i64::MAX);
        let until = Wall(now.wall.0.saturating_add(left));
        let key = if is_paused(account) { "why.stopped_until" } else { "why.held_until" };
        return Sentence::new(key).with("until", until);
    }
    let since = |key: &str| Sentence::new(key).with("at", hold.since);
    match hold.by {
        HeldBy::Hold => since("why.held"),
        HeldBy::Outside if now.wall.since(hold.since) < ENGINE_GOES => {
            Sentence::new("why.just_stopped")
        }
        HeldBy::Stop | HeldBy::Outside => since("why.stopped"),
        HeldBy::Quit => since("why.quit"),
        HeldBy::Paused => Sentence::new("why.paused"),
        HeldBy::Found => Sentence::new("why.found_stopped"),
        HeldBy::Created => Sentence::new("why.not_started"),
        HeldBy::LedgerLost => Sentence::new("why.ledger_lost"),
    }
}
