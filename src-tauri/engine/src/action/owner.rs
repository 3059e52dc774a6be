//! Stopping a server through the program that keeps it running, and starting it through that again.

use std::io;
use std::path::Path;
use std::time::Duration;

use doctor::{Lever, Listener, Outcome, ProcessId, Supervisor};
use tokio::time::{Instant, sleep};

use crate::healers::Job;
use crate::platform::{self, LeverError};

/// How often a wait looks again.
const POLL: Duration = Duration::from_millis(250);

/// Only while it keeps this very process: a program of the same name that somebody else has started
/// is not its to stop (R4).
pub async fn stop(lever: &Lever, process: Option<&ProcessId>, stopped_jobs: &Path) -> Outcome {
    if let Some(process) = process
        && !keeps(lever, process).await
    {
        return Outcome::IdentityChanged;
    }
    let told = match lever {
        Lever::Unit(unit) => platform::stop_unit(unit, true).await,
        Lever::SystemUnit(unit) => platform::stop_unit(unit, false).await,
        Lever::App(app) => platform::quit_app(app).await,
        Lever::Launchd(label) => return stop_job(label, stopped_jobs).await,
        Lever::Command(_) => return Outcome::IdentityChanged,
    };
    match told {
        Ok(()) => Outcome::Done,
        Err(error) => failed(&error),
    }
}

/// Whoever listens on the port within this time, at the latest at its end.
pub async fn await_back(port: u16, within: Duration) -> Outcome {
    let deadline = Instant::now() + within;
    loop {
        let looking = tokio::task::spawn_blocking(move || {
            if platform::is_listening(port) { platform::listener(port) } else { Listener::Nobody }
        });
        let listener = looking.await.unwrap_or(Listener::NotAsked);
        if !matches!(listener, Listener::Nobody | Listener::NotAsked) || Instant::now() >= deadline
        {
            return Outcome::Listening(listener);
        }
        sleep(POLL).await;
    }
}

/// A job that was booted out is not there to be kicked: it is loaded again first.
pub async fn start_job(label: &str, stopped_jobs: &Path) -> Outcome {
    let mut stopped = load(stopped_jobs);
    if let Some(at) = stopped.iter().position(|job| job.label == label) {
        let loaded = platform::loaded_jobs().await.unwrap_or_default();
        if !loaded.iter().any(|one| one == label)
            && let Err(error) = platform::begin_job(&stopped[at].file).await
        {
            return failed(&error);
        }
        stopped.remove(at);
        if let Err(error) = save(&stopped, stopped_jobs) {
            tracing::warn!(%error, "a job that runs again stays written down as stopped");
        }
    }
    started(platform::kickstart(label).await)
}

pub fn started(result: Result<(), LeverError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Started { process: None },
        Err(error) => failed(&error),
    }
}

/// What it is started from is written down first: it outlives us.
async fn stop_job(label: &str, stopped_jobs: &Path) -> Outcome {
    let file = match platform::job_file(label).await {
        Ok(file) => file,
        Err(error) => return failed(&error),
    };
    let mut stopped = load(stopped_jobs);
    stopped.retain(|job| job.label != label);
    stopped.push(Job { label: label.to_owned(), file });
    if let Err(error) = save(&stopped, stopped_jobs) {
        return failed(&error);
    }
    match platform::end_job(label).await {
        Ok(()) => Outcome::Done,
        Err(error) => failed(&error),
    }
}

async fn keeps(lever: &Lever, process: &ProcessId) -> bool {
    let Some(seen) = platform::process(process.pid).filter(|seen| seen.id == *process) else {
        return false;
    };
    match (platform::supervisor(&seen).await, lever) {
        (Supervisor::App(found), Lever::App(asked))
        | (Supervisor::Launchd(found), Lever::Launchd(asked))
        | (Supervisor::Unit { name: found, of_user: true }, Lever::Unit(asked))
        | (Supervisor::Unit { name: found, of_user: false }, Lever::SystemUnit(asked)) => {
            found == *asked
        }
        (
            Supervisor::App(_)
            | Supervisor::Launchd(_)
            | Supervisor::Unit { .. }
            | Supervisor::Homeostat
            | Supervisor::Shell(_)
            | Supervisor::Program(_)
            | Supervisor::OtherUser(_)
            | Supervisor::Nobody
            | Supervisor::NotVisible,
            Lever::App(_)
            | Lever::Launchd(_)
            | Lever::Unit(_)
            | Lever::SystemUnit(_)
            | Lever::Command(_),
        ) => false,
    }
}

/// A file that is missing or damaged names none.
fn load(file: &Path) -> Vec<Job> {
    let bytes = std::fs::read(file).ok();
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn save(jobs: &[Job], file: &Path) -> io::Result<()> {
    crate::api::write_private(file, &serde_json::to_vec(jobs)?)
}

fn failed(error: &dyn std::error::Error) -> Outcome {
    Outcome::Failed { reason: error.to_string(), permanent: false }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[tokio::test]
    async fn what_it_does_not_keep_is_not_stopped_through_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut other = Command::new("/bin/sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let process = platform::process(other.id()).unwrap().id;
        for lever in [
            Lever::Unit("ollama.service".into()),
            Lever::SystemUnit("ollama.service".into()),
            Lever::Launchd("homebrew.mxcl.ollama".into()),
            Lever::App("/Applications/Ollama.app".into()),
            Lever::Command(vec!["/bin/sleep".into()]),
        ] {
            let file = directory.path().join("jobs.json");
            let outcome = stop(&lever, Some(&process), &file).await;
            assert_eq!(outcome, Outcome::IdentityChanged, "{lever:?}");
        }
        assert!(other.try_wait().unwrap().is_none(), "it still runs");
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[tokio::test]
    async fn who_comes_back_is_seen_and_nobody_is_waited_for_only_so_long() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = await_back(port, Duration::from_mins(1)).await;
        let Outcome::Listening(Listener::Process(found)) = found else { panic!("{found:?}") };
        assert_eq!(found.id.pid, std::process::id());
        drop(listener);
        let nobody = await_back(port, Duration::from_millis(1)).await;
        assert_eq!(nobody, Outcome::Listening(Listener::Nobody));
    }

    #[test]
    fn stopped_jobs_are_found_again_and_are_their_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("jobs.json");
        assert_eq!(load(&file), []);
        let jobs = [Job { label: "com.me.ai".into(), file: "/a b/com.me.ai.plist".into() }];
        save(&jobs, &file).unwrap();
        assert_eq!(load(&file), jobs);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "[{").unwrap();
        assert_eq!(load(&file), []);
    }
}
