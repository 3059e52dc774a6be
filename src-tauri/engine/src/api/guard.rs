//! Who may pass, and with what: every limit of the API in one place each.
//!
//! In the order in which a request meets them: host, origin, token, type, size and pace of the
//! body, calls a minute.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use bytes::Bytes;
use doctor::Asker;
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Api, Problem};

/// Bytes that a body may have.
const BODY: usize = 64 * 1024;
const RECOVER_BODY: usize = 4 * 1024;
const BODY_WITHIN: Duration = Duration::from_secs(5);
const RECOVER_AT_ONCE: usize = 16;
const RECOVER_A_MINUTE: usize = 10;

/// What a caller on a bridge address may ask without a token.
const OPEN: &[&str] = &["/health", "/llm", "/llm/room", "/ollama", "/recover"];

/// Where a connection came in.
#[derive(Clone, Copy)]
pub(super) struct Door {
    pub(super) local: SocketAddr,
    pub(super) peer: IpAddr,
}

impl Door {
    /// From this machine: over loopback, or from the very address that we listen on.
    fn is_here(self) -> bool {
        let (peer, local) = (self.peer.to_canonical(), self.local.ip().to_canonical());
        peer.is_loopback() || peer == local
    }
}

/// Counts the calls of `POST /recover`.
pub(super) struct Gate {
    at_once: Arc<Semaphore>,
    /// Agents and people are counted apart, so that an agent that calls without end cannot lock a
    /// person out.
    agents: Mutex<VecDeque<Instant>>,
    people: Mutex<VecDeque<Instant>>,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            at_once: Arc::new(Semaphore::new(RECOVER_AT_ONCE)),
            agents: Mutex::default(),
            people: Mutex::default(),
        }
    }

    /// Counts this call; too many within the last minute are refused, with the time to wait.
    fn count(&self, by: Asker, now: Instant) -> Result<(), Duration> {
        const MINUTE: Duration = Duration::from_mins(1);
        let calls = match by {
            Asker::Person | Asker::Doctor => &self.people,
            Asker::Agent => &self.agents,
        };
        let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        while calls.front().is_some_and(|call| now.duration_since(*call) >= MINUTE) {
            calls.pop_front();
        }
        if calls.len() >= RECOVER_A_MINUTE {
            let oldest = calls.front().map_or(Duration::ZERO, |call| now.duration_since(*call));
            return Err(MINUTE.saturating_sub(oldest) + Duration::from_secs(1));
        }
        calls.push_back(now);
        Ok(())
    }
}

/// Who calls `POST /recover`, and the place that the call takes until it is answered.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) by: Asker,
    pub(super) from: IpAddr,
    _place: Arc<OwnedSemaphorePermit>,
}

/// Lets a request pass, its body read, or says why not.
pub(super) async fn admit(
    api: &Api,
    door: Door,
    request: hyper::Request<hyper::body::Incoming>,
) -> Result<Request, Problem> {
    host(api, door, &request)?;
    origin(api, door, request.headers())?;
    let recover = request.method() == Method::POST && request.uri().path() == "/recover";
    if recover {
        let by = recoverer(api, request.headers())?;
        let place = api.gate.at_once.clone().try_acquire_owned().map_err(|_| {
            Problem::unavailable(
                "16 calls of /recover are being answered already; try again",
                Duration::from_secs(1),
            )
        })?;
        let mut request = with_body(request, RECOVER_BODY).await?;
        api.gate.count(by, Instant::now()).map_err(|wait| {
            Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "more than 10 calls of /recover within a minute; the earlier ones are being seen to",
            )
            .after(wait)
        })?;
        request.extensions_mut().insert(Caller { by, from: door.peer, _place: Arc::new(place) });
        return Ok(request);
    }
    if needs_token(door, request.method(), request.uri().path()) {
        holder(api, request.headers())?;
    }
    if *request.method() == Method::POST {
        with_body(request, BODY).await
    } else {
        Ok(request.map(|_| Body::empty()))
    }
}

/// Whatever acts does; reading only from beyond this machine. `/recover` has its own rule.
fn needs_token(door: Door, method: &Method, path: &str) -> bool {
    let reading = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    !(reading && (door.is_here() || OPEN.contains(&path)))
}

/// A page of a foreign site that lets its own name point here (DNS rebinding) names itself in `Host`.
fn host<T>(api: &Api, door: Door, request: &hyper::Request<T>) -> Result<(), Problem> {
    let mut named = request.headers().get_all(header::HOST).iter();
    let (Some(name), None) = (named.next(), named.next()) else {
        return Err(Problem::bad_request("exactly one Host header was expected (RFC 9112, 3.2)"));
    };
    let name = name.to_str().unwrap_or_default();
    let absolute = request.uri().authority().map(axum::http::uri::Authority::as_str);
    for name in [Some(name), absolute].into_iter().flatten() {
        if !is_known(api, door, split_port(name).0) {
            return Err(Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                format!(
                    "the host name {name:?} is not known here; use 127.0.0.1 or localhost, or add it to [api] hosts"
                ),
            ));
        }
    }
    Ok(())
}

/// A browser tells the site that a call comes from; only the page that we serve may call.
fn origin(api: &Api, door: Door, headers: &HeaderMap) -> Result<(), Problem> {
    for origin in headers.get_all(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let own = origin.strip_prefix("http://").is_some_and(|rest| {
            let (name, port) = split_port(rest);
            port.unwrap_or(80) == door.local.port() && is_known(api, door, name)
        });
        if !own {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                format!("pages of the site {origin:?} may not call this API"),
            ));
        }
    }
    Ok(())
}

fn is_known(api: &Api, door: Door, name: &str) -> bool {
    let literal = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    if let Ok(address) = literal.parse::<IpAddr>() {
        return address.is_loopback() || address == door.local.ip();
    }
    let same = |known: &str| known.eq_ignore_ascii_case(name);
    same("localhost") || same("host.docker.internal") || api.hosts.iter().any(|known| same(known))
}

/// `name`, `name:port`, `[v6]:port`; a port that is none belongs to the name, which is then unknown.
fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (authority, None),
        },
        Some(_) | None => (authority, None),
    }
}

/// Some(true): the right token; Some(false): a wrong one, or another way to sign in.
fn token(api: &Api, headers: &HeaderMap) -> Option<bool> {
    let mut offered = headers.get_all(header::AUTHORIZATION).iter();
    let first = offered.next()?;
    let right = offered.next().is_none()
        && first.to_str().ok().and_then(|value| value.split_once(' ')).is_some_and(
            |(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && api.token.is(token.trim()),
        );
    Some(right)
}

fn holder(api: &Api, headers: &HeaderMap) -> Result<(), Problem> {
    match token(api, headers) {
        Some(true) => Ok(()),
        Some(false) => Err(wrong_token()),
        None => Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "this needs `Authorization: Bearer` with the content of the file `token` in Homeostat's data directory",
        )),
    }
}

/// With the token it is a person's wish (R22), without one an agent's complaint (R23).
fn recoverer(api: &Api, headers: &HeaderMap) -> Result<Asker, Problem> {
    match token(api, headers) {
        Some(true) => Ok(Asker::Person),
        Some(false) => Err(wrong_token()),
        None if api.recover_needs_token => holder(api, headers).map(|()| Asker::Person),
        None => Ok(Asker::Agent),
    }
}

fn wrong_token() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "the token is wrong; it is the content of the file `token` in Homeostat's data directory",
    )
}

/// Reads the whole body, within its size and its time.
async fn with_body(
    request: hyper::Request<hyper::body::Incoming>,
    limit: usize,
) -> Result<Request, Problem> {
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is larger than the {} KiB that are allowed here", limit / 1024),
        )
    };
    let (parts, body) = request.into_parts();
    let length = number(&parts.headers, &header::CONTENT_LENGTH);
    let mut chunks = Body::new(body).into_data_stream();
    let read = async {
        if length.is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let mut read = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| {
                Problem::bad_request(format!("the body broke off or is not well formed: {error}"))
            })?;
            if read.len() + chunk.len() > limit {
                return Err(too_large());
            }
            read.extend_from_slice(&chunk);
        }
        Ok(Bytes::from(read))
    };
    let read = tokio::time::timeout(BODY_WITHIN, read).await.unwrap_or_else(|_| {
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive within 5 s"))
    });
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(problem) => {
            drain(chunks).await;
            return Err(problem);
        }
    };
    content_type(&parts.headers, parts.uri.path(), bytes.is_empty())?;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// Reads on for a moment: a connection closed with bytes unread is reset, and the caller might
/// lose the answer that says what was wrong.
async fn drain(mut chunks: BodyDataStream) {
    let rest = async {
        let mut more = 1024 * 1024_usize;
        while more > 0
            && let Some(Ok(chunk)) = chunks.next().await
        {
            more = more.saturating_sub(chunk.len());
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(300), rest).await;
}

/// A form on a foreign page can be sent without asking first only as text or form data; JSON cannot.
fn content_type(headers: &HeaderMap, path: &str, empty: bool) -> Result<(), Problem> {
    if empty {
        return Ok(());
    }
    let named = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let fits = match named {
        Some(named) => {
            let essence = named.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/json")
        }
        None => path == "/recover" && !headers.contains_key(header::ORIGIN),
    };
    if fits {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        format!(
            "the body is {}; `Content-Type: application/json` was expected",
            named.map_or("of no type".into(), |named| format!("{named:?}"))
        ),
    ))
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_later_calls_pass_again() {
        let gate = Gate::new();
        let start = Instant::now();
        for call in 0..10 {
            assert!(gate.count(Asker::Agent, start + Duration::from_secs(call)).is_ok());
        }
        let refused = gate.count(Asker::Agent, start + Duration::from_secs(15));
        assert_eq!(refused, Err(Duration::from_secs(46)));
        assert!(gate.count(Asker::Person, start + Duration::from_secs(15)).is_ok());
        assert!(gate.count(Asker::Agent, start + Duration::from_mins(1)).is_ok());
        assert!(gate.count(Asker::Agent, start + Duration::from_mins(1)).is_err());
    }

    #[test]
    fn ports_are_split_from_names() {
        assert_eq!(split_port("localhost:9099"), ("localhost", Some(9099)));
        assert_eq!(split_port("[::1]:9099"), ("[::1]", Some(9099)));
        assert_eq!(split_port("[::1]"), ("[::1]", None));
        assert_eq!(split_port("evil:99999"), ("evil:99999", None));
    }

    #[test]
    fn a_container_reads_the_gates_and_nothing_else_without_a_token() {
        let bridge =
            Door { local: "172.17.0.1:9099".parse().unwrap(), peer: "172.17.0.2".parse().unwrap() };
        for path in ["/health", "/llm", "/llm/room", "/ollama"] {
            assert!(!needs_token(bridge, &Method::GET, path), "{path}");
        }
        for path in ["/status", "/", "/events", "/incidents", "/openapi.json", "/llm/"] {
            assert!(needs_token(bridge, &Method::GET, path), "{path}");
        }
        assert!(needs_token(bridge, &Method::POST, "/models/unload"));
    }

    #[test]
    fn a_caller_is_here_over_loopback_or_from_our_own_address() {
        let door = |local: &str, peer: &str| Door {
            local: local.parse().unwrap(),
            peer: peer.parse().unwrap(),
        };
        assert!(door("127.0.0.1:9099", "127.0.0.1").is_here());
        assert!(door("[::1]:9099", "::ffff:127.0.0.1").is_here());
        assert!(door("172.17.0.1:9099", "172.17.0.1").is_here());
        assert!(!door("172.17.0.1:9099", "172.17.0.2").is_here());
    }
}
