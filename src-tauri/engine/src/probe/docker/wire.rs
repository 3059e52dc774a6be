//! The connection under a question: it counts what is read and tells how far it came.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use doctor::Reply;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::docker_host::Endpoint;

/// How far a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    Connected,
    /// The head of the answer is there.
    Answered,
}

/// What is known of one connection.
pub(super) struct Wire {
    pub(super) phase: watch::Sender<Phase>,
    /// Bytes since the line was opened, or since the cap was last forgiven.
    pub(super) read: AtomicU64,
    pub(super) cap: u64,
    pub(super) place: OnceLock<String>,
    pub(super) connection: Mutex<Option<AbortHandle>>,
}

/// Opens a connection; `TimedOut` when it does not stand within the time.
pub(super) async fn dial(endpoint: &Endpoint, within: Duration) -> io::Result<Box<dyn Io>> {
    let dialled = async {
        Ok::<Box<dyn Io>, io::Error>(match endpoint {
            Endpoint::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Endpoint::Tcp(address) => Box::new(TcpStream::connect(address).await?),
        })
    };
    match tokio::time::timeout(within, dialled).await {
        Ok(outcome) => outcome,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// What it means that no connection could be opened.
pub(super) fn unconnected(error: &io::Error, endpoint: &Endpoint) -> Reply {
    let kind = error.kind();
    if matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) {
        return Reply::Refused;
    }
    if kind == io::ErrorKind::TimedOut {
        return Reply::ConnectTimeout;
    }
    if kind == io::ErrorKind::ConnectionReset {
        return Reply::Reset;
    }
    if kind == io::ErrorKind::PermissionDenied {
        let reason = format!(
            "this user may not open {endpoint}; on Linux add the user to the group `docker`"
        );
        return Reply::Unreachable { reason };
    }
    Reply::Unreachable { reason: format!("{endpoint}: {error}") }
}

/// A reply that was known on the spot, on its way up through bollard.
#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
pub(super) struct Failure(pub(super) Reply);

pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Reads no further than the cap.
pub(super) struct Metered {
    pub(super) stream: Box<dyn Io>,
    pub(super) wire: Arc<Wire>,
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let count = u64::try_from(buffer.filled().len() - before).unwrap_or(u64::MAX);
        let read = self.wire.read.fetch_add(count, Ordering::Relaxed).saturating_add(count);
        if read > self.wire.cap {
            return Poll::Ready(Err(io::Error::other(Failure(Reply::TooLarge))));
        }
        polled
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
