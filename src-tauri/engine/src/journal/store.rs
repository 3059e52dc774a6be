//! One open database: on disk, or in memory while the disk can't be written.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use doctor::Entry;
use rusqlite::{Connection, OpenFlags, ffi};
use rusqlite_migration::{M, Migrations};

use super::{file, incidents, memory, remedies, restarts, timings};

/// Every change of the tables is a new line here; a line that was ever released stays as it is.
const STEPS: &[M<'static>] = &[
    M::up(incidents::TABLE),
    M::up(remedies::TABLE),
    M::up(restarts::TABLE),
    M::up(timings::TABLE),
    M::up(memory::TABLE),
];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// Files up to this size are read whole at the start to find damage, in well below 0.1 s.
const CHECKED_AT_START: u64 = 16 << 20;

/// How long a statement waits for another process that has the file locked.
const BUSY: Duration = Duration::from_secs(2);

pub(super) struct Store {
    file: PathBuf,
    /// None between closing and opening, and when there is no memory left.
    connection: Option<Connection>,
    /// None: in memory.
    identity: Option<(u64, u64)>,
    /// Why it is in memory, and what was set aside; for a person.
    pub(super) in_memory: Option<String>,
    pub(super) set_aside: Option<String>,
}

/// Why a file can't be the journal.
enum Fault {
    /// Its content is bad or strange: another file is needed.
    Content(String),
    /// It may be good, but we cannot get at it now.
    Access(String),
}

impl Store {
    pub(super) fn open(file: &Path) -> Self {
        let mut store = Self {
            file: file.to_owned(),
            connection: None,
            identity: None,
            in_memory: None,
            set_aside: None,
        };
        match connect(file) {
            Ok(connection) => store.hold(connection),
            Err(Fault::Content(reason)) => store.replace(&reason),
            Err(Fault::Access(reason)) => store.use_memory(&reason),
        }
        store
    }

    pub(super) fn connection(&self) -> rusqlite::Result<&Connection> {
        self.connection.as_ref().ok_or_else(|| failure(ffi::SQLITE_NOMEM, "no journal is open"))
    }

    /// A second connection to the same file, for reading only.
    pub(super) fn reader(&self) -> Option<Connection> {
        self.identity?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(&self.file, flags).ok()?;
        reader.busy_timeout(BUSY).ok()?;
        Some(reader)
    }

    pub(super) fn is_in_memory(&self) -> bool {
        self.identity.is_none()
    }

    /// Whether the file was deleted or replaced while it was open: what is written into it now
    /// would be gone at the next start.
    pub(super) fn is_gone(&self) -> bool {
        self.identity.is_some() && self.identity != file::identity(&self.file)
    }

    /// SQLite deletes `-wal` by its name when the last connection closes: so every connection is
    /// closed before another file takes that name.
    fn close(&mut self) {
        self.connection = None;
    }

    /// Opens the file again after it was deleted under us.
    pub(super) fn reopen(&mut self) {
        self.close();
        let set_aside = self.set_aside.take();
        *self = Self::open(&self.file);
        self.set_aside = self.set_aside.take().or(set_aside);
    }

    /// Sets the damaged file aside and begins a new one.
    pub(super) fn replace(&mut self, reason: &str) {
        self.close();
        match self.begin_anew(reason) {
            Ok(connection) => self.hold(connection),
            Err(reason) => self.use_memory(&reason),
        }
    }

    /// From memory to the file, with all that was noted meanwhile, if that is possible by now.
    pub(super) fn leave_memory(&mut self) {
        let fresh = match connect(&self.file) {
            Ok(fresh) => fresh,
            Err(Fault::Access(_)) => return,
            Err(Fault::Content(reason)) => match self.begin_anew(&reason) {
                Ok(fresh) => fresh,
                Err(_) => return,
            },
        };
        match self.connection().and_then(|memory| copy(memory, &fresh)) {
            Ok(()) => self.hold(fresh),
            Err(error) => {
                tracing::warn!(%error, "the journal in memory can't be moved to its file yet");
            }
        }
    }

    fn begin_anew(&mut self, reason: &str) -> Result<Connection, String> {
        let aside = file::set_aside(&self.file)
            .map_err(|error| format!("{reason}, and it could not be set aside: {error}"))?;
        let message = format!(
            "The journal could not be used ({reason}). It was kept as {} and a new one was begun.",
            aside.display()
        );
        tracing::error!("{message}");
        self.set_aside = Some(message);
        connect(&self.file).map_err(|fault| match fault {
            Fault::Content(reason) | Fault::Access(reason) => reason,
        })
    }

    fn hold(&mut self, connection: Connection) {
        self.connection = Some(connection);
        self.identity = file::identity(&self.file);
        self.in_memory = None;
    }

    fn use_memory(&mut self, reason: &str) {
        let message = format!(
            "The journal {} can't be used ({reason}). It is kept in memory until it can; make its \
             directory writable or free space on its disk.",
            self.file.display()
        );
        tracing::error!("{message}");
        self.connection = in_memory()
            .inspect_err(|error| tracing::error!(%error, "no journal in memory either"))
            .ok();
        self.identity = None;
        self.in_memory = Some(message);
    }
}

/// Reads the whole file; an error of the kind "damaged" tells the first fault found.
pub(super) fn check(connection: &Connection) -> rusqlite::Result<()> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(failure(ffi::SQLITE_CORRUPT, &found)) }
}

/// Gives the space of deleted rows back to the disk.
pub(super) fn give_back_space(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA incremental_vacuum")
}

pub(super) fn put(connection: &Connection, entry: &Entry) -> rusqlite::Result<()> {
    match entry {
        Entry::Incident(incident) => incidents::put(connection, incident),
        Entry::Remedy(remedy) => remedies::put(connection, remedy),
        Entry::Restart(restart) => restarts::put(connection, restart),
        Entry::Timing(timing) => timings::put(connection, timing),
        Entry::Memory(sample) => memory::put(connection, sample),
    }
}

fn connect(path: &Path) -> Result<Connection, Fault> {
    file::prepare(path).map_err(|error| Fault::Access(error.to_string()))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(|error| fault(&error))?;
    tune(&connection).map_err(|error| fault(&error))?;
    has_our_tables(&connection).map_err(|error| fault(&error))?;
    MIGRATIONS.to_latest(&mut connection).map_err(migration_fault)?;
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() <= CHECKED_AT_START) {
        check(&connection).map_err(|error| fault(&error))?;
    }
    Ok(connection)
}

fn in_memory() -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    MIGRATIONS
        .to_latest(&mut connection)
        .map_err(|error| failure(ffi::SQLITE_ERROR, &format!("no tables in memory: {error}")))?;
    Ok(connection)
}

/// `synchronous=FULL` for everything, since a remedy may begin once its entry is written: with
/// NORMAL a power failure can lose the last commits of a WAL (<https://sqlite.org/pragma.html#pragma_synchronous>). Entries are
/// few, so their speed does not matter. `fullfsync`: on macOS fsync alone leaves data in the drive's
/// cache (fcntl(2), `F_FULLFSYNC`).
fn tune(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    // Before the first table is made, or it has no effect.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "journal_size_limit", 4 << 20)
}

/// Another program's database may bear a version number of ours by chance: it has none of our tables,
/// and gets none.
fn has_our_tables(connection: &Connection) -> rusqlite::Result<()> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    // In the order of the steps that made them.
    let tables = ["incidents", "remedies", "restarts", "timings"].map(|table| (table, "value"));
    for (table, column) in tables
        .into_iter()
        .chain([("memory", "bytes")])
        .take(usize::try_from(version).unwrap_or(usize::MAX))
    {
        let question = format!("SELECT {column} FROM {table} LIMIT 1");
        connection.prepare(&question)?.query([])?.next()?;
    }
    Ok(())
}

fn copy(from: &Connection, to: &Connection) -> rusqlite::Result<()> {
    let transaction = to.unchecked_transaction()?;
    for incident in incidents::all(from)? {
        incidents::put(to, &incident)?;
    }
    for remedy in remedies::all(from)? {
        remedies::put(to, &remedy)?;
    }
    for restart in restarts::all(from)? {
        restarts::put(to, &restart)?;
    }
    for timing in timings::all(from)? {
        timings::put(to, &timing)?;
    }
    for sample in memory::all(from)? {
        memory::put(to, &sample)?;
    }
    transaction.commit()
}

fn fault(error: &rusqlite::Error) -> Fault {
    if file::is_damage(error) || !file::may_pass(error) {
        Fault::Content(error.to_string())
    } else {
        Fault::Access(error.to_string())
    }
}

fn migration_fault(error: rusqlite_migration::Error) -> Fault {
    use rusqlite_migration::{Error, MigrationDefinitionError};
    if let Error::RusqliteError { err, .. } = error {
        return fault(&err);
    }
    if error == Error::MigrationDefinition(MigrationDefinitionError::DatabaseTooFarAhead) {
        return Fault::Content("it was written by a newer version of Homeostat".into());
    }
    Fault::Content(error.to_string())
}

fn failure(code: i32, says: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(says.into()))
}
