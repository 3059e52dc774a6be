//! Incidents, found by time and by id.

use doctor::{Incident, Wall};
use rusqlite::{Connection, params};

use super::{json, name, values};

pub(super) const TABLE: &str = "
CREATE TABLE incidents (
    id     TEXT PRIMARY KEY NOT NULL,
    target TEXT NOT NULL,
    cause  TEXT NOT NULL,
    state  TEXT NOT NULL,
    opened INTEGER NOT NULL,
    closed INTEGER,
    value  TEXT NOT NULL
) STRICT;
CREATE INDEX incidents_by_time ON incidents (opened, id);
CREATE INDEX incidents_open ON incidents (opened) WHERE closed IS NULL;
";

/// The cursor is a row value, so that incidents of the same millisecond are neither lost nor seen
/// twice between two pages.
const PAGE: &str = "SELECT value FROM incidents WHERE opened >= ?1 AND (opened, id) < (?2, ?3)
    ORDER BY opened DESC, id DESC";

pub(super) fn put(connection: &Connection, incident: &Incident) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO incidents (id, target, cause, state, opened, closed, value)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (id) DO UPDATE SET target = ?2, cause = ?3, state = ?4, opened = ?5,
                 closed = ?6, value = ?7",
        )?
        .execute(params![
            incident.id,
            incident.target.to_string(),
            incident.cause.id.as_str(),
            name(&incident.state)?,
            incident.opened.0,
            incident.closed.map(|closed| closed.0),
            json(incident)?,
        ])?;
    Ok(())
}

pub(super) fn page(
    connection: &Connection,
    since: Option<Wall>,
    before: Option<&(Wall, String)>,
    limit: usize,
) -> rusqlite::Result<Vec<Incident>> {
    let since = since.map_or(i64::MIN, |since| since.0);
    let (opened, id) = before.map_or((i64::MAX, ""), |(opened, id)| (opened.0, id.as_str()));
    let mut statement = connection.prepare_cached(PAGE)?;
    values(&mut statement, params![since, opened, id], limit)
}

pub(super) fn one(connection: &Connection, id: &str) -> rusqlite::Result<Option<Incident>> {
    let mut statement = connection.prepare_cached("SELECT value FROM incidents WHERE id = ?1")?;
    Ok(values(&mut statement, [id], 1)?.pop())
}

pub(super) fn open(connection: &Connection) -> rusqlite::Result<Vec<Incident>> {
    let mut statement = connection
        .prepare_cached("SELECT value FROM incidents WHERE closed IS NULL ORDER BY opened")?;
    values(&mut statement, [], usize::MAX)
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Incident>> {
    values(&mut connection.prepare("SELECT value FROM incidents")?, [], usize::MAX)
}

pub(super) fn prune(connection: &Connection, limit: Wall, batch: u32) -> rusqlite::Result<u32> {
    let rows = connection
        .prepare_cached(
            "DELETE FROM incidents WHERE rowid IN (SELECT rowid FROM incidents
             WHERE opened < ?1 AND closed IS NOT NULL AND closed < ?1 LIMIT ?2)",
        )?
        .execute(params![limit.0, batch])?;
    Ok(u32::try_from(rows).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_through_the_index_without_sorting() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(TABLE).unwrap();
        let plan: Vec<String> = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {PAGE}"))
            .unwrap()
            .query_map(params![0, i64::MAX, ""], |row| row.get(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(plan.len(), 1, "one step, no sort: {plan:?}");
        assert!(plan[0].contains("USING INDEX incidents_by_time"), "{plan:?}");
    }
}
