//! All probes of one configuration, by target.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doctor::{Care, ContainerSeen, Depth, EndedSeen, Launch, Look, Observation, TargetId};

use crate::config::{Config, DockerHost};
use crate::docker_host::Surroundings;
use crate::environments::Environments;
use crate::logs::{self, Signature};
use crate::platform::{self, Deaths};
use crate::probe::docker::Docker;
use crate::probe::host;
use crate::probe::mlx::Mlx;
use crate::probe::ollama::Ollama;
use crate::probe::progress::Progress;
use crate::probe::service::{Inside, Service};
use crate::store::Store;

pub struct Senses {
    pub ollama: Ollama,
    pub mlx: Mlx,
    pub docker: Docker,
    /// Ollama's models on disk.
    pub store: Store,
    /// What servers were started with.
    pub environments: Arc<Environments>,
    services: BTreeMap<TargetId, Service>,
    /// The work that is expected of containers, by name.
    progress: BTreeMap<String, Progress>,
    /// What is known of containers' logs.
    signatures: Vec<Signature>,
    groups: BTreeMap<String, Vec<String>>,
    /// Where the models, the journal and Docker's containers lie.
    paths: Vec<PathBuf>,
    /// What the system ended, or saw crash.
    ends: Arc<Mutex<Deaths>>,
    /// Containers whose every detail is read in each snapshot.
    watched: BTreeSet<String>,
}

impl Senses {
    /// `before` lends its Docker connection when the address is the same.
    pub fn new(config: &Config, environments: Arc<Environments>, before: Option<&Self>) -> Self {
        let program = |target: &TargetId| {
            config.roster.iter().find(|spec| spec.id == *target).and_then(|spec| {
                let launch = match &spec.care {
                    Care::Ollama { launch, .. } => Some(launch),
                    Care::Mlx { launch } => launch.as_ref(),
                    Care::Host | Care::Docker | Care::Container { .. } | Care::Service { .. } => {
                        None
                    }
                };
                match launch {
                    Some(Launch::Command(command)) => command.first().cloned(),
                    Some(
                        Launch::Auto
                        | Launch::App
                        | Launch::Brew
                        | Launch::Serve
                        | Launch::Launchd(_),
                    )
                    | None => None,
                }
            })
        };
        let address = match &config.docker.host {
            DockerHost::Auto => "auto",
            DockerHost::Address(address) => address,
        };
        let docker = match before {
            Some(before) if before.docker.host() == address => before.docker.clone(),
            Some(_) | None => Docker::new(address, Surroundings::of_this_process()),
        };
        let services = config.services.iter().map(|service| {
            let spec = config.roster.iter().find(|spec| spec.id == service.id);
            let (expect, container) = match spec.map(|spec| &spec.care) {
                Some(Care::Service { expect, container }) => (expect.clone(), container.clone()),
                Some(
                    Care::Host
                    | Care::Docker
                    | Care::Ollama { .. }
                    | Care::Mlx { .. }
                    | Care::Container { .. },
                )
                | None => (vec![200], None),
            };
            let container = container.map(|name| Inside::new(docker.clone(), name));
            let url = service.url.to_string();
            (service.id.clone(), Service { url, timeout: service.timeout, expect, container })
        });
        let services = services.collect();
        let progress = config.containers.iter().filter_map(|one| {
            let expected = one.progress.clone()?;
            Some((one.name.clone(), Progress::new(expected, docker.clone())))
        });
        let progress = progress.collect();
        let watched = config.roster.iter().filter_map(|spec| match &spec.id {
            TargetId::Container(name) => Some(name.clone()),
            TargetId::Host
            | TargetId::Docker
            | TargetId::Ollama
            | TargetId::Mlx
            | TargetId::Service(_) => None,
        });
        Self {
            ollama: Ollama::new(
                config.ollama.url.as_str(),
                config.ollama.timeout,
                program(&TargetId::Ollama),
                config.ollama.canary.clone(),
                &config.signatures,
            )
            .remembering(environments.clone()),
            mlx: Mlx::new(
                config.mlx.url.as_str(),
                config.mlx.timeout,
                program(&TargetId::Mlx),
                &config.signatures,
            )
            .remembering(environments.clone()),
            docker,
            store: Store::new(config, before.map(|before| &before.store)),
            environments,
            services,
            progress,
            signatures: logs::of_containers(&config.signatures),
            groups: config.memory.groups.clone(),
            paths: platform::places_that_fill(),
            ends: before.map_or_else(Arc::default, |before| before.ends.clone()),
            watched: watched.collect(),
        }
    }

    /// What the system ended since so long ago is told too.
    #[must_use]
    pub fn told_of_ends(mut self, since: Option<Duration>) -> Self {
        self.ends = Arc::new(Mutex::new(Deaths::new(since)));
        self
    }

    async fn ended(&self) -> Vec<EndedSeen> {
        let ends = self.ends.clone();
        let reading = tokio::task::spawn_blocking(move || match ends.lock() {
            Ok(mut ends) => ends.news(),
            Err(_) => Vec::new(),
        });
        reading.await.unwrap_or_default()
    }

    /// Asks once. What cannot be asked any more, a service that has left the configuration, says
    /// so.
    pub async fn look(&self, look: &Look) -> Observation {
        match &look.target {
            TargetId::Host => {
                let mut seen = host::look(look.depth, &self.groups, &self.paths).await;
                if let Observation::Host(host) = &mut seen {
                    self.store.reading().pause(host.pressure >= 2);
                    host.ended = self.ended().await;
                }
                seen
            }
            TargetId::Ollama => {
                let seen = self.ollama.look(look).await;
                self.store.add(seen, look.depth).await
            }
            TargetId::Mlx => self.mlx.look(look).await,
            TargetId::Docker if look.depth >= Depth::Full => {
                let mut seen = self.docker.snapshot(&self.watched).await;
                for container in seen.containers.iter_mut().flatten() {
                    self.add(container).await;
                }
                Observation::Docker(seen)
            }
            TargetId::Docker => Observation::Docker(self.docker.ping().await),
            TargetId::Container(name) => match self.docker.container(name).await {
                Ok(mut seen) => {
                    if let Some(seen) = &mut seen {
                        self.add(seen).await;
                    }
                    Observation::Container(seen)
                }
                Err(answer) => {
                    Observation::Unasked { reason: format!("{} gave no answer", answer.url) }
                }
            },
            TargetId::Service(_) => match self.services.get(&look.target) {
                Some(service) => service.look(look.stretch).await,
                None => Observation::Unasked { reason: "it is no longer configured".into() },
            },
        }
    }

    /// What its log means, and whether its work goes on.
    async fn add(&self, seen: &mut ContainerSeen) {
        if let Some(progress) = self.progress.get(&seen.name) {
            seen.progress = progress.look(seen).await;
        }
        seen.log.signs = logs::signs_in(&self.signatures, &seen.log.tail);
    }
}
