//! The mutation check: each guard of `mutations.txt` is taken away in a copy of the doctor, and its
//! tests must fail. What nobody notices is a survivor.
//!
//! `MUTATIONS=fast` takes away those that forbid an act, `MUTATIONS=all` every one, `MUTATIONS=2,11`
//! those alone; without it nothing is compiled, since that takes minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::play::spread;

const TABLE: &str = include_str!("mutations.txt");

/// What a test run may take; one that takes longer never ends, and that is noticed, too.
const LONGEST: Duration = Duration::from_mins(4);

struct Mutation {
    what: String,
    fast: bool,
    /// Where two guards stand for one rule, both are taken away.
    cuts: Vec<Cut>,
}

#[derive(Default)]
struct Cut {
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
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let title = lines.next().unwrap_or_default();
    let mut cuts: Vec<Cut> = Vec::new();
    for line in lines {
        if let Some(take) = line.strip_prefix("- ") {
            cuts.last_mut().expect("a file first").takes.push(take.to_owned());
        } else if let Some(put) = line.strip_prefix("+ ") {
            cuts.last_mut().expect("a file first").puts.push(put.to_owned());
        } else {
            let (file, after) = line.split_once(" @ ").unwrap_or((line, ""));
            cuts.push(Cut { file: file.into(), after: after.into(), ..Cut::default() });
        }
    }
    Mutation {
        what: title.strip_prefix("fast ").unwrap_or(title).into(),
        fast: title.starts_with("fast "),
        cuts,
    }
}

impl Cut {
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
        let at = found.next().filter(|_| !self.takes.is_empty())?;
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
    let mutations = mutations();
    let lost: Vec<String> = mutations
        .iter()
        .flat_map(|mutation| mutation.cuts.iter().map(move |cut| (mutation, cut)))
        .filter(|(_, cut)| {
            let source = fs::read_to_string(crate_root().join("src").join(&cut.file));
            source.ok().and_then(|source| cut.applied(&source)).is_none()
        })
        .map(|(mutation, cut)| format!("{}: {} {:?}", mutation.what, cut.file, cut.takes))
        .collect();
    assert!(lost.is_empty(), "not found exactly once: {lost:#?}");
    assert!(mutations.iter().all(|mutation| !mutation.cuts.is_empty()));
    assert!(mutations.len() >= 50);
    assert!(mutations.iter().filter(|mutation| mutation.fast).count() >= 20);
}

#[test]
fn no_guard_can_be_taken_away_unnoticed() {
    let which = std::env::var("MUTATIONS").unwrap_or_default();
    let meant: Vec<(u64, Mutation)> = (1..)
        .zip(mutations())
        .filter(|(number, mutation)| match which.as_str() {
            "all" => true,
            "fast" => mutation.fast,
            named => named.split(',').any(|one| one.parse() == Ok(*number)),
        })
        .collect();
    if meant.is_empty() {
        eprintln!("no guard is taken away: MUTATIONS=fast, all or their numbers");
        return;
    }
    // As many copies as are mutated at once.
    let free: Mutex<Vec<Copied>> = Mutex::default();
    let taken = || free.lock().expect("no other test panics here").pop();
    let began = Instant::now();
    let survivors = spread(meant.len() as u64, usize::MAX, |at| {
        let (number, mutation) = &meant[usize::try_from(at).unwrap_or_default()];
        let copy = taken().unwrap_or_else(Copied::new);
        let noticed = copy.without(mutation);
        free.lock().expect("no other test panics here").push(copy);
        match noticed {
            Noticed::By(who) => {
                eprintln!("{number:>3} noticed by {who}: {}", mutation.what);
                None
            }
            Noticed::ByNobody => {
                eprintln!("{number:>3} SURVIVES: {}", mutation.what);
                Some(format!("{number} {}", mutation.what))
            }
            Noticed::NotCompiled => {
                eprintln!("{number:>3} DOES NOT COMPILE: {}", mutation.what);
                Some(format!("{number} does not compile: {}", mutation.what))
            }
        }
    });
    eprintln!("{} guards taken away in {} s", meant.len(), began.elapsed().as_secs());
    assert!(survivors.is_empty(), "nobody notices: {survivors:#?}");
}

enum Noticed {
    By(String),
    ByNobody,
    NotCompiled,
}

/// The doctor with its tests and stories, alone in a workspace of its own.
struct Copied {
    root: PathBuf,
}

impl Copied {
    /// The copy as it is passes its tests, or nothing that fails in it would mean anything.
    fn new() -> Self {
        static COPIES: Mutex<u32> = Mutex::new(0);
        let number = {
            let mut copies = COPIES.lock().expect("counting does not panic");
            *copies += 1;
            *copies
        };
        let this = std::env::current_exe().expect("this program");
        let target = this.ancestors().nth(3).expect("the target directory");
        let copy = Self { root: target.join(format!("mutations-{number}")) };
        copy.fill();
        match copy.noticed() {
            Noticed::ByNobody => copy,
            Noticed::By(who) => panic!("the copy fails without a mutation: {who}"),
            Noticed::NotCompiled => panic!("the copy does not compile"),
        }
    }

    fn fill(&self) {
        let here = crate_root().join("../..");
        for folder in ["src-tauri/doctor", "tests"] {
            fs::remove_dir_all(self.root.join(folder)).ok();
        }
        for part in
            ["src-tauri/doctor/src", "src-tauri/doctor/tests", "tests/support", "tests/scenarios"]
        {
            copy_folder(&here.join(part), &self.root.join(part));
        }
        let workspace = fs::read_to_string(here.join("Cargo.toml")).expect("the workspace");
        let only_doctor = |line: &str| match line.split(' ').next() {
            Some("members") => Some("members = [\"src-tauri/doctor\"]".to_owned()),
            Some("default-members" | "engine") => None,
            _ => Some(line.to_owned()),
        };
        let kept = workspace.split("[profile.").next().unwrap_or_default();
        let kept: Vec<String> = kept.lines().filter_map(only_doctor).collect();
        // What is compiled anew for each guard must be compiled fast, and run not too slowly.
        let profile = "[profile.dev]\nopt-level = 1\ndebug = false\nincremental = true\n";
        fs::write(self.root.join("Cargo.toml"), kept.join("\n") + "\n" + profile)
            .expect("its workspace");
        let manifest = fs::read_to_string(crate_root().join("Cargo.toml")).expect("the manifest");
        let (before, rest) = manifest.split_once("[[bench]]").expect("the benchmark");
        let rest = rest.split_once("[lints]").expect("the lints").1;
        // One program with all tests is linked once.
        let manifest = before.replace("[dependencies]", "autotests = false\n\n[dependencies]")
            + "[[test]]\nname = \"rules\"\n\n[lints]"
            + rest;
        let unneeded =
            |line: &&str| !["criterion", "proptest"].iter().any(|one| line.starts_with(one));
        let manifest: Vec<&str> = manifest.lines().filter(unneeded).collect();
        let doctor = self.root.join("src-tauri/doctor");
        fs::write(doctor.join("Cargo.toml"), manifest.join("\n")).expect("its manifest");
        let mut tests = fs::read_to_string(doctor.join("tests/rules.rs")).expect("the tests");
        for part in ["dice", "play", "sequences", "thresholds", "triples"] {
            tests.extend(["#[path = \"proof/", part, ".rs\"]\nmod ", part, ";\n"]);
        }
        fs::write(doctor.join("tests/rules.rs"), tests).expect("all tests in one");
        fs::copy(here.join("Cargo.lock"), self.root.join("Cargo.lock")).expect("the lock file");
    }

    fn without(&self, mutation: &Mutation) -> Noticed {
        let src = self.root.join("src-tauri/doctor/src");
        let mut before: Vec<(PathBuf, String)> = Vec::new();
        for cut in &mutation.cuts {
            let place = src.join(&cut.file);
            let source = fs::read_to_string(&place).expect("a source file");
            fs::write(&place, cut.applied(&source).expect("its guard")).expect("a mutated file");
            before.push((place, source));
        }
        let noticed = self.noticed();
        for (place, source) in before.into_iter().rev() {
            fs::write(place, source).expect("the file as it was");
        }
        noticed
    }

    /// Which test fails first.
    fn noticed(&self) -> Noticed {
        let Some(program) = self.compiled() else { return Noticed::NotCompiled };
        let proofs = ["p1_to_p15", "every_triple_of"];
        let stories = ["stories_are_as_written"];
        let others =
            ["r53_at_most_one_digest", "a_flood_of", "every_disturbed", "every_why", "p9_", "p11_"];
        let rules: Vec<&str> = proofs
            .iter()
            .chain(&stories)
            // Of these each takes seconds, and would take them for every guard.
            .chain(&others)
            .flat_map(|one| ["--skip", one])
            .collect();
        for only in [&stories[..], &proofs, &rules] {
            if let Some(who) = self.fails(&program, only) {
                return Noticed::By(who);
            }
        }
        Noticed::ByNobody
    }

    fn compiled(&self) -> Option<PathBuf> {
        let compiled = Command::new(env!("CARGO"))
            .current_dir(&self.root)
            .args(["test", "--offline", "--test", "rules", "--no-run", "--message-format=json"])
            .env("CARGO_TARGET_DIR", self.root.join("target"))
            .stderr(Stdio::null())
            .output()
            .expect("cargo");
        let told = String::from_utf8_lossy(&compiled.stdout);
        let program = told.lines().rev().find_map(|line| {
            let said: serde_json::Value = serde_json::from_str(line).ok()?;
            let name = said["target"]["name"].as_str()?;
            said["executable"].as_str().filter(|_| name == "rules").map(PathBuf::from)
        });
        program.filter(|_| compiled.status.success())
    }

    /// The first test of these that fails, or that they never end.
    fn fails(&self, program: &Path, only: &[&str]) -> Option<String> {
        let log = self.root.join("log");
        let mut run = Command::new(program)
            .current_dir(self.root.join("src-tauri/doctor"))
            .args(only)
            .env("SEQUENCES", "200")
            .env("TRIPLES", "50")
            .env("FAILURES", "1")
            .env("RUST_BACKTRACE", "0")
            .env_remove("DISTURB")
            .stdout(fs::File::create(&log).expect("a log"))
            .stderr(Stdio::null())
            .spawn()
            .expect("the tests run");
        let began = Instant::now();
        let ended = loop {
            match run.try_wait().expect("their end") {
                Some(status) => break Some(status),
                None if began.elapsed() > LONGEST => break None,
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let Some(status) = ended else {
            run.kill().ok();
            run.wait().ok();
            return Some("a test that never ends".into());
        };
        let told = fs::read_to_string(log).unwrap_or_default();
        let failed = told.lines().find_map(|line| {
            line.strip_prefix("test ")?.split_once(" ... FAILED").map(|(name, _)| name.to_owned())
        });
        (!status.success()).then(|| failed.unwrap_or_else(|| "the end of the program".into()))
    }
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
