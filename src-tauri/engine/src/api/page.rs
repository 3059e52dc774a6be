//! `GET /`: the window as a page, from files inside the binary.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Problem;

/// Name and content, sorted by name; gathered by the build script.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// The page loads its own files and speaks to its own engine, nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The window as a page.
#[utoipa::path(get, path = "/", tag = "read",
    responses((status = 200, description = "The window", content_type = "text/html", body = String)))]
pub(super) async fn index() -> Response {
    file("index.html")
}

/// The page's other files; everything else is not found.
pub(super) async fn other(request: Request) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        file(request.uri().path().trim_start_matches('/'))
    } else {
        missing(request.uri().path())
    }
}

/// A path of the API that does not know this method.
pub(super) async fn wrong_method(request: Request) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!(
            "{} does not take {}; GET /openapi.json tells what there is",
            request.uri().path(),
            request.method()
        ),
    )
}

fn file(name: &str) -> Response {
    let Ok(found) = FILES.binary_search_by_key(&name, |(name, _)| name) else {
        return missing(name);
    };
    let mut response = Body::from(FILES[found].1).into_response();
    let headers = response.headers_mut();
    let kind = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some(_) | None => "application/octet-stream",
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn missing(path: &str) -> Response {
    Problem::not_found(format!(
        "there is nothing at {path:?}; GET /openapi.json tells what there is"
    ))
    .into_response()
}
