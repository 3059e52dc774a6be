//! R12, R14: what a container is restarted for in one of its services says nothing about the others.

use super::world;
use super::world::World;

const GIVEN: &[&str] =
    &["docker", "container web", "service api: in container web", "service ui: in container web"];

/// Api has hung, and its container has just been started for it; ui is not up yet.
fn just_started(world: &mut World) {
    world.then("api hangs", 0).until_told("start the container");
    world.then("ui closes without an answer", 0);
}

#[test]
fn r12_a_neighbour_that_comes_up_late_after_our_own_start_has_no_incident() {
    let mut world = world(GIVEN);
    just_started(&mut world);
    for _ in 0..14 {
        world.pass(1);
        assert_ne!(world.cause("service:ui"), "service.empty_reply", "{:?}", world.tale.lines);
    }
    assert_eq!(world.phase("service:ui"), "starting");
    world.then("ui answers again", 120);
    assert_eq!(world.phase("service:ui"), "healthy");
    assert_eq!(world.told("incident service:ui"), 0, "{:?}", world.tale.lines);
    assert_eq!(world.times("start the container").len(), 1);
}

/// Only for a time: what does not come up has its own incident then.
#[test]
fn r12_a_neighbour_that_stays_away_after_our_own_start_is_told_of() {
    let mut world = world(GIVEN);
    just_started(&mut world);
    world.until("service:ui", "down");
    assert!(world.told("incident service:ui service.empty_reply: open") >= 1);
}

/// Where nothing is done for another one there is no reason to wait.
#[test]
fn r12_without_a_treatment_a_neighbour_is_judged_as_ever() {
    let mut world = world(GIVEN);
    world.then("ui closes without an answer", 0).until("service:ui", "recovering");
    assert!(world.told("incident service:ui service.empty_reply") >= 1);
}
