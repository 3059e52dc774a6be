//! R27: what was given up is tried again when the world is another one; R58: also when what it died
//! of is well again. Each with what looks alike and changes nothing.

use super::world;
use crate::world::World;

const STARTS: &str = "start the container";

/// Given up, with its three attempts spent.
fn given_up() -> World {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("web cannot be started", 0).then("web exits with 1", 400);
    assert_eq!(world.phase("container:web"), "given up");
    world
}

#[test]
fn r27_docker_restarted_is_a_changed_world() {
    let mut world = given_up();
    let before = world.told(STARTS);
    world.then("web can be started again", 0);
    world.then("docker goes away", 60).then("docker comes up", 40);
    assert_eq!(world.told(STARTS), before, "a fresh grace comes first");
    world.pass(140);
    assert_eq!(world.phase("container:web"), "healthy");
    assert_eq!(world.told(STARTS), before + 1);
}

#[test]
fn r27_an_engine_that_was_only_slow_to_answer_was_not_restarted() {
    let mut world = given_up();
    let before = world.told(STARTS);
    world.then("web can be started again", 0);
    world.then("the next looks at docker bring silence", 300);
    assert_eq!(world.phase("container:web"), "given up");
    assert_eq!(world.told(STARTS), before);
}

/// Its limit is the same in the new engine.
#[test]
fn r27_a_restarted_docker_changes_nothing_for_what_ended_twice_for_memory() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("web runs out of memory", 200).then("web runs out of memory", 60);
    assert_eq!(world.phase("container:web"), "given up");
    let before = world.told(STARTS);
    world.then("docker goes away", 60).then("docker comes up", 300);
    assert_eq!(world.told(STARTS), before);
    assert_eq!(world.told("incident container:web container.oom_limit: given up"), 1);
}

#[test]
fn r27_another_container_under_its_name_has_a_budget_of_its_own() {
    let mut world = given_up();
    let before = world.told(STARTS);
    world.then("web can be started again", 0).then("compose makes anew web", 30);
    world.then("web exits with 1", 10);
    assert_eq!(world.told(STARTS), before + 1);
}

#[test]
fn r27_what_somebody_started_has_a_budget_of_its_own() {
    let mut world = given_up();
    let before = world.told(STARTS);
    world.then("web can be started again", 0).then("web is started unheard", 61);
    world.then("web exits with 1", 10);
    assert_eq!(world.told(STARTS), before + 1);

    let mut world = self::world(&["ollama"]);
    world.then("ollama cannot be started", 0).then("ollama dies", 200);
    assert_eq!(world.phase("ollama"), "given up");
    let before = world.told("> ollama: start");
    world.then("ollama can be started again", 0).then("ollama is started by a person", 30);
    world.then("ollama dies", 40);
    assert_eq!(world.told("> ollama: start"), before + 1);
}

/// A supervisor that starts it again and again is no person.
#[test]
fn r27_what_a_supervisor_starts_stays_given_up() {
    let mut world = world(&["mlx: launch launchd:com.example.mlx"]);
    world.then("mlx cannot be started", 0).then("mlx dies", 300);
    assert_eq!(world.phase("mlx"), "given up");
    let before = world.told("> mlx: start");
    for _ in 0..3 {
        world.then("mlx is started by somebody else", 4).then("mlx dies", 30);
    }
    assert_eq!(world.told("> mlx: start"), before);
}

#[test]
fn r27_memory_that_is_calm_again_is_a_changed_world() {
    let mut world = world(&["ollama"]);
    world.then("memory is critical", 30);
    world.then("ollama cannot be started", 0).then("ollama dies", 300);
    assert_eq!(world.phase("ollama"), "given up");
    let before = world.told("> ollama: start");
    world.then("ollama can be started again", 0).then("memory is calm again", 200);
    assert_eq!(world.told("> ollama: start"), before + 1);
    assert_eq!(world.phase("ollama"), "healthy");
}

/// What was given up while all was calm was not given up for want of memory.
#[test]
fn r27_memory_that_was_short_later_changes_nothing() {
    let mut world = world(&["ollama"]);
    world.then("ollama cannot be started", 0).then("ollama dies", 200);
    assert_eq!(world.phase("ollama"), "given up");
    let before = world.told("> ollama: start");
    world.then("memory is critical", 90).then("memory is calm again", 200);
    assert_eq!(world.told("> ollama: start"), before);
}

#[test]
fn r27_a_wake_is_a_changed_world_once() {
    let mut world = world(&["ollama"]);
    world.then("ollama cannot be started", 0).then("ollama dies", 200);
    assert_eq!(world.phase("ollama"), "given up");
    let before = world.told("> ollama: start");
    world.then("the machine sleeps for 8 h", 50);
    assert_eq!(world.told("> ollama: start"), before, "the wake hold comes first");
    world.pass(600);
    assert_eq!(world.told("> ollama: start"), before + 1);
}

/// Twice killed right after its start, by calls that pile up against a dead Ollama.
#[test]
fn r58_what_was_given_up_for_its_needs_sake_gets_one_trial_when_that_is_well() {
    let mut world = world(&["ollama", "docker", "container web: critical, needs ollama"]);
    world.then("ollama cannot be started", 0);
    dies_of_ollama(&mut world);
    assert_eq!(world.phase("container:web"), "given up");
    let before = world.told(STARTS);
    world.pass(60).then("ollama can be started again", 0);
    world.then("ollama is started by a person", 30);
    assert_eq!(world.phase("ollama"), "healthy");
    assert_eq!(world.told(STARTS), before, "its grace comes first");
    world.pass(200);
    assert_eq!(world.told(STARTS), before + 1);
    assert_eq!(world.told(STARTS), before + 1);
    assert_eq!(world.phase("container:web"), "healthy");
}

fn dies_of_ollama(world: &mut World) {
    // One end of its own; the second comes before anybody knows that Ollama is dead.
    world.then("web runs out of memory", 1200).then("web exits with 1", 5);
    world.then("ollama dies", 1).then("web runs out of memory", 5);
}

/// It lived for long before each end: its own doing, whatever became of Ollama meanwhile.
#[test]
fn r27_a_need_that_is_well_again_changes_nothing_for_what_ended_of_itself() {
    let mut world = world(&["ollama", "docker", "container web: critical, needs ollama"]);
    world.then("web runs out of memory", 200).then("web runs out of memory", 60);
    assert_eq!(world.phase("container:web"), "given up");
    let before = world.told(STARTS);
    world.then("ollama dies", 300);
    assert_eq!(world.phase("ollama"), "healthy");
    assert_eq!(world.told(STARTS), before);
    assert_eq!(world.phase("container:web"), "given up");
}

/// 1.14: killed, and nobody knows by whom.
#[test]
fn r30_what_is_killed_by_an_unknown_hand_has_one_attempt() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("web will exit with 137 after 70 s", 0).then("web exits with 137", 900);
    assert_eq!(world.told(STARTS), 1);
    assert_eq!(world.phase("container:web"), "given up");
}

/// An end with a code of its own has all three.
#[test]
fn r25_what_ends_by_itself_has_three_attempts() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("web will exit with 134 after 70 s", 0).then("web exits with 134", 900);
    assert_eq!(world.told(STARTS), 3);
}
