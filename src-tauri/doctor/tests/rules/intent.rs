//! 1.9, 1.10: what a person stopped stays stopped.

use doctor::{ContainerEvent, ContainerNews, Event, Intent, LedgerFound, TargetId, Verb};

use super::world::World;
use super::world::containers::Container;
use super::{world, world_with};

const WEB: &[&str] = &["docker", "container web: critical"];

/// R15: what cannot be asked hides what lives in it, in the very same event.
#[test]
fn r15_a_service_is_not_treated_while_its_container_cannot_be_asked() {
    let lines = ["docker", "container web: critical", "service api: in container web"];
    let mut world = world(&lines);
    world.then("web exits with 137", 0).then("docker hangs", 20);
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

/// Compose creates first and starts later, and waits in between for what must be healthy before.
#[test]
fn r35_what_was_only_created_waits_for_whoever_made_it() {
    let given =
        ["docker", "container web: critical, only created", "service api: in container web"];
    let mut waits = world(&given);
    waits.then("api refuses connections", 600);
    assert!(waits.nothing_done(), "{:#?}", waits.tale.lines);
    assert_eq!(waits.told("incident"), 0);
    let web = doctor::TargetId::Container("web".into());
    assert_eq!(waits.patient("container:web").reason.says.key, "why.not_started");
    assert_eq!(waits.doctor.actions(&web), [doctor::Verb::Start]);
    waits.then("api answers again", 0).then("a person starts web", 60);
    assert_eq!(waits.phase("container:web"), "healthy");
    assert_eq!(waits.patient("container:web").account.intent, Intent::Wanted);
    let mut world = world(&["docker", "container web: critical, only created"]);
    world.pass(60).then("a person asks: start container:web", 120);
    assert_eq!(world.phase("container:web"), "healthy", "a person asked for it");
    world.then("web exits with 0", 10);
    assert_eq!(world.told("start the container"), 2, "it has ended now");
}

#[test]
fn r35_another_one_that_is_only_created_is_left_to_its_maker() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("web is removed", 5).then("somebody only creates web", 600);
    assert!(world.nothing_done(), "{:#?}", world.tale.lines);
    world.then("a person starts web", 60).then("web exits with 1", 60);
    assert_eq!(world.told("start the container"), 1);
}

/// Its start failed, or it was started and ended while nobody listened: it is not "not started yet".
#[test]
fn r35_what_was_tried_and_failed_is_not_only_created() {
    for (code, starts) in [(127, 0), (128, 1)] {
        let given = format!("container web: critical, only created, could not start with {code}");
        let mut world = world(&["docker", &given]);
        world.pass(20);
        assert_ne!(world.patient("container:web").account.intent, Intent::Held, "{code}");
        assert_eq!(world.told("start the container"), starts, "{code}");
    }
    let mut world = world(&["docker", "container web: critical, only created"]);
    world.pass(60);
    world.engine.stalled = true;
    world.runs("web");
    world.ends("web", 1, false);
    world.engine.stalled = false;
    world.pass(120);
    assert_eq!(world.told("start the container"), 1, "{:#?}", world.tale.lines);
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

/// R37: what a person stopped and took down is made anew at a person's word, and only then.
#[test]
fn r37_what_was_taken_down_is_made_anew_at_a_persons_word() {
    for ask in ["release container:web", "start container:web", "release service:api"] {
        let given = ["docker", "container web: critical, compose", "service api: in container web"];
        let mut world = world(&given);
        world.pass(60).then("a person stops web", 5).then("web is removed", 1200);
        assert!(world.nothing_done(), "{ask}: {:?}", world.tale.lines);
        let web = TargetId::Container("web".into());
        assert!(
            world.doctor.may_release(&web) && world.doctor.actions(&web).contains(&Verb::Start)
        );
        world.then(&format!("a person asks: {ask}"), 200);
        assert_eq!(world.told("compose up -d web"), 1, "{ask}: {:#?}", world.tale.lines);
        assert_eq!(world.patient("container:web").account.intent, Intent::Wanted, "{ask}");
        assert_eq!(world.phase("container:web"), "healthy", "{ask}: {:#?}", world.tale.lines);
        world.then("a person stops web", 60);
        assert_eq!(world.patient("container:web").account.intent, Intent::Held, "{ask}");
    }
}

/// Nothing is offered that cannot be done, and nothing is made anew that no person asked for.
#[test]
fn r37_what_was_taken_down_without_its_files_is_not_offered() {
    let web = TargetId::Container("web".into());
    let mut world = world(WEB);
    world.pass(60).then("a person stops web", 5).then("web is removed", 600);
    assert!(!world.doctor.may_release(&web) && world.doctor.actions(&web).is_empty());
    let why = world.doctor.why(&web).expect("a reason");
    assert_eq!(why.says.key, "why.taken_down");
    // Its files have gone: it is said, and not tried again.
    let mut world = super::world(&["docker", "container web: critical, compose"]);
    world.pass(60).then("web can never be started", 0);
    world.then("a person stops web", 5).then("web is removed", 60);
    world.then("a person asks: start container:web", 7200);
    assert_eq!(world.told("start container:web: failed"), 1, "{:#?}", world.tale.lines);
    assert_eq!(world.told("compose up -d web"), 1, "{:#?}", world.tale.lines);
    assert_eq!(world.told("start the container"), 0, "{:#?}", world.tale.lines);
    // Nobody stopped it, it was removed as it ran: it is not missed, and a person may start it.
    let mut world = super::world(&["docker", "container web: critical, compose"]);
    world.pass(60).then("web is removed", 600);
    assert!(world.nothing_done(), "{:?}", world.tale.lines);
    assert_eq!(world.doctor.actions(&web), [Verb::Start]);
}

const LIGHT: &[&str] =
    &["docker", "container web: critical, policy always, compose, cured by a light start"];

/// It runs light, and Compose takes its time to make it anew as its files say.
fn made_anew() -> World {
    made_anew_by(false)
}

fn made_anew_by(compose_1: bool) -> World {
    let mut world = world(LIGHT);
    world.engine.compose_1 = compose_1;
    world.then("web will exit with 3 after 4 s", 0).then("web exits with 3", 0).pass(100);
    world.then("web can be started again", 0);
    world.engine.compose_takes = 20_000;
    for _ in 0..1200 {
        if world.told("compose up -d web") == 2 {
            break;
        }
        world.pass(1);
    }
    assert_eq!(world.told("compose up -d web"), 2, "{:#?}", world.tale.lines);
    world
}

/// R33: until Compose has created what replaces it, it stops nothing: a person did. That it goes on
/// and starts the new one is no person's start.
#[test]
fn r33_what_a_person_stops_before_compose_comes_to_it_is_theirs() {
    let mut world = made_anew();
    world.pass(8).then("a person stops web", 5);
    assert_eq!(world.patient("container:web").account.intent, Intent::Held);
    let before = world.treatments.len();
    world.pass(600);
    assert_eq!(world.patient("container:web").account.intent, Intent::Held);
    assert_eq!(world.treatments.len(), before, "{:?}", world.tale.lines);
    world.then("web exits with 3", 120);
    assert_eq!(world.treatments.len(), before, "{:?}", world.tale.lines);
    // A person who starts it ends the hold, as ever.
    world.then("a person starts web", 30);
    assert_eq!(world.patient("container:web").account.intent, Intent::Wanted);
}

#[test]
fn r33_what_compose_stops_is_ours_and_what_it_made_is_not() {
    let mut world = made_anew();
    world.pass(23);
    assert_eq!(world.patient("container:web").account.intent, Intent::Wanted);
    world.then("a person stops web", 300);
    assert_eq!(world.patient("container:web").account.intent, Intent::Held);
    let mut world = made_anew();
    world.pass(120);
    assert_eq!(world.phase("container:web"), "healthy", "{:?}", world.tale.lines);
    assert_eq!(world.patient("container:web").account.intent, Intent::Wanted);
}

/// R33: Compose 1 stops what it replaces before it creates anything: that is ours all the same.
#[test]
fn r33_what_compose_1_stops_first_is_ours_and_what_it_made_is_not() {
    let mut world = made_anew_by(true);
    world.pass(23);
    let web = world.patient("container:web");
    assert_eq!(web.account.intent, Intent::Wanted, "{:#?}", world.tale.lines);
    assert_eq!(world.told("superseded"), 0, "{:#?}", world.tale.lines);
    world.then("a person stops web", 300);
    assert_eq!(world.patient("container:web").account.intent, Intent::Held);
    let mut world = made_anew_by(true);
    world.pass(120);
    assert_eq!(world.phase("container:web"), "healthy", "{:?}", world.tale.lines);
    assert_eq!(world.patient("container:web").account.intent, Intent::Wanted);
    assert!(!world.containers["web"].seen.light);
    world.then("a person stops web", 300);
    assert_eq!(world.patient("container:web").account.intent, Intent::Held);
}

/// R33: what ends by itself and is started by its policy, before Compose 1 stops it, leaves its stop ours.
#[test]
fn r33_an_end_before_compose_1_comes_to_it_does_not_use_up_its_stop() {
    let mut world = made_anew_by(true);
    world.pass(10);
    let id = world.containers["web"].seen.id.clone();
    let told = [
        ContainerEvent::Die { exit_code: 3 },
        ContainerEvent::Start,
        ContainerEvent::Kill { signal: "15".into() },
        ContainerEvent::Die { exit_code: 143 },
        ContainerEvent::Stop,
    ];
    for (after, what) in (1..).zip(told) {
        let (name, at_ms) = ("web".to_owned(), world.engine_ms() + 100 * after);
        world.tell(&Event::ContainerNews(ContainerNews { id: id.clone(), name, at_ms, what }));
    }
    assert_eq!(world.patient("container:web").account.intent, Intent::Wanted);
}

/// R33: with Compose 1 as well a second signal is somebody else's.
#[test]
fn r33_a_second_signal_beside_compose_1_is_a_persons() {
    let mut world = made_anew_by(true);
    world.pass(10);
    let id = world.containers["web"].seen.id.clone();
    let tell = |world: &mut World, what: ContainerEvent, after: i64| {
        let (name, at_ms) = ("web".to_owned(), world.engine_ms() + after);
        world.tell(&Event::ContainerNews(ContainerNews { id: id.clone(), name, at_ms, what }));
    };
    tell(&mut world, ContainerEvent::Kill { signal: "15".into() }, 1);
    assert_eq!(world.patient("container:web").account.intent, Intent::Wanted);
    tell(&mut world, ContainerEvent::Kill { signal: "15".into() }, 400);
    tell(&mut world, ContainerEvent::Die { exit_code: 143 }, 500);
    assert_eq!(world.patient("container:web").account.intent, Intent::Held);
}

/// Two stop it at once: Compose, and somebody else.
#[test]
fn r33_a_second_signal_beside_composes_own_is_a_persons() {
    let mut world = made_anew();
    world.pass(19);
    let id = world.containers["web"].seen.id.clone();
    let tell = |world: &mut World, what: ContainerEvent, after: i64| {
        let (name, at_ms) = ("web".to_owned(), world.engine_ms() + after);
        world.tell(&Event::ContainerNews(ContainerNews { id: id.clone(), name, at_ms, what }));
    };
    let created = format!("{}_web", &id[..12]);
    let (at_ms, what) = (world.engine_ms(), ContainerEvent::Create);
    let news = ContainerNews { id: "new".into(), name: created, at_ms, what };
    world.tell(&Event::ContainerNews(news));
    tell(&mut world, ContainerEvent::Kill { signal: "15".into() }, 1);
    assert_eq!(world.patient("container:web").account.intent, Intent::Wanted);
    tell(&mut world, ContainerEvent::Kill { signal: "15".into() }, 400);
    tell(&mut world, ContainerEvent::Die { exit_code: 143 }, 500);
    assert_eq!(world.patient("container:web").account.intent, Intent::Held);
}

/// Ours is over with its own start: what a person stops a moment later, in its soak, is held.
#[test]
fn r34_a_stop_by_a_person_in_the_soak_of_a_restart_of_what_was_paused_is_held() {
    let mut world = super::world(&["docker", "container web: critical"]);
    world.then("web is paused", 40).then("a person asks: restart container:web", 43);
    assert_eq!(world.told("start the container"), 1, "{:?}", world.tale.lines);
    world.then("a person stops web", 60);
    assert_eq!(world.patient("container:web").account.intent, doctor::Intent::Held);
    assert_eq!(world.told("start the container"), 1, "{:?}", world.tale.lines);
}
