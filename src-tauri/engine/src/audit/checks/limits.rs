//! Time limits: of a start, and of clients of slow models.

use super::role::{asks_models, is_victoria};
use crate::audit::Host;
use crate::audit::finding::{Finding, Kind, Severity};
use crate::audit::fix::{add_variables, set_variable};
use crate::audit::project::{Project, Service, Variable};

/// Seconds that a start may take per step (the first users, Victoria's restart 5).
const STARTUP: [(&str, u64); 3] = [
    ("VICTORIA_STARTUP_EXPERTS_TIMEOUT", 30),
    ("VICTORIA_STARTUP_REGISTRY_TIMEOUT", 20),
    ("VICTORIA_DB_POOL_COMMAND_TIMEOUT", 25),
];
/// Seconds before an agent's own monitor looks for the first time, from and to, and the usual.
const DELAY: &str = "SERVICE_MONITOR_INITIAL_DELAY";
const DELAY_FROM: u64 = 25;
const DELAY_TO: u64 = 120;
const DELAY_USUAL: u64 = 50;

/// What one agent waits for another, which asks a model: 90 s unless set, and one call of a small model
/// took 123 s (the first users, Victoria's restart 4.1, which names up to 300 s for heavy ones).
const DELEGATE: &str = "DELEGATE_VERONICA_TIMEOUT";
const DELEGATE_UNLESS_SET: u64 = 90;
const CALL_S: u64 = 123;
const CALL_GENEROUS_S: u64 = 300;
/// An embedding comes fast, once its model is loaded: 10 s were too short (the first users, 137).
const EMBEDDING_S: u64 = 30;

pub(super) fn limits(project: &Project, service: &Service, host: &Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    if is_victoria(service) {
        findings.extend(startup(project, service));
    }
    if let Some(variable) = service.variable(DELAY)
        && let Some(value) = variable.value.as_deref()
        && !seconds(value).is_some_and(|seconds| (DELAY_FROM..=DELAY_TO).contains(&seconds))
    {
        let fix = set_variable(project, variable, &DELAY_USUAL.to_string());
        let finding =
            project.finding(Kind::MonitorDelay, Severity::Warning, service, Some(variable.at));
        findings.push(finding.fixed_by(fix));
    }
    if asks_models(service) {
        findings.extend(clients(project, service, host));
    }
    findings
}

fn startup(project: &Project, service: &Service) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut absent: Vec<(&str, String)> = Vec::new();
    for (name, least) in STARTUP {
        match service.variable(name).map(|variable| (variable, variable.value.as_deref())) {
            None => absent.push((name, least.to_string())),
            Some((variable, Some(value)))
                if seconds(value).is_none_or(|seconds| seconds < least) =>
            {
                let finding = project.finding(
                    Kind::StartupLimitShort,
                    Severity::Warning,
                    service,
                    Some(variable.at),
                );
                let finding = finding.with("name", name).with("least", period(least));
                findings.push(finding.fixed_by(set_variable(
                    project,
                    variable,
                    &least.to_string(),
                )));
            }
            Some(_) => {}
        }
    }
    if service.variable(DELAY).is_none() {
        absent.push((DELAY, DELAY_USUAL.to_string()));
    }
    if !absent.is_empty() && !service.variables_unknown {
        let names: Vec<&str> = absent.iter().map(|(name, _)| *name).collect();
        findings.push(
            project
                .finding(Kind::StartupLimitsMissing, Severity::Note, service, None)
                .with("names", names.join(", "))
                .fixed_by(add_variables(project, service, &absent)),
        );
    }
    findings
}

/// Variables of the kind `…_TIMEOUT` that name a model server, an embedding or another agent.
fn clients(project: &Project, service: &Service, host: &Host) -> Vec<Finding> {
    let call = host.slowest_call_s.unwrap_or(CALL_S);
    let generous = host.slowest_call_s.unwrap_or(CALL_GENEROUS_S).max(call);
    let mut findings = Vec::new();
    for variable in service.effective() {
        let Some((least, better)) = needed(variable, call, generous) else { continue };
        let Some(limit) = variable.value.as_deref().and_then(seconds) else { continue };
        // Zero is no limit.
        if limit == 0 || limit >= least {
            continue;
        }
        let finding =
            project.finding(Kind::ClientLimitShort, Severity::Warning, service, Some(variable.at));
        findings.push(
            finding
                .with("name", variable.name.as_str())
                .with("limit", period(limit))
                .with("least", period(least))
                .fixed_by(set_variable(project, variable, &better.to_string())),
        );
    }
    let delegates = is_victoria(service)
        && project.services.iter().any(|other| other.called().contains("veronica"));
    if delegates && !service.variables_unknown && service.variable(DELEGATE).is_none() {
        let fix = add_variables(project, service, &[(DELEGATE, generous.to_string())]);
        let finding = project.finding(Kind::ClientLimitShort, Severity::Warning, service, None);
        let finding = finding.with("name", DELEGATE).with("limit", period(DELEGATE_UNLESS_SET));
        findings.push(finding.with("least", period(call)).fixed_by(fix));
    }
    findings
}

/// Seconds that a client's limit must have, and that it should have.
fn needed(variable: &Variable, call: u64, generous: u64) -> Option<(u64, u64)> {
    let name = variable.name.as_str();
    if !name.ends_with("_TIMEOUT") {
        return None;
    }
    if name.contains("SEMANTIC_CACHE") || name.contains("EMBED") {
        return Some((EMBEDDING_S, EMBEDDING_S));
    }
    let asks = name == DELEGATE || ["OLLAMA", "MLX", "LLM"].iter().any(|part| name.contains(part));
    let other = ["CONNECT", "HEALTH", "PROBE", "CHECK"].iter().any(|part| name.contains(part));
    (asks && !other).then_some((call, generous))
}

fn period(seconds: u64) -> doctor::Value {
    doctor::Value::Millis(seconds.saturating_mul(1000))
}

/// `30`, `30.0`, `30s`.
fn seconds(value: &str) -> Option<u64> {
    let value = value.trim().trim_end_matches('s');
    value.split('.').next()?.parse().ok()
}
