//! Models of Ollama and MLX: unload them and see the memory come back, measure how fast they are,
//! see to it that they exist.

mod lines;

mod create;
mod measure;
mod prove;
mod pull;
mod store;
mod unload;
mod unload_mlx;

use std::time::Duration;

use doctor::{Event, ModelSeen, Outcome, Progress, StepId};
use tokio::sync::mpsc;

use crate::probe::ollama::{Ollama, same};

pub use create::create;
pub use measure::measure;
pub use prove::prove;
pub use pull::pull;
pub use store::{remove_broken, verify};
pub use unload::unload;
pub use unload_mlx::unload_mlx;

/// The request itself; an unload goes on after it (FACTS A.3).
const ASK: Duration = Duration::from_secs(10);

/// Tells how far a long step is.
pub struct Teller {
    pub inbox: mpsc::Sender<Event>,
    pub step: StepId,
}

impl Teller {
    /// Never waits: where so much is waiting already, the next one will do.
    fn tell(&self, progress: Progress) {
        let _ = self.inbox.try_send(Event::Progressed { step: self.step.clone(), progress });
    }
}

/// Whether it is installed.
pub async fn find(ollama: &Ollama, model: &str) -> Outcome {
    match ollama.installed().await {
        Some(models) => Outcome::Installed(models.into_iter().find(|one| same(&one.name, model))),
        None => failed("Ollama does not say which models are installed"),
    }
}

async fn installed(ollama: &Ollama, model: &str) -> Option<ModelSeen> {
    ollama.installed().await?.into_iter().find(|one| same(&one.name, model))
}

fn url(ollama: &Ollama, path: &str) -> String {
    format!("{}{path}", ollama.url)
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed { reason: reason.to_owned(), permanent: false }
}
