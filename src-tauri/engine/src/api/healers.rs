//! `POST /healers/{verb}`: what becomes of other healers (C12).

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Problem, Shared, json};
use crate::handle::Handover;

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum HealerVerb {
    /// End them, so that nobody heals twice; `give_back` puts them back.
    TakeOver,
    GiveBack,
}

/// It is under way; `takeover` of the snapshot tells how it goes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Begun {
    /// Always null: it is no operation on a target.
    operation: Option<String>,
}

/// Takes over from other healers, or gives back to them.
#[utoipa::path(post, path = "/healers/{verb}", tag = "act", security(("token" = [])),
    params(("verb" = HealerVerb, Path)),
    responses(
        (status = 202, body = Begun),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such verb", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The loop does not listen", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn healers(
    api: Shared,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(verb) = path?;
    let verb = serde_json::from_value(verb.as_str().into()).map_err(|_| {
        Problem::not_found(format!("{verb:?} is not known; expected take_over or give_back"))
    })?;
    let what = match verb {
        HealerVerb::TakeOver => Handover::TakeOver,
        HealerVerb::GiveBack => Handover::GiveBack,
    };
    if api.handle.hand_over(what) {
        Ok(json(202, &Begun { operation: None }))
    } else {
        Err(super::busy())
    }
}
