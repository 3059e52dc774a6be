//! Evidence about what two model servers share: the GPU and the memory (C5).

use super::{Case, Finding};
use crate::cause::Confidence;
use crate::sentence::{Sentence, Value};
use crate::sharing::{LongContext, OtherLoad};

/// More settings or models than this are no help to a reader.
const LINES: usize = 2;

/// What the other server did at the moment that the line was written, where that is known.
pub(super) fn other_load(case: &Case<'_>) -> Option<Sentence> {
    case.around.sharing.other_load.as_ref().filter(|load| contends(case, load)).map(load_line)
}

/// Contention needs two. What the other one did at that moment counts; where nobody read it, what
/// it does now.
pub(super) fn alone(case: &Case<'_>) -> Option<Sentence> {
    let alone = match &case.around.sharing.other_load {
        Some(load) => !contends(case, load),
        None => case.around.other_engine_works == Some(false),
    };
    alone.then(|| Sentence::new("evidence.alone"))
}

/// A measurement far below the usual, while the other one worked. It may have another reason.
pub(super) fn slowed(case: &Case<'_>) -> Option<Finding> {
    let slowed = case.patient.facts.insight.slowed(case.now.awake, case.policy)?;
    let line = Sentence::new("evidence.slowed")
        .with("model", slowed.model.as_str())
        .with("was", slowed.was)
        .with("is", slowed.is);
    let lines = [line, load_line(&slowed.load)].into_iter().chain(settings(case)).collect();
    Some(Finding::of(lines).only(Confidence::Possible))
}

/// The settings that would let less through at once, with their present values.
pub(super) fn settings(case: &Case<'_>) -> Vec<Sentence> {
    let settings = case.around.sharing.settings.iter().take(LINES);
    let lines = settings.map(|(owner, setting)| {
        Sentence::new("evidence.setting")
            .with("name", setting.name.as_str())
            .with("value", setting.value)
            .with("owner", owner.as_str())
    });
    lines.collect()
}

/// Models whose context takes the memory.
pub(super) fn contexts(case: &Case<'_>) -> Vec<Sentence> {
    let line = |one: &LongContext| {
        let key =
            if one.is_default() { "evidence.context_default" } else { "evidence.context_long" };
        Sentence::new(key)
            .with("model", one.model.as_str())
            .with("bytes", Value::Bytes(one.bytes))
            .with("file", Value::Bytes(one.file_bytes))
            .with("context", i64::try_from(one.context).unwrap_or(i64::MAX))
    };
    let lines = case.around.sharing.contexts.iter().take(LINES).map(line);
    let any = !case.around.sharing.contexts.is_empty();
    lines.chain(any.then(|| Sentence::new("evidence.context_setting"))).collect()
}

/// More is held for the GPU than it may hold.
pub(super) fn gpu_limit(case: &Case<'_>) -> Option<Sentence> {
    let sharing = &case.around.sharing;
    let limit = sharing.gpu.filter(|limit| sharing.gpu_bytes > limit.bytes)?;
    let key = if limit.is_set { "evidence.gpu_limit_set" } else { "evidence.gpu_limit_default" };
    Some(
        Sentence::new(key)
            .with("needs", Value::Bytes(sharing.gpu_bytes))
            .with("limit", Value::Bytes(limit.bytes)),
    )
}

/// What a Metal out-of-memory may come from.
pub(super) fn of_oom(case: &Case<'_>) -> Vec<Sentence> {
    gpu_limit(case).into_iter().chain(contexts(case)).chain(settings(case)).collect()
}

fn contends(case: &Case<'_>, load: &OtherLoad) -> bool {
    load.percent >= case.policy.contends_percent
}

fn load_line(load: &OtherLoad) -> Sentence {
    let key = if load.bytes.is_some() { "evidence.other_load_held" } else { "evidence.other_load" };
    let line = Sentence::new(key)
        .with("server", load.server.name())
        .with("at", load.at)
        .with("percent", load.percent);
    match load.bytes {
        Some(bytes) => line.with("bytes", Value::Bytes(bytes)),
        None => line,
    }
}
