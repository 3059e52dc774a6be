//! 1.9, 1.10: what is held, until when, and what is left alone altogether.

use doctor::Intent;

use super::world;

const WEB: &[&str] = &["docker", "container web: critical"];

/// R37: a slow reading from before a person's stop is no start by anybody.
#[test]
fn r37_a_reading_that_the_stop_overtook_ends_no_hold() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("docker wakes from its Resource Saver", 60);
    world.then("a person starts web", 0).then("a person asks: check everything", 1);
    world.then("a person stops web", 300);
    assert!(world.treatments.is_empty(), "{:?}", world.treatments);
}

/// R37: a hold with a time does not end while somebody else's stop holds.
#[test]
fn r37_a_stop_during_a_hold_with_a_time_outlasts_it() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("a person asks: hold container:web for 3 min", 20);
    world.then("a person stops web", 600);
    assert!(world.treatments.is_empty(), "{:?}", world.treatments);
}

#[test]
fn r36_a_hold_is_a_hold() {
    let mut world = world(&["ollama"]);
    world.then("a person asks: hold ollama", 10).then("ollama dies", 600);
    assert!(world.nothing_done());
    assert_eq!(world.told("NOTICE"), 0);
    world.then("a person asks: release ollama", 30);
    assert_eq!(world.told("> ollama: start"), 1);
}

#[test]
fn r37_a_hold_ends_with_a_persons_start() {
    let mut world = world(WEB);
    world.then("a person stops web", 60).then("a person starts web", 10);
    assert_eq!(world.patient("container:web").account.intent, Intent::Wanted);
}

#[test]
fn r37_recover_by_name_ends_a_hold_and_recover_everything_does_not() {
    let mut world = world(WEB);
    world.then("a person stops web", 60).then("a person asks: recover everything", 60);
    assert!(world.nothing_done());
    world.then("a person asks: recover container:web", 60);
    assert_eq!(world.told("start the container"), 1);
}

#[test]
fn r38_a_labelled_container_is_left_alone_however_unwell() {
    let mut world = world(&["docker", "container web: critical, skip, with a health check"]);
    world.then("web becomes unhealthy", 600);
    assert!(world.nothing_done());
    assert_eq!(world.patient("container:web").reason.rule, "R38");
}

#[test]
fn r38_a_labelled_container_is_left_alone() {
    let mut world = world(&["docker", "container web: critical, skip"]);
    world.then("web exits with 1", 600);
    assert!(world.nothing_done());
}

#[test]
fn r36_quitting_the_app_is_a_hold_and_a_crash_of_it_is_none() {
    let mut quit = world(&["ollama: the app is installed"]);
    quit.then("ollama is quit", 600);
    assert!(quit.nothing_done());
    assert_eq!(quit.patient("ollama").reason.says.key, "why.quit");
    assert_eq!(quit.told("NOTICE"), 0);
    let mut crash = world(&["ollama: the app is installed"]);
    crash.then("ollama crashes with its app", 60);
    assert_eq!(crash.told("open /Applications/Ollama.app"), 1);
}

#[test]
fn r36_an_app_that_we_ended_ourselves_is_not_held() {
    let mut world = world(&["ollama: the app is installed"]);
    world.then("ollama hangs", 0).until_told("TERM");
    let target = doctor::TargetId::Ollama;
    world.tell(&doctor::Event::Quit { target, normal: true });
    world.pass(120);
    assert_eq!(world.patient("ollama").account.intent, Intent::Wanted);
    assert_eq!(world.phase("ollama"), "healthy");
}

#[test]
fn r36_a_hold_says_since_when_and_until_when() {
    let says = |wish: &str| {
        let mut world = world(&["ollama"]);
        world.then(&format!("a person asks: {wish}"), 10).then("ollama dies", 30);
        world.patient("ollama").reason.says.clone()
    };
    // 08:00:30 and an hour, in UTC.
    let at = |ms: i64| Some(doctor::Value::Time(1_788_249_600_000 + ms));
    let held = says("hold ollama");
    assert_eq!((held.key.as_str(), held.values.get("at").cloned()), ("why.held", at(30_000)));
    let stopped = says("stop ollama");
    assert_eq!(stopped.key, "why.stopped");
    assert_eq!(stopped.values.get("at").cloned(), at(30_000));
    let until = says("hold ollama for 1 h");
    assert_eq!(until.key, "why.held_until");
    assert_eq!(until.values.get("until").cloned(), at(3_630_000));
}

#[test]
fn r37_a_timer_ends_a_hold_and_nothing_else_does() {
    let mut world = world(&["ollama"]);
    world.then("a person asks: hold ollama for 30 min", 0).then("ollama dies", 29 * 60);
    assert!(world.nothing_done());
    world.pass(90);
    assert_eq!(world.told("> ollama: start"), 1);
    assert_eq!(world.patient("ollama").account.hold, None);
}

#[test]
fn r37_a_timer_runs_on_in_sleep_over_a_relaunch_and_over_a_boot() {
    for what in [
        "the machine sleeps for 20 min",
        "the machine is booted anew, away for 20 min",
        "the kernel panics, and the machine is back after 20 min",
    ] {
        let mut world = world(&["ollama"]);
        world.then("a person asks: hold ollama for 30 min", 10).then("ollama dies", 10);
        world.then("Homeostat is relaunched", 10).then(what, 8 * 60);
        assert!(world.nothing_done(), "{what}");
        world.pass(5 * 60);
        assert_eq!(world.told("> ollama: start"), 1, "{what}");
    }
}

#[test]
fn r37_a_timer_that_ran_out_while_the_machine_was_off_has_ended_the_hold() {
    let mut world = world(&["ollama"]);
    world.then("a person asks: hold ollama for 30 min", 10).then("ollama dies", 10);
    world.then("the machine is booted anew, away for 9 h", 90);
    assert_eq!(world.told("> ollama: start"), 1);
}

#[test]
fn r37_a_new_hold_replaces_the_timer_and_a_stop_has_none() {
    for wish in ["hold ollama", "stop ollama"] {
        let mut world = world(&["ollama"]);
        world.then("a person asks: hold ollama for 5 min", 10);
        world.then(&format!("a person asks: {wish}"), 10);
        world.dies(&doctor::TargetId::Ollama);
        world.pass(3600);
        assert_eq!(world.told("> ollama: start"), 0, "{wish}");
    }
}

#[test]
fn r37_no_supervisor_ends_a_hold() {
    let mut server = world(&["ollama"]);
    server.then("a person asks: hold ollama", 10).then("ollama is restarted by somebody else", 30);
    assert_eq!(server.patient("ollama").account.intent, Intent::Held);
    let mut container = world(&["docker", "container web: critical, policy always"]);
    container.then("a person asks: hold container:web", 10).then("web exits with 1", 90);
    assert_eq!(container.patient("container:web").account.intent, Intent::Held);
    // A person who starts it does.
    container.then("a person stops web", 30).then("a person starts web", 30);
    assert_eq!(container.patient("container:web").account.intent, Intent::Wanted);
}

#[test]
fn r37_a_person_who_starts_it_ends_the_hold() {
    let mut world = world(&["ollama"]);
    world.then("a person asks: hold ollama for 5 h", 10).then("ollama dies", 30);
    world.then("ollama is started by a person", 30);
    assert_eq!(world.patient("ollama").account.intent, Intent::Wanted);
    world.then("ollama dies", 30);
    assert_eq!(world.told("> ollama: start"), 1);
}

/// R24: not done again, and not refused either.
#[test]
fn r24_what_answers_is_not_started() {
    let mut world = world(&["ollama: wants llama3:70b"]);
    world.then("ollama lacks llama3:70b", 400);
    assert_eq!(world.phase("ollama"), "degraded");
    world.then("a person asks: start ollama", 30);
    assert_eq!(world.told("answer: done"), 1, "{:?}", world.tale.lines);
    assert!(world.nothing_done());
}

/// Nobody knows yet that it answers; it has not come back, it runs, and its hold has ended (R37).
#[test]
fn r37_a_start_of_what_runs_says_so_and_ends_the_hold() {
    let mut world = world(&["ollama"]);
    world.then("a person asks: hold ollama", 10).then("ollama dies", 30);
    world.then("ollama is started by a person", 0).then("a person asks: start ollama", 10);
    assert_eq!(world.told("superseded: step.runs_already"), 1, "{:?}", world.tale.lines);
    assert_eq!(world.told("step.came_back"), 0);
    assert_eq!(world.patient("ollama").account.intent, Intent::Wanted);
    assert_eq!(world.told("> ollama: start"), 0);
}

/// What another healer looks after is not healed twice, and is healed when a person had it end.
#[test]
fn c12_beside_another_healer_nothing_is_done_unasked() {
    let mut world = world(&["ollama", "docker", "container web: critical"]);
    world.then("another healer runs", 0).then("ollama dies", 0).then("web exits with 1", 120);
    assert!(world.nothing_done());
    assert_eq!(world.phase("ollama"), "down");
    let why = world.doctor.why(&doctor::TargetId::Ollama).expect("watched");
    let nothing_done = why.nothing_done.expect("a reason");
    assert_eq!((nothing_done.rule, nothing_done.says.key.as_str()), ("C12", "why.other_healers"));
    world.then("no other healer runs", 90);
    assert_eq!(world.phase("ollama"), "healthy");
    assert_eq!(world.told("start the container"), 1);
}

/// A person's word is a person's word.
#[test]
fn c12_what_a_person_asks_for_is_done_beside_another_healer() {
    let mut world = world(&["ollama"]);
    world.then("another healer runs", 0).then("ollama dies", 60);
    world.then("a person asks: start ollama", 90);
    assert_eq!(world.phase("ollama"), "healthy");
}

/// Once, and with it, and not that of its neighbour.
#[test]
fn r37_a_persons_start_of_a_service_ends_its_own_hold() {
    let lines = &[
        "docker",
        "container web",
        "service api: in container web",
        "service ui: in container web",
    ];
    for first in ["check everything", "stop container:web"] {
        let mut world = world(lines);
        world.then("a person asks: hold service:api", 5).then("a person asks: hold service:ui", 5);
        world.then(&format!("a person asks: {first}"), 30);
        world.then("a person asks: start service:api", 90);
        assert_eq!(world.patient("service:api").account.intent, Intent::Wanted, "{first}");
        assert_eq!(world.patient("service:api").account.hold, None, "{first}");
        assert_eq!(world.patient("container:web").account.intent, Intent::Wanted, "{first}");
        assert_eq!(world.phase("service:api"), "healthy", "{first}");
        assert_eq!(world.patient("service:ui").account.intent, Intent::Held, "{first}");
    }
}

/// What is not begun ends no hold, nor does an agent's word.
#[test]
fn r37_a_stop_of_a_service_leaves_its_hold() {
    let mut world = world(&["docker", "container web", "service api: in container web"]);
    world.then("a person asks: hold service:api", 5);
    world.then("a person asks: stop service:api", 60);
    assert_eq!(world.patient("service:api").account.intent, Intent::Held);
}
