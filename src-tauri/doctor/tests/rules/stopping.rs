//! R29 and R37: a person's stop goes through whoever keeps a server running, and so does the way
//! back; what nobody may stop is not stopped, and the reason says how it can be.

use doctor::{Intent, TargetId, Verb};

use super::world;
use super::world::World;

/// How somebody keeps it running, and what its stop and its start are told as.
const OWNERS: [(&str, &str, &str); 3] = [
    ("the user's unit mine.service", "stop unit mine.service", "start unit mine.service"),
    ("the launchd job com.me.ai", "boot out launchd job com.me.ai", "start launchd job com.me.ai"),
    ("the app /Applications/Ollama.app", "quit /Applications/Ollama.app", "open /Applications"),
];
/// By then it has been looked at in full.
const SEEN: u64 = 11 * 60;

fn kept(given: &str, target: &str, by: &str) -> World {
    let mut world = world(&[given]);
    world.then(&format!("{target} was started by {by}"), SEEN);
    world
}

fn signals(world: &World) -> usize {
    world.told("TERM to") + world.told("KILL to")
}

fn says(world: &World, key: &str) -> bool {
    let lines = world.doctor.operations().flat_map(|operation| &operation.log);
    lines.into_iter().any(|(_, says)| says.key == key)
}

#[test]
fn r37_a_stop_goes_through_the_owner_and_lasts_until_a_person_starts_it() {
    for (by, stop, start) in OWNERS {
        let mut world = kept("ollama", "ollama", by);
        assert!(world.doctor.actions(&TargetId::Ollama).contains(&Verb::Stop), "{by}");
        world.then("a person asks: stop ollama", 3600);
        assert_eq!((world.told(stop), signals(&world)), (1, 0), "{by}: {:#?}", world.tale.lines);
        assert_eq!(world.told("> ollama: start") + world.told(start), 0, "{by}");
        assert_eq!(world.patient("ollama").account.intent, Intent::Held, "{by}");
        assert_eq!(world.told("NOTICE"), 0, "{by}");
        world.then("a person asks: start ollama", 180);
        assert_eq!(world.told(start), 1, "{by}: {:#?}", world.tale.lines);
        assert_eq!(world.phase("ollama"), "healthy", "{by}");
    }
}

#[test]
fn r37_a_pause_ends_through_the_owner_whatever_is_configured() {
    for given in ["mlx", "mlx: without a launch command"] {
        for (by, stop, start) in OWNERS {
            let mut world = kept(given, "mlx", by);
            assert!(world.doctor.may_pause(&TargetId::Mlx), "{given}, {by}");
            world.then("a person asks: stop mlx for 10 min", 590);
            assert_eq!((world.told(stop), world.told(start)), (1, 0), "{given}, {by}");
            world.pass(200);
            assert_eq!(world.told(start), 1, "{given}, {by}: {:#?}", world.tale.lines);
            assert_eq!(world.told("start `"), 0, "no second copy beside it");
            assert_eq!(world.phase("mlx"), "healthy", "{given}, {by}");
            assert_eq!(signals(&world), 0);
        }
    }
}

/// It is down for a moment only: whoever keeps it would start it again.
#[test]
fn r37_what_is_down_is_stopped_through_its_owner_too() {
    let (by, stop, start) = OWNERS[0];
    let mut world = kept("ollama", "ollama", by);
    world.then("ollama dies", 3).then("a person asks: stop ollama", 900);
    assert_eq!((world.told(stop), world.told(start)), (1, 0), "{:#?}", world.tale.lines);
}

#[test]
fn r29_another_users_and_the_systems_own_are_not_stopped() {
    for (by, why) in
        [("the system's unit ai.service", "why.systemd_stop"), ("the user bob", "why.other_user")]
    {
        let mut world = kept("ollama: the app is installed", "ollama", by);
        assert!(!world.doctor.actions(&TargetId::Ollama).contains(&Verb::Stop), "{by}");
        assert!(!world.doctor.may_pause(&TargetId::Ollama), "{by}");
        world.then("a person asks: stop ollama", 60);
        world.then("a person asks: stop ollama for 10 min", 900);
        assert_eq!(world.told(&format!("impossible ({why})")), 2, "{:#?}", world.tale.lines);
        assert!(world.nothing_done(), "{by}");
        assert_eq!(world.patient("ollama").account.intent, Intent::Wanted, "{by}");
    }
}

/// Root's own are the system's units: what a person asks for is done, and nothing unasked.
#[test]
fn r29_root_stops_and_starts_the_systems_own_at_a_persons_word() {
    let (stop, start) = ("stop the system's unit ai.service", "start the system's unit ai.service");
    let mut world = world(&["ollama"]);
    world.then("ollama is watched by root", 0);
    world.then("ollama was started by the system's unit ai.service", SEEN);
    world.then("a person asks: stop ollama for 10 min", 800);
    assert_eq!((world.told(stop), world.told(start)), (1, 1), "{:#?}", world.tale.lines);
    assert_eq!((signals(&world), world.phase("ollama")), (0, "healthy"));
    world.then("ollama dies", 240);
    assert_eq!(world.told(start), 1, "{:#?}", world.tale.lines);
}

/// Its app and a unit are installed, and somebody at a terminal has started it: they keep nothing.
#[test]
fn r29_what_its_owner_does_not_run_is_stopped_itself() {
    for given in ["ollama: the app is installed", "ollama: a systemd unit of the user exists"] {
        let mut world = kept(given, "ollama", "the shell zsh");
        world.then("a person asks: stop ollama", 60);
        assert_eq!(world.told("TERM to"), 1, "{given}: {:#?}", world.tale.lines);
        assert_eq!(world.told("quit ") + world.told("stop unit"), 0, "{given}");
    }
}

#[test]
fn r4_a_stranger_on_the_port_and_another_owners_process_stay() {
    let (by, stop, _) = OWNERS[0];
    let mut world = kept("ollama", "ollama", by);
    world
        .then("ollama loses its port to python3 pid 900", 60)
        .then("a person asks: stop ollama", 60);
    assert_eq!((world.told(stop), signals(&world)), (0, 0), "{:#?}", world.tale.lines);

    // It was replaced since the last full look: the unit keeps another process now, or none.
    let mut world = kept("ollama", "ollama", by);
    world.then("ollama was started by the shell zsh", 0);
    world.then("a person asks: stop ollama", 60);
    assert_eq!(signals(&world), 0, "{:#?}", world.tale.lines);
    assert_eq!(world.phase("ollama"), "healthy");
    assert!(says(&world, "step.identity_changed"));
}

#[test]
fn r29_what_is_started_again_is_told_and_not_fought() {
    let (by, stop, _) = OWNERS[1];
    let mut world = kept("ollama", "ollama", by);
    world.then("a person asks: stop ollama for 1 h", 8);
    world.started_by_others(&TargetId::Ollama);
    world.pass(600);
    assert_eq!((world.told(stop), signals(&world)), (1, 0), "{:#?}", world.tale.lines);
    assert!(says(&world, "step.started_again"));
    assert_eq!(world.patient("ollama").account.intent, Intent::Wanted);
    assert_eq!(world.phase("ollama"), "healthy");
}

/// systemd and launchd kill what ignores them, in their own time; we never do.
#[test]
fn r29_what_its_owner_stops_is_never_killed_by_us() {
    let (by, ..) = OWNERS[0];
    let mut world = kept("ollama", "ollama", by);
    world.then("ollama ignores TERM", 0).then("a person asks: stop ollama", 180);
    assert_eq!(signals(&world), 0, "{:#?}", world.tale.lines);
    assert!(!says(&world, "step.owner_did_not_stop"));

    let mut world = kept("ollama", "ollama", by);
    world.then("ollama cannot be killed", 0).then("a person asks: stop ollama", 180);
    assert_eq!(signals(&world), 0, "{:#?}", world.tale.lines);
    assert!(says(&world, "step.owner_did_not_stop"));
}

/// Its application is told to have been quit when all is over: that ends no pause, since it was we
/// who had it quit.
#[test]
fn r36_an_application_that_we_had_quit_is_no_person_who_quits_it() {
    let (by, stop, start) = OWNERS[2];
    let mut world = kept("ollama", "ollama", by);
    world.then("a person asks: stop ollama for 10 min", 60).then("ollama is quit", 700);
    assert_eq!((world.told(stop), world.told(start)), (1, 1), "{:#?}", world.tale.lines);
    assert_eq!(world.patient("ollama").account.intent, Intent::Wanted);
    // Where nobody had asked for it, it is.
    let mut world = kept("ollama", "ollama", by);
    world.then("ollama is quit", 700);
    assert_eq!(world.told(start), 0, "{:#?}", world.tale.lines);
}

/// R37: it says whose word it was and when, however it was before, and is released as it was stopped.
#[test]
fn r37_a_service_that_is_stopped_says_that_it_is_held_with_its_container() {
    let given = [
        "docker",
        "container web: critical",
        "service api: in container web, not cured by a restart",
    ];
    for seconds in [0, 600] {
        let mut world = world(&given);
        if seconds > 0 {
            world.then("api hangs", seconds);
            assert_eq!(world.phase("service:api"), "given up");
        }
        world.then("a person asks: stop service:api", 60);
        let says = |world: &World| {
            let why = world.doctor.why(&"service:api".parse().expect("an id")).expect("why");
            (why.says.key, why.says.values.contains_key("at"), why.nothing_done.is_some())
        };
        assert_eq!(world.phase("service:api"), "unknown", "{seconds}");
        assert_eq!(says(&world), ("why.stopped_with".into(), true, true), "{seconds}");
        let actions = world.doctor.actions(&"service:api".parse().expect("an id"));
        assert_eq!(actions, [Verb::Start], "{seconds}");
        assert!(
            world.patient("service:api").incident.as_ref().is_none_or(|one| one.closed.is_some())
        );
        world.pass(3600);
        assert_eq!(world.patient("container:web").account.intent, Intent::Held, "{seconds}");
        world.then("a person asks: release service:api", 5);
        assert_eq!(world.patient("container:web").account.intent, Intent::Wanted, "{seconds}");
    }
}
