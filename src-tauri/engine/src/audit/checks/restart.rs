//! Whether a service comes back by itself.

use super::role::{asks_models, is_job, is_long_running};
use crate::audit::finding::{Finding, Kind, Severity};
use crate::audit::fix::{Written, add_key, set_value};
use crate::audit::project::{Project, Service};

/// A policy that comes back after a crash, and stays away when a person stops it.
const POLICY: &str = "unless-stopped";

pub(super) fn restart(project: &Project, service: &Service) -> Option<Finding> {
    // Compose takes `deploy.restart_policy` where there is no `restart` (compose, `getRestartPolicy`).
    if let Some(policy) = service.node.get("deploy").and_then(|deploy| deploy.get("restart_policy"))
    {
        let never = policy.entry("condition").filter(|entry| entry.value.text() == Some("none"))?;
        return (asks_models(service) && service.node.get("restart").is_none()).then(|| {
            project
                .finding(Kind::RestartNo, Severity::Error, service, Some(never.at))
                .fixed_by(set_value(project, never, "any"))
        });
    }
    match service.node.entry("restart").filter(|entry| !entry.value.is_null()) {
        None if is_long_running(project, service) => {
            let severity = if asks_models(service) { Severity::Error } else { Severity::Warning };
            let fix = add_key(project, service, "restart", &Written::text(POLICY));
            Some(project.finding(Kind::RestartMissing, severity, service, None).fixed_by(fix))
        }
        // A person wrote it: only for an agent it is surely a mistake.
        Some(entry)
            if matches!(entry.value.text(), Some("no" | "false"))
                && asks_models(service)
                && !is_job(project, service) =>
        {
            let fix = set_value(project, entry, POLICY);
            let at = Some(entry.at);
            Some(project.finding(Kind::RestartNo, Severity::Error, service, at).fixed_by(fix))
        }
        Some(_) | None => None,
    }
}
