//! The `OpenAPI` description, made from the very handlers that are served.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::MethodRouter;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::{PathItemExt, paste, routes};

use super::{
    Api, act, audit, events, healers, history, json_text, llm, look, metrics, page, recover,
    timings,
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

/// What the build script packed of `openapi.json`, which a test compares with [`description`].
const DESCRIPTION: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));

/// Each handler is served and described by the same line, at the path that stands beside its code.
///
/// Describing is left to a test: at run time it would cost more than what it describes.
macro_rules! serve {
    ($($module:ident::$handler:ident),* $(,)?) => {
        fn served() -> Router<Arc<Api>> {
            Router::new()$(.route(
                &paste! { <$module::[<__path_ $handler>] as utoipa::Path>::path() },
                paste! { <$module::[<__path_ $handler>] as utoipa::Path>::methods() }
                    .into_iter()
                    .fold(MethodRouter::new(), |router, method| {
                        router.on(method.to_method_filter(), $module::$handler)
                    }),
            ))*
        }

        /// The description of every route that is served.
        pub fn description() -> utoipa::openapi::OpenApi {
            OpenApiRouter::<Arc<Api>>::with_openapi(Description::openapi())
                $(.routes(routes!($module::$handler)))*
                .into_openapi()
        }
    };
}

serve![
    llm::llm,
    llm::room,
    llm::calls,
    llm::ollama,
    recover::recover,
    look::health,
    look::status,
    metrics::metrics,
    events::events,
    history::operation,
    act::cancel,
    history::incidents,
    history::incident,
    timings::timings,
    history::memory,
    audit::audit,
    act::target,
    act::unload,
    act::verify,
    act::measure,
    act::cancel_measure,
    healers::healers,
    page::index,
    self::openapi,
];

pub(super) fn router(api: Arc<Api>) -> Router {
    served().fallback(page::other).method_not_allowed_fallback(page::wrong_method).with_state(api)
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "read",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
async fn openapi() -> Response {
    json_text(200, DESCRIPTION)
}
