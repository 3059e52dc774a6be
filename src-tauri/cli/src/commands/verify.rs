//! `verify`: every check of the first users' self-recovery script, one line each with what to do.
//!
//! Servers and services are asked directly, whether an engine runs or not: what this says is seen,
//! not repeated. The engine is asked only what it alone knows.

mod autostart;
mod containers;
mod ourselves;
mod servers;

use engine::config::Config;
use engine::paths::Paths;
use engine::view::Snapshot;
use serde_json::json;

use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::{self, Colour, paint};
use crate::place::environment;
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
    let (config, config_check) = configuration(paths)?;
    let (engine, snapshot) = ourselves::engine(paths).await;
    let snapshot = snapshot.as_ref();
    let mut checks = vec![engine, config_check];
    checks.extend(servers::servers(&config, snapshot).await);
    checks.extend(containers::containers(&config, snapshot).await);
    checks.extend(servers::services(&config).await);
    checks.push(ourselves::memory(engine::platform::memory()));
    checks.push(autostart::autostart());
    checks.push(ourselves::webhook(&config, Connection::find(paths).ok().as_ref()).await);
    checks.push(ourselves::journal(paths));
    checks.extend(snapshot.iter().flat_map(|snapshot| ourselves::messages(snapshot)));
    let failed = checks.iter().filter(|check| check.state == Outcome::Failed).count();
    if json {
        print_json(&checks, failed == 0);
    } else {
        print(&checks, failed);
    }
    Ok(if failed == 0 { Exit::Fine } else { Exit::Wrong })
}

/// With a bad file the defaults tell what to check: the engine does so too when it starts.
pub(super) fn configuration(paths: &Paths) -> Result<(Config, Check), Failure> {
    let file = &paths.config;
    match Config::load(file, &environment) {
        Ok(config) => {
            let says =
                if file.exists() { "is good" } else { "is not there: defaults are in force" };
            Ok((config, Check::good("configuration", format!("{} {says}", file.display()))))
        }
        Err(errors) => {
            let check = Check::failed(
                "configuration",
                errors.to_string().lines().next().unwrap_or("is bad").to_owned(),
                "`homeostat config check` names every error",
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

fn word(outcome: Outcome) -> (&'static str, Option<Colour>) {
    match outcome {
        Outcome::Good => ("ok", None),
        Outcome::Failed => ("FAILED", Some(Colour::Bad)),
        Outcome::Absent => ("-", Some(Colour::Dim)),
    }
}

fn print(checks: &[Check], failed: usize) {
    let rows: Vec<Vec<String>> = checks
        .iter()
        .map(|check| {
            let says = match check.advice.as_str() {
                "" => clean(&check.says),
                advice => format!("{}: {}", clean(&check.says), clean(advice)),
            };
            vec![word(check.state).0.into(), clean(&check.what), says]
        })
        .collect();
    for (check, line) in checks.iter().zip(columns(&rows)) {
        let colour = word(check.state).1;
        output::line(colour.map_or(line.clone(), |colour| paint(colour, &line)));
    }
    output::line(match failed {
        0 => paint(Colour::Good, "Everything that was checked is fine."),
        1 => paint(Colour::Bad, "1 check failed."),
        more => paint(Colour::Bad, &format!("{more} checks failed.")),
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
