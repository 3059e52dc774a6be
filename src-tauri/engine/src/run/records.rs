//! The writer of records: ledger before journal, one after the other. And what is read back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doctor::{Entry, Event, Ledger, Record, RecordId, Wall};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::journal::Journal;
use crate::ledger::LedgerFile;

/// What is to be written. Of the ledger, and of each incident, only the newest waits: a thousand
/// containers that change at once are told of faster than a disk can write.
pub(super) struct Records {
    queue: mpsc::UnboundedSender<RecordId>,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    ledger: Option<Ledger>,
    entries: BTreeMap<RecordId, Entry>,
    /// By the incident's id, the record that it goes with.
    incidents: BTreeMap<String, RecordId>,
}

impl Records {
    /// Records are written one after the other on a thread of their own, the ledger before the
    /// journal; it ends when this is dropped and all is written.
    pub(super) fn spawn_writer(
        journal: Journal,
        ledger: LedgerFile,
        inbox: mpsc::Sender<Event>,
    ) -> (Self, JoinHandle<()>) {
        let (queue, mut ids) = mpsc::unbounded_channel::<RecordId>();
        let waiting = Arc::<Mutex<Waiting>>::default();
        let records = Self { queue, waiting: waiting.clone() };
        let writer = tokio::task::spawn_blocking(move || {
            while let Some(record) = ids.blocking_recv() {
                let event = match write(&journal, &ledger, &waiting, record) {
                    Ok(()) => Event::Recorded { record },
                    Err(reason) => {
                        tracing::error!(reason, "a record could not be written");
                        Event::RecordFailed { record, reason }
                    }
                };
                // After the loop has ended nobody hears it; what is in the queue is written all the
                // same.
                let _ = inbox.blocking_send(event);
            }
            if journal.message().is_some()
                && let Err(error) = journal.flush()
            {
                tracing::error!(%error, "what waited for the journal is lost");
            }
        });
        (records, writer)
    }

    /// It is on disk when [`Event::Recorded`] has come, with this ledger or a newer one.
    pub(super) fn send(&self, record: Record) {
        lock(&self.waiting).add(record.id, record.ledger, record.entry);
        if self.queue.send(record.id).is_err() {
            tracing::error!("the writer of records has ended");
        }
    }
}

impl Waiting {
    fn add(&mut self, id: RecordId, ledger: Option<Ledger>, entry: Option<Entry>) {
        if ledger.is_some() {
            self.ledger = ledger;
        }
        let Some(entry) = entry else { return };
        let Entry::Incident(incident) = &entry else {
            self.entries.insert(id, entry);
            return;
        };
        let waits = self.incidents.get(&incident.id).copied();
        let id = waits.unwrap_or(id);
        self.incidents.insert(incident.id.clone(), id);
        self.entries.insert(id, entry);
    }

    fn take(&mut self, id: RecordId) -> (Option<Ledger>, Option<Entry>) {
        let entry = self.entries.remove(&id);
        if let Some(Entry::Incident(incident)) = &entry {
            self.incidents.remove(&incident.id);
        }
        (self.ledger.take(), entry)
    }
}

fn write(
    journal: &Journal,
    file: &LedgerFile,
    waiting: &Mutex<Waiting>,
    record: RecordId,
) -> Result<(), String> {
    let (ledger, entry) = lock(waiting).take(record);
    let saved = ledger.map_or(Ok(()), |ledger| {
        file.save(&ledger).map_err(|error| {
            // Whatever is recorded next must not be taken for written without it.
            lock(waiting).ledger.get_or_insert(ledger);
            format!("the ledger could not be saved: {error}")
        })
    });
    let written =
        entry.map_or(Ok(()), |entry| journal.write(&entry).map_err(|error| error.to_string()));
    saved.and(written)
}

/// The last hours of memory and the last speeds, for what is compared with them.
pub(super) fn remembered(journal: &Journal, now: Wall) -> Event {
    const HOURS: i64 = 7 * 3_600_000;
    const ROWS: usize = 5000;
    const TIMINGS: usize = 500;
    let memory = journal.memory(Wall(now.0.saturating_sub(HOURS)), ROWS);
    let timings = journal.timings(None, TIMINGS);
    if let Some(error) = memory.as_ref().err().or(timings.as_ref().err()) {
        tracing::warn!(%error, "the last hours could not be read");
    }
    let mut timings = timings.unwrap_or_default();
    timings.reverse();
    Event::Remembered { memory: memory.unwrap_or_default(), timings }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
