//! R37: what a person had stopped for a time comes back when it is over, because it was we who
//! stopped it; and in every other way the pause is a stop like any other.

use doctor::{Intent, Verb};

use super::world;

#[test]
fn r37_a_pause_ends_in_a_start_whatever_may_be_healed_unasked() {
    for heal in ["mlx", "mlx: heal ask", "mlx: heal observe"] {
        let mut world = world(&[heal]);
        world.then("a person asks: stop mlx for 1 h", 3500);
        assert_eq!(world.told("> mlx: start"), 0, "{heal}: before its time");
        world.pass(200);
        assert_eq!(world.told("> mlx: start"), 1, "{heal}: {:?}", world.tale.lines);
        assert_eq!(world.phase("mlx"), "healthy");
        assert_eq!(world.told("incident mlx"), 0, "nothing was wrong");
    }
}

/// A stop without a time is no pause: nothing comes back by itself.
#[test]
fn r37_a_stop_without_a_time_never_ends_by_itself() {
    let mut world = world(&["mlx"]);
    world.then("a person asks: stop mlx for 10 min", 60);
    world.then("a person asks: stop mlx", 3600);
    assert_eq!(world.told("> mlx: start"), 0, "{:?}", world.tale.lines);
    assert_eq!(world.patient("mlx").account.intent, Intent::Held);
}

#[test]
fn r37_a_hold_during_a_pause_outlasts_it() {
    let mut world = world(&["mlx"]);
    world.then("a person asks: stop mlx for 10 min", 60);
    world.then("a person asks: hold mlx", 3600);
    assert_eq!(world.told("> mlx: start"), 0, "{:?}", world.tale.lines);
}

/// The second click sets the time anew, though nothing runs any more.
#[test]
fn r37_a_pause_can_be_made_longer() {
    let mut world = world(&["mlx"]);
    world.then("a person asks: stop mlx for 10 min", 300);
    world.then("a person asks: stop mlx for 30 min", 900);
    assert_eq!(world.told("> mlx: start"), 0, "{:?}", world.tale.lines);
    world.pass(1000);
    assert_eq!(world.told("> mlx: start"), 1, "{:?}", world.tale.lines);
}

#[test]
fn r37_a_pause_that_ends_in_sleep_waits_for_the_end_of_waking() {
    let mut world = world(&["mlx"]);
    world.then("a person asks: stop mlx for 10 min", 60);
    world.then("the machine sleeps for 1 h", 30);
    assert_eq!(world.told("> mlx: start"), 0, "R42: {:?}", world.tale.lines);
    world.pass(120);
    assert_eq!(world.told("> mlx: start"), 1, "{:?}", world.tale.lines);
}

#[test]
fn r37_what_we_could_not_start_again_is_not_paused() {
    let mut world = world(&["mlx: without a launch command"]);
    assert!(!world.doctor.may_pause(&doctor::TargetId::Mlx));
    assert!(world.doctor.actions(&doctor::TargetId::Mlx).contains(&Verb::Stop));
    world.then("a person asks: stop mlx for 10 min", 60);
    assert_eq!(world.told("impossible (why.no_launch)"), 1, "{:?}", world.tale.lines);
    assert_eq!(world.phase("mlx"), "healthy");
}

/// The start at its end may fail: then it is a failure like any other, with its budget.
#[test]
fn r37_a_start_that_fails_after_a_pause_is_told() {
    let mut world = world(&["mlx"]);
    world.then("a person asks: stop mlx for 10 min", 60).then("mlx starts do nothing", 900);
    assert!(world.told("> mlx: start") >= 1, "{:?}", world.tale.lines);
    assert!(world.told("NOTICE problem: mlx") + world.told("NOTICE needs_you: mlx") >= 1);
}

#[test]
fn r37_a_paused_container_is_started_again_too() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("a person asks: stop container:web for 10 min", 590);
    assert_eq!(world.told("start the container"), 0, "{:?}", world.tale.lines);
    world.pass(140);
    assert_eq!(world.told("start the container"), 1, "{:?}", world.tale.lines);
    assert_eq!(world.phase("container:web"), "healthy");
}
