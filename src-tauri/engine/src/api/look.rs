//! `GET /health` and `GET /status`.

use std::time::Duration;

use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Shared, json};
use crate::view::Snapshot;

/// The loop comes round at least every 30 s.
pub(super) const LATE: Duration = Duration::from_secs(35);

/// How Homeostat itself is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`, or `late`: the loop has not come round for longer than it may.
    status: &'static str,
    version: &'static str,
    /// Seconds since the loop last came round.
    silent_s: u64,
}

/// Homeostat itself.
#[utoipa::path(get, path = "/health", tag = "agents",
    responses((status = 200, body = Health), (status = 503, description = "Its loop is late", body = Health)))]
pub(super) async fn health(api: Shared) -> Response {
    let silent = api.handle.silent_for();
    let (status, code) = if silent > LATE { ("late", 503) } else { ("ok", 200) };
    let version = env!("CARGO_PKG_VERSION");
    json(code, &Health { status, version, silent_s: silent.as_secs() })
}

/// The snapshot: everything there is to see.
#[utoipa::path(get, path = "/status", tag = "read", responses((status = 200, body = Snapshot)))]
pub(super) async fn status(api: Shared) -> Response {
    json(200, api.handle.snapshot().as_ref())
}
