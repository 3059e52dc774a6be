//! C8: how much memory a container should have instead.

use doctor::Value;

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
