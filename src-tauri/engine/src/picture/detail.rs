//! The details of one target, by name.

use std::collections::BTreeMap;

use doctor::{Care, Doctor, Listener, Patient, Sentence, Supervisor};
use serde_json::json;

use super::Frame;
use super::line::answer;
use crate::words::rfc3339;

pub(super) fn detail(
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
