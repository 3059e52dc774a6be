//! The journal on real files: kept, paged, pruned, damaged, locked out and taken away.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use doctor::{
    Asker, Cause, CauseId, Confidence, Entry, Incident, IncidentState, MemoryRow, MemorySample,
    RemedyRecord, RestartRecord, RestartedBy, Sentence, StoryKind, StoryLine, TargetId, Timing,
    Verb, Wall,
};
use engine::journal::{Journal, JournalError};
use tempfile::TempDir;

fn incident(id: &str, opened: i64) -> Incident {
    Incident {
        id: id.into(),
        target: TargetId::Container("victoria-agent".into()),
        cause: Cause {
            id: CauseId::ContainerOomLimit,
            confidence: Confidence::Certain,
            evidence: vec![Sentence::new("oom").with("limit", "24 MB")],
            says: Sentence::new("container.oom_limit"),
        },
        state: IncidentState::Open,
        opened: Wall(opened),
        closed: None,
        detected_after_ms: 5,
        answering_after_ms: None,
        recovered_after_ms: None,
        attempts: 0,
        affects: Vec::new(),
        log: Vec::new(),
        story: vec![StoryLine {
            at: Wall(opened),
            kind: StoryKind::Seen,
            says: Sentence::new("seen"),
        }],
    }
}

fn closed(id: &str, opened: i64) -> Incident {
    Incident {
        state: IncidentState::Verified,
        closed: Some(Wall(opened + 10)),
        ..incident(id, opened)
    }
}

fn remedy(operation: &str, attempt: u32, incident: Option<&str>, began: i64) -> RemedyRecord {
    RemedyRecord {
        operation: operation.into(),
        attempt,
        incident: incident.map(str::to_owned),
        target: TargetId::Ollama,
        verb: Verb::Restart,
        by: Asker::Doctor,
        began: Wall(began),
        ended: None,
        result: None,
        steps: Vec::new(),
        says: None,
    }
}

fn restart(id: &str, at: i64) -> RestartRecord {
    RestartRecord { id: id.into(), target: TargetId::Ollama, at: Wall(at), by: RestartedBy::Us }
}

fn timing(model: &str, at: i64) -> Timing {
    Timing {
        server: TargetId::Ollama,
        model: model.into(),
        at: Wall(at),
        load_ms: Some(1200),
        first_token_ms: Some(300),
        prompt_tokens_per_s: None,
        tokens_per_s: Some(41.5),
        memory_bytes: Some(5_000_000_000),
        error: None,
    }
}

fn begin() -> (TempDir, PathBuf, Journal) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("journal.db");
    let (journal, said) = Journal::open(&file);
    assert_eq!(said, None);
    (directory, file, journal)
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn ids(incidents: &[Incident]) -> Vec<&str> {
    incidents.iter().map(|incident| incident.id.as_str()).collect()
}

fn memory(at: i64, rows: &[(&str, Option<u64>)]) -> MemorySample {
    let row = |(owner, bytes): &(&str, Option<u64>)| MemoryRow {
        owner: (*owner).to_owned(),
        bytes: *bytes,
        busy_percent: None,
    };
    MemorySample { at: Wall(at), rows: rows.iter().map(row).collect() }
}

/// The work of a minute is read apart from the bytes, and may fall on the same moment.
#[test]
fn memory_and_work_of_one_moment_are_one_row() {
    let (_directory, _file, journal) = begin();
    journal.write(&Entry::Memory(memory(60_000, &[("mlx", Some(7))]))).unwrap();
    let mut work = memory(60_000, &[("mlx", None)]);
    work.rows[0].busy_percent = Some(250);
    journal.write(&Entry::Memory(work)).unwrap();
    let [found] = &journal.memory(Wall(0), 10).unwrap()[..] else { panic!("one moment") };
    let [row] = &found.rows[..] else { panic!("one row: {found:?}") };
    assert_eq!((row.bytes, row.busy_percent), (Some(7), Some(250)));
}

#[test]
fn what_was_written_is_there_after_reopening() {
    let (_directory, file, journal) = begin();
    let first = incident("i1", 1000);
    journal.write(&Entry::Incident(first.clone())).unwrap();
    journal.write(&Entry::Incident(closed("i2", 2000))).unwrap();
    journal.write(&Entry::Remedy(remedy("op", 1, Some("i1"), 1001))).unwrap();
    journal.write(&Entry::Remedy(remedy("op", 2, Some("i1"), 1002))).unwrap();
    journal.write(&Entry::Restart(restart("r1", 1001))).unwrap();
    journal.write(&Entry::Restart(restart("r2", 1002))).unwrap();
    journal.write(&Entry::Timing(timing("llama3", 5))).unwrap();
    journal.write(&Entry::Timing(timing("llama3", 9))).unwrap();
    journal.write(&Entry::Timing(timing("phi3", 7))).unwrap();
    journal.write(&Entry::Memory(memory(1000, &[("ollama", Some(5)), ("mlx", Some(7))]))).unwrap();
    journal.write(&Entry::Memory(memory(2000, &[("ollama", Some(6))]))).unwrap();
    // The same attempt again, when it ended.
    let ended = RemedyRecord { ended: Some(Wall(1100)), ..remedy("op", 1, Some("i1"), 1001) };
    journal.write(&Entry::Remedy(ended.clone())).unwrap();
    drop(journal);

    let (journal, said) = Journal::open(&file);
    assert_eq!(said, None);
    assert_eq!(journal.incident("i1").unwrap(), Some(first.clone()));
    assert_eq!(journal.incident("none").unwrap(), None);
    let both = memory(1000, &[("mlx", Some(7)), ("ollama", Some(5))]);
    let later = memory(2000, &[("ollama", Some(6))]);
    assert_eq!(journal.memory(Wall(0), 10).unwrap(), [both, later.clone()]);
    assert_eq!(journal.memory(Wall(1001), 10).unwrap(), std::slice::from_ref(&later));
    assert_eq!(
        journal.memory(Wall(0), 1).unwrap(),
        [later],
        "the newest, where there are too many"
    );
    assert_eq!(journal.open_incidents().unwrap(), [first]);
    assert_eq!(journal.remedies("i1").unwrap(), [ended, remedy("op", 2, Some("i1"), 1002)]);
    assert_eq!(journal.unfinished_remedies().unwrap(), [remedy("op", 2, Some("i1"), 1002)]);
    assert_eq!(journal.restarts(&TargetId::Ollama, Wall(1002)).unwrap(), [restart("r2", 1002)]);
    assert_eq!(journal.restarts(&TargetId::Mlx, Wall(0)).unwrap(), []);
    let newest_first = [timing("llama3", 9), timing("llama3", 5)];
    assert_eq!(journal.timings(Some("llama3"), 10).unwrap(), newest_first);
    assert_eq!(journal.timings(None, 2).unwrap(), [timing("llama3", 9), timing("phi3", 7)]);
    assert_eq!(journal.latest_timings().unwrap(), [timing("llama3", 9), timing("phi3", 7)]);
    assert_eq!(journal.verify(), None);
}

#[test]
fn only_the_owner_can_read_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("journal.db");
    // One that was made with wider rights is narrowed.
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let (journal, _) = Journal::open(&file);
    journal.write(&Entry::Incident(incident("i", 1))).unwrap();
    let names = names(directory.path());
    assert_eq!(names, ["journal.db", "journal.db-shm", "journal.db-wal"]);
    for name in names {
        let mode = fs::metadata(directory.path().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn pages_neither_lose_nor_repeat() {
    let (_directory, _file, journal) = begin();
    for number in 0..25 {
        // Several in the same millisecond.
        journal.write(&Entry::Incident(closed(&format!("i{number:02}"), number / 4))).unwrap();
    }
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = journal.incidents(None, cursor.clone(), 7).unwrap();
        let Some(last) = page.last() else { break };
        cursor = Some((last.opened, last.id.clone()));
        // What happens meanwhile does not move the pages.
        journal.write(&Entry::Incident(closed(&format!("new{}", seen.len()), 1000))).unwrap();
        seen.extend(page.into_iter().map(|incident| incident.id));
    }
    let expected: Vec<String> = (0..25).rev().map(|number| format!("i{number:02}")).collect();
    assert_eq!(seen, expected);
    let since = journal.incidents(Some(Wall(5)), Some((Wall(7), String::new())), 100).unwrap();
    assert_eq!(ids(&since), ["i24", "i23", "i22", "i21", "i20"]);
}

#[test]
fn a_row_of_another_version_hides_no_other() {
    let (_directory, file, journal) = begin();
    for number in 0..5 {
        journal.write(&Entry::Incident(closed(&format!("i{number}"), number))).unwrap();
    }
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute("UPDATE incidents SET value = '{\"new\":1}' WHERE id = 'i3'", []).unwrap();
    assert_eq!(ids(&journal.incidents(None, None, 3).unwrap()), ["i4", "i2", "i1"]);
}

type Damage = fn(&Path);

#[test]
fn a_damaged_file_is_set_aside_and_a_new_one_begun() {
    let cases: [(&str, Damage); 6] = [
        ("garbage", |file| fs::write(file, "this is no database, not at all".repeat(100)).unwrap()),
        ("overwritten in the middle", |file| {
            let mut bytes = fs::read(file).unwrap();
            let length = bytes.len();
            bytes[4096..length].fill(0xA5);
            fs::write(file, bytes).unwrap();
        }),
        ("cut short", |file| {
            let bytes = fs::read(file).unwrap();
            fs::write(file, &bytes[..bytes.len() / 2 + 100]).unwrap();
        }),
        ("from the future", |file| {
            rusqlite::Connection::open(file)
                .unwrap()
                .pragma_update(None, "user_version", 1000)
                .unwrap();
        }),
        ("of another program", |file| {
            fs::remove_file(file).unwrap();
            let other = rusqlite::Connection::open(file).unwrap();
            other.execute_batch("CREATE TABLE incidents (x); PRAGMA user_version = 4").unwrap();
        }),
        ("of another program, by the number of today", |file| {
            fs::remove_file(file).unwrap();
            let other = rusqlite::Connection::open(file).unwrap();
            other.execute_batch("CREATE TABLE incidents (x); PRAGMA user_version = 5").unwrap();
        }),
    ];
    for (case, damage) in cases {
        let (directory, file, journal) = begin();
        for number in 0..200 {
            journal.write(&Entry::Incident(closed(&format!("i{number}"), number))).unwrap();
        }
        drop(journal);
        damage(&file);
        let damaged = fs::read(&file).unwrap();

        let (journal, said) = Journal::open(&file);
        let said = said.unwrap_or_else(|| panic!("{case}: nothing said"));
        assert!(said.contains("It was kept as "), "{case}: {said}");
        if case == "from the future" {
            assert!(said.contains("newer version of Homeostat"), "{said}");
        }
        let names = names(directory.path());
        let aside = names.iter().find(|name| name.starts_with("journal.damaged-")).unwrap();
        assert!(aside.ends_with("Z.db"), "{aside}");
        let kept = fs::read(directory.path().join(aside)).unwrap();
        // Its first page may be touched when it is opened, and what follows is kept as it was.
        assert!(kept[4096.min(kept.len())..] == damaged[4096.min(damaged.len())..], "{case}");
        assert_eq!(journal.incidents(None, None, 10).unwrap(), [], "{case}");
        journal.write(&Entry::Incident(incident("after", 1))).unwrap();
        drop(journal);
        let (journal, said) = Journal::open(&file);
        assert_eq!(said, None, "{case}");
        assert_eq!(ids(&journal.open_incidents().unwrap()), ["after"], "{case}");
    }
}

#[test]
fn damage_while_it_runs_is_noticed_and_nothing_new_is_lost() {
    let (directory, file, journal) = begin();
    for number in 0..300 {
        journal.write(&Entry::Incident(closed(&format!("i{number}"), number))).unwrap();
    }
    // The bytes of the open file itself, as a failing disk or another program would spoil them.
    let spoiled = vec![0x5A; usize::try_from(fs::metadata(&file).unwrap().len()).unwrap()];
    for name in ["journal.db", "journal.db-wal"] {
        let path = directory.path().join(name);
        let opened = fs::OpenOptions::new().write(true).open(path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&opened, &spoiled, 0).unwrap();
    }
    // Whether a read or a write meets the damage first, the journal goes on.
    let _ = journal.incidents(None, None, 1000);
    for number in 0..50 {
        journal.write(&Entry::Incident(incident(&format!("new{number}"), number))).unwrap();
    }
    let said = journal.message().expect("the damage is told");
    assert!(said.contains("It was kept as "), "{said}");
    assert_eq!(journal.open_incidents().unwrap().len(), 50);
    drop(journal);
    let (journal, said) = Journal::open(&file);
    assert_eq!(said, None);
    assert_eq!(journal.open_incidents().unwrap().len(), 50);
}

#[test]
fn a_deleted_file_is_begun_anew() {
    let (directory, file, journal) = begin();
    journal.write(&Entry::Incident(incident("old", 1))).unwrap();
    fs::remove_file(&file).unwrap();
    journal.write(&Entry::Incident(incident("new", 2))).unwrap();
    assert_eq!(ids(&journal.open_incidents().unwrap()), ["new"]);
    drop(journal);
    let (journal, said) = Journal::open(&file);
    assert_eq!(said, None);
    assert_eq!(ids(&journal.open_incidents().unwrap()), ["new"]);
    drop(journal);
    assert_eq!(names(directory.path()), ["journal.db"]);
}

#[test]
fn what_can_t_be_written_waits_and_is_written_later() {
    let (_directory, file, journal) = begin();
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = journal.write(&Entry::Incident(incident("i1", 1)));
    assert!(matches!(refused, Err(JournalError::Kept { waiting: 1, .. })), "{refused:?}");
    assert!(journal.message().unwrap().contains("1 entries wait in memory"));
    other.execute_batch("COMMIT").unwrap();
    journal.write(&Entry::Incident(incident("i2", 2))).unwrap();
    assert_eq!(ids(&journal.open_incidents().unwrap()), ["i1", "i2"]);
    assert_eq!(journal.message(), None);
}

#[test]
fn without_a_directory_it_works_in_memory_and_moves_to_the_disk_when_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    // A file where the directory should be: nothing can be written, not even by root.
    fs::write(&data, "").unwrap();
    let file = data.join("journal.db");
    let (journal, said) = Journal::open(&file);
    assert!(said.unwrap().contains("kept in memory until it can"));
    let kept = journal.write(&Entry::Incident(incident("i1", 1)));
    assert!(matches!(kept, Err(JournalError::Kept { .. })), "not on disk: {kept:?}");
    assert!(journal.write(&Entry::Remedy(remedy("op", 1, Some("i1"), 5))).is_err());
    assert_eq!(ids(&journal.incidents(None, None, 10).unwrap()), ["i1"]);
    assert_eq!(journal.remedies("i1").unwrap().len(), 1);

    fs::remove_file(&data).unwrap();
    fs::create_dir(&data).unwrap();
    journal.write(&Entry::Incident(incident("i2", 2))).unwrap();
    assert_eq!(journal.message(), None);
    drop(journal);
    let (journal, _) = Journal::open(&file);
    assert_eq!(ids(&journal.open_incidents().unwrap()), ["i1", "i2"]);
    assert_eq!(journal.remedies("i1").unwrap().len(), 1);
}

#[test]
fn pruning_keeps_what_is_open_young_or_the_newest() {
    let (_directory, _file, journal) = begin();
    let day = 86_400_000;
    for number in 0..1200 {
        journal.write(&Entry::Incident(closed(&format!("old{number}"), number))).unwrap();
    }
    journal.write(&Entry::Incident(incident("open", 1))).unwrap();
    journal.write(&Entry::Incident(closed("young", 9 * day))).unwrap();
    journal.write(&Entry::Remedy(remedy("a", 1, Some("old1"), 1))).unwrap();
    journal.write(&Entry::Remedy(remedy("b", 1, Some("open"), 1))).unwrap();
    journal.write(&Entry::Remedy(remedy("c", 1, None, 1))).unwrap();
    journal.write(&Entry::Restart(restart("r1", 1))).unwrap();
    journal.write(&Entry::Restart(restart("r2", 9 * day))).unwrap();
    journal.write(&Entry::Timing(timing("llama3", 1))).unwrap();
    journal.write(&Entry::Timing(timing("llama3", 2))).unwrap();

    for number in 0..700 {
        journal.write(&Entry::Memory(memory(number, &[("a", Some(1)), ("b", Some(2))]))).unwrap();
    }
    journal.write(&Entry::Memory(memory(9 * day, &[("a", Some(1))]))).unwrap();

    let pruned = journal.prune(Duration::from_hours(5 * 24), Wall(10 * day)).unwrap();
    assert_eq!(pruned, 1200 + 2 + 1 + 1 + 1400);
    assert_eq!(journal.memory(Wall(0), 10).unwrap(), [memory(9 * day, &[("a", Some(1))])]);
    assert_eq!(ids(&journal.incidents(None, None, 10).unwrap()), ["young", "open"]);
    assert_eq!(journal.remedies("open").unwrap().len(), 1);
    assert_eq!(journal.remedies("old1").unwrap(), []);
    assert_eq!(journal.restarts(&TargetId::Ollama, Wall(0)).unwrap(), [restart("r2", 9 * day)]);
    assert_eq!(journal.timings(None, 10).unwrap(), [timing("llama3", 2)]);
    assert_eq!(journal.prune(Duration::from_hours(5 * 24), Wall(10 * day)).unwrap(), 0);
    assert_eq!(journal.verify(), None);
}

/// A journal from before there was a history of memory goes on.
#[test]
fn a_journal_of_an_older_version_gets_the_new_table() {
    let (_directory, file, journal) = begin();
    journal.write(&Entry::Incident(incident("i1", 1))).unwrap();
    drop(journal);
    let old = rusqlite::Connection::open(&file).unwrap();
    old.execute_batch("DROP TABLE memory; PRAGMA user_version = 4").unwrap();
    drop(old);
    let (journal, said) = Journal::open(&file);
    assert_eq!(said, None);
    assert_eq!(ids(&journal.open_incidents().unwrap()), ["i1"]);
    let sample = memory(1, &[("ollama", Some(1))]);
    journal.write(&Entry::Memory(sample.clone())).unwrap();
    assert_eq!(journal.memory(Wall(0), 10).unwrap(), [sample]);
}

#[test]
fn clones_write_and_read_at_the_same_time() {
    let (_directory, _file, journal) = begin();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let journal = journal.clone();
            scope.spawn(move || {
                for number in 0..50 {
                    let id = format!("{writer}-{number}");
                    journal.write(&Entry::Incident(closed(&id, number))).unwrap();
                    assert!(journal.incident(&id).unwrap().is_some(), "read what was written");
                }
            });
        }
    });
    assert_eq!(journal.incidents(None, None, 1000).unwrap().len(), 200);
}
