//! What lasts: the ledger of an older version, the kernel-panic lock, crashes of our own, budgets
//! over a relaunch (R22, R28, R32, R39, faults 52 to 54, 59).

use std::time::Duration;

use doctor::{
    ContainerEvent, ContainerNews, Event, HeldBy, Intent, Ledger, LedgerFound, Policy, TargetId,
};

use super::world::World;
use super::{world, world_with};

const SERVERS: &[&str] = &["ollama", "mlx"];
const PANIC: &str = "the kernel panics, and the machine is back after 1 min";
const REBOOT: &str = "the machine is booted anew, away for 1 min";
const CRASH: &str = "Homeostat is relaunched";

/// How often MLX was charged, as it is on disk.
fn charges(world: &World) -> usize {
    let ledger = world.ledger.as_ref().expect("a ledger on disk");
    ledger.targets.get(&TargetId::Mlx).map_or(0, |account| account.panics.len())
}

/// Started by somebody, and so many seconds later the machine goes down.
fn started_then(world: &mut World, seconds: u64, what: &str) {
    world.then("mlx is restarted by somebody else", seconds).then(what, 5);
}

#[test]
fn r33_a_ledger_of_an_older_version_stays_readable() {
    let old = r#"{
        "boot": 1, "written": 1788249500000, "written_continuous": 3500000,
        "targets": {
            "ollama": {
                "intent": "held", "attempts": 2, "last_attempt": 3400000, "given_up": null,
                "restarts": [{"at": 3400000, "automatic": true}], "ooms": [], "rate_told": false,
                "act": null, "seen_alive": true
            },
            "mlx": {"intent": "wanted", "attempts": 3}
        }
    }"#;
    let ledger: Ledger = serde_json::from_str(old).expect("an old ledger");
    let mut world = world_with(SERVERS, LedgerFound::Good(ledger));
    let ollama = world.patient("ollama").account.clone();
    assert_eq!((ollama.intent, ollama.attempts, ollama.restarts.len()), (Intent::Held, 2, 1));
    assert_eq!(world.patient("mlx").account.attempts, 3);
    world.then("ollama dies", 300);
    assert!(world.nothing_done(), "what an old ledger says is held is held");
}

#[test]
fn r33_nothing_of_a_ledger_is_lost_on_its_way_to_the_disk_and_back() {
    let mut world = world(SERVERS);
    world.then("a person asks: hold ollama for 1 h", 1).then("mlx dies", 90).then(PANIC, 60);
    let ledger = world.doctor.ledger();
    let text = serde_json::to_string(&ledger).expect("a text");
    assert_eq!(serde_json::from_str::<Ledger>(&text).expect("a ledger"), ledger);
}

/// What the ledger on disk has of web's exits.
fn exits(world: &World) -> usize {
    let ledger = world.ledger.as_ref().expect("a ledger on disk");
    let ledger = serde_json::to_value(ledger).expect("a value");
    ledger["targets"]["container:web"]["exits"]["last"].as_array().map_or(0, Vec::len)
}

/// Docker starts it again each time, and our app is relaunched in the middle, in both ways.
#[test]
fn r30_a_crash_loop_is_counted_on_over_a_relaunch() {
    for again in [CRASH, "Homeostat is quit and started again"] {
        let mut world = world(&["docker", "container web: critical, policy always"]);
        for code in [1, 2, 1, 2, 1] {
            assert_ne!(world.phase("container:web"), "given up", "{again}");
            world.then(&format!("web exits with {code}"), 20).then(again, 10);
        }
        assert_eq!(world.cause("container:web"), "container.crash_loop", "{again}");
        assert!(world.nothing_done());
    }
}

/// Three alike, each within a minute of its start; the last start was before our own.
#[test]
fn r30_three_alike_are_a_loop_over_a_relaunch() {
    let mut world = world(&["docker", "container web: critical, policy always"]);
    world.pass(60).then("web exits with 3", 20).then("web exits with 3", 20);
    world.then("web exits with 3", 10).then(CRASH, 10);
    assert_eq!(world.phase("container:web"), "healthy");
    world.then("web exits with 3", 20);
    assert_eq!(world.cause("container:web"), "container.crash_loop");
}

/// It was a loop when we ended, and is one at once.
#[test]
fn r30_nothing_is_started_after_a_relaunch_that_would_not_be_without_it() {
    let starts = |relaunches: bool| {
        let mut world = world(&["docker", "container web: critical"]);
        world.pass(300).then("web will exit with 3 after 2 s", 0).then("web exits with 3", 0);
        for _ in 0..10 {
            world.pass(37);
            if relaunches {
                world.then(CRASH, 0);
            }
        }
        world.pass(60);
        assert_eq!(world.cause("container:web"), "container.crash_loop", "{:#?}", world.tale.lines);
        assert_eq!(world.told("NOTICE needs you"), 1, "told once, before any relaunch of these");
        world.told("start the container")
    };
    assert!(starts(true) <= starts(false));
}

/// Its exits are long forgotten, and it is the loop that was given up all the same. With the
/// machine Docker was restarted as well, which is another world (R27).
#[test]
fn r30_a_loop_that_was_given_up_stays_so_when_its_exits_are_forgotten() {
    let given_up = || {
        let mut world = world(&["docker", "container web: critical, policy always"]);
        for code in [1, 2, 1, 2] {
            world.then(&format!("web exits with {code}"), 20);
        }
        world.then("web exits with 1 and stays down", 3600);
        assert_eq!(world.cause("container:web"), "container.crash_loop", "{:#?}", world.tale.lines);
        world
    };
    let mut world = given_up();
    world.then(CRASH, 600);
    assert_eq!(world.phase("container:web"), "given up", "{:#?}", world.tale.lines);
    assert_eq!(world.cause("container:web"), "container.crash_loop");
    assert!(world.nothing_done());
    assert_eq!(world.told("NOTICE needs you"), 1);
    let mut world = given_up();
    world.then(REBOOT, 600);
    assert_eq!(world.phase("container:web"), "healthy", "{:#?}", world.tale.lines);
}

#[test]
fn r30_what_only_looks_like_a_loop_over_a_relaunch_is_none() {
    // Far apart.
    let mut apart = world(&["docker", "container web: critical, policy always"]);
    for _ in 0..6 {
        apart.then("web exits with 1", 600).then(CRASH, 30);
        assert_eq!(apart.phase("container:web"), "healthy");
    }
    // The stream of the new app tells the same ones again.
    let mut again = world(&["docker", "container web: critical, policy always"]);
    again.pass(120).then("web exits with 1", 5).then("web exits with 1", 5);
    let counted = exits(&again);
    for _ in 0..6 {
        again.then(CRASH, 5);
    }
    assert_eq!((exits(&again), again.phase("container:web")), (counted, "healthy"));
    assert_eq!(counted, 2);
    // A boot is another world.
    let mut booted = world(&["docker", "container web: critical, policy always"]);
    booted.pass(120);
    for code in [1, 2, 1, 2] {
        booted.then(&format!("web exits with {code}"), 10);
    }
    assert_eq!(exits(&booted), 4);
    booted.then(REBOOT, 60).then("web exits with 1", 30);
    assert_eq!(exits(&booted), 1);
    assert_ne!(booted.phase("container:web"), "given up");
    // A person had it tried.
    let mut tried = world(&["docker", "container web: critical"]);
    tried.pass(300).then("web will exit with 3 after 2 s", 0).then("web exits with 3", 240);
    assert_eq!(tried.cause("container:web"), "container.crash_loop");
    tried.then("web can be started again", 0).then("a person asks: start container:web", 5);
    tried.then(CRASH, 120);
    assert_eq!(tried.phase("container:web"), "healthy", "{:#?}", tried.tale.lines);
}

/// The ledger stays small, and forgets them with time.
#[test]
fn r30_a_few_exits_are_kept_and_only_while_they_may_matter() {
    let mut world = world(&["docker", "container web: critical, policy always"]);
    for _ in 0..60 {
        let (name, at_ms) = ("web".to_owned(), world.engine_ms());
        let what = ContainerEvent::Die { exit_code: 1 };
        world.tell(&Event::ContainerNews(ContainerNews { id: "7f".into(), name, at_ms, what }));
        world.pass(1);
    }
    assert_eq!(exits(&world), 16);
    world.pass(1200);
    assert_eq!(exits(&world), 0);
}

#[test]
fn r32_two_panics_shortly_after_a_start_lock_the_server() {
    let mut world = world(SERVERS);
    started_then(&mut world, 60, PANIC);
    assert_eq!((charges(&world), world.phase("mlx")), (1, "starting"));
    started_then(&mut world, 60, PANIC);
    assert_eq!((charges(&world), world.phase("mlx")), (2, "given up"));
    assert_eq!(world.cause("mlx"), "host.panic_suspect");
    // Told at once, with the two times.
    assert_eq!(world.told("NOTICE needs you: mlx host.panic_suspect"), 1);
    let cause = world.patient("mlx").phase.cause().cloned().expect("a cause");
    assert_eq!(cause.evidence.len(), 2);
    let begun = world.told("> mlx:");
    world.pass(5 * 3600);
    assert_eq!(world.told("> mlx:"), begun, "there is no trial of what panics the machine");
}

#[test]
fn r32_the_ledgers_of_other_servers_are_not_charged() {
    let mut world = world(SERVERS);
    started_then(&mut world, 60, PANIC);
    started_then(&mut world, 60, PANIC);
    assert!(world.patient("ollama").account.panics.is_empty());
}

#[test]
fn r32_a_loaded_model_is_work() {
    let mut world = world(&["ollama: loaded llama3:8b 6 GB", "mlx"]);
    // Long after its start; the model has been loaded all the time.
    world.pass(3600).then(PANIC, 5);
    assert_eq!(world.patient("ollama").account.panics.len(), 1);
    assert_eq!(charges(&world), 0, "MLX idled");
}

#[test]
fn r32_a_measurement_is_work() {
    let mut world = world(&["ollama"]);
    world.pass(3600).then("a person asks: measure", 20).then(PANIC, 5);
    assert_eq!(world.patient("ollama").account.panics.len(), 1);
}

#[test]
fn r32_our_own_start_is_charged_even_if_it_was_never_seen_to_run() {
    let mut world = world(&["mlx"]);
    world.pass(3600).then("mlx dies", 0).until_done();
    world.then(PANIC, 5);
    assert_eq!(charges(&world), 1);
}

#[test]
fn r32_what_looks_like_it_locks_nothing() {
    // An orderly end of the machine, or of us before it.
    let mut orderly = world(SERVERS);
    started_then(&mut orderly, 60, REBOOT);
    started_then(&mut orderly, 60, REBOOT);
    assert_eq!(charges(&orderly), 0);
    // Only we were cut off, not the machine.
    let mut crashed = world(SERVERS);
    started_then(&mut crashed, 60, CRASH);
    assert_eq!(charges(&crashed), 0);
    // It idled: the ledger is written every five minutes, so the time is known so well.
    for minutes in [16, 60, 600] {
        let mut idle = world(SERVERS);
        started_then(&mut idle, minutes * 60, PANIC);
        assert_eq!(charges(&idle), 0, "{minutes} min after its start");
    }
    // One alone, and one within ten minutes is one.
    for minutes in [1, 9] {
        let mut once = world(SERVERS);
        started_then(&mut once, minutes * 60, PANIC);
        assert_eq!(charges(&once), 1, "{minutes} min after its start");
        once.pass(120);
        assert!(once.told("> mlx: start") >= 1, "one charge locks nothing");
    }
    // The first is older than a day, or less old.
    let mut soon = world(SERVERS);
    started_then(&mut soon, 60, PANIC);
    soon.pass(22 * 3600);
    started_then(&mut soon, 60, PANIC);
    assert_eq!(charges(&soon), 2);
    let mut apart = world(SERVERS);
    started_then(&mut apart, 60, PANIC);
    apart.pass(24 * 3600);
    started_then(&mut apart, 60, PANIC);
    assert_eq!(charges(&apart), 1);
    assert_eq!(apart.told("host.panic_suspect"), 0);
}

#[test]
fn r32_the_first_run_of_a_version_that_keeps_no_heartbeat_charges_nobody() {
    let old = r#"{"boot": 99, "written": 1788249500000, "written_continuous": 1, "targets": {
        "mlx": {"intent": "wanted", "seen_alive": true}}}"#;
    let ledger: Ledger = serde_json::from_str(old).expect("an old ledger");
    let world = world_with(SERVERS, LedgerFound::Good(ledger));
    assert!(world.patient("mlx").account.panics.is_empty());
}

fn locked() -> World {
    let mut world = world(SERVERS);
    started_then(&mut world, 60, PANIC);
    started_then(&mut world, 60, PANIC);
    // Ollama has no part in it, and is up.
    world.then("ollama is started by a person", 60);
    world
}

#[test]
fn r22_no_wish_overrules_the_panic_lock_save_a_release() {
    let mut world = locked();
    let before = world.treatments.len();
    for wish in ["start mlx", "restart mlx", "recover mlx"] {
        world.then(&format!("a person asks: {wish}"), 60);
    }
    assert_eq!(world.told("answer: impossible (why.panic_locked)"), 3);
    world.then("a person asks: recover everything", 60).then("an agent complains about mlx", 60);
    world.tell(&doctor::Event::Reconfigured { roster: world.roster.clone() });
    world.pass(300).then("the machine sleeps for 8 h", 300);
    world.then("a person asks: hold mlx", 1).then("a person asks: recover mlx", 300);
    assert_eq!(world.treatments.len(), before);
    assert_eq!(charges(&world), 2);
    world.then("a person asks: release mlx", 90);
    assert_eq!(world.phase("mlx"), "healthy");
    assert_eq!(charges(&world), 0);
}

#[test]
fn r32_the_lock_survives_relaunch_and_reboot_and_is_told_once() {
    let mut world = locked();
    world.then(CRASH, 120).then(REBOOT, 120).then(CRASH, 120);
    assert_eq!((world.phase("mlx"), charges(&world)), ("given up", 2));
    assert_eq!(world.told("NOTICE needs you: mlx"), 1);
    assert_eq!(world.told("> mlx: start"), 0);
}

#[test]
fn r32_what_runs_in_spite_of_the_lock_is_well_and_not_healed_again() {
    let mut world = locked();
    world.then("mlx is started by a person", 60);
    assert_eq!(world.phase("mlx"), "healthy");
    world.then("mlx dies", 60);
    assert_eq!((world.phase("mlx"), world.cause("mlx")), ("given up", "host.panic_suspect"));
    assert_eq!(world.told("> mlx: start"), 0);
}

#[test]
fn r39_three_crashes_of_our_own_and_we_only_observe() {
    let mut world = world(&["ollama"]);
    world.then(CRASH, 60).then(CRASH, 60).then(CRASH, 60);
    assert_eq!(world.told("ourselves.crashing"), 1);
    world.then("ollama dies", 500);
    assert!(world.nothing_done());
    assert_eq!(world.patient("ollama").reason.rule, "R39");
    world.pass(120);
    assert_eq!(world.told("> ollama: start"), 1, "ten quiet minutes are over");
}

#[test]
fn r39_a_fourth_crash_while_observing_goes_on_observing_and_is_not_told_again() {
    let mut world = world(&["ollama"]);
    world.then(CRASH, 10).then(CRASH, 10).then(CRASH, 590).then(CRASH, 10);
    world.then("ollama dies", 570);
    assert!(world.nothing_done());
    assert_eq!(world.told("ourselves.crashing"), 1);
}

#[test]
fn r39_what_is_no_crash_of_ours() {
    let quit = "Homeostat is quit and started again";
    for starts in [
        [quit, quit, quit, quit],
        [CRASH, quit, CRASH, quit],
        [PANIC, PANIC, PANIC, PANIC],
        [CRASH, CRASH, REBOOT, CRASH],
    ] {
        let mut world = world(&["ollama"]);
        for start in starts {
            world.then(start, 20);
        }
        assert_eq!(world.told("ourselves.crashing"), 0, "{starts:?}");
    }
    // Three, but not within ten minutes.
    let mut slow = world(&["ollama"]);
    slow.then(CRASH, 290).then(CRASH, 320).then(CRASH, 10).then("ollama dies", 30);
    assert_eq!(slow.told("> ollama: start"), 1);
}

#[test]
fn r39_a_persons_wish_ends_the_observing() {
    let mut world = world(&["ollama", "mlx"]);
    world.then(CRASH, 10).then(CRASH, 10).then(CRASH, 10).then("mlx dies", 60);
    assert!(world.nothing_done());
    world.then("a person asks: restart ollama", 90);
    assert_eq!(world.told("> mlx: start"), 1);
    // It is over for good: one more crash is one crash.
    world.then(CRASH, 90);
    assert_eq!(world.told("ourselves.crashing"), 1);
}

#[test]
fn fault_53_a_configuration_that_cannot_be_read_is_observed_for_five_minutes() {
    let mut world = world(&["ollama"]);
    world.then("the configuration cannot be read", 0).then("ollama dies", 280);
    assert!(world.nothing_done());
    assert_eq!(world.patient("ollama").reason.says.key, "why.misconfigured");
    world.pass(60);
    assert_eq!(world.told("> ollama: start"), 1);
}

#[test]
fn fault_52_recording_is_tried_again_when_the_disk_has_room() {
    let mut world = world(&["ollama"]);
    world.then("the disk is full", 0).then("ollama hangs", 120).then("ollama hangs", 60);
    assert_eq!(world.told("TERM"), 1);
    world.then("the disk has room again", 100);
    assert_eq!(world.told("TERM"), 2);
}

#[test]
fn fault_54_one_attempt_is_left_after_the_ledger_was_lost() {
    let mut world = world_with(SERVERS, LedgerFound::Damaged);
    assert_eq!(world.phase("ollama"), "healthy", "it runs: nobody had stopped it");
    world.then("ollama cannot be started", 0).then("ollama dies", 120);
    assert_eq!(world.told("> ollama: start"), 1);
    assert_eq!(world.phase("ollama"), "given up");
}

#[test]
fn fault_54_holds_unknown_are_held_for_every_kind_even_after_a_relaunch() {
    let given = [
        "docker",
        "ollama: not running",
        "mlx: not running",
        "container web: critical, exited with 1",
        "container db: critical, exited with 1, compose, policy no",
    ];
    for relaunch in [0, 2, 4, 40] {
        let mut world = World::new(5);
        for line in given {
            super::given(&mut world, line).expect("a line that the world knows");
        }
        world.begin(LedgerFound::Damaged);
        // The next start finds a good ledger, which must not have forgotten the doubt.
        world.run_until(relaunch * 1000);
        world.then(CRASH, 600);
        assert!(world.nothing_done(), "relaunched after {relaunch} s");
        for target in ["ollama", "mlx", "container:web", "container:db"] {
            let account = &world.patient(target).account;
            let by = account.hold.as_ref().map(|hold| hold.by);
            assert_eq!((account.intent, by), (Intent::Held, Some(HeldBy::LedgerLost)), "{target}");
        }
        world.then("a person asks: start ollama", 90);
        assert_eq!(world.phase("ollama"), "healthy");
    }
}

#[test]
fn fault_54_a_service_is_not_healed_through_a_container_of_unknown_intent() {
    let given = ["docker", "container web: critical", "service api: in container web"];
    let mut world = World::new(5);
    for line in given {
        super::given(&mut world, line).expect("a line that the world knows");
    }
    super::happen(&mut world, "api hangs").expect("known");
    world.begin(LedgerFound::Damaged);
    world.pass(600);
    assert!(world.nothing_done(), "it was never seen to work");
}

#[test]
fn r28_budgets_and_the_latch_survive_a_relaunch_and_a_reboot() {
    let mut world = world(&["ollama"]);
    for _ in 0..4 {
        world.then("ollama is restarted by somebody else", 60);
    }
    assert_eq!(world.told("NOTICE too many restarts"), 1);
    world.then(CRASH, 60);
    assert_eq!(world.patient("ollama").account.restarts.len(), 4);
    world.then(REBOOT, 60).then("ollama is restarted by somebody else", 60);
    assert_eq!(world.told("NOTICE too many restarts"), 1, "told before the boot");
}

#[test]
fn r28_the_latch_arms_again_at_one_restart_an_hour() {
    let mut world = world(&["ollama"]);
    let many = |world: &mut World| {
        for _ in 0..4 {
            world.then("ollama is restarted by somebody else", 60);
        }
    };
    many(&mut world);
    // Two are left within the hour: not yet.
    world.pass(3600 - 2 * 60 - 10);
    assert_eq!(world.patient("ollama").account.restarts.len(), 2);
    world.then("ollama is restarted by somebody else", 1);
    world.then("ollama is restarted by somebody else", 20);
    assert_eq!(world.told("NOTICE too many restarts"), 1);
    world.pass(3600);
    many(&mut world);
    assert_eq!(world.told("NOTICE too many restarts"), 2);
}

#[test]
fn r28_seven_automatic_restarts_are_one_too_many_also_over_relaunches() {
    let mut world = world(&["ollama"]);
    for _ in 0..6 {
        world.then("ollama dies", 90);
        assert_eq!(world.phase("ollama"), "healthy");
        world.tell(&doctor::Event::Reconfigured { roster: world.roster.clone() });
        world.then("Homeostat is quit and started again", 15);
    }
    world.then("ollama dies", 60);
    assert_eq!(world.told("> ollama: start"), 6);
    assert_eq!(world.phase("ollama"), "given up");
}

#[test]
fn r22_a_persons_restart_counts_in_the_hour_and_not_as_automatic() {
    let mut world = world(&["ollama"]);
    for _ in 0..8 {
        world.then("a person asks: restart ollama", 90);
        assert_eq!(world.phase("ollama"), "healthy");
    }
    assert_eq!(world.patient("ollama").account.restarts.len(), 8);
    assert_eq!(world.told("NOTICE too many restarts"), 1);
    // It has spent nothing of what we may do of our own accord.
    world.then("ollama dies", 30);
    assert_eq!(world.told("waits out the soak"), 9);
}

#[test]
fn r22_a_persons_wish_joins_what_runs_and_waits_its_turn() {
    let mut world = world(&["docker", "ollama", "container web: critical"]);
    world.then("ollama hangs", 0).until("ollama", "recovering");
    world.then("a person asks: restart ollama", 0);
    world.then("a person asks: restart container:web", 1);
    let running = world.doctor.operations().filter(|one| one.is_running()).count();
    assert_eq!(running, 2, "one joined, one queued");
    assert_eq!(world.told("> container:web"), 0, "one at a time on the whole host");
    world.pass(120);
    assert_eq!(world.told("> container:web: stop the container"), 1);
    assert_eq!(world.told("TERM"), 1);
}

#[test]
fn r22_a_persons_wish_does_not_touch_what_is_labelled_to_be_left_alone() {
    let given = ["docker", "container web: critical, skip", "service api: in container web"];
    let mut world = world(&given);
    for wish in ["restart container:web", "stop container:web", "restart service:api"] {
        world.then(&format!("a person asks: {wish}"), 5);
    }
    assert_eq!(world.told("answer: impossible (why.skip)"), 3);
    world.then("api hangs", 120);
    assert!(world.nothing_done());
    assert_eq!(world.patient("service:api").reason.rule, "R38");
}

#[test]
fn r32_the_ledger_is_written_every_five_minutes_while_a_server_lives() {
    let mut world = world(&["mlx"]);
    for _ in 0..12 {
        world.pass(300);
        let written = world.ledger.as_ref().expect("a ledger").written;
        let age = world.now().wall.since(written);
        assert!(age <= Policy::default().heartbeat + Duration::from_secs(30), "{age:?}");
    }
    world.then("mlx is restarted by somebody else", 20);
    let account = &world.ledger.as_ref().expect("a ledger").targets[&TargetId::Mlx];
    assert!(account.started.is_some());
}

#[test]
fn t53_a_configuration_that_can_be_read_again_ends_the_observing() {
    let mut world = world(&["ollama"]);
    world.then("the configuration cannot be read", 10);
    world.tell(&doctor::Event::Reconfigured { roster: world.roster.clone() });
    world.then("ollama dies", 60);
    assert_eq!(world.told("> ollama: start"), 1);
}
