//! Why an MLX server does not answer, or does not work though it answers (FACTS B).

use super::evidence::{
    answers_despite, is_hung, is_refused, listener, no_listener, reply, server_ended, sign,
};
use super::{Case, Finding, Rule, identity, nothing, shared};
use crate::cause::{CauseId, Confidence};
use crate::observation::{DeepOutcome, Listener, MlxSeen, Reply};
use crate::sentence::{Sentence, Value};
use crate::target::Care;
use crate::verdict::{self, Verdict};

/// It does not answer as it should.
pub(super) const FAILS: &[Rule] = &[
    Rule {
        id: CauseId::MlxPortTaken,
        sure: Confidence::Certain,
        when: port_taken,
        against: nothing,
    },
    Rule {
        id: CauseId::MlxWrongEndpoint,
        sure: Confidence::Certain,
        when: wrong_endpoint,
        against: nothing,
    },
    Rule {
        id: CauseId::MlxGenerationDead,
        sure: Confidence::Likely,
        when: generation_dead,
        against: deep_answers,
    },
    Rule { id: CauseId::MlxLoading, sure: Confidence::Likely, when: loading, against: nothing },
    Rule {
        id: CauseId::MlxMetalOom,
        sure: Confidence::Likely,
        when: metal_oom,
        against: oom_answers,
    },
    Rule { id: CauseId::MlxCrashed, sure: Confidence::Likely, when: crashed, against: listens },
    Rule {
        id: CauseId::MlxNotRunning,
        sure: Confidence::Certain,
        when: not_running,
        against: listens,
    },
    Rule { id: CauseId::HostWoke, sure: Confidence::Likely, when: woke, against: nothing },
    Rule { id: CauseId::MlxWedged, sure: Confidence::Likely, when: wedged, against: works },
];

/// It answers, and something of it does not work.
pub(super) const ANSWERS: &[Rule] = &[
    Rule {
        id: CauseId::MlxMetalOom,
        sure: Confidence::Likely,
        when: signs_metal_oom,
        against: oom_answers,
    },
    // R6: it may be honest work, so nothing disruptive follows from it.
    Rule { id: CauseId::MlxWedged, sure: Confidence::Possible, when: endless, against: nothing },
];

/// What every conclusion about an MLX server begins with.
pub(super) fn base(case: &Case<'_>) -> Vec<Sentence> {
    let Some(seen) = seen(case) else { return Vec::new() };
    let mut lines: Vec<Sentence> = seen.asked.iter().map(reply).collect();
    match &seen.listener {
        Listener::Process(process) => lines.insert(1.min(lines.len()), listener(process)),
        Listener::Hidden => lines.push(Sentence::new("evidence.hidden_listener")),
        Listener::Nobody | Listener::NotAsked => {}
    }
    lines
}

fn seen<'a>(case: &Case<'a>) -> Option<&'a MlxSeen> {
    case.patient.facts.mlx.as_deref()
}

fn first<'a>(case: &Case<'a>) -> Option<&'a Reply> {
    seen(case)?.asked.first().map(|answer| &answer.reply)
}

fn port_taken(case: &Case<'_>) -> Option<Finding> {
    let seen = seen(case)?;
    if verdict::mlx(seen) == Verdict::Misplaced {
        return None;
    }
    match &seen.listener {
        Listener::Process(process) if !identity::is_own_server(case.patient, process) => Some(
            Finding::of(Vec::new())
                .with("program", process.id.program())
                .with("pid", process.id.pid),
        ),
        Listener::Hidden if verdict::mlx(seen) == Verdict::WrongOwner => {
            Some(Finding::of(Vec::new()).only(Confidence::Possible))
        }
        Listener::Process(_) | Listener::Hidden | Listener::Nobody | Listener::NotAsked => None,
    }
}

/// Alive, at none of the known paths: by its own word, or because it is the configured program.
fn wrong_endpoint(case: &Case<'_>) -> Option<Finding> {
    let seen = seen(case)?;
    match (verdict::mlx(seen), &seen.listener) {
        (Verdict::Misplaced, _) => Some(Finding::of(Vec::new())),
        (Verdict::WrongOwner, Listener::Process(_)) => {
            Some(Finding::of(Vec::new()).only(Confidence::Likely))
        }
        _ => None,
    }
}

/// `/health` says 503 when the generation thread has died (FACTS B.1).
fn generation_dead(case: &Case<'_>) -> Option<Finding> {
    let dead = matches!(first(case), Some(Reply::Status { code: 503, .. }));
    dead.then(|| Finding::of(Vec::new()).only(sure(case)))
}

/// Answered since it fails: what was answered before says nothing of a thread that has died since.
fn deep_answers(case: &Case<'_>) -> Option<Sentence> {
    let insight = &case.patient.facts.insight;
    let deep = insight.deep.as_ref()?;
    let since = insight.deep_at >= case.patient.first_bad.map(|first| first.awake);
    (deep.outcome == DeepOutcome::Answered && since)
        .then(|| Sentence::new("evidence.deep_answers").with("model", deep.model.as_str()))
}

/// Its process lives and does not listen yet: a second copy beside it would be two models in memory.
fn loading(case: &Case<'_>) -> Option<Finding> {
    let relatives = &case.patient.facts.surroundings.as_ref()?.relatives;
    let unproven = case.patient.started.as_ref();
    let own = relatives
        .iter()
        .find(|one| identity::is_copy(case.patient, one) && unproven != Some(&one.id));
    let own = own.filter(|_| refused(case))?;
    let line = Sentence::new("evidence.alive").with("program", own.id.program());
    Some(Finding::of(vec![line.with("pid", own.id.pid)]))
}

fn oom_answers(case: &Case<'_>) -> Option<Sentence> {
    answers_despite(case, CauseId::MlxMetalOom)
}

fn metal_oom(case: &Case<'_>) -> Option<Finding> {
    let ails = refused(case) || hung(case) || deep_failed(case);
    ails.then(|| signs_metal_oom(case)).flatten()
}

fn crashed(case: &Case<'_>) -> Option<Finding> {
    let told = || server_ended(case).or_else(|| sign(case, CauseId::MlxCrashed));
    refused(case).then(told).flatten()
}

fn not_running(case: &Case<'_>) -> Option<Finding> {
    let Care::Mlx { launch } = &case.patient.spec.care else { return None };
    let no_lever = launch.is_none().then(|| Sentence::new("evidence.no_launch"));
    let lines = no_lever.into_iter().chain(no_listener(case));
    refused(case).then(|| Finding::of(lines.collect()))
}

fn refused(case: &Case<'_>) -> bool {
    first(case).is_some_and(is_refused)
}

fn listens(case: &Case<'_>) -> Option<Sentence> {
    let listening = matches!(seen(case)?.listener, Listener::Process(_));
    listening.then(|| Sentence::new("evidence.listens_again"))
}

fn hung(case: &Case<'_>) -> bool {
    first(case).is_some_and(is_hung)
}

fn deep_failed(case: &Case<'_>) -> bool {
    case.patient.facts.insight.deep_failed()
}

fn woke(case: &Case<'_>) -> Option<Finding> {
    let woke = case.around.woke?;
    (hung(case) || deep_failed(case)).then(|| {
        Finding::of(vec![Sentence::new("evidence.woke").with("ago", woke)]).only(sure(case))
    })
}

/// It hangs at the surface, or has nothing to do and gives no token (R5).
fn wedged(case: &Case<'_>) -> Option<Finding> {
    if hung(case) {
        return Some(Finding::of(Vec::new()).only(sure(case)));
    }
    let deep = case.patient.facts.insight.deep.as_ref().filter(|_| deep_failed(case))?;
    let key = match deep.outcome {
        DeepOutcome::NoFirstByte => "evidence.deep_silent",
        DeepOutcome::Failed { .. } => "evidence.deep_failed",
        DeepOutcome::Empty => "evidence.deep_empty",
        DeepOutcome::Answered | DeepOutcome::Busy => return None,
    };
    let line = Sentence::new(key)
        .with("model", deep.model.as_str())
        .with("took", Value::Millis(deep.took_ms));
    Some(Finding::of(vec![line]).only(sure(case)))
}

fn works(case: &Case<'_>) -> Option<Sentence> {
    let waits = !hung(case) && case.patient.facts.insight.is_working();
    waits.then(|| Sentence::new("evidence.works"))
}

/// A process that is not seen may be anybody's: nothing disruptive follows from it (R62).
fn sure(case: &Case<'_>) -> Confidence {
    match seen(case).map(|seen| &seen.listener) {
        Some(Listener::Process(_)) => Confidence::Likely,
        Some(Listener::NotAsked) if deep_failed(case) => Confidence::Likely,
        Some(Listener::Nobody | Listener::Hidden | Listener::NotAsked) | None => {
            Confidence::Possible
        }
    }
}

/// It works hard, and a request has had no byte for ten minutes.
fn endless(case: &Case<'_>) -> Option<Finding> {
    let silent = case.patient.facts.insight.is_endless(case.policy)?;
    Some(Finding::of(vec![Sentence::new("evidence.endless").with("silent", silent)]))
}

fn signs_metal_oom(case: &Case<'_>) -> Option<Finding> {
    Some(sign(case, CauseId::MlxMetalOom)?.and(shared::of_oom(case)))
}
