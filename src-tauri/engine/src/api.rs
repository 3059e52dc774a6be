//! The API over HTTP: what agents, containers, the command line and the page in a browser speak to.
//!
//! In reading order: the doors, who may pass, what they may ask, and how it is described.

mod listen;
mod stream;

mod guard;
mod problem;
mod token;

mod act;
mod audit;
mod body;
mod events;
mod healers;
mod history;
mod llm;
mod look;
mod metrics;
mod page;
mod recover;
mod timings;

mod description;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use doctor::{Asker, Wish};
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use crate::handle::Handle;

pub use crate::config::{ApiSettings, Listen};

pub use description::description;
pub use listen::{Listening, Serving, serve};
pub use problem::Problem;
pub(crate) use timings::slowest_call_s;
pub(crate) use token::write_private;
pub use token::{Token, TokenError};

/// The port that the first users' agents post to.
pub const PORT: u16 = 9099;

/// What every answer is made from.
struct Api {
    handle: Handle,
    token: Token,
    hosts: Vec<String>,
    recover_needs_token: bool,
    gate: guard::Gate,
    streams: Arc<Semaphore>,
    /// Becomes true when the API stops: endless streams end then.
    stopping: watch::Receiver<bool>,
}

type Shared = axum::extract::State<Arc<Api>>;

/// The loop answers a wish at once; longer than this it is not well itself.
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);

impl Api {
    /// Asks the loop, within a deadline.
    async fn wish(&self, wish: Wish, by: Asker) -> Result<doctor::Response, Problem> {
        self.wish_from(wish, by, None).await
    }

    /// … that came from this address.
    async fn wish_from(
        &self,
        wish: Wish,
        by: Asker,
        from: Option<IpAddr>,
    ) -> Result<doctor::Response, Problem> {
        let wished = self.handle.wish_from(wish, by, from);
        tokio::time::timeout(ANSWER_WITHIN, wished).await.map_err(|_| busy())
    }
}

/// The loop is late.
fn busy() -> Problem {
    Problem::unavailable(
        "Homeostat's own loop did not answer within 1.5 s; GET /health tells how late it is",
        Duration::from_secs(5),
    )
}

/// Waits until the API stops.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // That nobody holds the other end any more is the end of the API as well.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// An answer in JSON that no cache keeps.
fn json(status: u16, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => json_text(status, text),
        Err(error) => {
            Problem::internal(&format!("the answer could not be written: {error}")).into_response()
        }
    }
}

/// The same, of what is JSON already.
fn json_text(status: u16, text: impl Into<Body>) -> Response {
    let mut response = text.into().into_response();
    *response.status_mut() =
        axum::http::StatusCode::from_u16(status).unwrap_or(axum::http::StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
