//! The application that keeps Ollama: quit by a person it is meant to be gone, crashed it is not (R36).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use doctor::{Event, Listener, Observation, ProcessId, Supervisor, TargetId};
use tokio::sync::mpsc::Sender;

use crate::platform::{self, Exit};

/// At a logout all applications are quit, we among them: nobody's wish about this one. An update
/// quits it too, and opens it again.
const AFTERMATH: Duration = Duration::from_secs(10);

/// Whose end is being waited for.
#[derive(Default)]
pub(super) struct Application {
    watched: Mutex<Option<ProcessId>>,
}

impl Application {
    /// Tells of the end of the application that this look has shown, once.
    pub(super) fn watch(&self, observation: &Observation, inbox: &Sender<Event>) {
        let Some(process) = keeper(observation) else { return };
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.as_ref() == Some(&process) {
            return;
        }
        *watched = Some(process.clone());
        let inbox = inbox.clone();
        // It waits as long as the application runs, and must not keep the engine from ending.
        let waiting = move || {
            if let Some(event) = platform::exit(&process).and_then(|end| told(end, &process)) {
                // The loop has ended when nobody listens.
                let _ = inbox.blocking_send(event);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("application".into()).spawn(waiting) {
            tracing::warn!(%error, "nobody watches whether Ollama's application is quit");
        }
    }
}

/// The process of `Ollama.app` that has started the server.
fn keeper(observation: &Observation) -> Option<ProcessId> {
    let Observation::Ollama(seen) = observation else { return None };
    let around = seen.surroundings.as_ref()?;
    let (Some(Supervisor::App(app)), Listener::Process(server)) =
        (&around.supervisor, &seen.listener)
    else {
        return None;
    };
    let parent = platform::process(server.parent?)?.id;
    parent.executable.starts_with(app.as_str()).then_some(parent)
}

fn told(end: Exit, process: &ProcessId) -> Option<Event> {
    let target = TargetId::Ollama;
    match end {
        Exit::Crash => Some(Event::Quit { target, normal: false }),
        Exit::Normal => {
            std::thread::sleep(AFTERMATH);
            let again = platform::processes_named(&[process.program()]);
            let again = again.iter().any(|one| one.id.executable == process.executable);
            (!again).then_some(Event::Quit { target, normal: true })
        }
    }
}
