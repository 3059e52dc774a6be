//! Recording: what must be on disk before it is done, and what was found there (R33, faults 52, 54).

use std::time::Duration;

use crate::clock::{Awake, millis};
use crate::doctor::Doctor;
use crate::event::LedgerFound;
use crate::incident::{Incident, IncidentState, Verb};
use crate::ledger::Act;
use crate::order::{Entry, Order, Record, RecordId};
use crate::target::TargetId;

/// What could not be written is tried again so often: the disk may have room by now.
const RETRY: Duration = Duration::from_mins(1);

impl Doctor {
    pub(crate) fn restored(&mut self, found: LedgerFound, open: Vec<Incident>) {
        let mut charged = Vec::new();
        if let LedgerFound::Good(ledger) = &found {
            self.recall_crashes(ledger);
            charged = self.panic_suspects(ledger);
        }
        self.restore(found);
        self.resume(open);
        self.charge(charged);
        // That we run is on disk from the first moment: an end without a word is told by it.
        self.record(None);
    }

    fn restore(&mut self, found: LedgerFound) {
        match found {
            LedgerFound::None => {}
            LedgerFound::Good(ledger) => {
                for (id, account) in ledger.on_this_boot(self.now) {
                    match self.patients.get_mut(&id) {
                        Some(patient) => {
                            let act = account.act.as_ref().map(|act| act.verb);
                            patient.written.clone_from(&account);
                            patient.account = account;
                            if act.is_some() {
                                // R26: an attempt that was cut off with us ended then.
                                patient.account.last_attempt = Some(self.now.continuous);
                            }
                            // A server that we were starting may still be on its way (R14).
                            let server = matches!(id, TargetId::Ollama | TargetId::Mlx);
                            if server && act.is_some_and(|verb| verb != Verb::Stop) {
                                patient.give_grace("why.interrupted", self.now);
                            }
                        }
                        None => {
                            self.absent.insert(id, account);
                        }
                    }
                }
                self.expect_own_stops();
            }
            LedgerFound::Damaged => {
                self.tell_about_ourselves(
                    "ourselves.ledger_lost",
                    "both copies are damaged or gone",
                );
                for patient in self.patients.values_mut() {
                    patient.account.attempts = self.policy.attempts.saturating_sub(1);
                    patient.account.doubtful = true;
                }
            }
        }
    }

    /// What we stopped just before we ended may still be told (R33).
    fn expect_own_stops(&mut self) {
        let until = self.now.awake + self.policy.wake_hold;
        let acts: Vec<(TargetId, Act)> = self
            .patients
            .iter()
            .filter_map(|(id, patient)| Some((id.clone(), patient.account.act.clone()?)))
            .filter(|(_, act)| act.verb != Verb::Start)
            .collect();
        for (id, act) in acts {
            if let Some(patient) = self.patients.get_mut(&self.container_in(&id)) {
                patient.facts.container_news.expect_own_stop(act.incarnation, until);
            }
        }
    }

    /// An incident outlives us: it is closed when its target is well, whoever healed it. It was
    /// told before we ended, unless it was quite new (R55).
    fn resume(&mut self, open: Vec<Incident>) {
        for incident in open {
            let id = incident.target.clone();
            if let TargetId::Container(name) = &id {
                self.admit(name);
            }
            let (now, is_new_within) = (self.now, self.policy.notice_after_treated);
            if let Some(patient) = self.patients.get_mut(&id) {
                let age = now.wall.since(incident.opened);
                patient.opened = Awake(now.awake.0.saturating_sub(millis(age)));
                // No repair runs any more, whatever was under way when we ended.
                let state = match incident.state {
                    IncidentState::Healing => IncidentState::Open,
                    IncidentState::Open
                    | IncidentState::GivenUp
                    | IncidentState::Verified
                    | IncidentState::HealedItself
                    | IncidentState::Closed => incident.state,
                };
                patient.incident = Some(Incident { state, ..incident });
                self.notices.resumed(&id, now.awake, age < is_new_within);
            } else {
                // No longer watched: it is ended in the journal, as any dismissed target's is.
                let closed =
                    Incident { state: IncidentState::Closed, closed: Some(now.wall), ..incident };
                self.record(Some(Entry::Incident(closed)));
            }
        }
    }

    pub(crate) fn record(&mut self, entry: Option<Entry>) -> RecordId {
        let id = self.next_id();
        self.last_record = self.now.awake;
        for patient in self.patients.values_mut() {
            if patient.written != patient.account {
                patient.written.clone_from(&patient.account);
            }
        }
        self.orders.push(Order::Record(Record { id, ledger: None, entry }));
        id
    }

    /// The ledger goes with the first record of one event, as it is after that event: a snapshot of a
    /// thousand containers that were restarted has a thousand records, and one ledger.
    pub(crate) fn add_ledger(&mut self) {
        let records = |order: &Order| matches!(order, Order::Record(_));
        let Some(at) = self.orders.iter().position(records) else { return };
        let ledger = self.ledger();
        if let Order::Record(record) = &mut self.orders[at] {
            record.ledger = Some(ledger);
        }
    }

    pub(crate) fn touch_incident(&mut self, id: &TargetId) {
        if !self.dirty_incidents.contains(id) {
            self.dirty_incidents.push(id.clone());
        }
    }

    pub(crate) fn write_incidents(&mut self) {
        for id in std::mem::take(&mut self.dirty_incidents) {
            let incident = self.patients.get(&id).and_then(|patient| patient.incident.clone());
            if let Some(incident) = incident {
                self.record(Some(Entry::Incident(incident)));
            }
        }
    }

    pub(crate) fn write_down(&mut self) {
        self.write_incidents();
        self.note_busy();
        let since = self.now.awake.since(self.last_record);
        let beat = since >= self.policy.heartbeat && self.a_server_lives();
        let again = self.recording_fails && since >= RETRY;
        if self.ledger_changed() || beat || again {
            self.record(None);
        }
    }

    /// Compared in place: this is asked after every event.
    pub(crate) fn ledger_changed(&self) -> bool {
        self.patients.values().any(|patient| patient.account != patient.written)
    }

    pub(crate) fn recorded(&mut self, record: RecordId) {
        self.recording_fails = false;
        self.unrecorded_act = None;
        self.written(record);
    }

    /// Fault 52: at most one disruptive act goes unrecorded; starting what is stopped goes on.
    pub(crate) fn record_failed(&mut self, record: RecordId, reason: &str) {
        if !self.recording_fails {
            self.recording_fails = true;
            self.tell_about_ourselves("ourselves.record_failed", reason);
        }
        self.written(record);
    }
}
