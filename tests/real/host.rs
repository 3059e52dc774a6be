//! Real memory pressure: programs that fight over too little memory, as the kernel counts it (PSI).
//! A test target of its own, since every engine on this machine sees the pressure.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use engine::view::State;
use tests::docker::DockerEngine;
use tests::{Engine, Ollama};

/// A warning must last for a minute; the kernel's ten second mean takes a while to rise and to fall.
const LASTING: Duration = Duration::from_mins(4);

#[test]
fn lasting_memory_pressure_is_told_and_nothing_is_restarted_for_it() {
    let docker = DockerEngine::start().unwrap();
    let ollama = Ollama::start(&[]).unwrap();
    let configuration = format!("[ollama]\nurl = \"{}\"\n", ollama.url());
    let engine = Engine::start(&configuration, &ollama.environment()).unwrap();
    engine.wait_for_target("host", "no pressure", LASTING, |host| host.state == State::Healthy);
    let pid = ollama.pid();

    // Three readers of a file that does not fit into what they may hold: the kernel throws out what
    // they need next, over and over. Nobody is killed.
    let fight = "busybox dd if=/dev/zero of=/f bs=1M count=400 2>/dev/null; \
                 for i in 1 2 3; do while :; do busybox cat /f >/dev/null; done & done; wait";
    let limits = ["run", "-d", "--name", "fight", "--memory", "24m", "--memory-swap", "24m"];
    let program = ["busybox:local", "busybox", "sh", "-c", fight];
    docker.docker(&[limits.as_slice(), &program].concat()).unwrap();
    let host = engine.wait_for_target("host", "its cause", LASTING, |host| {
        host.cause.as_ref().is_some_and(|cause| cause.id == "host.memory_pressure")
    });
    let cause = host.cause.unwrap();
    assert_eq!(cause.confidence, "certain");
    assert!(cause.evidence.iter().any(|line| line.contains("memory available")), "{cause:#?}");
    assert!(!engine.status().unwrap().memory.groups.is_empty(), "who holds the memory is told");

    docker.docker(&["rm", "-f", "fight"]).unwrap();
    let incident = engine.wait_for_incident("host", "healed_itself", LASTING);
    assert_eq!(incident.cause.id, "host.memory_pressure");
    assert_eq!(ollama.pid(), pid, "nothing was restarted");
    assert_eq!(engine.target("host").unwrap().state, State::Healthy);
}
