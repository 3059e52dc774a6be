//! The prevention audit: what in compose files, running containers and the host will go wrong, before
//! it does. Files are read and never written.
//!
//! In reading order: what is found and how it is mended, how a project is read, and the checks.

mod finding;
mod fix;

mod interpolate;
mod merge;
mod project;
mod read;
mod units;
mod yaml;

mod autostart;
mod checks;
mod host;
mod running;

mod look;

mod asked;
mod lasting;

pub(crate) use asked::Audits;
pub use asked::{Audit, NoAudit, ask};
pub use autostart::{Autostart, autostart};
pub use finding::{Finding, FindingView, FixView, Kind, Severity};
pub use fix::{Fix, apply};
pub use host::{Facts, host};
pub use lasting::limit_place;
pub use look::{Report, look};
pub use project::Project;
pub use read::read;
pub use running::{Inspected, InspectedHealth, running};
pub use units::bytes;

/// What the audit knows of the machine that the project runs on.
#[derive(Clone, Debug)]
pub struct Host {
    /// There a container reaches the host only by an extra entry.
    pub linux: bool,
    pub memory_bytes: Option<u64>,
    /// What Docker has: on a Mac the memory of its virtual machine.
    pub docker_memory_bytes: Option<u64>,
    /// Where agents post to when they cannot reach a model server.
    pub webhook_port: u16,
    /// Seconds that one call may take, by what was measured here.
    pub slowest_call_s: Option<u64>,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            linux: cfg!(target_os = "linux"),
            memory_bytes: None,
            docker_memory_bytes: None,
            webhook_port: crate::api::PORT,
            slowest_call_s: None,
        }
    }
}

/// All findings about a project, in the order of its files and lines.
pub fn audit(project: &Project, host: &Host) -> Vec<Finding> {
    let mut findings = project.findings.clone();
    for service in &project.services {
        let mut found = checks::of_service(project, service, host);
        fix::join(&mut found);
        findings.extend(found);
    }
    findings.extend(checks::of_project(project, host));
    findings.sort_by(|one, other| {
        let order = |finding: &Finding| {
            (finding.file.clone(), finding.line, finding.kind, finding.service.clone())
        };
        order(one).cmp(&order(other))
    });
    findings.dedup();
    findings
}
