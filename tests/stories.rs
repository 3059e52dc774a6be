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
