//! Who has started the server that is looked at: found once for each process.

use std::sync::{Arc, Mutex};

use doctor::{Listener, ProcessId, Supervisor, TargetId};

use crate::environments::Environments;
use crate::platform;

pub(crate) struct Supervised {
    target: TargetId,
    port: u16,
    environments: Arc<Environments>,
    found: Mutex<Option<(ProcessId, Supervisor)>>,
}

impl Supervised {
    pub(crate) fn new(target: TargetId, port: u16, environments: Arc<Environments>) -> Self {
        Self { target, port, environments, found: Mutex::new(None) }
    }

    /// Of the process that listens; while nobody does, of the one that did last.
    pub(crate) async fn by(&self, listener: &Listener) -> Option<Supervisor> {
        let process = match listener {
            Listener::Process(process) => process,
            Listener::Hidden => return Some(Supervisor::NotVisible),
            Listener::Nobody | Listener::NotAsked => {
                return self.environments.supervisor(&self.target, self.port);
            }
        };
        if let Some(known) = self.known(&process.id) {
            return Some(known);
        }
        let supervisor = platform::supervisor(process).await;
        if let Ok(mut found) = self.found.lock() {
            *found = Some((process.id.clone(), supervisor.clone()));
        }
        // Who started a stranger on the port is not whom to start the server with (R8).
        if self.target == TargetId::Ollama && process.id.program() != "ollama" {
            return Some(supervisor);
        }
        let (environments, target, port) =
            (self.environments.clone(), self.target.clone(), self.port);
        let kept = supervisor.clone();
        let keeping = move || environments.remember_supervisor(&target, port, &kept);
        // What is not written down is found again with the next process.
        let _ = tokio::task::spawn_blocking(keeping).await;
        Some(supervisor)
    }

    fn known(&self, process: &ProcessId) -> Option<Supervisor> {
        let found = self.found.lock().ok()?;
        let (_, supervisor) = found.as_ref().filter(|(id, _)| id == process)?;
        Some(supervisor.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn who_started_a_stranger_on_the_port_is_not_remembered_for_the_server() {
        let environments = Arc::new(Environments::fresh());
        let unit = Supervisor::Unit { name: "ollama.service".into(), of_user: true };
        environments.remember_supervisor(&TargetId::Ollama, 11434, &unit);
        let supervised = Supervised::new(TargetId::Ollama, 11434, environments.clone());
        let mut stranger = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let seen = platform::process(stranger.id()).unwrap();
        let of_stranger = supervised.by(&Listener::Process(seen)).await;
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        assert!(of_stranger.is_some_and(|found| found != unit), "told while it is there");
        assert_eq!(supervised.by(&Listener::Nobody).await, Some(unit));
    }
}
