//! Random worlds and random nonsense: what must hold after every event is checked by the world's
//! audit (P1 to P7, P10, P12, P13, P15), the rest here.

use std::time::Duration;

use doctor::{
    Awake, Boot, ContainerEvent, ContainerHealth, ContainerNews, Continuous, Doctor, Event, Intent,
    LedgerFound, Listener, Now, Observation, Outcome, Phase, Policy, StepId, TargetId, Wall, Wish,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

#[path = "../../../tests/support/world.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the stories, which use the rest of it")]
mod world;

use world::World;
use world::given::given;
use world::happen::happen;

/// What there is in every random world.
const GIVEN: &[&str] = &[
    "docker",
    "ollama: loaded llama3:8b 6 GB",
    "mlx",
    "container web: critical, compose",
    "container db: critical, policy always, with a health check",
    "service api: in container web, needs ollama",
];

/// What can happen, in the words of the stories.
const HAPPENS: &[&str] = &[
    "ollama dies",
    "ollama dies",
    "ollama hangs",
    "ollama hangs behind a hidden listener",
    "ollama closes without an answer",
    "ollama answers with status 500",
    "ollama answers with status 503",
    "ollama answers garbage",
    "ollama answers late, after 1500 ms",
    "ollama answers again",
    "ollama loses its port to python3 pid 4711",
    "ollama gets its port back",
    "ollama is started by a person",
    "ollama is restarted by somebody else",
    "ollama is uninstalled",
    "ollama is installed",
    "ollama ignores TERM",
    "ollama cannot be killed",
    "ollama cannot be started",
    "ollama starts do nothing",
    "ollama hangs after each start",
    "ollama will die 20 s after each start",
    "ollama will start in 70 s",
    "ollama can be started again",
    "mlx dies",
    "mlx hangs",
    "mlx answers with status 404",
    "mlx answers with status 503",
    "mlx answers again",
    "mlx is started by a person",
    "docker goes away",
    "docker shuts down, stopping all containers",
    "docker hangs",
    "docker comes up",
    "the event stream stalls",
    "web exits with 1",
    "web exits with 1",
    "web exits with 127",
    "web exits with 137",
    "web runs out of memory",
    "web runs out of memory unseen",
    "web loses a child for want of memory",
    "a person stops web",
    "a person starts web",
    "web is sent signal 1",
    "web is paused",
    "web is unpaused",
    "web is started unheard",
    "web cannot be started",
    "web can be started again",
    "web will start without saying so",
    "web ignores being stopped",
    "compose makes anew web",
    "db exits with 3",
    "db exits with 3",
    "db will exit with 3 after 4 s",
    "db can be started again",
    "db becomes unhealthy",
    "db becomes healthy",
    "a person stops db",
    "api hangs",
    "api refuses connections",
    "api answers with status 500",
    "api answers again",
    "memory is under pressure",
    "memory is critical",
    "the swap is full and the level normal",
    "memory is calm again",
    "the machine sleeps for 20 min",
    "the machine sleeps unnoticed for 3 min",
    "the wall clock jumps a day ahead",
    "the wall clock is set back an hour",
    "the awake clock goes back 10 s",
    "the disk is full",
    "the disk has room again",
    "Homeostat is relaunched",
    "Homeostat is quit and started again",
    "the configuration cannot be read",
    "the kernel panics, and the machine is back after 1 min",
    "ollama is quit",
    "ollama crashes with its app",
    "a person asks: hold ollama for 20 s",
    "a person asks: hold container:web for 3 min",
    "the machine is booted anew, away for 1 min",
    "our own loop is late by 20 s",
    "an agent complains about ollama",
    "an agent complains about everything",
    "a person asks: recover everything",
    "a person asks: recover ollama",
    "a person asks: recover container:web",
    "a person asks: recover service:api",
    "a person asks: restart ollama",
    "a person asks: restart container:web",
    "a person asks: restart service:api",
    "a person asks: start ollama",
    "a person asks: start container:web",
    "a person asks: stop ollama",
    "a person asks: stop container:web",
    "a person asks: hold ollama",
    "a person asks: release ollama",
    "a person asks: hold container:web",
    "a person asks: release container:web",
    "a person asks: unload all",
    "a person asks: unload idle",
    "a person asks: measure",
    "a person asks: cancel the measurement",
];

/// `SEQUENCES=n` plays n times as many, of new seeds each time; without it the seeds are fixed.
fn config(cases: u32) -> ProptestConfig {
    let times = std::env::var("SEQUENCES").ok().and_then(|times| times.parse::<u32>().ok());
    ProptestConfig {
        cases: cases * times.unwrap_or(1),
        failure_persistence: None,
        rng_seed: if times.is_some() { RngSeed::Random } else { RngSeed::Fixed(11_434) },
        ..ProptestConfig::default()
    }
}

fn sequence() -> impl Strategy<Value = Vec<(u64, usize)>> {
    prop::collection::vec((0..45_000u64, 0..HAPPENS.len()), 1..7)
}

fn begun(seed: u64) -> World {
    begin(World::new(seed))
}

fn begin(mut world: World) -> World {
    for line in GIVEN {
        given(&mut world, line).expect("a line that the world knows");
    }
    world.begin(LedgerFound::None);
    world.run_until(15_000);
    world
}

fn play(world: &mut World, sequence: &[(u64, usize)]) {
    for (gap, what) in sequence {
        happen(world, HAPPENS[*what]).expect("a sentence that the world knows");
        world.run_until(world.story_ms() + gap);
    }
}

/// Everything is well again, but for what the doctor still believes.
fn heal(world: &mut World) {
    for line in [
        "the disk has room again",
        "memory is calm again",
        "docker comes up",
        "ollama gets its port back",
        "ollama is installed",
        "ollama can be started again",
        "mlx can be started again",
        "ollama answers again",
        "mlx answers again",
        "web can be started again",
        "db can be started again",
        "db becomes healthy",
        "api answers again",
    ] {
        happen(world, line).expect("a sentence that the world knows");
    }
    if let Some(server) = &mut world.ollama {
        server.hidden = false;
        server.stops = world::servers::Stops::Obeys;
    }
    world.engine.stalled = false;
    for container in world.containers.values_mut() {
        container.ignores_stop = false;
        if container.seen.status == doctor::ContainerStatus::Paused {
            container.seen.status = doctor::ContainerStatus::Running;
        }
    }
}

proptest! {
    #![proptest_config(config(1_200))]

    #[test]
    fn p1_to_p15_hold_in_every_random_world(seed in 1..u64::MAX, what in sequence()) {
        let mut world = begun(seed);
        play(&mut world, &what);
        world.run_until(world.story_ms() + 30_000);
    }
}

proptest! {
    #![proptest_config(config(120))]

    /// P11: once the faults are gone and a person asks, all that is wanted is well again in time.
    #[test]
    fn p11_what_can_be_well_becomes_well(seed in 1..u64::MAX, what in sequence()) {
        let mut world = begun(seed);
        play(&mut world, &what);
        heal(&mut world);
        // Longer than a wake hold and a storm of restarts within the crash loop's window.
        world.run_until(world.story_ms() + 6 * 60_000);
        // Two panics lock a server until a person releases it (R32).
        for target in ["ollama", "mlx"] {
            happen(&mut world, &format!("a person asks: release {target}")).expect("known");
        }
        for target in ["ollama", "mlx", "container:web", "container:db", "service:api"] {
            happen(&mut world, &format!("a person asks: recover {target}")).expect("known");
        }
        world.run_until(world.story_ms() + 12 * 60_000);
        for patient in world.doctor.patients() {
            let well = patient.phase.is_usable() && patient.account.intent == Intent::Wanted;
            prop_assert!(
                well,
                "{} is {:?} for {:?}, {:?}\n{:#?}",
                patient.spec.id,
                patient.phase,
                patient.reason,
                patient.account,
                world.tale.lines
            );
        }
    }

    /// P9: the same seed and the same events give the same orders.
    #[test]
    fn p9_the_same_seed_tells_the_same_tale(seed in 1..u64::MAX, what in sequence()) {
        let (mut one, mut other) = (begun(seed), begun(seed));
        play(&mut one, &what);
        play(&mut other, &what);
        prop_assert_eq!(one.tale.lines, other.tale.lines);
        prop_assert_eq!(one.treatments, other.treatments);
    }
}

proptest! {
    #![proptest_config(config(150))]

    /// What every target says of itself is whole and true after every event, and what it promises
    /// comes, also when then for long nothing else happens.
    #[test]
    fn every_why_is_whole_and_true(
        seed in 1..u64::MAX,
        what in sequence(),
        calm in 0..40 * 60_000u64,
    ) {
        let mut world = World::new(seed);
        world.audit.explained = Some(world::explained::Explained::default());
        let mut world = begin(world);
        play(&mut world, &what);
        world.run_until(world.story_ms() + calm);
    }
}

/// Numbers small enough to hit something now and then.
fn nonsense() -> impl Strategy<Value = Event> {
    let target = prop_oneof![
        Just(TargetId::Host),
        Just(TargetId::Docker),
        Just(TargetId::Ollama),
        Just(TargetId::Mlx),
        Just(TargetId::Service("api".into())),
        "[ab]{1,2}".prop_map(TargetId::Container),
    ];
    let what = prop_oneof![
        Just(ContainerEvent::Create),
        Just(ContainerEvent::Start),
        Just(ContainerEvent::Oom),
        (0..200i64).prop_map(|exit_code| ContainerEvent::Die { exit_code }),
        "[0-9A-Z]{0,3}".prop_map(|signal| ContainerEvent::Kill { signal }),
        Just(ContainerEvent::Stop),
        Just(ContainerEvent::Restart),
        Just(ContainerEvent::Pause),
        Just(ContainerEvent::Unpause),
        Just(ContainerEvent::Destroy),
        Just(ContainerEvent::Health(ContainerHealth::Unhealthy)),
    ];
    let outcome = prop_oneof![
        Just(Outcome::Done),
        Just(Outcome::Listening(Listener::Nobody)),
        Just(Outcome::Listening(Listener::Hidden)),
        Just(Outcome::Gone),
        Just(Outcome::StillThere),
        Just(Outcome::IdentityChanged),
        Just(Outcome::Started { process: None }),
        any::<bool>()
            .prop_map(|permanent| Outcome::Failed { reason: "nonsense".into(), permanent }),
    ];
    let wish = target.clone().prop_flat_map(|target| {
        prop_oneof![
            Just(Wish::Recover { targets: vec![target.clone()] }),
            Just(Wish::Restart { target: target.clone() }),
            Just(Wish::Start { target: target.clone() }),
            Just(Wish::Stop { target: target.clone() }),
            Just(Wish::Hold { target: target.clone(), within: None }),
            Just(Wish::Hold { target: target.clone(), within: Some(Duration::from_secs(90)) }),
            Just(Wish::Release { target }),
            Just(Wish::CancelMeasure),
        ]
    });
    let asker = prop_oneof![Just(doctor::Asker::Person), Just(doctor::Asker::Agent)];
    prop_oneof![
        Just(Event::Tick),
        (0..200u64, target).prop_map(|(look, target)| Event::Looked {
            look,
            target,
            observation: Box::new(Observation::Unasked { reason: "nonsense".into() }),
        }),
        ("[ab]{1,2}", any::<i64>(), what).prop_map(|(name, at_ms, what)| {
            Event::ContainerNews(ContainerNews { id: name.clone(), name, at_ms, what })
        }),
        any::<bool>().prop_map(|connected| Event::DockerStream { connected }),
        ("[0-9a-f]{1,3}-[0-9]{1,2}", 0..4u32, outcome).prop_map(|(operation, number, outcome)| {
            Event::Treated { step: StepId { operation, number }, outcome }
        }),
        (wish, asker).prop_map(|(wish, by)| Event::Wished { ticket: 1, wish, by }),
        (0..10_000u64).prop_map(|s| Event::Woke { slept: Duration::from_secs(s) }),
        (0..300u64).prop_map(|record| Event::Recorded { record }),
        (0..300u64).prop_map(|record| Event::RecordFailed { record, reason: "nonsense".into() }),
        (0..100u64).prop_map(|s| Event::Late { by: Duration::from_secs(s) }),
        Just(Event::Misconfigured),
        any::<bool>().prop_map(|normal| Event::Quit { target: TargetId::Ollama, normal }),
        Just(Event::Ending),
        Just(Event::Restored { ledger: LedgerFound::Damaged, open: Vec::new() }),
    ]
}

proptest! {
    #![proptest_config(config(800))]

    /// Any event in any order at any time, clocks that jump both ways: no panic, nothing grows
    /// without end, and the next wake is always ahead.
    #[test]
    fn nonsense_is_survived(
        seed in any::<u64>(),
        events in prop::collection::vec((nonsense(), any::<u64>(), 0..120_000u64), 1..60),
    ) {
        let mut world = World::new(seed);
        for line in GIVEN {
            given(&mut world, line).expect("a line that the world knows");
        }
        let mut now = world.now();
        let mut doctor = Doctor::new(Policy::default(), world.roster, seed, now);
        for (event, jump, step) in events {
            now = jumped(now, jump, step);
            let orders = doctor.handle(event, now);
            prop_assert!(orders.len() < 1_000);
            let wake = doctor.next_wake();
            prop_assert!(wake > now.awake, "{wake:?} {now:?}");
            prop_assert!(doctor.operations().filter(|one| one.is_running()).count() <= 64);
            let treated = doctor
                .patients()
                .any(|patient| matches!(patient.phase, Phase::Recovering { .. }));
            prop_assert!(!treated || doctor.operations().count() > 0, "treated by nobody");
        }
    }
}

/// Thirty-five years in milliseconds.
const FAR: u64 = 1 << 40;

/// Mostly a step ahead; now and then one of the clocks goes anywhere.
fn jumped(now: Now, jump: u64, step: u64) -> Now {
    let ahead = Now {
        awake: Awake(now.awake.0.saturating_add(step)),
        continuous: Continuous(now.continuous.0.saturating_add(step)),
        wall: Wall(now.wall.0.saturating_add(1)),
        ..now
    };
    match jump % 12 {
        0 => Now { awake: Awake(jump % FAR), ..ahead },
        1 => Now { continuous: Continuous(jump % FAR), ..ahead },
        2 => Now { wall: Wall(i64::MIN), ..ahead },
        3 => Now { awake: Awake(0), ..ahead },
        4 => Now { boot: Boot(jump), ..ahead },
        5 => Now { continuous: Continuous(0), ..ahead },
        _ => ahead,
    }
}
