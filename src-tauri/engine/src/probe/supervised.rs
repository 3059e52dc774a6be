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
