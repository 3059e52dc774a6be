//! R18: when many containers turn bad at once, the fault is above them.

use doctor::{IncidentState, Intent};

use super::world;
use super::world::World;

/// So many containers, all critical, with these traits.
fn containers(count: usize, traits: &str, more: &[&str]) -> World {
    let mut given = vec!["docker".to_owned()];
    given.extend((1..=count).map(|n| format!("container c{n}: {traits}")));
    given.extend(more.iter().map(|line| (*line).to_owned()));
    let lines: Vec<&str> = given.iter().map(String::as_str).collect();
    let mut world = world(&lines);
    // Old enough that none is a job that failed at once.
    world.pass(120);
    world
}

/// The first so many do this, a second apart.
fn each(world: &mut World, count: usize, what: &str) {
    for n in 1..=count {
        world.then(&format!("c{n} {what}"), 1);
    }
}

fn brakes(world: &World) -> bool {
    let braked = world.doctor.patients().any(|patient| patient.reason.rule == "R18");
    braked || world.told("incident docker unknown") > 0
}

#[test]
fn r18_many_containers_that_end_at_once_are_not_restarted_one_by_one() {
    let mut world = containers(6, "critical", &[]);
    each(&mut world, 5, "exits with 1");
    world.pass(55);
    assert_eq!(world.told("start the container"), 0);
    assert!(brakes(&world));
    assert_eq!(world.told("incident container"), 0);
    assert_eq!(world.told("incident docker unknown: open"), 1);
    assert_eq!(world.told("NOTICE"), 1);
    let affects = world.patient("docker").incident.clone().expect("an incident").affects;
    assert_eq!(affects.len(), 5);
}

#[test]
fn r18_afterwards_they_come_up_after_a_grace_one_at_a_time() {
    let mut world = containers(6, "critical", &[]);
    each(&mut world, 5, "exits with 1");
    let last = world.story_ms();
    world.pass(300);
    let starts = world.times("start the container");
    assert_eq!(starts.len(), 5, "{starts:?}");
    assert!(starts[0] >= last + 105_000, "a quiet minute and a grace: {starts:?} after {last}");
    assert!(starts[4] <= last + 180_000, "{starts:?} after {last}");
    assert!(starts.windows(2).all(|two| two[1] - two[0] >= 5_000), "{starts:?}");
    let incident = world.patient("docker").incident.clone().expect("an incident");
    assert_eq!(incident.state, IncidentState::Verified);
    assert_eq!(world.told("incident container"), 0, "one incident");
    assert_eq!((world.told("NOTICE problem"), world.told("NOTICE recovered")), (1, 1));
    assert_eq!(world.told("NOTICE"), 2);
}

#[test]
fn r18_unhealthy_ones_count_as_well() {
    let mut world = containers(5, "critical, with a health check", &[]);
    each(&mut world, 3, "becomes unhealthy");
    world.pass(60);
    assert_eq!(world.told("incident docker unknown: open"), 1);
    assert_eq!(world.told("the container"), 0);
}

#[test]
fn r18_two_are_no_storm_however_large_their_share() {
    let mut world = containers(2, "critical", &[]);
    each(&mut world, 2, "exits with 1");
    world.pass(40);
    assert!(!brakes(&world));
    assert_eq!(world.told("start the container"), 2);
}

/// What is told is what made it: who turned bad within the window, whatever became of each since.
#[test]
fn r18_who_is_gone_or_given_up_when_it_is_told_is_counted_with_the_others() {
    let counted = |world: &World| {
        let incident = world.patient("docker").incident.clone().expect("an incident");
        let evidence = incident.cause.evidence.first().expect("evidence").clone();
        (evidence.values.get("count").cloned(), incident.affects.len())
    };
    let mut world = containers(5, "critical", &[]);
    world.then("c1 exits with 127", 10);
    assert_eq!(world.phase("container:c1"), "given up");
    each(&mut world, 3, "exits with 1");
    world.pass(40);
    assert_eq!(counted(&world), (Some(doctor::Value::Count(3)), 3));
    let mut world = containers(5, "critical", &[]);
    each(&mut world, 3, "exits with 1");
    world.then("c2 is removed", 40);
    assert_eq!(counted(&world), (Some(doctor::Value::Count(3)), 3));
}

#[test]
fn r18_three_of_many_are_no_storm() {
    let mut world = containers(8, "critical", &[]);
    each(&mut world, 3, "exits with 1");
    world.pass(60);
    assert!(!brakes(&world), "37 %");
    assert_eq!(world.told("start the container"), 3);
}

#[test]
fn r18_one_after_the_other_over_minutes_is_no_storm() {
    let mut world = containers(5, "critical", &[]);
    for n in 1..=4 {
        world.then(&format!("c{n} exits with 1"), 35);
    }
    assert!(!brakes(&world));
    assert!(world.told("start the container") >= 3);
}

#[test]
fn r18_jobs_that_end_are_no_storm() {
    for what in ["exits with 0", "will exit with 1 after 5 s"] {
        let mut world = containers(5, "critical, policy no", &["container j1", "container j2"]);
        for job in ["j1", "j2"] {
            world.then(&format!("{job} {what}"), 0).then(&format!("a person stops {job}"), 0);
            world.then(&format!("a person starts {job}"), 6);
        }
        world.then("c1 exits with 1", 30);
        assert!(!brakes(&world), "{what}");
    }
    // Three jobs of few containers that end in an orderly way.
    let mut world = world(&["docker", "container a", "container b", "container c", "container d"]);
    world.pass(120);
    for job in ["a", "b", "c"] {
        world.then(&format!("{job} exits with 0"), 1);
    }
    world.pass(60);
    assert_eq!(world.told("incident"), 0);
}

#[test]
fn r18_what_a_person_stops_is_held_and_no_storm() {
    let mut world = containers(5, "critical", &[]);
    for n in 1..=5 {
        world.then(&format!("a person stops c{n}"), 1);
    }
    world.pass(600);
    assert_eq!(world.told("incident"), 0);
    for n in 1..=5 {
        let intent = world.patient(&format!("container:c{n}")).account.intent;
        assert_eq!(intent, Intent::Held);
    }
    assert!(world.nothing_done());
}

#[test]
fn r34_a_daemon_that_shuts_down_is_no_storm() {
    let mut world = containers(5, "critical", &[]);
    world.then("docker shuts down, stopping all containers", 90);
    assert_eq!(world.told("incident docker docker.down: open"), 1);
    assert_eq!(world.told("incident docker unknown"), 0);
    world.then("docker comes up", 180);
    assert!(!brakes(&world));
    assert_eq!(world.told("start the container"), 5);
}

#[test]
fn r18_a_storm_in_which_docker_goes_down_is_named_after_docker() {
    let mut world = containers(5, "critical", &[]);
    each(&mut world, 4, "exits with 255");
    world.then("docker goes away", 120);
    let incident = world.patient("docker").incident.clone().expect("an incident");
    assert_eq!(incident.cause.id.as_str(), "docker.down");
    assert_eq!(incident.affects.len(), 5);
    world.then("docker comes up", 240);
    assert_eq!(world.told("start the container"), 4);
    assert_eq!(world.phase("container:c1"), "healthy");
}

#[test]
fn r18_a_storm_under_pressure_is_the_hosts() {
    let mut world = containers(5, "critical", &[]);
    world.then("memory is critical", 90);
    each(&mut world, 4, "exits with 137");
    world.pass(60);
    assert_eq!(world.told("incident docker"), 0);
    let incident = world.patient("host").incident.clone().expect("an incident");
    assert_eq!(incident.affects.len(), 4);
    assert_eq!(world.told("start the container"), 0);
    world.then("memory is calm again", 300);
    assert_eq!(world.told("start the container"), 4);
}

#[test]
fn r18_t39_five_that_end_for_the_machines_memory_are_one_incident() {
    let mut world = containers(6, "critical, no memory limit", &[]);
    each(&mut world, 5, "runs out of memory");
    world.pass(50);
    assert_eq!(world.told("start the container"), 0, "no mass restart");
    assert_eq!(world.told("incident docker docker.vm_oom: open"), 1);
    assert_eq!(world.told("NOTICE"), 1);
    world.pass(250);
    let starts = world.times("start the container");
    assert_eq!(starts.len(), 5);
    assert!(starts.windows(2).all(|two| two[1] - two[0] >= 5_000), "{starts:?}");
}

#[test]
fn r18_a_person_may_start_one_all_the_same() {
    let mut world = containers(6, "critical", &[]);
    each(&mut world, 5, "exits with 1");
    world.then("a person asks: start container:c3", 10);
    assert_eq!(world.told("> container:c3: start the container"), 1);
    world.then("a person asks: recover container:c4", 30);
    assert_eq!(world.told("> container:c4: start the container"), 1);
    assert_eq!(world.told("start the container"), 2);
}

#[test]
fn r18_a_person_may_hold_one_in_a_storm() {
    let mut world = containers(6, "critical", &[]);
    each(&mut world, 5, "exits with 1");
    world.then("a person asks: hold container:c1", 400);
    assert_eq!(world.told("> container:c1: start"), 0);
    assert_eq!(world.told("start the container"), 4);
    let incident = world.patient("docker").incident.clone().expect("an incident");
    assert_eq!(incident.state, IncidentState::Verified);
}

#[test]
fn r18_one_that_is_given_up_on_in_a_storm_is_told_of_by_itself() {
    let mut world = containers(6, "critical", &[]);
    world.then("c1 can never be started", 0);
    each(&mut world, 5, "exits with 1");
    world.pass(400);
    assert_eq!(world.told("NOTICE needs you: container:c1"), 1);
    let own = world.patient("container:c1").incident.clone().expect("its own incident");
    assert_eq!(own.attempts, 1, "it was tried once, in the storm");
    assert_eq!(world.told("incident container:c1 container.stopped: given up"), 1);
    let incident = world.patient("docker").incident.clone().expect("an incident");
    assert_eq!(incident.state, IncidentState::Verified);
}

#[test]
fn r18_a_new_gust_brakes_again() {
    let mut world = containers(6, "critical", &[]);
    each(&mut world, 5, "exits with 1");
    world.until_told("waits out the soak");
    let before = world.told("start the container");
    for n in 1..=5 {
        world.then(&format!("a person starts c{n}"), 1);
    }
    world.pass(10);
    each(&mut world, 5, "exits with 1");
    world.pass(50);
    assert!(world.told("start the container") <= before + 1);
    world.pass(400);
    assert_eq!(world.phase("container:c5"), "healthy");
}

#[test]
fn r18_a_relaunch_in_a_storm_leaves_nothing_undone() {
    let mut world = containers(6, "critical", &[]);
    each(&mut world, 5, "exits with 1");
    world.then("Homeostat is relaunched", 300);
    for n in 1..=6 {
        assert_eq!(world.phase(&format!("container:c{n}")), "healthy");
    }
    let open = world.journal.values().filter(|incident| incident.closed.is_none()).count();
    assert_eq!(open, 0);
}

#[test]
fn t39_five_that_are_killed_at_once_and_nobody_says_why() {
    let mut world = containers(6, "critical", &[]);
    each(&mut world, 5, "exits with 137");
    world.pass(50);
    assert_eq!(world.told("start the container"), 0, "no mass restart");
    assert_eq!(world.told("incident docker docker.vm_oom: open"), 1);
    assert_eq!(world.told("NOTICE"), 1);
    world.pass(250);
    assert_eq!(world.told("start the container"), 5);
}

#[test]
fn r18_no_storm_lasts_longer_than_ten_minutes() {
    let mut world = containers(5, "critical", &[]);
    world.then("memory is critical", 90);
    each(&mut world, 4, "exits with 1");
    world.pass(9 * 60);
    assert_eq!(world.told("start the container"), 0, "the host is still strained");
    world.pass(4 * 60);
    assert_eq!(world.told("start the container"), 4);
}

fn storm_story(world: &World) -> Vec<String> {
    let incident = world.patient("docker").incident.clone().expect("an incident");
    incident.story.iter().map(|line| line.says.key.clone()).collect()
}

#[test]
fn r18_the_roots_incident_tells_what_is_done_to_each() {
    let mut world = containers(6, "critical", &[]);
    each(&mut world, 5, "exits with 1");
    world.pass(300);
    let incident = world.patient("docker").incident.clone().expect("an incident");
    assert_eq!(incident.attempts, 5);
    let story = storm_story(&world);
    for key in ["story.storm_start", "story.storm_answers_again", "story.storm_verified"] {
        assert_eq!(story.iter().filter(|one| *one == key).count(), 5, "{key}: {story:?}");
    }
    let names = incident.story.iter().filter(|line| line.says.key == "story.storm_start");
    assert!(names.clone().all(|line| line.says.values.contains_key("target")));
}

#[test]
fn r18_the_roots_notice_says_that_they_come_up_one_at_a_time() {
    let mut world = containers(6, "critical", &[]);
    each(&mut world, 5, "exits with 1");
    world.pass(50);
    let notice = world.notices.last().map(|(_, notice)| notice.clone()).expect("a notice");
    let said = |key: &str| notice.lines.iter().any(|line| line.key == key);
    assert!(said("notice.storm_waits") && !said("notice.nothing_done"), "{notice:?}");
}

#[test]
fn r18_what_is_only_observed_is_not_promised() {
    let mut world = containers(6, "heal observe", &[]);
    each(&mut world, 5, "exits with 1");
    world.pass(50);
    let notice = world.notices.last().map(|(_, notice)| notice.clone()).expect("a notice");
    assert!(notice.lines.iter().any(|line| line.key == "notice.nothing_done"), "{notice:?}");
}

#[test]
fn r18_one_that_was_verified_has_an_incident_of_its_own_next_time() {
    let mut world = containers(6, "critical", &[]);
    world.then("c5 can never be started", 0);
    each(&mut world, 5, "exits with 1");
    world.until_told("start container:c1: done");
    world.until_told("start container:c2: done");
    let open = world.patient("docker").incident.clone().expect("an incident");
    assert_eq!(open.closed, None, "c5 is still tried");
    world.then("c1 exits with 1", 5);
    let own = world.patient("container:c1").incident.clone().expect("its own incident");
    assert_eq!((own.closed, own.cause.id.as_str()), (None, "container.stopped"));
    world.pass(400);
    assert_eq!(world.told("NOTICE needs you: container:c5"), 1);
    let root = world.patient("docker").incident.clone().expect("an incident");
    assert_eq!(root.state, IncidentState::Verified);
    assert_eq!(world.phase("container:c1"), "healthy");
}

#[test]
fn r18_one_that_fails_within_its_minute_is_still_the_storms() {
    let mut world = containers(6, "critical", &[]);
    each(&mut world, 5, "exits with 1");
    world.until_told("container:c1 waits out the soak");
    world.then("c1 exits with 1", 200);
    assert_eq!(world.told("incident container:c1"), 0);
    assert!(storm_story(&world).iter().any(|key| key == "story.storm_failed"));
    let root = world.patient("docker").incident.clone().expect("an incident");
    assert_eq!((root.state, root.attempts), (IncidentState::Verified, 6));
}

/// Four of five that are killed at once in this Docker, under this pressure of the host's memory.
fn killed_at_once(docker: &str, memory: &str) -> World {
    let mut given = vec![docker.to_owned()];
    given.extend((1..=5).map(|n| format!("container c{n}: critical")));
    let lines: Vec<&str> = given.iter().map(String::as_str).collect();
    let mut world = world(&lines);
    world.pass(120);
    if !memory.is_empty() {
        // Too short a while for the host to have an incident of its own.
        world.then(memory, 5);
    }
    each(&mut world, 4, "exits with 137");
    world.pass(50);
    world
}

#[test]
fn r18_killed_at_once_where_memory_is_plentiful_is_not_for_want_of_memory() {
    let world = killed_at_once("docker: on the host itself", "");
    let root = world.patient("docker").incident.clone().expect("an incident");
    assert_eq!((root.cause.id.as_str(), root.affects.len()), ("unknown", 4));
    assert_eq!(world.told("docker.vm_oom"), 0);
    assert!(world.told("container:c1 down: container.killed") > 0);
}

#[test]
fn r18_killed_at_once_in_a_machine_of_dockers_own_is_for_want_of_memory() {
    let world = killed_at_once("docker", "");
    assert_eq!(world.told("incident docker docker.vm_oom: open"), 1);
}

#[test]
fn r18_killed_at_once_under_pressure_may_be_for_want_of_memory() {
    let world = killed_at_once("docker: on the host itself", "memory is critical");
    assert!(world.told("docker.vm_oom") > 0);
    assert_eq!(world.told("container.killed"), 0);
}

/// What is not critical stays stopped (R35), and is read again and again: that brings no new trouble.
#[test]
fn r18_what_is_not_critical_and_ended_with_the_others_has_no_incident_of_its_own_later() {
    let mut world = containers(6, "policy no", &[]);
    each(&mut world, 5, "exits with 1");
    world.pass(20);
    assert_eq!(world.told("incident docker unknown: open"), 1, "{:?}", world.tale.lines);
    for _ in 0..12 {
        world.then("a person asks: check everything", 60);
    }
    assert_eq!(world.told("incident container"), 0, "{:?}", world.tale.lines);
    // It is started and ends again, alone: that is its own.
    world.then("a person asks: start container:c1", 400).then("c1 exits with 1", 30);
    assert_eq!(world.told("incident container:c1 container.stopped: open"), 1);
}
