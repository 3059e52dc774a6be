//! What the prevention audit asks: every container with its settings. Variables are read here and kept
//! nowhere.

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, RestartPolicyNameEnum};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};
use futures_util::StreamExt;

use super::snapshot::takes_as_needed;
use super::{CONTAINER, Docker, LIST, Limits, SMALL, inspect};
use crate::audit::{Inspected, InspectedHealth};

/// Inspects under way at once, and in all.
const AT_ONCE: usize = 8;
const MOST: usize = 1000;

/// An engine, for the audit.
pub(crate) struct Audited {
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) containers: Vec<Inspected>,
}

impl Docker {
    /// All containers as the audit sees them; why not, where the engine does not answer.
    pub(crate) async fn audited(&self) -> Result<Audited, String> {
        let small = Limits { within: self.pace().answer, cap: SMALL };
        let large = Limits { within: self.pace().answer, cap: LIST };
        let one = Limits { within: self.pace().answer, cap: CONTAINER };
        let information = self
            .ask(small, async |docker| docker.info().await)
            .await
            .map_err(|trouble| trouble.message)?;
        let all = ListContainersOptionsBuilder::default().all(true).build();
        let list = self.ask(large, async |docker| docker.list_containers(Some(all)).await).await;
        let list = list.map_err(|trouble| trouble.message)?;
        let ids = list.into_iter().filter_map(|summary| summary.id).take(MOST);
        let containers = futures_util::stream::iter(ids)
            .map(|id| async move {
                let none = None::<InspectContainerOptions>;
                self.ask(one, async |docker| docker.inspect_container(&id, none).await).await.ok()
            })
            .buffered(AT_ONCE)
            .filter_map(async |found| inspected(found?))
            .collect()
            .await;
        let memory_bytes = information.mem_total.and_then(|bytes| u64::try_from(bytes).ok());
        let chosen = !takes_as_needed(&information);
        Ok(Audited { memory_bytes: memory_bytes.filter(|bytes| chosen && *bytes > 0), containers })
    }
}

/// None for one-off runs and for what lacks a name.
fn inspected(found: ContainerInspectResponse) -> Option<Inspected> {
    let config = found.config.unwrap_or_default();
    let host = found.host_config.unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    let oneoff = labels.get("com.docker.compose.oneoff");
    if oneoff.is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || host.auto_remove == Some(true)
    {
        return None;
    }
    let policy = host.restart_policy.and_then(|policy| policy.name);
    let state = found.state.unwrap_or_default();
    let never =
        matches!(policy, Some(RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY) | None);
    // A job that ended well is no agent that stays down.
    if never && state.status == Some(ContainerStateStatusEnum::EXITED) && state.exit_code == Some(0)
    {
        return None;
    }
    let mut ports = Vec::new();
    for (inside, bindings) in host.port_bindings.unwrap_or_default() {
        for binding in bindings.unwrap_or_default() {
            let address = binding.host_ip.filter(|address| !address.is_empty());
            let outside = binding.host_port.unwrap_or_default();
            ports.push(match address {
                Some(address) if address.contains(':') => format!("[{address}]:{outside}:{inside}"),
                Some(address) => format!("{address}:{outside}:{inside}"),
                None => format!("{outside}:{inside}"),
            });
        }
    }
    // The engine gives them in no order.
    ports.sort();
    Some(Inspected {
        name: found.name?.trim_start_matches('/').to_owned(),
        image: config.image.unwrap_or_default(),
        restart: match policy {
            Some(RestartPolicyNameEnum::ALWAYS) => "always",
            Some(RestartPolicyNameEnum::UNLESS_STOPPED) => "unless-stopped",
            Some(RestartPolicyNameEnum::ON_FAILURE) => "on-failure",
            Some(RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY) | None => "no",
        }
        .to_owned(),
        memory_limit: host.memory.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default(),
        peak_bytes: inspect::peak(&state, found.id.as_deref()),
        oom_killed: state.oom_killed.unwrap_or_default(),
        restart_count: found
            .restart_count
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or_default(),
        environment: config.env.unwrap_or_default(),
        extra_hosts: host.extra_hosts.unwrap_or_default(),
        network_mode: host.network_mode.unwrap_or_default(),
        command: config.entrypoint.into_iter().chain(config.cmd).flatten().collect(),
        // Nanoseconds (moby api/types/container/config.go, HealthConfig).
        health: config.healthcheck.filter(|check| check.test.is_some()).map(|check| {
            let milliseconds = |nanoseconds: Option<i64>| {
                nanoseconds.and_then(|time| u64::try_from(time).ok()).unwrap_or_default()
                    / 1_000_000
            };
            InspectedHealth {
                test: check.test.unwrap_or_default(),
                start_period_ms: milliseconds(check.start_period),
                interval_ms: milliseconds(check.interval),
                retries: check
                    .retries
                    .and_then(|count| u64::try_from(count).ok())
                    .unwrap_or_default(),
            }
        }),
        ports,
        compose: inspect::compose(&labels).map(|(compose, _)| compose),
    })
}
