//! 1.5, R49: one incident, named after the root, lists what suffers with it.

use doctor::{Incident, IncidentState, StoryKind};

use super::world;
use super::world::World;

const AGENTS: [&str; 6] = ["a1", "a2", "a3", "a4", "a5", "a6"];

/// Six agents with health checks of their own that need Ollama, and one that does not.
fn agents() -> World {
    let mut given = vec!["docker".to_owned(), "ollama".to_owned()];
    for agent in AGENTS {
        given.push(format!("container {agent}: critical, with a health check, needs ollama"));
    }
    given.push("container other: critical, with a health check".to_owned());
    world(&given.iter().map(String::as_str).collect::<Vec<_>>())
}

fn incident(world: &World, target: &str) -> Incident {
    world.patient(target).incident.clone().expect("an incident")
}

fn affects(world: &World, target: &str) -> Vec<String> {
    incident(world, target).affects.iter().map(ToString::to_string).collect()
}

#[test]
fn r49_ollama_down_and_six_agents_unhealthy_is_one_incident() {
    let mut world = agents();
    world.then("ollama starts do nothing", 0).then("ollama dies", 20);
    for agent in AGENTS {
        world.then(&format!("{agent} becomes unhealthy"), 5);
    }
    world.pass(120);
    assert_eq!(world.told("incident container"), 0);
    let wanted: Vec<String> = AGENTS.iter().map(|agent| format!("container:{agent}")).collect();
    assert_eq!(affects(&world, "ollama"), wanted);
    assert_eq!(world.told("NOTICE problem"), 1);
    assert_eq!(world.told("the container"), 0, "only Ollama is treated");
}

#[test]
fn r49_what_was_open_before_its_root_was_known_folds_into_it() {
    let mut world = world(&[
        "docker",
        "ollama: without a launch command",
        "container web",
        "service api: in container web, needs ollama",
    ]);
    world.then("api answers with status 500", 15).then("ollama answers with status 503", 0);
    world.until_told("incident service:api service.bad_status: open");
    world.until_told("incident ollama ollama.overloaded: open");
    let own = incident(&world, "service:api");
    assert_eq!(own.state, IncidentState::Closed);
    let last = own.story.last().expect("a story");
    assert_eq!((last.kind, last.says.key.as_str()), (StoryKind::Seen, "story.folded"));
    assert_eq!(affects(&world, "ollama"), ["service:api"]);
}

#[test]
fn r49_the_end_of_a_container_is_no_symptom_of_what_it_needs() {
    let mut world = agents();
    world.then("ollama starts do nothing", 0).then("ollama dies", 30).then("a1 exits with 1", 10);
    assert_eq!(world.told("incident container:a1 container.stopped"), 1);
    // R16: its own proof; it only waits for its turn.
    world.until_told("> container:a1: start the container");
    assert!(affects(&world, "ollama").is_empty());
}

#[test]
fn r49_who_does_not_need_it_does_not_suffer_from_it() {
    let mut world = agents();
    world.then("ollama starts do nothing", 0).then("ollama dies", 30);
    world.then("other becomes unhealthy", 40);
    assert!(world.told("incident container:other container.unhealthy") >= 1);
    assert!(affects(&world, "ollama").is_empty());
}

#[test]
fn r49_who_is_unwell_while_all_it_needs_is_well_has_its_own() {
    let mut world = agents();
    world.then("a1 becomes unhealthy", 40);
    assert!(world.told("incident container:a1 container.unhealthy") >= 1);
}

#[test]
fn r15_the_parent_lists_who_waits_for_it_and_nobody_else() {
    let mut world = world(&[
        "docker",
        "container web: critical",
        "container db: critical",
        "container job",
        "service api: in container web",
        "service outside",
    ]);
    world.then("a person stops db", 20).then("job exits with 0", 20).then("docker goes away", 60);
    assert_eq!(affects(&world, "docker"), ["container:web", "service:api"]);
}

#[test]
fn r14_when_the_root_is_well_the_others_get_a_grace_and_are_judged_anew() {
    let mut world = agents();
    world.then("ollama starts do nothing", 0).then("ollama dies", 20);
    world.then("a1 becomes unhealthy", 5).then("a2 becomes unhealthy", 5);
    world.then("ollama is started by a person", 0).until("ollama", "healthy");
    world.pass(2);
    assert_eq!(world.phase("container:a1"), "starting");
    world.then("a2 becomes healthy", 40);
    assert_eq!(world.told("incident container"), 0, "not within the grace of 50 s");
    world.pass(15);
    assert_eq!(world.told("incident container:a1 container.unhealthy"), 1);
    assert_eq!(world.told("incident container:a2"), 0);
}

#[test]
fn r36_when_the_root_is_held_the_others_speak_for_themselves() {
    let mut world = agents();
    world.then("ollama starts do nothing", 0).then("ollama dies", 20);
    world.then("a1 becomes unhealthy", 10);
    assert_eq!(world.told("incident container"), 0);
    world.then("a person asks: hold ollama", 5);
    assert_eq!(world.told("incident container:a1 container.unhealthy"), 1);
}

#[test]
fn r52_a_problem_that_was_told_before_it_was_folded_ends_with_the_child() {
    let mut world = world(&[
        "docker",
        "ollama",
        "container web",
        "service api: in container web, needs ollama",
    ]);
    world.then("api answers with status 500", 120);
    assert_eq!(world.told("NOTICE problem: service:api"), 1);
    world.then("ollama dies", 40);
    assert_eq!(world.told("incident service:api service.bad_status: closed"), 1, "folded");
    assert_eq!(world.told("NOTICE recovered"), 0);
    world.then("api answers again", 120);
    assert_eq!(world.told("NOTICE recovered: service:api"), 1);
    world.pass(1200);
    assert_eq!(world.told("NOTICE recovered: service:api"), 1);
}

#[test]
fn r17_services_that_are_still_unwell_are_restarted_one_at_a_time() {
    let mut given = vec!["docker".to_owned(), "ollama".to_owned()];
    for n in 1..=3 {
        given.push(format!("container c{n}"));
        given.push(format!("service s{n}: in container c{n}, needs ollama"));
    }
    let mut world = world(&given.iter().map(String::as_str).collect::<Vec<_>>());
    world.then("ollama dies", 0);
    for n in 1..=3 {
        world.then(&format!("s{n} closes without an answer"), 0);
    }
    world.until("ollama", "healthy");
    let well = world.story_ms();
    world.pass(180);
    let starts = world.times("start the container");
    assert_eq!(starts.len(), 3, "{starts:?}");
    assert!(starts[0] >= well + 50_000, "after one grace");
    assert!(starts.windows(2).all(|two| two[1] - two[0] >= 5_000), "{starts:?}");
}
