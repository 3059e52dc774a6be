//! The gates that agents ask before they work: `GET /llm`, `GET /llm/room`, `GET /ollama`.

use std::time::Instant;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use doctor::Calls;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::body::read;
use super::{ANSWER_WITHIN, Problem, Shared, busy, json};
use crate::view::{Model, Snapshot, State, Target};

const GIGABYTE: f64 = 1e9;
/// No agent makes more calls between two reports.
const CALLS: u64 = 1_000_000;

/// Whether each may be used now.
#[expect(clippy::struct_excessive_bools, reason = "the four answers that agents ask for, by name")]
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LlmGate {
    ollama: bool,
    mlx: bool,
    embeddings: bool,
    /// True: Homeostat could not heal it; use the cloud.
    fallback: bool,
    /// What agents reported within the last hour.
    calls: CallCounts,
    /// RFC 3339, UTC.
    ts: String,
}

/// Calls to language models.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CallCounts {
    local: u64,
    cloud: u64,
}

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct RoomQuery {
    /// Gigabytes (10^9 bytes) that the run needs.
    gb: f64,
}

/// Whether a heavy run fits into memory.
#[expect(clippy::struct_field_names, reason = "agents know the field by this name")]
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct Room {
    /// True: it fits, once `would_unload` is out.
    room: bool,
    /// Gigabytes that may be used now; a tenth of what is free is kept back.
    available_gb: f64,
    /// Idle models that have to go for it.
    would_unload: Vec<String>,
}

/// Ollama in the terms of the first users' `get_status`; null is "not known".
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OllamaStatus {
    ollama_running: bool,
    /// The model in memory; with several, the first.
    model_loaded: Option<String>,
    latency_ms: Option<u64>,
    health: OllamaHealth,
    uptime_seconds: Option<u64>,
    inference_count: Option<u64>,
    memory_usage_mb: Option<u64>,
    gpu_available: Option<bool>,
    cpu_usage_percent: Option<f64>,
    last_error: Option<String>,
}

/// To the answer, and to the first token where one was asked for lately: below 5 s healthy, up to
/// 15 s unhealthy, later or not at all down. A label only: a restart follows from R5 alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum OllamaHealth {
    Healthy,
    Unhealthy,
    Down,
}

/// The gate, from memory: asks nobody.
#[utoipa::path(get, path = "/llm", tag = "agents", responses((status = 200, body = LlmGate)))]
pub(super) async fn llm(api: Shared) -> Response {
    let gate = api.handle.gate();
    let now = Instant::now();
    let open = |until: Option<Instant>| until.is_some_and(|until| now < until);
    json(
        200,
        &LlmGate {
            ollama: open(gate.ollama_until),
            mlx: open(gate.mlx_until),
            embeddings: open(gate.embeddings_until),
            fallback: gate.fallback,
            calls: CallCounts { local: gate.calls.local, cloud: gate.calls.cloud },
            ts: Timestamp::now().to_string(),
        },
    )
}

/// Agents report the calls they made since their last report.
#[utoipa::path(post, path = "/llm/calls", tag = "act", security(("token" = [])),
    request_body = CallCounts,
    responses(
        (status = 204, description = "Counted"),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn calls(api: Shared, body: Bytes) -> Result<StatusCode, Problem> {
    let CallCounts { local, cloud } = read(&body)?;
    if local.max(cloud) > CALLS {
        return Err(Problem::unprocessable(format!(
            "local is {local} and cloud is {cloud}; one report takes at most {CALLS} of each"
        )));
    }
    let counted = api.handle.called(Calls { local, cloud });
    tokio::time::timeout(ANSWER_WITHIN, counted).await.map_err(|_| busy())?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether there is memory for a heavy run.
#[utoipa::path(get, path = "/llm/room", tag = "agents", params(RoomQuery),
    responses(
        (status = 200, body = Room),
        (status = 400, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn room(
    api: Shared,
    query: Result<Query<RoomQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(RoomQuery { gb }) = query?;
    if !(gb.is_finite() && gb > 0.0 && gb <= 100_000.0) {
        return Err(Problem::bad_request(format!(
            "gb is {gb}; expected a number above 0, such as /llm/room?gb=40"
        )));
    }
    Ok(json(200, &room_for(&api.handle.snapshot(), gb)))
}

/// How Ollama is.
#[utoipa::path(get, path = "/ollama", tag = "agents", responses((status = 200, body = OllamaStatus)))]
pub(super) async fn ollama(api: Shared) -> Response {
    json(200, &ollama_status(&api.handle.snapshot()))
}

/// Models are taken in the order in which Ollama would drop them itself, until it fits.
fn room_for(snapshot: &Snapshot, gb: f64) -> Room {
    let memory = &snapshot.memory;
    let usable = memory.available_bytes - memory.available_bytes / 10;
    let mut available = gigabytes(usable);
    let available_gb = (available * 10.0).floor() / 10.0;
    let mut idle: Vec<&Model> = snapshot
        .models
        .iter()
        // Only Ollama unloads one model and stays; one that never expires was asked to stay.
        .filter(|model| model.server == "ollama" && !model.pinned && model.expires_in_s.is_some())
        .collect();
    idle.sort_by_key(|model| model.expires_in_s);
    let mut would_unload = Vec::new();
    for model in idle {
        if available >= gb {
            break;
        }
        available += gigabytes(model.size_bytes);
        would_unload.push(model.name.clone());
    }
    let room = available >= gb;
    if !room {
        would_unload.clear();
    }
    Room { room, available_gb, would_unload }
}

fn ollama_status(snapshot: &Snapshot) -> OllamaStatus {
    let target = snapshot.targets.iter().find(|target| target.id == "ollama");
    let number =
        |name: &str| target.and_then(|target| target.detail.get(name)).and_then(Value::as_f64);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, which is what is wanted of a figure to look at"
    )]
    let count = |name: &str| number(name).map(|value| value as u64);
    let latency_ms = count("latency_ms");
    // What agents wait for is a token, and the slower of both is what they feel.
    let slower = latency_ms.max(count("token_ms"));
    let health = target.map_or(OllamaHealth::Down, |target| health(target.state, slower));
    let latency_ms = latency_ms.filter(|_| health != OllamaHealth::Down);
    let models: Vec<&Model> =
        snapshot.models.iter().filter(|model| model.server == "ollama").collect();
    let group = snapshot.memory.groups.iter().find(|group| group.name == "ollama");
    OllamaStatus {
        ollama_running: health != OllamaHealth::Down,
        model_loaded: models.first().map(|model| model.name.clone()),
        latency_ms,
        health,
        uptime_seconds: count("uptime_s"),
        inference_count: count("inference_count"),
        memory_usage_mb: group.map(|group| group.bytes / 1_000_000),
        gpu_available: (!models.is_empty())
            .then(|| models.iter().any(|model| model.vram_bytes > 0)),
        cpu_usage_percent: number("cpu_percent"),
        last_error: target.and_then(error),
    }
}

fn health(state: State, latency_ms: Option<u64>) -> OllamaHealth {
    match state {
        State::Down | State::GivenUp | State::Recovering | State::Starting | State::Unknown => {
            OllamaHealth::Down
        }
        State::Degraded | State::Slow => OllamaHealth::Unhealthy,
        State::Healthy => match latency_ms {
            Some(latency) if latency > 15_000 => OllamaHealth::Down,
            Some(latency) if latency >= 5_000 => OllamaHealth::Unhealthy,
            Some(_) | None => OllamaHealth::Healthy,
        },
    }
}

fn error(target: &Target) -> Option<String> {
    target.cause.as_ref().map(|cause| cause.text.clone())
}

#[expect(clippy::cast_precision_loss, reason = "memory sizes are far below 2^53 bytes")]
fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / GIGABYTE
}

#[cfg(test)]
mod tests {
    use super::{OllamaHealth, State, health};

    #[test]
    fn bands_of_health_are_a_label_by_the_time_that_an_answer_takes() {
        for (ms, expected) in [
            (0, OllamaHealth::Healthy),
            (4_999, OllamaHealth::Healthy),
            (5_000, OllamaHealth::Unhealthy),
            (15_000, OllamaHealth::Unhealthy),
            (15_001, OllamaHealth::Down),
        ] {
            assert_eq!(health(State::Healthy, Some(ms)), expected, "{ms}");
        }
        assert_eq!(health(State::Degraded, Some(100)), OllamaHealth::Unhealthy);
        assert_eq!(health(State::Down, Some(100)), OllamaHealth::Down);
    }
}
