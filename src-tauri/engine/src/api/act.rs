//! What a person asks for: `POST /targets/{id}/{verb}`, `/models/unload`, `/models/measure`.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use doctor::{Asker, MeasurePlan, TargetId, Unload, Wish};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::body::read;
use super::{Api, Problem, Shared, json};
use crate::wish::hold_time;

/// Models that one measurement may name.
const MODELS: usize = 500;
/// Ollama itself takes no longer names.
const LONGEST_NAME: usize = 512;

/// What was asked for is under way.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    /// To follow with `GET /operations/{id}`; null when it was done at once, as a hold is.
    operation: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TargetVerb {
    Restart,
    Start,
    Stop,
    Hold,
    Release,
    /// Only of `ollama`: its configured models are to exist.
    Ensure,
    /// Only of `ollama`: what is broken of its models is removed and brought anew.
    Repair,
    /// Only of a container: its memory limit, as it runs.
    Raise,
}

/// What a verb may be told.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TargetBody {
    /// How long a hold or a stop lasts: `30m`, `1h`, `2d`; without it, until a person ends it. What
    /// was stopped for a time is started again after it.
    #[serde(rename = "for", deserialize_with = "written")]
    within: Option<String>,
    /// Which model `ensure` or `repair` means; without it, every configured one, or every broken one.
    model: Option<String>,
    /// Bytes that `raise` sets the memory limit to; without it, half as much again.
    to: Option<u64>,
}

/// Exactly one of the three.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct UnloadBody {
    model: Option<String>,
    /// True: every model that is not busy and not pinned.
    idle: bool,
    /// True: every model that is not pinned.
    all: bool,
}

/// Which models; none named: all of them.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct MeasureBody {
    models: Vec<String>,
}

/// Restarts, starts, stops, holds or releases one target, brings its models, or raises its memory limit.
#[utoipa::path(post, path = "/targets/{id}/{verb}", tag = "act", security(("token" = [])),
    params(
        ("id" = String, Path, description = "`host`, `docker`, `ollama`, `mlx`, `container:NAME`, `service:NAME`"),
        ("verb" = TargetVerb, Path),
    ),
    request_body = Option<TargetBody>,
    responses(
        (status = 202, body = Accepted),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such target, or no such verb", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "A person holds it", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be done", body = Problem, content_type = "application/problem+json"),
        (status = 423, description = "Waking, or its parent is not well", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn target(
    api: Shared,
    path: Result<Path<(String, String)>, PathRejection>,
    body: Bytes,
) -> Result<Response, Problem> {
    let Path((id, verb)) = path?;
    let target: TargetId = id.parse().map_err(Problem::not_found)?;
    let verb = serde_json::from_value(verb.as_str().into()).map_err(|_| {
        Problem::not_found(format!(
            "{verb:?} is not known; expected restart, start, stop, hold, release, ensure, \
             repair or raise"
        ))
    })?;
    let asked: TargetBody = read(&body)?;
    if asked.within.is_some() && !matches!(verb, TargetVerb::Hold | TargetVerb::Stop) {
        return Err(Problem::unprocessable("`for` is understood by hold and stop only"));
    }
    if asked.model.is_some() && !matches!(verb, TargetVerb::Ensure | TargetVerb::Repair) {
        return Err(Problem::unprocessable("`model` is understood by ensure and repair only"));
    }
    if asked.model.as_ref().is_some_and(|model| model.is_empty() || model.len() > LONGEST_NAME) {
        return Err(Problem::unprocessable(format!(
            "a model's name has 1 to {LONGEST_NAME} bytes"
        )));
    }
    if asked.to.is_some() && !matches!(verb, TargetVerb::Raise) {
        return Err(Problem::unprocessable("`to` is understood by raise only"));
    }
    let within = asked.within.as_deref().map(hold_time).transpose();
    let within = within.map_err(Problem::unprocessable)?;
    let wish = match verb {
        TargetVerb::Restart => Wish::Restart { target: target.clone() },
        TargetVerb::Start => Wish::Start { target: target.clone() },
        TargetVerb::Stop => Wish::Stop { target: target.clone(), within },
        TargetVerb::Hold => Wish::Hold { target: target.clone(), within },
        TargetVerb::Release => Wish::Release { target: target.clone() },
        TargetVerb::Ensure if target == TargetId::Ollama => Wish::Ensure { model: asked.model },
        TargetVerb::Repair if target == TargetId::Ollama => Wish::Repair { model: asked.model },
        TargetVerb::Raise => Wish::Raise { target: target.clone(), to: asked.to },
        TargetVerb::Ensure | TargetVerb::Repair => {
            return Err(Problem::unprocessable("only `ollama` has models that can be brought"));
        }
    };
    act(&api, wish, Some(&target)).await
}

/// Takes models out of memory.
#[utoipa::path(post, path = "/models/unload", tag = "act", security(("token" = [])),
    request_body = UnloadBody,
    responses(
        (status = 202, body = Accepted),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Not exactly one of `model`, `idle`, `all`, or it cannot be done", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn unload(api: Shared, body: Bytes) -> Result<Response, Problem> {
    let asked: UnloadBody = read(&body)?;
    let unload = match (asked.model, asked.idle, asked.all) {
        (Some(model), false, false) if !model.is_empty() => Unload::Model(model),
        (None, true, false) => Unload::Idle,
        (None, false, true) => Unload::All,
        (Some(_) | None, _, _) => {
            return Err(Problem::unprocessable(
                r#"expected exactly one of {"model":"NAME"}, {"idle":true} and {"all":true}"#,
            ));
        }
    };
    act(&api, Wish::Unload(unload), None).await
}

/// Measures how fast models are, one after the other.
#[utoipa::path(post, path = "/models/measure", tag = "act", security(("token" = [])),
    request_body = Option<MeasureBody>,
    responses(
        (status = 202, body = Accepted),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn measure(api: Shared, body: Bytes) -> Result<Response, Problem> {
    let asked: MeasureBody = read(&body)?;
    if asked.models.len() > MODELS {
        return Err(Problem::unprocessable(format!("at most {MODELS} models can be named")));
    }
    act(&api, Wish::Measure(MeasurePlan { models: asked.models }), None).await
}

/// Which model; without a name all of them.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct VerifyBody {
    model: Option<String>,
}

/// Reads models whole and compares them with their sums; changes nothing.
#[utoipa::path(post, path = "/models/verify", tag = "act", security(("token" = [])),
    request_body = Option<VerifyBody>,
    responses(
        (status = 202, body = Accepted),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn verify(api: Shared, body: Bytes) -> Result<Response, Problem> {
    let asked: VerifyBody = read(&body)?;
    let wrong = |model: &String| model.is_empty() || model.len() > LONGEST_NAME;
    if asked.model.as_ref().is_some_and(wrong) {
        return Err(Problem::unprocessable(format!(
            "a model's name has 1 to {LONGEST_NAME} bytes"
        )));
    }
    act(&api, Wish::VerifyModels { model: asked.model }, None).await
}

/// Ends the measurement that runs.
#[utoipa::path(delete, path = "/models/measure", tag = "act", security(("token" = [])),
    responses(
        (status = 202, body = Accepted),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "None runs", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn cancel_measure(api: Shared) -> Result<Response, Problem> {
    act(&api, Wish::CancelMeasure, None).await
}

/// Breaks off an operation that takes long and may be left half done: a measurement, a download.
#[utoipa::path(delete, path = "/operations/{id}", tag = "act", security(("token" = [])),
    params(("id" = String, Path)),
    responses(
        (status = 202, body = Accepted),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "No such one runs, or it must not be broken off", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn cancel(
    api: Shared,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(operation) = path?;
    act(&api, Wish::Cancel { operation }, None).await
}

/// A duration in a string: null or a number is a mistake, and must not be taken for an endless hold.
fn written<'a, D: Deserializer<'a>>(field: D) -> Result<Option<String>, D::Error> {
    String::deserialize(field).map(Some).map_err(|_| {
        D::Error::custom(
            "`for` must be a duration in quotes such as \"30s\", \"10m\" or \"1h\"; without `for` \
             the hold lasts until it is released",
        )
    })
}

/// What an unwilling answer is as a problem; the others are given back.
pub(super) fn willing(
    api: &Api,
    response: doctor::Response,
    target: Option<&TargetId>,
) -> Result<doctor::Response, Problem> {
    let says = |sentence| api.handle.words.sentence(sentence);
    match &response {
        doctor::Response::Accepted { .. } | doctor::Response::Done => Ok(response),
        doctor::Response::Held(sentence) => Err(Problem::new(StatusCode::CONFLICT, says(sentence))),
        doctor::Response::NotNow(sentence) => Err(Problem::new(StatusCode::LOCKED, says(sentence))),
        doctor::Response::Impossible(sentence) => {
            let snapshot = api.handle.snapshot();
            let watched = |target: &TargetId| {
                let id = target.to_string();
                snapshot.targets.iter().any(|seen| seen.id == id)
            };
            Err(match target {
                Some(target) if !watched(target) => Problem::not_found(says(sentence)),
                Some(_) | None => Problem::unprocessable(says(sentence)),
            })
        }
    }
}

async fn act(api: &Api, wish: Wish, target: Option<&TargetId>) -> Result<Response, Problem> {
    let operation = match willing(api, api.wish(wish, Asker::Person).await?, target)? {
        doctor::Response::Accepted { operation, .. } => Some(operation),
        doctor::Response::Done
        | doctor::Response::Held(_)
        | doctor::Response::NotNow(_)
        | doctor::Response::Impossible(_) => None,
    };
    Ok(json(202, &Accepted { operation }))
}
