//! What is answered to which question.

use std::sync::{Arc, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Inside};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::UnixListener;

use super::Shared;

pub(super) async fn serve(listener: UnixListener, shared: Arc<Shared>) {
    let router = Router::new().fallback(answer).with_state(shared);
    // It ends with its runtime.
    let _ = axum::serve(listener, router).await;
}

async fn answer(Inside(shared): Inside<Arc<Shared>>, request: Request) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let path = unversioned(uri.path()).to_owned();
    shared.calls.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{method} {path}"));
    if shared.state().hangs {
        std::future::pending::<()>().await;
    }
    let words: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match (&method, words.as_slice()) {
        (&Method::GET | &Method::HEAD, ["_ping"]) => "OK".into_response(),
        (&Method::GET, ["version"]) => sent(&json!({"Version": "29.7.2", "ApiVersion": "1.52"})),
        (&Method::GET, ["info"]) => sent(&json!({"MemTotal": 64_u64 << 30, "NCPU": 8})),
        (&Method::GET, ["events"]) => events(&shared, &uri),
        (&Method::GET, ["containers", "json"]) => {
            let list: Vec<Value> =
                shared.state().containers.values().map(super::Container::listed).collect();
            sent(&Value::Array(list))
        }
        (&Method::GET, ["containers", name, "logs"]) => found(&shared, name, |_| {
            ([("content-type", "application/vnd.docker.raw-stream")], "").into_response()
        }),
        (&Method::GET, ["containers", name, "json"]) => {
            found(&shared, name, |container| sent(&container.inspected()))
        }
        (&Method::POST, ["containers", name, verb @ ("start" | "stop")]) => {
            let Some(name) = name_of(&shared, name) else { return missing(name) };
            if *verb == "start" {
                shared.start(&name);
            } else {
                shared.stop(&name);
            }
            StatusCode::NO_CONTENT.into_response()
        }
        _ => missing(&path),
    }
}

fn events(shared: &Shared, uri: &Uri) -> Response {
    let since = uri.query().into_iter().flat_map(|query| query.split('&')).find_map(|pair| {
        let (seconds, fraction) = pair.strip_prefix("since=")?.split_once('.')?;
        Some(seconds.parse::<i64>().ok()? * 1_000_000_000 + fraction.parse::<i64>().ok()?)
    });
    let listening = shared.stream().listen(since);
    let pieces = futures_util::stream::unfold(listening, |mut listening| async move {
        Some((listening.recv().await?, listening))
    });
    ([("content-type", "application/json")], Body::from_stream(pieces)).into_response()
}

/// By name, or by the whole id.
fn name_of(shared: &Shared, asked: &str) -> Option<String> {
    let state = shared.state();
    let known = state.containers.get(asked);
    let known = known.or_else(|| state.containers.values().find(|one| one.id == asked));
    known.map(|container| container.name.clone())
}

fn found(
    shared: &Shared,
    asked: &str,
    answer: impl FnOnce(&super::Container) -> Response,
) -> Response {
    let Some(name) = name_of(shared, asked) else { return missing(asked) };
    shared.state().containers.get(&name).map_or_else(|| missing(asked), answer)
}

fn missing(what: &str) -> Response {
    let body = json!({"message": format!("No such container: {what}")}).to_string();
    (StatusCode::NOT_FOUND, [("content-type", "application/json")], body).into_response()
}

fn sent(body: &Value) -> Response {
    ([("content-type", "application/json")], body.to_string()).into_response()
}

/// `/v1.41/_ping` is `/_ping`.
fn unversioned(path: &str) -> &str {
    let Some(rest) = path.strip_prefix("/v1.") else { return path };
    rest.find('/').map_or(path, |at| &rest[at..])
}
