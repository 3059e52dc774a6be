//! 1.11: sleep, wake and clocks.

use doctor::{Depth, Event, LONGEST_WAIT, TargetId};

use super::{World, world};

/// A request for a token that failed before the sleep is no suspicion after it.
#[test]
fn r42_a_failed_request_for_a_token_is_forgotten_in_sleep() {
    let mut world = world(&["ollama: loaded llama3:8b 6 GB"]);
    world.then("ollama has nothing to do", 0).then("ollama gives no token", 80);
    world.then("the machine sleeps for 8 h", 0).then("ollama generates again", 300);
    let ollama = world.doctor.patient(&doctor::TargetId::Ollama).expect("ollama");
    assert!(ollama.phase.is_usable(), "{:?} for {:?}", ollama.phase, ollama.reason);
}

#[test]
fn r41_the_clocks_alone_tell_of_a_sleep() {
    let mut world = world(&["ollama"]);
    world.then("the machine sleeps unnoticed for 10 min", 0);
    world.tell(&Event::Tick);
    assert!(world.doctor.is_waking());
}

#[test]
fn r41_a_short_gap_is_no_sleep() {
    let mut world = world(&["ollama"]);
    world.then("the machine sleeps unnoticed for 4 s", 0);
    world.tell(&Event::Tick);
    assert!(!world.doctor.is_waking());
}

/// Of what was loaded before the sleep, once; nothing is loaded to be asked.
#[test]
fn r42_after_the_hold_one_request_for_a_token_and_only_of_what_was_loaded() {
    for (given, requests) in
        [("ollama: its work is read, loaded llama3:8b 6 GB", 1), ("ollama: its work is read", 0)]
    {
        let mut world = world(&[given]);
        world.then("the machine sleeps for 20 min", 0);
        world.looks = Some(Vec::new());
        let looks = |world: &mut World| {
            let looks = world.looks.replace(Vec::new()).unwrap_or_default();
            let ollama = looks.into_iter().filter(|look| look.target == TargetId::Ollama);
            ollama.collect::<Vec<_>>()
        };
        world.pass(59);
        let held = looks(&mut world);
        assert!(!held.is_empty() && held.iter().all(|look| look.depth < Depth::Deep), "{held:?}");
        // Shorter than the two minutes until the next one would be due.
        world.pass(110);
        let after = looks(&mut world);
        let deep: Vec<_> = after.iter().filter(|look| look.depth == Depth::Deep).collect();
        assert_eq!(deep.len(), requests, "{given}: {after:?}");
        assert!(deep.iter().all(|look| look.model.is_none()), "asked to load it: {deep:?}");
        assert!(after.len() > requests, "{after:?}");
        assert_eq!(world.phase("ollama"), "healthy");
    }
}

#[test]
fn r42_no_remedy_and_no_notice_for_a_minute_after_waking() {
    let mut world = world(&["docker", "ollama", "container web: critical"]);
    world.then("the machine sleeps for 8 h", 1).then("ollama dies", 0).then("web exits with 1", 55);
    assert!(world.nothing_done());
    assert_eq!(world.told("NOTICE"), 0);
    world.pass(30);
    assert_eq!(world.told("> ollama: start"), 1);
    assert_eq!(world.told("> container:web: start"), 1);
}

#[test]
fn r42_not_even_a_person_is_obeyed_while_waking_save_for_a_stop() {
    let mut world = world(&["ollama"]);
    world.then("the machine sleeps for 8 h", 10).then("a person asks: restart ollama", 5);
    assert_eq!(world.told("answer: not now (why.waking)"), 1);
    world.then("a person asks: stop ollama", 5);
    assert_eq!(world.told("TERM"), 1);
}

#[test]
fn r42_deadlines_are_not_used_up_by_sleep() {
    let mut world = world(&["ollama"]);
    world.then("ollama will start in 40 s", 0).then("ollama dies", 0);
    world.until("ollama", "recovering");
    world.pass(10).then("the machine sleeps for 8 h", 200);
    assert_eq!(world.told("failed"), 0);
    assert_eq!(world.phase("ollama"), "healthy");
}

#[test]
fn r42_a_remedy_that_only_waits_is_thought_over_again() {
    let mut world = world(&["ollama"]);
    world.then("ollama dies", 0);
    // Asleep in the very moment in which the first step is written down.
    for _ in 0..60_000 {
        if world.doctor.operations().count() > 0 {
            break;
        }
        world.run_until(world.story_ms() + 1);
    }
    world.then("the machine sleeps unnoticed for 1 h", 0);
    world.tell(&Event::Tick);
    assert_eq!(world.told("superseded: step.woke"), 1);
    assert_eq!(world.patient("ollama").account.attempts, 0);
}

#[test]
fn r43_twenty_dark_wakes_in_a_night_do_nothing() {
    let mut world = world(&["docker", "ollama", "container web: critical"]);
    for _ in 0..20 {
        world.then("the machine sleeps unnoticed for 20 min", 25);
    }
    assert!(world.nothing_done());
    assert_eq!(world.told("NOTICE"), 0);
}

#[test]
fn r44_the_wall_clock_is_for_display_only() {
    let mut world = world(&["ollama"]);
    world
        .then("the wall clock jumps a day ahead", 60)
        .then("the wall clock is set back an hour", 60);
    assert_eq!(world.phase("ollama"), "healthy");
    world.then("ollama dies", 30).then("the wall clock jumps a day ahead", 70);
    let incident = world.patient("ollama").incident.clone().expect("an incident");
    assert!(incident.recovered_after_ms.is_some_and(|ms| ms < 100_000), "{incident:?}");
}

#[test]
fn r44_an_awake_clock_that_goes_back_stops_nothing() {
    let mut world = world(&["ollama"]);
    world.then("the awake clock goes back 10 s", 120).then("ollama dies", 90);
    assert_eq!(world.told("> ollama: start"), 1);
}

/// … nor is anything later for it: what was due in ten seconds is not due in ten minutes.
#[test]
fn r44_an_awake_clock_that_goes_back_delays_nothing() {
    let mut world = world(&["ollama"]);
    world.awake_goes_back(std::time::Duration::from_mins(10));
    world.tell(&Event::Tick);
    world.then("ollama dies", 40);
    assert_eq!(world.told("> ollama: start"), 1, "{:#?}", world.tale.lines);
}

#[test]
fn r44_the_ledger_keeps_its_times_over_a_boot() {
    let mut world = world(&["ollama"]);
    world.then("ollama cannot be started", 0).then("ollama dies", 120);
    world.then("the machine is booted anew, away for 5 min", 300);
    assert_eq!(world.phase("ollama"), "given up");
    assert_eq!(world.told("> ollama: start"), 3, "the trial is not due yet");
    world.pass(25 * 60);
    assert_eq!(world.told("> ollama: start"), 4);
}

#[test]
fn r14_what_a_fresh_boot_brings_up_has_its_grace() {
    let mut world = world(&["the machine was booted 30 s ago", "ollama: not running"]);
    world.pass(15);
    assert_eq!(world.phase("ollama"), "starting");
    assert!(world.nothing_done());
}

#[test]
fn next_wake_is_ahead_and_near_even_if_nothing_is_watched() {
    let mut world = world(&[]);
    for _ in 0..5 {
        world.tell(&Event::Tick);
        let (now, wake) = (world.now().awake, world.doctor.next_wake());
        assert!(wake > now && wake <= now + LONGEST_WAIT);
        world.pass(29);
    }
}
