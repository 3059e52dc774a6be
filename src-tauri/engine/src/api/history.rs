//! What was: incidents and operations.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::response::Response;
use doctor::{MemoryRow, Wall};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Problem, Shared, json};
use crate::view::{Incident, Operation};
use crate::words::rfc3339;

const PAGE: usize = 50;
const LARGEST_PAGE: usize = 500;

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct IncidentQuery {
    /// Only incidents opened at or after this time (RFC 3339, such as `2026-01-31T12:00:00Z`).
    since: Option<String>,
    /// At most so many; 1 to 500, 50 when not given.
    limit: Option<usize>,
    /// `next` of the page before.
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IncidentPage {
    /// Newest first; without their stories.
    incidents: Vec<Incident>,
    /// Asks for the page after this one; null: this is the last.
    next: Option<String>,
}

/// Incidents, newest first, page by page.
#[utoipa::path(get, path = "/incidents", tag = "read", params(IncidentQuery),
    responses(
        (status = 200, body = IncidentPage),
        (status = 400, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn incidents(
    api: Shared,
    query: Result<Query<IncidentQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    let since = query.since.as_deref().map(time).transpose()?;
    let before = query.next.as_deref().map(cursor).transpose()?;
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Problem::bad_request(format!(
            "limit is {limit}; expected 1 to {LARGEST_PAGE}"
        )));
    }
    let journal = api.handle.journal.clone();
    // One more than asked for tells whether there is a page after this one.
    let mut found = read_journal(move || journal.incidents(since, before, limit + 1)).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| format!("{}.{}", last.opened.0, last.id));
    let incidents = found
        .iter()
        .map(|incident| {
            let mut incident = api.handle.words.incident(incident);
            incident.story.clear();
            incident.log.clear();
            incident
        })
        .collect();
    Ok(json(200, &IncidentPage { incidents, next }))
}

/// One incident with its story.
#[utoipa::path(get, path = "/incidents/{id}", tag = "read", params(("id" = String, Path)),
    responses(
        (status = 200, body = Incident),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn incident(
    api: Shared,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = path?;
    // The open ones are newer in the snapshot than on disk.
    if let Some(open) = api.handle.snapshot().incidents.iter().find(|incident| incident.id == id) {
        return Ok(json(200, open));
    }
    let journal = api.handle.journal.clone();
    let asked = id.clone();
    match read_journal(move || journal.incident(&asked)).await? {
        Some(incident) => Ok(json(200, &api.handle.words.incident(&incident))),
        None => Err(Problem::not_found(format!(
            "there is no incident {id:?}; GET /incidents lists them"
        ))),
    }
}

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct MemoryQuery {
    /// From this time on (RFC 3339, such as `2026-01-31T12:00:00Z`); the last six hours when not given.
    since: Option<String>,
    /// At most so many rows, one for each owner at each time, the newest; 1 to 20000, 5000 when not
    /// given.
    limit: Option<usize>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MemoryHistory {
    /// Oldest first.
    samples: Vec<Sample>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sample {
    /// RFC 3339, UTC.
    at: String,
    owners: Vec<OwnerThen>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OwnerThen {
    /// `ollama`, `mlx`, `docker`, `python`, a configured row, `others`.
    owner: String,
    /// Null: only its work was read.
    bytes: Option<u64>,
    /// Per cent of one core, at most, in the minute that began then; model servers only.
    busy_percent: Option<u32>,
}

/// Who held how much memory, and how hard the model servers worked, on one time line.
#[utoipa::path(get, path = "/memory", tag = "read", params(MemoryQuery),
    responses(
        (status = 200, body = MemoryHistory),
        (status = 400, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn memory(
    api: Shared,
    query: Result<Query<MemoryQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    const SIX_HOURS: i64 = 6 * 3_600_000;
    const ROWS: usize = 5000;
    const MOST_ROWS: usize = 20_000;
    let Query(query) = query?;
    let since = query.since.as_deref().map(time).transpose()?;
    let limit = query.limit.unwrap_or(ROWS);
    if !(1..=MOST_ROWS).contains(&limit) {
        return Err(Problem::bad_request(format!("limit is {limit}; expected 1 to {MOST_ROWS}")));
    }
    let since = since.unwrap_or_else(|| Wall(crate::clock::now().wall.0.saturating_sub(SIX_HOURS)));
    let journal = api.handle.journal.clone();
    let found = read_journal(move || journal.memory(since, limit)).await?;
    let owner = |row: MemoryRow| OwnerThen {
        owner: row.owner,
        bytes: row.bytes,
        busy_percent: row.busy_percent,
    };
    let samples = found.into_iter().map(|sample| Sample {
        at: rfc3339(sample.at),
        owners: sample.rows.into_iter().map(owner).collect(),
    });
    Ok(json(200, &MemoryHistory { samples: samples.collect() }))
}

/// An operation, running or ended a while ago.
#[utoipa::path(get, path = "/operations/{id}", tag = "read", params(("id" = String, Path)),
    responses(
        (status = 200, body = Operation),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn operation(
    api: Shared,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = path?;
    match api.handle.operation(&id) {
        Some(operation) => Ok(json(200, &operation)),
        None => Err(Problem::not_found(format!(
            "there is no operation {id:?}; only running ones and the last that ended are kept"
        ))),
    }
}

/// Reads on a thread that may wait for the disk.
pub(super) async fn read_journal<T: Send + 'static, E: std::fmt::Display + Send + 'static>(
    read: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            Err(Problem::internal(&format!("the journal could not be read: {error}")))
        }
        Err(ended) => Err(Problem::internal(&format!("reading the journal ended badly: {ended}"))),
    }
}

fn time(text: &str) -> Result<Wall, Problem> {
    let parsed: Timestamp = text.parse().map_err(|_| {
        Problem::bad_request(format!(
            "since is {text:?}; expected a time such as 2026-01-31T12:00:00Z"
        ))
    })?;
    Ok(Wall(parsed.as_millisecond()))
}

fn cursor(text: &str) -> Result<(Wall, String), Problem> {
    text.split_once('.')
        .and_then(|(at, id)| Some((Wall(at.parse().ok()?), id.to_owned())))
        .ok_or_else(|| {
            Problem::bad_request(format!("next is {text:?}; expected `next` of the page before"))
        })
}
