//! An agent in a container, its service, and Ollama that both need.

use tests::docker::DockerEngine;
use tests::{Control, Engine, Model, Ollama, programs};

use crate::containers::{run, tells};
use crate::{SLACK, SOON, VERDICT_CLOSED, VERIFIED, cause_is, is_healthy, target, without_mcp};

/// R15, R16, R49: what fails for want of Ollama is part of its incident, and is not restarted for it.
#[test]
fn r49_an_agent_and_its_service_that_fail_for_want_of_ollama_are_one_incident_with_it() {
    let _alone = without_mcp();
    let docker = DockerEngine::start().unwrap();
    let mut ollama = Ollama::start(&[Model::named("m:latest")]).unwrap();
    let port = programs::free_port().unwrap();
    let asks = format!("busybox wget -q -O - {}/api/version", ollama.url());
    let serves = format!(
        "trap 'exit 0' TERM; busybox mkdir -p /www/cgi-bin; \
         printf '#!/bin/sh\\n{asks} >/dev/null || echo Status: 503 Service Unavailable\\n\
         echo Content-Type: text/plain; echo; echo told\\n' >/www/cgi-bin/health; \
         busybox chmod +x /www/cgi-bin/health; \
         busybox httpd -f -p 127.0.0.1:{port} -h /www & while :; do sleep 0.2; done"
    );
    let check = ["--health-cmd", &asks, "--health-interval", "2s", "--health-retries", "2"];
    run(&docker, "agent", &[check.as_slice(), &["--network", "host"]].concat(), &serves);
    let configuration = format!(
        "[docker]\nhost = \"{}\"\n[ollama]\nurl = \"{}\"\n\
         [[docker.container]]\nname = \"agent\"\ncritical = true\nneeds = [\"ollama\"]\ngrace = \"25s\"\n\
         [[service]]\nname = \"agent\"\nurl = \"http://127.0.0.1:{port}/cgi-bin/health\"\n\
         container = \"agent\"\nneeds = [\"ollama\"]\ninterval = \"5s\"\n",
        docker.host(),
        ollama.url()
    );
    let engine = Engine::start(&configuration, &ollama.environment()).unwrap();
    for id in ["ollama", "container:agent", "service:agent"] {
        engine.wait_for_target(id, "healthy", SOON, is_healthy);
    }
    let begin = tells(&docker, "agent", "{{.State.StartedAt}}");

    // It stays away until both have failed for it.
    ollama.misbehave(&Control { exit: Some(3), ..Control::default() }).unwrap();
    ollama.kill().unwrap();
    engine.wait_for("both fail", VERDICT_CLOSED + SLACK + SOON, |snapshot| {
        cause_is(target(snapshot, "container:agent"), "container.unhealthy")
            && cause_is(target(snapshot, "service:agent"), "service.bad_status")
    });
    ollama.misbehave(&Control::default()).unwrap();
    let incident = engine.wait_for_incident("ollama", "verified", 2 * VERIFIED);
    for name in ["container:agent", "service:agent"] {
        engine.wait_for_target(name, "healthy", SOON + SLACK, is_healthy);
    }
    assert_eq!(incident.affects, ["container:agent", "service:agent"], "{incident:#?}");
    // What was seen of them before Ollama was known to be the cause went into its incident.
    for one in engine.incidents().unwrap() {
        let folded = one.state == "closed"
            && one.attempts == 0
            && one.closed <= Some(incident.opened.clone());
        assert!(one.id == incident.id || folded, "{one:#?}");
    }
    assert_eq!(tells(&docker, "agent", "{{.State.StartedAt}}"), begin, "it was not restarted");
}
