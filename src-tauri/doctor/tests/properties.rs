//! Random nonsense: any event at any time, with clocks that jump anywhere (P10, P15). Random worlds
//! are in `proof`.

use std::time::Duration;

use doctor::{
    Awake, Boot, ContainerEvent, ContainerHealth, ContainerNews, Continuous, Doctor, Event,
    LedgerFound, Listener, Now, Observation, Outcome, Phase, Policy, StepId, TargetId, Wall, Wish,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

#[path = "../../../tests/support/world.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the stories, which use the rest of it")]
mod world;

use world::World;
use world::given::given;

/// What there is in every random world.
const GIVEN: &[&str] = &[
    "docker",
    "ollama: loaded llama3:8b 6 GB",
    "mlx",
    "container web: critical, compose",
    "container db: critical, policy always, with a health check",
    "service api: in container web, needs ollama",
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
            Just(Wish::Stop { target: target.clone(), within: None }),
            Just(Wish::Stop { target: target.clone(), within: Some(Duration::from_mins(2)) }),
            Just(Wish::Hold { target: target.clone(), within: None }),
            Just(Wish::Hold { target: target.clone(), within: Some(Duration::from_secs(90)) }),
            Just(Wish::Release { target: target.clone() }),
            Just(Wish::Raise { target: target.clone(), to: None }),
            any::<u64>().prop_map(move |to| Wish::Raise { target: target.clone(), to: Some(to) }),
            Just(Wish::CancelMeasure),
            Just(Wish::Ensure { model: None }),
            Just(Wish::VerifyModels { model: None }),
            Just(Wish::Repair { model: None }),
            Just(Wish::Ensure { model: Some("llama3:70b".into()) }),
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
        (wish, asker).prop_map(|(wish, by)| Event::Wished { ticket: 1, wish, by, from: None }),
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
