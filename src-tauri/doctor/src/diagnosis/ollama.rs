//! Why Ollama does not answer, or does not work though it answers (FACTS A, F).

use super::evidence::{
    answers_despite, is_hung, is_refused, listener, relative, reply, server_ended, sign,
};
use super::{Case, Finding, Rule, identity, nothing, shared};
use crate::cause::{CauseId, Confidence};
use crate::insight::Insight;
use crate::observation::{
    DeepOutcome, Listener, OllamaSeen, ProcessSeen, Reply, StoreSeen, Supervisor, Surroundings,
};
use crate::sentence::{Sentence, Value};
use crate::target::{Care, Launch};
use crate::verdict::{self, Verdict};

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

/// It answers, and something of it does not work.
pub(super) const ANSWERS: &[Rule] = &[
    Rule {
        id: CauseId::OllamaOtherUser,
        sure: Confidence::Certain,
        when: other_user,
        against: has_loaded,
    },
    Rule {
        id: CauseId::OllamaOtherStore,
        sure: Confidence::Likely,
        when: other_store,
        against: has_loaded,
    },
    Rule {
        id: CauseId::OllamaRivalSupervisors,
        sure: Confidence::Likely,
        when: rivals,
        against: nothing,
    },
    Rule {
        id: CauseId::OllamaLeftBehind,
        sure: Confidence::Likely,
        when: left_behind,
        against: nothing,
    },
    Rule {
        id: CauseId::OllamaUnloadStuck,
        sure: Confidence::Likely,
        when: unload_stuck,
        against: nothing,
    },
    Rule {
        id: CauseId::OllamaModelCorrupt,
        sure: Confidence::Certain,
        when: model_corrupt,
        against: nothing,
    },
    Rule {
        id: CauseId::OllamaModelMissing,
        sure: Confidence::Certain,
        when: model_missing,
        against: is_listed,
    },
    Rule {
        id: CauseId::OllamaOverloaded,
        sure: Confidence::Likely,
        when: endless,
        against: nothing,
    },
    Rule { id: CauseId::OllamaLeak, sure: Confidence::Likely, when: leak, against: nothing },
    Rule {
        id: CauseId::OllamaMetalSessionLost,
        sure: Confidence::Likely,
        when: signs_session_lost,
        against: session_answers,
    },
    Rule {
        id: CauseId::OllamaMetalOom,
        sure: Confidence::Likely,
        when: signs_metal_oom,
        against: oom_answers,
    },
    Rule {
        id: CauseId::OllamaMetalContention,
        sure: Confidence::Likely,
        when: signs_contention,
        against: shared::alone,
    },
    Rule {
        id: CauseId::OllamaMetalContention,
        sure: Confidence::Possible,
        when: shared::slowed,
        against: nothing,
    },
    Rule {
        id: CauseId::OllamaVersionRegression,
        sure: Confidence::Possible,
        when: regression,
        against: nothing,
    },
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
    case.patient.facts.ollama.as_ref()
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
    refused(case).then(|| Finding::of(vec![Sentence::new("evidence.no_listener")]))
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

fn other_user(case: &Case<'_>) -> Option<Finding> {
    let store = insight(case).store.as_ref().filter(|store| store.manifests > 0)?;
    let (process, sure) = match &seen(case)?.listener {
        Listener::Process(process) => (process, Confidence::Certain),
        // The system does not show who listens, and one server of another user runs.
        Listener::Hidden => (the_other_server(case, store.owner_uid)?, Confidence::Likely),
        Listener::Nobody | Listener::NotAsked => return None,
    };
    let uid = process.uid.filter(|uid| *uid != store.owner_uid)?;
    let user = process.user.clone().unwrap_or_else(|| uid.to_string());
    case.patient.facts.models.is_empty().then(|| {
        let lines = [listener(process), on_disk(store)].into_iter().chain(elsewhere(store));
        Finding::of(lines.collect())
            .with("user", user)
            .with("command", end_command(case, process))
            .only(sure)
    })
}

/// The user's own server, started with another models directory, which is empty (FACTS A.7).
fn other_store(case: &Case<'_>) -> Option<Finding> {
    let store = insight(case).store.as_ref().filter(|store| store.manifests > 0)?;
    let places = store.elsewhere.as_ref()?;
    let Listener::Process(process) = &seen(case)?.listener else { return None };
    let is_own = process.uid == Some(store.owner_uid);
    (is_own && case.patient.facts.models.is_empty()).then(|| {
        let lines = [listener(process), on_disk(store)].into_iter().chain(elsewhere(store));
        Finding::of(lines.collect())
            .with("served", places.served.as_str())
            .with("own", places.own.as_str())
    })
}

fn on_disk(store: &StoreSeen) -> Sentence {
    Sentence::new("evidence.manifests").with("count", store.manifests)
}

fn elsewhere(store: &StoreSeen) -> Option<Sentence> {
    let places = store.elsewhere.as_ref()?;
    let line = Sentence::new("evidence.models_elsewhere");
    Some(line.with("served", places.served.as_str()).with("own", places.own.as_str()))
}

/// The only process named like the server that another user runs.
fn the_other_server<'a>(case: &Case<'a>, own: u32) -> Option<&'a ProcessSeen> {
    let is_one = |process: &&ProcessSeen| {
        process.uid.is_some_and(|uid| uid != own) && identity::is_named(process, "ollama")
    };
    let mut found = around(case)?.relatives.iter().filter(is_one);
    let one = found.next()?;
    found.next().is_none().then_some(one)
}

/// What a person types to end another user's server for good (FACTS A.8).
fn end_command(case: &Case<'_>, process: &ProcessSeen) -> String {
    let supervisor = around(case).and_then(|around| around.supervisor.as_ref());
    let brew = |name: &String| name.starts_with("homebrew.mxcl.ollama") && name.ends_with("(root)");
    match supervisor {
        Some(Supervisor::Unit { name, of_user: false }) => {
            format!("sudo systemctl disable --now {name}")
        }
        Some(_) | None if insight(case).supervisors.iter().any(brew) => {
            "sudo brew services stop ollama".into()
        }
        Some(_) | None => format!("sudo kill {}", process.id.pid),
    }
}

fn has_loaded(case: &Case<'_>) -> Option<Sentence> {
    let model = case.patient.facts.loaded.first()?;
    Some(Sentence::new("evidence.loaded").with("model", model.seen.name.as_str()))
}

/// A server that was killed leaves its runners to process 1 (ollama#5642): no restart ends them.
fn left_behind(case: &Case<'_>) -> Option<Finding> {
    let runner = insight(case).orphan(case.now.awake, case.policy, true)?;
    let line = Sentence::new("evidence.left_behind")
        .with("pid", runner.process.pid)
        .with("bytes", Value::Bytes(runner.footprint_bytes));
    Some(Finding::of(vec![line]).with("pid", runner.process.pid))
}

/// The list of loaded models does not come, or a runner has outlived its model (FACTS 0, 7).
fn unload_stuck(case: &Case<'_>) -> Option<Finding> {
    let insight = insight(case);
    if let Some(runner) = insight.orphan(case.now.awake, case.policy, false) {
        let line = Sentence::new("evidence.orphan")
            .with("pid", runner.process.pid)
            .with("bytes", Value::Bytes(runner.footprint_bytes));
        return Some(Finding::of(vec![line]));
    }
    (insight.ps_fails >= case.policy.ps_fails)
        .then(|| Finding::of(vec![Sentence::new("evidence.ps_silent")]))
}

fn model_corrupt(case: &Case<'_>) -> Option<Finding> {
    let corrupt = &insight(case).store.as_ref()?.corrupt;
    let (first, _) = corrupt.first()?;
    let lines = corrupt.iter().map(|(model, blob)| {
        Sentence::new("evidence.corrupt").with("model", model.as_str()).with("blob", blob.as_str())
    });
    Some(Finding::of(lines.collect()).with("model", first.as_str()))
}

fn model_missing(case: &Case<'_>) -> Option<Finding> {
    let missing = &insight(case).store.as_ref()?.missing;
    let first = missing.first()?;
    let line = Sentence::new("evidence.missing").with("models", missing.join(", "));
    Some(Finding::of(vec![line]).with("model", first.as_str()))
}

/// Missing on disk, and yet it is in the server's list.
fn is_listed(case: &Case<'_>) -> Option<Sentence> {
    let missing = insight(case).store.as_ref()?.missing.first()?;
    let listed = case.patient.facts.models.iter().any(|model| model.name == *missing);
    listed.then(|| Sentence::new("evidence.listed").with("model", missing.as_str()))
}

fn endless(case: &Case<'_>) -> Option<Finding> {
    let silent = insight(case).is_endless(case.policy)?;
    Some(Finding::of(vec![Sentence::new("evidence.endless").with("silent", silent)]))
}

fn leak(case: &Case<'_>) -> Option<Finding> {
    let (insight, now) = (insight(case), case.now.awake);
    let bytes = Value::Bytes(insight.activity?.footprint_bytes);
    if insight.leaks(now, case.policy) {
        return Some(Finding::of(vec![Sentence::new("evidence.leak").with("bytes", bytes)]));
    }
    let percent = insight.activity?.server_percent;
    insight
        .is_hot(now, case.policy)
        .then(|| Finding::of(vec![Sentence::new("evidence.hot").with("percent", percent)]))
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

fn regression(case: &Case<'_>) -> Option<Finding> {
    let version = seen(case)?.product_version.clone().unwrap_or_default();
    Some(sign(case, CauseId::OllamaVersionRegression)?.with("version", version))
}

fn around<'a>(case: &Case<'a>) -> Option<&'a Surroundings> {
    case.patient.facts.surroundings.as_ref()
}
