//! The checks, by what they look at.

mod address;
mod depends;
mod health;
mod limits;
mod memory;
mod ports;
mod restart;
mod role;
mod start;

use super::finding::Finding;
use super::project::{Project, Service};
pub(super) use role::{LIGHT_START, is_victoria};

use super::Host;

/// What one service can be told by itself.
pub(super) fn of_service(project: &Project, service: &Service, host: &Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(restart::restart(project, service));
    findings.extend(memory::limit(project, service, host));
    findings.extend(address::gateway(project, service, host));
    findings.extend(address::models(project, service));
    findings.extend(address::webhook(project, service, host));
    findings.extend(health::health(project, service));
    findings.extend(start::start(project, service));
    findings.extend(limits::limits(project, service, host));
    findings
}

/// What shows only in all services together.
pub(super) fn of_project(project: &Project, host: &Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(memory::sum(project, host));
    findings.extend(health::waits(project));
    findings.extend(depends::unknown(project));
    findings.extend(ports::clashes(project));
    findings.extend(ports::twice(project));
    findings.extend(ports::rivals(project, host));
    findings
}
