//! Where models lie.

use std::path::{Path, PathBuf};

use doctor::{Listener, ProcessSeen};

use crate::platform;

/// Where the server that listens keeps its models; none: nobody can tell.
///
/// By the environment that the process was started with, else by its user's home (envconfig/config.go
/// `Models`: `OLLAMA_MODELS`, else `$HOME/.ollama/models`). The installer of Linux gives its user
/// `ollama` the home `/usr/share/ollama` (scripts/install.sh), Arch `/var/lib/ollama`.
pub(super) fn served(listener: &Listener) -> Option<PathBuf> {
    match listener {
        // A port that is passed on, to a container for one, is not where the models lie.
        Listener::Process(process) if !is_ollama(process) => None,
        Listener::Process(process) => {
            let variable = |name: &str| platform::variable(process.id.pid, name);
            let named = variable("OLLAMA_MODELS").filter(|path| !path.trim().is_empty());
            let home = || {
                let told = variable("HOME").map(PathBuf::from);
                told.or_else(|| platform::user_home(process.uid?))
            };
            named
                .map(|path| PathBuf::from(path.trim()))
                .or_else(|| home().map(|home| below(&home)))
                .filter(|path| path.is_absolute())
        }
        // Somebody else's process: only the installer's place can be guessed, where it exists.
        Listener::Hidden => ["/usr/share/ollama", "/var/lib/ollama"]
            .iter()
            .map(|home| below(Path::new(home)))
            .find(|place| place.is_dir()),
        Listener::Nobody | Listener::NotAsked => own(),
    }
}

/// Whether the environment of the process may be read: else its home is only a guess.
pub(super) fn is_told(listener: &Listener) -> bool {
    match listener {
        Listener::Process(process) => {
            ["HOME", "PATH"].iter().any(|name| platform::variable(process.id.pid, name).is_some())
        }
        Listener::Hidden | Listener::Nobody | Listener::NotAsked => false,
    }
}

fn is_ollama(process: &ProcessSeen) -> bool {
    let called = process.command.first().and_then(|name| Path::new(name).file_name());
    process.id.program() == "ollama" || called.is_some_and(|name| name == "ollama")
}

/// Where the models of the user lie that we run as.
pub(super) fn own() -> Option<PathBuf> {
    let named = std::env::var_os("OLLAMA_MODELS").map(PathBuf::from);
    let named = named.filter(|path| path.is_absolute());
    named.or_else(|| std::env::home_dir().map(|home| below(&home)))
}

/// Whether the server of this address runs on this machine.
pub(super) fn is_here(url: &str) -> bool {
    let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost"
            || address.is_ok_and(|address| address.is_loopback() || address.is_unspecified())
    })
}

fn below(home: &Path) -> PathBuf {
    home.join(".ollama/models")
}
