//! What is in memory: `/api/ps` (FACTS A.3; server/routes.go `PsHandler`).

use std::time::Duration;

use doctor::{Body, LoadedSeen, Reply};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::probe::http::{self, LIST_CAP};

/// The list of `/api/ps`, or how the question ended where that says something about the server.
pub(super) async fn list(url: &str, within: Duration) -> Result<Vec<Running>, Option<Reply>> {
    let got = http::get(&format!("{url}/api/ps"), within, LIST_CAP).await;
    let Some(listed) = got.json::<Listed>() else {
        let answer = got.answer(|_| Body::Garbage);
        return Err(answer.ok().map(|answer| answer.reply));
    };
    let now = Timestamp::now();
    Ok(listed.models.into_iter().map(|model| Running::read(model, now)).collect())
}

/// A model in memory, with what is needed to leave it as it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Running {
    pub(super) name: String,
    pub(super) digest: String,
    pub(super) size_bytes: u64,
    pub(super) vram_bytes: u64,
    pub(super) context_length: u64,
    pub(super) ends: Ends,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ends {
    At(Timestamp),
    Never,
    /// It is not told, or not in a known form.
    Untold,
}

impl Running {
    fn read(model: InMemory, now: Timestamp) -> Self {
        /// `keep_alive: -1` gives about 292 years (FACTS A.3).
        const YEAR: SignedDuration = SignedDuration::from_hours(366 * 24);
        let ends = match model.expires_at.parse::<Timestamp>() {
            Ok(at) if at.duration_since(now) > YEAR => Ends::Never,
            Ok(at) => Ends::At(at),
            Err(_) => Ends::Untold,
        };
        Self {
            name: model.name,
            digest: model.digest,
            size_bytes: model.size,
            vram_bytes: model.size_vram,
            context_length: model.context_length,
            ends,
        }
    }

    /// One that is not in memory.
    pub(super) fn absent(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            digest: String::new(),
            size_bytes: 0,
            vram_bytes: 0,
            context_length: 0,
            ends: Ends::Untold,
        }
    }

    /// Time until Ollama unloads it; zero where a request holds it beyond its time or nobody knows,
    /// none: never.
    pub(super) fn left(&self) -> Option<Duration> {
        match self.ends {
            Ends::Never => None,
            Ends::Untold => Some(Duration::ZERO),
            Ends::At(_) => {
                Some(self.ends_at(Timestamp::now()).map_or(Duration::ZERO, |(_, left)| left))
            }
        }
    }

    /// When it goes, and in how long from `now`; none unless that is to come.
    pub(super) fn ends_at(&self, now: Timestamp) -> Option<(Timestamp, Duration)> {
        match self.ends {
            Ends::At(at) if at > now => Some((at, at.duration_since(now).unsigned_abs())),
            Ends::At(_) | Ends::Never | Ends::Untold => None,
        }
    }

    pub(super) fn seen(&self, now: Timestamp) -> LoadedSeen {
        let expires_in_s = match self.ends {
            Ends::At(_) => Some(self.ends_at(now).map_or(0, |(_, left)| left.as_secs())),
            Ends::Never | Ends::Untold => None,
        };
        LoadedSeen {
            name: self.name.clone(),
            size_bytes: self.size_bytes,
            vram_bytes: self.vram_bytes,
            context_length: self.context_length,
            expires_in_s,
            stays: false,
        }
    }
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    models: Vec<InMemory>,
}

#[derive(Deserialize)]
struct InMemory {
    name: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    size_vram: u64,
    #[serde(default)]
    context_length: u64,
    #[serde(default)]
    expires_at: String,
    #[serde(default)]
    digest: String,
}
