//! Containers of a real Docker engine.

use std::time::{Duration, Instant};

use engine::view::{Intent, State};
use serde_json::{Value, json};
use tests::docker::DockerEngine;
use tests::{Engine, Ollama, wait_until};

use crate::{SLACK, SOON, VERIFIED, cause_is, is_healthy};

fn configuration(docker: &DockerEngine, more: &str) -> String {
    format!("[docker]\nhost = \"{}\"\n{more}", docker.host())
}

#[test]
fn a_container_that_runs_out_of_memory_is_told_within_three_seconds() {
    let docker = DockerEngine::start().unwrap();
    let engine = Engine::start(&configuration(&docker, ""), &[]).unwrap();
    engine.wait_for_target("docker", "healthy", SOON, is_healthy);
    let hungry = ["run", "-d", "--name", "hungry", "--memory", "24m", "--memory-swap", "24m"];
    let program = ["busybox:local", "tail", "/dev/zero"];
    docker.docker(&[hungry.as_slice(), &program].concat()).unwrap();
    let die = ["events", "--since", "1m", "--until", "0s", "--filter", "event=die"];
    wait_until("its death", SOON, || docker.docker(&die).is_ok_and(|text| text.contains("hungry")));
    let died = Instant::now();
    let target = engine.wait_for_target("container:hungry", "its cause", SOON, |target| {
        cause_is(target, "container.oom_limit")
    });
    let took = died.elapsed();
    assert!(took < Duration::from_secs(3) + SLACK / 2, "{took:?}");
    assert_eq!(target.restarts_last_hour, 0, "its first start is no restart");
    assert_eq!(target.cause.unwrap().confidence, "certain");
    let incident = engine.incidents().unwrap().into_iter().next().unwrap();
    assert_eq!(incident.target, "container:hungry");
    assert!(incident.detected_after_ms < 3000, "{incident:#?}");
}

/// C8: it ended twice at its limit and is given up; a person raises that, and it lives.
#[test]
fn c8_a_person_raises_a_limit_and_what_was_given_up_lives() {
    let docker = DockerEngine::start().unwrap();
    let critical = "[[docker.container]]\nname = \"hungry\"\ncritical = true\n";
    let engine = Engine::start(&configuration(&docker, critical), &[]).unwrap();
    engine.wait_for_target("docker", "healthy", SOON, is_healthy);
    // It wants 30 MB once, and lives on when it gets them.
    let hungry = ["run", "-d", "--name", "hungry", "--memory", "24m", "--memory-swap", "24m"];
    let script = "busybox dd if=/dev/zero of=/dev/null bs=30M count=1 && exec sleep 1000";
    let program = ["busybox:local", "sh", "-c", script];
    docker.docker(&[hungry.as_slice(), &program].concat()).unwrap();
    let id = "container:hungry";
    let target = engine
        .wait_for_target(id, "its cause", SOON, |target| cause_is(target, "container.oom_limit"));
    assert!(target.actions.iter().any(|action| action == "raise"), "{target:#?}");
    engine
        .wait_for_target(id, "given up", SOON + VERIFIED, |target| target.state == State::GivenUp);
    let before = docker.docker(&["inspect", "-f", "{{.Id}}", "hungry"]).unwrap();

    let to = serde_json::json!({ "to": 64 << 20 });
    let accepted = engine.post("/targets/container:hungry/raise", &to).unwrap();
    assert_eq!(accepted.status(), 202);
    engine.wait_for_target(id, "healthy under its new limit", SOON + VERIFIED, is_healthy);
    let now = "{{.Id}} {{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.State.Running}}";
    let now = docker.docker(&["inspect", "-f", now, "hungry"]).unwrap();
    assert_eq!(now.trim(), format!("{} {} {} true", before.trim(), 64 << 20, 64 << 20));
}

#[test]
fn a_critical_container_comes_back_by_compose_unless_a_person_stopped_it() {
    let docker = DockerEngine::start().unwrap();
    let project = tempfile::tempdir().unwrap();
    let file = "services:\n  web:\n    image: busybox:local\n    container_name: web\n    network_mode: none\n    command: sh -c 'trap \"exit 3\" TERM; while :; do sleep 0.1; done'\n";
    let file = format!("version: '2.4'\n{file}");
    std::fs::write(project.path().join("docker-compose.yml"), file).unwrap();
    docker.compose(project.path(), &["up", "-d"]).unwrap();
    let critical = "[[docker.container]]\nname = \"web\"\ncritical = true\n";
    let engine = Engine::start(&configuration(&docker, critical), &[]).unwrap();
    engine.wait_for_target("container:web", "healthy", SOON, is_healthy);

    // Its program ends by itself: nobody asked Docker to stop it.
    let pid = docker.docker(&["inspect", "-f", "{{.State.Pid}}", "web"]).unwrap();
    tests::programs::send(pid.trim().parse().unwrap(), rustix::process::Signal::TERM).unwrap();
    let incident = engine.wait_for_incident("container:web", "verified", SOON + VERIFIED);
    assert_eq!(incident.cause.id, "container.stopped", "{incident:#?}");

    docker.docker(&["stop", "-t", "1", "web"]).unwrap();
    engine.wait_for_target("container:web", "held", SOON, |target| target.intent == Intent::Held);
    let running = || docker.docker(&["inspect", "-f", "{{.State.Running}}", "web"]).unwrap();
    let began = Instant::now();
    wait_until("ten seconds in which it stays down", SOON, || {
        assert_eq!(running().trim(), "false");
        began.elapsed() > Duration::from_secs(10)
    });
}

/// R30: what crashes unless a variable is set is started with it, once, and says so.
#[test]
fn r30_a_crash_loop_is_started_light() {
    let docker = DockerEngine::start().unwrap();
    let project = tempfile::tempdir().unwrap();
    let file = "version: '2.4'\nservices:\n  agent:\n    image: busybox:local\n    container_name: agent\n    network_mode: none\n    restart: always\n    environment: [USE_ELK=true]\n    command: sh -c 'if [ $$USE_ELK = true ]; then sleep 2; exit 3; fi; exec sleep 1000'\n";
    let path = project.path().join("docker-compose.yml");
    std::fs::write(&path, file).unwrap();
    let critical = "[[docker.container]]\nname = \"agent\"\ncritical = true\nlight_start = { USE_ELK = \"false\" }\n";
    let engine = Engine::start(&configuration(&docker, critical), &[]).unwrap();
    engine.wait_for_target("docker", "healthy", SOON, is_healthy);
    docker.compose(project.path(), &["up", "-d"]).unwrap();
    let incident = engine.wait_for_incident("container:agent", "verified", 2 * SOON + VERIFIED);
    assert_eq!(incident.cause.id, "container.crash_loop", "{incident:#?}");
    let target = engine.target("container:agent").unwrap();
    assert_eq!((target.state, target.why.rule.as_str()), (State::Healthy, "R30"), "{target:#?}");
    assert!(target.why.text.contains("USE_ELK=false"), "{target:#?}");
    assert_eq!(target.detail["light"]["with"], serde_json::json!(["USE_ELK"]));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), file, "its own files stay as they are");

    // What Compose 1 stops before it makes another is our own doing (R33).
    let light = docker.docker(&["inspect", "-f", "{{.Id}}", "agent"]).unwrap();
    std::fs::write(&path, file.replace("sleep 2; exit 3", "sleep 1000")).unwrap();
    let accepted = engine.post("/targets/container:agent/restart", &json!({})).unwrap();
    assert_eq!(accepted.status(), 202);
    engine.wait_for_target("container:agent", "healthy as its files say", SOON + VERIFIED, |one| {
        assert_ne!(one.intent, Intent::Held, "{one:#?}");
        is_healthy(one) && !one.detail.contains_key("light")
    });
    let made = docker.docker(&["inspect", "-f", "{{.Id}} {{.State.Running}}", "agent"]).unwrap();
    assert!(made.contains("true") && !made.contains(light.trim()), "{made}");
    docker.docker(&["stop", "-t", "1", "agent"]).unwrap();
    engine.wait_for_target("container:agent", "held", SOON, |target| target.intent == Intent::Held);
}

/// P12: Docker tells afterwards who stopped it, however we ended.
#[test]
fn what_a_person_stops_while_we_do_not_run_stays_stopped() {
    let docker = DockerEngine::start().unwrap();
    let critical =
        |name: &str| format!("[[docker.container]]\nname = \"{name}\"\ncritical = true\n");
    for name in ["one", "two", "other"] {
        docker.docker(&["run", "-d", "--name", name, "busybox:local", "sleep", "1000"]).unwrap();
    }
    let all = [critical("one"), critical("two"), critical("other")].concat();
    let mut engine = Engine::start(&configuration(&docker, &all), &[]).unwrap();
    for (name, by_force) in [("one", false), ("two", true)] {
        engine.wait_for_target("container:other", "healthy", SOON, is_healthy);
        let id = format!("container:{name}");
        engine.wait_for_target(&id, "healthy", SOON, is_healthy);
        if by_force {
            engine.kill().unwrap();
        } else {
            engine.stop().unwrap();
        }
        docker.docker(&["stop", "-t", "1", name]).unwrap();
        engine.run().unwrap();
        engine.await_health().unwrap();
        engine.wait_for_target(&id, "held", SOON, |target| target.intent == Intent::Held);
    }
    let running = |name| docker.docker(&["inspect", "-f", "{{.State.Running}}", name]).unwrap();
    let began = Instant::now();
    wait_until("ten seconds in which they stay down", SOON, || {
        assert_eq!((running("one").trim(), running("two").trim()), ("false", "false"));
        began.elapsed() > Duration::from_secs(10)
    });
    assert_eq!(running("other").trim(), "true");
}

#[test]
fn a_docker_engine_that_goes_and_comes_is_one_incident() {
    let docker = DockerEngine::start().unwrap();
    docker.docker(&["run", "-d", "--name", "quiet", "busybox:local", "sleep", "1000"]).unwrap();
    let engine = Engine::start(&configuration(&docker, ""), &[]).unwrap();
    engine.wait_for_target("container:quiet", "healthy", SOON, is_healthy);
    docker.kill().unwrap();
    engine.wait_for_target("docker", "down", Duration::from_mins(1), |target| {
        cause_is(target, "docker.down")
    });
    let child = engine.target("container:quiet").unwrap();
    assert_eq!((child.state, child.inhibited_by.as_deref()), (State::Unknown, Some("docker")));
    docker.start_again().unwrap();
    engine.wait_for_target("docker", "healthy", Duration::from_mins(1), is_healthy);
    let incidents = engine.incidents().unwrap();
    let about_docker = incidents.iter().filter(|incident| incident.target == "docker").count();
    assert_eq!(about_docker, 1, "{incidents:#?}");
}

/// The first users' agents post `{"ollama":…,"mlx":…,"ts":…}` from inside a container: the bridge's address
/// answers them, looks, restarts nothing that is well, and shows nothing else without a token.
#[test]
fn a_complaint_from_a_container_comes_through_the_bridge() {
    let docker = DockerEngine::start().unwrap();
    let ollama = Ollama::start(&[]).unwrap();
    let gateway = ["network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}"];
    let gateway = docker.docker(&gateway).unwrap().trim().to_owned();
    let mut engine = Engine::prepare("", &ollama.environment()).unwrap();
    let port = engine.port();
    let api = format!("[api]\nlisten = [\"127.0.0.1:{port}\", \"{gateway}:{port}\"]\n");
    engine.configure(&format!("{}{api}", configuration(&docker, ""))).unwrap();
    engine.run().unwrap();
    engine.await_health().unwrap();
    engine.wait_for_target("ollama", "healthy", SOON, is_healthy);

    let host = format!("host.docker.internal:{gateway}");
    let url = format!("http://host.docker.internal:{port}/recover");
    let body = r#"{"ollama":false,"mlx":true,"ts":"2026-01-01T00:00:00Z"}"#;
    let container = ["run", "--rm", "--add-host", &host, "busybox:local", "busybox", "wget"];
    let request = ["-q", "-O", "-", "--header", "Content-Type: application/json", "--post-data"];
    let arguments = [container.as_slice(), &request, &[body, &url]].concat();
    let said = docker.docker(&arguments).unwrap();
    let before = engine.target("ollama").unwrap();
    // Healthy as seen from the host, or an operation that finds out.
    let said: Value = serde_json::from_str(&said).unwrap();
    assert!(said.is_object(), "{said}");

    let forbidden = format!("http://host.docker.internal:{port}/status");
    let get = [container.as_slice(), &["-q", "-O", "-", forbidden.as_str()]].concat();
    assert!(docker.docker(&get).is_err(), "the snapshot is not for containers");
    let gate = format!("http://host.docker.internal:{port}/llm");
    let get = [container.as_slice(), &["-q", "-O", "-", gate.as_str()]].concat();
    let gate: Value = serde_json::from_str(&docker.docker(&get).unwrap()).unwrap();
    assert!(gate["ollama"].is_boolean(), "{gate:#}");
    let after = engine.target("ollama").unwrap();
    assert_eq!(before.detail["pid"], after.detail["pid"], "nothing was restarted");
}
