//! The writer of records: ledger before journal, one after the other.

use doctor::{Event, Record};
use tokio::sync::mpsc;

use crate::journal::Journal;
use crate::ledger::LedgerFile;

/// Records are written one after the other on a thread of their own, the ledger before the journal.
pub(super) fn spawn_writer(
    journal: Journal,
    ledger: LedgerFile,
    inbox: mpsc::Sender<Event>,
) -> mpsc::UnboundedSender<Record> {
    let (records, mut queue) = mpsc::unbounded_channel::<Record>();
    tokio::task::spawn_blocking(move || {
        while let Some(record) = queue.blocking_recv() {
            let event = match write(&journal, &ledger, &record) {
                Ok(()) => Event::Recorded { record: record.id },
                Err(reason) => {
                    tracing::error!(reason, "a record could not be written");
                    Event::RecordFailed { record: record.id, reason }
                }
            };
            if inbox.blocking_send(event).is_err() {
                return;
            }
        }
    });
    records
}

fn write(journal: &Journal, ledger: &LedgerFile, record: &Record) -> Result<(), String> {
    let saved = record.ledger.as_ref().map_or(Ok(()), |value| {
        ledger.save(value).map_err(|error| format!("the ledger could not be saved: {error}"))
    });
    let written = record
        .entry
        .as_ref()
        .map_or(Ok(()), |entry| journal.write(entry).map_err(|error| error.to_string()));
    saved.and(written)
}
