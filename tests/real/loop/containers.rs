//! Many containers of one real engine at once: each befallen by something else, and each judged for
//! itself.

use std::fmt::Write as _;
use std::time::Duration;

use engine::view::{Intent, State};
use serde_json::Value;
use tests::docker::DockerEngine;
use tests::{Engine, eventually, wait_until};

use crate::{SLACK, SOON, VERIFIED, cause_is, is_healthy};

/// Beside those that are befallen: or it would be a storm (R18).
const QUIET: usize = 30;

/// `docker run -d` of this shell script.
pub(crate) fn run(docker: &DockerEngine, name: &str, options: &[&str], script: &str) {
    let begin = ["run", "-d", "--name", name];
    let program = ["busybox:local", "sh", "-c", script];
    docker.docker(&[begin.as_slice(), options, &program].concat()).unwrap();
}

pub(crate) fn critical(configuration: &mut String, name: &str) {
    let one = "critical = true\ngrace = \"25s\"\n";
    writeln!(configuration, "[[docker.container]]\nname = \"{name}\"\n{one}").unwrap();
}

pub(crate) fn tells(docker: &DockerEngine, name: &str, format: &str) -> String {
    docker.docker(&["inspect", "-f", format, name]).unwrap().trim().to_owned()
}

#[test]
fn each_of_many_containers_is_judged_for_itself() {
    let docker = DockerEngine::start().unwrap();
    let gateway = ["network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}"];
    let gateway = docker.docker(&gateway).unwrap().trim().to_owned();
    let mut engine = Engine::prepare("", &[]).unwrap();
    let port = engine.port();
    let mut configuration = format!(
        "[api]\nlisten = [\"127.0.0.1:{port}\", \"{gateway}:{port}\"]\n[docker]\nhost = \"{}\"\n",
        docker.host()
    );
    for name in ["found", "sick", "incurable", "loop", "caller"] {
        critical(&mut configuration, name);
    }
    engine.configure(&configuration).unwrap();

    // The first root cause of all: it was stopped before, and nobody brought it up.
    run(&docker, "found", &[], "exec sleep 1000");
    docker.docker(&["stop", "-t", "0", "found"]).unwrap();
    let check =
        |command| ["--health-cmd", command, "--health-interval", "1s", "--health-retries", "2"];
    run(&docker, "sick", &check("test ! -f /sick"), "busybox rm -f /sick; exec sleep 1000");
    run(&docker, "incurable", &check("test ! -f /sick"), "exec sleep 1000");
    let many: Vec<String> = (0..QUIET).map(|number| format!("quiet-{number}")).collect();
    for name in &many {
        docker.docker(&["run", "-d", "--name", name, "busybox:local", "sleep", "1000"]).unwrap();
    }

    engine.run().unwrap();
    engine.await_health().unwrap();
    engine.wait_for("all are known", 2 * SOON, |snapshot| {
        let quiet = snapshot.targets.iter().filter(|one| one.id.starts_with("container:quiet-"));
        quiet.filter(|one| is_healthy(one)).count() == QUIET
    });
    for name in ["sick", "incurable"] {
        engine.wait_for_target(&format!("container:{name}"), "healthy", SOON, is_healthy);
        docker.docker(&["exec", name, "busybox", "touch", "/sick"]).unwrap();
    }
    run(&docker, "loop", &["--restart", "always"], "exit 3");
    let body = r#"{"ollama":true,"mlx":true,"ts":null}"#;
    let posts = format!(
        "busybox wget -q -O - --header 'Content-Type: application/json' --post-data '{body}' \
         http://{gateway}:{port}/recover; exit 4"
    );
    run(&docker, "caller", &[], &posts);

    // Docker goes on with it at its own pace; we tell, and never touch it.
    let target = engine.wait_for_target("container:loop", "a loop", 2 * SOON, |target| {
        cause_is(target, "container.crash_loop")
    });
    assert_eq!(target.state, State::GivenUp, "{target:#?}");
    let restarts = |name| tells(&docker, name, "{{.RestartCount}}").parse::<u32>().unwrap();
    let before = restarts("loop");
    wait_until("Docker goes on", 3 * SOON, || restarts("loop") > before);

    let incident = engine.wait_for_incident("container:found", "verified", SOON + VERIFIED);
    assert_eq!(
        (incident.attempts, tells(&docker, "found", "{{.State.Running}}").as_str()),
        (1, "true")
    );
    let incident = engine.wait_for_incident("container:sick", "verified", SOON + VERIFIED);
    assert_eq!((incident.cause.id.as_str(), incident.attempts), ("container.unhealthy", 1));
    // R25: three times, then a person.
    let target = engine.wait_for_target(
        "container:incurable",
        "given up",
        Duration::from_mins(5),
        |target| target.state == State::GivenUp,
    );
    assert!(cause_is(&target, "container.unhealthy"), "{target:#?}");
    let incident = engine.wait_for_incident("container:incurable", "given_up", SOON);
    assert_eq!(incident.attempts, 3, "{incident:#?}");
    // What asked and died is a case of its own.
    let said = docker.docker(&["logs", "caller"]).unwrap();
    assert!(said.contains('{'), "it was answered: {said}");
    let caller = engine.target("container:caller").unwrap();
    assert_ne!(caller.state, State::Healthy, "{caller:#?}");
    let told = engine.incidents().unwrap();
    assert!(told.iter().any(|one| one.target == "container:caller"), "{told:#?}");
    assert!(!told.iter().any(|one| one.target.starts_with("container:quiet-")), "{told:#?}");
    assert!(!told.iter().any(|one| one.target == "docker"), "no storm: {told:#?}");
}

/// Fault 33: an orderly end of the engine stops all containers as a person would. Nobody wished
/// that: what is wanted comes back with the engine, what a person stopped does not.
#[test]
fn an_orderly_end_of_the_engine_is_no_wish_to_stop() {
    let docker = DockerEngine::start().unwrap();
    let mut configuration = format!("[docker]\nhost = \"{}\"\n", docker.host());
    for name in ["ours", "theirs", "stopped"] {
        critical(&mut configuration, name);
    }
    let script = "trap 'exit 0' TERM; while :; do sleep 0.1; done";
    run(&docker, "ours", &[], script);
    run(&docker, "theirs", &["--restart", "always"], script);
    run(&docker, "stopped", &["--restart", "unless-stopped"], script);
    let engine = Engine::start(&configuration, &[]).unwrap();
    for name in ["ours", "theirs", "stopped"] {
        engine.wait_for_target(&format!("container:{name}"), "healthy", SOON, is_healthy);
    }
    docker.docker(&["stop", "stopped"]).unwrap();
    engine
        .wait_for_target("container:stopped", "held", SOON, |target| target.intent == Intent::Held);
    // More than the 15 s in which it could have been the engine's doing.
    let since = std::time::Instant::now();
    wait_until("the stop is a while ago", SOON, || since.elapsed() > Duration::from_secs(16));
    docker.end().unwrap();
    engine.wait_for_target("docker", "down", 2 * SOON + SLACK, |target| {
        cause_is(target, "docker.down")
    });
    for name in ["ours", "theirs"] {
        let target = engine.target(&format!("container:{name}")).unwrap();
        assert_eq!(target.intent, Intent::Wanted, "{target:#?}");
    }
    docker.start_again().unwrap();
    for name in ["ours", "theirs"] {
        engine.wait_for_target(&format!("container:{name}"), "healthy", VERIFIED, is_healthy);
        assert_eq!(tells(&docker, name, "{{.State.Running}}"), "true");
    }
    let stopped = engine.target("container:stopped").unwrap();
    assert_eq!(
        (stopped.intent, tells(&docker, "stopped", "{{.State.Running}}").as_str()),
        (Intent::Held, "false")
    );
    let story: Vec<Value> = eventually("one incident of the engine", SOON, || {
        let all = engine.incidents().ok()?;
        let about = all.into_iter().filter(|one| one.target == "docker");
        Some(about.map(|one| one.state.into()).collect())
    });
    assert_eq!(story.len(), 1, "{story:?}");
}
