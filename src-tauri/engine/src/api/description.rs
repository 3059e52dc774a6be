//! The `OpenAPI` description, made from the very handlers that are served.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    Api, act, audit, events, healers, history, json, llm, look, metrics, page, recover, timings,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Homeostat",
        description = "Watches Ollama, MLX, Docker containers, HTTP services and host memory; says what is wrong and why, heals it, proves it. Errors are RFC 9457 problem details."
    ),
    tags(
        (name = "agents", description = "Answered on the Docker bridge address too, without a token"),
        (name = "read", description = "Needs no token from this machine"),
        (name = "act", description = "Needs the token"),
    ),
    components(schemas(crate::view::NoticeView, act::TargetVerb, healers::HealerVerb)),
    modifiers(&Schemes),
)]
struct Description;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The content of the file `token` in Homeostat's data directory"))
            .build();
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

/// The description of every route that is served.
pub fn description() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

/// The router: each route is served and described by the same line.
pub(super) fn router(api: Arc<Api>) -> Router {
    let (router, _) = routes().split_for_parts();
    router.fallback(page::other).method_not_allowed_fallback(page::wrong_method).with_state(api)
}

fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(llm::llm))
        .routes(routes!(llm::room))
        .routes(routes!(llm::calls))
        .routes(routes!(llm::ollama))
        .routes(routes!(recover::recover))
        .routes(routes!(look::health))
        .routes(routes!(look::status))
        .routes(routes!(metrics::metrics))
        .routes(routes!(events::events))
        .routes(routes!(history::operation, act::cancel))
        .routes(routes!(history::incidents))
        .routes(routes!(history::incident))
        .routes(routes!(timings::timings))
        .routes(routes!(history::memory))
        .routes(routes!(audit::audit))
        .routes(routes!(act::target))
        .routes(routes!(act::unload))
        .routes(routes!(act::verify))
        .routes(routes!(act::measure, act::cancel_measure))
        .routes(routes!(healers::healers))
        .routes(routes!(page::index))
        .routes(routes!(openapi))
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "read",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
async fn openapi() -> Response {
    json(200, &description())
}
