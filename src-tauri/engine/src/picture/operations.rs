//! What is being done, step by step.

use doctor::{Doctor, Operation, RemedyResult, Sentence, Value, Verb};

use crate::view::{self, OperationState, OperationStep};
use crate::words::{Words, rfc3339};

/// Running ones and the last that ended.
pub fn operations(doctor: &Doctor, words: &Words) -> Vec<view::Operation> {
    doctor.operations().map(|one| operation(one, words)).collect()
}

fn operation(one: &Operation, words: &Words) -> view::Operation {
    let state = match one.result {
        None => OperationState::Running,
        Some(RemedyResult::Verified) => OperationState::Verified,
        Some(RemedyResult::Failed) => OperationState::Failed,
        Some(RemedyResult::Superseded) => OperationState::Superseded,
    };
    let steps: Vec<OperationStep> = one
        .log
        .iter()
        .map(|(at, says)| OperationStep { at: rfc3339(*at), text: words.sentence(says) })
        .collect();
    let last = steps.last().map(|step| step.text.clone());
    let word = format!("operation.{}", view::word(&state));
    view::Operation {
        id: one.id.clone(),
        target: one.target.to_string(),
        verb: view::word(&one.verb),
        state,
        text: match (&one.progress, one.verb) {
            (Some(progress), Verb::Measure | Verb::Unload) if !progress.about.is_empty() => {
                progress.about.clone()
            }
            (Some(progress), Verb::Ensure | Verb::Repair)
                if progress.of > 0 && one.is_running() =>
            {
                words.sentence(
                    &Sentence::new("step.pulling")
                        .with("model", progress.about.as_str())
                        .with("done", Value::Bytes(progress.done))
                        .with("of", Value::Bytes(progress.of)),
                )
            }
            (Some(progress), Verb::Verify) if progress.of > 0 && one.is_running() => words
                .sentence(
                    &Sentence::new("step.reading")
                        .with("done", Value::Bytes(progress.done))
                        .with("of", Value::Bytes(progress.of)),
                ),
            _ => last.unwrap_or_else(|| words.say(&word)),
        },
        steps,
        done: one.progress.as_ref().map(|progress| progress.done),
        of: one.progress.as_ref().map(|progress| progress.of).filter(|of| *of > 0),
    }
}
