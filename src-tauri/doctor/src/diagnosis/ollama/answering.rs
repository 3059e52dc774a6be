//! Ollama answers, and something of it does not work (FACTS A, F).

use super::super::evidence::{listener, sign};
use super::super::{Case, Finding, Rule, identity, nothing, shared};
use super::{
    around, insight, oom_answers, rivals, seen, session_answers, signs_contention, signs_metal_oom,
    signs_session_lost,
};
use crate::cause::{CauseId, Confidence};
use crate::observation::{Listener, ProcessSeen, StoreSeen, Supervisor};
use crate::sentence::{Sentence, Value};

/// It answers, and something of it does not work.
pub(in crate::diagnosis) const ANSWERS: &[Rule] = &[
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

fn regression(case: &Case<'_>) -> Option<Finding> {
    let version = seen(case)?.product_version.clone().unwrap_or_default();
    Some(sign(case, CauseId::OllamaVersionRegression)?.with("version", version))
}
