//! Starting light: what makes the start of a heavy agent fail, and the switches against it.

use super::role::{LIGHT_START, asks_models, is_victoria};
use crate::audit::finding::{Finding, Kind, Severity};
use crate::audit::fix::{add_variables, set_variable};
use crate::audit::project::{Project, Service};

pub(super) fn start(project: &Project, service: &Service) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Its log handler needs an event loop before there is one (the first users, Victoria's restart 3).
    let elk = service.variable("USE_ELK").filter(|variable| {
        let value = variable.value.as_deref().unwrap_or_default();
        ["true", "1", "yes", "on"].iter().any(|on| value.eq_ignore_ascii_case(on))
    });
    if let Some(variable) = elk.filter(|_| asks_models(service)) {
        findings.push(
            project
                .finding(Kind::ElkOn, Severity::Warning, service, Some(variable.at))
                .fixed_by(set_variable(project, variable, "false")),
        );
    }
    if is_victoria(service) && !service.variables_unknown {
        let absent: Vec<(&str, String)> = LIGHT_START
            .into_iter()
            .filter(|name| service.variable(name).is_none())
            .map(|name| (name, format!("${{{name}:-true}}")))
            .collect();
        if !absent.is_empty() {
            let names: Vec<&str> = absent.iter().map(|(name, _)| *name).collect();
            findings.push(
                project
                    .finding(Kind::LightStartMissing, Severity::Note, service, None)
                    .with("names", names.join(", "))
                    .fixed_by(add_variables(project, service, &absent)),
            );
        }
    }
    findings
}
