//! 1.9, 1.10: what a person stopped stays stopped.

use doctor::{Intent, LedgerFound};

use super::world::containers::Container;
use super::{world, world_with};

const WEB: &[&str] = &["docker", "container web: critical"];

/// One failed ping after a person's stop is no shutdown of the daemon: others still run.
/// Fault 54: what we never start need not be held, and its trouble is told.
/// R37: a hold with a time does not end while somebody else's stop holds.
/// R37: a slow reading from before a person's stop is no start by anybody.
#[test]
fn r37_a_reading_that_the_stop_overtook_ends_no_hold() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("docker wakes from its Resource Saver", 60);
    world.then("a person starts web", 0).then("a person asks: check everything", 1);
    world.then("a person stops web", 300);
    assert!(world.treatments.is_empty(), "{:?}", world.treatments);
}

/// R15: what cannot be asked hides what lives in it, in the very same event.
#[test]
fn r15_a_service_is_not_treated_while_its_container_cannot_be_asked() {
    let lines = ["docker", "container web: critical", "service api: in container web"];
    let mut world = world(&lines);
    world.then("web exits with 137", 0).then("docker hangs", 20);
    assert!(world.treatments.is_empty(), "{:?}", world.treatments);
}

#[test]
fn r37_a_stop_during_a_hold_with_a_time_outlasts_it() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("a person asks: hold container:web for 3 min", 20);
    world.then("a person stops web", 600);
    assert!(world.treatments.is_empty(), "{:?}", world.treatments);
}

/// R33: a start of ours explains no stop, not even after a relaunch.
#[test]
fn r33_a_stop_after_a_relaunch_in_the_soak_is_a_persons() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("web exits with 1", 15).then("Homeostat is relaunched", 15);
    let before = world.treatments.len();
    world.then("a person stops web", 600);
    assert_eq!(world.treatments.len(), before, "{:?}", world.treatments);
}

/// R35, P12: the engine tells what happened while we did not run.
#[test]
fn r35_what_a_person_stopped_while_we_did_not_run_stays_stopped() {
    let mut world = world(&[WEB[0], WEB[1], "container db: critical"]);
    world.pass(300);
    world.then("while Homeostat does not run, a person stops web", 600);
    assert_eq!(world.patient("container:web").account.intent, Intent::Held);
    assert!(world.nothing_done(), "{:?}", world.tale.lines);
    world.then("db exits with 1", 120);
    assert_eq!(world.told("start the container"), 1, "and only that");
}

/// R34: what was stopped while we did not run was no shutdown of an engine that goes only now.
#[test]
fn r34_a_stop_of_the_past_is_no_part_of_a_shutdown_of_the_present() {
    let mut world = world(WEB);
    world.pass(300);
    world.then("while Homeostat does not run, a person stops web", 5);
    world.then("docker goes away", 60).then("docker comes up", 300);
    assert_eq!(
        world.patient("container:web").account.intent,
        Intent::Held,
        "{:?}",
        world.tale.lines
    );
    assert!(world.nothing_done(), "{:?}", world.tale.lines);
}

/// What the engine tells of the past is no crash loop of the present.
#[test]
fn r30_what_was_told_before_a_relaunch_is_no_loop_after_it() {
    let mut world = world(WEB);
    world.pass(300);
    for _ in 0..3 {
        world.then("web exits with 1", 0);
        world.then("Homeostat is quit and started again", 20);
    }
    assert_eq!(world.told("crash_loop"), 0, "{:?}", world.tale.lines);
}

/// R33: our own stop explains one end, of the incarnation that we ended, and no other.
#[test]
fn r33_our_own_stop_explains_no_later_one() {
    for (starts, ask, gap) in [
        // The engine told nobody that it started again.
        ("web will start without saying so", "a person asks: restart container:web", 15),
        ("nothing", "a person asks: restart service:api", 1),
    ] {
        let mut world = world(&[WEB[0], WEB[1], "service api: in container web"]);
        if starts != "nothing" {
            world.then(starts, 0);
        }
        world.then(ask, gap);
        if starts == "nothing" {
            world.then("Homeostat is quit and started again", 0);
        }
        let before = world.told("start the container");
        world.then("a person stops web", 300);
        assert_eq!(world.told("start the container"), before, "{starts}: {:?}", world.tale.lines);
        let web = world.patient("container:web");
        assert_eq!(web.account.intent, Intent::Held, "{starts}");
    }
}

/// R33: what would not stop for us and then stops for a person was stopped by the person.
#[test]
fn r33_a_stop_of_ours_that_did_nothing_explains_none() {
    let mut world = world(WEB);
    world.then("web ignores being stopped", 60);
    world.then("a person asks: restart container:web", 31);
    assert_eq!(world.phase("container:web"), "healthy", "it never stopped running");
    assert!(
        !world.tale.lines.iter().any(|(_, line)| line.contains("incident")),
        "nothing was wrong"
    );
    world.then("a person stops web", 300);
    assert_eq!(world.told("start the container"), 0, "{:?}", world.tale.lines);
    assert_eq!(world.patient("container:web").account.intent, Intent::Held);
}

/// R33: the stream was deaf to our own restart; what ends now is another incarnation than we ended.
#[test]
fn r33_our_own_stop_explains_no_end_of_another_incarnation() {
    let mut world = world(WEB);
    world.then("the event stream stalls", 0);
    world.then("a person asks: restart container:web", 10);
    assert_eq!(world.told("start the container"), 1);
    world.engine.stalled = false;
    world.then("a person stops web", 300);
    assert_eq!(world.told("start the container"), 1, "{:?}", world.tale.lines);
    assert_eq!(world.patient("container:web").account.intent, Intent::Held);
}

/// R34: one failing ping beside the last container's stop is no shutdown: the stream goes on.
#[test]
fn r34_the_last_one_that_a_person_stops_stays_stopped_though_a_ping_fails() {
    let mut world = world(&[WEB[0], WEB[1], "container db: critical"]);
    world.then("a person stops web", 20);
    world.then("the next looks at docker bring silence", 0);
    world.then("a person stops db", 600);
    assert!(world.treatments.is_empty(), "{:?}", world.treatments);
}

/// R27: a trial is for the reason that it was given up for; another that no restart cures ends it.
#[test]
fn r27_no_trial_is_confirmed_for_ever() {
    let mut world = world(&["ollama"]);
    world.then("ollama hangs", 0).then("ollama hangs after each start", 0);
    world.until("ollama", "given up");
    world.then("ollama loses its port to python3 pid 4711", 40 * 60);
    let ollama = world.patient("ollama");
    assert_eq!(ollama.phase.cause().map(|cause| cause.id), Some(doctor::CauseId::OllamaPortTaken));
    assert_ne!(ollama.reason.says.key, "why.confirming");
}

/// R34: what is held by a wish runs on: that another one stopped is no shutdown of the engine.
#[test]
fn r34_one_of_two_that_stopped_is_no_shutdown() {
    let mut world = world(&[WEB[0], WEB[1], "container db: critical"]);
    world.then("a person asks: hold container:web", 10);
    world.then("the next looks at docker bring silence", 0);
    world.then("a person stops db", 600);
    assert!(world.treatments.is_empty(), "{:?}", world.treatments);
    assert_eq!(world.patient("container:db").account.intent, Intent::Held);
}

#[test]
fn r35_without_a_ledger_the_engine_is_not_held() {
    let mut world = world_with(&["docker: absent"], LedgerFound::Damaged);
    world.pass(120);
    let docker = world.doctor.patient(&doctor::TargetId::Docker).expect("docker");
    assert_eq!(docker.account.intent, Intent::Wanted);
    assert!(world.tale.lines.iter().any(|(_, line)| line.contains("NOTICE problem: docker")));
}

#[test]
fn r34_a_failed_ping_after_a_stop_by_a_person_is_no_shutdown() {
    let mut world = world(&["docker", "container web: critical", "container db: critical"]);
    world.then("the next looks at docker bring silence", 0);
    world.then("a person stops web", 120);
    assert!(world.treatments.is_empty(), "{:?}", world.treatments);
    let web = world.doctor.patient(&doctor::TargetId::Container("web".into())).expect("web");
    assert_eq!(web.account.intent, doctor::Intent::Held);
}

#[test]
fn r33_the_act_is_in_the_ledger_before_it_is_done() {
    let mut world = world(&["ollama"]);
    world.then("ollama dies", 0);
    world.until_done();
    let ledger = world.ledger.clone().expect("a ledger on disk");
    let account = &ledger.targets[&doctor::TargetId::Ollama];
    assert!(account.act.is_some() && account.attempts == 1, "{account:?}");
}

#[test]
fn r33_one_disruptive_act_at_most_goes_unrecorded() {
    let mut world = world(&["ollama"]);
    world.then("the disk is full", 0).then("ollama hangs", 120).then("ollama hangs", 120);
    assert_eq!(world.told("TERM"), 1);
    assert_eq!(world.patient("ollama").reason.rule, "R33");
    assert_eq!(world.told("ourselves.record_failed"), 1);
}

#[test]
fn r33_starting_what_is_gone_needs_no_record() {
    let mut world = world(&["ollama"]);
    world.then("the disk is full", 0).then("ollama dies", 120).then("ollama dies", 120);
    assert_eq!(world.told("> ollama: start"), 2);
}

#[test]
fn r34_a_persons_stop_is_kept() {
    for what in ["a person stops web", "web is paused"] {
        let mut world = world(WEB);
        world.then(what, 600);
        assert_eq!(world.patient("container:web").account.intent, Intent::Held, "{what}");
        assert!(world.nothing_done(), "{what}");
    }
}

#[test]
fn r34_signals_that_are_no_stop() {
    for signal in ["1", "HUP", "10", "USR1", "28"] {
        let mut world = world(WEB);
        world.then(&format!("web is sent signal {signal}"), 5).then("web exits with 1", 10);
        assert_eq!(world.told("start the container"), 1, "signal {signal}");
    }
}

#[test]
fn r34_signals_that_are_a_stop() {
    for signal in ["15", "SIGTERM", "2", "3", "9", "KILL"] {
        let mut world = world(WEB);
        world.then(&format!("web is sent signal {signal}"), 5).then("web exits with 143", 60);
        assert_eq!(world.patient("container:web").account.intent, Intent::Held, "{signal}");
        assert!(world.nothing_done(), "signal {signal}");
    }
}

#[test]
fn r34_a_signal_long_before_the_end_is_no_stop() {
    let mut world = world(WEB);
    // The container's stop timeout of 10 s and 5 s more have passed.
    world.then("web is sent signal 15", 20).then("web exits with 1", 10);
    assert_eq!(world.told("start the container"), 1);
}

#[test]
fn r34_a_daemon_that_shuts_down_changes_no_intent() {
    for given in [WEB, &["docker", "container web: critical", "container db: critical"]] {
        let mut world = world(given);
        world.then("docker shuts down, stopping all containers", 60);
        assert_eq!(world.patient("container:web").account.intent, Intent::Wanted);
        world.then("docker comes up", 90);
        assert!(world.told("start the container") >= 1);
    }
}

#[test]
fn r34_our_own_stop_is_nobodys_stop() {
    let mut world = world(WEB);
    world.then("a person asks: restart container:web", 90);
    assert_eq!(world.patient("container:web").account.intent, Intent::Wanted);
    assert_eq!(world.phase("container:web"), "healthy");
    assert_eq!(world.told("is held"), 0);
}

#[test]
fn r34_a_failed_restart_of_ours_is_healed_and_not_held() {
    let mut world = world(WEB);
    world.then("web cannot be started", 0).then("a person asks: restart container:web", 5);
    world.then("web can be started again", 60);
    assert_eq!(world.patient("container:web").account.intent, Intent::Wanted);
    assert!(world.told("waits out the soak") == 1);
}

#[test]
fn r34_a_person_wins_over_a_remedy_in_every_stage() {
    for seconds in [1, 2, 3, 5, 30, 60] {
        let mut world = world(WEB);
        world.then("web exits with 1", seconds).then("a person stops web", 300);
        let starts = world.times("start the container");
        assert!(starts.len() <= 1, "{seconds} s: {starts:?}");
        assert_ne!(world.phase("container:web"), "recovering");
    }
}

#[test]
fn r35_found_stopped_at_first_sight() {
    let mut critical = world(&["docker", "container web: critical, exited with 0"]);
    critical.pass(10);
    assert_eq!(critical.told("start the container"), 1);
    let mut other = world(&["docker", "container web: exited with 0"]);
    other.pass(300);
    assert!(other.nothing_done());
}

#[test]
fn r35_a_damaged_ledger_holds_what_is_found_stopped() {
    let given = ["docker", "ollama: not running", "container web: critical, exited with 0"];
    let mut world = world_with(&given, LedgerFound::Damaged);
    world.pass(600);
    assert!(world.nothing_done());
    assert_eq!(world.told("ourselves.ledger_lost"), 1);
}

#[test]
fn r35_an_orderly_end_of_what_is_not_critical_is_completed() {
    let mut world = world(&["docker", "container job"]);
    world.then("job exits with 0", 10);
    assert_eq!(world.patient("container:job").account.intent, Intent::Completed);
    assert_eq!(world.told("incident"), 0);
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

#[test]
fn r34_what_an_engine_clears_up_after_its_crash_is_no_persons_stop() {
    let mut world = world(&["docker", "container web: critical", "container db: critical"]);
    world.then("docker crashes", 60).then("docker comes up", 20);
    for container in ["container:web", "container:db"] {
        assert_eq!(world.patient(container).account.intent, Intent::Wanted, "{container}");
    }
    world.pass(300);
    assert_eq!((world.phase("container:web"), world.phase("container:db")), ("healthy", "healthy"));
}

/// R27, 1.14: what an engine's crash ended is no kill that nobody explains, whatever came before.
#[test]
fn r27_what_ended_with_the_engine_is_brought_back_though_it_was_killed_before() {
    let mut world = world(&[WEB[0], WEB[1], "container db: critical"]);
    world.then("web exits with 137", 120);
    assert!(world.told("container:web container.killed: verified") == 1, "{:?}", world.tale.lines);
    world.then("docker crashes", 60).then("docker comes up", 240);
    assert_eq!((world.phase("container:web"), world.phase("container:db")), ("healthy", "healthy"));
    assert_eq!(world.told("NOTICE needs you"), 0);
}

/// R34: the engine clears up everything that it finds; a person stops one.
#[test]
fn r34_one_stop_right_after_the_engine_is_back_is_a_persons() {
    let mut world = world(&[WEB[0], WEB[1], "container db: critical"]);
    world.then("docker goes away", 60).then("docker comes up", 1);
    world.then("a person stops web", 600);
    assert_eq!(world.patient("container:web").account.intent, Intent::Held);
    assert!(world.nothing_done());
}

#[test]
fn r34_a_persons_stop_a_while_after_the_engine_is_back_is_one() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("docker goes away", 60).then("docker comes up", 8);
    world.then("a person stops web", 600);
    assert_eq!(world.patient("container:web").account.intent, Intent::Held);
    assert!(world.nothing_done());
}

/// A job that began and failed before any look saw it run was not found ended: it has failed.
#[test]
fn r35_what_was_heard_to_begin_is_not_found_stopped() {
    let mut world = world(&["docker", "container web: critical"]);
    let mut job = Container::new("job", 0);
    job.seen.restart_policy = doctor::RestartPolicy::OnFailure(1);
    job.seen.restart_count = 1;
    world.containers.insert("job".into(), job);
    world.news("job", doctor::ContainerEvent::Start);
    world.ends("job", 1, false);
    world.pass(200);
    let job = world.doctor.patient(&doctor::TargetId::Container("job".into()));
    let intent = job.expect("the container").account.intent;
    assert_ne!(intent, Intent::Held, "{:?}", world.tale.lines);
    assert!(world.nothing_done(), "nobody named it critical: {:?}", world.treatments);
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
