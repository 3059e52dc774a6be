//! Whatever the doctor says has words: `tests/keys.txt` is the list that the languages are tested
//! against, one key a line with the names of its values. `BLESS=1` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use doctor::CauseId;

use super::world::World;
use super::world::said::Said;
use super::world::script::Story;

const KINDS: [&str; 7] =
    ["change.", "evidence.", "notice.", "ourselves.", "step.", "story.", "why."];

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn listed() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(here().join("tests/keys.txt")).unwrap_or_default();
    let mut keys = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace().map(String::from);
        if let Some(key) = words.next() {
            keys.insert(key, words.collect());
        }
    }
    keys
}

/// Every string in the sources that is such a key, and what every cause must have.
fn written() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for path in sources(&here().join("src")) {
        let source = fs::read_to_string(path).expect("a source");
        for text in source.split('"') {
            let plain = text.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '.' | '_'));
            let is_key = |kind: &str| text.len() > kind.len() && text.starts_with(kind);
            if plain && KINDS.iter().any(|kind| is_key(kind)) {
                keys.insert(text.to_owned());
            }
        }
    }
    for id in CauseId::ALL {
        keys.insert(format!("cause.{id}.text"));
        keys.insert(format!("cause.{id}.advice"));
    }
    keys
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the sources");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// What is said in all stories.
fn said() -> BTreeMap<String, BTreeSet<String>> {
    let mut said = Said::default();
    let folder = here().join("../../tests/scenarios");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).expect("the stories").map(|one| one.expect("a file").path()).collect();
    files.sort();
    for path in files {
        let story = Story::read(&fs::read_to_string(&path).expect("a story")).expect("a story");
        let mut world = World::new(7);
        world.said = Some(said);
        story.play_in(&mut world).expect("a story that plays");
        said = world.said.take().unwrap_or_default();
    }
    said.sentences
}

#[test]
fn every_sentence_is_on_the_list_with_its_values() {
    let said = said();
    let mut wanted: BTreeMap<String, BTreeSet<String>> = listed();
    wanted.retain(|key, _| written().contains(key));
    for key in written() {
        wanted.entry(key).or_default();
    }
    for (key, names) in &said {
        wanted.entry(key.clone()).or_default().extend(names.iter().cloned());
    }
    if std::env::var_os("BLESS").is_some() {
        let lines: Vec<String> = wanted
            .iter()
            .map(|(key, names)| {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                format!("{key} {}", names.join(" ")).trim_end().to_owned()
            })
            .collect();
        fs::write(here().join("tests/keys.txt"), lines.join("\n") + "\n").expect("written");
    }
    assert_eq!(listed(), wanted, "tests/keys.txt is not what the doctor says");
}
