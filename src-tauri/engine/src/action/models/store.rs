//! Reading models whole, and removing what is broken of them (FACTS A.7).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use doctor::{ModelsRead, Outcome, Progress};

use super::{Teller, failed};
use crate::store::{Reading, Removed};

const TELL_EVERY: Duration = Duration::from_millis(500);

/// Reads every blob of one model, or of all; dropping this ends it within a chunk.
pub async fn verify(
    reading: Arc<Reading>,
    place: Option<PathBuf>,
    model: Option<&str>,
    teller: Teller,
) -> Outcome {
    let Some(place) = place else { return nowhere() };
    let (asked, at) = (model.map(str::to_owned), place.clone());
    let read = on_a_thread(teller, model.unwrap_or_default().to_owned(), move |go_on| {
        reading.verify(&at, asked.as_deref(), go_on)
    });
    match read.await {
        Ok(Some(found)) => Outcome::ModelsRead(ModelsRead {
            models: found.models,
            bytes: found.bytes,
            corrupt: found.corrupt,
        }),
        Ok(None) => failed("it was broken off"),
        Err(error) => unreadable(&place, &error),
    }
}

/// Removes the model's blobs that are missing, cut, or hold something else.
pub async fn remove_broken(
    reading: Arc<Reading>,
    place: Option<PathBuf>,
    model: &str,
    teller: Teller,
) -> Outcome {
    let Some(place) = place else { return nowhere() };
    let (asked, at) = (model.to_owned(), place.clone());
    let removed = on_a_thread(teller, model.to_owned(), move |go_on| {
        reading.remove_broken(&at, &asked, go_on)
    });
    match removed.await {
        Ok(Some(Removed { blobs, models })) => Outcome::Removed { blobs, models },
        Ok(None) => failed("it was broken off"),
        Err(error) => unreadable(&place, &error),
    }
}

/// The work hears when nobody waits for it any more.
async fn on_a_thread<T: Send + 'static>(
    teller: Teller,
    about: String,
    work: impl FnOnce(&mut dyn FnMut(u64, u64) -> bool) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let waited_for = Arc::new(AtomicBool::new(true));
    let _until_dropped = Dropped(waited_for.clone());
    let working = tokio::task::spawn_blocking(move || {
        let mut told: Option<Instant> = None;
        let mut go_on = |done, of| {
            if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
                told = Some(Instant::now());
                teller.tell(Progress { done, of, about: about.clone() });
            }
            waited_for.load(Ordering::Relaxed)
        };
        work(&mut go_on)
    });
    working.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn nowhere() -> Outcome {
    let reason =
        "nobody can tell where this Ollama keeps its models: it runs on another machine, or \
                  behind a port that is passed on"
            .to_owned();
    Outcome::Failed { reason, permanent: true }
}

/// Another user's models are said to be so, and not guessed at.
fn unreadable(place: &Path, error: &io::Error) -> Outcome {
    let reason = if error.kind() == io::ErrorKind::PermissionDenied {
        format!(
            "the models in {} belong to another user, and this one may not read or change them",
            place.display()
        )
    } else {
        error.to_string()
    };
    Outcome::Failed { reason, permanent: true }
}
