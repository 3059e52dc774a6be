//! Remedies: one row per attempt, written before its first step and again when it ended.

use doctor::{RemedyRecord, Wall};
use rusqlite::{Connection, params};

use super::{json, values};

pub(super) const TABLE: &str = "
CREATE TABLE remedies (
    operation TEXT NOT NULL,
    attempt   INTEGER NOT NULL,
    incident  TEXT,
    target    TEXT NOT NULL,
    began     INTEGER NOT NULL,
    ended     INTEGER,
    value     TEXT NOT NULL,
    PRIMARY KEY (operation, attempt)
) STRICT;
CREATE INDEX remedies_by_incident ON remedies (incident, began, attempt);
CREATE INDEX remedies_by_time ON remedies (began);
CREATE INDEX remedies_unfinished ON remedies (began) WHERE ended IS NULL;
";

pub(super) fn put(connection: &Connection, remedy: &RemedyRecord) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO remedies (operation, attempt, incident, target, began, ended, value)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (operation, attempt) DO UPDATE SET incident = ?3, target = ?4, began = ?5,
                 ended = ?6, value = ?7",
        )?
        .execute(params![
            remedy.operation,
            remedy.attempt,
            remedy.incident,
            remedy.target.to_string(),
            remedy.began.0,
            remedy.ended.map(|ended| ended.0),
            json(remedy)?,
        ])?;
    Ok(())
}

pub(super) fn of_incident(
    connection: &Connection,
    incident: &str,
) -> rusqlite::Result<Vec<RemedyRecord>> {
    let mut statement = connection
        .prepare_cached("SELECT value FROM remedies WHERE incident = ?1 ORDER BY began, attempt")?;
    values(&mut statement, [incident], usize::MAX)
}

pub(super) fn unfinished(connection: &Connection) -> rusqlite::Result<Vec<RemedyRecord>> {
    let mut statement = connection
        .prepare_cached("SELECT value FROM remedies WHERE ended IS NULL ORDER BY began")?;
    values(&mut statement, [], usize::MAX)
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<RemedyRecord>> {
    values(&mut connection.prepare("SELECT value FROM remedies")?, [], usize::MAX)
}

pub(super) fn prune(connection: &Connection, limit: Wall, batch: u32) -> rusqlite::Result<u32> {
    let rows = connection
        .prepare_cached(
            "DELETE FROM remedies WHERE rowid IN (SELECT rowid FROM remedies
             WHERE began < ?1 AND (incident IS NULL
                 OR NOT EXISTS (SELECT 1 FROM incidents WHERE incidents.id = incident))
             LIMIT ?2)",
        )?
        .execute(params![limit.0, batch])?;
    Ok(u32::try_from(rows).unwrap_or(u32::MAX))
}
