//! 1.13: notices that neither nag nor stay silent.

use super::world;

#[test]
fn r50_a_problem_is_told_after_30_s_when_nothing_is_under_way() {
    let mut world = world(&["mlx: without a launch command"]);
    world.then("mlx dies", 35);
    assert_eq!(world.told("NOTICE"), 0);
    world.pass(20);
    assert_eq!(world.told("NOTICE problem"), 1);
    world.pass(3600);
    assert_eq!(world.told("NOTICE"), 1, "told once");
}

#[test]
fn r50_what_is_over_in_less_is_not_told() {
    let mut world = world(&["mlx: without a launch command"]);
    world.then("mlx dies", 0).until("mlx", "down");
    world.then("mlx is started by somebody else", 300);
    assert_eq!(world.told("NOTICE"), 0);
}

#[test]
fn r50_want_of_memory_is_always_told_once_an_hour() {
    let mut world = world(&["docker", "container web: critical, policy always"]);
    for _ in 0..3 {
        world.then("web runs out of memory", 400);
    }
    assert_eq!(world.told("NOTICE out of memory"), 1);
    world.pass(3600).then("web runs out of memory", 30);
    assert_eq!(world.told("NOTICE out of memory"), 2);
}

#[test]
fn r51_a_quick_recovery_is_one_quiet_notice_after_it_is_proven() {
    let mut world = world(&["ollama"]);
    world.then("ollama dies", 60);
    assert_eq!(world.told("NOTICE"), 0);
    world.pass(60);
    assert_eq!(world.told("NOTICE recovered"), 1);
    assert_eq!(world.told("NOTICE"), 1);
}

#[test]
fn r52_a_problem_that_was_told_is_closed_once() {
    let mut world = world(&["mlx: without a launch command"]);
    world.then("mlx dies", 90).then("mlx is started by somebody else", 300);
    assert_eq!(world.told("NOTICE problem"), 1);
    assert_eq!(world.told("NOTICE recovered"), 1);
    world.then("mlx dies", 12).then("mlx is started by somebody else", 60);
    assert_eq!(world.told("NOTICE"), 2, "a blip after it closes nothing");
}

#[test]
fn r53_what_is_given_up_is_told_again_after_four_hours() {
    let mut world = world(&["mlx"]);
    world.then("mlx loses its port to nginx pid 9", 3 * 3600);
    assert_eq!(world.told("NOTICE needs you"), 1);
    world.pass(2 * 3600);
    assert_eq!(world.told("NOTICE needs you"), 2);
}

#[test]
fn r53_the_same_problem_not_twice_in_five_minutes_and_not_lost() {
    let mut world = world(&["mlx: without a launch command"]);
    world.then("mlx dies", 60).then("mlx is started by somebody else", 30).then("mlx dies", 60);
    assert_eq!(world.told("NOTICE problem"), 1);
    world.pass(300);
    assert_eq!(world.told("NOTICE problem"), 2, "it was only held back");
}

#[test]
fn r55_nothing_is_told_at_start_when_all_is_well() {
    let mut world = world(&["docker", "ollama", "mlx", "container web: critical"]);
    world.pass(600);
    assert_eq!(world.told("NOTICE"), 0);
    assert_eq!(world.told("incident"), 0);
}

#[test]
fn r55_what_was_given_up_before_a_relaunch_is_not_told_again() {
    let mut world = world(&["ollama"]);
    world.then("ollama cannot be started", 0).then("ollama dies", 120);
    world.then("Homeostat is relaunched", 300);
    assert_eq!(world.told("NOTICE needs you"), 1);
    assert_eq!(world.phase("ollama"), "given up");
}

#[test]
fn r15_a_child_has_no_notice_of_its_own() {
    let given = ["docker", "container web: critical", "service api: in container web"];
    let mut world = world(&given);
    world.then("docker goes away", 600);
    assert_eq!(world.told("NOTICE"), 1);
    assert_eq!(world.told("NOTICE problem: docker"), 1);
}
