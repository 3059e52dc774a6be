//! R29 and C6: what others look after, and what comes first.

use super::world;
use super::world::World;

const SICK: &str = "container web: critical, with a health check, labelled autoheal";

fn unhealthy(given: &[&str]) -> World {
    let mut world = world(given);
    world.then("web becomes unhealthy", 300);
    world
}

#[test]
fn r29_what_another_healer_restarts_is_left_to_it() {
    for healer in ["container nurse: autoheal of autoheal", "container nurse: autoheal of all"] {
        let world = unhealthy(&["docker", SICK, healer]);
        assert!(world.nothing_done(), "{healer}: {:#?}", world.tale.lines);
        let patient = world.patient("container:web");
        assert_eq!(patient.reason.says.key, "why.other_healer");
        assert_eq!(world.told("NOTICE problem"), 1, "a person is told all the same");
    }
}

#[test]
fn r29_a_healer_of_other_containers_or_none_that_runs_keeps_us_from_nothing() {
    for healer in [
        "container nurse: autoheal of another-label",
        "container nurse: autoheal of all, exited with 1",
        "container nurse: watchtower",
        "container nurse: labelled autoheal",
    ] {
        let world = unhealthy(&["docker", SICK, healer]);
        assert_eq!(world.told("stop the container"), 1, "{healer}: {:#?}", world.tale.lines);
    }
    // Nor does it bring up what ended.
    let mut world = world(&["docker", SICK, "container nurse: autoheal of all"]);
    world.then("web exits with 1", 30);
    assert_eq!(world.told("start the container"), 1, "{:#?}", world.tale.lines);
}

#[test]
fn r29_r22_a_person_overrules_another_healer() {
    let mut world = unhealthy(&["docker", SICK, "container nurse: autoheal of all"]);
    world.then("a person asks: restart container:web", 30);
    assert_eq!(world.told("stop the container"), 1, "{:#?}", world.tale.lines);
}

fn started(world: &World) -> Vec<String> {
    let lines = world.tale.lines.iter();
    let starts = lines.filter_map(|(_, line)| line.split("> container:").nth(1));
    starts.map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect()
}

const NAMES: [&str; 3] = ["agent", "broker", "cache"];

fn all_end(traits: [&str; 3]) -> World {
    let given =
        NAMES.iter().zip(traits).map(|(name, more)| format!("container {name}: critical, {more}"));
    let mut given: Vec<String> = given.collect();
    given.insert(0, "docker".into());
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    let mut world = world(&given);
    for name in NAMES {
        world.then(&format!("{name} exits with 1"), 0);
    }
    world.pass(400);
    world
}

#[test]
fn c6_r17_what_others_depend_on_is_brought_up_first() {
    let compose = all_end(["compose, depends on broker", "compose, depends on cache", "compose"]);
    assert_eq!(started(&compose), ["cache", "broker", "agent"], "{:#?}", compose.tale.lines);
    let configured = all_end(["needs container:cache", "compose", "needs container:broker"]);
    assert_eq!(started(&configured), ["broker", "cache", "agent"], "{:#?}", configured.tale.lines);
    let across = all_end([
        "compose project web_ide, needs project:knowledge_os",
        "compose project web_ide",
        "compose project knowledge_os",
    ]);
    assert_eq!(started(&across), ["broker", "cache", "agent"], "{:#?}", across.tale.lines);
}

/// The same name in another project is another service.
#[test]
fn c6_a_service_of_another_project_is_not_waited_for() {
    let world = all_end([
        "compose project one, depends on cache",
        "compose project two",
        "compose project two",
    ]);
    assert_eq!(started(&world), NAMES, "{:#?}", world.tale.lines);
}

#[test]
fn c6_r17_what_does_not_come_up_keeps_nobody_waiting_for_ever() {
    let mut world = world(&[
        "docker",
        "container agent: critical, compose, depends on cache",
        "container cache: critical, compose, heal ask",
    ]);
    world.then("cache exits with 1", 0).then("agent exits with 1", 60);
    assert_eq!(started(&world), ["agent"], "what nobody may start is not waited for");
    let mut world = super::world(&[
        "docker",
        "container agent: critical, compose, depends on cache",
        "container cache: critical, compose",
    ]);
    world.then("cache cannot be started", 0).then("cache exits with 1", 0);
    world.then("agent exits with 1", 900);
    assert_eq!(
        started(&world).last().map(String::as_str),
        Some("agent"),
        "{:#?}",
        world.tale.lines
    );
}
