//! Logs as evidence: what is new in those of the model servers is matched with known signatures, and
//! nothing else of it is kept; of a container its last words are.

mod journal;
mod line;
mod secrets;
mod signature;
mod started;
mod tail;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use doctor::{LogSign, ProcessId};
use jiff::{SignedDuration, Timestamp};

use self::journal::Journal;
use self::line::Lines;
use self::tail::Tail;
use crate::platform::{self, Unit};

pub use signature::{Signature, built_in, read};
pub(crate) use started::models_of;

/// Of which server a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    Ollama,
    Mlx,
    Container,
}

/// Files that are followed at most: each costs a descriptor.
const FILES: usize = 8;
/// Signs of one look at most; the newest are kept.
const SIGNS: usize = 8;
/// What was written before we came counts when it is not older than this.
const LOOK_BACK: SignedDuration = SignedDuration::from_mins(10);

/// The logs of one server, from look to look.
pub(crate) struct Logs {
    signatures: Vec<Signature>,
    /// Where it may write, whether or not its process shows us.
    places: Vec<PathBuf>,
    followed: Mutex<Followed>,
}

#[derive(Default)]
struct Followed {
    files: BTreeMap<PathBuf, (Tail, Lines)>,
    journal: Option<(Journal, Lines)>,
    /// Units whose journal can't be had: not tried again.
    silent: Vec<Unit>,
}

impl Logs {
    pub(crate) fn new(of: Of, own: &[Signature], places: Vec<PathBuf>) -> Self {
        let signatures = built_in().iter().chain(own).filter(|one| one.of == of).cloned();
        Self { signatures: signatures.collect(), places, followed: Mutex::default() }
    }

    /// What it has written since the last look. A log stays followed when its process has ended:
    /// the last words tell most.
    pub(crate) fn signs(&self, process: Option<&ProcessId>) -> Vec<LogSign> {
        let Ok(mut followed) = self.followed.lock() else { return Vec::new() };
        followed.add(process, &self.places);
        let mut signs: Vec<LogSign> = Vec::new();
        for line in followed.read() {
            if let Some(sign) = matching(&self.signatures, &line) {
                // The same one again is no more evidence; the newest is nearest to the cause.
                signs.retain(|one| one.cause != sign.cause);
                signs.push(sign);
            }
        }
        signs.drain(..signs.len().saturating_sub(SIGNS));
        signs
    }
}

/// What is known of containers' logs.
pub(crate) fn of_containers(own: &[Signature]) -> Vec<Signature> {
    built_in().iter().chain(own).filter(|one| one.of == Of::Container).cloned().collect()
}

/// A container's lines without private parts and secrets, in their order.
pub(crate) fn told(lines: &[String]) -> Vec<String> {
    Lines::default().told(lines, None)
}

/// What these lines show, each cause once, by its newest line.
pub(crate) fn signs_in(signatures: &[Signature], lines: &[String]) -> Vec<LogSign> {
    let mut signs: Vec<LogSign> = Vec::new();
    for sign in lines.iter().filter_map(|line| matching(signatures, line)) {
        signs.retain(|one| one.cause != sign.cause);
        signs.push(sign);
    }
    signs
}

/// The surest signature, and of equals the first.
fn matching(signatures: &[Signature], line: &str) -> Option<LogSign> {
    let lower = line.to_lowercase();
    let fit = signatures.iter().rev().filter(|one| one.matches(&lower));
    let one = fit.max_by_key(|one| one.confidence)?;
    tracing::info!(signature = one.id, of = ?one.of, "seen in a log");
    Some(LogSign { cause: one.cause, confidence: one.confidence, line: line.to_owned() })
}

impl Followed {
    fn add(&mut self, process: Option<&ProcessId>, places: &[PathBuf]) {
        let written = process.map(|process| platform::written_files(process.pid));
        let written = written.unwrap_or_default();
        let unit = process.filter(|_| written.is_empty()).and_then(|one| platform::unit(one.pid));
        if let Some(unit) = unit {
            self.follow(unit);
        }
        let wanted = |path: &PathBuf| written.contains(path) || places.contains(path);
        for path in written.iter().chain(places) {
            if self.files.len() >= FILES
                && !self.files.contains_key(path)
                && let Some(left) = self.files.keys().find(|one| !wanted(one)).cloned()
            {
                // Nobody writes to it any more; what is written to now tells more.
                self.files.remove(&left);
            }
            if self.files.len() < FILES && !self.files.contains_key(path) {
                self.files.insert(path.clone(), (Tail::new(path), Lines::default()));
            }
        }
    }

    fn follow(&mut self, unit: Unit) {
        let known = self.journal.as_ref().is_some_and(|(journal, _)| journal.is_of(&unit));
        if known || self.silent.contains(&unit) {
            return;
        }
        match Journal::follow("journalctl", &unit) {
            Some(journal) => self.journal = Some((journal, Lines::default())),
            None => self.silent.push(unit),
        }
    }

    fn read(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        for (tail, lines) in self.files.values_mut() {
            let news = tail.read();
            let since = news.from_the_middle.then(|| Timestamp::now() - LOOK_BACK);
            told.extend(lines.told(&news.lines, since));
        }
        if let Some((journal, lines)) = &mut self.journal {
            told.extend(lines.told(&journal.read(), None));
        }
        told
    }
}

/// [`Logs::signs`] beside the loop.
pub(crate) async fn signs(logs: &Arc<Logs>, process: Option<ProcessId>) -> Vec<LogSign> {
    let logs = logs.clone();
    let reading = tokio::task::spawn_blocking(move || logs.signs(process.as_ref()));
    reading.await.unwrap_or_default()
}

#[cfg(test)]
mod tests;
