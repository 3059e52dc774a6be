//! Ports on the host: two services on one, and services on those of Ollama, MLX and Homeostat.

use super::role::names_model_port;
use crate::audit::Host;
use crate::audit::finding::{Finding, Kind, Severity};
use crate::audit::fix::{Fix, double_quoted, replace, set_value};
use crate::audit::project::{Project, Service};
use crate::audit::units::Port;
use crate::audit::yaml::Node;

pub(super) fn clashes(project: &Project) -> Vec<Finding> {
    let all = published(project);
    let mut findings: Vec<Finding> = Vec::new();
    for (index, (service, port, node)) in all.iter().enumerate() {
        let met = all.iter().take(index).find_map(|(earlier, other, _)| {
            let both = earlier.name != service.name && run_together(earlier, service);
            port.clashes(other).filter(|_| both).map(|met| (&earlier.name, met))
        });
        let Some((other, met)) = met else { continue };
        findings.push(
            project
                .finding(Kind::PortClash, Severity::Error, service, Some(node.at))
                .with("port", u32::from(met))
                .with("other", other.as_str())
                .fixed_by(elsewhere(project, &all, port, node)),
        );
    }
    findings
}

/// One service on the same port twice, with another port inside or on another address. The very same
/// entry twice, as after a merge of two files, counts once. Source: compose-go `override/uncity.go`,
/// `portIndexer`.
pub(super) fn twice(project: &Project) -> Vec<Finding> {
    let all = published(project);
    let mut findings: Vec<Finding> = Vec::new();
    for (index, (service, port, node)) in all.iter().enumerate() {
        let met = all.iter().take(index).find_map(|(earlier, other, _)| {
            let same = std::ptr::eq(*earlier, *service);
            port.clashes(other).filter(|met| same && !port.is_same_at(other, *met))
        });
        let Some(met) = met else { continue };
        findings.push(
            project
                .finding(Kind::PortTwice, Severity::Error, service, Some(node.at))
                .with("port", u32::from(met))
                .fixed_by(elsewhere(project, &all, port, node)),
        );
    }
    findings
}

/// A container on a port that a program of the host is asked on.
pub(super) fn rivals(project: &Project, host: &Host) -> Vec<Finding> {
    let all = published(project);
    let asks_host = |port: u16| {
        let address = format!("host.docker.internal:{port}");
        project.services.iter().any(|service| {
            service.variables.iter().any(|variable| {
                let value = variable.value.as_deref().unwrap_or_default();
                names_model_port(value) && value.contains(&address)
            })
        })
    };
    let mut findings = Vec::new();
    for (service, port, node) in &all {
        let Some((first, last)) = port.published.filter(|_| !port.udp) else { continue };
        let holds = |wanted: u16| (first..=last).contains(&wanted);
        let rival = [11434, 11435].into_iter().find(|port| holds(*port) && asks_host(*port));
        let (rival, severity) = match rival {
            Some(rival) => (rival, Severity::Warning),
            None if holds(host.webhook_port) => (host.webhook_port, Severity::Error),
            None => continue,
        };
        findings.push(
            project
                .finding(Kind::RivalPort, severity, service, Some(node.at))
                .with("port", u32::from(rival))
                .fixed_by(elsewhere(project, &all, port, node)),
        );
    }
    findings
}

type Published<'a> = (&'a Service, Port, std::sync::Arc<Node>);

/// At most so many are compared with each other.
const MOST: usize = 1000;

fn published(project: &Project) -> Vec<Published<'_>> {
    let each = project.services.iter().flat_map(|service| {
        // With several copies of one service the engine would refuse a fixed port anyway.
        service.ports().into_iter().map(move |(port, node)| (service, port, node))
    });
    each.filter(|(service, port, _)| port.published.is_some() && !service.shares_network())
        .take(MOST)
        .collect()
}

/// Services of different profiles may be meant as alternatives.
fn run_together(one: &Service, other: &Service) -> bool {
    let (one, other) = (one.profiles(), other.profiles());
    one.is_empty() || other.is_empty() || one.iter().any(|profile| other.contains(profile))
}

/// The next port that nothing here publishes, and that is nobody's.
fn elsewhere(project: &Project, all: &[Published<'_>], port: &Port, node: &Node) -> Option<Fix> {
    let (first, last) = port.published?;
    let taken = |wanted: u16| {
        matches!(wanted, 9099 | 11434 | 11435)
            || all.iter().any(|(_, port, _)| {
                port.published.is_some_and(|(first, last)| (first..=last).contains(&wanted))
            })
    };
    let free =
        (first..u16::MAX).skip(1).find(|wanted| !taken(*wanted)).filter(|_| first == last)?;
    if let Some(entry) = node.entry("published") {
        return set_value(project, entry, &free.to_string());
    }
    let address = match port.address.as_str() {
        "" => String::new(),
        ipv6 if ipv6.contains(':') => format!("[{ipv6}]:"),
        ipv4 => format!("{ipv4}:"),
    };
    let inside = match port.target {
        (inner, last) if inner == last => inner.to_string(),
        (inner, last) => format!("{inner}-{last}"),
    };
    let protocol = if port.udp { "/udp" } else { "" };
    let text = format!("{address}{free}:{inside}{protocol}");
    replace(project, node.at, double_quoted(&text))
}
