//! R30: the light start of what ends again and again, and the way back.

use super::world;
use super::world::World;

const LOOPING: &[&str] =
    &["docker", "container web: critical, policy always, compose, cured by a light start"];

fn looping(given: &[&str]) -> World {
    let mut world = world(given);
    world.then("web will exit with 3 after 4 s", 0).then("web exits with 3", 0);
    world
}

fn why(world: &World) -> String {
    world.patient("container:web").reason.says.key.clone()
}

#[test]
fn r30_a_loop_is_started_light_once_and_goes_back_to_normal() {
    let mut world = looping(LOOPING);
    world.pass(100);
    assert_eq!(world.told("compose up -d web, light"), 1, "{:#?}", world.tale.lines);
    assert_eq!((world.phase("container:web"), why(&world).as_str()), ("healthy", "why.runs_light"));
    world.then("web can be started again", 480);
    assert_eq!(world.told("compose up -d web"), 1, "not before it was stable for ten minutes");
    world.pass(240);
    assert_eq!(world.told("compose up -d web"), 2, "{:#?}", world.tale.lines);
    assert_eq!(world.told("light"), 1);
    assert_eq!((world.phase("container:web"), why(&world).as_str()), ("healthy", "why.verified"));
    assert!(!world.containers["web"].seen.light);
}

#[test]
fn r30_what_loops_again_after_its_return_stays_light() {
    let mut world = looping(LOOPING);
    world.pass(3600 * 5);
    assert_eq!(world.told("compose up -d web, light"), 2, "{:#?}", world.tale.lines);
    assert_eq!(world.told("compose up -d web"), 3, "back to normal is tried once");
    assert_eq!(
        (world.phase("container:web"), why(&world).as_str()),
        ("healthy", "why.stays_light")
    );
    // A person's restart takes it back, and once more it is light when that does not hold.
    world.then("web can be started again", 0);
    world.then("a person asks: restart container:web", 120);
    assert_eq!((world.phase("container:web"), why(&world).as_str()), ("healthy", "why.verified"));
    assert!(!world.containers["web"].seen.light);
}

#[test]
fn r30_what_loops_light_as_well_is_given_up_at_once() {
    let mut world =
        looping(&["docker", "container web: critical, policy always, compose, light start"]);
    world.pass(3600 * 5);
    assert_eq!(world.told("compose up -d web"), 1, "{:#?}", world.tale.lines);
    assert_eq!(world.phase("container:web"), "given up");
    assert_eq!(world.told("NOTICE needs you"), 2, "once, and its reminder after four hours");
}

#[test]
fn r30_exits_of_what_we_started_ourselves_are_a_loop_too() {
    let given = ["docker", "container web: critical, compose, cured by a light start"];
    let mut world = looping(&given);
    world.pass(240);
    assert_eq!(world.told("compose up -d web, light"), 1, "{:#?}", world.tale.lines);
    assert_eq!(world.phase("container:web"), "healthy");
    // Without a light start it is given up for good: no trial would end otherwise.
    let mut world = looping(&["docker", "container web: critical, compose"]);
    world.pass(240);
    assert_eq!(world.cause("container:web"), "container.crash_loop");
    assert_eq!(world.told("given up, no restart helps"), 1, "{:#?}", world.tale.lines);
}

/// Started by turns by us and by a person, more than a minute apart: it ends at once each time.
#[test]
fn r30_quick_exits_are_a_loop_however_far_apart_the_starts_are() {
    let given = ["docker", "container web: critical, compose, cured by a light start"];
    let mut world = world(&given);
    world.pass(300).then("web will exit with 3 after 2 s", 0).then("web exits with 3", 0);
    for _ in 0..4 {
        world.pass(77).then("a person starts web", 0);
    }
    world.pass(120);
    assert_eq!(world.told("compose up -d web, light"), 1, "{:#?}", world.tale.lines);
    assert_eq!(world.phase("container:web"), "healthy");
}

/// Nobody but a person starts it, more than five minutes for three of them.
#[test]
fn r30_three_quick_exits_of_a_persons_starts_are_a_loop() {
    let mut world = world(&["docker", "container web: critical, compose, heal observe"]);
    world.pass(300).then("web will exit with 3 after 2 s", 0).then("web exits with 3", 0);
    for _ in 0..3 {
        world.pass(200).then("a person starts web", 0);
    }
    world.pass(60);
    assert_eq!(world.cause("container:web"), "container.crash_loop", "{:#?}", world.tale.lines);
}

/// A person's word is worth one try, and not a loop of its own: the exits before it still count.
#[test]
fn r30_a_persons_word_does_not_hide_a_loop() {
    let given = ["docker", "container web: critical, compose, cured by a light start"];
    let mut world = world(&given);
    world.pass(300).then("web will exit with 3 after 2 s", 0).then("web exits with 3", 0);
    for _ in 0..3 {
        world.pass(15).then("a person asks: start container:web", 0);
    }
    world.pass(60);
    assert_eq!(world.told("compose up -d web, light"), 1, "{:#?}", world.tale.lines);
    // What they have mended meanwhile runs, and is not taken for a loop.
    let mut world = looping(&["docker", "container web: critical, compose"]);
    world.pass(240);
    assert_eq!(world.phase("container:web"), "given up");
    world.then("web can be started again", 0).then("a person asks: start container:web", 10);
    assert_eq!(world.phase("container:web"), "recovering", "{:#?}", world.tale.lines);
    world.pass(120);
    assert_eq!(world.phase("container:web"), "healthy");
}

/// A job that is run every ten minutes and fails each time is none.
#[test]
fn r30_exits_far_apart_are_no_loop() {
    let mut world = world(&["docker", "container web: critical, compose, heal observe"]);
    world.pass(300).then("web will exit with 3 after 2 s", 0).then("web exits with 3", 0);
    for _ in 0..4 {
        world.pass(600).then("a person starts web", 0);
    }
    world.pass(60);
    assert_eq!(world.cause("container:web"), "container.stopped", "{:#?}", world.tale.lines);
}

/// What only looks like it: no loop, no files, no consent, or not ours to touch.
#[test]
fn r30_a_light_start_needs_a_loop_its_files_and_leave() {
    let once = "container web: critical, compose, cured by a light start";
    let mut world = world(&["docker", once]);
    world.then("web exits with 3", 120).then("web exits with 3", 120);
    assert_eq!(world.told("light"), 0, "two ends are no loop");
    for given in [
        "container web: critical, policy always, light start",
        "container web: critical, policy always, compose",
        "container web: critical, policy always, compose, light start, heal ask",
        "container web: critical, policy always, compose, light start, heal observe",
        "container web: critical, policy always, compose, light start, skip",
    ] {
        let mut world = looping(&["docker", given]);
        world.pass(900);
        assert!(world.nothing_done(), "{given}: {:#?}", world.tale.lines);
    }
}

#[test]
fn r30_r60_a_click_does_what_is_asked_for() {
    let mut world = looping(&[
        "docker",
        "container web: critical, policy always, compose, cured by a light start, heal ask",
    ]);
    world.pass(20);
    assert_eq!(world.phase("container:web"), "down");
    world.then("a person asks: restart container:web", 100);
    assert_eq!(world.told("compose up -d web, light"), 1, "{:#?}", world.tale.lines);
    assert_eq!(world.phase("container:web"), "healthy");
    // Nor does it go back without being asked.
    world.pass(3600);
    assert_eq!(world.told("compose up -d web"), 1);
}

#[test]
fn r30_the_way_back_waits_while_anything_speaks_against_it() {
    for (before, after) in [
        ("memory is under pressure", "memory is calm again"),
        ("a person asks: hold container:web", "a person asks: release container:web"),
    ] {
        let mut world = looping(LOOPING);
        world.pass(200).then("web can be started again", 0).then(before, 1800);
        assert_eq!(world.told("compose up -d web"), 1, "{before}: {:#?}", world.tale.lines);
        world.then(after, 900);
        assert_eq!(world.told("compose up -d web"), 2, "{after}: {:#?}", world.tale.lines);
    }
}

/// P12: it is stopped by a person, also while Compose is making it anew.
#[test]
fn r30_what_a_person_stops_stays_stopped() {
    for seconds in [0, 1, 2, 3, 5, 8, 40, 700, 725] {
        let mut world = looping(LOOPING);
        world.until_told("compose up -d web, light");
        world.pass(seconds).then("a person stops web", 0);
        let before = world.treatments.len();
        world.pass(1800);
        assert_eq!(world.treatments.len(), before, "{seconds}: {:#?}", world.tale.lines);
        assert!(!world.containers["web"].is_running(), "{seconds}: {:#?}", world.tale.lines);
    }
}

#[test]
fn r30_another_container_under_the_name_is_another_story() {
    let mut world = looping(LOOPING);
    world.pass(3600 * 5).then("compose makes anew web", 60);
    assert!(world.patient("container:web").account.light.is_some(), "it is light all the same");
    world.containers.get_mut("web").expect("the container").seen.light = false;
    world.then("web can be started again", 0).then("compose makes anew web", 60);
    assert_eq!(world.patient("container:web").account.light, None);
    assert_eq!(world.phase("container:web"), "healthy");
}

/// With what it runs, since when, and when it goes back: where a person looks, and in the records.
#[test]
fn r30_what_runs_light_says_with_what_since_when_and_until_when() {
    let mut world = looping(LOOPING);
    world.pass(100);
    let why = world.doctor.why(&"container:web".parse().expect("an id")).expect("why");
    assert_eq!(why.says.key, "why.runs_light");
    for name in ["since", "lines", "at"] {
        assert!(why.says.values.contains_key(name), "{name} in {:?}", why.says);
    }
    let next = world.patient("container:web").reason.next.expect("when it goes back");
    let told = |world: &World, key: &str| {
        let story = &world.patient("container:web").incident.as_ref().expect("an incident").story;
        story.iter().any(|line| line.says.key == key && line.says.values.contains_key("lines"))
    };
    assert!(told(&world, "story.light_start"));
    let said = |world: &World, key: &str| {
        world.doctor.operations().flat_map(|one| &one.log).any(|(_, says)| says.key == key)
    };
    assert!(said(&world, "step.runs_light"));
    world.then("web can be started again", 480).pass(240);
    let offset = world.doctor.now().awake.0 - world.story_ms();
    let back = world.times("compose up -d web")[1] + offset;
    assert!(back.abs_diff(next.0) <= 5_000, "named {next:?}, and it was at {back}");
    for key in ["story.light_returns", "step.as_its_files"] {
        assert!(said(&world, key), "{key}");
    }
}
