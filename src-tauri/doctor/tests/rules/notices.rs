//! 1.13: notices that neither nag nor stay silent.

use doctor::{Button, NoticeKind, Value};

use super::world;
use super::world::World;

#[test]
fn r50_a_problem_is_told_after_30_s_when_nothing_is_under_way() {
    let mut world = world(&["mlx: without a launch command"]);
    world.then("mlx dies", 35);
    assert_eq!(world.told("NOTICE"), 0);
    world.pass(20);
    assert_eq!(world.told("NOTICE problem"), 1);
    world.pass(3600);
    assert_eq!(world.told("NOTICE"), 1, "told once");
}

#[test]
fn r50_what_is_over_in_less_is_not_told() {
    let mut world = world(&["mlx: without a launch command"]);
    world.then("mlx dies", 0).until("mlx", "down");
    world.then("mlx is started by somebody else", 300);
    assert_eq!(world.told("NOTICE"), 0);
}

#[test]
fn r50_want_of_memory_is_always_told_once_an_hour() {
    let mut world = world(&["docker", "container web: critical, policy always"]);
    for _ in 0..3 {
        world.then("web runs out of memory", 400);
    }
    assert_eq!(world.told("NOTICE out of memory"), 1);
    world.pass(3600).then("web runs out of memory", 30);
    assert_eq!(world.told("NOTICE out of memory"), 2);
}

/// The hour goes on though the app is started anew in it (R55).
#[test]
fn r50_want_of_memory_is_told_once_an_hour_over_a_relaunch() {
    let mut world = world(&["docker", "container web: critical, policy always"]);
    world.then("web runs out of memory", 120).then("Homeostat is relaunched", 120);
    world.then("web runs out of memory", 120);
    assert_eq!(world.told("NOTICE out of memory"), 1, "{:?}", world.tale.lines);
    world.pass(3600).then("Homeostat is relaunched", 120).then("web runs out of memory", 30);
    assert_eq!(world.told("NOTICE out of memory"), 2, "{:?}", world.tale.lines);
}

#[test]
fn r51_a_quick_recovery_is_one_quiet_notice_after_it_is_proven() {
    let mut world = world(&["ollama"]);
    world.then("ollama dies", 60);
    assert_eq!(world.told("NOTICE"), 0);
    world.pass(60);
    assert_eq!(world.told("NOTICE recovered"), 1);
    assert_eq!(world.told("NOTICE"), 1);
}

#[test]
fn r51_what_is_being_treated_is_told_of_after_a_minute() {
    let mut world = world(&["ollama"]);
    world.then("ollama cannot be started", 0).then("ollama starts do nothing", 0);
    world.then("ollama dies", 0).until_told("NOTICE problem: ollama");
    let opened = world.times("incident ollama ollama.not_running")[0];
    let after = (world.times("NOTICE problem: ollama")[0] - opened) / 1000;
    assert!((60..65).contains(&after), "{after} s");
}

#[test]
fn r52_a_problem_that_was_told_is_closed_once() {
    let mut world = world(&["mlx: without a launch command"]);
    world.then("mlx dies", 90).then("mlx is started by somebody else", 300);
    assert_eq!(world.told("NOTICE problem"), 1);
    assert_eq!(world.told("NOTICE recovered"), 1);
    world.then("mlx dies", 12).then("mlx is started by somebody else", 60);
    assert_eq!(world.told("NOTICE"), 2, "a blip after it closes nothing");
}

#[test]
fn r53_what_is_given_up_is_told_again_after_four_hours() {
    let mut world = world(&["mlx"]);
    world.then("mlx loses its port to nginx pid 9", 3 * 3600);
    assert_eq!(world.told("NOTICE needs you"), 1);
    world.pass(2 * 3600);
    assert_eq!(world.told("NOTICE needs you"), 2);
}

#[test]
fn r53_the_same_problem_not_twice_in_five_minutes_and_not_lost() {
    let mut world = world(&["mlx: without a launch command"]);
    world.then("mlx dies", 60).then("mlx is started by somebody else", 30).then("mlx dies", 60);
    assert_eq!(world.told("NOTICE problem"), 1);
    world.pass(300);
    assert_eq!(world.told("NOTICE problem"), 2, "it was only held back");
}

#[test]
fn r55_nothing_is_told_at_start_when_all_is_well() {
    let mut world = world(&["docker", "ollama", "mlx", "container web: critical"]);
    world.pass(600);
    assert_eq!(world.told("NOTICE"), 0);
    assert_eq!(world.told("incident"), 0);
}

#[test]
fn r55_what_was_given_up_before_a_relaunch_is_not_told_again() {
    let mut world = world(&["ollama"]);
    world.then("ollama cannot be started", 0).then("ollama dies", 120);
    world.then("Homeostat is relaunched", 300);
    assert_eq!(world.told("NOTICE needs you"), 1);
    assert_eq!(world.phase("ollama"), "given up");
}

#[test]
fn r15_a_child_has_no_notice_of_its_own() {
    let given = ["docker", "container web: critical", "service api: in container web"];
    let mut world = world(&given);
    world.then("docker goes away", 600);
    assert_eq!(world.told("NOTICE"), 1);
    assert_eq!(world.told("NOTICE problem: docker"), 1);
}

#[test]
fn r35_a_held_critical_container_is_told_of_once_after_half_an_hour() {
    let mut world = world(&["docker", "container web: critical", "container job"]);
    world.then("a person stops web", 0).then("a person stops job", 29 * 60);
    assert_eq!(world.told("NOTICE"), 0);
    world.pass(2 * 60);
    assert_eq!(world.told("NOTICE still held: container:web"), 1);
    let notice = world.notices.last().expect("a notice");
    assert_eq!(notice.1.button, Button::Start);
    world.pass(12 * 3600);
    assert_eq!(world.told("NOTICE"), 1);
    assert!(world.nothing_done());
}

#[test]
fn r35_a_relaunch_neither_forgets_nor_repeats_the_reminder() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("a person stops web", 20 * 60).then("Homeostat is relaunched", 12 * 60);
    assert_eq!(world.told("NOTICE still held"), 1, "half an hour after the stop");
    world.then("Homeostat is relaunched", 3600);
    assert_eq!(world.told("NOTICE still held"), 1);
}

#[test]
fn r35_who_is_started_in_time_needs_no_reminder_and_a_new_hold_has_its_own() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("a person stops web", 20 * 60).then("a person starts web", 3600);
    assert_eq!(world.told("NOTICE"), 0);
    world.then("a person stops web", 31 * 60);
    assert_eq!(world.told("NOTICE still held"), 1);
}

#[test]
fn r35_a_hold_on_what_still_runs_needs_no_reminder() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("a person asks: hold container:web", 3600);
    assert_eq!(world.told("NOTICE"), 0);
}

#[test]
fn r50_at_once_when_a_person_is_needed() {
    let mut world = world(&["mlx"]);
    world.then("mlx loses its port to nginx pid 9", 0).until("mlx", "given up");
    assert_eq!(world.told("NOTICE needs you"), 1);
}

#[test]
fn r52_what_could_not_be_shown_is_no_problem_that_was_told() {
    let mut world = world(&["mlx: without a launch command"]);
    world.then("notices cannot be shown", 0).then("mlx dies", 60);
    assert_eq!(world.told("NOTICE problem"), 1);
    assert_eq!(world.doctor.undelivered(), 1);
    world.then("mlx is started by somebody else", 60).then("notices can be shown again", 8 * 3600);
    assert_eq!(world.told("NOTICE recovered"), 0);
    assert_eq!(world.told("NOTICE problem"), 1, "it is over, and nobody was told that it began");
    assert_eq!(world.doctor.undelivered(), 0);
}

#[test]
fn r52_what_could_not_be_shown_is_tried_again_and_then_ended() {
    let mut world = world(&["mlx: without a launch command"]);
    world.then("notices cannot be shown", 0).then("mlx dies", 60);
    world.then("notices can be shown again", 400);
    assert_eq!(world.told("NOTICE problem"), 2);
    world.then("mlx is started by somebody else", 60);
    assert_eq!(world.told("NOTICE recovered"), 1);
    assert_eq!(world.doctor.undelivered(), 0);
}

#[test]
fn t61_a_desktop_that_refuses_every_notice_makes_no_loop() {
    let mut world = world(&["mlx: without a launch command", "ollama"]);
    world.then("notices cannot be shown", 0).then("mlx dies", 24 * 3600);
    let tries = world.told("NOTICE problem");
    assert!((3..=12).contains(&tries), "{tries} in a day");
    assert_eq!(world.told("NOTICE"), tries);
}

#[test]
fn r52_the_next_notice_brings_the_one_that_failed_with_it() {
    let mut world = world(&["mlx: without a launch command", "ollama"]);
    world.then("notices cannot be shown", 0).then("mlx dies", 60);
    world.then("notices can be shown again", 0);
    world.then("ollama loses its port to nginx pid 9", 0).until("ollama", "given up");
    assert_eq!(world.told("NOTICE problem: mlx"), 2);
    world.then("mlx is started by somebody else", 60);
    assert_eq!(world.told("NOTICE recovered: mlx"), 1);
}

/// So many services, each of its own, that fail one after the other.
fn failing_services(count: usize, seconds: u64) -> World {
    let given: Vec<String> = (1..=count).map(|n| format!("service s{n}")).collect();
    let mut world = world(&given.iter().map(String::as_str).collect::<Vec<_>>());
    for n in 1..=count {
        world.then(&format!("s{n} answers with status 500"), seconds);
    }
    world
}

#[test]
fn r53_six_in_an_hour_and_then_one_that_sums_up() {
    let mut world = failing_services(12, 60);
    world.pass(40 * 60);
    assert_eq!(world.told("NOTICE"), 6);
    world.pass(15 * 60);
    assert_eq!(world.told("NOTICE digest: 6 more"), 1);
    assert_eq!(world.told("NOTICE"), 7);
    let digest = world.notices.last().expect("a digest");
    let names = digest.1.lines.iter().find_map(|line| line.values.get("names"));
    let wanted = "service:s7, service:s8, service:s9, service:s10, service:s11, service:s12";
    assert_eq!(names, Some(&Value::Text(wanted.into())));
}

#[test]
fn r53_six_need_no_digest() {
    let mut world = failing_services(6, 60);
    world.pass(3 * 3600);
    assert_eq!(world.told("NOTICE"), 6);
}

#[test]
fn r53_quiet_words_leave_room_for_problems_and_need_no_digest() {
    let mut given = vec!["docker".to_owned(), "mlx: without a launch command".to_owned()];
    given.extend((1..=12).map(|n| format!("container c{n}: critical")));
    let mut world = world(&given.iter().map(String::as_str).collect::<Vec<_>>());
    for n in 1..=12 {
        world.then(&format!("c{n} exits with 1"), 130);
    }
    assert_eq!(world.told("NOTICE recovered"), 3);
    world.then("mlx dies", 90);
    assert_eq!(world.told("NOTICE problem: mlx"), 1);
    world.pass(3 * 3600);
    assert_eq!(world.told("NOTICE digest"), 0);
}

#[test]
fn r53_at_most_one_digest_an_hour() {
    let mut world = failing_services(30, 300);
    world.pass(3600);
    let digests = world.times("NOTICE digest");
    assert!(digests.len() >= 2, "{digests:?}");
    assert!(digests.windows(2).all(|two| two[1] - two[0] >= 3_600_000), "{digests:?}");
    // No hour has more than six and a digest.
    let all = world.times("NOTICE");
    let busiest =
        all.iter().map(|at| all.iter().filter(|b| (*at..at + 3_600_000).contains(b)).count());
    assert!(busiest.max() <= Some(7), "{all:?}");
}

#[test]
fn r53_many_that_need_a_person_are_summed_up_soon() {
    let given: Vec<String> = (1..=12).map(|n| format!("container c{n}: critical")).collect();
    let mut lines = vec!["docker"];
    lines.extend(given.iter().map(String::as_str));
    let mut world = world(&lines);
    for n in 1..=12 {
        world.then(&format!("c{n} exits with 127"), 100);
    }
    assert_eq!(world.told("NOTICE needs you"), 6);
    assert!(world.told("NOTICE digest") >= 1, "they do not wait for an hour");
    world.pass(600);
    let summed: i64 = world
        .notices
        .iter()
        .filter_map(|notice| notice.1.title.values.get("count"))
        .filter_map(|count| if let Value::Count(count) = count { Some(*count) } else { None })
        .sum();
    assert_eq!(summed, 6, "none is lost");
}

#[test]
fn r55_nothing_is_told_while_waking_and_what_still_holds_is_told_after_it() {
    let mut world = world(&["mlx: without a launch command"]);
    world.then("mlx dies", 90);
    assert_eq!(world.told("NOTICE problem"), 1);
    world.then("the machine sleeps for 20 min", 0).then("mlx is started by somebody else", 50);
    assert_eq!(world.told("NOTICE"), 1, "in the wake hold");
    world.pass(20);
    assert_eq!(world.told("NOTICE recovered"), 1);
    assert_eq!(world.told("NOTICE"), 2);
}

#[test]
fn r55_twenty_dark_wakes_are_silent() {
    let mut world = world(&["docker", "ollama", "mlx", "container web: critical"]);
    for _ in 0..20 {
        world.then("the machine sleeps for 20 min", 20);
    }
    world.pass(300);
    assert_eq!(world.told("NOTICE"), 0);
    assert!(world.nothing_done());
}

#[test]
fn r55_a_problem_that_was_told_before_the_sleep_is_not_told_again() {
    let mut world = world(&["mlx: without a launch command"]);
    world.then("mlx dies", 90).then("the machine sleeps for 20 min", 600);
    assert_eq!(world.told("NOTICE"), 1);
}

#[test]
fn r56_a_notice_says_what_who_else_what_was_done_and_what_to_do() {
    let given = ["docker", "container web: critical", "container db: critical"];
    let mut world = world(&given);
    world.then("docker goes away", 60);
    let notice = world.notices.last().expect("a notice");
    let keys: Vec<&str> = notice.1.lines.iter().map(|line| line.key.as_str()).collect();
    let wanted = [
        "cause.docker.down.text",
        "notice.affects",
        "notice.nothing_done",
        "cause.docker.down.advice",
    ];
    assert_eq!(keys, wanted);
    let names = Value::Text("container:db, container:web".into());
    assert_eq!(notice.1.lines[1].values.get("names"), Some(&names));
    assert_eq!(notice.1.button, Button::Show);
}

#[test]
fn r56_what_needs_a_person_has_a_button_that_acts() {
    let mut world = world(&["ollama"]);
    world.then("ollama cannot be started", 0).then("ollama dies", 200);
    let notice = world.notices.last().expect("a notice");
    assert_eq!((notice.1.kind, notice.1.button), (NoticeKind::NeedsYou, Button::Start));
    let tried =
        notice.1.lines.iter().find(|line| line.key == "notice.tried").expect("what was done");
    assert_eq!(tried.values.get("attempts"), Some(&Value::Count(3)));
}

#[test]
fn r56_where_a_person_decides_the_problem_has_the_button() {
    let mut world = world(&["ollama: heal ask"]);
    world.then("ollama dies", 60);
    let notice = world.notices.last().expect("a notice");
    assert_eq!((notice.1.kind, notice.1.button), (NoticeKind::Problem, Button::Start));
}

#[test]
fn r57_the_alert_lists_each_restart_with_who_made_it() {
    let mut world = world(&["ollama"]);
    world.then("ollama dies", 700).then("a person asks: restart ollama", 120);
    world.then("ollama is restarted by somebody else", 120);
    assert_eq!(world.told("NOTICE too many restarts"), 0, "three are none too many");
    world.then("ollama is restarted by somebody else", 60);
    assert_eq!(world.told("NOTICE too many restarts"), 1);
    let all = world.notices.iter();
    let notice = all.rev().find(|one| one.1.kind == NoticeKind::RestartRate).expect("an alert");
    let keys: Vec<&str> = notice.1.lines.iter().map(|line| line.key.as_str()).collect();
    let wanted = [
        "notice.restart_by_other",
        "notice.restart_by_other",
        "notice.restart_by_person",
        "notice.restart_by_us",
        "notice.restart_rate_advice",
    ];
    assert_eq!(keys, wanted);
}

#[test]
fn r52_a_recovery_says_what_was_wrong_and_not_that_it_is() {
    let mut world = world(&["ollama"]);
    world.then("ollama dies", 120);
    let recovered = world.notices.iter().find(|(_, one)| one.title.key == "notice.recovered");
    let lines = recovered.map(|(_, notice)| notice.lines.clone()).expect("a recovery");
    assert_eq!(lines[0].key, "notice.it_was");
    assert_eq!(lines[1].key, "cause.ollama.not_running.text");
}

#[test]
fn r57_a_restart_of_this_moment_was_just_now() {
    let mut world = world(&["ollama"]);
    world.pass(60);
    for _ in 0..5 {
        world.then("ollama is restarted by somebody else", 60);
    }
    let told = world.notices.iter().find(|(_, one)| one.title.key == "notice.restart_rate");
    let lines = told.map(|(_, notice)| notice.lines.clone()).expect("a notice");
    assert!(!lines[0].values.contains_key("ago"), "{lines:?}");
    assert!(lines[1].values.contains_key("ago"), "{lines:?}");
}
