//! One HTTP question: a new connection, a deadline, a size cap, no redirects, no proxy (R8).

use std::error::Error;
use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use doctor::{Answer, Body, Reply};
use futures_util::StreamExt;
use reqwest::{Client, ClientBuilder, RequestBuilder};
use serde_json::Value;

use crate::address::without_secrets;

/// Bytes of a shallow answer, and of a list, that are read at most.
pub(crate) const SHALLOW_CAP: usize = 64 << 10;
pub(crate) const LIST_CAP: usize = 2 << 20;
const CONNECT: Duration = Duration::from_secs(1);

/// What came of one question, before its meaning is known.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) url: String,
    pub(crate) took: Duration,
    pub(crate) outcome: Outcome,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    Answered {
        code: u16,
        body: Vec<u8>,
    },
    Failed(Reply),
    /// Our own fault: no file descriptor, no memory.
    Unasked(String),
}

/// GET, once.
pub(crate) async fn get(url: &str, within: Duration, cap: usize) -> Got {
    once(url, |client| client.get(url), within, cap).await
}

/// POST of a JSON value, once.
pub(crate) async fn post(url: &str, body: &Value, within: Duration, cap: usize) -> Got {
    once(url, |client| client.post(url).json(body), within, cap).await
}

async fn once(
    url: &str,
    request: impl FnOnce(&Client) -> RequestBuilder,
    within: Duration,
    cap: usize,
) -> Got {
    let began = Instant::now();
    let deadline = tokio::time::Instant::now() + within;
    let outcome = match client(url) {
        Ok(client) => ask(request(client), deadline, cap).await,
        Err(reason) => Outcome::Unasked(reason),
    };
    Got { url: url.to_owned(), took: began.elapsed(), outcome }
}

async fn ask(request: RequestBuilder, deadline: tokio::time::Instant, cap: usize) -> Outcome {
    let sent = tokio::time::timeout_at(deadline, request.send()).await;
    let response = match sent {
        Err(_) => return Outcome::Failed(Reply::Silent),
        Ok(Err(error)) => return failed(&error, false),
        Ok(Ok(response)) => response,
    };
    let code = response.status().as_u16();
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    loop {
        match tokio::time::timeout_at(deadline, chunks.next()).await {
            Err(_) => return Outcome::Failed(Reply::Stalled),
            Ok(None) => return Outcome::Answered { code, body },
            Ok(Some(Err(error))) => return failed(&error, true),
            Ok(Some(Ok(chunk))) if body.len() + chunk.len() > cap => {
                return Outcome::Failed(Reply::TooLarge);
            }
            Ok(Some(Ok(chunk))) => body.extend_from_slice(&chunk),
        }
    }
}

/// Every connection is new and nothing is kept: a pooled one would hide that the port is dead.
pub(crate) fn client(url: &str) -> Result<&'static Client, String> {
    static PLAIN: OnceLock<Result<Client, String>> = OnceLock::new();
    static SECURE: OnceLock<Result<Client, String>> = OnceLock::new();
    let build = |builder: ClientBuilder| builder.build().map_err(|error| error.to_string());
    let client = if url.starts_with("https:") {
        SECURE.get_or_init(|| build(builder()))
    } else {
        // Without the system's certificates, which take a megabyte and are not needed here.
        PLAIN.get_or_init(|| build(builder().tls_certs_only(std::iter::empty())))
    };
    client.as_ref().map_err(Clone::clone)
}

/// The settings that all our clients share.
pub(crate) fn builder() -> ClientBuilder {
    // The first caller wins; the others find it installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT)
        .user_agent(concat!("Homeostat/", env!("CARGO_PKG_VERSION")))
}

fn failed(error: &reqwest::Error, in_body: bool) -> Outcome {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    let mut reason = String::new();
    while let Some(this) = source {
        if let Some(io) = this.downcast_ref::<io::Error>()
            && let Some(outcome) = from_io(io, in_body)
        {
            return outcome;
        }
        if let Some(hyper) = this.downcast_ref::<hyper::Error>() {
            if hyper.is_incomplete_message() {
                return Outcome::Failed(if in_body { Reply::Reset } else { Reply::Empty });
            }
            if hyper.is_parse() {
                return Outcome::Failed(Reply::Malformed { reason: hyper.to_string() });
            }
        }
        reason = this.to_string();
        source = this.source();
    }
    if let Some(url) = error.url() {
        reason = reason.replace(url.as_str(), &without_secrets(url.as_str()));
    }
    if error.is_timeout() && error.is_connect() {
        Outcome::Failed(Reply::ConnectTimeout)
    } else if error.is_connect() {
        Outcome::Failed(Reply::Unreachable { reason })
    } else {
        Outcome::Failed(Reply::Malformed { reason })
    }
}

fn from_io(error: &io::Error, in_body: bool) -> Option<Outcome> {
    // 23 ENFILE, 24 EMFILE, 12 ENOMEM: on Linux and macOS alike.
    if matches!(error.raw_os_error(), Some(12 | 23 | 24)) {
        return Some(Outcome::Unasked(error.to_string()));
    }
    let kind = error.kind();
    let is = |kinds: &[io::ErrorKind]| kinds.contains(&kind);
    let reply = if is(&[io::ErrorKind::ConnectionRefused]) {
        Reply::Refused
    } else if is(&[
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::BrokenPipe,
        io::ErrorKind::ConnectionAborted,
    ]) || (in_body && kind == io::ErrorKind::UnexpectedEof)
    {
        Reply::Reset
    } else if is(&[io::ErrorKind::TimedOut]) {
        Reply::ConnectTimeout
    } else if is(&[
        io::ErrorKind::HostUnreachable,
        io::ErrorKind::NetworkUnreachable,
        io::ErrorKind::AddrNotAvailable,
    ]) {
        Reply::Unreachable { reason: error.to_string() }
    } else {
        return None;
    };
    Some(Outcome::Failed(reply))
}

impl Got {
    /// With what `judge` makes of the body of a 2xx answer.
    pub(crate) fn answer(self, judge: impl FnOnce(&[u8]) -> Body) -> Result<Answer, String> {
        let took_ms = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        let reply = match self.outcome {
            Outcome::Unasked(reason) => return Err(reason),
            Outcome::Failed(reply) => reply,
            Outcome::Answered { code, body } => Reply::Status { code, body: judge(&body) },
        };
        // What is shown and stored of it; the question itself was the whole one.
        Ok(Answer { url: without_secrets(&self.url), reply, took_ms })
    }

    /// The body as JSON, when the answer was a 2xx.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        match &self.outcome {
            Outcome::Answered { code: 200..=299, body } => serde_json::from_slice(body).ok(),
            Outcome::Answered { .. } | Outcome::Failed(_) | Outcome::Unasked(_) => None,
        }
    }
}

/// JSON of the expected shape, of another shape, or broken; a page or plain text is another
/// product's.
pub(crate) fn shape(body: &[u8], expected: impl FnOnce(&Value) -> bool) -> Body {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) if expected(&value) => Body::Expected,
        Ok(_) => Body::Other,
        Err(_) if body.trim_ascii_start().starts_with(b"{") => Body::Garbage,
        Err(_) => Body::Other,
    }
}
