//! A service at work on one long task, and one that hangs.

use std::fmt::Write as _;

use engine::view::State;
use tests::docker::DockerEngine;
use tests::{Engine, programs, wait_until};

use crate::containers::{run, tells};
use crate::{SLACK, SOON, VERDICT_HANGS, cause_is, is_healthy};

/// It serves `/cgi-bin/health`, late when told so, and burns a core when told so. A restart makes it
/// forget both.
const SERVES: &str = "trap 'exit 0' TERM; busybox rm -f /late /burn; busybox mkdir -p /www/cgi-bin; \
    printf '#!/bin/sh\\n[ -f /late ] && sleep 12\\necho Content-Type: text/plain; echo; echo well\\n' \
    >/www/cgi-bin/health; busybox chmod +x /www/cgi-bin/health; \
    busybox httpd -f -p 8000 -h /www & \
    while :; do [ -f /burn ] || sleep 0.2; done";

/// V5: both take connections and answer late. Only the one whose processor stands still is
/// restarted.
#[test]
fn v5_a_service_that_works_is_left_alone_and_one_that_hangs_is_restarted() {
    let docker = DockerEngine::start().unwrap();
    let mut configuration = format!("[docker]\nhost = \"{}\"\n", docker.host());
    for name in ["busy", "hung"] {
        let port = programs::free_port().unwrap();
        // Its share of the processor must not depend on what else this machine does.
        let options = ["-p", &format!("127.0.0.1:{port}:8000"), "--cpu-shares", "262144"];
        run(&docker, name, &[options.as_slice(), &["--cgroup-parent", "/"]].concat(), SERVES);
        let health = format!("http://127.0.0.1:{port}/cgi-bin/health");
        let service = format!(
            "[[docker.container]]\nname = \"{name}\"\ncritical = true\n\
             [[service]]\nname = \"{name}\"\nurl = \"{health}\"\ncontainer = \"{name}\"\ninterval = \"5s\"\n"
        );
        writeln!(configuration, "{service}").unwrap();
    }
    let engine = Engine::start(&configuration, &[]).unwrap();
    let started = |name: &str| tells(&docker, name, "{{.State.StartedAt}}");
    let (busy, hung) = (started("busy"), started("hung"));
    for name in ["busy", "hung"] {
        engine.wait_for_target(&format!("service:{name}"), "healthy", SOON, is_healthy);
    }

    docker.docker(&["exec", "busy", "busybox", "touch", "/burn", "/late"]).unwrap();
    docker.docker(&["exec", "hung", "busybox", "touch", "/late"]).unwrap();
    engine.wait_for_target("service:hung", "its cause", VERDICT_HANGS + SLACK, |target| {
        cause_is(target, "service.timeout")
    });
    wait_until("a restart", 2 * SOON + SLACK, || started("hung") != hung);
    let target = engine.wait_for_target("service:busy", "its work", SOON, |target| {
        cause_is(target, "service.busy")
    });
    assert_eq!(target.state, State::Slow, "{target:#?}");
    assert_eq!(started("busy"), busy, "{target:#?}");
    assert_eq!(target.restarts_last_hour, 0, "{target:#?}");
    let told = engine.incidents().unwrap();
    assert!(told.iter().any(|one| one.target == "service:hung" && one.attempts == 1), "{told:#?}");
    assert!(!told.iter().any(|one| one.target.ends_with("busy") && one.attempts > 0), "{told:#?}");
}
