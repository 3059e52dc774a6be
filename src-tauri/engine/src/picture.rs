//! Draws the snapshot: what the doctor knows, as plain values with words.

mod memory;

use std::collections::BTreeMap;
use std::time::Duration;

use doctor::{
    Care, CauseId, Doctor, HeldBy, Listener, NextLook, Now, Operation, Patient, Phase,
    RemedyResult, Reply, Sentence, Supervisor, Timing, Value, Verb,
};
use serde_json::json;

use crate::view::{
    Look, Model, ModelTiming, OperationState, OperationStep, Snapshot, State, Summary, Target, Why,
};
use crate::words::{Words, rfc3339};
use crate::{config::Config, view};

/// What is looked at for the first time has its verdict within this, or waits for something else.
const FIRST_LOOKS: Duration = Duration::from_secs(30);

/// What is drawn beside the doctor's own knowledge.
pub struct Frame<'a> {
    pub words: &'a Words,
    pub config: &'a Config,
    pub timings: &'a [Timing],
    pub messages: Vec<String>,
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
    let (headline, subline) = headline(summary, &targets, &incidents, frame.words);
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
                HeldBy::Outside | HeldBy::Quit | HeldBy::Found | HeldBy::LedgerLost => false,
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
    let held = patient.account.intent == doctor::Intent::Held
        || doctor.held_with(&patient.spec.id).is_some();
    let known = doctor.why(&patient.spec.id);
    if patient.is_found() && !matches!(patient.spec.care, Care::Host) {
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

/// The one short line under a name.
fn line(patient: &Patient, says: Option<&Sentence>, words: &Words) -> String {
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

fn answer(patient: &Patient) -> Option<&doctor::Answer> {
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

fn detail(
    doctor: &Doctor,
    patient: &Patient,
    frame: &Frame<'_>,
) -> BTreeMap<String, serde_json::Value> {
    let mut detail = BTreeMap::new();
    let mut put = |name: &str, value: serde_json::Value| {
        detail.insert(name.to_owned(), value);
    };
    if let Some(answer) = answer(patient) {
        put("url", json!(answer.url));
        put("latency_ms", json!(answer.took_ms));
    }
    if let Some(deep) = patient.heard(doctor.now().awake, doctor.policy()) {
        put("token_ms", json!(deep.took_ms));
        put("token_model", json!(deep.model));
    }
    put("heal", json!(patient.spec.heal));
    let facts = &patient.facts;
    let listener = facts
        .ollama
        .as_ref()
        .map(|seen| &seen.listener)
        .or_else(|| facts.mlx.as_ref().map(|seen| &seen.listener));
    if let Some(Listener::Process(process)) = listener {
        put("pid", json!(process.id.pid));
        put("executable", json!(process.id.executable));
        put("user", json!(process.user));
        put("parent", json!(process.parent));
        put("started", json!(process.since.map(|since| rfc3339(doctor::Wall(since * 1000)))));
    }
    if let Some(by) = facts.surroundings.as_ref().and_then(|around| around.supervisor.as_ref()) {
        put("launch", json!(frame.words.sentence(&launched(by))));
    }
    if let Some(seen) = &facts.ollama {
        put("version", json!(seen.product_version));
        put("models", json!(facts.models));
        if let Some(reason) = patient.unreadable_store() {
            put("models_unreadable", json!(reason));
        }
        put("pinned", json!(frame.config.ollama.pinned));
    }
    if let Some(seen) = &facts.mlx {
        put("server", json!(seen.server));
        for setting in seen.settings.iter().flatten() {
            put(&setting.name, json!(setting.value));
        }
        put("models", json!(seen.models));
    }
    if let Some(seen) = &facts.container {
        put("id", json!(seen.id));
        put("image", json!(seen.image));
        put("status", json!(seen.status));
        put("exit_code", json!(seen.exit_code));
        put("memory_limit_bytes", json!(seen.memory_limit));
        if let Some(peak) = seen.peak_bytes {
            put("memory_peak_bytes", json!(peak));
        }
        if let Some(to) = doctor.proposed_limit(&patient.spec.id) {
            put("raise_to_bytes", json!(to));
        }
        put("restart_count", json!(seen.restart_count));
        put("started", json!(seen.started_ms.map(|at| rfc3339(doctor::Wall(at)))));
    }
    if let Some(engine) = facts.docker.as_ref().and_then(|seen| seen.engine.as_ref()) {
        put("version", json!(engine.version));
        put("memory_bytes", json!(engine.memory_bytes));
        let healers: Vec<_> = doctor
            .healers()
            .map(|seen| json!({ "name": seen.name, "image": seen.image, "healer": seen.healer }))
            .collect();
        if !healers.is_empty() {
            put("healers", json!(healers));
        }
    }
    if let Care::Container { critical, light, .. } = &patient.spec.care {
        put("critical", json!(critical));
        if let Some(runs) = patient.light() {
            let names: Vec<_> = light.keys().collect();
            put(
                "light",
                json!({ "since": rfc3339(runs.since), "with": names, "stage": runs.stage }),
            );
        }
    }
    detail
}

/// Who has started a server.
fn launched(by: &Supervisor) -> Sentence {
    let named = |key: &str, name: &str| Sentence::new(key).with("name", name);
    match by {
        Supervisor::App(app) => named("line.launch_app", app.rsplit('/').next().unwrap_or(app)),
        Supervisor::Launchd(label) if label.starts_with("homebrew.") => {
            named("line.launch_brew", label)
        }
        Supervisor::Launchd(label) => named("line.launch_launchd", label),
        Supervisor::Unit { name, of_user: true } => named("line.launch_user_unit", name),
        Supervisor::Unit { name, of_user: false } => named("line.launch_unit", name),
        Supervisor::Homeostat => Sentence::new("line.launch_homeostat"),
        Supervisor::Shell(name) => named("line.launch_shell", name),
        Supervisor::Program(name) => named("line.launch_program", name),
        Supervisor::OtherUser(name) => named("line.launch_other_user", name),
        Supervisor::Nobody => Sentence::new("line.launch_nobody"),
        Supervisor::NotVisible => Sentence::new("line.launch_not_visible"),
    }
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

/// `looks`: of something the first verdict is still to come.
fn summary(targets: &[Target], open: &[view::Incident], looks: bool) -> Summary {
    let found: Vec<&Target> = targets.iter().filter(|target| target.found).collect();
    let any = |states: &[State]| found.iter().any(|target| states.contains(&target.state));
    let with_cause =
        found.iter().any(|target| target.state == State::Degraded && target.cause.is_some());
    if any(&[State::GivenUp, State::Down]) || with_cause {
        Summary::Attention
    } else if found.iter().any(|target| is_being_healed(target, open)) {
        Summary::Healing
    } else if !looks && any(&[State::Healthy, State::Slow]) {
        Summary::Well
    } else {
        Summary::Unknown
    }
}

/// Being repaired, or in an incident that no verdict has ended yet. One that a person is stopping is
/// not.
fn is_being_healed(target: &Target, open: &[view::Incident]) -> bool {
    let in_incident = open.iter().any(|incident| incident.target == target.id);
    target.intent != view::Intent::Held
        && (target.state == State::Recovering || (target.state == State::Degraded && in_incident))
}

fn headline(
    summary: Summary,
    targets: &[Target],
    open: &[view::Incident],
    words: &Words,
) -> (String, String) {
    let found: Vec<&Target> = targets.iter().filter(|target| target.found).collect();
    let sick: Vec<&&Target> = found
        .iter()
        .filter(|target| {
            matches!(target.state, State::GivenUp | State::Down)
                || (target.state == State::Degraded && target.cause.is_some())
        })
        .collect();
    let named = |key: &str, target: &Target| {
        words.sentence(&Sentence::new(key).with("target", target.name.as_str()))
    };
    let headline = match summary {
        Summary::Well => words.say("headline.well"),
        Summary::Unknown => words.say("headline.unknown"),
        Summary::Healing => found
            .iter()
            .find(|target| is_being_healed(target, open))
            .map(|target| named("headline.healing", target))
            .unwrap_or_default(),
        Summary::Attention => match sick.as_slice() {
            [one] => named("headline.attention", one),
            many => {
                let count = i64::try_from(many.len()).unwrap_or(0);
                words.sentence(&Sentence::new("headline.attention_many").with("count", count))
            }
        },
    };
    let well = found.iter().filter(|target| matches!(target.state, State::Healthy | State::Slow));
    let count = |number: usize| i64::try_from(number).unwrap_or(0);
    let subline = match sick.as_slice() {
        [one] => one.cause.as_ref().map(|cause| cause.text.clone()).unwrap_or_default(),
        _ => words.sentence(
            &Sentence::new("subline.others")
                .with("well", count(well.count()))
                .with("all", count(found.len())),
        ),
    };
    (headline, subline)
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

/// Running ones and the last that ended.
pub fn operations(doctor: &Doctor, words: &Words) -> Vec<view::Operation> {
    doctor.operations().map(|one| operation(one, words)).collect()
}

fn operation(one: &Operation, words: &Words) -> view::Operation {
    let state = match one.result {
        None => OperationState::Running,
        Some(RemedyResult::Verified) => OperationState::Verified,
        Some(RemedyResult::Failed) => OperationState::Failed,
        Some(RemedyResult::Superseded) => OperationState::Superseded,
    };
    let steps: Vec<OperationStep> = one
        .log
        .iter()
        .map(|(at, says)| OperationStep { at: rfc3339(*at), text: words.sentence(says) })
        .collect();
    let last = steps.last().map(|step| step.text.clone());
    let word = format!("operation.{}", view::word(&state));
    view::Operation {
        id: one.id.clone(),
        target: one.target.to_string(),
        verb: view::word(&one.verb),
        state,
        text: match (&one.progress, one.verb) {
            (Some(progress), Verb::Measure | Verb::Unload) if !progress.about.is_empty() => {
                progress.about.clone()
            }
            (Some(progress), Verb::Ensure | Verb::Repair)
                if progress.of > 0 && one.is_running() =>
            {
                words.sentence(
                    &Sentence::new("step.pulling")
                        .with("model", progress.about.as_str())
                        .with("done", Value::Bytes(progress.done))
                        .with("of", Value::Bytes(progress.of)),
                )
            }
            (Some(progress), Verb::Verify) if progress.of > 0 && one.is_running() => words
                .sentence(
                    &Sentence::new("step.reading")
                        .with("done", Value::Bytes(progress.done))
                        .with("of", Value::Bytes(progress.of)),
                ),
            _ => last.unwrap_or_else(|| words.say(&word)),
        },
        steps,
        done: one.progress.as_ref().map(|progress| progress.done),
        of: one.progress.as_ref().map(|progress| progress.of).filter(|of| *of > 0),
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
