//! `status`: everything in one look, or one target with its cause and advice.

use doctor::Sentence;
use engine::view::{Intent, Look, Model, Snapshot, State, Summary, Target, Why};
use engine::words::Words;
use serde_json::Value;

use super::act::check;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::{self, Colour, paint};
use crate::text::{ago, clean, columns, seconds};

pub(crate) async fn status(connection: &Connection, json: bool) -> Result<Exit, Failure> {
    let value: Value = connection.get("/status").await?;
    let snapshot = read(&value)?;
    if json {
        output::json(&value);
    } else {
        draw(&snapshot);
    }
    Ok(match snapshot.summary {
        Summary::Well | Summary::Unknown => Exit::Fine,
        Summary::Healing | Summary::Attention => Exit::Wrong,
    })
}

pub(crate) async fn target(connection: &Connection, id: &str, json: bool) -> Result<Exit, Failure> {
    check(id)?;
    let value: Value = connection.get("/status").await?;
    let snapshot = read(&value)?;
    let Some(place) = snapshot.targets.iter().position(|target| target.id == id) else {
        let known: Vec<String> = snapshot.targets.iter().map(|target| clean(&target.id)).collect();
        return Err(Failure::Refused(format!(
            "{id} is not watched. Watched are: {}.",
            known.join(", ")
        )));
    };
    let target = &snapshot.targets[place];
    if json {
        output::json(&value["targets"][place]);
    } else {
        draw_target(target, &snapshot);
    }
    Ok(if is_wrong(target) { Exit::Wrong } else { Exit::Fine })
}

fn read(value: &Value) -> Result<Snapshot, Failure> {
    serde_json::from_value(value.clone()).map_err(|error| {
        Failure::Other(anyhow::Error::new(error).context("the engine is of another version"))
    })
}

/// What a person holds is as it is meant to be.
fn is_wrong(target: &Target) -> bool {
    match target.state {
        State::Degraded | State::Down | State::Recovering | State::GivenUp => {
            target.intent == Intent::Wanted
        }
        State::Unknown | State::Starting | State::Healthy | State::Slow => false,
    }
}

fn draw(snapshot: &Snapshot) {
    let words = Words::new(&snapshot.language);
    let colour = match snapshot.summary {
        Summary::Well => Colour::Good,
        Summary::Healing => Colour::Busy,
        Summary::Attention => Colour::Bad,
        Summary::Unknown => Colour::Dim,
    };
    output::line(paint(colour, &clean(&snapshot.headline)));
    if !snapshot.subline.is_empty() {
        output::line(clean(&snapshot.subline));
    }
    for message in &snapshot.messages {
        output::line(paint(Colour::Busy, &format!("! {}", clean(message))));
    }
    output::line("");
    let mut found: Vec<&Target> = snapshot.targets.iter().collect();
    found.sort_by_key(|target| !target.found);
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|target| {
            vec![clean(&target.id), word(target, &words), ago(&target.since, &words), about(target)]
        })
        .collect();
    for (target, line) in found.iter().zip(columns(&rows)) {
        output::line(match tint(target) {
            Some(colour) => paint(colour, &line),
            None => line,
        });
    }
    if !snapshot.models.is_empty() {
        output::line("");
        let rows: Vec<Vec<String>> = snapshot.models.iter().map(|one| model(one, &words)).collect();
        columns(&rows).iter().for_each(output::line);
    }
    let memory = &snapshot.memory;
    if memory.total_bytes > 0 {
        output::line("");
        let says = Sentence::new("cli.memory")
            .with("available", doctor::Value::Bytes(memory.available_bytes))
            .with("total", doctor::Value::Bytes(memory.total_bytes))
            .with("pressure", words.say(pressure(memory.pressure)))
            .with("used", doctor::Value::Bytes(memory.swap_used_bytes))
            .with("swap", doctor::Value::Bytes(memory.swap_total_bytes));
        output::line(words.sentence(&says));
    }
    if snapshot.fallback {
        output::line(paint(Colour::Busy, &words.say("cli.fallback")));
    }
}

fn draw_target(target: &Target, snapshot: &Snapshot) {
    let words = &Words::new(&snapshot.language);
    let head = format!("{}: {}", clean(&target.name), word(target, words));
    output::line(tint(target).map_or(head.clone(), |colour| paint(colour, &head)));
    if let Some(cause) = &target.cause {
        output::line(clean(&cause.text));
        for evidence in &cause.evidence {
            output::line(format!("- {}", clean(evidence)));
        }
        if !cause.advice.is_empty() {
            output::line(format!("{} {}", words.say("status.advice"), clean(&cause.advice)));
        }
    }
    let since = Sentence::new("status.ago").with("time", ago(&target.since, words));
    let mut rows = vec![
        vec!["id".into(), clean(&target.id)],
        vec![words.say("status.since"), words.sentence(&since)],
    ];
    rows.extend(why(&target.why, words));
    let mut add = |label: &str, value: String| {
        if !value.is_empty() {
            rows.push(vec![words.say(label), value]);
        }
    };
    let said = |text: &str| {
        text == target.why.text || target.cause.as_ref().is_some_and(|cause| cause.text == text)
    };
    if !said(&target.line) {
        add("status.about", clean(&target.line));
    }
    let parent = target.inhibited_by.as_deref();
    add("status.waits_for", parent.map(|id| name_of(id, snapshot)).unwrap_or_default());
    let launch = target.detail.get("launch").and_then(serde_json::Value::as_str);
    add("status.launch", launch.map(clean).unwrap_or_default());
    let restarts = Sentence::new("status.last_hour").with("count", target.restarts_last_hour);
    add("status.restarts", words.sentence(&restarts));
    add("status.actions", target.actions.join(", "));
    columns(&rows).iter().for_each(output::line);
}

/// Why it is so, why nothing is done, what would change that, and what comes next.
fn why(why: &Why, words: &Words) -> Vec<Vec<String>> {
    let mut rows = vec![vec![words.say("status.why"), clean(&why.text)]];
    if let Some(idle) = why.nothing_done.as_deref().filter(|idle| *idle != why.text) {
        rows.push(vec![words.say("status.not_treated"), clean(idle)]);
    }
    for (place, change) in why.changes.iter().enumerate() {
        let label = if place == 0 { words.say("status.changes_when") } else { String::new() };
        rows.push(vec![label, clean(change)]);
    }
    let local = |at: &str| crate::text::local(at, "%H:%M:%S");
    let at = why.next_look.as_deref().map(local);
    let look = match (why.look, at) {
        (Look::Now, _) => words.say("status.look_now"),
        (Look::Waits, _) => words.say("status.look_waits"),
        (Look::Told, Some(at)) => {
            words.sentence(&Sentence::new("status.look_told_or").with("time", at))
        }
        (Look::Told, None) => words.say("status.look_told"),
        (Look::At, at) => at.unwrap_or_default(),
    };
    if !look.is_empty() {
        rows.push(vec![words.say("status.next_check"), look]);
    }
    if let Some(at) = why.next_attempt.as_deref() {
        rows.push(vec![words.say("status.next_attempt"), local(at)]);
    }
    rows
}

fn name_of(id: &str, snapshot: &Snapshot) -> String {
    let known = snapshot.targets.iter().find(|target| target.id == id);
    clean(known.map_or(id, |target| &target.name))
}

fn model(model: &Model, words: &Words) -> Vec<String> {
    let stays = match model.expires_in_s {
        _ if model.pinned => words.say("cli.pinned"),
        Some(left) => {
            words.sentence(&Sentence::new("cli.unloads_in").with("time", seconds(left, words)))
        }
        None => words.say("cli.stays_loaded"),
    };
    // An MLX server may not tell.
    let size = Some(model.size_bytes).filter(|bytes| *bytes > 0);
    let size = size.map_or_else(|| "–".to_owned(), |bytes| words.bytes(bytes));
    vec![clean(&model.name), clean(&model.server), size, stays]
}

fn about(target: &Target) -> String {
    match &target.cause {
        Some(cause) => clean(&cause.text),
        None => clean(&target.line),
    }
}

fn word(target: &Target, words: &Words) -> String {
    words.say(match (target.intent, target.state) {
        (Intent::Held, _) => "status.held",
        (Intent::Completed, _) => "status.completed",
        (Intent::Wanted, _) if !target.found => "status.not_found",
        (Intent::Wanted, state) => match state {
            State::Unknown => "status.unknown",
            State::Starting => "status.starting",
            State::Healthy => "status.healthy",
            State::Slow => "status.slow",
            State::Degraded => "status.degraded",
            State::Down => "status.down",
            State::Recovering => "status.recovering",
            State::GivenUp => "status.given_up",
        },
    })
}

fn tint(target: &Target) -> Option<Colour> {
    if !target.found || target.intent != Intent::Wanted {
        return Some(Colour::Dim);
    }
    match target.state {
        State::Healthy | State::Unknown => None,
        State::Starting | State::Slow | State::Recovering => Some(Colour::Busy),
        State::Degraded | State::Down | State::GivenUp => Some(Colour::Bad),
    }
}

fn pressure(level: u8) -> &'static str {
    match level {
        0 => "cli.pressure_unknown",
        1 => "cli.no_pressure",
        2 | 3 => "cli.under_pressure",
        4.. => "cli.critical_pressure",
    }
}
