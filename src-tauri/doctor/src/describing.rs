//! Steps and how they ended, as sentences.

use crate::diagnosis::mebibytes;
use crate::light;
use crate::observation::Listener;
use crate::remedy::{Lever, LimitLasts, Outcome, Step};
use crate::sentence::{Sentence, Value};

/// One step and how it ended, as a line of the story.
pub(crate) fn describe(step: &Step, outcome: &Outcome) -> Sentence {
    if let Outcome::Failed { reason, .. } = outcome {
        return Sentence::new("step.failed").with("reason", reason.as_str());
    }
    let process = |key: &str, pid: u32| Sentence::new(key).with("pid", pid);
    match step {
        Step::FindListener | Step::AwaitBack => {
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
        Step::StopThrough { lever, .. } => {
            Sentence::new("step.stopped_through").with("what", name(lever))
        }
        Step::Start(lever) => {
            let says = Sentence::new("step.started").with("what", name(lever));
            if let Outcome::Started { process: Some(id) } = outcome {
                says.with("pid", id.pid)
            } else {
                says.with("pid", "-")
            }
        }
        Step::StartContainer { .. } => Sentence::new("step.container_started"),
        Step::ComposeUp(compose) => {
            let key =
                if compose.light.is_empty() { "step.compose_up" } else { "step.compose_light" };
            Sentence::new(key)
                .with("service", compose.service.as_str())
                .with("lines", light::lines(&compose.light))
        }
        Step::StopContainer { .. } => Sentence::new("step.container_stopped"),
        Step::RaiseLimit { from, to, .. } => raised(*from, *to, outcome),
        Step::RestartDocker => Sentence::new(if *outcome == Outcome::IdentityChanged {
            "step.docker_answers"
        } else {
            "step.docker_restarted"
        }),
        Step::Unload { models } => unloaded(&models.join(", "), outcome),
        Step::UnloadMlx { model, .. } => {
            unloaded(&model.clone().unwrap_or_else(|| "MLX".into()), outcome)
        }
        Step::FindModel { model } => installed(model, outcome),
        Step::Pull { model, .. } => Sentence::new("step.pulled").with("model", model.as_str()),
        Step::Create { model, modelfile } => Sentence::new("step.model_created")
            .with("model", model.as_str())
            .with("file", modelfile.as_str()),
        Step::VerifyModels { .. } => read(outcome),
        Step::RemoveBroken { model } => removed(model, outcome),
        Step::Prove { model } => proven(model, outcome),
        Step::Measure { model } => measured(model, outcome),
    }
}

/// What was done holds until the container is made anew; what would make it last is said with it.
fn raised(from: u64, to: u64, outcome: &Outcome) -> Sentence {
    let both = |says: Sentence| says.with("from", Value::Bytes(from)).with("to", Value::Bytes(to));
    let Outcome::Raised(lasts) = outcome else { return both(Sentence::new("step.limit_raised")) };
    both(match lasts {
        LimitLasts::Line(place) => {
            let key =
                if place.instead { "step.limit_raised_line" } else { "step.limit_raised_before" };
            Sentence::new(key)
                .with("file", place.file.as_str())
                .with("line", place.line)
                .with("text", place.text.as_str())
        }
        LimitLasts::InCompose { file, service } => Sentence::new("step.limit_raised_compose")
            .with("file", file.as_str())
            .with("service", service.as_str())
            .with("text", mebibytes(to)),
        LimitLasts::WhenMade => Sentence::new("step.limit_raised_made").with("text", mebibytes(to)),
    })
}

fn measured(model: &str, outcome: &Outcome) -> Sentence {
    let says = |key: &str| Sentence::new(key).with("model", model);
    let Outcome::Measured(timing) = outcome else { return says("step.measure") };
    match (&timing.error, timing.tokens_per_s) {
        (Some(error), _) => says("step.not_measured").with("reason", error.as_str()),
        (None, rate) => {
            says("step.measured").with("rate", format!("{:.1}", rate.unwrap_or_default()))
        }
    }
}

fn name(lever: &Lever) -> String {
    match lever {
        Lever::Command(command) => command.first().cloned().unwrap_or_default(),
        Lever::Launchd(name) | Lever::App(name) | Lever::Unit(name) | Lever::SystemUnit(name) => {
            name.clone()
        }
    }
}

/// What it is that answered: its size on disk, its parameters, its quantisation.
fn proven(model: &str, outcome: &Outcome) -> Sentence {
    let Outcome::Proven(seen) = outcome else {
        return Sentence::new("step.prove").with("model", model);
    };
    let told = |text: &str| if text.is_empty() { "?".to_owned() } else { text.to_owned() };
    Sentence::new("step.proven")
        .with("model", model)
        .with("size", Value::Bytes(seen.size_bytes))
        .with("parameters", told(&seen.parameters))
        .with("quantisation", told(&seen.quantisation))
}

/// What came free, and what did not: who still holds it, and how much.
fn unloaded(models: &str, outcome: &Outcome) -> Sentence {
    let Outcome::Unloaded(unloaded) = outcome else {
        return Sentence::new("step.unload").with("models", models);
    };
    let named = unloaded.models.join(", ");
    let freed = Value::Bytes(unloaded.freed_bytes.unwrap_or(0));
    if !unloaded.left.is_empty() {
        return Sentence::new("step.unload_left")
            .with("models", named)
            .with("left", unloaded.left.join(", "))
            .with("freed", freed);
    }
    if let Some(holder) = unloaded.holders.iter().max_by_key(|holder| holder.bytes) {
        return Sentence::new("step.unload_held")
            .with("models", named)
            .with("pid", holder.pid)
            .with("held", Value::Bytes(holder.bytes))
            .with("freed", freed);
    }
    match unloaded.freed_bytes {
        Some(_) => Sentence::new("step.unloaded").with("models", named).with("freed", freed),
        None => Sentence::new("step.unloaded_unseen").with("models", named),
    }
}

/// How much was read, and what of it is broken.
fn read(outcome: &Outcome) -> Sentence {
    let Outcome::ModelsRead(read) = outcome else { return Sentence::new("step.verify_models") };
    let bytes = Value::Bytes(read.bytes);
    if read.corrupt.is_empty() {
        return Sentence::new("step.models_intact").with("count", read.models).with("bytes", bytes);
    }
    let pairs = read.corrupt.iter().map(|(model, blob)| format!("{model} ({blob})"));
    Sentence::new("step.models_corrupt").with("models", pairs.collect::<Vec<_>>().join(", "))
}

fn installed(model: &str, outcome: &Outcome) -> Sentence {
    let Outcome::Installed(found) = outcome else {
        return Sentence::new("step.find_model").with("model", model);
    };
    let key = if found.is_some() { "step.model_installed" } else { "step.model_not_installed" };
    Sentence::new(key).with("model", model)
}

/// What was removed, and every model that needs it.
fn removed(model: &str, outcome: &Outcome) -> Sentence {
    let Outcome::Removed { blobs, models } = outcome else {
        return Sentence::new("step.remove_broken").with("model", model);
    };
    if blobs.is_empty() {
        return Sentence::new("step.nothing_broken").with("model", model);
    }
    Sentence::new("step.blobs_removed")
        .with("blobs", blobs.join(", "))
        .with("models", models.join(", "))
}
