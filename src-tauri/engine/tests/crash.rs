//! Killed at any moment, out of space at any moment: what was acknowledged is there.
//!
//! This program starts itself as the process that writes, so it has no test harness.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking; the child answers on its output"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use doctor::{Asker, Entry, Ledger, LedgerFound, RemedyRecord, TargetId, Verb, Wall};
use engine::journal::Journal;
use engine::ledger::LedgerFile;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, "--write", directory, first] => {
            write_for_ever(Path::new(directory), first.parse().unwrap());
        }
        [_, "--fill", directory] => fill(Path::new(directory)),
        // A runner that asks what tests there are.
        [_, .., "--list"] => {}
        _ => {
            killed_while_writing();
            if cfg!(target_os = "linux") {
                out_of_space();
            }
        }
    }
    ExitCode::SUCCESS
}

/// Twenty times: a process writes both files as fast as it can and is killed at some moment.
fn killed_while_writing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut acknowledged = 0;
    let mut killed_in_the_middle = 0;
    for round in 0..20_u64 {
        let mut writer =
            start(Command::new(own()), &["--write", &text(path), &acknowledged.to_string()]);
        let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        // Killed after some entries, at a moment that differs from round to round.
        let enough = acknowledged + 1 + round * 3;
        let began = Instant::now();
        let pause = Duration::from_micros(round * 137);
        let mut killed = false;
        for line in lines {
            // The last line may be cut by the kill.
            let Ok(number) = line.unwrap_or_default().parse::<u64>() else { break };
            acknowledged = number;
            assert!(began.elapsed() < Duration::from_mins(1), "the writer is too slow");
            if number >= enough && !killed {
                std::thread::sleep(pause);
                writer.kill().unwrap();
                killed = true;
            }
        }
        let status = writer.wait().unwrap();
        assert!(killed && !status.success(), "round {round}: it was not killed but {status}");

        let (journal, said) = Journal::open(&path.join("journal.db"));
        assert_eq!(said, None, "round {round}");
        assert_eq!(journal.verify(), None, "round {round}");
        let remedies = journal.remedies("incident").unwrap();
        let present = remedies.len() as u64;
        let consecutive = remedies.iter().zip(0..).all(|(remedy, number)| remedy.attempt == number);
        assert!(consecutive, "round {round}: entries are missing");
        assert!(
            present == acknowledged || present == acknowledged + 1,
            "round {round}: {acknowledged} acknowledged, {present} present"
        );
        let LedgerFound::Good(ledger) = LedgerFile::new(path).load() else {
            panic!("round {round}: no ledger")
        };
        let saved = u64::try_from(ledger.written.0).unwrap();
        assert!(
            saved == acknowledged || saved == acknowledged + 1,
            "round {round}: ledger {saved}"
        );
        killed_in_the_middle += u32::from(present > acknowledged || saved > acknowledged);
        acknowledged = present;
    }
    assert!(acknowledged > 200, "only {acknowledged} entries in all");
    // Some of twenty kills must have met a write between its commit and its acknowledgement.
    println!("{acknowledged} entries, {killed_in_the_middle} kills between commit and answer");
}

/// The file can't grow beyond a limit, and later it can: nothing is lost.
fn out_of_space() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let limited = "trap '' XFSZ; ulimit -S -f 200; exec \"$0\" --fill \"$1\"";
    let mut writer = start(Command::new("bash"), &["-c", limited, &text(&own()), &text(path)]);
    let mut answers = BufReader::new(writer.stdout.take().unwrap()).lines();
    let mut asks = writer.stdin.take().unwrap();
    let mut step = || {
        writeln!(asks, "next").unwrap();
        answers.next().expect("an answer").unwrap()
    };
    let mut written = 0;
    let mut answer = step();
    while answer == "written" {
        written += 1;
        assert!(written < 10_000, "the limit was never met");
        answer = step();
    }
    assert!(answer.starts_with("not written yet, kept in memory with 1 waiting"), "{answer}");
    let mut kept = 1;
    for _ in 0..20 {
        assert!(step().starts_with("not written yet"));
        kept += 1;
    }
    let pid = writer.id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
    assert!(raised.unwrap().success());
    assert_eq!(step(), "written", "there is space again");
    drop(asks);
    assert!(writer.wait().unwrap().success());
    let (journal, said) = Journal::open(&path.join("journal.db"));
    assert_eq!(said, None);
    assert_eq!(journal.remedies("incident").unwrap().len(), written + kept + 1);
    println!("{written} written, {kept} kept while there was no space, all there in the end");
}

/// The child: tells each number once it is on disk in both files.
fn write_for_ever(directory: &Path, first: u64) {
    let (journal, said) = Journal::open(&directory.join("journal.db"));
    assert_eq!(said, None);
    let file = LedgerFile::new(directory);
    file.load();
    let mut out = std::io::stdout();
    for number in first.. {
        journal.write(&remedy(number)).unwrap();
        let written = Wall(i64::try_from(number + 1).unwrap());
        file.save(&Ledger { written, ..Ledger::default() }).unwrap();
        writeln!(out, "{}", number + 1).unwrap();
        out.flush().unwrap();
    }
}

/// The child: one entry for each line it is sent, and how it went.
fn fill(directory: &Path) {
    let (journal, _) = Journal::open(&directory.join("journal.db"));
    for (number, line) in std::io::stdin().lines().enumerate() {
        line.unwrap();
        match journal.write(&remedy(number as u64)) {
            Ok(()) => println!("written"),
            Err(error) => println!("{error}"),
        }
    }
}

fn remedy(number: u64) -> Entry {
    Entry::Remedy(RemedyRecord {
        operation: "operation".into(),
        attempt: u32::try_from(number).unwrap(),
        incident: Some("incident".into()),
        target: TargetId::Ollama,
        verb: Verb::Restart,
        by: Asker::Doctor,
        began: Wall(0),
        ended: None,
        result: None,
        steps: Vec::new(),
        says: None,
    })
}

fn start(mut command: Command, arguments: &[&str]) -> Child {
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

fn own() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    assert!(fs::metadata(&own).unwrap().is_file());
    own
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
