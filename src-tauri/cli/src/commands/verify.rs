//! `verify`: every check of the first users' self-recovery script, one line each with what to do.
//!
//! Servers and services are asked directly, whether an engine runs or not: what this says is seen,
//! not repeated. The engine is asked only what it alone knows.

mod autostart;
mod containers;
mod ourselves;
mod servers;

use doctor::Sentence;
use engine::config::Config;
use engine::paths::Paths;
use engine::view::Snapshot;
use engine::words::Words;
use serde_json::json;

use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::{self, Colour, paint};
use crate::place::{environment, words};
use crate::text::{clean, columns};

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Check {
    what: String,
    state: Outcome,
    says: String,
    /// What to do; empty unless it failed.
    advice: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Good,
    Failed,
    /// There is nothing to check: not configured and not found.
    Absent,
}

impl Check {
    fn good(what: impl Into<String>, says: impl Into<String>) -> Self {
        let (what, says) = (what.into(), says.into());
        Self { what, state: Outcome::Good, says, advice: String::new() }
    }

    fn failed(what: impl Into<String>, says: impl Into<String>, advice: impl Into<String>) -> Self {
        let (what, says, advice) = (what.into(), says.into(), advice.into());
        Self { what, state: Outcome::Failed, says, advice }
    }

    fn absent(what: impl Into<String>, says: impl Into<String>) -> Self {
        let (what, says) = (what.into(), says.into());
        Self { what, state: Outcome::Absent, says, advice: String::new() }
    }
}

pub(crate) async fn verify(paths: &Paths, json: bool) -> Result<Exit, Failure> {
    let words = &words(paths);
    let (config, config_check) = configuration(paths, words)?;
    let (engine, snapshot) = ourselves::engine(paths, words).await;
    let snapshot = snapshot.as_ref();
    let mut checks = vec![engine, config_check];
    checks.extend(servers::servers(&config, snapshot, words).await);
    checks.extend(containers::containers(&config, snapshot, words).await);
    checks.extend(servers::services(&config, words).await);
    checks.push(ourselves::memory(engine::platform::memory(), words));
    checks.push(autostart::autostart(words));
    let connection = Connection::find(paths).ok();
    checks.push(ourselves::webhook(&config, connection.as_ref(), words).await);
    checks.push(ourselves::journal(paths, words));
    checks.extend(snapshot.iter().flat_map(|snapshot| ourselves::messages(snapshot)));
    let failed = checks.iter().filter(|check| check.state == Outcome::Failed).count();
    if json {
        print_json(&checks, failed == 0);
    } else {
        print(&checks, failed, words);
    }
    Ok(if failed == 0 { Exit::Fine } else { Exit::Wrong })
}

/// With a bad file the defaults tell what to check: the engine does so too when it starts.
pub(super) fn configuration(paths: &Paths, words: &Words) -> Result<(Config, Check), Failure> {
    let file = &paths.config;
    match Config::load(file, &environment) {
        Ok(config) => {
            let key = if file.exists() { "cli.check_config" } else { "cli.check_config_absent" };
            let says = Sentence::new(key).with("file", file.display().to_string());
            Ok((config, Check::good("configuration", words.sentence(&says))))
        }
        Err(errors) => {
            let check = Check::failed(
                "configuration",
                errors.to_string().lines().next().unwrap_or("is bad").to_owned(),
                words.say("cli.check_config_errors"),
            );
            // What the engine itself goes by then.
            let good = Config::load(&paths.good_config(), &environment);
            let config = match good.or_else(|_| Config::parse(file, "", &environment)) {
                Ok(config) => config,
                Err(errors) => return Err(anyhow::Error::new(errors).into()),
            };
            Ok((config, check))
        }
    }
}

fn word(outcome: Outcome, words: &Words) -> (String, Option<Colour>) {
    match outcome {
        Outcome::Good => (words.say("cli.check_good"), None),
        Outcome::Failed => (words.say("cli.check_failed"), Some(Colour::Bad)),
        Outcome::Absent => ("-".into(), Some(Colour::Dim)),
    }
}

fn print(checks: &[Check], failed: usize, words: &Words) {
    let rows: Vec<Vec<String>> = checks
        .iter()
        .map(|check| {
            let says = match check.advice.as_str() {
                "" => clean(&check.says),
                advice => format!("{}: {}", clean(&check.says), clean(advice)),
            };
            vec![word(check.state, words).0, clean(&check.what), says]
        })
        .collect();
    for (check, line) in checks.iter().zip(columns(&rows)) {
        let colour = word(check.state, words).1;
        output::line(colour.map_or(line.clone(), |colour| paint(colour, &line)));
    }
    output::line(match failed {
        0 => paint(Colour::Good, &words.say("cli.checks_good")),
        1 => paint(Colour::Bad, &words.say("cli.one_check_failed")),
        more => {
            let says = Sentence::new("cli.checks_failed").with("count", more.to_string());
            paint(Colour::Bad, &words.sentence(&says))
        }
    });
}

fn print_json(checks: &[Check], ok: bool) {
    let checks: Vec<_> = checks
        .iter()
        .map(|check| {
            let state = match check.state {
                Outcome::Good => "ok",
                Outcome::Failed => "failed",
                Outcome::Absent => "absent",
            };
            json!({"check": check.what, "state": state, "text": check.says, "advice": check.advice})
        })
        .collect();
    output::json(&json!({"ok": ok, "checks": checks}));
}

/// How the engine sees a target.
fn seen<'a>(snapshot: Option<&'a Snapshot>, id: &str) -> Option<&'a engine::view::Target> {
    snapshot?.targets.iter().find(|target| target.id == id)
}
