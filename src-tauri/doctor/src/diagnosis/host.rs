//! What the host lacks.

use super::{Case, Finding, Rule, evidence, nothing, shared};
use crate::cause::{Cause, CauseId, Confidence};
use crate::host::Strain;
use crate::observation::{EndedSeen, HostSeen};
use crate::sentence::{Sentence, Value};

pub(super) const FAILS: &[Rule] = &[
    Rule {
        id: CauseId::HostDiskFull,
        sure: Confidence::Certain,
        when: disk_critical,
        against: nothing,
    },
    Rule {
        id: CauseId::HostSwapExhausted,
        sure: Confidence::Certain,
        when: swap,
        against: nothing,
    },
    Rule {
        id: CauseId::HostMemoryPressure,
        sure: Confidence::Certain,
        when: pressure,
        against: nothing,
    },
    Rule {
        id: CauseId::HostDiskFull,
        sure: Confidence::Certain,
        when: disk_short,
        against: nothing,
    },
];

pub(super) fn base(_: &Case<'_>) -> Vec<Sentence> {
    Vec::new()
}

fn seen<'a>(case: &Case<'a>) -> Option<&'a HostSeen> {
    case.patient.facts.host.as_ref()
}

/// The system ended a process, or it crashed (A13).
pub(crate) fn process_killed(ended: &EndedSeen) -> Cause {
    let mut cause =
        super::cause(CauseId::HostProcessKilled, Confidence::Certain, evidence::ended(ended));
    cause.says = cause.says.with("program", ended.victim.as_str()).with("pid", ended.pid);
    cause
}

fn disk_critical(case: &Case<'_>) -> Option<Finding> {
    disk(case, case.patient.facts.disk.verdict == Strain::Critical)
}

fn disk_short(case: &Case<'_>) -> Option<Finding> {
    disk(case, case.patient.facts.disk.verdict > Strain::None)
}

fn disk(case: &Case<'_>, holds: bool) -> Option<Finding> {
    let volume = case.patient.facts.disk.worst.as_ref().filter(|_| holds)?;
    let line = Sentence::new("evidence.volume")
        .with("path", volume.path.as_str())
        .with("free", Value::Bytes(volume.free_bytes))
        .with("total", Value::Bytes(volume.total_bytes));
    let finding = Finding::of(vec![line]).with("path", volume.path.as_str());
    Some(finding.with("free", Value::Bytes(volume.free_bytes)))
}

fn swap(case: &Case<'_>) -> Option<Finding> {
    case.patient.facts.pressure.by_swap.then(|| memory(case)).flatten()
}

fn pressure(case: &Case<'_>) -> Option<Finding> {
    memory(case)
}

/// The level, the swap, and who holds most.
fn memory(case: &Case<'_>) -> Option<Finding> {
    let seen = seen(case)?;
    if case.patient.facts.pressure.verdict == Strain::None {
        return None;
    }
    let mut lines = vec![
        Sentence::new("evidence.pressure")
            .with("level", u32::from(seen.pressure))
            .with("available", Value::Bytes(seen.available_bytes))
            .with("total", Value::Bytes(seen.memory_bytes)),
    ];
    if seen.swap_total_bytes > 0 {
        lines.push(
            Sentence::new("evidence.swap")
                .with("used", Value::Bytes(seen.swap_used_bytes))
                .with("total", Value::Bytes(seen.swap_total_bytes)),
        );
    }
    let mut groups = seen.ledger.clone().unwrap_or_default();
    groups.sort_by_key(|group| std::cmp::Reverse(group.bytes));
    lines.extend(groups.iter().take(3).map(|group| {
        let owner = group.name.as_str();
        let holds = |key: &str| {
            Sentence::new(key).with("owner", owner).with("bytes", Value::Bytes(group.bytes))
        };
        match case.around.growth.iter().find(|grown| grown.owner == group.name) {
            Some(grown) => holds("evidence.holds_grown")
                .with("grown", Value::Bytes(grown.bytes))
                .with("over", grown.over),
            None => holds("evidence.holds"),
        }
    }));
    // What a person can change goes before what was loaded last.
    lines.extend(shared::contexts(case));
    if let Some(bytes) = case.around.sharing.idle_mlx_bytes {
        lines.push(Sentence::new("evidence.mlx_idle").with("bytes", Value::Bytes(bytes)));
    }
    if let Some((model, bytes)) = &case.around.grown {
        lines.push(
            Sentence::new("evidence.grown")
                .with("model", model.as_str())
                .with("bytes", Value::Bytes(*bytes)),
        );
    }
    Some(Finding::of(lines))
}
