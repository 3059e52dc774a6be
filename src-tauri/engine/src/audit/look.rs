//! Looking at everything that runs: containers, the files that they come from, and the machine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::finding::Finding;
use super::host::{Facts, host};
use super::project::Project;
use super::read::read;
use super::running::{Inspected, running};
use super::{Host, audit};
use crate::probe::docker::Docker;

/// Everything that was found.
#[derive(Clone, Debug)]
pub struct Report {
    pub findings: Vec<Finding>,
    /// Compose files that were read.
    pub files: Vec<PathBuf>,
    /// Containers that were looked at; none: Docker did not answer, and why.
    pub containers: Result<usize, String>,
}

/// Audits the machine, these compose files (merged in their order) and, where none are given, all
/// containers with the files that their labels name. Docker is asked once.
pub async fn look(docker: &Docker, files: &[PathBuf], facts: &Facts, mut given: Host) -> Report {
    let asked = docker.audited().await;
    if let Ok(seen) = &asked {
        given.docker_memory_bytes = seen.memory_bytes.or(given.docker_memory_bytes);
    }
    let files = files.to_vec();
    let facts = facts.clone();
    // Files may lie on a disk that is slow to answer.
    let read = tokio::task::spawn_blocking(move || {
        let mut report =
            Report { findings: host(&facts, &given), files: Vec::new(), containers: Ok(0) };
        if files.is_empty() {
            let containers = asked.map(|seen| seen.containers);
            report.containers = containers.as_ref().map(Vec::len).map_err(Clone::clone);
            projects(&containers.unwrap_or_default(), &given, &mut report);
        } else {
            let project = read(&files, &[], &shell);
            report.files = files;
            report.findings.extend(audit(&project, &given));
        }
        report
    });
    read.await.unwrap_or_else(|ended| {
        let containers = Err(format!("the audit ended badly: {ended}"));
        Report { findings: Vec::new(), files: Vec::new(), containers }
    })
}

/// Containers by the files that they come from; what runs without files is looked at by itself.
fn projects(containers: &[Inspected], host: &Host, report: &mut Report) {
    let mut groups: BTreeMap<(Vec<PathBuf>, Vec<PathBuf>), Vec<&Inspected>> = BTreeMap::new();
    for container in containers {
        let paths = |texts: &[String]| texts.iter().map(PathBuf::from).collect();
        let key = container.compose.as_ref().map(|compose| {
            let variables: Vec<String> = compose
                .env_file
                .iter()
                .flat_map(|files| files.split(','))
                .map(str::to_owned)
                .collect();
            (paths(&compose.files), paths(&variables))
        });
        groups.entry(key.unwrap_or_default()).or_default().push(container);
    }
    for ((files, variables), containers) in groups {
        let project =
            if files.is_empty() { Project::default() } else { read(&files, &variables, &shell) };
        report.findings.extend(audit(&project, host));
        report.findings.extend(running(&containers, &project, host));
        report.files.extend(files);
    }
}

fn shell(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
