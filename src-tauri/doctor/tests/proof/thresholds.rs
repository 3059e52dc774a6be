//! Every number of the policy, made smaller and larger in turn, changes a story or fails a rule's
//! test. What changes nothing is a survivor, and a survivor is a number that nobody proves.
//!
//! `DISTURBED=all` disturbs all of them; without it a few stand for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use doctor::Policy;

use crate::dice::Dice;
use crate::play::{failure, spread};
use crate::world::World;
use crate::world::disturbed::{Number, WAYS, Way, numbers};
use crate::world::script::Story;

fn stories() -> Vec<(String, Story)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let mut stories: Vec<(String, Story)> = fs::read_dir(folder)
        .expect("the folder of the scenarios")
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
        .filter_map(|text| Some((text.clone(), Story::read(&text).ok()?)))
        .collect();
    stories.sort_by_key(|(text, _)| text.len());
    assert!(stories.len() >= 60);
    stories
}

/// The tests of the rules, built beside this one.
fn rules() -> PathBuf {
    let this = std::env::current_exe().expect("this program");
    let folder = this.parent().expect("its folder");
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("rules-") && path.extension().is_none()
    };
    let changed = |path: &PathBuf| fs::metadata(path).and_then(|file| file.modified()).ok();
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder of the tests")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_one)
        .collect();
    found.sort_by_key(changed);
    found.pop().expect("the tests of the rules are built: cargo test -p doctor --test rules")
}

/// What the disturbed ones are compared with.
#[test]
fn stories_are_as_written_when_nothing_is_disturbed() {
    for (written, story) in stories() {
        assert!(!differs(&written, &story, &Policy::default()), "{}", story.title);
    }
}

#[test]
fn every_disturbed_number_is_noticed() {
    let stories = stories();
    let rules = rules();
    let numbers = numbers();
    let all: Vec<(&Number, Way)> =
        numbers.iter().flat_map(|number| WAYS.map(|way| (number, way))).collect();
    let few = std::env::var_os("DISTURBED").is_none_or(|which| which != "all");
    eprintln!("{} of {} numbers are disturbed", if few { "a few" } else { "all" }, all.len());
    let survivors = spread_all(if few { 4 } else { all.len() }, |at| {
        let dice = |at: usize| {
            let below = Dice::new(at as u64).below(all.len() as u64);
            usize::try_from(below).unwrap_or_default()
        };
        let (number, way) = all[if few { dice(at) } else { at }];
        let mut policy = Policy::default();
        (number.disturb)(&mut policy, way);
        let noticed = stories.iter().any(|(written, story)| differs(written, story, &policy));
        let told = format!("{}:{way:?}", number.name);
        // Those that go to the edges first: all of them take seconds.
        let edges = ["edges::", "numbers::"];
        if noticed || fails(&rules, &told, &edges) || fails(&rules, &told, &[]) {
            return None;
        }
        eprintln!("nobody notices {told}");
        Some(told)
    });
    assert!(survivors.is_empty(), "nobody notices {survivors:#?}");
}

fn spread_all(cases: usize, case: impl Fn(usize) -> Option<String> + Sync) -> Vec<String> {
    spread(cases as u64, usize::MAX, |at| case(usize::try_from(at).unwrap_or(0)))
}

fn differs(written: &str, story: &Story, policy: &Policy) -> bool {
    let mut same = false;
    let panicked = failure(|| {
        let mut world = World::new(7);
        world.policy = policy.clone();
        same = story.play_in(&mut world).is_ok_and(|played| played == written);
    });
    panicked.is_some() || !same
}

fn fails(rules: &Path, disturb: &str, only: &[&str]) -> bool {
    let ran = Command::new(rules)
        .args(only)
        .env("DISTURB", disturb)
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("the tests of the rules run");
    !ran.success()
}
