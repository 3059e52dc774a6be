//! R34: what an engine stops when it goes or comes is no person's stop.

use doctor::{Intent, LedgerFound};

use super::{world, world_with};

const WEB: &[&str] = &["docker", "container web: critical"];

/// R34: what was stopped while we did not run was no shutdown of an engine that goes only now.
#[test]
fn r34_a_stop_of_the_past_is_no_part_of_a_shutdown_of_the_present() {
    let mut world = world(WEB);
    world.pass(300);
    world.then("while Homeostat does not run, a person stops web", 5);
    world.then("docker goes away", 60).then("docker comes up", 300);
    assert_eq!(
        world.patient("container:web").account.intent,
        Intent::Held,
        "{:?}",
        world.tale.lines
    );
    assert!(world.nothing_done(), "{:?}", world.tale.lines);
}

/// R34: one failing ping beside the last container's stop is no shutdown: the stream goes on.
#[test]
fn r34_the_last_one_that_a_person_stops_stays_stopped_though_a_ping_fails() {
    let mut world = world(&[WEB[0], WEB[1], "container db: critical"]);
    world.then("a person stops web", 20);
    world.then("the next looks at docker bring silence", 0);
    world.then("a person stops db", 600);
    assert!(world.treatments.is_empty(), "{:?}", world.treatments);
}

/// R34: what is held by a wish runs on: that another one stopped is no shutdown of the engine.
#[test]
fn r34_one_of_two_that_stopped_is_no_shutdown() {
    let mut world = world(&[WEB[0], WEB[1], "container db: critical"]);
    world.then("a person asks: hold container:web", 10);
    world.then("the next looks at docker bring silence", 0);
    world.then("a person stops db", 600);
    assert!(world.treatments.is_empty(), "{:?}", world.treatments);
    assert_eq!(world.patient("container:db").account.intent, Intent::Held);
}

/// Fault 54: what we never start need not be held, and its trouble is told.
#[test]
fn r35_without_a_ledger_the_engine_is_not_held() {
    let mut world = world_with(&["docker: absent"], LedgerFound::Damaged);
    world.pass(120);
    let docker = world.doctor.patient(&doctor::TargetId::Docker).expect("docker");
    assert_eq!(docker.account.intent, Intent::Wanted);
    assert!(world.tale.lines.iter().any(|(_, line)| line.contains("NOTICE problem: docker")));
}

/// One failed ping after a person's stop is no shutdown of the daemon: others still run.
#[test]
fn r34_a_failed_ping_after_a_stop_by_a_person_is_no_shutdown() {
    let mut world = world(&["docker", "container web: critical", "container db: critical"]);
    world.then("the next looks at docker bring silence", 0);
    world.then("a person stops web", 120);
    assert!(world.treatments.is_empty(), "{:?}", world.treatments);
    let web = world.doctor.patient(&doctor::TargetId::Container("web".into())).expect("web");
    assert_eq!(web.account.intent, doctor::Intent::Held);
}

#[test]
fn r34_a_daemon_that_shuts_down_changes_no_intent() {
    for given in [WEB, &["docker", "container web: critical", "container db: critical"]] {
        let mut world = world(given);
        world.then("docker shuts down, stopping all containers", 60);
        assert_eq!(world.patient("container:web").account.intent, Intent::Wanted);
        world.then("docker comes up", 90);
        assert!(world.told("start the container") >= 1);
    }
}

#[test]
fn r34_what_an_engine_clears_up_after_its_crash_is_no_persons_stop() {
    let mut world = world(&["docker", "container web: critical", "container db: critical"]);
    world.then("docker crashes", 60).then("docker comes up", 20);
    for container in ["container:web", "container:db"] {
        assert_eq!(world.patient(container).account.intent, Intent::Wanted, "{container}");
    }
    world.pass(300);
    assert_eq!((world.phase("container:web"), world.phase("container:db")), ("healthy", "healthy"));
}

/// R27, 1.14: what an engine's crash ended is no kill that nobody explains, whatever came before.
#[test]
fn r27_what_ended_with_the_engine_is_brought_back_though_it_was_killed_before() {
    let mut world = world(&[WEB[0], WEB[1], "container db: critical"]);
    world.then("web exits with 137", 120);
    assert!(world.told("container:web container.killed: verified") == 1, "{:?}", world.tale.lines);
    world.then("docker crashes", 60).then("docker comes up", 240);
    assert_eq!((world.phase("container:web"), world.phase("container:db")), ("healthy", "healthy"));
    assert_eq!(world.told("NOTICE needs you"), 0);
}

/// R34: the engine clears up everything that it finds; a person stops one.
#[test]
fn r34_one_stop_right_after_the_engine_is_back_is_a_persons() {
    let mut world = world(&[WEB[0], WEB[1], "container db: critical"]);
    world.then("docker goes away", 60).then("docker comes up", 1);
    world.then("a person stops web", 600);
    assert_eq!(world.patient("container:web").account.intent, Intent::Held);
    assert!(world.nothing_done());
}

#[test]
fn r34_a_persons_stop_a_while_after_the_engine_is_back_is_one() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("docker goes away", 60).then("docker comes up", 8);
    world.then("a person stops web", 600);
    assert_eq!(world.patient("container:web").account.intent, Intent::Held);
    assert!(world.nothing_done());
}
