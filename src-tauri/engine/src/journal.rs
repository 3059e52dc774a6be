//! The journal: incidents, remedies, restarts, timings and memory in one SQLite file. SQL lives here
//! only.
//!
//! All calls block for as long as the disk takes: async callers use `spawn_blocking`.

mod file;
mod incidents;
mod memory;
mod remedies;
mod restarts;
mod store;
mod timings;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doctor::{
    Entry, Incident, MemorySample, RemedyRecord, RestartRecord, TargetId, Timing, Wall, millis,
};
use rusqlite::Connection;

use writer::Writer;

/// A prune deletes so many rows at a time, so that a remedy never waits long for
/// its turn to be written.
const BATCH: u32 = 500;

/// Cheap to clone; all clones share one file.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    writer: Mutex<Writer>,
    reader: Arc<Reader>,
}

/// None while there is no file: the writer's memory is then read. Locked after the writer, never
/// before it.
type Reader = Mutex<Option<Connection>>;

/// Why an entry is not on disk, or a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It is kept in memory and written before the next entry.
    #[error("not written yet, kept in memory with {waiting} waiting: {reason}")]
    Kept { waiting: usize, reason: String },
    /// The entry itself can't be stored; it is not kept.
    #[error("this entry can't be stored: {0}")]
    Refused(String),
    #[error("the journal could not be read: {0}")]
    Unreadable(String),
}

impl Journal {
    /// Opens the journal, or begins one. Never fails: a damaged file is set aside, and where nothing
    /// can be written the journal is kept in memory until it can. The text, for a person, says so.
    pub fn open(file: &Path) -> (Self, Option<String>) {
        let reader = Arc::new(Reader::default());
        let writer = Writer::open(file, reader.clone());
        let message = writer.message();
        (Self { inner: Arc::new(Inner { writer: Mutex::new(writer), reader }) }, message)
    }

    /// Puts one entry on disk, replacing an older one of the same id. When this returns `Ok`, the
    /// entry and all that waited before it survive a crash of the machine.
    pub fn write(&self, entry: &Entry) -> Result<(), JournalError> {
        lock(&self.inner.writer).write(entry)
    }

    /// Writes what waits; fine when nothing does.
    pub fn flush(&self) -> Result<(), JournalError> {
        lock(&self.inner.writer).settle()
    }

    /// What a person should know of the journal now: set aside, in memory, entries waiting.
    pub fn message(&self) -> Option<String> {
        lock(&self.inner.writer).message()
    }

    /// Incidents opened at or after `since` and before the cursor `before` (the `opened` and `id`
    /// of the last one of the page before), newest first, at most `limit`.
    #[expect(clippy::needless_pass_by_value, reason = "a cursor is made for one call")]
    pub fn incidents(
        &self,
        since: Option<Wall>,
        before: Option<(Wall, String)>,
        limit: usize,
    ) -> Result<Vec<Incident>, JournalError> {
        self.read(|connection| incidents::page(connection, since, before.as_ref(), limit))
    }

    pub fn incident(&self, id: &str) -> Result<Option<Incident>, JournalError> {
        self.read(|connection| incidents::one(connection, id))
    }

    /// Every incident that is not closed, oldest first.
    pub fn open_incidents(&self) -> Result<Vec<Incident>, JournalError> {
        self.read(incidents::open)
    }

    /// What was done in one incident, in order.
    pub fn remedies(&self, incident: &str) -> Result<Vec<RemedyRecord>, JournalError> {
        self.read(|connection| remedies::of_incident(connection, incident))
    }

    /// Remedies that began and were never seen to end, oldest first: what a crash interrupted.
    pub fn unfinished_remedies(&self) -> Result<Vec<RemedyRecord>, JournalError> {
        self.read(remedies::unfinished)
    }

    /// Restarts of one target at or after `since`, oldest first.
    pub fn restarts(
        &self,
        target: &TargetId,
        since: Wall,
    ) -> Result<Vec<RestartRecord>, JournalError> {
        self.read(|connection| restarts::of_target(connection, target, since))
    }

    /// Measurements, newest first, of one model or of all, at most `limit`.
    pub fn timings(&self, model: Option<&str>, limit: usize) -> Result<Vec<Timing>, JournalError> {
        self.read(|connection| timings::page(connection, model, limit))
    }

    /// Who held how much memory at or after `since`, oldest first; at most so many rows, of which
    /// each sample has one per owner: the newest where there are more.
    pub fn memory(&self, since: Wall, rows: usize) -> Result<Vec<MemorySample>, JournalError> {
        self.read(|connection| memory::since(connection, since, rows))
    }

    /// The newest measurement of each model of each server.
    pub fn latest_timings(&self) -> Result<Vec<Timing>, JournalError> {
        self.read(timings::latest)
    }

    /// Deletes what is older than `keep` and over; returns how many rows. Open incidents, the
    /// remedies of incidents that stay, and the newest timing of each model are kept.
    pub fn prune(&self, keep: Duration, now: Wall) -> Result<u64, JournalError> {
        let keep = i64::try_from(millis(keep)).unwrap_or(i64::MAX);
        let limit = Wall(now.0.saturating_sub(keep));
        let mut pruned = 0;
        for delete in
            [incidents::prune, remedies::prune, restarts::prune, timings::prune, memory::prune]
        {
            loop {
                // The lock is let go between batches.
                let rows = lock(&self.inner.writer)
                    .store
                    .connection()
                    .and_then(|connection| delete(connection, limit, BATCH))
                    .map_err(|error| JournalError::Unreadable(error.to_string()))?;
                pruned += u64::from(rows);
                if rows < BATCH {
                    break;
                }
            }
        }
        if pruned > 0 {
            lock(&self.inner.writer)
                .store
                .connection()
                .and_then(store::give_back_space)
                .map_err(|error| JournalError::Unreadable(error.to_string()))?;
        }
        Ok(pruned)
    }

    /// Reads the whole file for damage, which takes seconds for a file of hundreds of megabytes;
    /// `open` does so for small files only. A damaged one is set aside; the text says so.
    pub fn verify(&self) -> Option<String> {
        let mut writer = lock(&self.inner.writer);
        if let Err(error) = writer.verify() {
            tracing::warn!(%error, "the journal could not be checked");
        }
        writer.message()
    }

    /// Reads on the reading connection. Damage found on the way is dealt with here: the file is set
    /// aside and the new one asked.
    fn read<T>(
        &self,
        question: impl Fn(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        match self.ask(&question) {
            Ok(answer) => Ok(answer),
            Err(error) if file::is_damage(&error) => {
                let unreadable =
                    |error: rusqlite::Error| JournalError::Unreadable(error.to_string());
                lock(&self.inner.writer).verify().map_err(unreadable)?;
                self.ask(&question).map_err(unreadable)
            }
            Err(error) => Err(JournalError::Unreadable(error.to_string())),
        }
    }

    fn ask<T>(
        &self,
        question: &impl Fn(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        {
            let reader = lock(&self.inner.reader);
            if let Some(connection) = reader.as_ref() {
                return question(connection);
            }
        }
        question(lock(&self.inner.writer).store.connection()?)
    }
}

/// The last connection to close writes the `-wal` back into the file, if it may write.
impl Drop for Inner {
    fn drop(&mut self) {
        *lock(&self.reader) = None;
    }
}

/// A panic elsewhere while the lock was held leaves a connection that SQLite rolls back: go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rows whose value can't be read (written by another version) are left out and told to the log:
/// one such row must not hide all others. Stops at `limit` good ones.
fn values<T: serde::de::DeserializeOwned>(
    statement: &mut rusqlite::Statement<'_>,
    parameters: impl rusqlite::Params,
    limit: usize,
) -> rusqlite::Result<Vec<T>> {
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while found.len() < limit {
        let Some(row) = rows.next()? else { break };
        match serde_json::from_str(row.get_ref(0)?.as_str()?) {
            Ok(value) => found.push(value),
            Err(error) => tracing::warn!(%error, "left out a row of the journal"),
        }
    }
    Ok(found)
}

fn json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// The name of a fieldless variant, as it is written in JSON.
fn name(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    Ok(json(value)?.trim_matches('"').to_owned())
}
