//! Plays: what happens after which gap, how a failing one is made small, and how many are played
//! at once.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use doctor::LedgerFound;

use crate::world::World;
use crate::world::given::given;
use crate::world::happen::happen;

/// What happens, each after the time in milliseconds that passed since the one before.
pub(crate) type Play = Vec<(u64, String)>;

/// Numbers of cases from the environment: `SEQUENCES=100000`.
pub(crate) fn count(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|count| count.parse().ok()).unwrap_or(otherwise)
}

/// `SEED=n` plays that one alone.
pub(crate) fn only_seed() -> Option<u64> {
    std::env::var("SEED").ok().and_then(|seed| seed.parse().ok())
}

/// A number that no run before had: fresh seeds begin here.
pub(crate) fn fresh() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let micros = since.map_or(1, |since| since.as_micros());
    u64::try_from(micros & 0xffff_ffff_ffff).unwrap_or(1)
}

/// A world with these things in it, fifteen seconds old.
pub(crate) fn begun(seed: u64, lines: &[&str]) -> World {
    let mut world = World::new(seed);
    begin(&mut world, lines);
    world
}

/// One play alone, with its tale, however it ends.
pub(crate) fn aloud(seed: u64, run: impl FnOnce(&mut World)) {
    let mut world = World::new(seed);
    let failed = failure(|| run(&mut world));
    for (at, line) in &world.tale.lines {
        eprintln!("{:>8}.{:03}  {line}", at / 1000, at % 1000);
    }
    assert!(failed.is_none(), "{}", failed.unwrap_or_default());
}

pub(crate) fn begin(world: &mut World, lines: &[&str]) {
    for line in lines {
        given(world, line).expect("a line that the world knows");
    }
    world.begin(LedgerFound::None);
    world.run_until(15_000);
}

pub(crate) fn play(world: &mut World, play: &Play) {
    for (gap, what) in play {
        world.run_until(world.story_ms() + gap);
        let now = world.story_ms();
        world.tale.say(now, format!("* {what}"));
        happen(world, what).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

/// The words of the panic, if this panics.
pub(crate) fn failure(run: impl FnOnce()) -> Option<String> {
    QUIET.with(|quiet| quiet.set(true));
    let result = catch_unwind(AssertUnwindSafe(run));
    QUIET.with(|quiet| quiet.set(false));
    let payload = result.err()?;
    let words = payload.downcast_ref::<String>().cloned();
    Some(words.or(payload.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
}

thread_local! {
    /// Panics that are caught print nothing: a failing play is told once, when it is small.
    static QUIET: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Takes away what is not needed for the failure, one happening at a time.
pub(crate) fn smaller(
    mut failing: Play,
    fails: impl Fn(&Play) -> Option<String>,
) -> (Play, String) {
    let mut words = fails(&failing).unwrap_or_else(|| "it does not fail again".into());
    let mut at = 0;
    while at < failing.len() {
        let mut less = failing.clone();
        let (gap, _) = less.remove(at);
        if let Some((later, _)) = less.get_mut(at) {
            *later += gap;
        }
        match fails(&less) {
            Some(same) => (failing, words) = (less, same),
            None => at += 1,
        }
    }
    (failing, words)
}

/// As the lines of a story.
pub(crate) fn told(given: &[&str], play: &Play) -> String {
    let mut text = String::new();
    for line in given {
        let _ = writeln!(text, "given {line}");
    }
    let mut at = 15_000;
    for (gap, what) in play {
        at += gap;
        let (seconds, ms) = (at / 1000, at % 1000);
        let _ = writeln!(text, "{:02}:{:02}.{ms:03}  {what}", seconds / 60, seconds % 60);
    }
    text
}

/// So many failures are enough to be told at once: `FAILURES=n`.
pub(crate) fn most() -> usize {
    usize::try_from(count("FAILURES", 3)).unwrap_or(3)
}

/// Plays cases 0 to `cases` on as many threads as there are cores, until so many have failed.
pub(crate) fn spread(
    cases: u64,
    most: usize,
    case: impl Fn(u64) -> Option<String> + Sync,
) -> Vec<String> {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !QUIET.with(std::cell::Cell::get) {
            before(info);
        }
    }));
    let (next, enough) = (AtomicU64::new(0), AtomicBool::new(false));
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= cases {
                        return;
                    }
                    if let Some(failed) = case(number)
                        && let Ok(mut failures) = failures.lock()
                    {
                        failures.push(failed);
                        enough.fetch_or(failures.len() >= most, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    failures.into_inner().unwrap_or_default()
}
