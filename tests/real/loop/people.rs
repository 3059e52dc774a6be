//! What people do with containers of a real engine, and what only looks like it.

use std::path::Path;
use std::time::{Duration, Instant};

use engine::view::Intent;
use serde_json::json;
use tests::docker::DockerEngine;
use tests::{Engine, wait_until};

use crate::containers::{critical, run, tells};
use crate::{SLACK, SOON, VERIFIED, cause_is, is_healthy};

/// It obeys TERM at once, so that a stop takes no ten seconds.
const OBEYS: &str = "trap 'exit 0' TERM; while :; do sleep 0.1; done";

/// A compose project of one service, up.
fn project(docker: &DockerEngine, directory: &Path, name: &str) {
    let service = format!(
        "version: '2.4'\nservices:\n  {name}:\n    image: busybox:local\n    container_name: {name}\n    \
         network_mode: none\n    command: sh -c \"{OBEYS}\"\n"
    );
    std::fs::write(directory.join("docker-compose.yml"), service).unwrap();
    docker.compose(directory, &["-p", name, "up", "-d"]).unwrap();
}

fn held(engine: &Engine, name: &str) {
    engine.wait_for_target(&format!("container:{name}"), "held", SOON, |target| {
        target.intent == Intent::Held
    });
}

/// R34, R35, R37: pause, `compose stop` and `compose down` are a person's word until a person says
/// otherwise.
#[test]
fn r35_what_a_person_pauses_stops_or_takes_down_stays_so_until_a_person_wants_it() {
    let docker = DockerEngine::start().unwrap();
    let [stopped, down] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    project(&docker, stopped.path(), "stopped");
    project(&docker, down.path(), "down");
    let mut configuration = format!("[docker]\nhost = \"{}\"\n", docker.host());
    for name in ["stopped", "down", "paused", "frozen", "other"] {
        critical(&mut configuration, name);
    }
    for name in ["paused", "frozen", "other"] {
        run(&docker, name, &[], OBEYS);
    }
    let engine = Engine::start(&configuration, &[]).unwrap();
    for name in ["stopped", "down", "paused", "frozen", "other"] {
        engine.wait_for_target(&format!("container:{name}"), "healthy", SOON, is_healthy);
    }

    docker.docker(&["pause", "paused", "frozen"]).unwrap();
    docker.compose(stopped.path(), &["-p", "stopped", "stop"]).unwrap();
    docker.compose(down.path(), &["-p", "down", "down"]).unwrap();
    for name in ["paused", "frozen", "stopped", "down"] {
        held(&engine, name);
    }
    let paused = engine.target("container:paused").unwrap();
    assert!(paused.why.text.contains("paused"), "{paused:#?}");
    // Longer than the engine's own going could be meant, which also shows who stopped it.
    for name in ["stopped", "down"] {
        let id = format!("container:{name}");
        let target = engine.wait_for_target(&id, "who stopped it", SOON, |target| {
            target.why.text.starts_with("Stopped by you at ")
        });
        assert!(target.actions.iter().any(|action| action == "release"), "{target:#?}");
    }
    for name in ["paused", "frozen"] {
        assert_eq!(tells(&docker, name, "{{.State.Status}}"), "paused");
    }
    assert_eq!(tells(&docker, "stopped", "{{.State.Status}}"), "exited");
    assert!(docker.docker(&["inspect", "down"]).is_err(), "nobody brought it back");
    assert_eq!(engine.incidents().unwrap(), []);

    // One is unpaused by hand, the others through us.
    docker.docker(&["unpause", "paused"]).unwrap();
    for name in ["frozen", "stopped"] {
        let released = engine.post(&format!("/targets/container:{name}/release"), &json!({}));
        assert!(released.unwrap().status().is_success());
    }
    docker.compose(down.path(), &["-p", "down", "up", "-d"]).unwrap();
    for name in ["paused", "frozen", "stopped", "down"] {
        let id = format!("container:{name}");
        let target = engine.wait_for_target(&id, "wanted and healthy", VERIFIED, |target| {
            target.intent == Intent::Wanted && is_healthy(target)
        });
        assert_eq!(tells(&docker, name, "{{.State.Status}}"), "running", "{target:#?}");
    }
}

/// A crash of the engine takes its containers with it, or leaves them to be cleared up when it is
/// back. Nobody wished that: what is wanted runs again, what a person stopped does not.
#[test]
fn r34_a_crash_of_the_engine_is_no_wish_to_stop() {
    let docker = DockerEngine::start().unwrap();
    let mut configuration = format!("[docker]\nhost = \"{}\"\n", docker.host());
    for name in ["ours", "theirs", "stopped"] {
        critical(&mut configuration, name);
    }
    run(&docker, "ours", &[], OBEYS);
    run(&docker, "theirs", &["--restart", "always"], OBEYS);
    run(&docker, "stopped", &["--restart", "unless-stopped"], OBEYS);
    let engine = Engine::start(&configuration, &[]).unwrap();
    for name in ["ours", "theirs", "stopped"] {
        engine.wait_for_target(&format!("container:{name}"), "healthy", SOON, is_healthy);
    }
    docker.docker(&["stop", "stopped"]).unwrap();
    held(&engine, "stopped");
    // More than the 15 s in which it could have been the engine's doing.
    let since = Instant::now();
    wait_until("the stop is a while ago", SOON, || since.elapsed() > Duration::from_secs(16));

    let before = tells(&docker, "ours", "{{.State.StartedAt}}");
    docker.kill().unwrap();
    engine.wait_for_target("docker", "down", 2 * SOON + SLACK, |target| {
        cause_is(target, "docker.down")
    });
    docker.start_again().unwrap();
    engine.wait_for_target("docker", "healthy", VERIFIED, is_healthy);
    for name in ["ours", "theirs"] {
        let id = format!("container:{name}");
        let target = engine.wait_for_target(&id, "healthy", VERIFIED, is_healthy);
        assert_eq!(target.intent, Intent::Wanted, "{target:#?}");
        assert_eq!(tells(&docker, name, "{{.State.Running}}"), "true");
    }
    assert_ne!(tells(&docker, "ours", "{{.State.StartedAt}}"), before, "it has ended meanwhile");
    let stopped = engine.target("container:stopped").unwrap();
    assert_eq!(stopped.intent, Intent::Held, "{stopped:#?}");
    assert_eq!(tells(&docker, "stopped", "{{.State.Running}}"), "false");
}
