//! Plays every story under `scenarios/` against the doctor in virtual time. `BLESS=1` writes down
//! what it does now; what changed is then read before it is kept.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use doctor::CauseId;
use tests::world::script::Story;

fn scenarios() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the folder of the scenarios")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_story_is_as_it_was_written_down() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for path in scenarios() {
        let written = fs::read_to_string(&path).expect("a readable story");
        let story = Story::read(&written).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let played = story.play(7).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        if played == written {
            continue;
        }
        if bless {
            fs::write(&path, played).expect("a story written down");
        } else {
            wrong.push(format!("{}\n{}", path.display(), difference(&written, &played)));
        }
    }
    assert!(wrong.is_empty(), "not as written down; BLESS=1 rewrites:\n{}", wrong.join("\n"));
}

#[test]
fn every_cause_has_a_story() {
    let mut covered = BTreeSet::new();
    for path in scenarios() {
        let text = fs::read_to_string(&path).expect("a readable story");
        let story = Story::read(&text).expect("a story");
        covered.extend(story.covers.into_iter().filter(|word| concludes(&text, word)));
    }
    let missing: Vec<&str> =
        CauseId::ALL.iter().map(|id| id.as_str()).filter(|id| !covered.contains(*id)).collect();
    assert!(missing.is_empty(), "no story concludes {missing:?}");
}

/// What the users have lived through, by document and row: the causes of Ollama's failures (O 2.1),
/// the root causes of "no tasks are created" (L 1), the list of problems (P), and why an agent kept
/// falling over (V).
#[test]
fn every_incident_that_was_lived_through_has_a_story() {
    let rows = |what: &'static str, last: u32| (1..=last).map(move |row| format!("{what}{row}"));
    let wanted = rows("O2.1.", 5).chain(rows("L1.", 6)).chain(rows("P", 7)).chain(rows("V", 6));
    let wanted: BTreeSet<String> = wanted.chain(["V4.1".into()]).collect();
    let mut covered = BTreeSet::new();
    for path in scenarios() {
        let story = Story::read(&fs::read_to_string(&path).expect("readable")).expect("a story");
        covered.extend(story.covers);
    }
    let missing: Vec<&String> = wanted.iter().filter(|row| !covered.contains(*row)).collect();
    assert!(missing.is_empty(), "no story tells of {missing:?}");
}

/// Rules that no test on this machine can hold: R40 is about App Nap, and R45 about launchd's
/// calendar, which nothing here uses.
const NOT_HERE: [u32; 2] = [40, 45];

#[test]
fn every_rule_has_a_test_named_for_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources = String::new();
    for folder in ["src-tauri", "tests"] {
        read_sources(&root.join(folder), &mut sources);
    }
    let missing: Vec<u32> = (1..=65)
        .filter(|rule| !NOT_HERE.contains(rule))
        .filter(|rule| {
            let named = [format!("fn r{rule}_"), format!("_r{rule}_")];
            !named.iter().any(|name| sources.contains(name))
        })
        .collect();
    assert!(missing.is_empty(), "no test is named for the rules {missing:?}");
}

fn read_sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(&path).expect("a source"));
        }
    }
}

/// The doctor's lines name this cause.
fn concludes(text: &str, cause: &str) -> bool {
    let named = [format!(" {cause},"), format!(" {cause}:")];
    text.lines()
        .filter(|line| line.starts_with(' '))
        .any(|line| named.iter().any(|one| line.contains(one)))
}

/// The first lines that differ.
fn difference(written: &str, played: &str) -> String {
    let (mut a, mut b) = (written.lines(), played.lines());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return "  only in blank lines".into(),
            (x, y) if x == y => {}
            (x, y) => {
                return format!(
                    "  written: {}\n  played:  {}",
                    x.unwrap_or("(nothing more)"),
                    y.unwrap_or("(nothing more)")
                );
            }
        }
    }
}
