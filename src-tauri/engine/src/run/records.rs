//! The writer of records: ledger before journal, one after the other.

use doctor::{Event, Record};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::journal::Journal;
use crate::ledger::LedgerFile;

/// Records are written one after the other on a thread of their own, the ledger before the journal.
pub(super) fn spawn_writer(
    journal: Journal,
    ledger: LedgerFile,
    inbox: mpsc::Sender<Event>,
) -> (mpsc::UnboundedSender<Record>, JoinHandle<()>) {
    let (records, mut queue) = mpsc::unbounded_channel::<Record>();
    let writer = tokio::task::spawn_blocking(move || {
        while let Some(record) = queue.blocking_recv() {
            let event = match write(&journal, &ledger, &record) {
                Ok(()) => Event::Recorded { record: record.id },
                Err(reason) => {
                    tracing::error!(reason, "a record could not be written");
                    Event::RecordFailed { record: record.id, reason }
                }
            };
            // After the loop has ended nobody hears it; what is in the queue is written all the same.
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
