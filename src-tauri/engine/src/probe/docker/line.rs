//! One question to the engine on one new connection, within a deadline and a size cap.
//!
//! bollard limits neither what it reads nor how long a body takes, so the connection beneath it is
//! ours: it counts the bytes, and knows how far an answer came when the time is up.

use std::error::Error as _;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bollard::errors::Error;
use bollard::{BollardRequest, ClientVersion};
use doctor::{Answer, Body, Reply, millis};
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use tokio::sync::watch;

use super::Docker;
use super::wire::{Failure, Io, Metered, Phase, Wire, dial, unconnected};
use crate::docker_host::{Endpoint, endpoints};

/// bollard wants one, and asks without: what is asked without a version is answered in the engine's
/// own (bollard `src/uri.rs`; moby `api/server/middleware/version.go`).
const API_VERSION: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };

/// What one question may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// From the first packet to the last byte.
    pub(crate) within: Duration,
    /// Bytes on the wire, heads included.
    pub(crate) cap: u64,
}

/// A question that was not answered as hoped: how it ended, and the engine's words where it had any.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) answer: Answer,
    pub(crate) message: String,
}

/// An open connection's state, shared with whoever waits for it; dropping it hangs up.
pub(super) struct Line {
    wire: Arc<Wire>,
    pub(super) client: bollard::Docker,
}

impl Docker {
    /// Asks once. Nothing is ever sent again.
    pub(crate) async fn ask<T, F>(
        &self,
        limits: Limits,
        question: impl FnOnce(bollard::Docker) -> F,
    ) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let began = Instant::now();
        let trouble = |place: String, reply, message| Trouble {
            answer: Answer { url: place, reply, took_ms: millis(began.elapsed()) },
            message,
        };
        let line = match self.line(limits) {
            Ok(line) => line,
            Err(error) => {
                let reason = error.to_string();
                let reply = Reply::Unreachable { reason: reason.clone() };
                return Err(trouble(self.address(), reply, reason));
            }
        };
        match tokio::time::timeout(limits.within, question(line.client.clone())).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(trouble(line.place(self), line.reply(&error), words(&error))),
            Err(_) => {
                let message = format!("no answer within {} s", limits.within.as_secs_f64());
                Err(trouble(line.place(self), line.overdue(), message))
            }
        }
    }

    /// A line that is dialled with the first question on it.
    pub(super) fn line(&self, limits: Limits) -> Result<Line, Error> {
        let wire = Arc::new(Wire {
            phase: watch::Sender::new(Phase::Connecting),
            read: AtomicU64::new(0),
            cap: limits.cap,
            place: OnceLock::new(),
            connection: Mutex::new(None),
        });
        let (docker, shared) = (self.clone(), Arc::clone(&wire));
        let transport = move |request: BollardRequest| {
            let (docker, wire) = (docker.clone(), Arc::clone(&shared));
            async move { docker.send(&wire, request).await }
        };
        // Our own deadlines come first; this one only has to be later.
        let later = limits.within.as_secs().saturating_add(60);
        let client = bollard::Docker::connect_with_custom_transport(
            transport,
            Some("http://docker"),
            later,
            &API_VERSION,
        )?;
        Ok(Line { wire, client })
    }

    async fn send(
        &self,
        wire: &Arc<Wire>,
        request: BollardRequest,
    ) -> Result<Response<Incoming>, Error> {
        let (stream, endpoint) = match self.connect().await {
            Ok(connected) => connected,
            Err((place, reply)) => {
                let _ = wire.place.set(place);
                return Err(io::Error::other(Failure(reply)).into());
            }
        };
        let _ = wire.place.set(endpoint.to_string());
        wire.phase.send_replace(Phase::Connected);

        let metered = TokioIo::new(Metered { stream, wire: Arc::clone(wire) });
        let (mut sender, connection) = hyper::client::conn::http1::handshake(metered).await?;
        let task = tokio::spawn(async move {
            // How it ended is seen by whoever reads the answer.
            let _ = connection.await;
        });
        *wire.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());

        let (mut head, body) = request.into_parts();
        if let Some(path) = head.uri.path_and_query().cloned() {
            head.uri = path.into();
        }
        head.headers.insert(HOST, HeaderValue::from_static("docker"));
        let response = sender.send_request(hyper::Request::from_parts(head, body)).await?;
        wire.phase.send_replace(Phase::Answered);
        Ok(response)
    }

    /// The engine that answered last; where it no longer does, those that may be there by now.
    async fn connect(&self) -> Result<(Box<dyn Io>, Endpoint), (String, Reply)> {
        let current = self.current();
        if let Some(endpoint) = current.clone()
            && let Ok(stream) = dial(&endpoint, self.pace().connect).await
        {
            return Ok((stream, endpoint));
        }
        let candidates = endpoints(self.host(), self.surroundings()).map_err(|error| {
            (self.host().to_owned(), Reply::Unreachable { reason: error.to_string() })
        })?;
        let mut failed = None;
        for endpoint in candidates {
            match dial(&endpoint, self.pace().connect).await {
                Ok(stream) => {
                    self.set_current(&endpoint);
                    return Ok((stream, endpoint));
                }
                Err(error) => {
                    // A socket that is there and does not answer tells more than one that is not,
                    // and the engine that we knew more than any other.
                    let missing = error.kind() == io::ErrorKind::NotFound;
                    let ours = current.as_ref() == Some(&endpoint);
                    if failed.is_none() || !missing || ours {
                        failed = Some((endpoint.to_string(), unconnected(&error, &endpoint)));
                    }
                }
            }
        }
        Err(failed.unwrap_or_else(|| (self.host().to_owned(), Reply::Refused)))
    }
}

impl Line {
    /// Waits until the head of the answer is there.
    pub(super) async fn answered(&self) {
        let mut phase = self.wire.phase.subscribe();
        // The sender lives as long as we do, so this ends with the phase only.
        let _ = phase.wait_for(|phase| *phase == Phase::Answered).await;
    }

    pub(super) fn is_answered(&self) -> bool {
        *self.wire.phase.borrow() == Phase::Answered
    }

    /// Whole items were read: the cap counts from here again.
    pub(super) fn forgive(&self) {
        self.wire.read.store(0, Ordering::Relaxed);
    }

    /// Where the line leads, or was to lead.
    pub(super) fn place(&self, docker: &Docker) -> String {
        self.wire.place.get().cloned().unwrap_or_else(|| docker.address())
    }

    /// What it means that the time is up.
    fn overdue(&self) -> Reply {
        match *self.wire.phase.borrow() {
            Phase::Connecting => Reply::ConnectTimeout,
            Phase::Connected => Reply::Silent,
            Phase::Answered => Reply::Stalled,
        }
    }

    /// How a question that bollard calls an error ended.
    pub(super) fn reply(&self, error: &Error) -> Reply {
        if let Some(Failure(reply)) = cause::<Failure>(error) {
            return reply.clone();
        }
        if let Error::DockerResponseServerError { status_code, .. } = error {
            return Reply::Status { code: *status_code, body: Body::Other };
        }
        if matches!(error, Error::JsonDataError { .. } | Error::JsonSerdeError { .. }) {
            return Reply::Status { code: 200, body: Body::Garbage };
        }
        if matches!(error, Error::RequestTimeoutError) {
            return self.overdue();
        }
        let kind = cause::<io::Error>(error).map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)) {
            return Reply::Reset;
        }
        let Some(hyper) = cause::<hyper::Error>(error) else {
            return Reply::Unreachable { reason: error.to_string() };
        };
        if self.is_answered() {
            return Reply::Stalled;
        }
        if hyper.is_incomplete_message() && self.wire.read.load(Ordering::Relaxed) == 0 {
            return Reply::Empty;
        }
        Reply::Malformed { reason: words(error) }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let connection = self.wire.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(connection) = connection {
            connection.abort();
        }
    }
}

/// An error with all its reasons, innermost last.
pub(super) fn words(error: &Error) -> String {
    if let Error::DockerResponseServerError { message, .. } = error {
        return message.trim().to_owned();
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = inner.source();
    }
    text
}

/// The first error of this type among the reasons of `error`. An `io::Error` shows as its source
/// the source of what it holds, so what it holds is asked too.
fn cause<T: std::error::Error + 'static>(error: &Error) -> Option<&T> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = held.and_then(|held| held.downcast_ref::<T>()) {
            return Some(found);
        }
        // bollard shows the errors that it wraps transparently, so they are unpacked by hand.
        next = match error.downcast_ref::<Error>() {
            Some(Error::IOError { err }) => Some(err),
            Some(Error::HyperResponseError { err }) => Some(err),
            Some(_) | None => error.source(),
        };
    }
    None
}
