//! What the loop keeps up around itself: the API, Docker's event stream, the configuration, the logs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use doctor::{Event, Sentence, TargetId, Wall};
use tokio::task::JoinHandle;

use super::settings::{self, keep_good};
use super::{DAY, Loop};
use crate::config::Config;
use crate::senses::Senses;
use crate::{action, api, clock};

impl Loop {
    pub(super) async fn serve(&mut self) {
        let Some(token) = self.token.clone() else { return };
        let address = self.paths.data.join("address");
        let settings = self.config.api.clone();
        self.handle.set_docker(self.senses.docker.clone());
        self.api = Some(api::serve(self.handle.clone(), settings, token, address).await);
        self.note_api();
    }

    pub(super) fn note_api(&mut self) {
        match self.api.as_ref().and_then(api::Serving::problem) {
            Some(problem) => {
                if self.messages.insert("api", problem.clone()).is_none() {
                    self.tell_about_ourselves("ourselves.api", &problem);
                }
            }
            None => {
                self.messages.remove("api");
            }
        }
    }

    /// From what the engine remembers of the time after `since`; none: from now on.
    pub(super) fn follow_events(&mut self, since: Option<Wall>) {
        if let Some(stream) = self.stream.take() {
            stream.abort();
        }
        self.stream =
            Some(tokio::spawn(self.senses.docker.clone().watch(self.inbox.clone(), since)));
    }

    /// A background task that has ended, however it ended, is begun again.
    pub(super) fn supervise_stream(&mut self) -> bool {
        let ended = self.stream.as_ref().is_none_or(JoinHandle::is_finished);
        if ended {
            tracing::error!("the watch on Docker's events had ended; it is begun again");
            self.follow_events(None);
        }
        ended
    }

    pub(super) async fn reload(&mut self) {
        let environment = |name: &str| std::env::var(name).ok();
        if !self.paths.config.exists() {
            // Editors delete before they write, and what a person said must not be forgotten over it.
            tracing::warn!("the configuration file has gone; what it said stays in force");
            let gone = Sentence::new("ourselves.config_gone")
                .with("file", self.paths.config.display().to_string());
            self.messages.insert("config", self.words.sentence(&gone));
            return;
        }
        let config = match Config::load(&self.paths.config, &environment) {
            Ok(config) => config,
            Err(errors) => {
                let errors = errors.to_string();
                tracing::warn!(errors, "the configuration has mistakes; the last one stays");
                self.tell_about_ourselves("ourselves.config", &errors);
                self.handle(Event::Misconfigured);
                self.messages.insert("config", errors);
                return;
            }
        };
        tracing::info!("the configuration was read anew");
        self.messages.remove("config");
        self.unread = false;
        keep_good(&self.paths);
        let language = settings::language(&config, &environment);
        if language != self.words.language() {
            self.words.speak(language);
        }
        let senses =
            Arc::new(Senses::new(&config, self.senses.environments.clone(), Some(&self.senses)));
        let other_engine = senses.docker.host() != self.senses.docker.host();
        let other_api = config.api != self.config.api;
        let moved = moved(&self.config, &config);
        self.senses = senses;
        self.handle.set_docker(self.senses.docker.clone());
        self.config = config;
        if other_engine {
            self.follow_events(None);
        }
        if other_api && let Some(api) = self.api.take() {
            api.stop().await;
            self.serve().await;
        }
        if !moved.is_empty() {
            // What was learnt at the old address says nothing about the new one.
            let mut roster = self.config.roster.clone();
            roster.retain(|spec| !moved.contains(&spec.id));
            self.handle(Event::Reconfigured { roster });
        }
        self.handle(Event::Reconfigured { roster: self.config.roster.clone() });
    }

    pub(super) fn upkeep(&self, last_prune: &mut Option<Instant>) {
        let prune = last_prune.is_none_or(|last| last.elapsed() > DAY);
        if prune {
            *last_prune = Some(Instant::now());
        }
        let (journal, keep) = (self.journal.clone(), self.config.journal.keep);
        let logs = ["ollama.log", "mlx.log"].map(|name| self.paths.logs().join(name));
        tokio::task::spawn_blocking(move || {
            for log in logs.iter().filter(|log| log.exists()) {
                if let Err(error) = action::process::rotate_while_open(log) {
                    tracing::warn!(%error, log = %log.display(), "the log could not be rotated");
                }
            }
            if prune && let Err(error) = journal.prune(keep, clock::now().wall) {
                tracing::warn!(%error, "old records could not be deleted");
            }
        });
    }

    pub(super) async fn close(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.abort();
        }
        if let Some(api) = self.api.take() {
            api.stop().await;
        }
        // What is not on disk yet gets its last chance.
        self.records = None;
        if let Some(writer) = self.writer.take()
            && tokio::time::timeout(Duration::from_secs(3), writer).await.is_err()
        {
            tracing::error!("records were still being written when Homeostat ended");
        }
    }

    /// Entries that wait for room on the disk are tried again.
    pub(super) fn retry_journal(&self) {
        if self.journal.message().is_some() {
            let journal = self.journal.clone();
            tokio::task::spawn_blocking(move || {
                if let Err(error) = journal.flush() {
                    tracing::debug!(%error, "the journal still can't be written");
                }
            });
        }
    }
}

/// Targets that are asked at another address than before.
fn moved(before: &Config, after: &Config) -> Vec<TargetId> {
    let mut moved = Vec::new();
    if before.ollama.url != after.ollama.url {
        moved.push(TargetId::Ollama);
    }
    if before.mlx.url != after.mlx.url {
        moved.push(TargetId::Mlx);
    }
    if before.docker.host != after.docker.host {
        moved.push(TargetId::Docker);
    }
    let elsewhere = after.services.iter().filter(|service| {
        before.services.iter().any(|one| one.id == service.id && one.url != service.url)
    });
    moved.extend(elsewhere.map(|service| service.id.clone()));
    moved
}
