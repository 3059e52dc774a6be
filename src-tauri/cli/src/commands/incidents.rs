//! `incidents`: what went wrong, and one incident's story.

use engine::view::Incident;
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
        output::line("No incident was recorded.");
        return Ok(Exit::Fine);
    }
    let mut rows = vec![["OPENED", "TARGET", "STATE", "CAUSE", "ID"].map(str::to_owned).to_vec()];
    for incident in &page.incidents {
        rows.push(vec![
            local(&incident.opened, "%Y-%m-%d %H:%M:%S"),
            clean(&incident.target),
            incident.state.replace('_', " "),
            clean(&incident.cause.text),
            clean(&incident.id),
        ]);
    }
    for (index, line) in columns(&rows).iter().enumerate() {
        output::line(if index == 0 { paint(Colour::Dim, line) } else { line.clone() });
    }
    if page.next.is_some() {
        output::line("There are older ones; --limit shows more.");
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
    output::line(clean(&incident.cause.text));
    let mut rows = vec![
        ["target".into(), clean(&incident.target)].to_vec(),
        ["cause".into(), format!("{} ({})", clean(&incident.cause.id), incident.cause.confidence)]
            .to_vec(),
        ["state".into(), incident.state.replace('_', " ")].to_vec(),
        ["opened".into(), local(&incident.opened, "%Y-%m-%d %H:%M:%S")].to_vec(),
        ["detected after".into(), millis(incident.detected_after_ms)].to_vec(),
    ];
    let mut add = |name: &str, value: String| rows.push(vec![name.into(), value]);
    if let Some(answering) = incident.answering_after_ms {
        add("answering after", millis(answering));
    }
    if let Some(recovered) = incident.recovered_after_ms {
        add("verified after", millis(recovered));
    }
    add("attempts", incident.attempts.to_string());
    if !incident.affects.is_empty() {
        add("also affected", clean(&incident.affects.join(", ")));
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
        .map(|line| vec![local(&line.at, "%H:%M:%S"), clean(&line.kind), clean(&line.text)])
        .collect();
    columns(&story).iter().for_each(output::line);
    Ok(Exit::Fine)
}
