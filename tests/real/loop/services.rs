//! HTTP services: each way of being down has its own name.

use std::fmt::Write as _;

use tests::docker::DockerEngine;
use tests::{Engine, Fault, FaultServer};

use crate::containers::{run, tells};
use crate::{SLACK, SOON, VERDICT_HANGS, cause_is, is_healthy, target};

#[test]
fn each_fault_of_a_service_has_its_cause_and_passes() {
    let kinds = [
        ("hangs", Fault::Hang, "service.timeout"),
        ("slow", Fault::SlowHead, "service.timeout"),
        ("stalls", Fault::StallInBody, "service.timeout"),
        ("mute", Fault::EmptyReply, "service.empty_reply"),
        ("resets", Fault::Reset, "service.empty_reply"),
        ("fails", Fault::status(500), "service.bad_status"),
        ("lost", Fault::status(404), "service.bad_status"),
        ("loops", Fault::RedirectLoop, "service.bad_status"),
    ];
    let servers: Vec<FaultServer> =
        kinds.iter().map(|_| FaultServer::start(Fault::status(200)).unwrap()).collect();
    let closing = FaultServer::start(Fault::status(200)).unwrap();
    let mut configuration =
        "[docker]\nhost = \"unix:///nonexistent/docker.sock\"\nheal = \"observe\"\n".to_owned();
    let mut watch = |name: &str, url: &str| {
        writeln!(configuration, "[[service]]\nname = \"{name}\"\nurl = \"{url}\"").unwrap();
    };
    for ((name, _, _), server) in kinds.iter().zip(&servers) {
        watch(name, &server.url("/health"));
    }
    watch("closes", &closing.url("/health"));
    let engine = Engine::start(&configuration, &[]).unwrap();
    engine.wait_for("nine healthy services", SOON, |snapshot| {
        let mut services = snapshot.targets.iter().filter(|target| target.kind == "service");
        services.clone().count() == 9 && services.all(is_healthy)
    });

    for ((_, fault, _), server) in kinds.iter().zip(&servers) {
        server.set(fault.clone());
    }
    let address = closing.address();
    drop(closing);
    let expected: Vec<(String, &str)> = kinds
        .iter()
        .map(|(name, _, cause)| (format!("service:{name}"), *cause))
        .chain([("service:closes".to_owned(), "service.refused")])
        .collect();
    engine.wait_for("a cause for each", VERDICT_HANGS + SLACK, |snapshot| {
        expected.iter().all(|(id, cause)| cause_is(target(snapshot, id), cause))
    });

    for server in &servers {
        server.set(Fault::status(200));
    }
    let _back = FaultServer::start_at(address, Fault::status(200)).unwrap();
    engine.wait_for("all well again", SOON + SLACK, |snapshot| {
        expected.iter().all(|(id, _)| is_healthy(target(snapshot, id)))
    });
    for (id, _) in &expected {
        engine.wait_for_incident(id, "healed_itself", SOON);
    }
}

/// R62: what listens in the container, but not behind the port that is published, is named; what has not
/// begun to listen is not. Nothing is restarted for either.
#[test]
fn r62_a_port_that_leads_where_nothing_listens_is_named() {
    let docker = DockerEngine::start().unwrap();
    let mut configuration = format!("[docker]\nhost = \"{}\"\n", docker.host());
    let kinds = [
        ("wrong", 28031, "exec busybox httpd -f -p 9000", "while 9000 is listened on"),
        ("inside", 28032, "exec busybox httpd -f -p 127.0.0.1:8000", "only at 127.0.0.1"),
        ("slow", 28033, "sleep 1000", "check that its port is published"),
    ];
    for (name, port, script, _) in kinds {
        run(&docker, name, &["-p", &format!("127.0.0.1:{port}:8000")], script);
        writeln!(
            configuration,
            "[[service]]\nname = \"{name}\"\nurl = \"http://127.0.0.1:{port}/\"\ncontainer = \"{name}\"\n\
             grace = \"25s\"\ninterval = \"5s\"\n"
        )
        .unwrap();
    }
    let life = "{{.Id}} {{.State.StartedAt}}";
    let before = kinds.map(|(name, ..)| tells(&docker, name, life));
    let engine = Engine::start(&configuration, &[]).unwrap();
    for (name, _, _, line) in kinds {
        engine.wait_for_target(&format!("service:{name}"), line, 2 * SOON + SLACK, |target| {
            let evidence = target.cause.iter().flat_map(|cause| &cause.evidence);
            evidence.into_iter().any(|said| said.contains(line))
        });
    }
    assert_eq!(kinds.map(|(name, ..)| tells(&docker, name, life)), before, "nothing is restarted");
}
