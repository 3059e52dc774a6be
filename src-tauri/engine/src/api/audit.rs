//! `GET /audit`: what will go wrong before it does.

use std::time::Duration;

use axum::response::Response;

use super::{Problem, Shared, json};
use crate::audit::{Audit, NoAudit, ask};

/// Findings about all containers, the compose files that they come from, and the machine. One at a time:
/// it reads files and asks Docker about every container.
#[utoipa::path(get, path = "/audit", tag = "read",
    responses(
        (status = 200, body = Audit),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn audit(api: Shared) -> Result<Response, Problem> {
    match ask(&api.handle).await {
        Ok(audit) => Ok(json(200, &audit)),
        Err(error @ NoAudit::UnderWay) => {
            Err(Problem::unavailable(&error.to_string(), Duration::from_secs(5)))
        }
        Err(error @ NoAudit::Journal(_)) => Err(Problem::internal(&error.to_string())),
    }
}
