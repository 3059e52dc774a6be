//! The journal: incidents, remedies, restarts and timings in one SQLite file. SQL lives here only.
//!
//! All calls block for as long as the disk takes: async callers use `spawn_blocking`.

mod file;
mod incidents;
mod remedies;
mod restarts;
mod store;
mod timings;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doctor::{Entry, Incident, RemedyRecord, RestartRecord, TargetId, Timing, Wall, millis};
use rusqlite::Connection;

use writer::Writer;

/// A prune deletes so many rows at a time, so that a remedy never waits long for
/// its turn to be written.
const BATCH: u32 = 500;

use std::sync::{Arc, Mutex, PoisonError};

use doctor::{Entry, Incident, Timing, Wall};

/// Cheap to clone; all clones share one file.
#[derive(Clone, Default)]
pub struct Journal {
    entries: Arc<Mutex<Vec<Entry>>>,
}

#[derive(Debug, thiserror::Error)]
#[error("the journal cannot be read")]
pub struct JournalError;

impl Journal {
    pub fn open(_file: &std::path::Path) -> (Self, Option<String>) {
        (Self::default(), None)
    }

    pub fn write(&self, entry: &Entry) -> Result<(), JournalError> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry.clone());
        Ok(())
    }

    pub fn incidents(
        &self,
        since: Option<Wall>,
        before: Option<(Wall, String)>,
        limit: usize,
    ) -> Result<Vec<Incident>, JournalError> {
        let mut found = self.all();
        found.retain(|incident| {
            since.is_none_or(|since| incident.opened >= since)
                && before
                    .as_ref()
                    .is_none_or(|(at, id)| (incident.opened, &incident.id) < (*at, id))
        });
        found.sort_by(|a, b| (b.opened, &b.id).cmp(&(a.opened, &a.id)));
        found.truncate(limit);
        Ok(found)
    }

    pub fn incident(&self, id: &str) -> Result<Option<Incident>, JournalError> {
        Ok(self.all().into_iter().find(|incident| incident.id == id))
    }

    pub fn timings(&self, model: Option<&str>, limit: usize) -> Result<Vec<Timing>, JournalError> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<Timing> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Timing(timing) => Some(timing.clone()),
                Entry::Incident(_) | Entry::Remedy(_) | Entry::Restart(_) => None,
            })
            .filter(|timing| model.is_none_or(|model| timing.model == model))
            .collect();
        found.sort_by_key(|timing| std::cmp::Reverse(timing.at));
        found.truncate(limit);
        Ok(found)
    }

    fn all(&self) -> Vec<Incident> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Incident(incident) => Some(incident.clone()),
                Entry::Remedy(_) | Entry::Restart(_) | Entry::Timing(_) => None,
            })
            .collect()
    }
}
