//! What of the machine itself will go wrong.

use doctor::{Sentence, Value};

use super::Host;
use super::autostart::{Autostart, autostart};
use super::finding::{Finding, Kind, Severity};
use crate::platform;

/// Where Ollama listens unless it is told otherwise.
const OLLAMA: u16 = 11434;

const GIGABYTE: u64 = 1 << 30;
/// The first users: 10 to 14 GB for Docker on a host of 64 to 128 GB.
const LARGE_HOST: u64 = 64 * GIGABYTE;
/// Of what is chosen the machine itself keeps a part: of 8 GB Docker tells 7.7.
const DOCKER_NEEDS: u64 = 9 * GIGABYTE;

/// What was seen of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Homeostat starts at login.
    pub autostart: bool,
    /// An engine of ours answers.
    pub engine: bool,
    /// What would start Ollama by itself, by name.
    pub supervisors: Vec<String>,
}

impl Facts {
    /// What this machine shows; `engine` is what only the caller knows. It walks over all processes, so
    /// it blocks briefly.
    pub fn here(engine: bool) -> Self {
        let running = platform::processes_named(&["ollama", "Ollama"]);
        let places = platform::Places::here();
        Self {
            autostart: matches!(autostart(), Autostart::Starts { .. }),
            engine,
            supervisors: platform::would_start(&places, &running, None, OLLAMA),
        }
    }
}

pub fn host(facts: &Facts, host: &Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |kind: Kind, says: &dyn Fn(Sentence) -> Sentence| {
        findings.push(Finding {
            kind,
            severity: Severity::Warning,
            file: None,
            line: None,
            column: None,
            service: None,
            says: says(Sentence::new(kind.keys().0)),
            fix: None,
        });
    };
    if !facts.engine {
        find(Kind::EngineAbsent, &|says| says);
    }
    if !facts.autostart {
        find(Kind::AutostartMissing, &|says| says);
    }
    if facts.supervisors.len() > 1 {
        find(Kind::RivalSupervisors, &|says| says.with("names", facts.supervisors.join(", ")));
    }
    // On Linux Docker has what the host has.
    if let (false, Some(total), Some(docker)) =
        (host.linux, host.memory_bytes, host.docker_memory_bytes)
        && total >= LARGE_HOST
        && docker < DOCKER_NEEDS
    {
        find(Kind::DockerMemorySmall, &|says| {
            says.with("docker", Value::Bytes(docker)).with("total", Value::Bytes(total))
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(facts: &Facts, machine: &Host) -> Vec<Kind> {
        host(facts, machine).iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn a_machine_that_looks_after_itself_has_no_findings() {
        let good = Facts { autostart: true, engine: true, supervisors: vec!["Ollama.app".into()] };
        let mac = |docker: u64| Host {
            linux: false,
            memory_bytes: Some(128 * GIGABYTE),
            docker_memory_bytes: Some(docker * GIGABYTE),
            ..Host::default()
        };
        assert_eq!(kinds(&good, &mac(12)), []);
        assert_eq!(kinds(&good, &mac(8)), [Kind::DockerMemorySmall]);
        assert_eq!(kinds(&good, &Host { linux: true, ..mac(8) }), []);
        assert_eq!(kinds(&good, &Host { memory_bytes: Some(16 * GIGABYTE), ..mac(8) }), []);
        let two = vec!["Ollama.app".into(), "homebrew.mxcl.ollama".into()];
        let rivals = Facts { supervisors: two, ..good.clone() };
        assert_eq!(kinds(&rivals, &mac(12)), [Kind::RivalSupervisors]);
        assert_eq!(
            kinds(&Facts::default(), &mac(12)),
            [Kind::EngineAbsent, Kind::AutostartMissing]
        );
    }
}
