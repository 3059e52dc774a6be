//! R54: what fails and comes back again and again.

use doctor::Event;

use super::world;
use super::world::World;

/// It dies, nobody of ours can start it, and somebody else does: this often, so many seconds each.
fn comes_and_goes(world: &mut World, times: usize, seconds: u64) {
    for _ in 0..times {
        world.then("mlx dies", seconds).then("mlx is started by somebody else", seconds);
    }
}

#[test]
fn r54_what_comes_and_goes_is_told_once_and_then_muted() {
    let mut world = world(&["mlx: without a launch command"]);
    comes_and_goes(&mut world, 4, 50);
    assert_eq!(world.told("NOTICE flapping: mlx"), 1);
    let told = world.told("NOTICE");
    comes_and_goes(&mut world, 6, 50);
    assert_eq!(world.told("NOTICE"), told, "muted");
}

#[test]
fn r54_when_it_has_settled_that_is_told_once_and_it_is_muted_no_more() {
    let mut world = world(&["mlx: without a launch command"]);
    comes_and_goes(&mut world, 6, 50);
    let told = world.told("NOTICE");
    world.pass(20 * 60);
    assert_eq!(world.told("NOTICE"), told + 1);
    assert_eq!(world.notices.last().map(|one| one.1.title.key.as_str()), Some("notice.settled"));
    world.then("mlx dies", 60);
    assert_eq!(world.told("NOTICE"), told + 2);
}

#[test]
fn r54_twice_is_no_flapping() {
    let mut world = world(&["mlx: without a launch command"]);
    comes_and_goes(&mut world, 2, 50);
    world.pass(600);
    assert_eq!(world.told("NOTICE flapping"), 0);
}

#[test]
fn r54_now_and_then_is_no_flapping() {
    let mut world = world(&["mlx: without a launch command"]);
    comes_and_goes(&mut world, 8, 8 * 60);
    assert_eq!(world.told("NOTICE flapping"), 0);
}

#[test]
fn r54_what_a_person_restarts_again_and_again_does_not_flap() {
    let mut world = world(&["ollama"]);
    for _ in 0..8 {
        world.then("a person asks: restart ollama", 80);
    }
    assert_eq!(world.told("NOTICE flapping"), 0);
}

#[test]
fn r54_while_it_flaps_a_second_restart_of_ours_was_the_last() {
    let mut world = world(&["ollama"]);
    for _ in 0..8 {
        world.then("ollama dies", 95);
        // Without this the budget of the episode would end it before.
        world.tell(&Event::Reconfigured { roster: world.roster.clone() });
    }
    assert_eq!(world.patient("ollama").reason.rule, "R54");
    assert_eq!(world.phase("ollama"), "down");
    let before = world.told("> ollama: start");
    assert!(before <= 4, "{before}");
    // It has been down without a change for long enough to be no flapping any more.
    world.pass(20 * 60);
    assert_eq!(world.told("> ollama: start"), before + 1);
}

#[test]
fn r54_a_person_may_start_it_all_the_same() {
    let mut world = world(&["ollama"]);
    for _ in 0..8 {
        world.then("ollama dies", 95);
        world.tell(&Event::Reconfigured { roster: world.roster.clone() });
    }
    let before = world.told("> ollama: start");
    world.then("a person asks: recover ollama", 20);
    assert_eq!(world.told("> ollama: start"), before + 1);
}

#[test]
fn r54_what_needs_a_person_is_told_though_it_flaps() {
    let mut world = world(&["mlx: without a launch command"]);
    comes_and_goes(&mut world, 4, 50);
    world.then("mlx loses its port to nginx pid 9", 0).until("mlx", "given up");
    assert_eq!(world.told("NOTICE needs you"), 1);
}

#[test]
fn t23_every_other_answer_is_degraded_and_nothing_to_restart() {
    for server in ["ollama", "mlx"] {
        let mut world = world(&[server]);
        world.then(&format!("{server} answers every other time"), 3600);
        assert_eq!(world.phase(server), "degraded");
        assert!(world.nothing_done(), "{server}");
        assert_eq!(world.told("NOTICE"), 1);
        world.then(&format!("{server} dies"), 40);
        assert_eq!(world.told(&format!("> {server}: start")), 1, "a true end is still seen");
    }
}

#[test]
fn r54_two_restarts_are_allowed_while_it_flaps() {
    let mut world = world(&["ollama"]);
    for _ in 0..4 {
        world.then("ollama answers garbage", 50).then("ollama answers again", 50);
    }
    assert_eq!(world.told("NOTICE flapping"), 1);
    for starts in [1, 2, 2] {
        world.then("ollama dies", 120);
        assert_eq!(world.told("> ollama: start"), starts);
    }
    assert_eq!(world.patient("ollama").reason.rule, "R54");
}

#[test]
fn r54_it_has_settled_when_a_fifth_of_its_states_changed() {
    let mut world = world(&["mlx: without a launch command"]);
    comes_and_goes(&mut world, 4, 50);
    let last = world.story_ms();
    world.until_told("NOTICE recovered: mlx mlx.not_running");
    world.pass(20 * 60);
    let settled = *world.times("NOTICE recovered").last().expect("a notice");
    let minutes = (settled - last) / 60_000;
    assert!((12..15).contains(&minutes), "{minutes} min");
}
