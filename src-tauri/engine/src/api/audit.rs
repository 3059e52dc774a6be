//! `GET /audit`: what will go wrong before it does.

use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::timings::slowest_call_s;
use super::{Problem, Shared, json};
use crate::audit::{Facts, FindingView, Host, Severity, look};

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Audit {
    /// Nothing of it is an error.
    ok: bool,
    findings: Vec<FindingView>,
    /// Compose files that were read.
    files: Vec<String>,
    /// How many were looked at; null: Docker did not answer.
    containers: Option<usize>,
}

/// Findings about all containers, the compose files that they come from, and the machine. One at a time:
/// it reads files and asks Docker about every container.
#[utoipa::path(get, path = "/audit", tag = "read",
    responses(
        (status = 200, body = Audit),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn audit(api: Shared) -> Result<Response, Problem> {
    let Ok(_permit) = api.auditing.try_acquire() else {
        let wait = std::time::Duration::from_secs(5);
        return Err(Problem::unavailable("an audit is under way already", wait));
    };
    let facts = tokio::task::spawn_blocking(|| Facts::here(true)).await.unwrap_or_default();
    let host = Host {
        memory_bytes: crate::platform::memory().ok().map(|host| host.memory_bytes),
        webhook_port: api.port,
        slowest_call_s: slowest_call_s(&api).await?,
        ..Host::default()
    };
    let report = look(&api.handle.docker(), &[], &facts, host).await;
    let worst = report.findings.iter().map(|finding| finding.severity).max();
    let words = &api.handle.words;
    let audit = Audit {
        ok: worst != Some(Severity::Error),
        findings: report.findings.iter().map(|finding| finding.view(words)).collect(),
        files: report.files.iter().map(|file| file.display().to_string()).collect(),
        containers: report.containers.ok(),
    };
    Ok(json(200, &audit))
}
