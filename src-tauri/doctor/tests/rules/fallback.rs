//! C10: the cloud as a fallback, and what agents report of it.

use doctor::{Calls, Event, NoticeKind, Observation};

use super::world;
use crate::world::World;

const SERVES: &[&str] = &["ollama: its work is read, loaded llama3:8b 6 GB"];

/// Requests for a token that came back.
fn token_requests(world: &World) -> usize {
    let is_deep = |event: &Event| {
        let Event::Looked { observation, .. } = event else { return false };
        matches!(&**observation, Observation::Ollama(seen) if seen.signs.deep.is_some())
    };
    world.heard.iter().flatten().filter(|(event, _)| is_deep(event)).count()
}

fn cloud_notices(world: &World) -> usize {
    world.tale.lines.iter().filter(|(_, line)| line.contains("NOTICE cloud calls")).count()
}

#[test]
fn c10_what_was_given_up_is_served_by_the_cloud_until_it_is_verified() {
    let mut world = world(&["ollama"]);
    world.then("ollama dies", 0).then("ollama cannot be started", 20);
    assert!(!world.doctor.fallback(), "an attempt is not a failure yet");
    world.until("ollama", "given up");
    assert!(world.doctor.fallback());
    let notice = world.notices.last().expect("a notice");
    assert_eq!(notice.1.kind, NoticeKind::NeedsYou);
    assert!(notice.1.lines.iter().any(|line| line.key == "notice.fallback"), "{notice:?}");
    world.then("Homeostat is quit and started again", 30);
    assert!(world.doctor.fallback(), "it is still given up after a relaunch");
    world.then("ollama can be started again", 0).then("a person asks: start ollama", 0);
    world.until("ollama", "recovering");
    assert!(world.doctor.fallback(), "a start is no proof");
    world.until("ollama", "healthy");
    assert!(!world.doctor.fallback());
}

#[test]
fn c10_what_is_not_installed_is_served_by_the_cloud() {
    let mut world = world(&["ollama"]);
    world.then("ollama is uninstalled", 0).then("ollama dies", 60);
    assert!(world.doctor.fallback());
}

#[test]
fn c10_what_is_held_or_slow_needs_no_cloud() {
    let mut world = world(&["ollama"]);
    world.then("a person asks: stop ollama", 600);
    assert!(!world.doctor.fallback(), "a person stopped it on purpose");
    world.then("a person asks: start ollama", 200);
    world.then("ollama answers late, after 1500 ms", 120);
    assert_eq!(world.phase("ollama"), "slow");
    assert!(!world.doctor.fallback());
}

#[test]
fn c10_more_than_half_in_the_cloud_is_told_once_and_looked_into() {
    let mut world = world(SERVES);
    world.heard = Some(Vec::new());
    world.then("agents report 9 calls here and 10 in the cloud", 10);
    assert_eq!(cloud_notices(&world), 0, "19 calls prove nothing");
    world.then("agents report 1 calls here and 0 in the cloud", 10);
    assert_eq!(cloud_notices(&world), 0, "10 of 20 are not more than half");
    let asked = token_requests(&world);
    world.then("agents report 0 calls here and 1 in the cloud", 5);
    assert_eq!(cloud_notices(&world), 1);
    assert!(token_requests(&world) > asked, "its work is looked at as well");
    world.then("agents report 0 calls here and 9 in the cloud", 600);
    assert_eq!(cloud_notices(&world), 1, "once");
    assert_eq!(world.doctor.calls_lately(), Calls { local: 10, cloud: 20 });
    assert!(world.nothing_done());
    // It has been the other way round meanwhile: then it is news again.
    world.then("agents report 90 calls here and 0 in the cloud", 0);
    world.then("agents report 0 calls here and 90 in the cloud", 5);
    assert_eq!(cloud_notices(&world), 2);
}

#[test]
fn c10_calls_count_for_an_hour() {
    let mut world = world(SERVES);
    world.then("agents report 0 calls here and 15 in the cloud", 3590);
    world.then("agents report 0 calls here and 4 in the cloud", 20);
    assert_eq!(world.doctor.calls_lately(), Calls { local: 0, cloud: 4 });
    world.then("agents report 0 calls here and 15 in the cloud", 5);
    assert_eq!(cloud_notices(&world), 0);
    assert_eq!(world.doctor.calls(), Calls { local: 0, cloud: 34 });
}
