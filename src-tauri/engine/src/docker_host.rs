//! Where the Docker engine listens: as configured, or found the way the `docker` command finds it.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// What is around this process. An argument, so that a test can give another.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    pub home: Option<PathBuf>,
    pub variables: BTreeMap<String, String>,
}

/// An address on which an engine may listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Unix(PathBuf),
    /// `HOST:PORT`, without encryption.
    Tcp(String),
}

/// Why no address could be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    #[error(
        "the Docker host `{host}` (from {source_name}) is not supported; expected unix:///PATH or tcp://HOST:PORT"
    )]
    Unsupported { host: String, source_name: &'static str },
    #[error(
        "the Docker context `{name}` (from DOCKER_CONTEXT) is not in {place}; see `docker context ls`"
    )]
    NoContext { name: String, place: String },
    #[error(
        "`{host}` (from {source_name}) is reached through ssh, which is not supported; forward its \
         socket (`ssh -L /tmp/docker.sock:/var/run/docker.sock …`) and name that in [docker] host"
    )]
    Ssh { host: String, source_name: &'static str },
    #[error(
        "the Docker host `{host}` (from {source_name}) wants TLS, which is not supported; expected \
         unix:///PATH or tcp://HOST:PORT without TLS"
    )]
    Encrypted { host: String, source_name: &'static str },
}

impl Surroundings {
    pub fn of_this_process() -> Self {
        let text = |value: std::ffi::OsString| value.into_string().ok();
        Self {
            home: std::env::home_dir(),
            variables: std::env::vars_os()
                .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
                .collect(),
        }
    }

    /// A variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// The addresses to try, in order; never empty. `host` is `auto`, `unix://…` or `tcp://…`. Where
/// one address is named (configured, `DOCKER_HOST`, a context) it is the only one: another engine
/// would show other containers as if ours were gone.
pub fn endpoints(host: &str, surroundings: &Surroundings) -> Result<Vec<Endpoint>, HostError> {
    if host != "auto" {
        return Ok(vec![endpoint(host, "the configuration")?]);
    }
    if let Some(host) = surroundings.variable("DOCKER_HOST") {
        let found = endpoint(host, "DOCKER_HOST")?;
        // Both switch it on, whatever they are set to (docker/cli `cli/flags/options.go`).
        let encrypted = ["DOCKER_TLS_VERIFY", "DOCKER_TLS"];
        let encrypted = encrypted.iter().any(|name| surroundings.variable(name).is_some());
        return unencrypted(found, encrypted, "DOCKER_HOST and DOCKER_TLS_VERIFY");
    }
    if let Some((host, encrypted)) = context_host(surroundings)? {
        let found = endpoint(&host, "the Docker context")?;
        return unencrypted(found, encrypted, "the Docker context");
    }
    Ok(known_sockets(surroundings))
}

/// A socket is the owner's alone, and nobody encrypts it.
fn unencrypted(
    endpoint: Endpoint,
    encrypted: bool,
    source_name: &'static str,
) -> Result<Vec<Endpoint>, HostError> {
    match endpoint {
        Endpoint::Tcp(address) if encrypted => {
            Err(HostError::Encrypted { host: format!("tcp://{address}"), source_name })
        }
        endpoint @ (Endpoint::Unix(_) | Endpoint::Tcp(_)) => Ok(vec![endpoint]),
    }
}

fn endpoint(host: &str, source_name: &'static str) -> Result<Endpoint, HostError> {
    let unsupported = || HostError::Unsupported { host: host.to_owned(), source_name };
    if let Some(path) = host.strip_prefix("unix://") {
        let absolute = path.starts_with('/').then(|| Endpoint::Unix(path.into()));
        return absolute.ok_or_else(unsupported);
    }
    if host.starts_with("ssh://") {
        return Err(HostError::Ssh { host: host.to_owned(), source_name });
    }
    if host.starts_with("https://") {
        return Err(HostError::Encrypted { host: host.to_owned(), source_name });
    }
    let address = host
        .strip_prefix("tcp://")
        .or_else(|| host.strip_prefix("http://"))
        .map(|address| address.trim_end_matches('/'))
        .filter(|address| !address.is_empty() && !address.contains(['/', '?', '#', '@']))
        .ok_or_else(unsupported)?;
    // The port that the `docker` command assumes (docker/cli opts/hosts.go).
    let ported = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(Endpoint::Tcp(if ported { address.to_owned() } else { format!("{address}:2375") }))
}

/// The host of the current context, and whether it has keys for TLS; none where that is the default
/// one. A context that only `config.json` names and that is gone is a leftover of an engine that was
/// removed.
fn context_host(surroundings: &Surroundings) -> Result<Option<(String, bool)>, HostError> {
    let configured = surroundings.variable("DOCKER_CONFIG").map(PathBuf::from);
    let Some(folder) =
        configured.or_else(|| surroundings.home.as_ref().map(|home| home.join(".docker")))
    else {
        return Ok(None);
    };
    let asked = surroundings.variable("DOCKER_CONTEXT");
    let current = || read_json::<CommandConfig>(&folder.join("config.json"))?.current_context;
    let Some(name) = asked.map(str::to_owned).or_else(current) else { return Ok(None) };
    if name.is_empty() || name == "default" {
        return Ok(None);
    }
    let hashed = hexadecimal(&name);
    let place = folder.join("contexts/meta").join(&hashed).join("meta.json");
    // Its keys lie beside it, and it is encrypted when there are any (docker/cli
    // `cli/context/tlsdata.go`).
    let encrypted = folder.join("contexts/tls").join(&hashed).join("docker").is_dir();
    let host = read_json::<Context>(&place).and_then(|context| context.endpoints.docker?.host);
    match (host, asked) {
        (None, Some(_)) => Err(HostError::NoContext { name, place: place.display().to_string() }),
        (host, _) => Ok(host.map(|host| (host, encrypted))),
    }
}

/// Docker Desktop, `OrbStack`, Colima (now and older, and its other profiles), Rancher Desktop, the
/// place on Linux, an engine without root, and podman, which speaks the same language.
fn known_sockets(surroundings: &Surroundings) -> Vec<Endpoint> {
    const IN_HOME: [&str; 5] = [
        ".docker/run/docker.sock",
        ".orbstack/run/docker.sock",
        ".colima/default/docker.sock",
        ".colima/docker.sock",
        ".rd/docker.sock",
    ];
    /// Where `podman machine` puts it on a Mac, and an engine with root on Linux (podman
    /// `docs/source/markdown/podman-system-service.1.md`).
    const PODMAN_IN_HOME: &str = ".local/share/containers/podman/machine/podman.sock";
    const PODMAN: &str = "/run/podman/podman.sock";
    let home = surroundings.home.as_deref();
    let running = surroundings.variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    let in_home = home.into_iter().flat_map(|home| IN_HOME.map(|socket| home.join(socket)));
    let mut places: Vec<PathBuf> = in_home.collect();
    places.extend(home.into_iter().flat_map(colima_profiles));
    places.push("/var/run/docker.sock".into());
    places.extend(running.iter().map(|running| running.join("docker.sock")));
    places.extend(running.iter().map(|running| running.join("podman/podman.sock")));
    places.extend(home.map(|home| home.join(PODMAN_IN_HOME)));
    places.push(PODMAN.into());
    let mut found: Vec<Endpoint> = Vec::new();
    for place in places.into_iter().map(Endpoint::Unix) {
        if !found.contains(&place) {
            found.push(place);
        }
    }
    found
}

/// `~/.colima/PROFILE/docker.sock`, those that are there.
fn colima_profiles(home: &Path) -> Vec<PathBuf> {
    const AT_MOST: usize = 16;
    let Ok(folders) = std::fs::read_dir(home.join(".colima")) else { return Vec::new() };
    let sockets = folders.flatten().map(|folder| folder.path().join("docker.sock"));
    let mut found: Vec<PathBuf> = sockets.filter(|path| path.exists()).take(AT_MOST).collect();
    found.sort_unstable();
    found
}

#[derive(Deserialize)]
struct CommandConfig {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct Context {
    #[serde(rename = "Endpoints")]
    endpoints: ContextEndpoints,
}

#[derive(Deserialize)]
struct ContextEndpoints {
    docker: Option<ContextEndpoint>,
}

#[derive(Deserialize)]
struct ContextEndpoint {
    #[serde(rename = "Host")]
    host: Option<String>,
}

/// None where the file is missing, unreadable, or not what it should be: then the next way counts.
fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Option<T> {
    const AT_MOST: u64 = 1 << 20;
    let mut text = Vec::new();
    File::open(path).ok()?.take(AT_MOST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text)
        .inspect_err(|error| tracing::debug!(path = %path.display(), %error, "not understood"))
        .ok()
}

fn hexadecimal(name: &str) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(name.as_bytes()) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
