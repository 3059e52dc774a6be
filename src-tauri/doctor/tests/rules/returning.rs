//! R15, R17: Docker is back, and much of what ran in it is not: one incident, after Docker, until
//! each is well; brought up one at a time.

use super::world;
use crate::world::World;

const GIVEN: [&str; 6] = [
    "docker",
    "container a: critical",
    "container b: critical",
    "container c: critical",
    "container d: critical",
    "container job",
];
const STARTS: &str = "start the container";

fn back_with_all_stopped(given: &[&str]) -> World {
    let mut world = world(given);
    world.pass(90);
    world.then("docker shuts down, stopping all containers", 120).then("docker comes up", 0);
    world
}

fn notices(world: &World) -> Vec<String> {
    let said = |(_, line): &&(u64, String)| line.starts_with("NOTICE");
    world.tale.lines.iter().filter(said).map(|(_, line)| line.clone()).collect()
}

#[test]
fn r15_many_that_stay_stopped_when_docker_is_back_are_one_incident() {
    let mut world = back_with_all_stopped(&GIVEN);
    world.pass(50);
    assert_eq!(world.told(STARTS), 0, "the grace comes first");
    let open = |world: &World| world.patient("docker").incident.clone().expect("an incident");
    assert!(open(&world).closed.is_none());
    world.pass(250);
    assert_eq!(world.told(STARTS), 4);
    let incident = open(&world);
    assert!(incident.closed.is_some());
    assert_eq!(incident.attempts, 4);
    assert_eq!(world.told("incident container"), 0);
    let told = ["NOTICE problem: docker docker.down", "NOTICE recovered: docker docker.down"];
    assert_eq!(notices(&world), told);
}

#[test]
fn r17_they_are_brought_up_one_at_a_time() {
    let mut world = back_with_all_stopped(&GIVEN);
    world.pass(300);
    let starts = world.times(STARTS);
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= 5_000), "{starts:?}");
}

/// What does not come up has a story of its own, and keeps Docker's open no longer.
#[test]
fn r15_one_that_cannot_be_started_stands_alone_in_the_end() {
    let mut world = world(&GIVEN);
    world.pass(90).then("c can never be started", 0);
    world.then("docker shuts down, stopping all containers", 120).then("docker comes up", 400);
    assert_eq!(world.told("incident container:c container.stopped: given up"), 1);
    assert_eq!(world.told("NOTICE needs you: container:c"), 1);
    assert_eq!(world.told("NOTICE recovered: docker docker.down"), 1);
    assert_eq!(world.phase("container:d"), "healthy");
}

/// All run again at once: Docker's incident ends with its return.
#[test]
fn r15_what_docker_brings_back_itself_keeps_nothing_open() {
    let mut world = world(&GIVEN);
    world.pass(90).then("docker goes away", 120).then("docker comes up", 15);
    assert_eq!(world.told("NOTICE recovered: docker docker.down"), 1);
    assert!(world.nothing_done());
}

/// Two are not many: each has its own story, as ever.
#[test]
fn r15_two_that_stay_stopped_have_their_own() {
    let mut world = back_with_all_stopped(&GIVEN[..3]);
    world.pass(300);
    assert_eq!(world.told("container.stopped: verified"), 2);
}
