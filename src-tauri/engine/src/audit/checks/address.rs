//! Addresses: from inside a container to model servers and to Homeostat on the host.

use super::role::{asks_models, is_model_server, is_orchestrator, is_victoria, names_model_port};
use crate::audit::Host;
use crate::audit::finding::{Finding, Kind, Severity};
use crate::audit::fix::{Written, add_key, add_pairs, add_variables, set_variable};
use crate::audit::merge::keyed;
use crate::audit::project::{Project, Service, Variable};

const GATEWAY: &str = "host.docker.internal";
const WEBHOOK: &str = "RECOVERY_WEBHOOK_URL";

/// Docker Desktop knows the name by itself; a Linux engine needs the entry (moby,
/// `--add-host host.docker.internal:host-gateway`).
pub(super) fn gateway(project: &Project, service: &Service, host: &Host) -> Option<Finding> {
    if service.shares_network() {
        return None;
    }
    let known = service
        .node
        .get("extra_hosts")
        .is_some_and(|hosts| keyed(hosts, "extra_hosts").iter().any(|entry| entry.key == GATEWAY));
    if known {
        return None;
    }
    let refers = |variable: &&Variable| {
        variable.value.as_deref().is_some_and(|value| value.contains(GATEWAY))
    };
    let variable = service.effective().find(refers);
    if variable.is_none() && !service.command().contains(GATEWAY) {
        return None;
    }
    let line = format!("{GATEWAY}:host-gateway");
    let fix = match service.node.entry("extra_hosts") {
        None => add_key(project, service, "extra_hosts", &Written::List(vec![line])),
        Some(entry) => add_pairs(project, entry, &[(GATEWAY, "host-gateway".into())], ':'),
    };
    let severity = if host.linux { Severity::Error } else { Severity::Note };
    Some(
        project
            .finding(Kind::HostGatewayMissing, severity, service, variable.map(|found| found.at))
            .fixed_by(fix),
    )
}

pub(super) fn models(project: &Project, service: &Service) -> Vec<Finding> {
    if is_model_server(service) || !asks_models(service) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if !service.shares_network() {
        for variable in service.effective() {
            let Some(value) = variable.value.as_deref().filter(|_| is_model_address(variable))
            else {
                continue;
            };
            let Some(host) = host_of(value).filter(|host| is_loopback(host)) else { continue };
            let bracketed = format!("[{host}]");
            let written = if value.contains(&bracketed) { &bracketed } else { host };
            let instead = value.replacen(written, model_host(project, value), 1);
            let fix = shareable(value).then(|| set_variable(project, variable, &instead)).flatten();
            findings.push(
                project
                    .finding(Kind::ModelUrlLocalhost, Severity::Error, service, Some(variable.at))
                    .with("name", variable.name.as_str())
                    .fixed_by(fix),
            );
        }
    }
    if lacks_ollama(service) {
        let at = model_host(project, ":11434");
        let value = format!("http://{at}:11434");
        let fix = add_variables(project, service, &[("OLLAMA_BASE_URL", value)]);
        findings.push(
            project.finding(Kind::ModelUrlMissing, Severity::Error, service, None).fixed_by(fix),
        );
    }
    findings
}

pub(super) fn webhook(project: &Project, service: &Service, host: &Host) -> Option<Finding> {
    let wanted = || format!("http://{GATEWAY}:{}/recover", host.webhook_port);
    let Some(variable) = service.variable(WEBHOOK) else {
        let ours = service.node.get("build").is_some();
        let severity = if is_orchestrator(service) {
            Severity::Warning
        } else if ours && asks_models(service) {
            Severity::Note
        } else {
            return None;
        };
        if service.variables_unknown {
            return None;
        }
        let fix = add_variables(project, service, &[(WEBHOOK, wanted())]);
        return Some(project.finding(Kind::WebhookMissing, severity, service, None).fixed_by(fix));
    };
    let value = variable.value.as_deref().filter(|value| !value.is_empty())?;
    let local = !service.shares_network()
        && host_of(value).is_some_and(|host| is_loopback(host) || host == "0.0.0.0");
    let port = port_of(value);
    let path = path_of(value).trim_end_matches('/') == "/recover";
    // Another machine's Homeostat may listen elsewhere.
    let here = host_of(value).is_some_and(|host| host == GATEWAY || is_loopback(host));
    if !local && (!here || port == Some(host.webhook_port) && path) {
        return None;
    }
    Some(
        project
            .finding(Kind::WebhookWrong, Severity::Error, service, Some(variable.at))
            .with("port", u32::from(host.webhook_port))
            .fixed_by(set_variable(project, variable, &wanted())),
    )
}

/// It uses Ollama, and nothing says where that is.
fn lacks_ollama(service: &Service) -> bool {
    let uses = is_victoria(service)
        || is_orchestrator(service)
        || service.variables.iter().any(|variable| variable.name.starts_with("OLLAMA_"));
    let told = service.variables.iter().any(|variable| {
        let name = &variable.name;
        name.starts_with("OLLAMA_")
            && ["URL", "HOST", "BASE", "ENDPOINT"].iter().any(|part| name.contains(part))
            || variable.value.as_deref().is_some_and(names_model_port)
    });
    uses && !told && !service.variables_unknown
}

/// A variable that says where a model server is: by its name, or by the port.
fn is_model_address(variable: &Variable) -> bool {
    let name = &variable.name;
    let by_name = ["OLLAMA_BASE_URL", "OLLAMA_HOST", "OLLAMA_URL", "OLLAMA_API_BASE"]
        .iter()
        .chain(&[
            "OLLAMA_API_BASE_URL",
            "OLLAMA_ENDPOINT",
            "MLX_API_URL",
            "MLX_BASE_URL",
            "MAC_LLM_URL",
        ])
        .any(|known| name == known);
    by_name || variable.value.as_deref().is_some_and(names_model_port)
}

/// Ollama as a service beside it, else the host.
fn model_host<'a>(project: &'a Project, address: &str) -> &'a str {
    let beside = project.services.iter().find(|service| is_model_server(service));
    match beside.filter(|_| !address.contains(":11435")) {
        Some(service) => &service.name,
        None => GATEWAY,
    }
}

/// An address with a name, a password or a query in it is not repeated.
fn shareable(value: &str) -> bool {
    !value.contains(['@', '?', '#'])
}

/// `http://HOST:PORT/path`, `HOST:PORT`, `HOST`.
fn host_of(value: &str) -> Option<&str> {
    let authority = authority(value);
    if let Some(inner) = authority.strip_prefix('[') {
        return inner.split_once(']').map(|(host, _)| host);
    }
    let host = authority.split(':').next()?;
    (!host.is_empty()).then_some(host)
}

fn port_of(value: &str) -> Option<u16> {
    let default = if value.starts_with("https://") { 443 } else { 80 };
    match authority(value).rsplit_once(':') {
        Some((_, port)) => port.parse().ok(),
        None => Some(default),
    }
}

fn path_of(value: &str) -> &str {
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    let path = rest.find('/').map_or("", |at| &rest[at..]);
    path.split(['?', '#']).next().unwrap_or_default()
}

fn authority(value: &str) -> &str {
    let rest = value.trim().split_once("://").map_or(value.trim(), |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host == "::1" || host.starts_with("127.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        for (value, host, port, path) in [
            ("http://localhost:11434", Some("localhost"), Some(11434), ""),
            ("http://u:p@127.0.0.1:1/x?y", Some("127.0.0.1"), Some(1), "/x"),
            ("http://[::1]:9099/recover", Some("::1"), Some(9099), "/recover"),
            ("localhost:11434", Some("localhost"), Some(11434), ""),
            ("https://h", Some("h"), Some(443), ""),
            ("", None, Some(80), ""),
        ] {
            assert_eq!(
                (host_of(value), port_of(value), path_of(value)),
                (host, port, path),
                "{value}"
            );
        }
    }
}
