//! HTTP services: each way of being down has its own name.

use std::fmt::Write as _;

use tests::{Engine, Fault, FaultServer};

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
