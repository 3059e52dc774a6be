//! `incidents`: what went wrong, and one incident's story.

use engine::view::Incident;
use engine::words::Words;
use serde::Deserialize;
use serde_json::Value;

use crate::connection::{Connection, encoded};
use crate::failure::{Exit, Failure};
use crate::output::{self, Colour, paint};
use crate::text::{clean, columns, local, millis};

#[derive(Deserialize)]
struct Page {
    incidents: Vec<Incident>,
    next: Option<String>,
}

pub(crate) async fn list(connection: &Connection, limit: u16, json: bool) -> Result<Exit, Failure> {
    let path = format!("/incidents?limit={limit}");
    if json {
        output::json(&connection.get::<Value>(&path).await?);
        return Ok(Exit::Fine);
    }
    let page: Page = connection.get(&path).await?;
    if page.incidents.is_empty() {
        output::line(connection.words().await.say("cli.no_incident"));
        return Ok(Exit::Fine);
    }
    let words = connection.words().await;
    let headings = ["cli.opened", "cli.target", "cli.state", "cli.cause"].map(|key| words.say(key));
    let mut headings: Vec<String> = headings.iter().map(|word| word.to_uppercase()).collect();
    headings.push("ID".into());
    let mut rows = vec![headings];
    for incident in &page.incidents {
        rows.push(vec![
            local(&incident.opened, "%Y-%m-%d %H:%M:%S"),
            clean(&incident.target),
            state(&words, &incident.state),
            clean(&incident.cause.text),
            clean(&incident.id),
        ]);
    }
    for (index, line) in columns(&rows).iter().enumerate() {
        output::line(if index == 0 { paint(Colour::Dim, line) } else { line.clone() });
    }
    if page.next.is_some() {
        output::line(words.say("cli.older"));
    }
    Ok(Exit::Fine)
}

pub(crate) async fn one(connection: &Connection, id: &str, json: bool) -> Result<Exit, Failure> {
    let path = format!("/incidents/{}", encoded(id));
    if json {
        output::json(&connection.get::<Value>(&path).await?);
        return Ok(Exit::Fine);
    }
    let incident: Incident = connection.get(&path).await?;
    let words = connection.words().await;
    output::line(clean(&incident.cause.text));
    let sure = sure(&words, &incident.cause.confidence);
    let mut rows = vec![
        [words.say("cli.target"), clean(&incident.target)].to_vec(),
        [words.say("cli.cause"), format!("{} ({sure})", clean(&incident.cause.id))].to_vec(),
        [words.say("cli.state"), state(&words, &incident.state)].to_vec(),
        [words.say("cli.opened"), local(&incident.opened, "%Y-%m-%d %H:%M:%S")].to_vec(),
        [words.say("cli.detected_after"), millis(incident.detected_after_ms, &words)].to_vec(),
    ];
    let mut add = |key: &str, value: String| rows.push(vec![words.say(key), value]);
    if let Some(answering) = incident.answering_after_ms {
        add("cli.answering_after", millis(answering, &words));
    }
    if let Some(recovered) = incident.recovered_after_ms {
        add("cli.verified_after", millis(recovered, &words));
    }
    add("cli.attempts", incident.attempts.to_string());
    if !incident.affects.is_empty() {
        add("cli.also_affected", clean(&incident.affects.join(", ")));
    }
    columns(&rows).iter().for_each(output::line);
    for evidence in &incident.cause.evidence {
        output::line(format!("- {}", clean(evidence)));
    }
    if !incident.cause.advice.is_empty() {
        output::line(clean(&incident.cause.advice));
    }
    if !incident.story.is_empty() {
        output::line("");
    }
    let story: Vec<Vec<String>> = incident
        .story
        .iter()
        .map(|line| vec![local(&line.at, "%H:%M:%S"), kind(&words, &line.kind), clean(&line.text)])
        .collect();
    columns(&story).iter().for_each(output::line);
    if !incident.log.is_empty() {
        output::line("");
        output::line(words.say("cli.last_words"));
    }
    incident.log.iter().for_each(|line| output::line(format!("| {}", clean(line))));
    Ok(Exit::Fine)
}

fn state(words: &Words, state: &str) -> String {
    words.say(match state {
        "open" => "cli.state_open",
        "healing" => "cli.state_healing",
        "given_up" => "status.given_up",
        "verified" => "cli.verified",
        "healed_itself" => "cli.state_healed_itself",
        "closed" => "cli.state_closed",
        other => return clean(&other.replace('_', " ")),
    })
}

fn sure(words: &Words, confidence: &str) -> String {
    words.say(match confidence {
        "possible" => "cli.sure_possible",
        "likely" => "cli.sure_likely",
        "certain" => "cli.sure_certain",
        other => return clean(other),
    })
}

fn kind(words: &Words, kind: &str) -> String {
    words.say(match kind {
        "seen" => "cli.kind_seen",
        "concluded" => "cli.kind_concluded",
        "done" => "cli.kind_done",
        "proven" => "cli.kind_proven",
        "failed" => "cli.kind_failed",
        other => return clean(other),
    })
}
