//! Ollama's models on disk (FACTS A.7): `manifests/HOST/NAMESPACE/MODEL/TAG` and
//! `blobs/sha256-HEX`. What they tell is added to each full look.

mod place;

mod manifests;

mod check;
mod digests;
mod runners;

mod origin;
mod reading;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use doctor::{Depth, Elsewhere, Listener, Observation, OllamaSeen, RunnerSeen, StoreSeen};

use crate::config::Config;
use crate::logs;
use crate::platform;
use crate::probe::http;
use crate::probe::port_of;

use manifests::{Cache, Manifest};
use runners::Runner;

pub use reading::{Reading, Removed, Verified};

/// Some thousand files are looked at within a second; a disk that takes longer does not answer.
const WITHIN: Duration = Duration::from_secs(20);
/// A runner answers `/health` without touching what it computes (FACTS A.9).
const HEALTH: Duration = Duration::from_secs(1);

/// The store of one configuration's Ollama. What was read is lent from one configuration to the next.
pub struct Store {
    url: String,
    /// Models that are to exist.
    ensured: Vec<String>,
    registry: String,
    reading: Arc<Reading>,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    served: Cache,
    own: Cache,
}

/// What one look at the disk tells.
struct Found {
    seen: StoreSeen,
    runners: Option<Vec<Runner>>,
    /// The process itself says where its models lie.
    told: bool,
}

impl Store {
    pub fn new(config: &Config, before: Option<&Self>) -> Self {
        Self {
            url: config.ollama.url.to_string().trim_end_matches('/').to_owned(),
            ensured: config.ollama.ensure.iter().map(|one| one.model.clone()).collect(),
            registry: config.ollama.registry.to_string(),
            reading: before.map(|before| before.reading.clone()).unwrap_or_default(),
            known: before.map(|before| before.known.clone()).unwrap_or_default(),
        }
    }

    /// Who reads whole blobs.
    pub fn reading(&self) -> Arc<Reading> {
        self.reading.clone()
    }

    /// Why this model may not be replaced by the registry's. What is configured comes from where the
    /// configuration says.
    pub async fn refusal(&self, place: Option<PathBuf>, model: &str) -> Option<String> {
        let same = |name: &String| crate::probe::ollama::same(name, model);
        if self.ensured.iter().any(same) {
            return None;
        }
        origin::refusal(place?, model, &self.registry).await
    }

    /// A full look at a server that answers learns what the disk tells of its models, and which
    /// processes hold them.
    pub async fn add(&self, mut observation: Observation, depth: Depth) -> Observation {
        let Observation::Ollama(seen) = &mut observation else { return observation };
        if let Some(loaded) = &seen.loaded {
            self.reading.spare(!loaded.is_empty());
        }
        if depth == Depth::Shallow || seen.product_version.is_none() {
            return observation;
        }
        let names: Vec<String> =
            seen.loaded.iter().flatten().map(|model| model.name.clone()).collect();
        let lists_none = seen.installed.as_ref().is_some_and(Vec::is_empty);
        let mut found = match self.look(&seen.listener, &names).await {
            Some(found) => found,
            None => Found { seen: StoreSeen::default(), runners: None, told: false },
        };
        found.seen.missing = self.missing(seen);
        if !lists_none {
            found.seen.elsewhere = None;
        }
        // Where its place is a guess, only what the server lists itself is believed of it.
        if !found.told {
            let listed =
                |name: &String| seen.installed.iter().flatten().any(|one| one.name == *name);
            found.seen.corrupt.retain(|(name, _)| listed(name));
        }
        seen.signs.store = Some(found.seen);
        if seen.signs.runners.is_none()
            && seen.loaded.is_some()
            && let Some(runners) = found.runners
        {
            seen.signs.runners = Some(without_loading(runners, &names).await);
        }
        observation
    }

    /// Configured, and not in the server's list; nothing where it gave none.
    fn missing(&self, seen: &OllamaSeen) -> Vec<String> {
        let Some(installed) = &seen.installed else { return Vec::new() };
        let is_missing = |name: &&String| {
            !installed.iter().any(|model| crate::probe::ollama::same(&model.name, name))
        };
        self.ensured.iter().filter(is_missing).cloned().collect()
    }

    async fn look(&self, listener: &Listener, loaded: &[String]) -> Option<Found> {
        if !place::is_here(&self.url) {
            return None;
        }
        let (listener, loaded) = (listener.clone(), loaded.to_vec());
        let (known, reading) = (self.known.clone(), self.reading.clone());
        let port = port_of(&self.url);
        let looking =
            tokio::task::spawn_blocking(move || look(&listener, port, &loaded, &known, &reading));
        tokio::time::timeout(WITHIN, looking).await.ok()?.ok()?
    }
}

/// Where the server that listens there keeps its models; none: it is not on this machine, or nobody
/// can tell.
pub async fn place(url: &str) -> Option<PathBuf> {
    if !place::is_here(url) {
        return None;
    }
    let port = port_of(url);
    let found = tokio::task::spawn_blocking(move || place::served(&platform::listener(port)));
    found.await.ok().flatten()
}

/// The processes that serve one model each, with the model where it can be told; none where the
/// server's process is not shown to us. Names in `loaded` come first where models share a blob.
pub fn runners_of(listener: &Listener, loaded: &[String]) -> Option<Vec<RunnerSeen>> {
    let models = place::served(listener);
    let manifests = models.as_deref().map(|models| Cache::default().read(models));
    let manifests = manifests.and_then(Result::ok).unwrap_or_default();
    let runners = runners::runners(listener, models.as_deref(), &manifests, loaded)?;
    Some(runners.into_iter().map(|runner| runner.seen).collect())
}

/// None: a look before this one still waits for the disk. Each that waited with it would take a
/// thread of the few that there are, until nothing at all could be looked at.
fn look(
    listener: &Listener,
    port: u16,
    loaded: &[String],
    known: &Mutex<Known>,
    reading: &Reading,
) -> Option<Found> {
    let mut known = match known.try_lock() {
        Ok(known) => known,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return None,
    };
    let mut seen = StoreSeen::default();
    // Where its environment is not shown to us, its log may tell.
    let said = match listener {
        Listener::Process(process) if !place::is_told(listener) => logs::models_of(process, port),
        Listener::Process(_) | Listener::Hidden | Listener::Nobody | Listener::NotAsked => None,
    };
    let told = said.is_some() || place::is_told(listener);
    let served = said.or_else(|| place::served(listener));
    if told && let (Some(served), Some(own)) = (&served, place::own()) {
        seen.elsewhere = elsewhere(served, &own);
    }
    if let Some(own) = place::own()
        && let Some(owner) = check::owner(&own)
        && let Ok(manifests) = known.own.read(&own)
    {
        seen.owner_uid = owner;
        seen.manifests = u32::try_from(manifests.len()).unwrap_or(u32::MAX);
    }
    let mut manifests: Vec<Manifest> = Vec::new();
    if let Some(models) = &served {
        let checked = known.served.read(models).and_then(|read| {
            let corrupt = check::corrupt(models, &read, &reading.digests())?;
            Ok((read, corrupt))
        });
        match checked {
            Ok((read, corrupt)) => {
                seen.corrupt = corrupt;
                manifests = read;
            }
            Err(error) => {
                seen.unreadable = Some(format!("{}: {error}", models.display()));
            }
        }
        reading.serve(models, &manifests);
    }
    let runners = runners::runners(listener, served.as_deref(), &manifests, loaded);
    Some(Found { seen, runners, told })
}

/// One directory may have several names.
fn elsewhere(served: &Path, own: &Path) -> Option<Elsewhere> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    (real(served) != real(own))
        .then(|| Elsewhere { served: served.display().to_string(), own: own.display().to_string() })
}

/// A model that is still being loaded is in no list yet (FACTS 0, 5): its runner answers 503 so long,
/// and is none of those that outlive their model.
async fn without_loading(runners: Vec<Runner>, loaded: &[String]) -> Vec<RunnerSeen> {
    let mut kept = Vec::new();
    for runner in runners {
        let listed = runner.seen.model.as_ref().is_none_or(|model| loaded.contains(model));
        let loads = match runner.port {
            Some(port) if !listed => {
                let url = format!("http://127.0.0.1:{port}/health");
                let got = http::get(&url, HEALTH, http::SHALLOW_CAP).await;
                matches!(got.outcome, http::Outcome::Answered { code: 503, .. })
            }
            Some(_) | None => false,
        };
        if !loads {
            kept.push(runner.seen);
        }
    }
    kept
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_never_waits_for_one_that_waits_for_the_disk() {
        let (known, reading) = (Mutex::new(Known::default()), Reading::default());
        let waiting = known.lock().unwrap();
        assert!(look(&Listener::Hidden, 1, &[], &known, &reading).is_none());
        drop(waiting);
        assert!(look(&Listener::Hidden, 1, &[], &known, &reading).is_some());
    }

    #[test]
    fn a_directory_of_two_names_is_not_elsewhere() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("models");
        std::fs::create_dir(&own).unwrap();
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&own, &link).unwrap();
        assert_eq!(elsewhere(&link, &own), None);
        assert_eq!(elsewhere(&own.join("."), &own), None);
        assert_eq!(elsewhere(&root.path().join("models/"), &own), None);
        let other = root.path().join("other");
        assert_eq!(elsewhere(&other, &own).unwrap().served, other.display().to_string());
    }
}
