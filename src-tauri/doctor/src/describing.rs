//! Steps and how they ended, as sentences.

use crate::observation::Listener;
use crate::remedy::{Lever, Outcome, Step};
use crate::sentence::{Sentence, Value};

/// One step and how it ended, as a line of the story.
pub(crate) fn describe(step: &Step, outcome: &Outcome) -> Sentence {
    if let Outcome::Failed { reason, .. } = outcome {
        return Sentence::new("step.failed").with("reason", reason.as_str());
    }
    let process = |key: &str, pid: u32| Sentence::new(key).with("pid", pid);
    match step {
        Step::FindListener => {
            if let Outcome::Listening(Listener::Process(found)) = outcome {
                process("step.found", found.id.pid).with("program", found.id.program())
            } else {
                Sentence::new("step.found_nobody")
            }
        }
        Step::FindCopies => {
            let copy = if let Outcome::Found(copies) = outcome { copies.first() } else { None };
            match copy {
                Some(copy) => {
                    process("step.found_copy", copy.id.pid).with("program", copy.id.program())
                }
                None => Sentence::new("step.found_no_copy"),
            }
        }
        Step::Terminate(id) => process("step.terminated", id.pid),
        Step::Kill(id) => process("step.killed", id.pid),
        Step::AwaitGone(id) if *outcome == Outcome::Gone => process("step.gone", id.pid),
        Step::AwaitGone(id) => process("step.still_there", id.pid),
        Step::Start(lever) => {
            let what = match lever {
                Lever::Command(command) => command.first().cloned().unwrap_or_default(),
                Lever::Launchd(label) => label.clone(),
                Lever::App(app) => app.clone(),
            };
            let says = Sentence::new("step.started").with("what", what);
            if let Outcome::Started { process: Some(id) } = outcome {
                says.with("pid", id.pid)
            } else {
                says.with("pid", "-")
            }
        }
        Step::StartContainer { .. } => Sentence::new("step.container_started"),
        Step::ComposeUp(compose) => {
            Sentence::new("step.compose_up").with("service", compose.service.as_str())
        }
        Step::StopContainer { .. } => Sentence::new("step.container_stopped"),
        Step::Unload { models } => {
            if let Outcome::Unloaded(unloaded) = outcome {
                let key =
                    if unloaded.left.is_empty() { "step.unloaded" } else { "step.unload_left" };
                Sentence::new(key)
                    .with("models", unloaded.models.join(", "))
                    .with("left", unloaded.left.join(", "))
                    .with("freed", Value::Bytes(unloaded.freed_bytes))
            } else {
                Sentence::new("step.unload").with("models", models.join(", "))
            }
        }
        Step::Measure { model } => {
            let says = |key: &str| Sentence::new(key).with("model", model.as_str());
            match outcome {
                Outcome::Measured(timing) => match (&timing.error, timing.tokens_per_s) {
                    (Some(error), _) => says("step.not_measured").with("reason", error.as_str()),
                    (None, rate) => says("step.measured")
                        .with("rate", format!("{:.1}", rate.unwrap_or_default())),
                },
                Outcome::Done
                | Outcome::Listening(_)
                | Outcome::Found(_)
                | Outcome::Gone
                | Outcome::StillThere
                | Outcome::IdentityChanged
                | Outcome::Started { .. }
                | Outcome::Unloaded(_)
                | Outcome::Failed { .. } => says("step.measure"),
            }
        }
    }
}
