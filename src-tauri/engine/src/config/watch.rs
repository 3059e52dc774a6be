//! Tells when the configuration file was saved.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

/// An editor writes in several steps: it is quiet for this long when it is done.
const QUIET: Duration = Duration::from_millis(300);

/// Looked at anyway: a directory that does not exist yet can't be watched, nor can the far end of
/// a symbolic link.
const POLL: Duration = Duration::from_secs(30);

/// What tells two states of a file apart; none: there is no file.
type State = Option<(u64, u64, u64, Option<SystemTime>)>;

/// Sends the path each time the file was changed, made or deleted, until the receiver is dropped.
/// The directory is watched, since editors replace the file; a missing one is no error.
///
/// What counts as changed is told from the moment of the call, before the future is first polled:
/// call this, then load the file, and no change is missed between the two.
pub fn watch(
    file: PathBuf,
    changed: mpsc::Sender<PathBuf>,
) -> impl Future<Output = ()> + Send + 'static {
    let seen = state(&file);
    follow(file, seen, changed)
}

async fn follow(file: PathBuf, mut told: State, changed: mpsc::Sender<PathBuf>) {
    let something = Arc::new(Notify::new());
    let directory = file.parent().unwrap_or(Path::new("/")).to_owned();
    let mut identity_then = None;
    let mut watcher = None;
    loop {
        let there = identity(&directory);
        if watcher.is_none() || identity_then != there {
            watcher = begin(&file, &directory, &something);
            identity_then = there;
            if watcher.is_some() {
                // It may have been saved before the watching began.
                something.notify_one();
            }
        }
        tokio::select! {
            () = changed.closed() => return,
            _ = timeout(POLL, something.notified()) => {}
        }
        let seen = settled(&file, &something).await;
        if seen != told {
            told = seen;
            if changed.send(file.clone()).await.is_err() {
                return;
            }
        }
    }
}

fn begin(file: &Path, directory: &Path, something: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let name = file.file_name().map(ToOwned::to_owned);
    let wake = something.clone();
    let handler = move |event: notify::Result<Event>| match event {
        // The directory may hold our own journal and logs: only this one name counts.
        Ok(event) if !event.need_rescan() => {
            let ours = event.paths.iter().any(|path| path.file_name() == name.as_deref());
            if ours && !event.kind.is_access() {
                wake.notify_one();
            }
        }
        Ok(_) | Err(_) => wake.notify_one(),
    };
    let mut watcher = notify::recommended_watcher(handler)
        .inspect_err(
            |error| tracing::warn!(%error, "the configuration is looked at each 30 s only"),
        )
        .ok()?;
    watcher.watch(directory, RecursiveMode::NonRecursive).ok()?;
    Some(watcher)
}

/// Waits until the file did not change for a while, at most ten times as long.
async fn settled(file: &Path, something: &Notify) -> State {
    let mut before = state(file);
    for _ in 0..10 {
        let more = timeout(QUIET, something.notified()).await.is_ok();
        if more {
            sleep(QUIET).await;
        }
        let now = state(file);
        if !more && now == before {
            break;
        }
        before = now;
    }
    state(file)
}

fn state(file: &Path) -> State {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.len(), metadata.modified().ok()))
}

fn identity(directory: &Path) -> Option<(u64, u64)> {
    fs::metadata(directory).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
