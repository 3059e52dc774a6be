//! Compose 2, a plugin of the `docker` command, beside Debian's Compose 1.

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::docker::DockerEngine;
use tests::{Engine, programs};

use crate::containers::{critical, tells};
use crate::{SOON, VERIFIED, is_healthy};

/// A directory for `DOCKER_CONFIG` in which the plugin lies. `tests/run` brings it, and leaves this
/// test out with a word about it where it can't be had.
fn plugin() -> PathBuf {
    let place = std::env::var_os("HOMEOSTAT_COMPOSE_2").map(PathBuf::from);
    let place = place.unwrap_or_else(|| programs::target_directory().unwrap().join("compose-2"));
    let program = place.join("cli-plugins/docker-compose");
    assert!(program.is_file(), "{} is missing; `tests/run real` brings it", program.display());
    place
}

fn up(docker: &DockerEngine, plugin: &Path, directory: &Path) {
    let mut command = Command::new("docker");
    command.args(["compose", "up", "-d"]).current_dir(directory);
    command.env("DOCKER_HOST", docker.host()).env("DOCKER_CONFIG", plugin);
    programs::run(&mut command).unwrap();
}

/// C1 to C3: what died comes back as its labels say, by the Compose that made it; where its files have
/// gone, the container itself is started.
#[test]
fn compose_2_brings_back_what_it_made_and_without_files_the_engine_does() {
    let plugin = plugin();
    let docker = DockerEngine::start().unwrap();
    let mut configuration = format!("[docker]\nhost = \"{}\"\n", docker.host());
    let projects = ["kept", "moved"].map(|name| {
        let directory = tempfile::tempdir().unwrap();
        let file = format!(
            "name: project-{name}\nservices:\n  {name}:\n    image: busybox:local\n    container_name: {name}\n    \
             network_mode: none\n    environment: [\"WORD=${{WORD}}\"]\n    command: sh -c 'sleep 1000; exit 3'\n    \
             depends_on: [other]\n  other:\n    image: busybox:local\n    network_mode: none\n    command: sleep 1000\n"
        );
        std::fs::write(directory.path().join("compose.yaml"), file).unwrap();
        std::fs::write(directory.path().join(".env"), "WORD=said\n").unwrap();
        up(&docker, &plugin, directory.path());
        critical(&mut configuration, name);
        directory
    });
    let config = ("DOCKER_CONFIG".to_owned(), plugin.display().to_string());
    let engine = Engine::start(&configuration, &[config]).unwrap();
    let life = "{{.Id}} {{.State.Running}} {{.Config.Env}}";
    let before = ["kept", "moved"].map(|name| {
        engine.wait_for_target(&format!("container:{name}"), "healthy", SOON, is_healthy);
        tells(&docker, name, life)
    });
    assert!(before[0].contains("WORD=said"), "{}", before[0]);
    std::fs::remove_file(projects[1].path().join("compose.yaml")).unwrap();
    for name in ["kept", "moved"] {
        // Its program ends by itself: nobody asked Docker to stop it.
        let pid = tells(&docker, name, "{{.State.Pid}}");
        programs::send(pid.parse().unwrap(), rustix::process::Signal::KILL).unwrap();
    }
    for (name, before) in ["kept", "moved"].iter().zip(before) {
        let id = format!("container:{name}");
        let incident = engine.wait_for_incident(&id, "verified", SOON + 2 * VERIFIED);
        assert_eq!(incident.attempts, 1, "{incident:#?}");
        // Another Compose, or another environment, would have made another container of it.
        assert_eq!(tells(&docker, name, life), before, "{incident:#?}");
        let story: Vec<&str> = incident.story.iter().map(|line| line.text.as_str()).collect();
        let by_plugin = story.contains(&"Ran docker compose up -d kept");
        let missing = story.iter().any(|line| line.contains("compose.yaml is missing"));
        assert_eq!((by_plugin, missing), (*name == "kept", *name == "moved"), "{story:#?}");
    }
}
