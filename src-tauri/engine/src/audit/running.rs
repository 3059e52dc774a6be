//! Containers as they run: the same checks, and what only shows while running. A container is turned
//! into what its compose file would have to say for it.

use std::sync::Arc;

use doctor::{Compose, Value as Said};

use super::Host;
use super::checks::{self, LIGHT_START, is_victoria};
use super::finding::{Finding, Kind, Severity};
use super::fix::{add_variables, set_value, set_variable};
use super::project::{Project, Service, Source, environment};
use super::units::written_bytes;
use super::yaml::{Entry, Node, Place, Shape, Value};

/// Restarts by the engine from which on it is a loop; the first users saw 15.
const CRASH_LOOP: u32 = 3;

/// What the engine says of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspected {
    pub name: String,
    pub image: String,
    /// In Compose's words: `no`, `always`, `unless-stopped`, `on-failure`.
    pub restart: String,
    /// 0: none.
    pub memory_limit: u64,
    /// What it used at most, where that was seen.
    pub peak_bytes: Option<u64>,
    /// A process of it was ended for memory since its last start.
    pub oom_killed: bool,
    /// By the engine, since it was made.
    pub restart_count: u32,
    /// `NAME=value`.
    pub environment: Vec<String>,
    /// `name:address`.
    pub extra_hosts: Vec<String>,
    pub network_mode: String,
    pub command: Vec<String>,
    pub health: Option<InspectedHealth>,
    /// As a compose file would write them.
    pub ports: Vec<String>,
    /// Where it comes from, by its labels.
    pub compose: Option<Compose>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InspectedHealth {
    pub test: Vec<String>,
    pub start_period_ms: u64,
    /// 0: the engine's own.
    pub interval_ms: u64,
    pub retries: u64,
}

/// Findings about containers. `project` is read from the files that they name; what stands in it is told
/// there, with the line, and a container that only differs from its file is told once.
pub fn running(containers: &[&Inspected], project: &Project, host: &Host) -> Vec<Finding> {
    let made = Project {
        sources: vec![Source::default()],
        services: containers.iter().map(|container| service(container)).collect(),
        findings: Vec::new(),
    };
    let in_file = super::audit(project, host);
    let mut findings = Vec::new();
    for (container, made_of) in containers.iter().zip(&made.services) {
        let by_label = container.compose.as_ref().map(|compose| compose.service.as_str());
        let written = by_label.and_then(|name| project.service(name));
        let found = checks::of_service(&made, made_of, host);
        let Some(written) = written else {
            findings.extend(found);
            findings.extend(below_peak(container, &made, made_of));
            findings.extend(starts_heavy(container, &made, made_of));
            continue;
        };
        let known = |kind: Kind| {
            in_file.iter().any(|finding| {
                same(finding.kind, kind) && finding.service.as_deref() == Some(&written.name)
            })
        };
        // What an image brings is no fault of the file: only what speaks for a change since then.
        let names: Vec<String> = found
            .iter()
            .filter(|finding| finding.severity > Severity::Note && !known(finding.kind))
            .map(|finding| finding.kind.id())
            .collect();
        if !names.is_empty() {
            findings.push(
                project
                    .finding(Kind::ContainerDiffers, Severity::Warning, written, None)
                    .with("names", names.join(", ")),
            );
        }
        findings.extend(below_peak(container, project, written));
        findings.extend(starts_heavy(container, project, written));
    }
    findings
}

/// The engine does not tell a policy that was left out from one that says never.
fn same(one: Kind, other: Kind) -> bool {
    let restart = |kind| matches!(kind, Kind::RestartMissing | Kind::RestartNo);
    one == other || restart(one) && restart(other)
}

/// Restarted again and again, with what makes its start heavy still on.
fn starts_heavy(container: &Inspected, project: &Project, service: &Service) -> Option<Finding> {
    if container.restart_count < CRASH_LOOP || !is_victoria(service) {
        return None;
    }
    let value = |name: &str| service.variable(name).and_then(|variable| variable.value.as_deref());
    let on = |name: &&str| !value(name).is_some_and(|value| value.eq_ignore_ascii_case("false"));
    let on: Vec<&str> = LIGHT_START.into_iter().filter(on).collect();
    let absent: Vec<(&str, String)> = on
        .iter()
        .filter(|name| service.variable(name).is_none())
        .map(|name| (*name, "false".to_owned()))
        .collect();
    let written = on.iter().find_map(|name| service.variable(name));
    let fix = match written {
        Some(variable) => set_variable(project, variable, "false"),
        None => add_variables(project, service, &absent),
    };
    (!on.is_empty()).then(|| {
        project
            .finding(
                Kind::StartsHeavy,
                Severity::Warning,
                service,
                written.map(|variable| variable.at),
            )
            .with("count", container.restart_count)
            .with("names", on.join(", "))
            .fixed_by(fix)
    })
}

/// At an end for memory the limit was reached; it needs half as much again.
fn below_peak(container: &Inspected, project: &Project, service: &Service) -> Option<Finding> {
    let limit = container.memory_limit;
    let peak = container.peak_bytes.unwrap_or_default();
    if limit == 0 || !(container.oom_killed || peak >= limit / 20 * 19) {
        return None;
    }
    // Near its limit it may yet stay below it; what was ended there did not.
    let severity = if container.oom_killed { Severity::Error } else { Severity::Warning };
    let entry = service.memory_limit();
    let wanted = written_bytes((limit / 2 * 3).next_multiple_of(1 << 20));
    let fix = entry.and_then(|entry| set_value(project, entry, &wanted));
    let at = entry.map(|entry| entry.at);
    Some(
        project
            .finding(Kind::MemoryLimitBelowPeak, severity, service, at)
            .with("limit", Said::Bytes(limit))
            .fixed_by(fix),
    )
}

fn service(container: &Inspected) -> Service {
    let list = |items: &[String]| {
        node(Value::List(items.iter().map(|item| text(item)).collect()), Shape::FlowList(nowhere()))
    };
    let mut entries = vec![
        entry("container_name", text(&container.name)),
        entry("image", text(&container.image)),
        entry("restart", text(&container.restart)),
        entry("network_mode", text(&container.network_mode)),
        entry("environment", list(&container.environment)),
        entry("extra_hosts", list(&container.extra_hosts)),
        entry("ports", list(&container.ports)),
        entry("command", list(&container.command)),
    ];
    // The engine knows no "not said": what Compose was not told reads as `no`.
    if container.restart == "no" {
        entries.retain(|entry| entry.key != "restart");
    }
    if container.memory_limit > 0 {
        entries.push(entry("mem_limit", text(&container.memory_limit.to_string())));
    }
    if let Some(health) = &container.health {
        let mut check = vec![
            entry("test", list(&health.test)),
            entry("start_period", text(&format!("{}ms", health.start_period_ms))),
        ];
        if health.start_period_ms == 0 {
            check.retain(|entry| entry.key != "start_period");
        }
        if health.interval_ms > 0 {
            check.push(entry("interval", text(&format!("{}ms", health.interval_ms))));
        }
        if health.retries > 0 {
            check.push(entry("retries", text(&health.retries.to_string())));
        }
        entries.push(entry("healthcheck", node(Value::Map(check), Shape::FlowMap(nowhere()))));
    }
    let node = node(Value::Map(entries), Shape::FlowMap(nowhere()));
    let variables = environment(&node);
    Service {
        name: container.name.clone(),
        entry: Entry {
            key: container.name.clone(),
            at: Place::default(),
            value: Arc::clone(&node),
        },
        node,
        variables,
        variables_unknown: false,
        dockerfile: None,
    }
}

fn entry(key: &str, value: Arc<Node>) -> Entry {
    Entry { key: key.to_owned(), at: Place::default(), value }
}

fn text(text: &str) -> Arc<Node> {
    node(Value::Text { text: text.to_owned(), unset: false, plain: false }, Shape::Text)
}

fn node(value: Value, shape: Shape) -> Arc<Node> {
    Arc::new(Node { value, at: Place::default(), shape, tag: None })
}

fn nowhere() -> super::yaml::Mark {
    super::yaml::Mark::default()
}
