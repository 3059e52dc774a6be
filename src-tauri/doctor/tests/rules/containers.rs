//! 1.14: out of memory and exit codes.

use super::world;
use super::world::World;

const LIMITED: &[&str] = &["docker", "container web: critical"];
const UNLIMITED: &[&str] = &["docker", "container web: critical, no memory limit"];

/// What happens, the cause of the incident, and how many starts follow within two minutes.
const ENDS: &[(&[&str], &str, &str, usize)] = &[
    (UNLIMITED, "web runs out of memory", "docker.vm_oom", 1),
    (LIMITED, "web runs out of memory", "container.oom_limit", 1),
    (LIMITED, "web loses a child for want of memory", "container.oom_child", 0),
    (LIMITED, "web runs out of memory unseen", "container.oom_limit", 1),
    (LIMITED, "web exits with 137", "container.killed", 1),
    (LIMITED, "web exits with 134", "container.stopped", 1),
    (LIMITED, "web exits with 139", "container.stopped", 1),
    (LIMITED, "web exits with 0", "container.stopped", 1),
    (LIMITED, "web exits with 125", "container.cannot_run", 0),
    (LIMITED, "web exits with 126", "container.cannot_run", 0),
    (LIMITED, "web exits with 127", "container.cannot_run", 0),
];

/// While Docker's own policy brings a container back, nothing is done for the service inside it.
#[test]
fn r29_a_service_waits_while_docker_restarts_its_container() {
    let mut world =
        world(&["docker", "container db: policy always", "service api: in container db"]);
    let started = world.engine_ms();
    let db = world.containers.get_mut("db").expect("the container");
    // It died young many times before: Docker waits half a minute now.
    (db.in_a_row, db.seen.started_ms) = (8, Some(started));
    world.then("db exits with 1", 120);
    assert!(world.treatments.is_empty(), "{:#?}", world.tale.lines);
}

#[test]
fn t114_each_end_has_its_cause() {
    for (given, what, cause, starts) in ENDS {
        let mut world = world(given);
        world.then(what, 120);
        let incident = world.patient("container:web").incident.clone();
        let found = incident.map_or("none", |incident| incident.cause.id.as_str());
        assert_eq!(found, *cause, "{what}");
        assert_eq!(world.told("start the container"), *starts, "{what}");
    }
}

/// A limit around both tells both of them, and ends one. What reaches its own limit is told alone,
/// and what ends with it has reached its own as well.
#[test]
fn t114_memory_that_runs_out_around_containers_is_at_no_limit_of_theirs() {
    const CHILD: &str = "db loses a child for want of memory";
    const WEB: &str = "web runs out of memory";
    let found = |first: &str, apart_ms, second: &str| {
        let mut world = world(&["docker", "container web: critical", "container db: critical"]);
        world.then(first, 0);
        let at = world.story_ms() + apart_ms;
        world.run_until(at);
        world.then(second, 60);
        ["web", "db"].map(|name| {
            let incident = world.patient(&format!("container:{name}")).incident.clone();
            incident.map_or("none", |incident| incident.cause.id.as_str())
        })
    };
    let around = ["docker.vm_oom", "none"];
    assert_eq!(found(CHILD, 0, WEB), around);
    assert_eq!(found(WEB, 0, CHILD), around);
    let each = ["container.oom_limit", "container.oom_child"];
    assert_eq!(found(CHILD, 200, WEB), each);
    assert_eq!(found(WEB, 200, CHILD), each);
    assert_eq!(found(WEB, 0, "db runs out of memory"), ["container.oom_limit"; 2]);
}

#[test]
fn t114_the_second_want_of_memory_within_the_hour_is_given_up() {
    for given in [LIMITED, UNLIMITED] {
        let mut world = world(given);
        world.then("web runs out of memory", 900).then("web runs out of memory", 30);
        assert_eq!(world.phase("container:web"), "given up");
        assert_eq!(world.told("start the container"), 1);
        assert_eq!(world.told("NOTICE needs you"), 1);
    }
}

/// The end of before is found again, by its reading or by what the stream tells of the past.
#[test]
fn t114_one_want_of_memory_is_counted_once_over_a_relaunch() {
    for until in ["not started yet", "started"] {
        let mut world = world(LIMITED);
        if until == "started" {
            world.then("web runs out of memory", 0).until_told("waits out the soak");
        } else {
            world.then("web cannot be started", 0).then("web runs out of memory", 0);
            world.until_told("start the container");
        }
        world.then("Homeostat is relaunched", 0).then("web can be started again", 300);
        let account = &world.patient("container:web").account;
        assert_eq!(account.ooms.len(), 1, "{until}: {:#?}", world.tale.lines);
        assert_eq!(world.phase("container:web"), "healthy", "{until}: {:#?}", world.tale.lines);
        // Another one is another one, also over one more relaunch.
        world.then("web runs out of memory", 0).then("Homeostat is relaunched", 120);
        assert_eq!(world.phase("container:web"), "given up", "{until}: {:#?}", world.tale.lines);
    }
}

/// After a relaunch the engine is read for the first time, and is well.
#[test]
fn r15_a_relaunch_blames_no_engine_that_is_well() {
    let mut world = world(LIMITED);
    world.then("web cannot be started", 0).then("web exits with 1", 0);
    world.until_told("start the container").then("Homeostat is relaunched", 10);
    assert_eq!(world.told("container.stopped: closed"), 0, "{:#?}", world.tale.lines);
    world.then("web can be started again", 200);
    assert_eq!(world.phase("container:web"), "healthy", "{:#?}", world.tale.lines);
    assert_eq!(world.told("incident docker"), 0);
}

/// It ends for memory in its first seconds: as near in time as that, they are two.
#[test]
fn t114_two_ends_for_memory_close_together_are_two() {
    let mut world = world(LIMITED);
    world.then("web runs out of memory", 0).until_told("start the container");
    world.pass(1).then("web runs out of memory", 120);
    assert_eq!(world.patient("container:web").account.ooms.len(), 2, "{:#?}", world.tale.lines);
    assert_eq!(world.phase("container:web"), "given up");
}

/// 1.14 before R30: what ends again and again for want of memory needs a higher limit.
#[test]
fn t114_a_loop_of_ends_for_memory_is_want_of_memory() {
    let mut world = world(&["docker", "container web: critical, policy always"]);
    for _ in 0..6 {
        world.then("web runs out of memory", 5);
    }
    world.pass(90);
    assert_eq!(world.told("container.crash_loop"), 0, "{:?}", world.tale.lines);
    let cause = world.patient("container:web").phase.cause().map(|cause| cause.id);
    assert_eq!(cause, Some(doctor::CauseId::ContainerOomLimit), "{:?}", world.tale.lines);
    // R53: that Docker starts it again heals nothing while it is given up.
    assert_eq!(world.phase("container:web"), "given up");
    let told = world.patient("container:web").incident.as_ref();
    assert!(told.is_some_and(|one| one.closed.is_none()), "{:?}", world.tale.lines);
}

/// R46: the soak of the one restart is within the hour, too.
#[test]
fn t114_a_want_of_memory_in_the_soak_is_the_second() {
    let mut world = world(LIMITED);
    world.then("web runs out of memory", 0).until_told("waits out the soak");
    world.then("web runs out of memory", 120);
    assert_eq!(world.phase("container:web"), "given up");
    assert_eq!(world.told("start the container"), 1);
    assert_eq!(world.told("NOTICE needs you"), 1);
}

#[test]
fn t114_two_ends_for_memory_far_apart_are_two_restarts() {
    let mut world = world(LIMITED);
    world.then("web runs out of memory", 3700).then("web runs out of memory", 30);
    assert_eq!(world.told("start the container"), 2);
}

#[test]
fn t114_the_flag_of_an_earlier_end_colours_no_later_one() {
    let mut world = world(LIMITED);
    world.then("web runs out of memory", 300).then("web exits with 137", 30);
    assert_eq!(world.told("recovering from container.killed"), 1);
}

#[test]
fn r29_an_end_under_a_policy_is_dockers_for_a_minute() {
    let mut world = world(&["docker", "container web: critical, policy always"]);
    world.then("web exits with 1 and stays down", 55);
    assert!(world.nothing_done());
    world.pass(20);
    assert_eq!(world.told("start the container"), 1);
}

#[test]
fn r63_a_container_without_a_health_check_is_healthy_at_its_first_running_reading() {
    let mut world = world(LIMITED);
    world.then("docker goes away", 60).then("docker comes up", 8);
    assert_eq!(world.phase("container:web"), "healthy", "no grace for what runs");
}

#[test]
fn r2_events_are_for_speed_and_the_snapshot_for_truth() {
    let mut world = world(LIMITED);
    world.then("the event stream stalls", 0).then("web exits with 1", 80);
    assert_eq!(world.told("start the container"), 1);
}

/// R19: killed for want of the host's memory, it is brought up when there is some again.
#[test]
fn r19_what_the_host_has_no_memory_for_waits_for_it() {
    let mut world = world(LIMITED);
    world.then("memory is under pressure", 90).then("web exits with 137", 180);
    assert_eq!(world.cause("container:web"), "container.host_pressure");
    assert!(world.nothing_done(), "{:#?}", world.tale.lines);
    world.then("memory is calm again", 120);
    assert_eq!(world.told("start the container"), 1, "{:#?}", world.tale.lines);
}

/// What it wrote last is kept with its incident, whatever it writes later.
#[test]
fn t114_the_last_words_go_with_the_incident() {
    let mut world = world(LIMITED);
    let write = |world: &mut World, lines: &[&str]| {
        let web = world.containers.get_mut("web").expect("the container");
        web.seen.log.tail = lines.iter().map(ToString::to_string).collect();
    };
    let kept =
        |world: &World| world.patient("container:web").incident.as_ref().map(|one| one.log.clone());
    write(&mut world, &["reading", "Killed"]);
    world.then("web runs out of memory", 5);
    assert_eq!(kept(&world), Some(vec!["reading".into(), "Killed".into()]));
    write(&mut world, &[]);
    world.pass(120);
    assert_eq!(world.phase("container:web"), "healthy");
    assert_eq!(kept(&world), Some(vec!["reading".into(), "Killed".into()]));

    // Of one that hangs, the first words that were read: it goes on writing.
    let web = world.containers.get_mut("web").expect("the container");
    web.seen.log.silent_for_s = Some(0);
    write(&mut world, &["one"]);
    world.then("web becomes unhealthy", 5);
    write(&mut world, &["one", "two"]);
    world.pass(10);
    assert_eq!(kept(&world), Some(vec!["one".into()]));
}

/// An idle hour: a ping every 15 s, a snapshot a minute, and no question about any one container.
/// Nothing keeps a machine awake that Docker has put to sleep for want of work but these.
#[test]
fn r63_an_idle_engine_is_asked_no_more_than_its_schedule_says() {
    let mut world = world(&["docker", "container web", "container db: critical"]);
    world.looks = Some(Vec::new());
    world.pass(3600);
    let looks = world.looks.take().unwrap_or_default();
    let count = |of: &dyn Fn(&doctor::Look) -> bool| looks.iter().filter(|look| of(look)).count();
    let docker = |look: &doctor::Look| look.target == doctor::TargetId::Docker;
    let full = count(&|look| docker(look) && look.depth == doctor::Depth::Full);
    assert!((55..=75).contains(&full), "{full} snapshots");
    let all = count(&docker);
    assert!((200..=275).contains(&all), "{all} questions");
    let one = count(&|look| matches!(look.target, doctor::TargetId::Container(_)));
    assert_eq!(one, 0, "{looks:?}");
}

#[test]
fn t114_an_end_says_how_long_it_had_run() {
    let mut world = world(LIMITED);
    world.pass(30).then("web exits with 139", 5);
    let incident = world.patient("container:web").incident.clone().expect("an incident");
    let lived = incident.cause.evidence.iter().find(|line| line.key == "evidence.lived");
    let lived = lived.and_then(|line| line.values.get("lived")).expect("how long it had run");
    let doctor::Value::Millis(lived) = lived else { panic!("{lived:?}") };
    assert!((30_000..3_600_000).contains(lived), "{lived}");
    assert!(!incident.cause.evidence.iter().any(|line| line.key == "evidence.restarts"));
}

#[test]
fn r30_a_loop_says_how_often_docker_has_tried() {
    let mut world = world(&["docker", "container web: policy always"]);
    world.then("web will exit with 1 after 3 s", 0).then("web exits with 1", 60);
    let incident = world.patient("container:web").incident.clone().expect("an incident");
    assert_eq!(incident.cause.id, doctor::CauseId::ContainerCrashLoop);
    let value = |key: &str, name: &str| {
        let line = incident.cause.evidence.iter().find(|line| line.key == key)?;
        line.values.get(name).cloned()
    };
    let lived = value("evidence.lived", "lived");
    assert!(matches!(lived, Some(doctor::Value::Millis(2_000..=4_000))), "{incident:#?}");
    let tried = value("evidence.restarts", "count");
    assert!(matches!(tried, Some(doctor::Value::Count(2..))), "{incident:#?}");
}
