//! Downloading a model (`POST /api/pull`), as long as there is room for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use doctor::{Outcome, Progress, Reserve};
use serde_json::{Value, json};

use super::lines::{Lines, post};
use super::{Teller, failed, url};
use crate::probe::host;
use crate::probe::http::builder;
use crate::probe::ollama::Ollama;

/// Between the lines of a stream. While Ollama verifies what it has downloaded it says nothing, and
/// a slow disk reads 100 GB in a quarter of an hour (server/images.go `PullModel`).
const SILENT: Duration = Duration::from_mins(20);
/// Ollama tells its progress more often than anybody looks.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Downloads it. `store` is where it will lie; none: on another machine, or nobody knows.
///
/// Dropping this breaks the download off: Ollama ends it with the connection and keeps what it has,
/// so that the next attempt goes on from there (server/download.go `blobDownload`).
pub async fn pull(
    ollama: &Ollama,
    model: &str,
    reserve: Reserve,
    store: Option<&Path>,
    within: Duration,
    teller: &Teller,
) -> Outcome {
    let deadline = Instant::now() + within;
    let patience = || deadline.min(Instant::now() + SILENT);
    let client = match builder().build() {
        Ok(client) => client,
        Err(error) => return failed(&error.to_string()),
    };
    // Before a byte is asked for: a full disk takes nothing at all.
    if let Some(reason) = no_room(1, reserve, store).await {
        return full(&reason);
    }
    let body = json!({ "model": model, "stream": true });
    let lines = match post(&client, &url(ollama, "/api/pull"), &body, patience()).await {
        Ok(lines) => lines,
        Err(reason) => return failed(&reason),
    };
    match follow(lines, model, reserve, store, patience, teller).await {
        Ok(()) => Outcome::Done,
        Err(End::Full(reason)) => full(&reason),
        Err(End::Failed(reason)) => failed(&reason),
    }
}

enum End {
    Full(String),
    Failed(String),
}

async fn follow(
    mut lines: Lines,
    model: &str,
    reserve: Reserve,
    store: Option<&Path>,
    patience: impl Fn() -> Instant,
    teller: &Teller,
) -> Result<(), End> {
    let mut layers = Layers::default();
    let mut told: Option<Instant> = None;
    let mut succeeded = false;
    while let Some(line) =
        lines.next(patience()).await.map_err(|broken| End::Failed(broken.into()))?
    {
        let value: Value = serde_json::from_str(&line).map_err(|error| {
            End::Failed(format!("the answer is not what Ollama writes: {error}"))
        })?;
        if let Some(error) = value["error"].as_str() {
            return Err(End::Failed(error.to_owned()));
        }
        succeeded |= value["status"] == "success";
        if layers.take(&value)
            && let Some(reason) = no_room(layers.coming(), reserve, store).await
        {
            return Err(End::Full(format!("{model} cannot be downloaded: {reason}")));
        }
        if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            told = Some(Instant::now());
            let (done, of) = layers.sum();
            teller.tell(Progress { done, of, about: model.to_owned() });
        }
    }
    // A stream that ends without it was cut off on its way.
    if succeeded { Ok(()) } else { Err(End::Failed("the download broke off".into())) }
}

/// What each layer takes and how much of it is there; Ollama tells the size of a layer when its
/// turn comes.
#[derive(Default)]
struct Layers(BTreeMap<String, (u64, u64)>);

impl Layers {
    /// Whether more is known to come than before.
    fn take(&mut self, line: &Value) -> bool {
        let (Some(digest), Some(total)) = (line["digest"].as_str(), line["total"].as_u64()) else {
            return false;
        };
        let completed = line["completed"].as_u64().unwrap_or(0);
        let before = self.0.insert(digest.to_owned(), (completed, total));
        before.is_none_or(|(_, before)| before < total)
    }

    fn sum(&self) -> (u64, u64) {
        self.0
            .values()
            .fold((0, 0), |(done, of), (completed, total)| (done + completed, of + total))
    }

    fn coming(&self) -> u64 {
        let (done, of) = self.sum();
        of.saturating_sub(done)
    }
}

/// Why so much may not be written there; none: it may, or nobody knows where that is.
async fn no_room(coming: u64, reserve: Reserve, store: Option<&Path>) -> Option<String> {
    let store = store?;
    let at = store.to_owned();
    // A volume that does not answer would stop the loop that this runs on.
    let volumes = tokio::task::spawn_blocking(move || host::volumes(&[at]));
    let volume = volumes.await.ok()?.pop()?;
    if reserve.allows(coming, volume.free_bytes, volume.total_bytes) {
        return None;
    }
    let gigabytes =
        |bytes: u64| format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10);
    Some(format!(
        "{} more are needed, and of {} free in {} at least {} must stay free",
        gigabytes(coming),
        gigabytes(volume.free_bytes),
        store.display(),
        gigabytes(reserve.least(volume.total_bytes)),
    ))
}

/// Room does not come by itself.
fn full(reason: &str) -> Outcome {
    Outcome::Failed { reason: reason.to_owned(), permanent: true }
}
