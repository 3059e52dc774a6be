//! Models on the disk of a server: found, pulled, created, proven and read whole.

use std::time::Duration;

use doctor::{DeepOutcome, Event, ModelsRead, Outcome, Progress, StepId, millis};

use super::World;
use super::servers::model;

const GB: u64 = 1 << 30;

impl World {
    pub(super) fn find_model(&mut self, name: &str, step: StepId) {
        let found = self
            .ollama
            .as_ref()
            .and_then(|server| server.models.iter().find(|model| model.name == name).cloned());
        self.report(20, step, Outcome::Installed(found));
    }

    /// 40 GB within ten minutes.
    pub(super) fn pull(&mut self, name: &str, reserve: doctor::Reserve, step: StepId) {
        const SIZE: u64 = 40 * GB;
        let volume = self.host.volumes.first();
        let room =
            volume.is_none_or(|disk| reserve.allows(SIZE, disk.free_bytes, disk.total_bytes));
        let failed = |reason: &str| Outcome::Failed { reason: reason.into(), permanent: false };
        if !room {
            self.report(2000, step, failed("too little would stay free"));
        } else if name.contains("nowhere") {
            self.report(2000, step, failed("pull model manifest: file does not exist"));
        } else {
            let progress = Progress { done: 20 * GB, of: SIZE, about: name.into() };
            let progressed = Event::Progressed { step: step.clone(), progress };
            self.tell_later(300_000, progressed);
            let name = name.to_owned();
            self.later(600_000, move |world| world.has_model(&name));
            self.report(600_000, step, Outcome::Done);
        }
    }

    pub(super) fn verify_models(&mut self, step: StepId) {
        let store = self.ollama.as_ref().and_then(|server| server.insides.store.clone());
        let corrupt = store.map(|store| store.corrupt).unwrap_or_default();
        let read = ModelsRead { models: 2, bytes: 5 * GB, corrupt };
        self.report(30_000, step, Outcome::ModelsRead(read));
    }

    pub(super) fn remove_broken(&mut self, name: &str, step: StepId) {
        let mut removed = (Vec::new(), Vec::new());
        if let Some(store) = self.ollama.as_mut().and_then(|server| server.insides.store.as_mut()) {
            let blobs: Vec<String> = store
                .corrupt
                .iter()
                .filter(|(model, _)| model == name)
                .map(|(_, blob)| blob.clone())
                .collect();
            let shared = store.corrupt.iter().filter(|(_, blob)| blobs.contains(blob));
            removed = (blobs.clone(), shared.map(|(model, _)| model.clone()).collect());
            store.corrupt.retain(|(_, blob)| !blobs.contains(blob));
        }
        let (blobs, models) = removed;
        self.report(20_000, step, Outcome::Removed { blobs, models });
    }

    pub(super) fn create(&mut self, name: &str, step: StepId) {
        self.has_model(name);
        self.report(3000, step, Outcome::Done);
    }

    pub(super) fn prove(&mut self, name: &str, within: Duration, step: StepId) {
        let found = self
            .ollama
            .as_ref()
            .and_then(|server| server.models.iter().find(|model| model.name == name).cloned());
        let generates = self.ollama.as_ref().map(|server| server.insides.generates);
        let failed = |reason: &str| Outcome::Failed {
            reason: format!("{name} does not work: {reason}"),
            permanent: false,
        };
        let (took, outcome) = match (found, generates) {
            (Some(model), Some(DeepOutcome::Answered)) => (9000, Outcome::Proven(model)),
            (Some(_), Some(DeepOutcome::Empty)) => (9000, failed("it answered, but wrote nothing")),
            (Some(_), Some(DeepOutcome::NoFirstByte | DeepOutcome::Busy)) => {
                (millis(within), failed("no answer"))
            }
            (Some(_), Some(DeepOutcome::Failed { status })) => {
                (9000, failed(&format!("status {status}")))
            }
            (None, _) | (_, None) => {
                let reason = format!("model '{name}' not found");
                (9000, Outcome::Failed { reason, permanent: true })
            }
        };
        self.report(took, step, outcome);
    }

    fn has_model(&mut self, name: &str) {
        let Some(server) = &mut self.ollama else { return };
        server.models.push(model(name, 40 * GB));
        if let Some(store) = &mut server.insides.store {
            store.missing.retain(|missing| missing != name);
        }
    }
}
