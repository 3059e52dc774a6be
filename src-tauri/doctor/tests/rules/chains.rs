//! 1.5, R49: services behind containers behind a model server are one chain, and one incident.

use doctor::{Incident, IncidentState};

use super::world;
use super::world::World;

fn incident(world: &World, target: &str) -> Incident {
    world.patient(target).incident.clone().expect("an incident")
}

fn affects(world: &World, target: &str) -> Vec<String> {
    incident(world, target).affects.iter().map(ToString::to_string).collect()
}

fn two_services(container: &str) -> World {
    world(&[
        "docker",
        container,
        "service api: in container web",
        "service admin: in container web",
    ])
}

#[test]
fn r49_when_nothing_in_a_container_answers_its_incident_names_the_container() {
    for how in ["hangs", "refuses connections", "closes without an answer"] {
        let mut world = two_services("container web");
        world.then(&format!("api {how}"), 0).then(&format!("admin {how}"), 0);
        world.until_told("start the container");
        world.pass(180);
        assert_eq!(affects(&world, "container:web"), ["service:admin", "service:api"], "{how}");
        assert_eq!(world.told("incident service:"), 0, "{how}");
        assert_eq!(world.times("start the container").len(), 1, "{how}");
        let one = incident(&world, "container:web");
        assert_eq!((one.state, one.attempts), (IncidentState::Verified, 1), "{how}");
        assert!(one.answering_after_ms.is_some(), "{how}");
        let story: Vec<&str> = one.story.iter().map(|line| line.says.key.as_str()).collect();
        for key in ["evidence.services_silent", "story.restart", "story.verified"] {
            assert!(story.contains(&key), "{how}: {key} in {story:?}");
        }
        assert_eq!(world.told("NOTICE"), 1, "{how}");
        assert_eq!(world.told("NOTICE recovered: container:web"), 1, "{how}");
    }
}

#[test]
fn r49_a_service_that_fails_later_is_told_of_with_the_first() {
    let mut world = two_services("container web");
    world.then("api hangs", 24).then("admin hangs", 0);
    world.pass(300);
    assert!(world.told("incident service:admin") == 0, "{:?}", world.tale.lines);
    assert_eq!(world.phase("service:admin"), "healthy");
}

#[test]
fn r49_a_service_whose_sibling_is_well_has_its_own_incident() {
    let mut world = two_services("container web");
    world.then("api hangs", 200);
    assert_eq!(world.told("incident container:"), 0);
    assert!(affects(&world, "service:api").is_empty());
}

#[test]
fn r49_a_wrong_answer_beside_a_silent_service_does_not_blame_the_container() {
    let mut world = two_services("container web");
    world.then("api hangs", 0).then("admin answers with status 500", 200);
    assert_eq!(world.told("incident container:"), 0);
    assert!(world.told("incident service:admin service.bad_status") >= 1);
}

#[test]
fn r49_services_of_two_containers_that_fail_at_once_stay_two_incidents() {
    let mut world = world(&[
        "docker",
        "container web",
        "container shop",
        "service api: in container web",
        "service cart: in container shop",
    ]);
    world.then("api hangs", 0).then("cart hangs", 60);
    assert!(world.told("incident service:cart service.timeout") >= 1);
    assert!(world.told("incident service:api service.timeout") >= 1);
    assert_eq!(world.told("incident container:"), 0);
    assert!(affects(&world, "service:cart").is_empty());
}

#[test]
fn r49_what_never_answered_says_nothing_about_its_container() {
    let mut world = world(&[
        "docker",
        "container web",
        "service api: in container web",
        "service typo: in container web",
    ]);
    // From the start on, as with an address that is wrong.
    world.then("Homeostat is quit and started again", 0);
    world.then("api hangs", 0).then("typo hangs", 0);
    world.pass(60);
    assert!(world.told("incident container:") <= 1);
}

#[test]
fn r49_a_container_that_is_unwell_itself_lists_its_services() {
    let mut world = two_services("container web: critical, with a health check");
    world.then("web becomes unhealthy", 0).then("api hangs", 0).then("admin hangs", 0);
    world.until_told("start the container");
    world.pass(120);
    assert_eq!(affects(&world, "container:web"), ["service:admin", "service:api"]);
    assert_eq!(world.told("incident service:"), 0);
    assert_eq!(world.times("start the container").len(), 1);
}

#[test]
fn r25_three_attempts_are_for_all_services_of_a_container_together() {
    let mut world = world(&[
        "docker",
        "container web",
        "service api: in container web, not cured by a restart",
        "service admin: in container web, not cured by a restart",
    ]);
    world.then("api hangs", 0).then("admin hangs", 900);
    assert_eq!(world.times("start the container").len(), 3);
    assert_eq!(world.told("NOTICE needs you"), 1);
    assert_eq!(world.told("NOTICE needs you: container:web"), 1);
    assert_eq!(incident(&world, "container:web").state, IncidentState::GivenUp);
    assert_eq!(incident(&world, "container:web").attempts, 3);
    // R53: of what needs a person a reminder comes, once for all of them.
    world.pass(4 * 3600);
    assert_eq!(world.told("incident service:"), 0);
    world.then("api answers again", 0).then("admin answers again", 120);
    assert_eq!(world.told("NOTICE recovered: container:web"), 1);
    let own = |target: &str| {
        world.patient(target).incident.as_ref().is_some_and(|one| one.closed.is_none())
    };
    assert!(!own("container:web") && !own("service:api") && !own("service:admin"));
}

#[test]
fn r17_what_does_not_come_back_with_its_container_has_an_incident_of_its_own() {
    let mut world = world(&[
        "docker",
        "container web",
        "service api: in container web",
        "service admin: in container web, not cured by a restart",
    ]);
    world.then("api hangs", 0).then("admin hangs", 500);
    assert_eq!(world.phase("service:api"), "healthy");
    assert!(incident(&world, "container:web").closed.is_some());
    assert!(world.told("incident service:admin service.timeout") >= 1);
    assert_eq!(world.told("incident service:api"), 0);
}

#[test]
fn r49_services_that_are_well_again_by_themselves_end_the_containers_incident() {
    let mut world = two_services("container web: critical, heal observe");
    world.then("api hangs", 0).then("admin hangs", 100);
    assert_eq!(world.told("incident container:web container.unhealthy: open"), 1);
    assert_eq!(world.told("NOTICE problem: container:web"), 1);
    world.then("api answers again", 0).then("admin answers again", 60);
    assert_eq!(incident(&world, "container:web").state, IncidentState::HealedItself);
    assert_eq!(world.told("NOTICE recovered: container:web"), 1);
    assert_eq!(world.told("incident service:"), 0);
}

#[test]
fn r16_services_of_a_container_that_needs_ollama_are_not_restarted_while_it_is_down() {
    let mut world = world(&[
        "docker",
        "ollama",
        "container web: critical, with a health check, needs ollama",
        "service api: in container web",
        "service admin: in container web",
    ]);
    world.then("ollama starts do nothing", 0).then("ollama dies", 20);
    world.then("web becomes unhealthy", 0).then("api hangs", 0).then("admin hangs", 400);
    assert_eq!(world.told("the container"), 0, "only Ollama is treated");
    assert_eq!(affects(&world, "ollama"), ["container:web", "service:admin", "service:api"]);
    assert_eq!(world.told("incident container:") + world.told("incident service:"), 0);
    world.then("ollama is started by a person", 0).until("ollama", "healthy");
    let well = world.story_ms();
    world.then("web becomes healthy", 0).then("api answers again", 300);
    assert!(world.told("incident service:admin service.timeout") >= 1);
    assert_eq!(world.told("incident service:api"), 0);
    let first = world.times("stop the container");
    assert!(first.first().is_some_and(|at| *at >= well + 50_000), "{first:?}");
}

/// Six: accepts, answers late, and the container works: one long task is not down.
#[test]
fn r6_one_long_task_is_not_down_for_any_service_of_its_container() {
    let mut world = two_services("container web: critical");
    world.then("api works on one long task", 0).then("admin works on one long task", 900);
    assert_eq!(world.told("the container"), 0);
    assert_eq!(world.told("incident ") + world.told("NOTICE"), 0);
    assert_eq!((world.phase("service:api"), world.phase("service:admin")), ("slow", "slow"));
}

#[test]
fn r6_the_same_silence_without_work_is_down() {
    let mut world = two_services("container web: critical");
    world.then("api hangs without any work", 0).then("admin hangs without any work", 60);
    assert_eq!(world.times("stop the container").len(), 1);
}

#[test]
fn r6_work_that_ends_in_silence_is_down_after_the_usual_looks() {
    let mut world = two_services("container web: critical");
    world.then("api works on one long task", 0).then("admin works on one long task", 300);
    world.then("api hangs without any work", 0).then("admin hangs without any work", 0);
    let began = world.story_ms();
    world.pass(90);
    let stops = world.times("stop the container");
    assert!(stops.len() == 1 && stops[0] >= began + 15_000, "{began} {stops:?}");
}

/// A long task may well keep its own health check waiting.
#[test]
fn r6_a_container_whose_service_works_hard_is_not_restarted_for_its_health_check() {
    let mut world = two_services("container web: critical, with a health check");
    world.then("api works on one long task", 0).then("admin works on one long task", 20);
    world.then("web becomes unhealthy", 300);
    assert_eq!(world.told("the container"), 0);
    assert_eq!(world.told("NOTICE problem: container:web"), 1);
    let why = world.doctor.why(&"container:web".parse().expect("an id")).expect("why");
    assert_eq!(why.nothing_done.expect("a reason").says.key, "why.works_inside");
    // R22: a person's word counts.
    world.then("a person asks: recover container:web", 30);
    assert_eq!(world.times("stop the container").len(), 1);
}

#[test]
fn r6_a_container_that_is_unhealthy_and_idle_is_restarted() {
    let mut world = two_services("container web: critical, with a health check");
    world.then("api hangs without any work", 0).then("admin hangs without any work", 0);
    world.then("web becomes unhealthy", 60);
    assert_eq!(world.times("stop the container").len(), 1);
}

fn has_open(world: &World, target: &str) -> bool {
    world.patient(target).incident.as_ref().is_some_and(|one| one.closed.is_none())
}

/// R53: one that was given up long before stays a person's to mend when its sibling falls silent and
/// comes back.
#[test]
fn r53_what_was_given_up_stays_told_when_its_sibling_fails_and_is_well_again() {
    let mut world = world(&[
        "docker",
        "container web",
        "service api: in container web",
        "service admin: in container web, not cured by a restart",
    ]);
    world.then("admin hangs", 600);
    assert_eq!(world.told("NOTICE needs you: service:admin"), 1);
    world.then("api hangs", 300);
    assert_eq!((world.phase("service:api"), world.phase("service:admin")), ("healthy", "given up"));
    assert!(has_open(&world, "service:admin"), "{:?}", world.tale.lines);
    assert_eq!(world.told("incident container:"), 0, "{:?}", world.tale.lines);
    world.pass(4 * 3600);
    assert_eq!(world.told("NOTICE needs you: service:admin"), 2, "{:?}", world.tale.lines);
}

/// R53: given up together, and one of them comes back by itself: the other one is told of alone.
#[test]
fn r53_what_stays_given_up_when_its_sibling_comes_back_is_told_of_by_itself() {
    let mut world = world(&[
        "docker",
        "container web",
        "service api: in container web, not cured by a restart",
        "service admin: in container web, not cured by a restart",
    ]);
    world.then("api hangs", 0).then("admin hangs", 600);
    assert_eq!(world.told("NOTICE needs you: container:web"), 1);
    world.then("api answers again", 120);
    assert_eq!((world.phase("service:api"), world.phase("service:admin")), ("healthy", "given up"));
    assert!(has_open(&world, "service:admin"), "{:?}", world.tale.lines);
    assert_eq!(world.told("NOTICE problem: service:admin"), 1, "{:?}", world.tale.lines);
    world.pass(4 * 3600);
    assert_eq!(world.told("NOTICE needs you: service:admin"), 1, "{:?}", world.tale.lines);
    world.then("admin answers again", 120);
    assert!(!has_open(&world, "service:admin"));
    assert_eq!(world.told("NOTICE recovered: service:admin"), 1, "{:?}", world.tale.lines);
}

/// R25: nobody is called while the last attempt is still to show whether it helps.
#[test]
fn r25_a_sibling_is_not_given_up_while_the_last_attempt_is_under_way() {
    let mut world = world(&[
        "docker",
        "container web: critical",
        "service api: in container web, not cured by a restart",
        "service admin: in container web, not cured by a restart",
    ]);
    world.then("api hangs", 0).then("admin hangs", 600);
    world.then("a person stops web", 120).then("a person starts web", 900);
    let at = |what: &str| world.times(what).last().copied().unwrap_or_default();
    assert_eq!(world.times("stop the container").len(), 6, "{:?}", world.tale.lines);
    assert!(at("NOTICE needs you") >= at("start the container") + 50_000, "{:?}", world.tale.lines);
    assert_eq!(
        (world.phase("service:api"), world.phase("service:admin")),
        ("given up", "given up")
    );
}
