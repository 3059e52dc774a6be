//! What a real Docker engine tells of each end, and what is concluded from it.

use std::path::Path;
use std::time::Duration;

use engine::view::{Incident, Intent};
use tests::docker::DockerEngine;
use tests::{Engine, wait_until};

use crate::{SLACK, SOON, cause_is, is_healthy};

/// In what the containers write; it must not be found in anything of ours.
const SECRET: &str = "Hu7weiZohy8ahgh";

/// `docker run -d` of this shell script.
fn run(docker: &DockerEngine, name: &str, options: &[&str], script: &str) {
    let begin = ["run", "-d", "--name", name];
    let program = ["busybox:local", "sh", "-c", script];
    docker.docker(&[begin.as_slice(), options, &program].concat()).unwrap();
}

/// The newest incident of this container, with its story.
fn incident(engine: &Engine, name: &str) -> Incident {
    let id = format!("container:{name}");
    let found = engine.incidents().unwrap().into_iter().find(|one| one.target == id);
    engine.incident(&found.unwrap_or_else(|| panic!("an incident of {id}")).id).unwrap()
}

#[test]
fn each_end_has_its_verdict_with_its_last_words_and_without_secrets() {
    let docker = DockerEngine::start().unwrap();
    let critical =
        |name: &str| format!("[[docker.container]]\nname = \"{name}\"\ncritical = true\n");
    let service = "[[service]]\nname = \"agent\"\nurl = \"http://127.0.0.1:28010/health\"\n\
                   container = \"agent\"\n";
    let configuration = format!(
        "{}{}{service}[docker]\nhost = \"{}\"\n",
        critical("stopped"),
        critical("killed"),
        docker.host()
    );
    let engine = Engine::start(&configuration, &[]).unwrap();
    engine.wait_for_target("docker", "healthy", SOON, is_healthy);

    let small = ["--memory", "24m", "--memory-swap", "24m"];
    let words = format!("echo reading postgres://me:{SECRET}@db/x; echo API_KEY={SECRET}; echo on");
    run(&docker, "hungry", &small, &format!("{words}; exec tail /dev/zero"));
    let forever = ["--restart", "always"];
    let script = "echo 'RuntimeError: no running event loop' >&2; exit 1";
    run(&docker, "logger", &forever, script);
    run(&docker, "stopped", &[], "trap 'exit 0' TERM; while :; do sleep 0.1; done");
    run(&docker, "killed", &[], "sleep 1000");
    // It answers at the port that is published, which is not the one that is configured.
    let web =
        "busybox mkdir -p /www; echo well >/www/health; exec busybox httpd -f -p 8000 -h /www";
    run(&docker, "agent", &["-p", "127.0.0.1:28020:8000"], web);

    let told = |name: &str, cause: &str| {
        engine.wait_for_target(&format!("container:{name}"), cause, SOON, |target| {
            cause_is(target, cause)
        })
    };
    told("hungry", "container.oom_limit");
    let hungry = incident(&engine, "hungry");
    assert_eq!(hungry.log, ["reading postgres://…@db/x", "API_KEY=…", "on"], "{hungry:#?}");
    // Two at the very same moment would look like a limit around both.
    run(&docker, "parent", &small, "echo a child; tail /dev/zero; echo it is gone; sleep 1000");

    told("logger", "container.logger_crash");
    let logger = incident(&engine, "logger");
    assert_eq!(logger.log.last().unwrap(), "RuntimeError: no running event loop");
    assert!(logger.cause.evidence.iter().any(|line| line.contains("no running event loop")));

    // A child's end is told, and the container lives on.
    wait_until("the child's end", SOON, || {
        engine.incidents().unwrap().iter().any(|one| one.cause.id == "container.oom_child")
    });
    let parent = incident(&engine, "parent");
    assert_eq!((parent.cause.id.as_str(), parent.attempts), ("container.oom_child", 0));
    assert!(parent.log.iter().any(|line| line == "a child"), "{parent:#?}");
    engine.wait_for_target("container:parent", "healthy", SOON, is_healthy);

    let held = |name: &str, how: &[&str]| {
        let id = format!("container:{name}");
        engine.wait_for_target(&id, "healthy", SOON, is_healthy);
        docker.docker(&[how, &[name]].concat()).unwrap();
        let target = engine.wait_for_target(&id, "stopped by a person", SOON, |target| {
            target.why.text.starts_with("Stopped by you at ")
        });
        assert_eq!(target.intent, Intent::Held);
        assert!(target.actions.iter().any(|action| action == "release"), "{target:#?}");
    };
    held("stopped", &["stop"]);
    held("killed", &["kill"]);

    let target = engine.wait_for_target("service:agent", "its cause", SOON + SLACK, |target| {
        cause_is(target, "service.wrong_side_of_mapping")
    });
    assert!(target.cause.unwrap().text.contains("127.0.0.1:28020/health"));

    let shown = format!("{:?}{:?}", engine.status().unwrap(), engine.incidents().unwrap());
    assert!(!shown.contains(SECRET));
    assert!(docker.docker(&["logs", "hungry"]).unwrap().contains(SECRET), "it was there");
    let found = files_with(engine.directory(), SECRET);
    assert!(found.is_empty(), "{found:?}");
}

/// The first users' start that hangs after its last line: alive, never well, and silent.
#[test]
fn a_start_that_hangs_is_told_by_its_silence() {
    let docker = DockerEngine::start().unwrap();
    let configuration = format!(
        "[docker]\nhost = \"{}\"\n[[docker.container]]\nname = \"hangs\"\ngrace = \"25s\"\n",
        docker.host()
    );
    let engine = Engine::start(&configuration, &[]).unwrap();
    engine.wait_for_target("docker", "healthy", SOON, is_healthy);
    let health =
        ["--health-cmd", "false", "--health-interval", "5s", "--health-start-period", "9m"];
    run(&docker, "hangs", &health, "echo 'Knowledge OS Database pool создан'; sleep 1000");
    // The same, and it goes on saying something.
    run(&docker, "slow", &health, "while :; do echo loading; sleep 5; done");
    let limit = Duration::from_secs(150);
    let hangs = engine.wait_for_target("container:hangs", "its cause", limit, |target| {
        cause_is(target, "container.startup_hang")
    });
    let evidence = hangs.cause.unwrap().evidence;
    assert!(evidence.iter().any(|line| line.contains("Database pool создан")), "{evidence:?}");
    let slow = engine.target("container:slow").unwrap();
    assert!(!cause_is(&slow, "container.startup_hang"), "{slow:#?}");
}

/// Files below this directory that hold these bytes.
fn files_with(directory: &Path, bytes: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if let Ok(whole) = std::fs::read(&path)
            && whole.windows(bytes.len()).any(|part| part == bytes.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
    found
}
