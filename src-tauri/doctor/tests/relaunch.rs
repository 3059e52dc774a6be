//! P14: the app is ended at every single point at which something reaches the disk, and started
//! again. Before the record is written, after it, and when what was ordered with it is under way.
//! What was done and what was promised is counted here, apart from what the doctor remembers.

use std::collections::BTreeMap;

use doctor::{Asker, Effect, LedgerFound, Now, Phase, RemedyResult, TargetId, Treatment};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

#[path = "../../../tests/support/world.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the stories, which use the rest of it")]
mod world;

use world::given::given;
use world::happen::happen;
use world::{Cut, World};

const GIVEN: &[&str] = &[
    "docker",
    "ollama: loaded llama3:8b 6 GB",
    "mlx",
    "container web: critical, compose",
    "container db: critical, with a health check",
    "service api: in container web, needs ollama",
];

/// What can happen; nothing here makes the budget of an episode new.
const HAPPENS: &[&str] = &[
    "ollama dies",
    "ollama hangs",
    "ollama cannot be started",
    "ollama hangs after each start",
    "ollama will die 20 s after each start",
    "mlx dies",
    "mlx hangs",
    "mlx starts do nothing",
    "web exits with 1",
    "web cannot be started",
    "web will start without saying so",
    "web runs out of memory",
    "db exits with 3",
    "db will exit with 3 after 4 s",
    "api hangs",
    "a person asks: hold ollama",
    "a person asks: stop ollama",
    "a person asks: hold mlx for 1 h",
    "a person asks: hold container:web",
    "a person asks: stop container:web",
    "a person stops db",
    "a person stops web",
    "an agent complains about everything",
];

/// Plays the lines with their pauses in seconds; the app is ended at `cut`.
fn play(seed: u64, lines: &[(&str, u64)], cut: Option<Cut>) -> World {
    let mut world = World::new(seed);
    for line in GIVEN {
        given(&mut world, line).expect("a line that the world knows");
    }
    world.cut = cut;
    world.begin(LedgerFound::None);
    world.run_until(15_000);
    for (line, pause) in lines {
        happen(&mut world, line).expect("a sentence that the world knows");
        world.run_until(world.story_ms() + pause * 1000);
    }
    world
}

/// What must hold however often and wherever the app was ended: three attempts an episode (P2), and
/// nothing is started that a person holds (P12). All lines lie within one episode.
fn check(world: &World, lines: &[(&str, u64)], cut: Cut) {
    let told = || world.tale.lines.iter().map(|(at, line)| format!("{at} {line}\n"));
    let told = || told().collect::<String>();
    let mut attempts: BTreeMap<TargetId, Vec<Now>> = BTreeMap::new();
    let held = promises(world, lines);
    for (at, Treatment { target, what, step, .. }) in &world.treatments {
        if what.effect() != Effect::Starts {
            continue;
        }
        attempts.entry(target.clone()).or_default().push(*at);
        let promised = held.get(target).copied();
        let kept = promised.is_none_or(|since| world_ms(*at) < since);
        assert!(kept, "P12: {target} is held and {step:?} starts it, {cut:?}\n{}", told());
    }
    for (target, times) in attempts {
        let count = times.len();
        assert!(count <= 3, "P2: {count} starts of {target} in one episode, {cut:?}\n{}", told());
    }
}

/// Since when each target is held for good, by what the person was answered or did.
fn promises(world: &World, lines: &[(&str, u64)]) -> BTreeMap<TargetId, u64> {
    let mut held = BTreeMap::new();
    let mut at = 15_000;
    for (line, pause) in lines {
        let target = line
            .strip_prefix("a person asks: hold ")
            .or_else(|| line.strip_prefix("a person asks: stop "))
            .map(|what| what.split(' ').next().unwrap_or_default().to_owned());
        if let Some(target) = target {
            let answered = world.tale.lines.iter().any(|(told, line)| {
                *told == at && (line == "answer: done" || line.starts_with("answer: accepted"))
            });
            if answered {
                held.entry(target.parse().expect("a target")).or_insert(at);
            }
        }
        at += pause * 1000;
    }
    held
}

/// Milliseconds since the story began; the machine was booted an hour before.
fn world_ms(at: Now) -> u64 {
    at.continuous.0 - 3_600_000
}

fn cut_everywhere(seed: u64, lines: &[(&str, u64)]) -> u64 {
    let records = play(seed, lines, None).records;
    for record in 1..=records {
        for cut in [Cut::Before(record), Cut::After(record), Cut::AfterAll(record)] {
            check(&play(seed, lines, Some(cut)), lines, cut);
        }
    }
    records
}

#[test]
fn p14_whatever_fails_for_good() {
    for lines in [
        [("ollama cannot be started", 0), ("ollama dies", 400)],
        [("ollama hangs after each start", 0), ("ollama hangs", 400)],
        [("mlx starts do nothing", 0), ("mlx dies", 500)],
        [("web cannot be started", 0), ("web exits with 1", 400)],
        [("api hangs", 0), ("web exits with 1", 400)],
    ] {
        let records = cut_everywhere(3, &lines);
        assert!(records > 10, "{lines:?} writes {records} records");
    }
}

#[test]
fn p14_whatever_a_person_holds() {
    for lines in [
        [("a person asks: hold ollama", 5), ("ollama dies", 120)],
        [("a person asks: stop ollama", 5), ("nothing happens", 120)],
        [("ollama dies", 7), ("a person asks: hold ollama", 120)],
        [("ollama hangs", 30), ("a person asks: stop ollama", 120)],
        [("a person asks: stop container:web", 1), ("nothing happens", 120)],
        [("web exits with 1", 3), ("a person asks: hold container:web", 120)],
        [("a person asks: hold mlx for 1 h", 5), ("mlx dies", 120)],
    ] {
        cut_everywhere(3, &lines);
    }
}

/// R30: what ends again and again is a loop after a relaunch too, and is not started more often.
#[test]
fn p14_a_crash_loop() {
    for lines in [
        [("web will exit with 3 after 4 s", 0), ("web exits with 3", 400)],
        [("db will exit with 3 after 4 s", 60), ("db exits with 3", 400)],
    ] {
        let target = if lines[0].0.starts_with("web") { "container:web" } else { "container:db" };
        let id: TargetId = target.parse().expect("a target");
        let count = |world: &World| {
            let of_it = |(_, one): &&(Now, Treatment)| {
                one.target == id && one.what.effect() == Effect::Starts
            };
            world.treatments.iter().filter(of_it).count()
        };
        let whole = play(3, &lines, None);
        let (records, most) = (whole.records, count(&whole));
        assert!(most > 0, "{target} is started at all");
        for record in 1..=records {
            for cut in [Cut::Before(record), Cut::After(record), Cut::AfterAll(record)] {
                let world = play(3, &lines, Some(cut));
                let patient = world.doctor.patient(&id).expect("watched");
                let given_up = matches!(patient.phase, Phase::GivenUp { .. });
                assert!(given_up, "{cut:?} {:#?}", world.tale.lines);
                assert!(count(&world) <= most, "{cut:?}: {} of {most}", count(&world));
            }
        }
    }
}

/// A person's restart that was cut off is not begun a second time by itself, and its stop was ours.
#[test]
fn p14_a_persons_restart() {
    for target in ["ollama", "container:web"] {
        let wish = format!("a person asks: restart {target}");
        let lines = [(wish.as_str(), 150)];
        let records = play(3, &lines, None).records;
        for record in 1..=records {
            for cut in [Cut::Before(record), Cut::After(record), Cut::AfterAll(record)] {
                let world = play(3, &lines, Some(cut));
                check(&world, &lines, cut);
                let id: TargetId = target.parse().expect("a target");
                let patient = world.doctor.patient(&id).expect("watched");
                assert!(patient.phase.is_usable(), "{target} {cut:?} {:?}", patient.phase);
            }
        }
    }
}

/// What the journal holds of it: nothing runs for ever in it, save what was cut off.
#[test]
fn p5_no_operation_of_the_second_app_stays_open() {
    let lines = [("ollama dies", 150)];
    let records = play(3, &lines, None).records;
    for record in 1..=records {
        let world = play(3, &lines, Some(Cut::After(record)));
        let open: Vec<_> = world.doctor.operations().filter(|one| one.is_running()).collect();
        assert!(open.is_empty(), "cut after {record}: {open:?}");
        let mut ended = world.doctor.operations().filter(|one| one.by == Asker::Doctor);
        assert!(ended.all(|one| one.result == Some(RemedyResult::Verified)), "{record}");
    }
}

fn config() -> ProptestConfig {
    let times = std::env::var("SEQUENCES").ok().and_then(|times| times.parse::<u32>().ok());
    ProptestConfig {
        cases: 400 * times.unwrap_or(1),
        failure_persistence: None,
        rng_seed: if times.is_some() { RngSeed::Random } else { RngSeed::Fixed(11_434) },
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    /// Any few of them within nine minutes, and the app ended at any one record of them.
    #[test]
    fn p14_random_sequences(
        seed in 1..u64::MAX,
        what in prop::collection::vec((0..HAPPENS.len(), 0..80u64), 1..6),
        at in 0.0..1.0f64,
        how in 0..3u8,
    ) {
        let lines: Vec<(&str, u64)> = what.iter().map(|(what, pause)| (HAPPENS[*what], *pause)).collect();
        let records = play(seed, &lines, None).records;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss,
            reason = "a share of a few hundred")]
        let record = (records as f64 * at) as u64 + 1;
        let cut = match how {
            0 => Cut::Before(record),
            1 => Cut::After(record),
            _ => Cut::AfterAll(record),
        };
        check(&play(seed, &lines, Some(cut)), &lines, cut);
    }
}
