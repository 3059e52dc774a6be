//! Who held how much memory, and how hard the model servers worked.

use doctor::{MemoryRow, MemorySample, Wall};
use rusqlite::{Connection, Row, params};

pub(super) const TABLE: &str = "
CREATE TABLE memory (
    at    INTEGER NOT NULL,
    owner TEXT NOT NULL,
    bytes INTEGER,
    busy  INTEGER,
    PRIMARY KEY (at, owner)
) STRICT;
";

/// So many rows at most are read at once: a week of them.
const READ: usize = 20_000;

pub(super) fn put(connection: &Connection, sample: &MemorySample) -> rusqlite::Result<()> {
    for row in &sample.rows {
        connection
            .prepare_cached(
                "INSERT INTO memory (at, owner, bytes, busy) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (at, owner) DO UPDATE SET
                     bytes = coalesce(?3, bytes), busy = coalesce(?4, busy)",
            )?
            .execute(params![
                sample.at.0,
                row.owner,
                row.bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
                row.busy_percent,
            ])?;
    }
    Ok(())
}

/// Oldest first; the newest ones where there are too many.
pub(super) fn since(
    connection: &Connection,
    since: Wall,
    limit: usize,
) -> rusqlite::Result<Vec<MemorySample>> {
    let mut statement = connection.prepare_cached(
        "SELECT at, owner, bytes, busy FROM memory WHERE at >= ?1 ORDER BY at DESC, owner LIMIT ?2",
    )?;
    let limit = i64::try_from(limit.min(READ)).unwrap_or(i64::MAX);
    let mut samples = samples(statement.query_map(params![since.0, limit], row)?)?;
    samples.reverse();
    Ok(samples)
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<MemorySample>> {
    let mut statement =
        connection.prepare("SELECT at, owner, bytes, busy FROM memory ORDER BY at, owner")?;
    samples(statement.query_map([], row)?)
}

pub(super) fn prune(connection: &Connection, limit: Wall, batch: u32) -> rusqlite::Result<u32> {
    let rows = connection
        .prepare_cached(
            "DELETE FROM memory WHERE rowid IN
             (SELECT rowid FROM memory WHERE at < ?1 LIMIT ?2)",
        )?
        .execute(params![limit.0, batch])?;
    Ok(u32::try_from(rows).unwrap_or(u32::MAX))
}

fn row(row: &Row<'_>) -> rusqlite::Result<(Wall, MemoryRow)> {
    let bytes: Option<i64> = row.get(2)?;
    let found = MemoryRow {
        owner: row.get(1)?,
        bytes: bytes.and_then(|bytes| u64::try_from(bytes).ok()),
        busy_percent: row.get(3)?,
    };
    Ok((Wall(row.get(0)?), found))
}

/// Rows of one moment lie beside each other.
fn samples(
    rows: impl Iterator<Item = rusqlite::Result<(Wall, MemoryRow)>>,
) -> rusqlite::Result<Vec<MemorySample>> {
    let mut samples: Vec<MemorySample> = Vec::new();
    for found in rows {
        let (at, row) = found?;
        match samples.last_mut().filter(|last| last.at == at) {
            Some(last) => last.rows.push(row),
            None => samples.push(MemorySample { at, rows: vec![row] }),
        }
    }
    Ok(samples)
}
