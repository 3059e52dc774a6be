//! `GET /metrics`, in Prometheus' text format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>; names by
//! <https://prometheus.io/docs/practices/naming/>). Read from memory: asking costs no look.

use std::fmt::Write as _;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use doctor::Restarted;

use super::{Shared, look};
use crate::handle::Restarts;
use crate::view::{Snapshot, State, Target, word};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Each target is some fifteen series; those beyond are counted and left out.
const TARGETS: usize = 500;
const STATES: [State; 8] = [
    State::Unknown,
    State::Starting,
    State::Healthy,
    State::Slow,
    State::Degraded,
    State::Down,
    State::Recovering,
    State::GivenUp,
];

/// Figures for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "read",
    responses((status = 200, description = "Prometheus' text format 0.0.4", body = String, content_type = "text/plain")))]
pub(super) async fn metrics(api: Shared) -> Response {
    let handle = &api.handle;
    let silent = handle.silent_for();
    let mut text = written(&handle.snapshot(), &handle.restarts());
    let mut page = Page(&mut text);
    page.family("homeostat_loop_silent_seconds", "gauge", "Since its loop last came round.");
    page.sample("homeostat_loop_silent_seconds", &[], silent.as_secs_f64());
    page.family("homeostat_loop_late", "gauge", "1 when that is longer than it may be.");
    page.sample("homeostat_loop_late", &[], flag(silent > look::LATE));
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn written(snapshot: &Snapshot, restarts: &Restarts) -> String {
    let mut text = String::new();
    let mut page = Page(&mut text);
    page.family("homeostat_build_info", "gauge", "Always 1; its version is the label.");
    page.sample("homeostat_build_info", &[("version", &snapshot.version)], 1.0);
    let found = snapshot.targets.iter().filter(|target| target.found);
    let shown: Vec<&Target> = found.clone().take(TARGETS).collect();
    page.family("homeostat_targets", "gauge", "What is watched.");
    page.sample("homeostat_targets", &[], number(found.count()));
    targets(&mut page, &shown);
    page.family("homeostat_target_restarts_total", "counter", "Restarts seen, by who made them.");
    for target in &shown {
        let Restarted { us, person, others } =
            restarts.get(&target.id).copied().unwrap_or_default();
        for (by, count) in [("homeostat", us), ("person", person), ("other", others)] {
            let labels = [("target", target.id.as_str()), ("by", by)];
            page.sample("homeostat_target_restarts_total", &labels, real(count));
        }
    }
    page.family("homeostat_incidents_open", "gauge", "Incidents that are not closed.");
    page.sample("homeostat_incidents_open", &[], number(snapshot.incidents.len()));
    models(&mut page, snapshot);
    memory(&mut page, snapshot);
    text
}

fn targets(page: &mut Page<'_>, shown: &[&Target]) {
    page.family("homeostat_target_up", "gauge", "1 when it answers; unknown ones are left out.");
    for target in shown {
        let up = match target.state {
            State::Healthy | State::Slow | State::Degraded => true,
            State::Down | State::Recovering | State::GivenUp => false,
            State::Unknown | State::Starting => continue,
        };
        let labels = [("target", target.id.as_str()), ("kind", &target.kind)];
        page.sample("homeostat_target_up", &labels, flag(up));
    }
    page.family("homeostat_target_state", "gauge", "1 for the state that it is in.");
    for target in shown {
        for state in STATES {
            let labels = [("target", target.id.as_str()), ("state", &word(&state))];
            page.sample("homeostat_target_state", &labels, flag(state == target.state));
        }
    }
    let help = "How long its last answer took.";
    page.family("homeostat_probe_duration_seconds", "gauge", help);
    for target in shown {
        let took = target.detail.get("latency_ms").and_then(serde_json::Value::as_f64);
        if let Some(took) = took {
            let labels = [("target", target.id.as_str())];
            page.sample("homeostat_probe_duration_seconds", &labels, took / 1000.0);
        }
    }
}

fn models(page: &mut Page<'_>, snapshot: &Snapshot) {
    page.family("homeostat_model_memory_bytes", "gauge", "What a loaded model takes.");
    for model in &snapshot.models {
        let labels = [("server", model.server.as_str()), ("model", &model.name)];
        page.sample("homeostat_model_memory_bytes", &labels, real(model.size_bytes));
    }
    let help = "How fast it wrote when it was last measured.";
    page.family("homeostat_model_tokens_per_second", "gauge", help);
    for timing in snapshot.timings.iter().take(TARGETS) {
        if let Some(speed) = timing.tokens_per_s {
            let labels = [("server", timing.server.as_str()), ("model", &timing.model)];
            page.sample("homeostat_model_tokens_per_second", &labels, speed);
        }
    }
}

fn memory(page: &mut Page<'_>, snapshot: &Snapshot) {
    let memory = &snapshot.memory;
    for (name, help, value) in [
        ("homeostat_host_memory_bytes", "Memory of this machine.", memory.total_bytes),
        ("homeostat_host_memory_available_bytes", "What is free of it.", memory.available_bytes),
        ("homeostat_host_swap_used_bytes", "What is swapped to disk.", memory.swap_used_bytes),
        (
            "homeostat_host_memory_pressure",
            "1 normal, 2 warning, 4 critical; 0 not known yet.",
            u64::from(memory.pressure),
        ),
    ] {
        page.family(name, "gauge", help);
        page.sample(name, &[], real(value));
    }
    page.family("homeostat_memory_bytes", "gauge", "Memory by owner.");
    for group in &memory.groups {
        page.sample("homeostat_memory_bytes", &[("owner", &group.name)], real(group.bytes));
    }
}

struct Page<'a>(&'a mut String);

impl Page<'_> {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"");
            for one in text.chars() {
                match one {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}

fn flag(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}

fn number(count: usize) -> f64 {
    real(count as u64)
}

#[allow(clippy::cast_precision_loss, reason = "the format has no other numbers")]
fn real(value: u64) -> f64 {
    value as f64
}
