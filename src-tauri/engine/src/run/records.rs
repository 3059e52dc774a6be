//! The writer of records: ledger before journal, one after the other. And what is read back.

use doctor::{Event, Record, Wall};
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
