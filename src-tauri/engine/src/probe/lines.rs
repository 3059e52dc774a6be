//! A streamed answer, line by line.

use std::pin::Pin;
use std::time::Instant;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::Response;

/// Bytes of one line that are kept at most.
const LINE_CAP: usize = 1 << 20;

pub(crate) struct Lines {
    stream: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    rest: Vec<u8>,
}

/// Why a streamed answer did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("it took longer than its time limit")]
    Late,
    #[error("a line of the answer has no end")]
    Endless,
    #[error("the answer broke off: {0}")]
    Off(#[from] reqwest::Error),
}

impl Lines {
    pub(crate) fn of(response: Response) -> Self {
        Self { stream: Box::pin(response.bytes_stream()), rest: Vec::new() }
    }

    /// The next line that is not empty; none at the end.
    pub(crate) async fn next(&mut self, deadline: Instant) -> Result<Option<String>, Broken> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line).trim().to_owned();
                if line.is_empty() {
                    continue;
                }
                return Ok(Some(line));
            }
            if self.rest.len() > LINE_CAP {
                return Err(Broken::Endless);
            }
            let chunk = tokio::time::timeout_at(deadline.into(), self.stream.next())
                .await
                .map_err(|_| Broken::Late)?;
            match chunk {
                Some(chunk) => self.rest.extend_from_slice(&chunk?),
                None if self.rest.is_empty() => return Ok(None),
                None => self.rest.push(b'\n'),
            }
        }
    }
}
