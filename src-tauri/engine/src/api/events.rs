//! `GET /events`: the snapshot at every change, and every notice.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, future, stream};
use serde::Serialize;
use tokio_stream::wrappers::{BroadcastStream, WatchStream};

use super::{Problem, Shared, stopped};

/// Streams at once; each holds a connection for as long as a window is open.
pub(super) const STREAMS: usize = 32;

const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Server-sent events: `snapshot` (the first at once, then at every change) and `notice`.
#[utoipa::path(get, path = "/events", tag = "read",
    responses(
        (status = 200, description = "`event: snapshot` with a Snapshot, `event: notice` with a Notice", content_type = "text/event-stream", body = String),
        (status = 503, description = "32 streams are open already", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn events(api: Shared) -> Result<Response, Problem> {
    let place = api.streams.clone().try_acquire_owned().map_err(|_| {
        Problem::unavailable(
            "32 event streams are open already; close one, or ask GET /status",
            Duration::from_secs(15),
        )
    })?;
    let snapshots = WatchStream::new(api.handle.snapshots())
        .filter_map(|snapshot| future::ready(event("snapshot", snapshot.as_ref())));
    // Who is too slow misses the oldest notices, and goes on.
    let notices = BroadcastStream::new(api.handle.notices()).filter_map(|notice| {
        future::ready(notice.ok().and_then(|notice| event("notice", &notice)))
    });
    let mut stopping = api.stopping.clone();
    let stopped = async move { stopped(&mut stopping).await };
    let all = stream::select(snapshots, notices).take_until(Box::pin(stopped)).map(move |event| {
        let _held_while_streaming = &place;
        Ok::<_, Infallible>(event)
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("alive");
    Ok(Sse::new(all).keep_alive(keep_alive).into_response())
}

fn event(name: &'static str, value: &impl Serialize) -> Option<Event> {
    Event::default().event(name).json_data(value).ok()
}
