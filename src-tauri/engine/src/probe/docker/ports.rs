//! What a service that fails may be reached by, and whether its container works: asked only while it
//! fails.

use std::net::IpAddr;
use std::time::Duration;

use bollard::models::{ContainerStatsResponse, PortMap};
use bollard::query_parameters::{InspectContainerOptions, StatsOptionsBuilder};
use doctor::Behind;
use futures_util::StreamExt;

use crate::platform;

use super::{CONTAINER, Docker, Limits, SMALL, inspect, is_container_name};

/// The doors of a container that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doors {
    /// Port inside, and port of the host that leads there; TCP only.
    pub published: Vec<(u16, u16)>,
    /// Declared, and leading nowhere.
    pub inside: Vec<u16>,
    /// On the engine's networks.
    pub addresses: Vec<IpAddr>,
    /// Its first process, as the engine counts, and its id.
    pub first: Option<(u32, String)>,
    pub image: Option<String>,
}

/// The engine takes two samples, one second apart.
const SAMPLED: Duration = Duration::from_secs(4);

impl Docker {
    /// None: it does not run, or nobody could tell.
    pub async fn doors(&self, name: &str) -> Option<Doors> {
        if !is_container_name(name) {
            return None;
        }
        let limits = Limits { within: self.pace().answer, cap: CONTAINER };
        let found = self
            .ask(limits, async |docker| {
                docker.inspect_container(name, None::<InspectContainerOptions>).await
            })
            .await
            .ok()?;
        let runs = found.state.as_ref()?.running.unwrap_or_default();
        let settings = found.network_settings.filter(|_| runs)?;
        let ports = settings.ports.clone().unwrap_or_default();
        let first = found.state.and_then(|state| u32::try_from(state.pid?).ok());
        let first = first.filter(|pid| *pid > 0).zip(found.id.filter(|id| !id.is_empty()));
        let addresses = inspect::addresses(Some(settings));
        Some(Doors { addresses, first, image: found.image, ..doors(&ports) })
    }

    /// Where this port of the host leads to, if it leads into the container: what listens there, or else
    /// what its image declares.
    pub async fn behind(&self, doors: Doors, outside: u16) -> Option<Behind> {
        let (port, _) = *doors.published.iter().find(|(_, published)| *published == outside)?;
        let open = match doors.first {
            Some((pid, id)) => {
                tokio::task::spawn_blocking(move || platform::open_ports(pid, &id)).await.ok()?
            }
            None => None,
        };
        let declared = match (&open, doors.image) {
            (None, Some(image)) => self.declared(&image).await,
            (Some(_), _) | (None, None) => Vec::new(),
        };
        Some(Behind { port, open, declared })
    }

    /// TCP ports that an image declares; what a container publishes is added to its own.
    async fn declared(&self, image: &str) -> Vec<u16> {
        let limits = Limits { within: self.pace().answer, cap: CONTAINER };
        let found = self.ask(limits, async |docker| docker.inspect_image(image).await).await;
        let config = found.ok().and_then(|found| found.config);
        let ports = config.and_then(|config| config.exposed_ports).unwrap_or_default();
        let mut ports: Vec<u16> =
            ports.iter().filter_map(|port| port.strip_suffix("/tcp")?.parse().ok()).collect();
        ports.sort_unstable();
        ports
    }

    /// Per cent of one core that it uses now. Costs the engine two samples: never on a timer.
    pub async fn cpu_percent(&self, name: &str) -> Option<u32> {
        if !is_container_name(name) {
            return None;
        }
        let limits = Limits { within: SAMPLED.max(self.pace().answer), cap: SMALL };
        let once = StatsOptionsBuilder::default().stream(false).one_shot(false).build();
        let asked = self.ask(limits, async |docker| {
            let mut stats = Box::pin(docker.stats(name, Some(once)));
            stats.next().await.transpose()
        });
        percent(&asked.await.ok()??)
    }
}

fn doors(ports: &PortMap) -> Doors {
    let mut found = Doors::default();
    for (port, bindings) in ports {
        let Some(inside) = port.strip_suffix("/tcp").and_then(|port| port.parse().ok()) else {
            continue;
        };
        let outside = bindings.iter().flatten().filter_map(|one| one.host_port.as_ref());
        let outside: Vec<u16> = outside.filter_map(|port| port.parse().ok()).collect();
        if outside.is_empty() {
            found.inside.push(inside);
        }
        found.published.extend(outside.into_iter().map(|port| (inside, port)));
    }
    // One for IPv4 and one for IPv6.
    found.published.sort_unstable();
    found.published.dedup();
    found.inside.sort_unstable();
    found
}

/// As the `docker` command computes it (docker/cli `cli/command/container/stats_helpers.go`,
/// calculateCPUPercentUnix).
fn percent(stats: &ContainerStatsResponse) -> Option<u32> {
    let (now, before) = (stats.cpu_stats.as_ref()?, stats.precpu_stats.as_ref()?);
    let used = |one: &bollard::models::ContainerCpuStats| one.cpu_usage.as_ref()?.total_usage;
    let own = used(now)?.checked_sub(used(before)?)?;
    let whole = now.system_cpu_usage?.checked_sub(before.system_cpu_usage?)?;
    let cores = u64::from(now.online_cpus?);
    let percent = own.checked_mul(cores)?.checked_mul(100)?.checked_div(whole)?;
    u32::try_from(percent).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_told_by_where_they_lead() {
        let ports = serde_json::json!({
            "8000/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8010"}, {"HostIp": "::", "HostPort": "8010"}],
            "9000/tcp": null,
            "53/udp": [{"HostIp": "0.0.0.0", "HostPort": "5353"}],
        });
        let found = doors(&serde_json::from_value(ports).unwrap());
        assert_eq!(found.published, [(8000, 8010)]);
        assert_eq!(found.inside, [9000]);
    }

    #[test]
    fn work_is_told_in_per_cent_of_one_core() {
        let sample = |own: u64, whole: u64| serde_json::json!({"cpu_usage": {"total_usage": own}, "system_cpu_usage": whole, "online_cpus": 4});
        let stats = |before, now| {
            serde_json::from_value(serde_json::json!({"precpu_stats": before, "cpu_stats": now}))
                .unwrap()
        };
        assert_eq!(percent(&stats(sample(0, 0), sample(500, 2000))), Some(100));
        assert_eq!(percent(&stats(sample(0, 1000), sample(0, 2000))), Some(0));
        // The first sample ever has none before it.
        assert_eq!(percent(&stats(serde_json::json!({}), sample(5, 5))), None);
        assert_eq!(percent(&stats(sample(5, 5), sample(5, 5))), None);
    }
}
