//! C8: how much memory a container should have instead.

use doctor::{Asker, StoryLine, TargetId, Value, Verb, Wish};

use super::world;
use super::world::World;

fn ended(limit_mb: u64, given: &[&str]) -> World {
    let mut world = world(given);
    world.containers.get_mut("web").expect("the container").seen.memory_limit = limit_mb << 20;
    world.pass(70).then("web runs out of memory", 10);
    assert_eq!(world.cause("container:web"), "container.oom_limit");
    world
}

fn value(world: &World, key: &str, name: &str) -> Option<Value> {
    let incident = world.patient("container:web").incident.clone().expect("an incident");
    let line = incident.cause.evidence.iter().find(|line| line.key == key)?;
    line.values.get(name).cloned()
}

#[test]
fn c8_half_as_much_again_is_proposed_in_round_numbers() {
    for (limit, proposal, written) in [
        (24, 64, "64m"),
        (512, 768, "768m"),
        (700, 1_280, "1280m"),
        (2_048, 3_072, "3g"),
        (6_000, 9_216, "9g"),
    ] {
        let world = ended(limit, &["docker", "container web: critical"]);
        let proposed = value(&world, "evidence.peak", "proposal");
        assert_eq!(proposed, Some(Value::Bytes(proposal << 20)), "{limit}");
        let incident = world.patient("container:web").incident.clone().expect("an incident");
        let said = incident.cause.says.values.get("proposal");
        assert_eq!(said, Some(&Value::Text(written.into())), "{limit}");
    }
}

#[test]
fn c8_where_docker_has_no_room_for_it_that_is_said() {
    let given = ["docker: in a small machine", "container web: critical", "container db: critical"];
    let room = |db_mb: u64| {
        let mut world = world(&given);
        for (name, limit) in [("web", 1_024), ("db", db_mb)] {
            world.containers.get_mut(name).expect("it").seen.memory_limit = limit << 20;
        }
        world.pass(70).then("web runs out of memory", 10);
        value(&world, "evidence.no_room", "others")
    };
    assert_eq!(room(1_024), None);
    assert_eq!(room(6_000), Some(Value::Bytes(6_000 << 20)));
    // What has no limit is not known.
    assert_eq!(room(0), None);
}

const RAISE: &str = "a person asks: raise container:web";

/// Ended twice within an hour: given up.
fn given_up(given: &[&str]) -> World {
    let mut world = ended(512, given);
    world.pass(300).then("web runs out of memory", 10);
    assert_eq!(world.phase("container:web"), "given up");
    world
}

fn limit(world: &World) -> u64 {
    world.containers["web"].seen.memory_limit >> 20
}

#[test]
fn c8_a_person_raises_the_limit_and_what_was_given_up_is_brought_back() {
    let mut world = given_up(&["docker", "container web: critical"]);
    let web = TargetId::Container("web".into());
    assert_eq!(world.doctor.proposed_limit(&web), Some(768 << 20));
    assert!(world.doctor.actions(&web).contains(&Verb::Raise));
    let before = world.told("start the container");
    world.then(RAISE, 90);
    assert_eq!(limit(&world), 768);
    assert_eq!(world.told("raise its memory limit from 512 to 768 MiB"), 1);
    assert_eq!(world.told("raise container:web: done"), 1);
    let story = world.patient("container:web").incident.as_ref().map(|one| one.story.clone());
    let lasting = |line: &StoryLine| line.says.key == "step.limit_raised_made";
    assert!(story.is_some_and(|story| story.iter().any(lasting)), "how it would last is not said");
    assert_eq!(world.told("start the container"), before + 1);
    assert_eq!(world.phase("container:web"), "healthy");
    assert_eq!(world.doctor.proposed_limit(&web), None);
    // What it ended of twice was another limit: this is the first end under this one.
    world.then("web runs out of memory", 90);
    assert_eq!(world.phase("container:web"), "healthy");
}

#[test]
fn c8_what_ended_is_told_with_the_limit_that_it_ended_under() {
    let mut world = ended(512, &["docker", "container web: critical, heal ask"]);
    world.then(RAISE, 30);
    assert_eq!(limit(&world), 768);
    // It asks first: more memory is no leave to start it.
    assert_eq!(world.told("start the container"), 0);
    assert_eq!(world.cause("container:web"), "container.oom_limit");
    assert_eq!(value(&world, "evidence.limit", "limit"), Some(Value::Bytes(512 << 20)));
}

#[test]
fn c8_a_raise_interrupts_nothing_and_starts_nothing_that_a_person_stopped() {
    let mut world = world(&["docker", "container web: critical"]);
    world.pass(70).then("a person asks: raise container:web to 900m", 30);
    assert_eq!((limit(&world), world.phase("container:web")), (900, "healthy"));
    assert_eq!(world.told("stop the container") + world.told("start the container"), 0);
    world.then("a person asks: stop container:web", 60).then(RAISE, 200);
    assert!(limit(&world) > 900);
    assert_eq!(world.told("start the container"), 0);
}

#[test]
fn c8_somebody_else_s_raise_re_arms_as_well_and_a_lower_limit_does_not() {
    let mut world = given_up(&["docker", "container web: critical"]);
    let before = world.told("start the container");
    world.containers.get_mut("web").expect("it").seen.memory_limit = 256 << 20;
    world.pass(400);
    assert_eq!(world.phase("container:web"), "given up");
    world.containers.get_mut("web").expect("it").seen.memory_limit = 1 << 30;
    world.pass(400);
    assert_eq!(world.phase("container:web"), "healthy");
    assert_eq!(world.told("start the container"), before + 1);
}

#[test]
fn c8_only_a_person_raises_and_only_to_what_docker_has() {
    let refused = |given: &[&str], wish: &str, key: &str| {
        let mut world = world(given);
        world.pass(70).then(wish, 30);
        assert_eq!(world.told(&format!("({key})")), 1, "{wish}: {:?}", world.tale.lines);
        assert_eq!(world.told("raise its memory limit"), 0, "{wish}");
    };
    let usual = ["docker", "container web: critical"];
    refused(&usual, "a person asks: raise container:web to 512m", "why.limit_not_lower");
    refused(&usual, "a person asks: raise container:web to 100m", "why.limit_not_lower");
    refused(&usual, "a person asks: raise container:gone", "why.no_such_target");
    refused(&usual, "a person asks: raise docker", "why.no_container");
    // 24 GB, of which the other one may take half a gigabyte.
    let two = ["docker", "container web: critical", "container db: critical"];
    refused(&two, "a person asks: raise container:web to 24100m", "why.no_room_to_raise");
    let unlimited = ["docker", "container web: critical, no memory limit"];
    refused(&unlimited, RAISE, "why.no_limit_to_raise");
    let mut world = world(&usual);
    world.pass(70);
    let target = TargetId::Container("web".into());
    for by in [Asker::Agent, Asker::Doctor] {
        world.wish(Wish::Raise { target: target.clone(), to: None }, by);
    }
    world.pass(30);
    assert_eq!(world.told("(why.raise_by_a_person)"), 2);
    assert_eq!(limit(&world), 512);
    world.then("docker goes away", 60).then(RAISE, 5);
    assert_eq!(world.told("not now (why.parent)"), 1);
}

#[test]
fn c8_a_limit_that_changed_meanwhile_is_left_alone() {
    let mut world = world(&["docker", "container web: critical"]);
    world.pass(70);
    world.containers.get_mut("web").expect("it").seen.memory_limit = 2 << 30;
    world.then(RAISE, 30);
    assert_eq!(limit(&world), 2_048);
    assert_eq!(world.told("raise container:web: superseded"), 1, "{:?}", world.tale.lines);
}

/// What is said of Docker's memory, while all is well.
fn note(given: &[&str], limits_mb: &[(&str, u64)]) -> Vec<&'static str> {
    let mut world = world(given);
    for (name, limit) in limits_mb {
        world.containers.get_mut(*name).expect("it").seen.memory_limit = limit << 20;
    }
    world.pass(120);
    assert_eq!(world.phase("docker"), "healthy");
    assert_eq!(world.told("NOTICE") + world.told("incident"), 0, "{:?}", world.tale.lines);
    let note = world.patient("docker").note.as_ref();
    assert!(note.is_none_or(|note| note.id == doctor::CauseId::DockerMemoryTooSmall));
    let lines = note.into_iter().flat_map(|note| &note.evidence);
    let known = ["evidence.limits_together", "evidence.docker_memory"];
    lines.filter_map(|line| known.into_iter().find(|key| *key == line.key)).collect()
}

#[test]
fn c8_docker_s_own_memory_is_judged_before_anything_ends_and_pages_nobody() {
    let two = |docker: &'static str| [docker, "container web", "container db"];
    let usual = [("web", 512), ("db", 512)];
    let large = [("web", 20_480), ("db", 8_192)];
    assert_eq!(note(&two("docker: in a small machine"), &usual), ["evidence.docker_memory"]);
    assert_eq!(note(&two("docker"), &large), ["evidence.limits_together"]);
    // As much as there is, no limit at all, the host's own memory, and memory taken as needed.
    assert_eq!(note(&two("docker"), &usual), [""; 0]);
    assert_eq!(note(&two("docker"), &[("web", 12_288), ("db", 12_288)]), [""; 0]);
    assert_eq!(note(&two("docker"), &[("web", 0), ("db", 0)]), [""; 0]);
    let beyond = [("web", 61_440), ("db", 61_440)];
    assert_eq!(note(&two("docker: on the host itself"), &beyond), [""; 0]);
    assert_eq!(note(&two("docker: in a small machine, of OrbStack"), &large), [""; 0]);
}

#[test]
fn c8_what_does_not_run_takes_nothing() {
    let mut world = world(&["docker", "container web", "container db"]);
    for name in ["web", "db"] {
        world.containers.get_mut(name).expect("it").seen.memory_limit = 16 << 30;
    }
    world.pass(120);
    assert!(world.patient("docker").note.is_some());
    world.then("a person stops db", 400);
    assert!(world.patient("docker").note.is_none());
}

#[test]
fn c8_what_it_used_at_most_is_told_of_one_without_a_limit() {
    let mut world = world(&["docker", "container web: critical, no memory limit"]);
    world.containers.get_mut("web").expect("it").seen.peak_bytes = Some(3 << 30);
    world.pass(70);
    world.containers.get_mut("web").expect("it").seen.peak_bytes = None;
    world.then("web runs out of memory", 10);
    let peak = value(&world, "evidence.used_at_most", "peak");
    assert_eq!(peak, Some(Value::Bytes(3 << 30)));
}
