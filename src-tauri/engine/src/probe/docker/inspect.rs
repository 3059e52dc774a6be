//! What `inspect` says, in the doctor's words.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::Path;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, Health, HealthStatusEnum,
    NetworkSettings, RestartPolicyNameEnum,
};
use doctor::{
    Compose, ContainerHealth, ContainerLog, ContainerSeen, ContainerStatus, Healer, RestartPolicy,
    Setting,
};

use crate::action::light;
use crate::platform;

/// None where the answer lacks what makes it a container.
pub(super) fn seen(found: ContainerInspectResponse) -> Option<ContainerSeen> {
    let state = found.state?;
    let config = found.config.unwrap_or_default();
    let host = found.host_config.unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    let (compose, light) = compose(&labels).unzip();
    let image = config.image.or(found.image).unwrap_or_default();
    // `NAME=VALUE` (moby api/types/container/config.go). Values may be secrets: only these are read.
    let variables = config.env.unwrap_or_default();
    let settings = Setting::among(|name| {
        let value = |one: &String| one.strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
        variables.iter().find_map(value)
    });
    let peak_bytes = peak(&state, found.id.as_deref());
    Some(ContainerSeen {
        id: found.id.filter(|id| !id.is_empty())?,
        name: found.name?.trim_start_matches('/').to_owned(),
        image: image.clone(),
        status: status(&state)?,
        health: state.health.as_ref().and_then(health),
        exit_code: state.exit_code.unwrap_or_default(),
        oom_killed: state.oom_killed.unwrap_or_default(),
        started_ms: state.started_at.as_deref().and_then(milliseconds),
        finished_ms: state.finished_at.as_deref().and_then(milliseconds),
        restart_count: at_least_zero(found.restart_count),
        restart_policy: host.restart_policy.map_or(RestartPolicy::No, |policy| {
            restart_policy(policy.name, at_least_zero(policy.maximum_retry_count))
        }),
        memory_limit: at_least_zero(host.memory),
        peak_bytes,
        stop_timeout_s: stop_timeout(config.stop_timeout),
        stop_signal: config.stop_signal.filter(|s| !s.is_empty()).unwrap_or("SIGTERM".into()),
        // Nanoseconds (moby api/types/container/config.go, HealthConfig).
        start_period_s: config
            .healthcheck
            .and_then(|check| check.start_period)
            .map_or(0, |period| at_least_zero(Some(period)) / 1_000_000_000),
        log: ContainerLog::default(),
        progress: None,
        skip: labels.get("homeostat.skip").is_some_and(|value| value == "true"),
        compose,
        light: light.unwrap_or_default(),
        settings,
        depends_on: depends_on(&labels),
        marks: marks(&labels),
        healer: healer(&image, &labels, &variables),
        addresses: addresses(found.network_settings),
    })
}

/// What it held at most, where its processes are this machine's.
pub(super) fn peak(state: &ContainerState, id: Option<&str>) -> Option<u64> {
    let pid = u32::try_from(state.pid?).ok().filter(|pid| *pid > 0)?;
    platform::memory_peak(pid, id.filter(|id| !id.is_empty())?)
}

/// One for each network that it is on, and each kind of address; an engine writes an empty text for
/// none (moby api/types/network/endpoint.go).
pub(super) fn addresses(settings: Option<NetworkSettings>) -> Vec<IpAddr> {
    let networks = settings.and_then(|settings| settings.networks).unwrap_or_default();
    let each = networks.into_values().flat_map(|one| [one.ip_address, one.global_ipv6_address]);
    let mut found: Vec<IpAddr> =
        each.flatten().filter_map(|address| address.parse().ok()).collect();
    found.sort_unstable();
    found
}

/// `StopTimeout` of the container, else the engine's 10 s; -1 is "wait for ever" and becomes a day.
fn stop_timeout(seconds: Option<i64>) -> u64 {
    const DAY: u64 = 86_400;
    match seconds {
        None => 10,
        Some(seconds) => u64::try_from(seconds).map_or(DAY, |seconds| seconds.min(DAY)),
    }
}

fn status(state: &ContainerState) -> Option<ContainerStatus> {
    Some(match state.status? {
        ContainerStateStatusEnum::CREATED => ContainerStatus::Created,
        // It runs until it has stopped.
        ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING => {
            ContainerStatus::Running
        }
        ContainerStateStatusEnum::PAUSED => ContainerStatus::Paused,
        ContainerStateStatusEnum::RESTARTING => ContainerStatus::Restarting,
        ContainerStateStatusEnum::REMOVING => ContainerStatus::Removing,
        ContainerStateStatusEnum::EXITED => ContainerStatus::Exited,
        ContainerStateStatusEnum::DEAD => ContainerStatus::Dead,
        ContainerStateStatusEnum::EMPTY => return None,
    })
}

fn health(health: &Health) -> Option<ContainerHealth> {
    match health.status? {
        HealthStatusEnum::STARTING => Some(ContainerHealth::Starting),
        HealthStatusEnum::HEALTHY => Some(ContainerHealth::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(ContainerHealth::Unhealthy),
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => None,
    }
}

fn restart_policy(name: Option<RestartPolicyNameEnum>, at_most: u64) -> RestartPolicy {
    match name {
        Some(RestartPolicyNameEnum::ALWAYS) => RestartPolicy::Always,
        Some(RestartPolicyNameEnum::UNLESS_STOPPED) => RestartPolicy::UnlessStopped,
        Some(RestartPolicyNameEnum::ON_FAILURE) => RestartPolicy::OnFailure(at_most),
        Some(RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY) | None => RestartPolicy::No,
    }
}

/// From the labels that Compose writes (compose-go `labels.go`); none for a one-off run, or where
/// a label that is needed to find it again is missing. Our own file is no part of the project; true
/// where there is one.
pub(super) fn compose(labels: &HashMap<String, String>) -> Option<(Compose, bool)> {
    let label = |name: &str| {
        labels.get(&format!("com.docker.compose.{name}")).filter(|value| !value.is_empty()).cloned()
    };
    if label("oneoff").is_some_and(|oneoff| oneoff.eq_ignore_ascii_case("true")) {
        return None;
    }
    let directory = label("project.working_dir");
    // Compose 1 writes the files as they were given, which may be relative.
    let absolute = |file: &str| match &directory {
        Some(directory) => Path::new(directory).join(file).display().to_string(),
        None => file.to_owned(),
    };
    let files = label("project.config_files")?;
    let files = files.split(',').map(str::trim).filter(|file| !file.is_empty());
    let (ours, files): (Vec<_>, Vec<_>) =
        files.map(absolute).partition(|file| light::is_ours(file));
    let compose = Compose {
        files,
        service: label("service")?,
        project: label("project"),
        env_file: label("project.environment_file"),
        directory,
        light: BTreeMap::new(),
    };
    Some((compose, !ours.is_empty()))
}

/// `db:service_healthy:false,cache:service_started:true`, written by Compose 2 (compose
/// `pkg/compose/create.go`); Compose 1 writes none.
fn depends_on(labels: &HashMap<String, String>) -> Vec<String> {
    let label = labels.get("com.docker.compose.depends_on").map(String::as_str).unwrap_or_default();
    let names = label.split(',').filter_map(|one| one.split(':').next()).map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Not more than anybody would set by hand.
fn marks(labels: &HashMap<String, String>) -> Vec<String> {
    let mut marks: Vec<String> =
        labels.iter().filter(|(_, value)| *value == "true").map(|(name, _)| name.clone()).collect();
    marks.sort_unstable();
    marks.truncate(64);
    marks
}

/// By the image's own name, wherever it comes from, and by the label that watchtower gives itself
/// (containrrr/watchtower `pkg/container/metadata.go`).
fn healer(image: &str, labels: &HashMap<String, String>, environment: &[String]) -> Option<Healer> {
    let name = image.rsplit('/').next().unwrap_or(image);
    let name = name.split(['@', ':']).next().unwrap_or(name);
    if matches!(name, "autoheal" | "docker-autoheal") {
        let set = environment.iter().find_map(|one| one.strip_prefix("AUTOHEAL_CONTAINER_LABEL="));
        let label = match set {
            None | Some("") => Some("autoheal"),
            Some("all") => None,
            other => other,
        };
        return Some(Healer::Autoheal { label: label.map(str::to_owned) });
    }
    let says_so = labels.get("com.centurylinklabs.watchtower").is_some_and(|value| value == "true");
    (says_so || name == "watchtower").then_some(Healer::Watchtower)
}

/// RFC 3339 to milliseconds since 1970; the engine writes `0001-01-01T00:00:00Z` for "never".
fn milliseconds(time: &str) -> Option<i64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(time.as_millisecond()).filter(|milliseconds| *milliseconds > 0)
}

fn at_least_zero(number: Option<i64>) -> u64 {
    number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use doctor::Setting;

    use super::seen;

    #[test]
    fn of_an_environment_only_the_named_numbers_are_read() {
        let found = serde_json::from_value(serde_json::json!({
            "Id": "a", "Name": "/worker", "State": { "Status": "running" },
            "Config": { "Env": [
                "POSTGRES_PASSWORD=s3cret", "SMART_WORKER_MAX_CONCURRENT=12",
                "MAX_CONCURRENT_VICTORIA=many", "MLX_MAX_CONCURRENT_OLD=3", "UVICORN_WORKERS",
            ] },
        }));
        let seen = seen(found.unwrap()).unwrap();
        let expected = Setting { name: "SMART_WORKER_MAX_CONCURRENT".into(), value: 12 };
        assert_eq!(seen.settings, [expected]);
        assert!(!format!("{seen:?}").contains("s3cret"));
    }
}
