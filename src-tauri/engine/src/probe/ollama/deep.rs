//! The deep probe: one token, or one embedding, of a model that is loaded (R5, R7).
//!
//! It must leave no trace: the model stays as long as it would have stayed, no other is loaded, and
//! a load under way is never broken off.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use doctor::{DeepOutcome, DeepSeen, ProcessId, millis};

use super::ability::{Ability, Does, ability};
use super::keep::Keep;
use super::question::Question;
use super::running::{Running, list};
use super::slots::Moves;
use crate::config::Canary;
use crate::probe::work::Reading;

/// R5: no first byte in this time, of a process that does nothing.
const FIRST_BYTE: Duration = Duration::from_secs(20);
/// A model may take so long to load (FACTS A.6 `OLLAMA_LOAD_TIMEOUT`).
const LOAD: Duration = Duration::from_mins(5);
/// A model that goes by itself before the answer is in would be loaded anew by our question.
const TOO_LATE: Duration = Duration::from_secs(30);
const LIST: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Deep {
    turn: Mutex<Turn>,
    abilities: Mutex<HashMap<String, Ability>>,
    /// A question that may load its model goes on beyond the look that asked it; the next one waits.
    loading: tokio::sync::Mutex<()>,
    moves: Moves,
}

/// Which model was asked last, so that all have their turn.
#[derive(Default)]
struct Turn {
    last: String,
    failed: bool,
    /// How long our question took: the model's remaining time is counted from its end.
    took: Duration,
    /// Our question made Ollama load these anew, for options of theirs that nobody can read.
    disturbed: BTreeSet<String>,
}

/// Who is asked, and what is known of it.
pub(super) struct Patient<'a> {
    pub(super) url: &'a str,
    pub(super) canary: &'a Canary,
    pub(super) process: Option<&'a ProcessId>,
    pub(super) loaded: &'a [Running],
    pub(super) keep: &'a Keep,
    pub(super) stretch: u32,
}

impl Deep {
    /// None: there is nothing to ask, or asking would change something.
    pub(super) async fn ask(&self, patient: &Patient<'_>) -> Option<DeepSeen> {
        let running = self.next(patient)?;
        let ability = self.ability(patient.url, running).await?;
        let before = reading(patient.process).await;
        if let Some(before) = &before
            && self.moves.is_busy(before.runners(), ability.blob.as_deref()).await
        {
            return Some(self.seen(running, DeepOutcome::Busy, Duration::ZERO));
        }
        let took = self.turn.lock().map_or(Duration::ZERO, |turn| turn.took);
        let question = Question::about(patient.url, running, ability.does, took);
        let began = Instant::now();
        let mut asking = tokio::spawn(question.clone().put(LOAD));
        let patience = FIRST_BYTE * patient.stretch;
        let Ok(told) = tokio::time::timeout(patience, &mut asking).await else {
            let there = list(patient.url, LIST).await;
            if there.is_ok_and(|list| list.iter().all(|one| one.name != running.name)) {
                // It has gone meanwhile and is loaded for our sake: to leave now would break the
                // load off (FACTS 0, 4).
                return None;
            }
            asking.abort();
            let outcome = match (&before, reading(patient.process).await) {
                (Some(before), Some(after)) if !after.since(before).is_idle() => DeepOutcome::Busy,
                _ => DeepOutcome::NoFirstByte,
            };
            return Some(self.seen(running, outcome, began.elapsed()));
        };
        let told = told.ok()??;
        let after = reading(patient.process).await;
        if let (Some(before), Some(after)) = (before, after) {
            self.note_disturbed(running, &before, &after);
        }
        // What the question took longer or shorter than foreseen has moved the model's end.
        if let Ok(mut turn) = self.turn.lock() {
            turn.took = told.whole;
        }
        // Who ended it meanwhile does not get it back for our sake: to set the time of a model loads it.
        let stays = |one: &Running| {
            one.name == running.name && one.left().is_some_and(|left| !left.is_zero())
        };
        if list(patient.url, LIST).await.is_ok_and(|now| now.iter().any(stays)) {
            question.mend(told.whole).await;
        }
        if let Some(left) = question.leaves() {
            patient.keep.lent(&running.name, left, ability.does);
        }
        Some(self.seen(running, told.outcome, told.first))
    }

    /// R46: this model was loaded when it failed; it may be loaded to be heard, within a load's own
    /// time: breaking it off would break off the load (FACTS 0, 4).
    pub(super) async fn prove(
        &self,
        url: &str,
        model: &str,
        loaded: &[Running],
    ) -> Option<DeepSeen> {
        let running = loaded.iter().find(|running| super::same(&running.name, model)).cloned();
        let running = running.unwrap_or_else(|| Running::absent(model));
        let _turn = self.loading.lock().await;
        let ability = self.ability(url, &running).await?;
        let question = Question::about(url, &running, ability.does, Duration::ZERO);
        let told = question.put(LOAD).await?;
        Some(DeepSeen {
            model: model.to_owned(),
            outcome: told.outcome,
            took_ms: millis(told.first),
        })
    }

    /// The model that failed is asked again; otherwise they take turns.
    fn next<'a>(&self, patient: &Patient<'a>) -> Option<&'a Running> {
        let turn = self.turn.lock().ok()?;
        let mut fit: Vec<&Running> = patient
            .loaded
            .iter()
            .filter(|running| may_be_asked(patient.canary, &running.name))
            .filter(|running| !turn.disturbed.contains(&running.name))
            .filter(|running| running.left().is_none_or(|left| left.is_zero() || left >= TOO_LATE))
            .collect();
        fit.sort_by(|a, b| a.name.cmp(&b.name));
        let same = fit.iter().find(|running| turn.failed && running.name == turn.last);
        let later = fit.iter().find(|running| running.name > turn.last);
        same.or(later).or(fit.first()).copied()
    }

    /// What the model can do, asked once for each version of it.
    async fn ability(&self, url: &str, running: &Running) -> Option<Ability> {
        let key = format!("{} {}", running.name, running.digest);
        let known = self.abilities.lock().ok()?.get(&key).cloned();
        let ability = match known {
            Some(ability) => ability,
            None => ability(url, &running.name).await?,
        };
        self.abilities.lock().ok()?.insert(key, ability.clone());
        (ability.does != Does::Neither).then_some(ability)
    }

    fn note_disturbed(&self, running: &Running, before: &Reading, after: &Reading) {
        let gone = before.runners().any(|runner| after.runners().all(|one| one != runner));
        let fresh = after.runners().any(|runner| before.runners().all(|one| one != runner));
        if gone
            && fresh
            && let Ok(mut turn) = self.turn.lock()
        {
            tracing::warn!(
                model = running.name,
                "asking made Ollama load it anew; not asked again"
            );
            turn.disturbed.insert(running.name.clone());
        }
    }

    fn seen(&self, running: &Running, outcome: DeepOutcome, took: Duration) -> DeepSeen {
        if let Ok(mut turn) = self.turn.lock() {
            turn.last.clone_from(&running.name);
            turn.failed = !matches!(outcome, DeepOutcome::Answered | DeepOutcome::Busy);
        }
        DeepSeen { model: running.name.clone(), outcome, took_ms: millis(took) }
    }
}

fn may_be_asked(canary: &Canary, name: &str) -> bool {
    match canary {
        Canary::Auto => true,
        Canary::Off => false,
        Canary::Models(models) => models.iter().any(|model| super::same(model, name)),
    }
}

async fn reading(process: Option<&ProcessId>) -> Option<Reading> {
    let process = process?.clone();
    tokio::task::spawn_blocking(move || Reading::take(&process, None)).await.ok().flatten()
}
