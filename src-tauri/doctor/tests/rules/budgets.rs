//! 1.6, 1.7: single flight, back-off, budgets, giving up.

use doctor::{Asker, Wish};

use super::world;

#[test]
fn r21_fifty_complaints_are_one_operation() {
    let mut world = world(&["ollama"]);
    world.then("ollama dies", 0);
    for _ in 0..50 {
        world.wish(Wish::Recover { targets: vec![doctor::TargetId::Ollama] }, Asker::Agent);
    }
    let running = world.doctor.operations().filter(|one| one.is_running()).count();
    assert_eq!(running, 1);
    world.pass(90);
    assert_eq!(world.told("> ollama: start"), 1);
}

#[test]
fn r22_a_person_skips_back_off_and_giving_up() {
    let mut world = world(&["ollama"]);
    world.then("ollama cannot be started", 0).then("ollama dies", 120);
    assert_eq!(world.phase("ollama"), "given up");
    world.then("ollama can be started again", 0).then("a person asks: recover ollama", 8);
    assert_eq!(world.told("waits out the soak"), 1);
}

#[test]
fn r23_a_complaint_is_no_command() {
    let mut world = world(&["ollama", "mlx"]);
    world
        .then("an agent complains about ollama", 30)
        .then("an agent complains about everything", 30);
    assert!(world.nothing_done());
    assert!(
        world.doctor.operations().all(|one| one.result == Some(doctor::RemedyResult::Verified))
    );
}

const WITH_MODEL: &str = "ollama: its work is read, loaded llama3:8b 6 GB";

/// A model that was used a moment ago may not be asked for a token yet: the check waits for it.
#[test]
fn r23_a_check_is_not_verified_before_a_token_was_asked_for() {
    for (by, sick) in
        [(Asker::Person, true), (Asker::Agent, true), (Asker::Person, false), (Asker::Agent, false)]
    {
        let mut world = world(&[WITH_MODEL]);
        world.then("ollama works", 60).then("ollama has nothing to do", 17);
        if sick {
            world.then("ollama gives empty answers", 0);
        }
        world.wish(Wish::Recover { targets: vec![doctor::TargetId::Ollama] }, by);
        world.pass(5);
        assert!(
            world.doctor.operations().any(doctor::Operation::is_running),
            "{by:?}, sick {sick}: still to be asked for a token"
        );
        world.pass(25);
        assert_eq!(world.nothing_done(), !sick, "{by:?}");
        if !sick {
            let ends: Vec<_> = world.doctor.operations().map(|one| one.result).collect();
            assert_eq!(ends, [Some(doctor::RemedyResult::Verified)], "{by:?}");
        }
    }
}

/// In use all the while, it is neither interrupted nor called well.
#[test]
fn r23_a_check_of_a_model_that_is_in_use_ends_untested() {
    for by in [Asker::Person, Asker::Agent] {
        let mut world = world(&[WITH_MODEL]);
        world.then("ollama works", 60);
        world.wish(Wish::Recover { targets: vec![doctor::TargetId::Ollama] }, by);
        world.pass(59);
        assert!(world.doctor.operations().any(doctor::Operation::is_running), "{by:?}");
        world.pass(6);
        let ends: Vec<_> = world.doctor.operations().map(|one| one.result).collect();
        assert_eq!(ends, [Some(doctor::RemedyResult::Superseded)], "{by:?}");
        let said = world.doctor.operations().flat_map(|one| &one.log);
        let keys: Vec<&str> = said.map(|(_, says)| says.key.as_str()).collect();
        assert!(keys.contains(&"step.untested"), "{by:?}: {keys:?}");
        assert!(world.nothing_done(), "{by:?}");
    }
}

#[test]
fn r24_a_start_without_an_answer_is_not_sent_again() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("web will start without saying so", 0).then("web exits with 1", 300);
    assert_eq!(world.told("> container:web: start the container"), 1);
    assert_eq!(world.phase("container:web"), "healthy");
}

#[test]
fn r25_three_attempts_then_given_up() {
    let mut world = world(&["ollama"]);
    world.then("ollama cannot be started", 0).then("ollama dies", 600);
    assert_eq!(world.told("> ollama: start"), 3);
    assert_eq!(world.phase("ollama"), "given up");
}

#[test]
fn r25_an_episode_closes_after_ten_minutes_of_health() {
    let mut world = world(&["ollama"]);
    world.then("ollama dies", 100);
    assert_eq!(world.patient("ollama").account.attempts, 1);
    world.pass(500);
    assert_eq!(world.patient("ollama").account.attempts, 1);
    world.pass(150);
    assert_eq!(world.patient("ollama").account.attempts, 0);
}

#[test]
fn r26_back_off_doubles_with_equal_jitter() {
    for seed in 0..20 {
        let mut world = world(&["ollama"]);
        world.pass(seed);
        world.then("ollama cannot be started", 0).then("ollama dies", 300);
        let begun = world.times("> ollama: find who listens");
        let ended = world.times("start ollama: failed");
        assert_eq!(begun.len(), 3);
        let (second, third) = (begun[1] - ended[0], begun[2] - ended[1]);
        assert!((10_000..=20_100).contains(&second), "second after {second} ms");
        assert!((20_000..=40_100).contains(&third), "third after {third} ms");
    }
}

#[test]
fn r27_half_open_trials_come_after_30_60_120_minutes() {
    let mut world = world(&["ollama"]);
    world.then("ollama cannot be started", 0).then("ollama dies", 4 * 3600);
    let begun = world.times("> ollama: find who listens");
    let minutes: Vec<u64> =
        begun.windows(2).skip(2).map(|pair| (pair[1] - pair[0]).div_ceil(60_000)).collect();
    assert_eq!(minutes, [31, 61, 121]);
}

#[test]
fn r27_an_edited_configuration_is_a_changed_world() {
    let mut world = world(&["ollama"]);
    world.then("ollama cannot be started", 0).then("ollama dies", 120);
    assert_eq!(world.phase("ollama"), "given up");
    let roster = world.roster.clone();
    world.tell(&doctor::Event::Reconfigured { roster });
    world.then("ollama can be started again", 30);
    assert_eq!(world.told("waits out the soak"), 1);
}

#[test]
fn r27_another_cause_is_a_changed_world() {
    let mut world = world(&["ollama"]);
    world.then("ollama loses its port to python3 pid 9", 60);
    assert_eq!(world.phase("ollama"), "given up");
    world.then("ollama gets its port back", 40);
    assert_eq!(world.told("waits out the soak"), 1);
}

#[test]
fn r28_more_than_three_restarts_in_an_hour_are_told_once() {
    let mut world = world(&["ollama"]);
    for _ in 0..6 {
        world.then("ollama is restarted by somebody else", 60);
    }
    assert_eq!(world.told("NOTICE too many restarts"), 1);
}

#[test]
fn r28_more_than_six_automatic_restarts_in_an_hour_are_given_up() {
    let mut world = world(&["ollama"]);
    // Each recovery is followed by ten healthy minutes' worth of forgiveness, within the hour, and
    // far enough from the next end to be no flapping (R54).
    for _ in 0..6 {
        world.then("ollama dies", 8 * 60);
        let id = doctor::TargetId::Ollama;
        assert_eq!(world.phase("ollama"), "healthy");
        world.tell(&doctor::Event::Reconfigured { roster: world.roster.clone() });
        assert_eq!(world.doctor.patient(&id).map(|one| one.account.attempts), Some(0));
    }
    world.then("ollama dies", 60);
    assert_eq!(world.phase("ollama"), "given up");
    assert_eq!(world.told("> ollama: start"), 6);
}

#[test]
fn r29_the_supervisor_of_a_server_has_fifteen_seconds() {
    let mut world = world(&["ollama: the app is installed"]);
    world.then("ollama dies", 20);
    assert!(world.nothing_done());
    world.pass(20);
    assert_eq!(world.told("open /Applications/Ollama.app"), 1);
}

#[test]
fn r29_who_started_it_last_goes_before_all_that_could() {
    for (given, started_by, told) in [
        ("ollama: the app is installed", "the user's unit mine.service", "start unit mine.service"),
        ("ollama: a systemd unit of the user exists", "the shell zsh", "start unit ollama.service"),
        ("ollama", "the user's unit mine.service", "start unit mine.service"),
        ("ollama", "the shell zsh", "start `/usr/local/bin/ollama serve`"),
    ] {
        let mut world = world(&[given]);
        world.then(&format!("ollama was started by {started_by}"), 11 * 60);
        world.then("ollama dies", 60);
        assert_eq!(world.told(told), 1, "{given}, {started_by}");
    }
}

#[test]
fn r29_what_the_systems_own_unit_ran_is_not_started_beside_it() {
    let mut world = world(&["ollama: the app is installed"]);
    world.then("ollama was started by the system's unit ai.service", 11 * 60);
    world.then("ollama dies", 240);
    assert!(world.nothing_done());
    let doctor = &world.doctor;
    let why = doctor.why(&doctor::TargetId::Ollama).expect("known");
    assert_eq!(why.nothing_done.map(|one| one.says.key), Some("why.systemd".to_owned()));
}

#[test]
fn r29_no_waiting_for_a_supervisor_while_the_process_hangs() {
    let mut world = world(&["ollama: the app is installed"]);
    world.then("ollama hangs", 38);
    assert_eq!(world.told("TERM"), 1);
}

#[test]
fn r30_five_ends_in_five_minutes_are_a_crash_loop() {
    let mut world = world(&["docker", "container web: critical, policy always"]);
    for code in [1, 2, 1, 2, 1] {
        assert_ne!(world.phase("container:web"), "given up");
        world.then(&format!("web exits with {code}"), 30);
    }
    assert_eq!(world.cause("container:web"), "container.crash_loop");
    assert!(world.nothing_done());
}

#[test]
fn r30_three_like_ends_within_a_minute_of_their_start_are_a_crash_loop() {
    let mut world = world(&["docker", "container web: critical, policy always"]);
    // The first run was longer than a minute.
    world.pass(60).then("web exits with 3", 20).then("web exits with 3", 20);
    world.then("web exits with 3", 20);
    assert_eq!(world.phase("container:web"), "healthy");
    world.then("web exits with 3", 20);
    assert_eq!(world.cause("container:web"), "container.crash_loop");
}

#[test]
fn r31_what_no_restart_cures_is_given_up_at_once() {
    for (given, what, target) in [
        (vec!["ollama"], "ollama loses its port to python3 pid 9", "ollama"),
        (vec!["ollama: not running, not installed"], "nothing happens", "ollama"),
        (vec!["docker", "container web: critical"], "web exits with 125", "container:web"),
        (vec!["docker", "container web: critical"], "web exits with 126", "container:web"),
        (vec!["docker", "container web: critical"], "web exits with 127", "container:web"),
    ] {
        let mut world = world(&given);
        world.then(what, 30);
        assert_eq!(world.phase(target), "given up", "{what}");
        assert!(world.nothing_done(), "{what}");
        assert_eq!(world.told("NOTICE needs you"), 1, "{what}");
    }
}

#[test]
fn r31_a_process_that_cannot_be_killed_gets_no_second_copy() {
    let mut world = world(&["ollama"]);
    world.then("ollama cannot be killed", 0).then("ollama hangs", 3600);
    assert_eq!(world.told("> ollama: start"), 0);
    assert_eq!(world.phase("ollama"), "given up");
}

#[test]
fn r25_what_is_given_up_says_how_the_last_attempt_ended() {
    let mut world = world(&["ollama"]);
    world.then("ollama cannot be started", 0).then("ollama dies", 300);
    assert_eq!(world.phase("ollama"), "given up");
    let cause = world.patient("ollama").phase.cause().expect("a cause").clone();
    assert!(cause.evidence.iter().any(|line| line.key == "step.failed"), "{:?}", cause.evidence);
}

#[test]
fn r25_a_budget_that_earlier_outages_have_used_up_is_not_called_failed_attempts() {
    let mut world = world(&["docker", "container web: critical"]);
    world.pass(120);
    for _ in 0..3 {
        world.then("web exits with 1", 100);
        assert_eq!(world.phase("container:web"), "healthy");
    }
    world.then("web exits with 1", 100);
    assert_eq!(world.phase("container:web"), "given up");
    let patient = world.patient("container:web");
    assert_eq!(patient.reason.says.key, "why.budget_spent");
    assert_eq!(patient.incident.as_ref().map(|incident| incident.attempts), Some(0));
}

#[test]
fn r25_attempts_that_failed_are_called_so() {
    let mut world = world(&["ollama"]);
    world.then("ollama cannot be started", 0).then("ollama dies", 600);
    assert_eq!(world.patient("ollama").reason.says.key, "why.given_up");
}
