//! What an end without a word says about ourselves (R39), and when nothing is done unasked.

use crate::clock::Awake;
use crate::doctor::Doctor;
use crate::ledger::Ledger;
use crate::phase::Reason;
use crate::sentence::Sentence;

/// Nothing disruptive is done and nothing started, unless a person asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Observing {
    pub(crate) until: Awake,
    pub(crate) because: Because,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Because {
    /// We crashed again and again (R39).
    Crashed,
    /// The configuration cannot be read (fault 53).
    Misconfigured,
}

impl Doctor {
    /// R39: a start without an orderly end before it is a crash of ours; after a boot it is the
    /// machine's. What was observing and crashed again goes on observing.
    pub(crate) fn recall_crashes(&mut self, ledger: &Ledger) {
        let now = self.now.continuous;
        let memory = self.policy.crash_memory;
        if ledger.boot == self.now.boot {
            self.crashes.clone_from(&ledger.crashes);
            if !ledger.ended {
                self.crashes.push(now);
            }
        }
        self.crashes.retain(|at| now.since(*at) < memory);
        let many = self.crashes.len() >= self.policy.crashes;
        let again = ledger.observing && !ledger.ended;
        if many || again {
            let until = self.now.awake + memory;
            self.observing = Some(Observing { until, because: Because::Crashed });
        }
        if many && !again {
            let count = self.crashes.len();
            let reason = format!("{count} starts without an orderly end within 10 minutes");
            self.tell_about_ourselves("ourselves.crashing", &reason);
        }
    }

    /// Fault 53: what a person wrote and we cannot read may have said "leave it alone".
    pub(crate) fn misconfigured(&mut self) {
        let until = self.now.awake + self.policy.misconfigured;
        if self.observing.is_none_or(|observing| observing.until < until) {
            self.observing = Some(Observing { until, because: Because::Misconfigured });
        }
    }

    /// A configuration that can be read is in force again (fault 53).
    pub(crate) fn configured_well(&mut self) {
        self.observing.take_if(|one| one.because == Because::Misconfigured);
    }

    /// The quiet time is over. Crashes that were survived so long are forgotten.
    pub(crate) fn end_observing(&mut self) {
        if self.observing.is_some_and(|observing| self.now.awake >= observing.until) {
            self.trust_ourselves();
        }
    }

    /// A person's word ends it as well.
    pub(crate) fn trust_ourselves(&mut self) {
        if let Some(ended) = self.observing.take()
            && ended.because == Because::Crashed
        {
            self.crashes.clear();
            self.record(None);
        }
    }

    pub(crate) fn is_faltering(&self) -> bool {
        self.observing.is_some_and(|observing| observing.because == Because::Crashed)
    }

    /// Why nothing is done unasked, while that is so.
    pub fn observes(&self) -> Option<Reason> {
        let Some(observing) = self.observing else { return self.leaves_it_to_others() };
        let reason = match observing.because {
            Because::Crashed => Reason::new("R39", "why.crashed"),
            Because::Misconfigured => Reason::new("2.53", "why.misconfigured"),
        };
        Some(reason.until(observing.until))
    }

    /// C12: two that heal the same thing fight; until a person has us take over we only watch.
    fn leaves_it_to_others(&self) -> Option<Reason> {
        let names = self.healers.join(", ");
        let says = || Sentence::new("why.other_healers").with("names", names.as_str());
        (!names.is_empty()).then(|| Reason::says("C12", says()))
    }

    /// From here on everything on disk says that we ended in an orderly way.
    pub(crate) fn ending(&mut self) {
        self.ending = true;
        self.record(None);
    }
}
