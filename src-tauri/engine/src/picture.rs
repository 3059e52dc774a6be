//! Draws the snapshot: what the doctor knows, as plain values with words.

mod detail;
mod headline;
mod line;
mod memory;
mod operations;

use std::time::Duration;

use doctor::{Care, CauseId, Doctor, HeldBy, NextLook, Now, Patient, Phase, Timing};

use crate::config::Config;
use crate::view::{self, Look, Model, ModelTiming, OperationState, Snapshot, State, Target, Why};
use crate::words::{Words, rfc3339};
use detail::detail;
use headline::{headline, summary, unread};
use line::line;

pub use operations::operations;

/// What is looked at for the first time has its verdict within this, or waits for something else.
const FIRST_LOOKS: Duration = Duration::from_secs(30);

/// What is drawn beside the doctor's own knowledge.
pub struct Frame<'a> {
    pub words: &'a Words,
    pub config: &'a Config,
    pub timings: &'a [Timing],
    pub messages: Vec<String>,
    /// What is wrong with a configuration of which nothing is in force.
    pub unread: Option<String>,
    pub takeover: Option<view::Takeover>,
}

pub fn snapshot(doctor: &Doctor, frame: &Frame<'_>) -> Snapshot {
    let now = doctor.now();
    let targets: Vec<Target> = doctor
        .patients()
        .filter(|patient| is_shown(patient))
        .map(|patient| target(doctor, patient, frame))
        .collect();
    let incidents = doctor.patients().filter_map(|patient| patient.incident.as_ref());
    let open = incidents.filter(|incident| incident.closed.is_none());
    let mut incidents: Vec<view::Incident> =
        open.map(|incident| frame.words.incident(incident)).collect();
    incidents.sort_by(|a, b| b.opened.cmp(&a.opened));
    let looks = doctor.patients().any(|patient| is_first_looked_at(patient, now));
    let summary = summary(&targets, &incidents, looks);
    let (summary, (headline, subline)) = match &frame.unread {
        Some(wrong) => (view::Summary::Attention, unread(wrong, frame.words)),
        None => (summary, headline(summary, &targets, &incidents, frame.words)),
    };
    Snapshot {
        version: env!("CARGO_PKG_VERSION").into(),
        at: rfc3339(now.wall),
        summary,
        headline,
        subline,
        targets,
        models: models(doctor, frame),
        memory: memory::memory(doctor),
        incidents,
        operations: operations(doctor, frame.words)
            .into_iter()
            .filter(|operation| operation.state == OperationState::Running)
            .collect(),
        fallback: doctor.fallback(),
        timings: frame.timings.iter().map(timing).collect(),
        messages: messages(doctor, frame),
        takeover: frame.takeover.clone(),
        language: frame.words.language().into(),
    }
}

/// That nothing is done unasked comes first: without it, all else reads as if it were being healed.
/// What `takeover` says already is not said again.
fn messages(doctor: &Doctor, frame: &Frame<'_>) -> Vec<String> {
    let observes = doctor.observes().map(|reason| frame.words.sentence(&reason.says));
    let said = |text: &String| frame.takeover.as_ref().is_some_and(|one| one.text == *text);
    let observes = observes.filter(|text| !said(text));
    observes.into_iter().chain(frame.messages.iter().cloned()).collect()
}

/// A stopped container that nobody cares about is not a line in anybody's menu.
fn is_shown(patient: &Patient) -> bool {
    match patient.spec.care {
        Care::Container { critical, .. } => {
            let idle = matches!(patient.phase, Phase::Unknown)
                && patient.account.intent != doctor::Intent::Wanted;
            // What a person asked of us is shown, or nobody could take it back.
            let asked = patient.account.hold.as_ref().is_some_and(|hold| match hold.by {
                HeldBy::Hold | HeldBy::Stop | HeldBy::Paused => true,
                HeldBy::Outside
                | HeldBy::Quit
                | HeldBy::Found
                | HeldBy::Created
                | HeldBy::LedgerLost => false,
            });
            let there = patient.facts.container.is_some();
            patient.spec.configured || (there && (critical || !idle || asked))
        }
        Care::Host
        | Care::Docker
        | Care::Ollama { .. }
        | Care::Mlx { .. }
        | Care::Service { .. } => true,
    }
}

fn target(doctor: &Doctor, patient: &Patient, frame: &Frame<'_>) -> Target {
    let words = frame.words;
    let now = doctor.now();
    let mut actions: Vec<String> =
        doctor.actions(&patient.spec.id).iter().map(view::word).collect();
    if doctor.may_pause(&patient.spec.id) {
        actions.push("pause".into());
    }
    let with = doctor.held_with(&patient.spec.id);
    let held = patient.account.intent == doctor::Intent::Held || with.is_some();
    let releases = doctor.may_release(with.unwrap_or(&patient.spec.id));
    let known = doctor.why(&patient.spec.id);
    if patient.is_found() && !matches!(patient.spec.care, Care::Host) && (releases || !held) {
        actions.push(if held { "release" } else { "hold" }.into());
    }
    Target {
        id: patient.spec.id.to_string(),
        kind: patient.spec.id.kind().into(),
        name: patient.spec.name.clone(),
        state: state(&patient.phase),
        since: rfc3339(patient.since.wall),
        intent: match patient.account.intent {
            doctor::Intent::Wanted => view::Intent::Wanted,
            doctor::Intent::Held => view::Intent::Held,
            doctor::Intent::Completed => view::Intent::Completed,
        },
        inhibited_by: patient.inhibited_by.as_ref().map(ToString::to_string),
        cause: cause(doctor, patient, words),
        restarts_last_hour: u32::try_from(patient.account.restarts.len()).unwrap_or(u32::MAX),
        actions,
        line: line(patient, known.as_ref().map(|one| &one.says), words),
        why: known.as_ref().map(|one| why(one, patient, now, words)).unwrap_or_default(),
        found: patient.is_found(),
        detail: detail(doctor, patient, frame),
    }
}

/// With advice that knows how the last attempt ended.
fn cause(doctor: &Doctor, patient: &Patient, words: &Words) -> Option<view::Cause> {
    let cause = patient.phase.cause().or(patient.note.as_ref())?;
    let mut shown = words.cause(cause);
    if let Some([failed, next]) = doctor.after_failure(&patient.spec.id) {
        shown.advice = format!("{}. {}", words.sentence(&failed), words.sentence(&next));
    }
    Some(shown)
}

fn why(one: &doctor::Why, patient: &Patient, now: Now, words: &Words) -> Why {
    let (look, next_look) = match &one.next_look {
        NextLook::Now => (Look::Now, None),
        NextLook::At(next) => (Look::At, Some(at(*next, now))),
        NextLook::Told(next) => (Look::Told, Some(at(*next, now))),
        NextLook::With(_) => (Look::Waits, None),
    };
    let nothing_done = one.nothing_done.as_ref();
    Why {
        rule: one.rule.into(),
        text: words.sentence(&one.says),
        next: one.next_attempt.or(patient.reason.next).map(|next| at(next, now)),
        since: rfc3339(one.since.wall),
        changes: one.changes.iter().map(|change| words.sentence(change)).collect(),
        look,
        next_look,
        next_attempt: one.next_attempt.map(|next| at(next, now)),
        nothing_done: nothing_done.map(|reason| words.sentence(&reason.says)),
        nothing_done_rule: nothing_done.map(|reason| reason.rule.into()),
    }
}

fn state(phase: &Phase) -> State {
    match phase {
        Phase::Unknown => State::Unknown,
        Phase::Starting { .. } => State::Starting,
        Phase::Healthy => State::Healthy,
        Phase::Slow => State::Slow,
        Phase::Degraded { .. } => State::Degraded,
        Phase::Down { .. } => State::Down,
        Phase::Recovering { .. } => State::Recovering,
        Phase::GivenUp { .. } => State::GivenUp,
    }
}

/// An instant of the awake clock as wall time, as far ahead as it is now.
fn at(instant: doctor::Awake, now: Now) -> String {
    let ahead = i64::try_from(instant.since(now.awake).as_millis()).unwrap_or(0);
    rfc3339(doctor::Wall(now.wall.0.saturating_add(ahead)))
}

/// Not yet judged since it is watched. What stays without a verdict for longer has another reason.
fn is_first_looked_at(patient: &Patient, now: Now) -> bool {
    let unjudged = match patient.phase {
        Phase::Unknown => patient.last_good.is_none_or(|good| good.awake >= patient.since.awake),
        Phase::Degraded { cause: None } => patient.last_good.is_none(),
        Phase::Starting { .. }
        | Phase::Healthy
        | Phase::Slow
        | Phase::Degraded { cause: Some(_) }
        | Phase::Down { .. }
        | Phase::Recovering { .. }
        | Phase::GivenUp { .. } => false,
    };
    unjudged
        && patient.is_found()
        && patient.account.intent == doctor::Intent::Wanted
        && patient.inhibited_by.is_none()
        && now.awake.since(patient.since.awake) <= FIRST_LOOKS
}

fn models(doctor: &Doctor, frame: &Frame<'_>) -> Vec<Model> {
    let of = |id: doctor::TargetId| {
        let facts = doctor.patient(&id).map(|patient| patient.facts.loaded.as_slice());
        let loaded = facts.unwrap_or_default().iter();
        loaded.map(move |fact| model(doctor, frame, &id, fact)).collect::<Vec<_>>()
    };
    [of(doctor::TargetId::Ollama), of(doctor::TargetId::Mlx)].concat()
}

fn model(
    doctor: &Doctor,
    frame: &Frame<'_>,
    server: &doctor::TargetId,
    fact: &doctor::LoadedFact,
) -> Model {
    let seen = &fact.seen;
    let measured = |timing: &&Timing| timing.server == *server && timing.model == seen.name;
    Model {
        server: server.to_string(),
        name: seen.name.clone(),
        size_bytes: seen.size_bytes,
        vram_bytes: seen.vram_bytes,
        context_length: seen.context_length,
        expires_in_s: seen.expires_in_s,
        pinned: doctor.keeps(server, fact),
        tokens_per_s: frame.timings.iter().find(measured).and_then(|timing| timing.tokens_per_s),
    }
}

pub fn timing(timing: &Timing) -> ModelTiming {
    ModelTiming {
        server: timing.server.to_string(),
        model: timing.model.clone(),
        at: rfc3339(timing.at),
        load_ms: timing.load_ms,
        first_token_ms: timing.first_token_ms,
        prompt_tokens_per_s: timing.prompt_tokens_per_s,
        tokens_per_s: timing.tokens_per_s,
        memory_bytes: timing.memory_bytes,
        error: timing.error.clone(),
    }
}

/// How long an answer of `GET /llm` holds: two intervals after the last good look, while it is
/// usable; a server that is being watched after its repair is usable.
pub fn usable_for(doctor: &Doctor, id: &doctor::TargetId) -> Option<Duration> {
    let patient = doctor.patient(id)?;
    let now = doctor.now();
    let soaking = match &patient.phase {
        Phase::Recovering { operation, .. } => {
            doctor.operations().any(|one| one.id == *operation && one.is_soaking())
        }
        Phase::Unknown
        | Phase::Starting { .. }
        | Phase::Healthy
        | Phase::Slow
        | Phase::Degraded { .. }
        | Phase::Down { .. }
        | Phase::GivenUp { .. } => false,
    };
    // A single failed look is no verdict yet: until the second the answer stands.
    let doubtful = matches!(patient.phase, Phase::Degraded { cause: None });
    // One model that is missing or broken closes no gate for the others.
    let one_model = patient.phase.cause().is_some_and(|cause| {
        matches!(cause.id, CauseId::OllamaModelMissing | CauseId::OllamaModelCorrupt)
    });
    let partly = matches!(patient.phase, Phase::Degraded { .. }) && one_model;
    if doctor.is_waking() || !(patient.phase.is_usable() || soaking || doubtful || partly) {
        return None;
    }
    let good = patient.last_good?;
    let left = (2 * patient.spec.interval).saturating_sub(now.awake.since(good.awake));
    (!left.is_zero()).then_some(left)
}
