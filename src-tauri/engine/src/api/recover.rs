//! `POST /recover`: an agent cannot reach a model server and says so.

use std::time::Duration;

use axum::Extension;
use axum::response::Response;
use bytes::Bytes;
use doctor::{TargetId, Wish};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::act::willing;
use super::body::read_lenient;
use super::guard::Caller;
use super::{Api, Problem, Shared, json};
use crate::view::{OperationState, State};

/// With the wish's own answer this stays within the two seconds that callers are promised.
const CHECKED_WITHIN: Duration = Duration::from_millis(1800);

/// The first users' body, or one target; nothing at all asks for a full check.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub(super) struct RecoverBody {
    /// False: the caller cannot reach it.
    ollama: Option<bool>,
    /// False: the caller cannot reach it.
    mlx: Option<bool>,
    /// The caller's clock, in whatever form; not used.
    #[schema(value_type = Option<Object>)]
    #[serde(rename = "ts")]
    _ts: Option<IgnoredAny>,
    target: Option<String>,
}

/// It is being seen to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Recovering {
    /// To follow with `GET /operations/{id}`.
    operation: Option<String>,
    targets: Vec<String>,
}

/// It was checked and is well, as seen from the host.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Checked {
    operation: Option<String>,
    targets: Vec<String>,
    evidence: Vec<Evidence>,
}

/// How one target was found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Evidence {
    target: String,
    state: State,
    /// RFC 3339, UTC.
    since: String,
    /// One short line: a version, an address, how long it is up.
    line: String,
}

/// Raises suspicion: what is named is looked at within 50 ms, and healed if it is sick. With a valid token
/// it is a person's wish, which also ends a hold.
#[utoipa::path(post, path = "/recover", tag = "agents", security((), ("token" = [])),
    request_body = Option<RecoverBody>,
    responses(
        (status = 200, description = "Healthy as seen from the host", body = Checked),
        (status = 202, body = Recovering),
        (status = 401, description = "A wrong token, or none where one is needed", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such target", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "A person holds it", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be done", body = Problem, content_type = "application/problem+json"),
        (status = 423, description = "Waking, or its parent is not well", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "More than 10 calls within a minute", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn recover(
    api: Shared,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, Problem> {
    let asked: RecoverBody = read_lenient(&body)?;
    let (wish, target) = wish(&asked)?;
    let named = matches!(&wish, Wish::Recover { targets } if !targets.is_empty());
    let response = api.wish_from(wish, caller.by, Some(caller.from)).await?;
    match willing(&api, response, target.as_ref())? {
        doctor::Response::Accepted { operation, targets } => {
            let targets = targets.iter().map(ToString::to_string).collect();
            Ok(outcome(&api, operation, targets, named).await)
        }
        doctor::Response::Done
        | doctor::Response::Held(_)
        | doctor::Response::NotNow(_)
        | doctor::Response::Impossible(_) => {
            Ok(json(202, &Recovering { operation: None, targets: Vec::new() }))
        }
    }
}

/// What the body asks for, and the target when it names exactly one.
fn wish(asked: &RecoverBody) -> Result<(Wish, Option<TargetId>), Problem> {
    let named: Option<TargetId> = match &asked.target {
        Some(text) => Some(text.parse().map_err(Problem::unprocessable)?),
        None => None,
    };
    let complaint = |said: Option<bool>, id| (said == Some(false)).then_some(id);
    let targets: Vec<TargetId> = named
        .iter()
        .cloned()
        .chain(complaint(asked.ollama, TargetId::Ollama))
        .chain(complaint(asked.mlx, TargetId::Mlx))
        .collect();
    // "Both are fine" is no complaint: a plain look at everything.
    let fine = targets.is_empty() && (asked.ollama.is_some() || asked.mlx.is_some());
    let wish = if fine { Wish::CheckEverything } else { Wish::Recover { targets } };
    Ok((wish, named))
}

/// Waits for a short check; what takes longer is told as under way. Who names a target that was never
/// found here is not told that it is well, whatever the check came to.
async fn outcome(api: &Api, operation: String, targets: Vec<String>, named: bool) -> Response {
    let ended = api.handle.operation_end(&operation, CHECKED_WITHIN).await;
    let passed =
        ended.is_some_and(|ended| ended.verb == "check" && ended.state == OperationState::Verified);
    let snapshot = api.handle.snapshot();
    let seen = |id: &String| snapshot.targets.iter().find(|target| target.id == *id);
    let asked = targets.iter().filter_map(seen).filter(|target| named || target.found);
    let evidence: Vec<Evidence> = asked
        .map(|target| Evidence {
            target: target.id.clone(),
            state: target.state,
            since: target.since.clone(),
            line: target.line.clone(),
        })
        .collect();
    let well = |found: &Evidence| matches!(found.state, State::Healthy | State::Slow);
    if passed && !evidence.is_empty() && evidence.iter().all(well) {
        json(200, &Checked { operation: Some(operation), targets, evidence })
    } else {
        json(202, &Recovering { operation: Some(operation), targets })
    }
}
