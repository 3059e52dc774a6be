//! All containers at once, reading again only those that changed.

use std::collections::{BTreeSet, HashMap};
use std::sync::PoisonError;

use bollard::models::{ContainerSummary, SystemInfo};
use bollard::query_parameters::ListContainersOptionsBuilder;
use doctor::{Body, ContainerSeen, DockerSeen, EngineSeen, Reply};
use futures_util::StreamExt;

use super::{Docker, LIST, Limits, SMALL};

/// A container as it was read last, and how the list showed it then.
pub(super) struct Known {
    listed: Listed,
    seen: ContainerSeen,
}

/// What of a list tells whether a container changed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    id: String,
    name: String,
    state: String,
    /// For people: `Up 5 minutes (healthy)`.
    status: String,
}

/// `OrbStack` names itself so in `docker info`.
pub(super) fn takes_as_needed(information: &SystemInfo) -> bool {
    information.operating_system.as_deref() == Some("OrbStack")
}

/// The least version of the API that tells all that is asked for: of Docker 17.06.
const LEAST: u32 = 30;

/// Inspects under way at once.
const AT_ONCE: usize = 8;

impl Docker {
    /// Ping, version, memory, and every container; of a silent engine, what it runs in. `watched` are always read anew. A question that
    /// fails leaves out what it asks: an engine without version, no containers, or a container's
    /// name under `unread`.
    pub async fn snapshot(&self, watched: &BTreeSet<String>) -> DockerSeen {
        let mut seen = self.ping_now().await;
        if seen.ping.reply != (Reply::Status { code: 200, body: Body::Expected }) {
            seen.keeper = self.keeper().await;
            return seen;
        }
        let small = Limits { within: self.pace().answer, cap: SMALL };
        let large = Limits { within: self.pace().answer, cap: LIST };
        let all = || ListContainersOptionsBuilder::default().all(true).build();
        let (version, information, list) = tokio::join!(
            self.ask(small, async |docker| docker.version().await),
            self.ask(small, async |docker| docker.info().await),
            self.ask(large, async |docker| docker.list_containers(Some(all())).await),
        );
        if let Ok(version) = &version {
            self.judge_version(version.api_version.as_deref().unwrap_or_default());
        }
        if let Some(reply) = self.too_old() {
            seen.ping.reply = reply;
            return seen;
        }
        seen.engine = version.ok().zip(information.ok()).map(|(version, information)| EngineSeen {
            takes_as_needed: takes_as_needed(&information),
            version: version.version.unwrap_or_default(),
            memory_bytes: information
                .mem_total
                .and_then(|bytes| u64::try_from(bytes).ok())
                .unwrap_or_default(),
        });
        match list {
            Ok(list) => {
                let (containers, unread) = self.containers(list, watched).await;
                seen.containers = Some(containers);
                seen.unread = unread;
            }
            Err(trouble) => {
                tracing::warn!(message = trouble.message, "the containers could not be listed");
            }
        }
        seen
    }

    fn judge_version(&self, spoken: &str) {
        let minor = spoken.strip_prefix("1.").and_then(|minor| minor.parse::<u32>().ok());
        let reason = minor.filter(|minor| *minor < LEAST).map(|minor| {
            format!(
                "the engine is too old: it speaks version 1.{minor} of the API, and 1.{LEAST} is \
                 the least that is needed; update Docker"
            )
        });
        *self.shared.too_old.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// Something happened to this container: the next snapshot reads it anew.
    pub(crate) fn forget(&self, id: &str) {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    async fn containers(
        &self,
        list: Vec<ContainerSummary>,
        watched: &BTreeSet<String>,
    ) -> (Vec<ContainerSeen>, Vec<String>) {
        let mut before =
            std::mem::take(&mut *self.shared.known.lock().unwrap_or_else(PoisonError::into_inner));
        let listed = list.into_iter().filter_map(listed).map(|listed| {
            let known = before.remove(&listed.id).filter(|known| {
                known.listed == listed && is_settled(&listed) && !watched.contains(&listed.name)
            });
            (listed, known)
        });
        let listed: Vec<_> = listed.collect();
        let read = futures_util::stream::iter(listed)
            .map(|(listed, known)| async move {
                match known {
                    Some(known) => Ok(Some(known)),
                    None => match self.inspect(&listed.id).await {
                        Ok(Some(mut seen)) => {
                            seen.log = self.log_of(&seen, watched.contains(&listed.name)).await;
                            Ok(Some(Known { listed, seen }))
                        }
                        Ok(None) => Ok(None),
                        Err(trouble) => {
                            let (name, message) = (listed.name, trouble.message);
                            tracing::warn!(name, message, "a container could not be inspected");
                            Err(name)
                        }
                    },
                }
            })
            .buffered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;

        let (mut containers, mut unread) = (Vec::new(), Vec::new());
        let mut known = HashMap::new();
        for read in read {
            match read {
                Ok(Some(container)) => {
                    containers.push(container.seen.clone());
                    known.insert(container.listed.id.clone(), container);
                }
                // Gone since it was listed.
                Ok(None) => {}
                Err(name) => unread.push(name),
            }
        }
        *self.shared.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
        (containers, unread)
    }
}

fn listed(summary: ContainerSummary) -> Option<Listed> {
    let id = summary.id?;
    // Old links give a container more names, with a slash inside.
    let names = summary.names.unwrap_or_default();
    let mut names = names.iter().map(|name| name.trim_start_matches('/'));
    let name = names.find(|name| !name.contains('/')).unwrap_or(&id).to_owned();
    let state = summary.state.map(|state| state.to_string()).unwrap_or_default();
    Some(Listed { id, name, state, status: summary.status.unwrap_or_default() })
}

/// Whether the same text means the same: a container that crashes every few seconds reads
/// `Up 2 seconds` each time.
fn is_settled(listed: &Listed) -> bool {
    !listed.status.contains("second")
}
