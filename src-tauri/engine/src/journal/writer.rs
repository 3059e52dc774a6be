//! Writing, and what waits to be written.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use doctor::Entry;

use super::store::{self, Store};
use super::{JournalError, Reader, file, lock};

/// So many entries wait at most; the oldest is dropped then, and counted.
const WAITING: usize = 2000;

pub(super) struct Writer {
    pub(super) store: Store,
    reader: Arc<Reader>,
    /// Not on disk yet, oldest first.
    waiting: VecDeque<Entry>,
    dropped: u64,
    /// Why the last attempt to write failed.
    fault: Option<String>,
}

impl Writer {
    pub(super) fn open(file: &Path, reader: Arc<Reader>) -> Self {
        let store = Store::open(file);
        *lock(&reader) = store.reader();
        Self { store, reader, waiting: VecDeque::new(), dropped: 0, fault: None }
    }

    pub(super) fn write(&mut self, entry: &Entry) -> Result<(), JournalError> {
        if self.store.is_gone() {
            tracing::error!("the journal was deleted or replaced; a new one is begun");
            self.exchange(Store::reopen);
        }
        if self.store.is_in_memory() {
            self.exchange(Store::leave_memory);
        }
        self.waiting.push_back(entry.clone());
        self.settle()
    }

    /// Writes what waits, if anything does.
    pub(super) fn settle(&mut self) -> Result<(), JournalError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut result = self.flush();
        if let Err(error) = &result
            && file::is_damage(error)
        {
            let error = error.to_string();
            self.exchange(|store| store.replace(&error));
            result = self.flush();
        }
        self.conclude(result)
    }

    /// Reads the whole file for damage and sets a damaged one aside. Asks a connection of its own:
    /// the others have good copies of pages in memory that are bad on the disk.
    pub(super) fn verify(&mut self) -> rusqlite::Result<()> {
        let Some(fresh) = self.store.reader() else { return Ok(()) };
        let found = store::check(&fresh);
        drop(fresh);
        match found {
            Err(error) if file::is_damage(&error) => {
                self.exchange(|store| store.replace(&error.to_string()));
                Ok(())
            }
            // Readers may have met damage that is gone with the file it was in.
            Ok(()) => {
                self.exchange(|_| {});
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn message(&self) -> Option<String> {
        let mut says: Vec<String> = Vec::new();
        says.extend(self.store.set_aside.clone());
        says.extend(self.store.in_memory.clone());
        if let Some(fault) = &self.fault
            && !self.waiting.is_empty()
        {
            says.push(format!(
                "The journal can't be written ({fault}); {} entries wait in memory.",
                self.waiting.len()
            ));
        }
        if self.dropped > 0 {
            says.push(format!(
                "{} entries of the journal were lost while it could not be written.",
                self.dropped
            ));
        }
        (!says.is_empty()).then(|| says.join(" "))
    }

    /// Writes all that waits in one transaction. `Ok` with a text: the newest entry was refused.
    fn flush(&mut self) -> rusqlite::Result<Option<String>> {
        let connection = self.store.connection()?;
        // Immediate, so that waiting for another process's lock happens here and not at the commit.
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let put = self.put_all().and_then(|refused| {
            connection.execute_batch("COMMIT")?;
            Ok(refused)
        });
        if put.is_err() && !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK")?;
        }
        put
    }

    fn put_all(&self) -> rusqlite::Result<Option<String>> {
        let connection = self.store.connection()?;
        let mut refused = None;
        for entry in &self.waiting {
            refused = match store::put(connection, entry) {
                Ok(()) => None,
                Err(error) if file::may_pass(&error) => return Err(error),
                Err(error) => {
                    tracing::error!(%error, "an entry of the journal can't be stored");
                    Some(error.to_string())
                }
            };
        }
        Ok(refused)
    }

    fn conclude(&mut self, result: rusqlite::Result<Option<String>>) -> Result<(), JournalError> {
        match result {
            Ok(refused) => {
                self.fault = None;
                self.waiting.clear();
                match (refused, &self.store.in_memory) {
                    (Some(reason), _) => Err(JournalError::Refused(reason)),
                    (None, Some(reason)) => {
                        Err(JournalError::Kept { waiting: 0, reason: reason.clone() })
                    }
                    (None, None) => Ok(()),
                }
            }
            Err(error) => {
                while self.waiting.len() > WAITING {
                    self.waiting.pop_front();
                    self.dropped += 1;
                }
                let reason = error.to_string();
                self.fault = Some(reason.clone());
                Err(JournalError::Kept { waiting: self.waiting.len(), reason })
            }
        }
    }

    /// Changes the store while no one reads, and gives the readers what it is then.
    fn exchange(&mut self, change: impl FnOnce(&mut Store)) {
        let mut reader = lock(&self.reader);
        *reader = None;
        change(&mut self.store);
        *reader = self.store.reader();
    }
}
