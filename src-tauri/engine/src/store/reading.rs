//! Reading whole blobs: slowly in the background, all the time that there is; at once when a person
//! asks; and removing what is broken, only when a person asks.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use super::check::{self, file, users};
use super::digests::{Digests, is_intact};
use super::lock;
use super::manifests::{Cache, Layer, Manifest};
use crate::platform;

/// Between two looks at whether it may go on.
const PAUSED: Duration = Duration::from_secs(10);

/// How the background reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// After the start: logins and loads come first.
    pub(super) first: Duration,
    /// Between two searches for something to read.
    pub(super) between: Duration,
    /// Bytes a second while a model is loaded, and while none is.
    pub(super) busy: u64,
    pub(super) free: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: Duration::from_mins(10),
            between: Duration::from_mins(30),
            busy: 40_000_000,
            free: 150_000_000,
        }
    }
}

/// What is known of the contents of blobs, and who reads them.
#[derive(Default)]
pub struct Reading {
    digests: Mutex<Digests>,
    /// The file that remembers them.
    kept: OnceLock<PathBuf>,
    /// What the server serves, as last seen.
    served: Mutex<Option<(PathBuf, Vec<Manifest>)>>,
    /// A model is loaded: others need the disk.
    spare: AtomicBool,
    /// Memory is short: nothing is read that nobody asked for.
    paused: AtomicBool,
    ended: Mutex<bool>,
    wake: Condvar,
}

/// What reading models on a wish found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub models: u32,
    pub bytes: u64,
    /// Model and blob.
    pub corrupt: Vec<(String, String)>,
}

/// What was removed, and every model that needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    pub blobs: Vec<String>,
    pub models: Vec<String>,
}

impl Reading {
    /// Remembers in that file from now on, and begins to read in the background.
    pub fn begin(self: &Arc<Self>, kept: PathBuf) {
        self.begin_at(kept, Pace::default());
    }

    fn begin_at(self: &Arc<Self>, kept: PathBuf, pace: Pace) {
        *lock(&self.digests) = Digests::load(&kept);
        if self.kept.set(kept).is_err() {
            return;
        }
        let reading = self.clone();
        let thread = std::thread::Builder::new().name("digests".into());
        if let Err(error) = thread.spawn(move || reading.run(pace)) {
            tracing::warn!(%error, "models are not read in the background");
        }
    }

    /// The background ends within one chunk.
    pub fn end(&self) {
        *lock(&self.ended) = true;
        self.wake.notify_all();
    }

    pub fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    pub(super) fn spare(&self, loaded: bool) {
        self.spare.store(loaded, Ordering::Relaxed);
    }

    pub(super) fn serve(&self, models: &Path, manifests: &[Manifest]) {
        *lock(&self.served) = Some((models.to_owned(), manifests.to_vec()));
    }

    pub(super) fn digests(&self) -> Digests {
        lock(&self.digests).clone()
    }

    /// Reads every blob of one model, or of all. `go_on` hears how much is done of how much, and may
    /// end it: none then.
    pub fn verify(
        &self,
        models: &Path,
        model: Option<&str>,
        mut go_on: impl FnMut(u64, u64) -> bool,
    ) -> io::Result<Option<Verified>> {
        let all = Cache::default().read(models)?;
        let meant = of(&all, model)?;
        let layers = layers(&meant);
        let of: u64 = layers.iter().map(|layer| layer.size).sum();
        let mut done = 0;
        for layer in layers {
            let mut tell = |count: usize| {
                done += count as u64;
                go_on(done, of)
            };
            if self.read(models, layer, &mut tell)?.is_none() {
                return Ok(None);
            }
        }
        let corrupt = check::corrupt(models, &all, &self.digests())?;
        let named = |name: &String| model.is_none() || meant.iter().any(|one| one.name == *name);
        let count = u32::try_from(meant.len()).unwrap_or(u32::MAX);
        // Whoever shares a broken blob of the one that was meant is named as well.
        let blobs: BTreeSet<&String> =
            corrupt.iter().filter(|(name, _)| named(name)).map(|(_, blob)| blob).collect();
        let told = corrupt.iter().filter(|(name, blob)| named(name) || blobs.contains(blob));
        Ok(Some(Verified { models: count, bytes: done, corrupt: told.cloned().collect() }))
    }

    /// Reads the model's blobs and removes those that are broken, so that a pull brings them again:
    /// what lies on disk is never downloaded a second time (server/download.go `downloadBlob`).
    pub fn remove_broken(
        &self,
        models: &Path,
        model: &str,
        mut go_on: impl FnMut(u64, u64) -> bool,
    ) -> io::Result<Option<Removed>> {
        let all = Cache::default().read(models)?;
        let meant = of(&all, Some(model))?;
        if self.verify(models, Some(model), &mut go_on)?.is_none() {
            return Ok(None);
        }
        let digests = self.digests();
        let mut removed = Removed::default();
        for layer in layers(&meant) {
            if check::is_sound(models, layer, &digests)? {
                continue;
            }
            // A manifest that declares another length is wrong itself: what the name says counts, and
            // what was made on this machine comes back from nowhere.
            match is_named_rightly(models, layer, &mut go_on)? {
                None => return Ok(None),
                Some(true) => continue,
                Some(false) => {}
            }
            let blob = layer.blob();
            match fs::remove_file(file(models, layer)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            removed.models.extend(users(&all, &blob).into_iter().map(str::to_owned));
            removed.blobs.push(blob);
        }
        removed.models.sort();
        removed.models.dedup();
        Ok(Some(removed))
    }

    fn run(&self, pace: Pace) {
        platform::lower_priority();
        let mut wait = pace.first;
        while !self.rest(wait) {
            wait = Duration::ZERO;
            match self.next() {
                Some((models, layer)) => self.read_slowly(&models, &layer, pace),
                None => wait = pace.between,
            }
        }
    }

    /// True at the end.
    fn rest(&self, wait: Duration) -> bool {
        let ended = lock(&self.ended);
        let rested = self.wake.wait_timeout_while(ended, wait, |ended| !*ended);
        rested.map_or(true, |(ended, _)| *ended)
    }

    /// What was not read yet, or too long ago.
    fn next(&self) -> Option<(PathBuf, Layer)> {
        if self.paused.load(Ordering::Relaxed) {
            return None;
        }
        let served = lock(&self.served).clone();
        let (models, manifests) = served?;
        let meant: Vec<&Manifest> = manifests.iter().collect();
        let all = layers(&meant);
        let now = SystemTime::now();
        let mut digests = lock(&self.digests);
        digests.keep(|digest| all.iter().any(|layer| layer.digest == digest));
        let due = all.into_iter().find(|layer| {
            fs::metadata(file(&models, layer)).is_ok_and(|data| {
                data.len() == layer.size && digests.read_at(&layer.digest, &data, now).is_none()
            })
        });
        due.map(|layer| (models.clone(), layer.clone()))
    }

    fn read_slowly(&self, models: &Path, layer: &Layer, pace: Pace) {
        let mut last = Instant::now();
        let mut slow = |count: usize| {
            let rate = if self.spare.load(Ordering::Relaxed) { pace.busy } else { pace.free };
            let takes = Duration::from_nanos(count as u64 * 1_000_000_000 / rate.max(1));
            let mut ended = self.rest(takes.saturating_sub(last.elapsed()));
            while !ended && self.paused.load(Ordering::Relaxed) {
                ended = self.rest(PAUSED);
            }
            last = Instant::now();
            !ended
        };
        if let Err(error) = self.read(models, layer, &mut slow) {
            tracing::debug!(blob = layer.blob(), %error, "a blob could not be read");
            // Not again at once.
            self.rest(pace.between);
        }
    }

    /// Reads one blob and remembers what it found. A blob that is missing or cut needs no reading.
    fn read(
        &self,
        models: &Path,
        layer: &Layer,
        go_on: &mut dyn FnMut(usize) -> bool,
    ) -> io::Result<Option<()>> {
        let path = file(models, layer);
        let before = match fs::metadata(&path) {
            Ok(data) if data.len() == layer.size => data,
            Ok(_) => return Ok(Some(())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(())),
            Err(error) => return Err(error),
        };
        let Some(good) = is_intact(&path, &layer.digest, go_on)? else { return Ok(None) };
        let mut digests = lock(&self.digests);
        digests.put(&layer.digest, &before, good, SystemTime::now());
        if !good {
            tracing::warn!(blob = layer.blob(), "a blob does not hold what its name says");
        }
        if let Some(kept) = self.kept.get()
            && let Err(error) = digests.save(kept)
        {
            tracing::warn!(%error, "what was read is not remembered");
        }
        Ok(Some(()))
    }
}

/// Whether its content is what its name says, whatever its length; one of the declared length was
/// read before. None: it was broken off.
fn is_named_rightly(
    models: &Path,
    layer: &Layer,
    go_on: &mut impl FnMut(u64, u64) -> bool,
) -> io::Result<Option<bool>> {
    let path = file(models, layer);
    let of = match fs::metadata(&path) {
        Ok(data) if data.is_file() && data.len() != layer.size => data.len(),
        Ok(_) => return Ok(Some(false)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(false)),
        Err(error) => return Err(error),
    };
    let mut done = 0;
    is_intact(&path, &layer.digest, |count| {
        done += count as u64;
        go_on(done, of)
    })
}

/// All, or the one of that name.
pub(super) fn of<'a>(all: &'a [Manifest], model: Option<&str>) -> io::Result<Vec<&'a Manifest>> {
    let Some(model) = model else { return Ok(all.iter().collect()) };
    let named: Vec<&Manifest> =
        all.iter().filter(|one| crate::probe::ollama::same(&one.name, model)).collect();
    if named.is_empty() {
        let reason = format!("there is no manifest of {model}");
        return Err(io::Error::new(io::ErrorKind::NotFound, reason));
    }
    Ok(named)
}

/// Each blob once.
fn layers<'a>(manifests: &[&'a Manifest]) -> Vec<&'a Layer> {
    let mut seen = BTreeSet::new();
    let all = manifests.iter().flat_map(|manifest| manifest.layers());
    all.filter(|layer| seen.insert(&layer.digest)).collect()
}

#[cfg(test)]
mod tests;
