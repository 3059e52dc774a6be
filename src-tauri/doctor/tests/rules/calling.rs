//! R38: whose complaint it is, and what is left alone for it. R60: whose mode it is.

use std::net::IpAddr;

use doctor::{Asker, Event, TargetId, Wish};

use super::world;
use crate::world::World;

const STOPS: &str = "stop the container";

/// Two services in a container, both hanging for good, and an agent in that container.
fn two_in_one() -> World {
    let mut world = world(&[
        "docker",
        "container web: critical",
        "container other: critical",
        "service a: in container web",
        "service b: in container other",
    ]);
    for (name, address) in [("web", "172.18.0.7"), ("other", "172.18.0.8")] {
        let container = world.containers.get_mut(name).expect("a container");
        container.seen.addresses = vec![address.parse().expect("an address")];
    }
    world.pass(70);
    world
}

fn complains(world: &mut World, from: &str, by: Asker, targets: &[&str]) {
    let targets = targets.iter().map(|target| target.parse().expect("a target")).collect();
    let from: IpAddr = from.parse().expect("an address");
    let wish = Wish::Recover { targets };
    world.tell(&Event::Wished { ticket: 99, wish, by, from: Some(from) });
}

#[test]
fn r38_the_callers_own_container_is_left_alone_while_its_complaint_is_looked_into() {
    let mut world = two_in_one();
    world.then("a hangs", 0);
    world.then("b hangs", 0);
    complains(&mut world, "172.18.0.7", Asker::Agent, &["service:b"]);
    world.pass(80);
    // Without the complaint the first one would have been treated first.
    let acted = |world: &World, name: &str| {
        let line = format!("> service:{name}: {STOPS}");
        world.tale.lines.iter().filter(|(_, told)| told.starts_with(&line)).count()
    };
    assert_eq!((acted(&world, "a"), acted(&world, "b")), (0, 1));
    assert_eq!(world.patient("service:a").reason.rule, "R38");
    world.pass(60);
    assert_eq!((acted(&world, "a"), acted(&world, "b")), (1, 1), "healed when that is settled");
}

/// It named itself; another address; a person.
#[test]
fn r38_who_names_itself_or_is_somebody_else_spares_nobody() {
    for (from, by, target) in [
        ("172.18.0.7", Asker::Agent, "service:a"),
        ("172.18.0.7", Asker::Agent, "container:web"),
        ("172.18.0.9", Asker::Agent, "service:b"),
        ("127.0.0.1", Asker::Agent, "service:b"),
        ("172.18.0.7", Asker::Person, "service:b"),
    ] {
        let mut world = two_in_one();
        world.then("a hangs", 0);
        complains(&mut world, from, by, &[target]);
        world.pass(120);
        assert_eq!(world.told(STOPS), 1, "{from} {target}");
    }
}

/// Its complaint has been looked into: what is wrong with it is healed as ever.
#[test]
fn r38_the_caller_is_healed_when_its_complaint_is_settled() {
    let mut world = two_in_one();
    complains(&mut world, "172.18.0.7", Asker::Agent, &["service:b"]);
    world.pass(30).then("a hangs", 120);
    assert_eq!(world.told(STOPS), 1);
}

/// R60: what is done for a service is done to its container.
#[test]
fn r60_a_container_that_is_only_observed_is_not_restarted_for_a_service_in_it() {
    let mut world =
        world(&["docker", "container web: critical, heal observe", "service a: in container web"]);
    world.then("a hangs", 300);
    assert!(world.nothing_done());
    assert_eq!(world.patient("service:a").incident.as_ref().map(|one| one.closed), Some(None));
    assert_eq!(world.patient("service:a").spec.id, TargetId::Service("a".into()));
}
