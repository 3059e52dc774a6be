//! Measurements of models.

use doctor::{Timing, Wall};
use rusqlite::{Connection, params};

use super::{json, values};

pub(super) const TABLE: &str = "
CREATE TABLE timings (
    server TEXT NOT NULL,
    model  TEXT NOT NULL,
    at     INTEGER NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (server, model, at)
) STRICT;
CREATE INDEX timings_by_model ON timings (model, at);
CREATE INDEX timings_by_time ON timings (at);
";

pub(super) fn put(connection: &Connection, timing: &Timing) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO timings (server, model, at, value) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (server, model, at) DO UPDATE SET value = ?4",
        )?
        .execute(params![timing.server.to_string(), timing.model, timing.at.0, json(timing)?])?;
    Ok(())
}

pub(super) fn page(
    connection: &Connection,
    model: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<Timing>> {
    let Some(model) = model else {
        let mut statement =
            connection.prepare_cached("SELECT value FROM timings ORDER BY at DESC")?;
        return values(&mut statement, [], limit);
    };
    let mut statement =
        connection.prepare_cached("SELECT value FROM timings WHERE model = ?1 ORDER BY at DESC")?;
    values(&mut statement, [model], limit)
}

/// With one `max()`, SQLite takes the bare column from the row that has it
/// (<https://sqlite.org/lang_select.html#bareagg>).
pub(super) fn latest(connection: &Connection) -> rusqlite::Result<Vec<Timing>> {
    let mut statement =
        connection.prepare_cached("SELECT value, max(at) FROM timings GROUP BY server, model")?;
    values(&mut statement, [], usize::MAX)
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Timing>> {
    values(&mut connection.prepare("SELECT value FROM timings")?, [], usize::MAX)
}

pub(super) fn prune(connection: &Connection, limit: Wall, batch: u32) -> rusqlite::Result<u32> {
    let rows = connection
        .prepare_cached(
            "DELETE FROM timings WHERE rowid IN (SELECT old.rowid FROM timings AS old
             WHERE old.at < ?1 AND EXISTS (SELECT 1 FROM timings AS newer
                 WHERE newer.server = old.server AND newer.model = old.model
                     AND newer.at > old.at)
             LIMIT ?2)",
        )?
        .execute(params![limit.0, batch])?;
    Ok(u32::try_from(rows).unwrap_or(u32::MAX))
}
