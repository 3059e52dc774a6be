//! `docker compose up -d SERVICE`: brings a service back as its files describe it now. A description
//! that has changed since makes another container of it, as it does for a person who types the same:
//! what has stopped loses nothing by that, and its volumes are kept (Compose's reference, `up`).

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use doctor::{Compose, Outcome};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::light;
use crate::docker_host::Surroundings;
use crate::probe::docker::Docker;

/// Bytes of output that are kept, from its end.
const OUTPUT: usize = 16 * 1024;

/// For a command that only says its version.
const VERSION_WITHIN: Duration = Duration::from_secs(10);

impl Docker {
    /// Runs Compose against this engine, with the files, the project and the environment that the
    /// labels name: other ones would recreate more than is meant. Its own variables are written
    /// under `light` (R30). `stops_first` is awaited before it begins where it is Compose 1.
    pub async fn compose_up(
        &self,
        compose: &Compose,
        light: &Path,
        within: Duration,
        stops_first: impl Future<Output = ()>,
    ) -> Outcome {
        if let Some(reason) = missing(compose) {
            return Outcome::Failed { reason, permanent: true };
        }
        let ours = match light::write(compose, light) {
            Ok(ours) => ours,
            Err(error) => {
                let reason = format!("{} can't be written: {error}", light.display());
                return Outcome::Failed { reason, permanent: true };
            }
        };
        let Some((program, is_first)) = find(self.surroundings()).await else {
            let reason = "neither `docker compose` nor `docker-compose` was found; install Docker \
                          Compose to bring this service back"
                .into();
            return Outcome::Failed { reason, permanent: true };
        };
        let mut command = command(&program, self.surroundings());
        command.args(arguments(compose, ours.as_deref())).env_remove("DOCKER_CONTEXT");
        command.env("DOCKER_HOST", self.address());
        if let Some(directory) = &compose.directory {
            command.current_dir(directory);
        }
        if is_first {
            stops_first.await;
        }
        match run(command, within).await {
            Ok(ended) if ended.success => Outcome::Done,
            Ok(ended) => Outcome::Failed {
                reason: format!("{} up {} failed: {}", program[0], compose.service, ended.output),
                permanent: false,
            },
            Err(reason) => Outcome::Failed { reason, permanent: false },
        }
    }
}

/// The first file that is needed and not there, or the directory that all is relative to.
fn missing(compose: &Compose) -> Option<String> {
    if compose.files.is_empty() {
        return Some(format!("no compose file is known for {}", compose.service));
    }
    let environment = compose.env_file.iter().flat_map(|files| files.split(','));
    let files = compose.files.iter().map(String::as_str).chain(environment).map(Path::new);
    let mut absent = files.filter(|file| !file.is_file());
    let directory = compose.directory.as_ref().map(Path::new).filter(|place| !place.is_dir());
    let absent = absent.next().or(directory)?;
    Some(format!(
        "{} is missing: the project was moved or removed; start it once from its new place",
        absent.display()
    ))
}

fn arguments(compose: &Compose, ours: Option<&Path>) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut push = |option: &str, value: &str| arguments.extend([option.into(), value.into()]);
    if let Some(project) = &compose.project {
        push("-p", project);
    }
    if let Some(directory) = &compose.directory {
        push("--project-directory", directory);
    }
    for file in &compose.files {
        push("-f", file);
    }
    // Later files override earlier ones (Compose's reference, `docker compose -f`).
    if let Some(ours) = ours {
        push("-f", &ours.display().to_string());
    }
    for file in compose.env_file.iter().flat_map(|files| files.split(',')) {
        push("--env-file", file);
    }
    arguments.extend(["up", "-d", "--no-deps"].map(String::from));
    arguments.push(compose.service.clone());
    arguments
}

/// The command as an argument list: the plugin of `docker` (Compose 2 and later), else
/// `docker-compose`, the first that can say its version; and whether it is Compose 1.
async fn find(surroundings: &Surroundings) -> Option<(Vec<String>, bool)> {
    for (name, subcommand) in [("docker", Some("compose")), ("docker-compose", None)] {
        for folder in folders(surroundings) {
            let file = folder.join(name);
            if !file.is_file() {
                continue;
            }
            let program: Vec<String> = [file.display().to_string()]
                .into_iter()
                .chain(subcommand.map(String::from))
                .collect();
            let mut asked = command(&program, surroundings);
            asked.arg("version");
            if let Ok(ended) = run(asked, VERSION_WITHIN).await
                && ended.success
            {
                return Some((program, is_compose_1(&ended.output)));
            }
        }
    }
    None
}

/// `docker-compose version 1.29.2, build unknown`, where later ones say `Docker Compose version v2.24.0`
/// (docker/compose v1 `compose/cli/utils.py`, `get_version_info`; `cmd/compose/version.go`).
fn is_compose_1(version: &str) -> bool {
    version.lines().any(|line| line.trim().starts_with("docker-compose version 1."))
}

/// `PATH`, and where installers put it: an app that was not started from a terminal has a short
/// `PATH` on macOS.
pub(super) fn folders(surroundings: &Surroundings) -> Vec<PathBuf> {
    let path = surroundings.variable("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(path).collect();
    let home = surroundings.home.as_deref();
    folders
        .extend(home.into_iter().flat_map(|home| {
            [".docker/bin", ".orbstack/bin", ".rd/bin"].map(|bin| home.join(bin))
        }));
    folders.extend(
        [
            "/usr/local/bin",
            "/opt/homebrew/bin",
            "/usr/bin",
            "/Applications/Docker.app/Contents/Resources/bin",
        ]
        .map(PathBuf::from),
    );
    // An empty or relative entry would depend on where we were started.
    folders.retain(|folder| folder.is_absolute());
    let mut kept: Vec<PathBuf> = Vec::new();
    for folder in folders {
        if !kept.contains(&folder) {
            kept.push(folder);
        }
    }
    kept
}

/// With the surroundings as its whole environment; `PATH` also finds credential helpers.
pub(super) fn command(program: &[String], surroundings: &Surroundings) -> Command {
    let mut command = Command::new(&program[0]);
    command.args(&program[1..]).env_clear().envs(&surroundings.variables);
    if let Ok(path) = std::env::join_paths(folders(surroundings)) {
        command.env("PATH", path);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

pub(super) struct Ended {
    pub(super) success: bool,
    /// The end of what it wrote, errors last.
    pub(super) output: String,
}

pub(super) async fn run(mut command: Command, within: Duration) -> Result<Ended, String> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let mut child =
        command.spawn().map_err(|error| format!("{program} could not be started: {error}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = async { tokio::join!(tail(stdout), tail(stderr), child.wait()) };
    let (stdout, stderr, status) = tokio::time::timeout(within, ended).await.map_err(|_| {
        // The child is killed as it is dropped; the engine may still carry out what it was told.
        format!("{program} did not end within {} s and was stopped", within.as_secs())
    })?;
    let status = status.map_err(|error| format!("{program} was lost: {error}"))?;
    let written = [stdout, stderr].map(|part| String::from_utf8_lossy(&part).trim().to_owned());
    let output = written.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
    Ok(Ended { success: status.success(), output: output.join("\n") })
}

/// The last [`OUTPUT`] bytes; all is read, so that the child never waits for us.
async fn tail(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut pipe) = pipe else { return kept };
    let mut part = [0; 4096];
    while let Ok(count @ 1..) = pipe.read(&mut part).await {
        kept.extend_from_slice(&part[..count]);
        let surplus = kept.len().saturating_sub(OUTPUT);
        kept.drain(..surplus);
    }
    kept
}
