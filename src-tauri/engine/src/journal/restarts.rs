//! Restarts, whoever made them.

use doctor::{RestartRecord, TargetId, Wall};
use rusqlite::{Connection, params};

use super::{json, name, values};

pub(super) const TABLE: &str = "
CREATE TABLE restarts (
    id      TEXT PRIMARY KEY NOT NULL,
    target  TEXT NOT NULL,
    at      INTEGER NOT NULL,
    made_by TEXT NOT NULL,
    value   TEXT NOT NULL
) STRICT;
CREATE INDEX restarts_by_target ON restarts (target, at);
CREATE INDEX restarts_by_time ON restarts (at);
";

pub(super) fn put(connection: &Connection, restart: &RestartRecord) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO restarts (id, target, at, made_by, value) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET target = ?2, at = ?3, made_by = ?4, value = ?5",
        )?
        .execute(params![
            restart.id,
            restart.target.to_string(),
            restart.at.0,
            name(&restart.by)?,
            json(restart)?,
        ])?;
    Ok(())
}

pub(super) fn of_target(
    connection: &Connection,
    target: &TargetId,
    since: Wall,
) -> rusqlite::Result<Vec<RestartRecord>> {
    let mut statement = connection.prepare_cached(
        "SELECT value FROM restarts WHERE target = ?1 AND at >= ?2 ORDER BY at, id",
    )?;
    values(&mut statement, params![target.to_string(), since.0], usize::MAX)
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<RestartRecord>> {
    values(&mut connection.prepare("SELECT value FROM restarts")?, [], usize::MAX)
}

pub(super) fn prune(connection: &Connection, limit: Wall, batch: u32) -> rusqlite::Result<u32> {
    let rows = connection
        .prepare_cached(
            "DELETE FROM restarts WHERE rowid IN
             (SELECT rowid FROM restarts WHERE at < ?1 LIMIT ?2)",
        )?
        .execute(params![limit.0, batch])?;
    Ok(u32::try_from(rows).unwrap_or(u32::MAX))
}
