//! Why Ollama does not answer (FACTS A, F); `answering` is for what answers.

mod answering;

use super::evidence::{
    answers_despite, is_hung, is_refused, listener, no_listener, relative, reply, server_ended,
    sign,
};
use super::{Case, Finding, Rule, identity, nothing, shared};
use crate::cause::{CauseId, Confidence};
use crate::insight::Insight;
use crate::observation::{DeepOutcome, Listener, OllamaSeen, Reply, Surroundings};
use crate::sentence::{Sentence, Value};
use crate::target::{Care, Launch};
use crate::verdict::{self, Verdict};

pub(super) use answering::ANSWERS;

/// It does not answer as it should.
pub(super) const FAILS: &[Rule] = &[
    Rule {
        id: CauseId::OllamaOverloaded,
        sure: Confidence::Likely,
        when: overloaded,
        against: idle,
    },
    Rule {
        id: CauseId::OllamaRivalSupervisors,
        sure: Confidence::Likely,
        when: rivals,
        against: nothing,
    },
    Rule {
        id: CauseId::OllamaPortTaken,
        sure: Confidence::Certain,
        when: port_taken,
        against: nothing,
    },
    Rule {
        id: CauseId::OllamaNotInstalled,
        sure: Confidence::Certain,
        when: not_installed,
        against: listens,
    },
    Rule {
        id: CauseId::OllamaOnlyMcp,
        sure: Confidence::Certain,
        when: only_mcp,
        against: listens,
    },
    Rule { id: CauseId::OllamaCrashed, sure: Confidence::Likely, when: crashed, against: listens },
    Rule {
        id: CauseId::OllamaNotRunning,
        sure: Confidence::Certain,
        when: not_running,
        against: listens,
    },
    Rule {
        id: CauseId::OllamaGpuMemoryLeaked,
        sure: Confidence::Likely,
        when: gpu_memory_leaked,
        against: nothing_loaded_is_new,
    },
    Rule {
        id: CauseId::OllamaMetalSessionLost,
        sure: Confidence::Likely,
        when: session_lost,
        against: session_answers,
    },
    Rule {
        id: CauseId::OllamaMetalOom,
        sure: Confidence::Likely,
        when: metal_oom,
        against: oom_answers,
    },
    Rule {
        id: CauseId::OllamaMetalContention,
        sure: Confidence::Likely,
        when: contention,
        against: shared::alone,
    },
    Rule {
        id: CauseId::OllamaEmptyAnswers,
        sure: Confidence::Certain,
        when: empty_answers,
        against: nothing,
    },
    Rule {
        id: CauseId::OllamaAfterWake,
        sure: Confidence::Likely,
        when: after_wake,
        against: nothing,
    },
    Rule { id: CauseId::OllamaWedged, sure: Confidence::Likely, when: wedged, against: works },
];

/// What every conclusion about Ollama begins with.
pub(super) fn base(case: &Case<'_>) -> Vec<Sentence> {
    let Some(seen) = &case.patient.facts.ollama else { return Vec::new() };
    let owner = match &seen.listener {
        Listener::Process(process) => Some(listener(process)),
        Listener::Hidden => Some(Sentence::new("evidence.hidden_listener")),
        Listener::Nobody | Listener::NotAsked => None,
    };
    [reply(&seen.version)].into_iter().chain(owner).collect()
}

fn seen<'a>(case: &Case<'a>) -> Option<&'a OllamaSeen> {
    case.patient.facts.ollama.as_deref()
}

fn insight<'a>(case: &Case<'a>) -> &'a Insight {
    &case.patient.facts.insight
}

fn overloaded(case: &Case<'_>) -> Option<Finding> {
    (verdict::ollama(seen(case)?) == Verdict::Busy).then(|| Finding::of(Vec::new()))
}

/// A full queue and no work do not go together.
fn idle(case: &Case<'_>) -> Option<Sentence> {
    let idle = insight(case).is_idle(case.now.awake, case.policy);
    idle.then(|| Sentence::new("evidence.idle"))
}

/// Two would start it, and it has been started anew by others lately: they fight (fault 15).
fn rivals(case: &Case<'_>) -> Option<Finding> {
    let names = &insight(case).supervisors;
    let by_others = case.patient.account.restarts.iter().filter(|one| !one.automatic).count();
    (names.len() >= 2 && by_others >= 2).then(|| {
        let names = names.join(", ");
        Finding::of(vec![Sentence::new("evidence.supervisors").with("names", names.as_str())])
            .with("names", names)
    })
}

fn port_taken(case: &Case<'_>) -> Option<Finding> {
    let seen = seen(case)?;
    match &seen.listener {
        Listener::Process(process) if !identity::is_own_server(case.patient, process) => Some(
            Finding::of(Vec::new())
                .with("program", process.id.program())
                .with("pid", process.id.pid),
        ),
        Listener::Hidden if verdict::ollama(seen) == Verdict::WrongOwner => {
            Some(Finding::of(Vec::new()).only(Confidence::Possible))
        }
        Listener::Process(_) | Listener::Hidden | Listener::Nobody | Listener::NotAsked => None,
    }
}

/// Nothing installed is a certain cause only where it is we who would choose.
fn not_installed(case: &Case<'_>) -> Option<Finding> {
    let Care::Ollama { launch: Launch::Auto, .. } = &case.patient.spec.care else { return None };
    let installed = &around(case)?.installed;
    let missing =
        installed.binary.is_none() && installed.app.is_none() && installed.brew_service.is_none();
    (missing && refused(case)).then(|| Finding::of(Vec::new()))
}

fn only_mcp(case: &Case<'_>) -> Option<Finding> {
    let mcp = around(case)?.relatives.iter().find(|one| identity::is_named(one, "ollama-mcp"));
    let mcp = mcp.filter(|_| refused(case))?;
    Some(Finding::of(vec![Sentence::new("evidence.no_listener"), relative(mcp)]))
}

fn crashed(case: &Case<'_>) -> Option<Finding> {
    let told = || server_ended(case).or_else(|| sign(case, CauseId::OllamaCrashed));
    refused(case).then(told).flatten()
}

fn not_running(case: &Case<'_>) -> Option<Finding> {
    refused(case).then(|| Finding::of(no_listener(case)))
}

fn refused(case: &Case<'_>) -> bool {
    seen(case).is_some_and(|seen| is_refused(&seen.version.reply))
}

/// The port refused, and yet one of Ollama's own listens on it: it came back in between.
fn listens(case: &Case<'_>) -> Option<Sentence> {
    let listening = matches!(seen(case)?.listener, Listener::Process(_));
    listening.then(|| Sentence::new("evidence.listens_again"))
}

/// Out of GPU memory again right after restarts: it was leaked by the kernel, and only a reboot
/// gives it back (FACTS A.10).
fn gpu_memory_leaked(case: &Case<'_>) -> Option<Finding> {
    let again = case.patient.account.attempts >= 2;
    again.then(|| sign(case, CauseId::OllamaMetalOom)).flatten()
}

/// A model that was loaded a moment ago explains it as well.
fn nothing_loaded_is_new(case: &Case<'_>) -> Option<Sentence> {
    let (model, bytes) = case.around.grown.as_ref()?;
    Some(
        Sentence::new("evidence.grown")
            .with("model", model.as_str())
            .with("bytes", Value::Bytes(*bytes)),
    )
}

fn session_lost(case: &Case<'_>) -> Option<Finding> {
    ails(case).then(|| signs_session_lost(case)).flatten()
}

fn metal_oom(case: &Case<'_>) -> Option<Finding> {
    ails(case).then(|| signs_metal_oom(case)).flatten()
}

fn contention(case: &Case<'_>) -> Option<Finding> {
    ails(case).then(|| signs_contention(case)).flatten()
}

/// It takes connections and does not answer, or answers and generates nothing.
fn ails(case: &Case<'_>) -> bool {
    hung(case) || insight(case).deep_failed() || fails_with_status(case)
}

fn hung(case: &Case<'_>) -> bool {
    seen(case).is_some_and(|seen| is_hung(&seen.version.reply))
}

fn fails_with_status(case: &Case<'_>) -> bool {
    matches!(
        seen(case).map(|seen| &seen.version.reply),
        Some(Reply::Status { code: 500..=599, .. })
    )
}

fn empty_answers(case: &Case<'_>) -> Option<Finding> {
    let insight = insight(case);
    let deep = insight.deep.as_ref().filter(|_| insight.deep_failed())?;
    (deep.outcome == DeepOutcome::Empty).then(|| {
        Finding::of(vec![Sentence::new("evidence.deep_empty").with("model", deep.model.as_str())])
    })
}

fn after_wake(case: &Case<'_>) -> Option<Finding> {
    let woke = case.around.woke?;
    if !hung(case) && !insight(case).deep_failed() && !fails_with_status(case) {
        return None;
    }
    let finding = Finding::of(vec![Sentence::new("evidence.woke").with("ago", woke)]);
    Some(finding.only(sure(case)))
}

/// It hangs at the surface, or has nothing to do and gives no token (R5).
fn wedged(case: &Case<'_>) -> Option<Finding> {
    let insight = insight(case);
    if hung(case) {
        return Some(Finding::of(Vec::new()).only(sure(case)));
    }
    let deep = insight.deep.as_ref().filter(|_| insight.deep_failed())?;
    let key = match deep.outcome {
        DeepOutcome::NoFirstByte => "evidence.deep_silent",
        DeepOutcome::Failed { .. } => "evidence.deep_failed",
        DeepOutcome::Empty | DeepOutcome::Answered | DeepOutcome::Busy => return None,
    };
    let line = Sentence::new(key)
        .with("model", deep.model.as_str())
        .with("took", Value::Millis(deep.took_ms));
    Some(Finding::of(vec![line]).only(sure(case)))
}

/// Who works may let a question for one token wait.
fn works(case: &Case<'_>) -> Option<Sentence> {
    let waits = !hung(case) && insight(case).is_working();
    waits.then(|| Sentence::new("evidence.works"))
}

/// A process that is not seen may be anybody's: nothing disruptive follows from it (R62).
fn sure(case: &Case<'_>) -> Confidence {
    match seen(case).map(|seen| &seen.listener) {
        Some(Listener::Process(_)) => Confidence::Likely,
        Some(Listener::NotAsked) if insight(case).deep_failed() => Confidence::Likely,
        Some(Listener::Nobody | Listener::Hidden | Listener::NotAsked) | None => {
            Confidence::Possible
        }
    }
}

fn session_answers(case: &Case<'_>) -> Option<Sentence> {
    answers_despite(case, CauseId::OllamaMetalSessionLost)
}

fn oom_answers(case: &Case<'_>) -> Option<Sentence> {
    answers_despite(case, CauseId::OllamaMetalOom)
}

fn signs_session_lost(case: &Case<'_>) -> Option<Finding> {
    let found = sign(case, CauseId::OllamaMetalSessionLost)?;
    // Many shaders compiled at once give the same line for a while (FACTS A.11).
    Some(found.and(shared::other_load(case)))
}

fn signs_metal_oom(case: &Case<'_>) -> Option<Finding> {
    Some(sign(case, CauseId::OllamaMetalOom)?.and(shared::of_oom(case)))
}

fn signs_contention(case: &Case<'_>) -> Option<Finding> {
    let found = sign(case, CauseId::OllamaMetalContention)?;
    Some(found.and(shared::other_load(case)).and(shared::settings(case)))
}

fn around<'a>(case: &Case<'a>) -> Option<&'a Surroundings> {
    case.patient.facts.surroundings.as_ref()
}
