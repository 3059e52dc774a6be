//! The one short line under a target's name.

use doctor::{Care, Patient, Phase, Reply, Sentence, Value};

use crate::words::Words;

/// The one short line under a name.
pub(super) fn line(patient: &Patient, says: Option<&Sentence>, words: &Words) -> String {
    let facts = &patient.facts;
    let say = |sentence: Sentence| words.sentence(&sentence);
    if !matches!(patient.phase, Phase::Healthy | Phase::Slow) || !patient.is_found() {
        let repairing = matches!(patient.phase, Phase::Recovering { .. });
        // Docker is here, and not for us: that is not "not found".
        let unusable = facts.docker.as_ref().and_then(|seen| match &seen.ping.reply {
            Reply::Unreachable { reason } => Some(reason.as_str()),
            Reply::Refused
            | Reply::ConnectTimeout
            | Reply::Silent
            | Reply::Stalled
            | Reply::Reset
            | Reply::Empty
            | Reply::Malformed { .. }
            | Reply::TooLarge
            | Reply::Status { .. } => None,
        });
        return match (patient.phase.cause().filter(|_| !repairing), unusable) {
            (Some(cause), _) => words.cause(cause).text,
            (None, Some(reason)) => {
                say(Sentence::new("line.docker_unusable").with("reason", reason))
            }
            (None, None) => words.sentence(says.unwrap_or(&patient.reason.says)),
        };
    }
    match &patient.spec.care {
        Care::Ollama { .. } => {
            let version = facts.ollama.as_ref().and_then(|seen| seen.product_version.clone());
            let models = if facts.loaded.is_empty() {
                words.say("line.no_models")
            } else {
                let count = i64::try_from(facts.loaded.len()).unwrap_or(0);
                say(Sentence::new("line.models").with("count", count))
            };
            let version =
                Sentence::new("line.version").with("version", version.unwrap_or_default());
            format!("{} · {models}", say(version))
        }
        Care::Mlx { .. } => facts
            .mlx
            .as_ref()
            .and_then(|seen| seen.models.as_ref()?.first().cloned())
            .unwrap_or_else(|| took(patient, words)),
        Care::Docker => match facts.docker.as_ref().and_then(|seen| seen.engine.as_ref()) {
            Some(engine) => say(Sentence::new("line.engine")
                .with("version", engine.version.as_str())
                .with("memory", Value::Bytes(engine.memory_bytes))),
            None => took(patient, words),
        },
        Care::Container { .. } => match patient.light() {
            Some(light) => say(Sentence::new("line.light").with("since", light.since)),
            None => facts.container.as_ref().map(|seen| seen.image.clone()).unwrap_or_default(),
        },
        Care::Service { .. } => took(patient, words),
        Care::Host => match &facts.host {
            Some(seen) => say(Sentence::new("line.memory")
                .with("used", Value::Bytes(seen.memory_bytes.saturating_sub(seen.available_bytes)))
                .with("total", Value::Bytes(seen.memory_bytes))),
            None => String::new(),
        },
    }
}

pub(super) fn answer(patient: &Patient) -> Option<&doctor::Answer> {
    let facts = &patient.facts;
    facts
        .ollama
        .as_ref()
        .map(|seen| &seen.version)
        .or_else(|| facts.mlx.as_ref().and_then(|seen| seen.asked.last()))
        .or_else(|| facts.docker.as_ref().map(|seen| &seen.ping))
        .or_else(|| facts.service.as_ref().map(|seen| &seen.answer))
}

fn took(patient: &Patient, words: &Words) -> String {
    answer(patient).map_or_else(String::new, |answer| words.duration(answer.took_ms))
}
