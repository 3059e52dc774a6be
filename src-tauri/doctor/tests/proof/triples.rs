//! All ordered triples of faults: of failures that need more than one event nine in ten need at most
//! three, and their order matters. After each one nothing that must hold is broken; of every tenth,
//! once all is mended and a person asks, all is well again (P11).
//!
//! `TRIPLES=all` plays them all, `TRIPLES=n` so many of them; `TRIPLE=1,14,33` plays one alone.

use crate::dice::Dice;
use crate::play::{Play, aloud, begin, begun, count, failure, most, play, smaller, spread, told};
use crate::sequences::{GIVEN, becomes_well, heal};
use crate::world::World;
use crate::world::script::ms;

/// What the dice of every world here are made from.
const SEED: u64 = 3;

const TABLE: &str = include_str!("faults.txt");

struct Fault {
    row: u32,
    /// Waiting time before each, and what happens.
    happens: Play,
}

/// Every row from 1 to 64 must be there, played or with the place of its own test.
fn faults() -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut next = 1;
    for line in TABLE.lines().skip_while(|line| !line.starts_with(' ')) {
        let (row, rest) = line.trim().split_once(' ').expect("a number and the rest");
        let row: u32 = row.parse().expect("a row's number");
        assert_eq!(row, next, "row {next} is missing");
        next += 1;
        let (_, happens) = rest.split_once(": ").expect("what it is, and what happens");
        if happens.starts_with("- ") {
            continue;
        }
        let mut fault = Fault { row, happens: Vec::new() };
        let mut wait = 0;
        for sentence in happens.split("; ") {
            match sentence.strip_prefix("wait ") {
                Some(time) => wait = ms(time).expect("a time"),
                None => fault.happens.push((std::mem::take(&mut wait), sentence.into())),
            }
        }
        faults.push(fault);
    }
    assert_eq!(next, 65, "the last row is 64");
    faults
}

/// The number of a triple, taken apart.
fn triple(number: u64, of: usize) -> Option<[usize; 3]> {
    let n = of as u64;
    let parts = [number / (n * n), number / n % n, number % n];
    let [a, b, c] = parts.map(|part| usize::try_from(part).unwrap_or(0));
    (a != b && b != c && a != c).then_some([a, b, c])
}

/// The gaps are chosen by dice that the rows make: seconds apart, or after a remedy has begun.
fn play_of(faults: &[&Fault; 3]) -> (Play, bool) {
    let rows = faults.map(|fault| u64::from(fault.row));
    let mut dice = Dice::new(rows[0] << 16 | rows[1] << 8 | rows[2]);
    let mut all = Vec::new();
    for fault in faults {
        let gap = *dice.pick(&[0, 10_000, 10_000, 70_000]);
        for (at, (wait, what)) in fault.happens.iter().enumerate() {
            all.push((if at == 0 { gap } else { *wait }, what.clone()));
        }
    }
    (all, dice.below(10) == 0)
}

fn run(world: &mut World, happens: &Play, to_the_end: bool) {
    begin(world, GIVEN);
    play(world, happens);
    world.run_until(world.story_ms() + 30_000);
    if to_the_end {
        heal(world);
        becomes_well(world);
    }
}

#[test]
fn every_triple_of_faults_breaks_nothing() {
    let faults = faults();
    if let Ok(one) = std::env::var("TRIPLE") {
        let fault = |row: &str| faults.iter().find(|fault| row.parse() == Ok(fault.row));
        let rows: Vec<&Fault> = one.split(',').map(|row| fault(row).expect("a row")).collect();
        let rows: [&Fault; 3] = rows.try_into().ok().expect("three rows");
        aloud(SEED, |world| run(world, &play_of(&rows).0, true));
        return;
    }
    let n = faults.len() as u64;
    let all = std::env::var("TRIPLES").is_ok_and(|which| which == "all");
    let cases = if all { n * n * n } else { count("TRIPLES", 150) };
    eprintln!(
        "{} of {} triples of {n} faults",
        if all { "all" } else { "some" },
        n * (n - 1) * (n - 2)
    );
    let failures = spread(cases, most(), |number| {
        let number = if all { number } else { Dice::new(number).below(n * n * n) };
        let rows = triple(number, faults.len())?.map(|at| &faults[at]);
        let (happens, to_the_end) = play_of(&rows);
        let fails = |happens: &Play| {
            let mut world = World::new(SEED);
            world.telling = false;
            failure(|| run(&mut world, happens, to_the_end))
        };
        fails(&happens)?;
        let (least, words) = smaller(happens, fails);
        let names = rows.map(|fault| fault.row.to_string()).join(",");
        Some(format!(
            "{words}\n  again: TRIPLE={names} cargo test -p doctor --test proof triple -- --nocapture\n{}",
            told(GIVEN, &least)
        ))
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Fault 32 in full: ten thousand events at once, and nothing grows without end (P15).
#[test]
fn a_flood_of_ten_thousand_events_is_survived() {
    let mut world = begun(SEED, GIVEN);
    play(&mut world, &vec![(0, "db tells of 10000 things".into())]);
    world.run_until(world.story_ms() + 90_000);
    let known = world.doctor.patients().map(|patient| patient.spec.id.to_string());
    assert_eq!(known.count(), 7);
    assert!(world.doctor.patients().all(|patient| patient.phase.is_usable()));
}
