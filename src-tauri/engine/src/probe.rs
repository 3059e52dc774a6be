//! Senses: each probe asks once, within a deadline, and returns what it saw.

pub mod docker;
pub mod host;
pub(crate) mod http;
pub(crate) mod lines;
pub mod mlx;
pub mod ollama;
pub mod progress;
pub mod service;
mod supervised;
mod work;

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use doctor::{ExitSeen, Listener, Observation, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An exchange with ourselves takes this long at most: it is far too slow by then.
const OURSELVES: Duration = Duration::from_secs(5);

/// How long it takes to reach ourselves over loopback: connect, and one byte there and back (R9).
pub(crate) async fn ourselves() -> Duration {
    let began = Instant::now();
    let exchange = async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let answer = async {
            let (mut peer, _) = listener.accept().await?;
            peer.write_all(b"!").await
        };
        let ask = async { TcpStream::connect(address).await?.read_u8().await };
        tokio::try_join!(answer, ask)
    };
    match tokio::time::timeout(OURSELVES, exchange).await {
        Ok(Ok(_)) | Err(_) => began.elapsed(),
        // No descriptor left, for one: that is our own trouble as well.
        Ok(Err(_)) => OURSELVES,
    }
}

/// Nothing came within the deadline.
pub(crate) fn timed_out(observation: &Observation) -> bool {
    let reply = match observation {
        Observation::Ollama(seen) => Some(&seen.version.reply),
        Observation::Mlx(seen) => seen.asked.first().map(|answer| &answer.reply),
        Observation::Docker(seen) => Some(&seen.ping.reply),
        Observation::Service(seen) => Some(&seen.answer.reply),
        Observation::Host(_) | Observation::Container(_) | Observation::Unasked { .. } => None,
    };
    matches!(reply, Some(Reply::ConnectTimeout | Reply::Silent | Reply::Stalled))
}

/// While nobody listens: how those that we had started have ended.
fn exits(listener: &Listener) -> Vec<ExitSeen> {
    match listener {
        Listener::Nobody => crate::action::process::exits(),
        Listener::Process(_) | Listener::Hidden | Listener::NotAsked => Vec::new(),
    }
}

/// The port of a URL, with the default of its scheme.
pub(crate) fn port_of(url: &str) -> u16 {
    let default = if url.starts_with("https:") { 443 } else { 80 };
    let parsed = reqwest::Url::parse(url).ok();
    parsed.and_then(|url| url.port_or_known_default()).unwrap_or(default)
}

/// Whether a command's program can be found.
pub(crate) fn is_program(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    crate::platform::Places::here().program(program).is_some()
}
