//! What a silent engine runs in: who could restart it.

use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use doctor::EngineKeeper;

use super::Docker;
use crate::docker_host::{Endpoint, endpoints};
use crate::platform;

/// A walk over all processes is not for every look at an engine that may be off for weeks.
const EVERY: Duration = Duration::from_mins(1);

/// Docker Desktop's own process, on macOS and Linux (FACTS C.4).
const BACKEND: &str = "com.docker.backend";

impl Docker {
    /// None where nobody can tell: another machine's, `OrbStack`, Colima, Rancher Desktop.
    pub(super) async fn keeper(&self) -> Option<EngineKeeper> {
        if let Some((asked, keeper)) = &*self.known_keeper()
            && asked.elapsed() < EVERY
        {
            return keeper.clone();
        }
        let places = match self.current() {
            Some(endpoint) => vec![endpoint],
            None => endpoints(self.host(), self.surroundings()).unwrap_or_default(),
        };
        let keeper = match installed(&places, Path::new("/")) {
            Some(EngineKeeper::Desktop { .. }) => {
                Some(EngineKeeper::Desktop { runs: runs().await })
            }
            Some(EngineKeeper::Unit(unit)) => Some(EngineKeeper::Unit(unit)),
            None => None,
        };
        *self.known_keeper() = Some((Instant::now(), keeper.clone()));
        keeper
    }

    fn known_keeper(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Option<EngineKeeper>)>> {
        self.shared.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn runs() -> bool {
    let found = tokio::task::spawn_blocking(|| platform::processes_named(&[BACKEND]));
    found.await.is_ok_and(|found| !found.is_empty())
}

/// By its socket: Docker Desktop's own, or the common one, which on a Mac is Docker Desktop's too
/// (FACTS C.4) and on Linux that of the system's unit (moby `contrib/init/systemd/docker.service`).
fn installed(places: &[Endpoint], root: &Path) -> Option<EngineKeeper> {
    let in_root = |path: &str| root.join(path.trim_start_matches('/'));
    let desktop = ["/Applications/Docker.app", "/opt/docker-desktop"];
    let has_desktop = desktop.iter().any(|folder| in_root(folder).is_dir());
    let desktop = || has_desktop.then_some(EngineKeeper::Desktop { runs: false });
    let units = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
    let is_unit = |folder: &str| in_root(folder).join("docker.service").is_file();
    // systemd is the one that runs (sd_booted(3)).
    let has_unit = in_root("/run/systemd/system").is_dir() && units.iter().any(|one| is_unit(one));
    places.iter().find_map(|place| {
        let Endpoint::Unix(socket) = place else { return None };
        if is_desktops(socket) {
            desktop()
        } else if socket == Path::new("/var/run/docker.sock")
            || socket == Path::new("/run/docker.sock")
        {
            let unit = || has_unit.then(|| EngineKeeper::Unit("docker".into()));
            if cfg!(target_os = "macos") { desktop() } else { unit() }
        } else {
            None
        }
    })
}

fn is_desktops(socket: &Path) -> bool {
    socket.ends_with(".docker/run/docker.sock") || socket.ends_with(".docker/desktop/docker.sock")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]
mod tests {
    use super::{Endpoint, EngineKeeper, installed};

    #[test]
    fn a_keeper_is_told_by_the_socket_and_by_what_is_installed() {
        let root = tempfile::tempdir().unwrap();
        let make = |folder: &str| std::fs::create_dir_all(root.path().join(folder)).unwrap();
        let told = |socket: &str| installed(&[Endpoint::Unix(socket.into())], root.path());
        let (own, common) = ("/Users/me/.docker/run/docker.sock", "/var/run/docker.sock");
        assert_eq!((told(own), told(common)), (None, None), "nothing is installed");
        make("Applications/Docker.app");
        assert_eq!(told(own), Some(EngineKeeper::Desktop { runs: false }));
        assert_eq!(told("/Users/me/.orbstack/run/docker.sock"), None);
        assert_eq!(installed(&[Endpoint::Tcp("box:2375".into())], root.path()), None);
        make("etc/systemd/system");
        std::fs::write(root.path().join("etc/systemd/system/docker.service"), "").unwrap();
        if cfg!(target_os = "linux") {
            assert_eq!(told(common), None, "systemd does not run");
            make("run/systemd/system");
            assert_eq!(told(common), Some(EngineKeeper::Unit("docker".into())));
        }
    }
}
