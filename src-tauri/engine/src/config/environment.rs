//! Defaults from environment variables that the watched programs use themselves.

use std::time::Duration;

use reqwest::Url;

use super::values;
use super::{DockerHost, sections};
use crate::address::without_secrets;

/// What the environment says; none where it says nothing.
#[derive(Default)]
pub(super) struct Environment {
    pub(super) ollama: Option<Url>,
    pub(super) mlx: Option<Url>,
    pub(super) docker: Option<DockerHost>,
    pub(super) full_check: Option<Duration>,
    pub(super) grace: Option<Duration>,
    pub(super) home: Option<String>,
    pub(super) warnings: Vec<String>,
}

impl Environment {
    pub(super) fn read(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let mut found = Self { home: set("HOME"), ..Self::default() };
        let mut used = |name: &str, value: &str, says: String| {
            let value = without_secrets(value);
            found.warnings.push(format!("The variable {name} is ignored: \"{value}\" {says}."));
        };
        // The first of two variables for the same thing wins.
        let mut ollama = None;
        let mut mlx = None;
        for name in ["OLLAMA_BASE_URL", "OLLAMA_HOST", "MLX_API_URL", "MAC_LLM_URL"] {
            let Some(value) = set(name) else { continue };
            let read = if name == "OLLAMA_HOST" { ollama_host(&value) } else { on_host(&value) };
            match read {
                Ok(url) if name.starts_with("OLLAMA") => ollama = ollama.or(Some(url)),
                Ok(url) if name == "MLX_API_URL" => mlx = Some(url),
                // MAC_LLM_URL names the one server or the other; the port tells which.
                Ok(url) if url.port() == Some(11434) => ollama = ollama.or(Some(url)),
                Ok(url) => mlx = mlx.or(Some(url)),
                Err(says) => used(name, &value, says),
            }
        }
        let mut docker = None;
        if let Some(value) = set("DOCKER_HOST") {
            match values::docker_host(&value) {
                Ok(host) => docker = Some(host),
                Err(says) => used("DOCKER_HOST", &value, says),
            }
        }
        let mut seconds = |name: &str, (least, most): (Duration, Duration)| {
            let value = set(name)?;
            let Ok(number) = value.trim().parse() else {
                used(name, &value, "is not a whole number of seconds".into());
                return None;
            };
            // Out of range is taken as the nearest end, as the programs that read it do.
            Some(Duration::from_secs(number).clamp(least, most))
        };
        let full_check = seconds("ORCHESTRATOR_HEALTH_MONITOR_INTERVAL", sections::FULL_CHECK);
        let grace = seconds("SERVICE_MONITOR_INITIAL_DELAY", sections::GRACE);
        Self { ollama, mlx, docker, full_check, grace, ..found }
    }
}

/// The forms that Ollama takes (ollama envconfig/config.go, `Host`): scheme, port and host may each
/// be missing. It listens there; we connect, so "every address" becomes this machine.
fn ollama_host(value: &str) -> Result<Url, String> {
    let text = value.trim().trim_matches(['"', '\'']);
    let (scheme, rest, port) = match text.split_once("://") {
        Some(("http", rest)) => ("http", rest, "80"),
        Some(("https", rest)) => ("https", rest, "443"),
        Some(_) => return Err("is not an http or https address".into()),
        None => ("http", text, "11434"),
    };
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match address.rsplit_once(':') {
        // Several colons and no bracket: an IPv6 address without a port.
        Some((host, _)) if host.contains(':') && !host.ends_with(']') => (address, port),
        Some((host, given)) if !given.is_empty() && !given.contains(']') => (host, given),
        _ => (address.trim_end_matches(':'), port),
    };
    let host = match host.trim_matches(['[', ']']) {
        "" | "0.0.0.0" => "127.0.0.1".to_owned(),
        "::" => "[::1]".to_owned(),
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    values::base_url(&format!("{scheme}://{host}:{port}/{path}"))
}

/// These variables are often those of a container, where this machine is `host.docker.internal`.
fn on_host(value: &str) -> Result<Url, String> {
    let mut url = values::base_url(value.trim())?;
    if matches!(url.host_str(), Some("host.docker.internal" | "0.0.0.0")) {
        url.set_host(Some("127.0.0.1")).map_err(|error| error.to_string())?;
    }
    Ok(url)
}
