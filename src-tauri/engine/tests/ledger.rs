//! The ledger's file, torn in every place; the paths, and the lock on the data directory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use doctor::{
    Account, Act, Asker, Boot, Intent, Ledger, LedgerFound, Response, TargetId, Verb, Wall, Wish,
};
use engine::ledger::LedgerFile;
use engine::paths::{Lock, LockError, Paths};
use engine::run::{Options, start};
use engine::view;

fn ledger(attempts: u32) -> Ledger {
    let account = Account {
        intent: Intent::Held,
        attempts,
        act: Some(Act {
            operation: "op".into(),
            incarnation: "abc@12".into(),
            verb: Verb::Restart,
            at: Wall(5),
        }),
        ..Account::default()
    };
    let mut ledger = Ledger { boot: Boot(u64::MAX), written: Wall(7), ..Ledger::default() };
    ledger.targets.insert(TargetId::Ollama, account.clone());
    ledger.targets.insert(TargetId::Container("victoria-agent".into()), account);
    ledger
}

fn load(directory: &Path) -> LedgerFound {
    LedgerFile::new(directory).load()
}

fn asides(directory: &Path) -> usize {
    fs::read_dir(directory)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(".damaged-"))
        .count()
}

#[test]
fn the_last_one_saved_is_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    assert_eq!(load(path), LedgerFound::None, "the very first run");
    let file = LedgerFile::new(path);
    for attempts in 1..=5 {
        file.save(&ledger(attempts)).unwrap();
        assert_eq!(load(path), LedgerFound::Good(ledger(attempts)));
    }
    // One that was never loaded goes on counting where the file stands.
    LedgerFile::new(path).save(&ledger(6)).unwrap();
    assert_eq!(load(path), LedgerFound::Good(ledger(6)));
    for name in ["ledger", "ledger.old"] {
        let mode = fs::metadata(path.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_file_torn_anywhere_leaves_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let file = LedgerFile::new(path);
    file.save(&ledger(1)).unwrap();
    file.save(&ledger(2)).unwrap();
    let whole = fs::read(path.join("ledger")).unwrap();
    for length in 0..whole.len() {
        fs::write(path.join("ledger"), &whole[..length]).unwrap();
        assert_eq!(load(path), LedgerFound::Good(ledger(1)), "cut to {length} bytes");
    }
    for position in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[position] ^= 0x10;
        fs::write(path.join("ledger"), &flipped).unwrap();
        assert_eq!(load(path), LedgerFound::Good(ledger(1)), "byte {position} changed");
    }
    assert_eq!(asides(path), 0);
    // Saving over a damaged one keeps the good one until the new one is whole.
    file.save(&ledger(3)).unwrap();
    assert_eq!(load(path), LedgerFound::Good(ledger(3)));
    fs::remove_file(path.join("ledger")).unwrap();
    assert_eq!(load(path), LedgerFound::Good(ledger(1)));
}

/// Every state in which a crash can leave the three files during one save.
#[test]
fn a_crash_at_any_step_of_saving_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let file = LedgerFile::new(path);
    let mut generations: Vec<Vec<u8>> = Vec::new();
    for attempts in 1..=3 {
        file.save(&ledger(attempts)).unwrap();
        generations.push(fs::read(path.join("ledger")).unwrap());
    }
    let put = |name: &str, content: Option<&[u8]>| {
        let _ = fs::remove_file(path.join(name));
        if let Some(content) = content {
            fs::write(path.join(name), content).unwrap();
        }
    };
    let [one, two, three] = [0, 1, 2].map(|number| generations[number].as_slice());
    for length in 0..=three.len() {
        put("ledger.old", Some(one));
        put("ledger", Some(two));
        put("ledger.new", Some(&three[..length]));
        let expected = if length == three.len() { 3 } else { 2 };
        assert_eq!(load(path), LedgerFound::Good(ledger(expected)), "new one cut to {length}");
    }
    put("ledger.old", Some(two));
    put("ledger", None);
    put("ledger.new", Some(three));
    assert_eq!(load(path), LedgerFound::Good(ledger(3)), "between the two renames");
    // The first save of all, interrupted: there never was a ledger.
    put("ledger.old", None);
    put("ledger.new", Some(&three[..20]));
    assert_eq!(load(path), LedgerFound::None);
}

#[test]
fn the_newer_one_is_told_by_its_content() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let file = LedgerFile::new(path);
    file.save(&ledger(1)).unwrap();
    file.save(&ledger(2)).unwrap();
    fs::rename(path.join("ledger"), path.join("swap")).unwrap();
    fs::rename(path.join("ledger.old"), path.join("ledger")).unwrap();
    fs::rename(path.join("swap"), path.join("ledger.old")).unwrap();
    assert_eq!(load(path), LedgerFound::Good(ledger(2)));
}

#[test]
fn a_missing_generation_is_no_loss_of_the_other() {
    for missing in ["ledger", "ledger.old"] {
        let directory = tempfile::tempdir().unwrap();
        let file = LedgerFile::new(directory.path());
        file.save(&ledger(1)).unwrap();
        file.save(&ledger(2)).unwrap();
        fs::remove_file(directory.path().join(missing)).unwrap();
        let left = if missing == "ledger" { 1 } else { 2 };
        assert_eq!(load(directory.path()), LedgerFound::Good(ledger(left)), "without {missing}");
    }
}

#[test]
fn two_damaged_ones_are_told_and_kept_aside() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("ledger"), "garbage").unwrap();
    fs::write(path.join("ledger.old"), [0xFF; 100]).unwrap();
    let file = LedgerFile::new(path);
    assert_eq!(file.load(), LedgerFound::Damaged);
    assert_eq!(asides(path), 2);
    file.save(&ledger(1)).unwrap();
    assert_eq!(load(path), LedgerFound::Good(ledger(1)));
    // One alone that is damaged was a ledger once: that is a loss, not a first run.
    fs::write(path.join("ledger"), "").unwrap();
    assert_eq!(load(path), LedgerFound::Damaged);
}

#[test]
fn a_directory_that_can_t_be_written_is_an_error_and_keeps_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let file = LedgerFile::new(path);
    file.save(&ledger(1)).unwrap();
    // A directory in the way of the new file: not even root can write it.
    fs::create_dir(path.join("ledger.new")).unwrap();
    file.save(&ledger(2)).unwrap_err();
    assert_eq!(load(path), LedgerFound::Good(ledger(1)));
    fs::remove_dir(path.join("ledger.new")).unwrap();
    file.save(&ledger(3)).unwrap();
    assert_eq!(load(path), LedgerFound::Good(ledger(3)));
}

#[test]
fn paths_are_chosen_by_argument_then_variable_then_platform() {
    let default = || Paths { config: "/d/config.toml".into(), data: "/d/data".into() };
    let none = |_: &str| None;
    let set = |name: &str| match name {
        "HOMEOSTAT_CONFIG" => Some("/v/config.toml".to_owned()),
        "HOMEOSTAT_DATA" => Some(String::new()),
        _ => None,
    };
    assert_eq!(Paths::choose(None, None, &none, default()).unwrap(), default());
    let chosen = Paths::choose(None, None, &set, default()).unwrap();
    assert_eq!(chosen.config, Path::new("/v/config.toml"));
    assert_eq!(chosen.data, Path::new("/d/data"), "empty is not set");
    let argument = Some(PathBuf::from("here.toml"));
    let chosen = Paths::choose(argument, Some("/a".into()), &set, default()).unwrap();
    assert_eq!(chosen.config, std::env::current_dir().unwrap().join("here.toml"));
    assert_eq!(chosen.journal(), Path::new("/a/journal.db"));
}

#[test]
fn the_data_directory_is_for_its_owner() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("a/b");
    let paths = Paths { config: "/c".into(), data: data.clone() };
    paths.prepare().unwrap();
    paths.prepare().unwrap();
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn one_engine_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lock");
    // Left behind by one that crashed, with a longer number than ours.
    fs::write(&file, "4294967295\n").unwrap();
    let lock = Lock::take(&file).unwrap();
    let second = Lock::take(&file).unwrap_err();
    let held_by_us = matches!(&second, LockError::Held { pid } if *pid == Some(std::process::id()));
    assert!(held_by_us, "{second}");
    assert!(second.to_string().contains(&format!("process {}", std::process::id())));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0o044, "kept as it was");

    // A server that we start outlives us and must not keep the lock.
    let mut outlives = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
    drop(lock);
    let again = Lock::take(&file);
    outlives.kill().unwrap();
    outlives.wait().unwrap();
    again.unwrap();

    let nowhere = Lock::take(&directory.path().join("no/lock")).unwrap_err();
    assert!(matches!(nowhere, LockError::Unusable { .. }), "{nowhere}");
}

#[test]
fn a_ledger_that_is_missing_beside_a_journal_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    assert_eq!(LedgerFile::new(path).load_beside(false), LedgerFound::None, "the very first run");
    assert_eq!(LedgerFile::new(path).load_beside(true), LedgerFound::Damaged);
    LedgerFile::new(path).save(&ledger(1)).unwrap();
    for journal in [true, false] {
        let found = LedgerFile::new(path).load_beside(journal);
        assert_eq!(found, LedgerFound::Good(ledger(1)), "journal: {journal}");
    }
}

/// The whole engine with nothing to watch: its configuration and its data directory.
fn nothing_to_watch(directory: &Path) -> Options {
    let config = directory.join("config.toml");
    let nowhere = "[ollama]\nurl = \"http://127.0.0.1:9\"\n[mlx]\nurl = \"http://127.0.0.1:9\"\n\
                   [docker]\nhost = \"unix:///nowhere.sock\"\n[api]\nlisten = \"127.0.0.1:0\"\n";
    fs::write(&config, nowhere).unwrap();
    Options { config: Some(config), data: Some(directory.join("data")) }
}

/// Who was promised to be careful finds it in the ledger (fault 54).
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_whose_ledger_was_deleted_is_careful() {
    let directory = tempfile::tempdir().unwrap();
    let options = nothing_to_watch(directory.path());
    let data = directory.path().join("data");
    let doubtful = || match load(&data) {
        LedgerFound::Good(ledger) => ledger.targets.values().any(|account| account.doubtful),
        LedgerFound::None | LedgerFound::Damaged => panic!("no ledger"),
    };
    start(options.clone()).await.unwrap().stop().await;
    assert!(!doubtful(), "a first run");
    start(options.clone()).await.unwrap().stop().await;
    assert!(!doubtful(), "a second run");
    for name in ["ledger", "ledger.old"] {
        fs::remove_file(data.join(name)).unwrap();
    }
    start(options).await.unwrap().stop().await;
    assert!(doubtful(), "the ledger was lost");
}

/// Who asked and was told "done" sees it when they look next.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_seen_as_soon_as_it_is_answered() {
    let directory = tempfile::tempdir().unwrap();
    let engine = start(nothing_to_watch(directory.path())).await.unwrap();
    let target = TargetId::Ollama;
    for _ in 0..5 {
        for (wish, intent) in [
            (Wish::Hold { target: target.clone(), within: None }, view::Intent::Held),
            (Wish::Release { target: target.clone() }, view::Intent::Wanted),
        ] {
            let answer = engine.handle.wish(wish, Asker::Person).await;
            assert_eq!(answer, Response::Done);
            let snapshot = engine.handle.snapshot();
            let seen = snapshot.targets.iter().find(|seen| seen.id == "ollama").unwrap();
            assert_eq!(seen.intent, intent);
        }
    }
    engine.stop().await;
}

/// What is on disk while the engine runs, and after it has ended in an orderly way (R32, R39).
#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_says_whether_we_ended_in_an_orderly_way() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let options = || nothing_to_watch(directory.path());
    let found = || match load(&data) {
        LedgerFound::Good(ledger) => Some((ledger.ended, ledger.crashes.len())),
        LedgerFound::None | LedgerFound::Damaged => None,
    };
    for round in 0..2 {
        let engine = start(options()).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while found() != Some((false, 0)) {
            assert!(Instant::now() < deadline, "round {round}: {:?}", found());
            tokio::task::yield_now().await;
        }
        engine.stop().await;
        assert_eq!(found(), Some((true, 0)), "round {round}");
    }
    // As if it had been cut off.
    let LedgerFound::Good(ledger) = load(&data) else { panic!("no ledger") };
    LedgerFile::new(&data).save(&Ledger { ended: false, ..ledger }).unwrap();
    let engine = start(options()).await.unwrap();
    engine.stop().await;
    assert_eq!(found(), Some((true, 1)));
}
