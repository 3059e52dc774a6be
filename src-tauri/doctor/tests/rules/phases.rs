//! 1.2, the eight states: every edge that is allowed, and those that are not.

use super::world;

#[test]
fn t12_unknown_leaves_with_two_good_looks() {
    let mut world = world(&["ollama"]);
    assert_eq!(world.phase("ollama"), "healthy");
    world.then("the machine sleeps for 1 h", 1);
    assert_eq!(world.phase("ollama"), "unknown");
    world.pass(5);
    assert_eq!(world.phase("ollama"), "healthy");
}

#[test]
fn t12_starting_leaves_with_one_good_look() {
    let mut world = world(&["the machine was booted 20 s ago", "ollama: not running"]);
    assert_eq!(world.phase("ollama"), "starting");
    world.then("ollama is started by somebody else", 11);
    assert_eq!(world.phase("ollama"), "healthy");
}

#[test]
fn t12_starting_becomes_down_when_its_grace_is_over() {
    let mut world = world(&["the machine was booted 20 s ago", "ollama: not running, heal ask"]);
    world.pass(15);
    assert_eq!(world.phase("ollama"), "starting");
    world.pass(30);
    assert_eq!(world.phase("ollama"), "down");
}

/// Three of five failed softly, then one look fails hard: that is one hard fail, not three.
#[test]
fn t12_one_hard_fail_after_soft_ones_is_not_down() {
    let mut world = world(&["docker", "container web: critical", "service api: in container web"]);
    world.then("the next looks at service:api bring 500, well, 500, well, 500, silence", 60);
    assert!(world.treatments.is_empty(), "{:?}", world.treatments);
    world.then("the next looks at service:api bring 500, 500, 500, silence, silence", 120);
    assert!(world.treatments.is_empty(), "{:?}", world.treatments);
    // No parent is waited for here: what is called down is acted upon at once.
    let mut alone = super::world(&["ollama"]);
    alone.then("the next looks at ollama bring 500, 500, 500, silence", 60);
    assert!(alone.nothing_done(), "{:?}", alone.treatments);
}

#[test]
fn t12_slow_comes_and_goes_and_is_never_treated() {
    let mut world = world(&["ollama"]);
    world.then("ollama answers late, after 1500 ms", 45);
    assert_eq!(world.phase("ollama"), "slow");
    world.then("ollama answers late, after 900 ms", 120);
    assert_eq!(world.phase("ollama"), "slow", "0.9 s is above 0.7 of the limit");
    world.then("ollama answers again", 60);
    assert_eq!(world.phase("ollama"), "healthy");
    assert!(world.nothing_done());
}

#[test]
fn t12_degraded_by_one_hard_fail_and_healthy_after_two_successes() {
    let mut world = world(&["ollama"]);
    world.then("ollama dies", 0).until("ollama", "degraded");
    world.then("ollama is started by somebody else", 8);
    assert_eq!(world.phase("ollama"), "healthy");
    assert!(world.nothing_done());
}

#[test]
fn t12_degraded_by_three_soft_fails() {
    let mut world = world(&["ollama"]);
    world.then("ollama answers with status 500", 21);
    assert_eq!((world.phase("ollama"), world.cause("ollama")), ("degraded", "unknown"));
    world.pass(600);
    assert!(world.nothing_done());
}

#[test]
fn t12_down_after_three_hard_fails_and_a_confirmation() {
    let mut world = world(&["ollama: heal ask"]);
    world.then("ollama dies", 22);
    assert_eq!((world.phase("ollama"), world.cause("ollama")), ("down", "ollama.not_running"));
}

#[test]
fn t12_down_heals_by_itself_with_two_successes() {
    let mut world = world(&["ollama: heal ask"]);
    world.then("ollama dies", 30).then("ollama is started by somebody else", 14);
    assert_eq!(world.phase("ollama"), "healthy");
    assert_eq!(world.told("healed by itself"), 1);
}

#[test]
fn t12_given_up_keeps_looking_and_clears_itself() {
    let mut world = world(&["ollama"]);
    world.then("ollama cannot be started", 0).then("ollama dies", 120);
    assert_eq!(world.phase("ollama"), "given up");
    world.then("ollama is started by somebody else", 15);
    assert_eq!(world.phase("ollama"), "healthy");
    assert_eq!(world.patient("ollama").account.given_up, None);
}

#[test]
fn t12_what_is_neither_configured_nor_seen_is_not_found() {
    let mut world = world(&["ollama: not running, not configured"]);
    world.pass(600);
    assert_eq!(world.phase("ollama"), "unknown");
    assert!(!world.patient("ollama").is_found());
    assert_eq!(world.told("incident"), 0);
}

#[test]
fn t12_our_own_blindness_says_nothing_about_a_target() {
    let mut world = world(&["ollama"]);
    // The probe itself fails: there is no such server in the world any more.
    world.ollama = None;
    world.pass(120);
    assert_eq!(world.phase("ollama"), "unknown");
    assert!(world.nothing_done());
    assert_eq!(world.told("ourselves.cannot_look"), 1);
}

#[test]
fn r9_fails_count_half_while_our_own_loop_is_late() {
    let mut world = world(&["ollama: heal ask"]);
    world.then("our own loop is late by 20 s", 0).then("ollama dies", 0);
    world.until("ollama", "degraded").pass(10);
    assert_eq!(world.phase("ollama"), "degraded", "three fails are not enough now");
    world.pass(8);
    assert_eq!(world.phase("ollama"), "down");
}

#[test]
fn r11_a_last_look_that_disagrees_cancels_the_remedy() {
    let mut world = world(&["ollama"]);
    world.then("ollama hangs", 0).until("ollama", "degraded");
    // Two more looks of 3 s and 5 s have failed; the confirming one is about to be asked.
    world.pass(14).then("ollama answers again", 60);
    assert_eq!(world.phase("ollama"), "healthy");
    assert!(world.nothing_done());
}

#[test]
fn r12_a_new_incarnation_by_others_has_its_grace() {
    let mut world = world(&["ollama"]);
    world.then("ollama is restarted by somebody else", 0).then("ollama hangs", 30);
    assert_eq!(world.phase("ollama"), "starting");
    assert!(world.nothing_done());
}

#[test]
fn r13_grace_is_stretched_once_to_the_ceiling_while_it_loads() {
    let mut world = world(&["ollama"]);
    world.then("ollama will start in 110 s", 0).then("ollama dies", 150);
    assert_eq!(world.told("waits out the soak"), 1);
    assert_eq!(world.told("> ollama: start"), 1);
}

#[test]
fn r15_children_of_an_unwell_engine_are_unknown_and_have_no_incident() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("docker goes away", 120);
    assert_eq!(world.phase("container:web"), "unknown");
    assert_eq!(world.patient("container:web").inhibited_by, Some(doctor::TargetId::Docker));
    assert_eq!(world.told("incident container:web"), 0);
    assert_eq!(world.told("incident docker docker.down: open"), 1);
    assert!(world.nothing_done());
}

#[test]
fn r16_a_service_is_not_restarted_for_its_sick_soft_parent() {
    let given = [
        "docker",
        "ollama: heal ask",
        "container web: critical",
        "service api: in container web, needs ollama",
    ];
    let mut world = world(&given);
    world.then("ollama dies", 30).then("api hangs", 300);
    assert_eq!(world.phase("service:api"), "down");
    assert_eq!(world.patient("service:api").reason.rule, "R16");
    assert!(world.nothing_done());
}

#[test]
fn r17_after_its_parent_a_child_is_judged_a_grace_later_and_one_at_a_time() {
    let mut world = world(&["docker", "container a: critical", "container b: critical"]);
    world.then("docker shuts down, stopping all containers", 60).then("docker comes up", 40);
    assert!(world.nothing_done(), "still in the grace");
    world.pass(60);
    let starts = world.times("start the container");
    assert_eq!(starts.len(), 2);
    assert!(starts[1] - starts[0] >= 5_000, "staggered: {starts:?}");
}

#[test]
fn r19_no_restart_for_a_hang_while_memory_is_critical() {
    let mut world = world(&["ollama"]);
    world.then("memory is critical", 30).then("ollama hangs", 120);
    assert_eq!(world.patient("ollama").reason.rule, "R19");
    assert!(world.nothing_done());
}

#[test]
fn r20_one_remedy_at_a_time() {
    let mut world = world(&["docker", "ollama", "container web: critical"]);
    world.then("ollama will start in 20 s", 0).then("ollama dies", 0);
    world.until("ollama", "recovering").then("web exits with 1", 5);
    assert_eq!(world.phase("container:web"), "down");
    assert_eq!(world.patient("container:web").reason.rule, "R20");
    world.pass(60);
    assert_eq!(world.told("start the container"), 1);
}

#[test]
fn r62_nothing_disruptive_follows_from_what_is_only_possible() {
    let mut world = world(&["ollama"]);
    world.then("ollama hangs behind a hidden listener", 300);
    assert_eq!(world.patient("ollama").reason.rule, "R62");
    assert!(world.nothing_done());
}

#[test]
fn t12_every_other_answer_bad_is_degraded_and_stays_so() {
    for bad in ["500", "503"] {
        let mut world = world(&["docker", "container web", "service api: in container web"]);
        let alternating = [bad, "well"].repeat(5).join(", ");
        world.then(&format!("the next looks at service:api bring {alternating}"), 45);
        assert_eq!(world.phase("service:api"), "degraded");
        assert_eq!(world.cause("service:api"), "service.bad_status");
        assert!(world.nothing_done());
    }
}

#[test]
fn r62_a_container_that_has_ended_does_not_wait_for_the_answer_of_a_hopeless_service() {
    let mut world = world(&[
        "docker",
        "container web",
        "container db: critical",
        "service api: in container web, not cured by a restart",
    ]);
    world.then("api hangs", 0).until_told("> service:api: start the container");
    world.pass(3);
    world.then("db exits with 1", 12);
    assert_eq!(world.phase("service:api"), "recovering");
    let started = world.times("> container:db: start the container");
    assert_eq!(started.len(), 1, "{:?}", world.tale.lines);
}

#[test]
fn r20_nothing_is_restarted_while_another_waits_for_its_answer() {
    let mut world = world(&[
        "docker",
        "container web",
        "container db: critical, with a health check",
        "service api: in container web, not cured by a restart",
    ]);
    world.then("db becomes unhealthy", 0).then("api hangs", 0);
    world.until_told("> service:api: start the container");
    let began = world.story_ms();
    world.pass(40);
    // Unhealthy for 30 s and more: it waits, as a restart of what runs interrupts it.
    assert!(
        world.times("container:db: stop").iter().all(|at| *at < began),
        "{:?}",
        world.tale.lines
    );
}

/// R13: what answers that nothing stands behind its socket yet is starting, until the ceiling.
#[test]
fn r13_docker_that_says_that_it_starts_is_no_failure_before_the_ceiling() {
    let mut world = world(&["docker: starting, of Docker Desktop", "container web: critical"]);
    assert_eq!(world.phase("docker"), "starting");
    assert_eq!(world.patient("docker").reason.says.key, "why.docker_starting");
    world.pass(80);
    assert_eq!((world.phase("docker"), world.told("incident docker")), ("starting", 0));
    // Look-alike: the same answer for minutes is no start.
    world.pass(90);
    assert_eq!(world.phase("docker"), "degraded");
    let cause = world.patient("docker").phase.cause().cloned().expect("a cause");
    assert!(cause.evidence.iter().any(|line| line.key == "evidence.docker_stuck"), "{cause:?}");
    assert_eq!(world.told("> docker"), 0, "nothing is done about it");
    world.then("docker comes up", 20);
    assert_eq!(world.phase("docker"), "healthy");
}

/// R13: an engine that is well and once answers so has stumbled; one that is not configured is not
/// found, and does not start either.
#[test]
fn r13_one_such_answer_is_no_start() {
    let mut stumbles = world(&["docker", "container web: critical"]);
    stumbles.then("docker answers that it is starting", 14).then("docker comes up", 20);
    assert_eq!((stumbles.told("docker starting"), stumbles.told("incident")), (0, 0));
    let unseen = world(&["docker: starting, not configured"]);
    assert_eq!((unseen.phase("docker"), unseen.told("docker starting")), ("unknown", 0));
}
