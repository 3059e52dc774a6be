//! The mutation check: each guard of `mutations.txt` is taken away in a copy of the doctor, and its
//! tests must fail. What nobody notices is a survivor.
//!
//! `MUTATIONS=all` takes away every guard and not only the fast set; `MUTATION=n` the nth alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::play::count;

const TABLE: &str = include_str!("mutations.txt");

struct Mutation {
    what: String,
    fast: bool,
    file: String,
    /// The text behind which to look.
    after: String,
    takes: Vec<String>,
    puts: Vec<String>,
}

fn mutations() -> Vec<Mutation> {
    TABLE.split("\n## ").skip(1).map(read).collect()
}

fn read(text: &str) -> Mutation {
    let mut lines = text.lines();
    let title = lines.next().unwrap_or_default();
    let place = lines.next().expect("the file");
    let (file, after) = place.split_once(" @ ").unwrap_or((place, ""));
    let (mut takes, mut puts) = (Vec::new(), Vec::new());
    for line in lines {
        if let Some(take) = line.strip_prefix("- ") {
            takes.push(take.to_owned());
        } else if let Some(put) = line.strip_prefix("+ ") {
            puts.push(put.to_owned());
        }
    }
    Mutation {
        what: title.strip_prefix("fast ").unwrap_or(title).into(),
        fast: title.starts_with("fast "),
        file: file.into(),
        after: after.into(),
        takes,
        puts,
    }
}

impl Mutation {
    /// The source without the guard; none when the text is not there exactly once.
    fn applied(&self, source: &str) -> Option<String> {
        let from = source.find(&self.after)?;
        let lines: Vec<&str> = source[from..].lines().collect();
        let at = |at: &usize| {
            let here = &lines[*at..];
            here.len() >= self.takes.len()
                && here.iter().zip(&self.takes).all(|(line, take)| line.trim() == take)
        };
        let mut found = (0..lines.len()).filter(at);
        let at = found.next()?;
        if self.after.is_empty() && found.next().is_some() {
            return None;
        }
        let mut mutated = lines[..at].join("\n") + "\n";
        mutated += &self.puts.join("\n");
        mutated += "\n";
        mutated += &lines[at + self.takes.len()..].join("\n");
        Some(source[..from].to_owned() + &mutated + "\n")
    }
}

fn crate_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_mutation_finds_its_guard() {
    let lost: Vec<String> = mutations()
        .iter()
        .filter(|mutation| {
            let source = fs::read_to_string(crate_root().join("src").join(&mutation.file));
            source.is_ok_and(|source| mutation.applied(&source).is_none())
        })
        .map(|mutation| format!("{}: {:?}", mutation.what, mutation.takes))
        .collect();
    assert!(lost.is_empty(), "not found exactly once: {lost:#?}");
    assert!(mutations().len() >= 30);
}

#[test]
#[ignore = "takes minutes: cargo test -p doctor --profile proof --test proof no_guard -- --ignored"]
fn no_guard_can_be_taken_away_unnoticed() {
    let copy = copied();
    assert!(notices(&copy).is_none(), "the copy fails without a mutation");
    let all = std::env::var("MUTATIONS").is_ok_and(|which| which == "all");
    let one = count("MUTATION", 0);
    let mut survivors = Vec::new();
    for (number, mutation) in (1..).zip(mutations()) {
        if if one > 0 { number != one } else { !(all || mutation.fast) } {
            continue;
        }
        let place = copy.join("src-tauri/doctor/src").join(&mutation.file);
        let source = fs::read_to_string(&place).expect("a source file");
        fs::write(&place, mutation.applied(&source).expect("its guard")).expect("a mutated file");
        if let Some(who) = notices(&copy) {
            eprintln!("{number:>3} noticed by {who}: {}", mutation.what);
        } else {
            eprintln!("{number:>3} SURVIVES: {}", mutation.what);
            survivors.push(mutation.what);
        }
        fs::write(&place, source).expect("the file as it was");
    }
    assert!(survivors.is_empty(), "nobody notices: {survivors:#?}");
}

/// The doctor with its tests and stories, alone in a workspace of its own.
fn copied() -> PathBuf {
    let here = crate_root().join("../..");
    let this = std::env::current_exe().expect("this program");
    let target = this.ancestors().nth(3).expect("the target directory");
    let copy = target.join("mutations");
    for folder in ["src-tauri/doctor", "tests"] {
        fs::remove_dir_all(copy.join(folder)).ok();
    }
    for part in
        ["src-tauri/doctor/src", "src-tauri/doctor/tests", "tests/support", "tests/scenarios"]
    {
        copy_folder(&here.join(part), &copy.join(part));
    }
    let manifest = fs::read_to_string(here.join("Cargo.toml")).expect("the workspace");
    let manifest: Vec<&str> =
        manifest
            .lines()
            .filter(|line| !line.starts_with("default-members") && !line.starts_with("engine ="))
            .map(|line| {
                if line.starts_with("members") { "members = [\"src-tauri/doctor\"]" } else { line }
            })
            .take_while(|line| !line.starts_with("[profile.release"))
            .collect();
    fs::write(copy.join("Cargo.toml"), manifest.join("\n")).expect("its workspace");
    let manifest = fs::read_to_string(crate_root().join("Cargo.toml")).expect("the manifest");
    // Benchmarks are left out, and their library with them.
    let (before, rest) = manifest.split_once("[[bench]]").expect("the benchmark");
    let rest = rest.split_once("[lints]").expect("the lints").1;
    let before: Vec<&str> = before.lines().filter(|line| !line.starts_with("criterion")).collect();
    let manifest = format!("{}\n[lints]{rest}", before.join("\n"));
    fs::write(copy.join("src-tauri/doctor/Cargo.toml"), manifest).expect("its manifest");
    fs::copy(here.join("Cargo.lock"), copy.join("Cargo.lock")).expect("the lock file");
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder that is there").flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a copied file");
        }
    }
}

/// Which tests fail first; none when all of them pass.
fn notices(copy: &Path) -> Option<&'static str> {
    // Those that take seconds would be run for every guard.
    let slow = ["--skip", "r53_at_most_one_digest_an_hour", "--skip", "every_sentence"];
    for (test, only) in [
        ("rules", &slow[..]),
        ("proof", &["stories_are_as_written", "p1_to_p15", "every_triple"][..]),
    ] {
        let compiles = run(copy, &["--test", test, "--no-run"], &[]);
        assert!(compiles, "the mutated doctor does not compile");
        if !run(copy, &["--test", test], only) {
            return Some(test);
        }
    }
    None
}

fn run(copy: &Path, what: &[&str], only: &[&str]) -> bool {
    let ran = Command::new(env!("CARGO"))
        .current_dir(copy)
        .args(["test", "--quiet", "--offline", "-p", "doctor"])
        .args(what)
        .arg("--")
        .args(only)
        .env("CARGO_TARGET_DIR", copy.join("target"))
        .env("SEQUENCES", "200")
        .env("TRIPLES", "50")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("cargo");
    ran.success()
}
