//! The first rung of Ollama's ladder (RECOVERY 1.8): the one model that gives no token is unloaded,
//! and the server is restarted only when that does not help.
//!
//! It is the beginning of the episode's first attempt, and none of its own. When it does not help,
//! the restart follows at once within the same attempt, so that none of the three is lost to it.
//! When it helps, the attempt is used up all the same: a model that is stuck again within the
//! episode meets the restart, and is not unloaded for ever. No restart was made, so none is counted
//! for the hour (R28).

use std::time::Duration;

use crate::cause::CauseId;
use crate::doctor::Doctor;
use crate::ensuring::is_same;
use crate::incident::{StoryKind, Verb};
use crate::patient::Patient;
use crate::plan::Next;
use crate::remedy::{Outcome, Step};
use crate::sentence::Sentence;

/// A server that is stuck itself may not take the unload at all.
const UNLOAD: Duration = Duration::from_secs(10);
/// To the first token, as for any request that is to prove something (R5).
const TOKEN: Duration = Duration::from_secs(20);
/// The proof loads the model first: a gigabyte in a second. Together with the unload at most 70 s
/// before the restart.
const LONGEST_PROOF: Duration = Duration::from_mins(1);
const GB: u64 = 1_000_000_000;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unsticking {
    model: String,
    /// How long the proof may take, the load included.
    proof: Duration,
}

impl Unsticking {
    /// What follows; none: it did not help.
    pub(crate) fn next(&self, last: Option<(&Step, &Outcome)>) -> Option<Next> {
        let model = self.model.clone();
        match last {
            None => Some(Next::Step(Step::Unload { models: vec![model] }, UNLOAD)),
            Some((Step::Unload { .. }, Outcome::Unloaded(unloaded))) if unloaded.is_complete() => {
                Some(Next::Step(Step::Prove { model }, self.proof))
            }
            // It is not in memory any more: whether that was the cure is for the proof to tell.
            Some((Step::Unload { .. }, Outcome::Failed { permanent: true, .. })) => {
                Some(Next::Step(Step::Prove { model }, self.proof))
            }
            Some((Step::Prove { .. }, Outcome::Proven(_))) => Some(Next::Verify),
            Some(_) => None,
        }
    }
}

impl Doctor {
    /// The one model to unload first: a request to it has failed while the server answers otherwise.
    /// Nobody is interrupted, since the server has nothing to do.
    pub(crate) fn unsticking(&self, patient: &Patient, cause: CauseId) -> Option<Unsticking> {
        let of_one = matches!(cause, CauseId::OllamaWedged | CauseId::OllamaEmptyAnswers);
        let insight = &patient.facts.insight;
        let answers = patient.tally.hard == 0 && patient.tally.soft == 0;
        let idle = insight.is_idle(self.now.awake, &self.policy);
        if !of_one || !answers || !idle || patient.account.attempts > 0 {
            return None;
        }
        let deep = insight.deep.as_ref().filter(|_| insight.deep_failed())?;
        let loaded =
            patient.facts.loaded.iter().find(|one| is_same(&one.seen.name, &deep.model))?;
        let load = Duration::from_secs(loaded.seen.size_bytes / GB);
        let proof = (TOKEN + load).min(LONGEST_PROOF);
        Some(Unsticking { model: loaded.seen.name.clone(), proof })
    }

    /// The unload did not help: from now on it is a restart.
    pub(crate) fn goes_on_to_restart(&mut self, at: usize) {
        let operation = &mut self.operations[at];
        operation.verb = Verb::Restart;
        let (target, attempt) = (operation.target.clone(), operation.attempt);
        let now = self.now.wall;
        if let Some(patient) = self.patients.get_mut(&target)
            && let Some(act) = &mut patient.account.act
        {
            (act.verb, act.at) = (Verb::Restart, now);
        }
        let says = Sentence::new("story.restart")
            .with("attempt", attempt.max(1))
            .with("of", self.policy.attempts);
        self.tell_story(&target, StoryKind::Done, says);
    }
}
