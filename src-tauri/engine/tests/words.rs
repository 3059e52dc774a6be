//! The words: both languages complete, every key that is said has words, and no words are dead.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use doctor::{Cause, CauseId, Confidence, Sentence, Value};
use engine::view::OperationState;
use engine::words::Words;

const ENGLISH: &str = include_str!("../words/en.toml");
const RUSSIAN: &str = include_str!("../words/ru.toml");

/// In characters: more than this nobody reads in a notice.
const LONGEST: usize = 200;

/// What the keys of sentences begin with; the doctor's own ones first.
const FAMILIES: [&str; 16] = [
    "why.",
    "change.",
    "story.",
    "step.",
    "notice.",
    "ourselves.",
    "evidence.",
    "headline.",
    "subline.",
    "line.",
    "operation.",
    "menu.",
    "shell.",
    "status.",
    "cli.",
    "audit.",
];

#[test]
fn both_languages_have_the_same_keys_and_values() {
    let (english, russian) = (templates(ENGLISH), templates(RUSSIAN));
    let keys = |templates: &BTreeMap<String, String>| -> BTreeSet<String> {
        templates.keys().cloned().collect()
    };
    let (en, ru) = (keys(&english), keys(&russian));
    assert_eq!(en.difference(&ru).collect::<Vec<_>>(), Vec::<&String>::new(), "not in Russian");
    assert_eq!(ru.difference(&en).collect::<Vec<_>>(), Vec::<&String>::new(), "not in English");
    for (key, text) in &english {
        assert_eq!(names(text), names(&russian[key]), "{key}");
    }
    // What the product reads is what these tests read.
    for (language, templates) in [("en", &english), ("ru", &russian)] {
        let words = Words::new(language);
        assert_eq!(words.language(), language);
        assert_eq!(
            words.keys().into_iter().collect::<BTreeSet<_>>(),
            templates.keys().cloned().collect()
        );
    }
}

#[test]
fn russian_is_russian() {
    for (key, text) in templates(RUSSIAN) {
        let is_value_or_name = ["ourselves.reason", "line.engine"].contains(&key.as_str());
        let has_cyrillic = text.chars().any(|letter| ('а'..='я').contains(&letter));
        assert!(has_cyrillic || is_value_or_name, "{key}: {text}");
    }
    for (key, text) in templates(ENGLISH) {
        assert!(text.is_ascii(), "{key}: {text}");
    }
}

#[test]
fn every_cause_has_a_text_and_an_advice() {
    for (language, templates) in [("en", templates(ENGLISH)), ("ru", templates(RUSSIAN))] {
        for id in CauseId::ALL {
            for part in ["text", "advice"] {
                let key = format!("cause.{id}.{part}");
                let text = templates.get(&key);
                // Both stand one after the other in a notice.
                assert!(text.is_some_and(|text| text.ends_with('.')), "{language} {key}: {text:?}");
            }
        }
    }
}

#[test]
fn every_sentence_is_short_and_whole() {
    for (language, text) in [("en", ENGLISH), ("ru", RUSSIAN)] {
        let words = Words::new(language);
        for (key, template) in templates(text) {
            assert!(!template.trim().is_empty(), "{language} {key} is empty");
            assert_eq!(template.trim(), template, "{language} {key} has spaces around it");
            assert!(!template.contains("  "), "{language} {key} has two spaces");
            assert!(template.chars().count() <= LONGEST, "{language} {key} is too long");
            let mut sentence = Sentence::new(key.as_str());
            for name in names(&template) {
                assert!(
                    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase()),
                    "{language} {key}: {name:?} is no name of a value"
                );
                sentence = sentence.with(&name, "value");
            }
            let said = words.sentence(&sentence);
            assert!(!said.contains("{}"), "{language} {key}: {said}");
            // The record's one question, whether the disk is full, is meant as one.
            let asks = template.contains('?');
            assert!(asks == said.contains('?'), "{language} {key}: {said}");
            assert!(!said.contains(['{', '}']), "{language} {key}: {said}");
        }
    }
}

#[test]
fn every_key_that_is_said_has_words() {
    let english = templates(ENGLISH);
    let said = said_in(&["../doctor/src"]);
    assert!(said.len() > 100, "only {} keys were found in the doctor's text", said.len());
    let silent: Vec<_> = said.iter().filter(|(key, _)| !english.contains_key(*key)).collect();
    assert!(silent.is_empty(), "without words: {silent:?}");

    let said = said_in(&["src", "../src", "../cli/src"]);
    let silent: Vec<_> = said.iter().filter(|(key, _)| !english.contains_key(*key)).collect();
    assert!(silent.is_empty(), "without words: {silent:?}");
}

#[test]
fn no_words_are_never_said() {
    let mut said: BTreeSet<String> =
        said_in(&["../doctor/src", "src", "../src", "../cli/src"]).into_keys().collect();
    // What is put together from parts.
    for id in CauseId::ALL {
        said.extend([format!("cause.{id}.text"), format!("cause.{id}.advice")]);
    }
    let states = [
        OperationState::Running,
        OperationState::Verified,
        OperationState::Failed,
        OperationState::Superseded,
    ];
    said.extend(states.iter().map(|state| {
        let word = serde_json::to_value(state).expect("a state is a word");
        format!("operation.{}", word.as_str().expect("a state is a word"))
    }));
    let verbs = ["restart", "start", "stop", "pause", "ensure", "hold", "release"];
    said.extend(verbs.map(|verb| format!("menu.{verb}")));

    let english = templates(ENGLISH);
    let dead: Vec<_> =
        english.keys().filter(|key| !said.contains(key.trim_end_matches("_bare"))).collect();
    assert!(dead.is_empty(), "never said: {dead:?}");
    let missing: Vec<_> = said.iter().filter(|key| !english.contains_key(*key)).collect();
    assert!(missing.is_empty(), "without words: {missing:?}");
}

#[test]
fn every_value_in_words_is_given_by_somebody() {
    let text: String = sources(&["../doctor/src", "src", "../src", "../cli/src"])
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    for (key, template) in templates(ENGLISH) {
        for name in names(&template) {
            assert!(text.contains(&format!(".with(\"{name}\"")), "{key}: {{{name}}}");
        }
    }
}

#[test]
fn values_are_put_in_as_the_language_writes_them() {
    let limit = Sentence::new("evidence.limit").with("limit", Value::Bytes(24 << 20));
    assert_eq!(Words::new("en").sentence(&limit), "its memory limit is 24 MB");
    assert_eq!(Words::new("ru").sentence(&limit), "предел памяти: 24 МБ");

    let failing = Sentence::new("why.failing").with("fails", 2u32).with("of", 3u32);
    assert!(Words::new("en").sentence(&failing).contains("2 of 3"));
    assert!(Words::new("ru").sentence(&failing).contains("2 из 3"));

    // A value is never read as a template itself.
    let reason = Sentence::new("ourselves.reason").with("reason", "{reason} {x} }{");
    assert_eq!(Words::new("en").sentence(&reason), "{reason} {x} }{");
}

#[test]
fn a_value_that_is_not_known_is_left_out_or_marked() {
    for language in ["en", "ru"] {
        let words = Words::new(language);
        for id in [CauseId::OllamaPortTaken, CauseId::MlxPortTaken, CauseId::ContainerStopped] {
            let bare = Cause {
                id,
                confidence: Confidence::Possible,
                evidence: Vec::new(),
                says: Sentence::new(id.as_str()),
            };
            let text = words.cause(&bare).text;
            assert!(!text.contains('?') && text.ends_with('.'), "{language} {id}: {text}");

            let mut known = bare;
            known.says =
                known.says.with("program", "python3").with("pid", 812u32).with("code", 1i64);
            let full = words.cause(&known).text;
            assert!(full != text && full.contains('('), "{language} {id}: {full}");
        }
        let program = words.sentence(&Sentence::new("evidence.relative").with("program", "x"));
        assert!(program.contains('x') && program.contains('?'), "{program}");
    }
}

#[test]
fn other_languages_are_english_and_unknown_keys_are_shown() {
    for language in ["", "de", "RU", "../ru", "en"] {
        let words = Words::new(language);
        assert_eq!(words.language(), "en");
        assert_eq!(words.say("why.runs"), "It runs.");
    }
    assert_eq!(Words::new("ru").say("why.never_written"), "why.never_written");
}

#[test]
fn bytes_in_both_languages() {
    const MB: u64 = 1 << 20;
    const GB: u64 = 1 << 30;
    let table = [
        (0, "0 B", "0 Б"),
        (1_023, "1023 B", "1023 Б"),
        (1_024, "1 KB", "1 КБ"),
        (1_536, "2 KB", "2 КБ"),
        (MB - 1, "1 MB", "1 МБ"),
        (24 * MB, "24 MB", "24 МБ"),
        (24 * MB + MB / 2, "24.5 MB", "24,5 МБ"),
        (24 * MB + MB * 98 / 100, "25 MB", "25 МБ"),
        (512 * MB + MB * 3 / 4, "513 MB", "513 МБ"),
        (1_023 * MB + MB / 2, "1 GB", "1 ГБ"),
        (3 * GB + GB / 10, "3.1 GB", "3,1 ГБ"),
        (128 * GB, "128 GB", "128 ГБ"),
        (1_536 * GB, "1.5 TB", "1,5 ТБ"),
        (u64::MAX, "16777216 TB", "16777216 ТБ"),
    ];
    let (en, ru) = (Words::new("en"), Words::new("ru"));
    for (bytes, english, russian) in table {
        assert_eq!(en.bytes(bytes), english, "{bytes}");
        assert_eq!(ru.bytes(bytes), russian, "{bytes}");
    }
}

#[test]
fn durations_in_both_languages() {
    let table = [
        (0, "0 ms", "0 мс"),
        (999, "999 ms", "999 мс"),
        (1_000, "1 s", "1 с"),
        (12_499, "12 s", "12 с"),
        (12_500, "13 s", "13 с"),
        (119_499, "119 s", "119 с"),
        (119_500, "2 min", "2 мин"),
        (179_000, "3 min", "3 мин"),
        (7_169_999, "119 min", "119 мин"),
        (7_170_000, "2 h", "2 ч"),
        (86_400_000, "24 h", "24 ч"),
        (172_800_000, "2 d", "2 д"),
        (u64::MAX, "213503982335 d", "213503982335 д"),
    ];
    let (en, ru) = (Words::new("en"), Words::new("ru"));
    for (millis, english, russian) in table {
        assert_eq!(en.duration(millis), english, "{millis}");
        assert_eq!(ru.duration(millis), russian, "{millis}");
    }
}

fn templates(text: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let table = text.parse::<toml::Table>().expect("the words are TOML");
    flatten("", &table, &mut all);
    all
}

fn flatten(prefix: &str, table: &toml::Table, all: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if let Some(inner) = value.as_table() {
            flatten(&key, inner, all);
        } else if let Some(text) = value.as_str() {
            all.insert(key, text.to_owned());
        } else {
            panic!("{key} is no sentence: {value}");
        }
    }
}

/// The names of the values in a template.
fn names(template: &str) -> BTreeSet<String> {
    let parts = template.split('{').skip(1);
    parts.map(|part| part.split_once('}').expect("a brace is closed").0.to_owned()).collect()
}

/// Every key that stands in the sources as a literal, and in which file.
fn said_in(folders: &[&str]) -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    for (file, text) in sources(folders) {
        for literal in text.split('"') {
            let name = FAMILIES.iter().find_map(|family| literal.strip_prefix(family));
            let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            if name.is_some_and(|name| !name.is_empty() && name.bytes().all(is_name)) {
                said.insert(literal.to_owned(), file.clone());
            }
        }
    }
    said
}

/// The Rust files below these folders, by path; what only tests say does not count.
fn sources(folders: &[&str]) -> Vec<(String, String)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut open: Vec<_> = folders.iter().map(|folder| here.join(folder)).collect();
    while let Some(folder) = open.pop() {
        let entries = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{} must be a folder: {error}", folder.display()));
        for path in entries.map(|entry| entry.expect("the folder can be read").path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("tests.rs")
            {
                let text = fs::read_to_string(&path).expect("the file can be read");
                found.push((path.display().to_string(), text));
            }
        }
    }
    found
}
