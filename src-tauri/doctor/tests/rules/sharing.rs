//! R29: several services in one container. A restart of it is one restart for all of them.

use super::world;

const GIVEN: [&str; 4] = [
    "docker",
    "container web: critical",
    "service a: in container web, not cured by a restart",
    "service b: in container web, not cured by a restart",
];

/// R27: a trial is one restart of the container; each service sees for itself whether it helped.
#[test]
fn r27_two_services_in_one_container_share_its_trials() {
    let mut world = world(&GIVEN);
    world.then("a hangs", 0).then("b hangs", 4 * 3600);
    let stops = world.times("stop the container");
    let minutes: Vec<u64> =
        stops.windows(2).skip(2).map(|pair| (pair[1] - pair[0]).div_ceil(60_000)).collect();
    assert_eq!(minutes, [31, 61, 121], "{stops:?}");
}

/// However far apart they begin to fail while the first one is treated.
#[test]
fn r25_a_service_that_fails_later_shares_what_is_left() {
    for seconds in [5, 25, 45, 70, 100] {
        let mut world = world(&GIVEN);
        world.then("a hangs", seconds).then("b hangs", 900);
        let stops = world.times("stop the container");
        assert_eq!(stops.len(), 3, "{seconds} s later: {stops:?}");
        for target in ["service:a", "service:b"] {
            assert_eq!(world.phase(target), "given up", "{seconds} s later: {target}");
        }
    }
}

/// One is well after the restart, the other is not: that was one of its attempts.
#[test]
fn r25_what_cured_the_one_was_an_attempt_for_the_other() {
    let mut world = world(&[GIVEN[0], GIVEN[1], "service a: in container web", GIVEN[3]]);
    world.then("a hangs", 10).then("b hangs", 900);
    let stops = world.times("stop the container");
    assert_eq!(stops.len(), 3, "{stops:?}");
    // R26: it too waits for 10 s at least after the attempt that did not help it.
    let first = world.times("restart service:a: done");
    assert!(stops[1] - first[0] >= 10_000, "{first:?} {stops:?}");
}

/// A service that is well has had no attempt, and a stop by a person is none.
#[test]
fn r25_a_service_that_is_well_has_lost_nothing() {
    let mut world = world(&[GIVEN[0], GIVEN[1], GIVEN[2], "service b: in container web"]);
    world.then("a hangs", 900);
    assert_eq!(world.patient("service:b").account.attempts, 0);
    world.then("b hangs", 60);
    assert_eq!(world.times("> service:b: stop the container").len(), 1);
}
