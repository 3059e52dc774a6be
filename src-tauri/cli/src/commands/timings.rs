//! `timings`: how fast each model is, as table, Markdown, CSV or JSON.

use engine::view::ModelTiming;
use engine::words::Words;
use serde::Deserialize;
use serde_json::Value;

use crate::arguments::Format;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::{self, Colour, paint};
use crate::text::{clean, columns, millis, seconds};

#[derive(Deserialize)]
struct Timings {
    models: Vec<TimedModel>,
}

#[derive(Deserialize)]
struct TimedModel {
    server: String,
    model: String,
    last: Option<ModelTiming>,
    suggested_timeout_s: u64,
    suggested_task_timeout_s: u64,
}

const HEADINGS: [&str; 8] =
    ["MODEL", "SERVER", "LOAD", "FIRST TOKEN", "SPEED", "MEMORY", "TIMEOUT", "10 CALLS"];

/// The same, in the reader's language; what is written for programs and pages keeps its names.
const KEYS: [&str; 8] = [
    "cli.model",
    "cli.server",
    "cli.load",
    "cli.first_token",
    "cli.speed",
    "cli.needs_memory",
    "cli.timeout",
    "cli.ten_calls",
];

pub(crate) async fn timings(
    connection: &Connection,
    format: Format,
    json: bool,
) -> Result<Exit, Failure> {
    match format {
        Format::Json => print_json(connection).await?,
        Format::Table | Format::Md | Format::Csv if json => print_json(connection).await?,
        Format::Table => table(connection).await?,
        Format::Md => {
            let row = |cells: &[String]| output::line(format!("| {} |", cells.join(" | ")));
            row(&HEADINGS.map(str::to_lowercase));
            row(&HEADINGS.map(|_| "---".to_owned()));
            let words = Words::default();
            for model in &read(connection).await? {
                let cells = readable(model, &words);
                row(&cells.map(|cell| cell.replace('|', "\\|")));
            }
        }
        Format::Csv => {
            output::line(
                "server,model,at,load_ms,first_token_ms,prompt_tokens_per_s,tokens_per_s,memory_bytes,error,suggested_timeout_s,suggested_task_timeout_s",
            );
            for model in read(connection).await? {
                output::line(exact(&model).map(quoted).join(","));
            }
        }
    }
    Ok(Exit::Fine)
}

pub(crate) async fn table(connection: &Connection) -> Result<(), Failure> {
    let models = read(connection).await?;
    if models.is_empty() {
        output::line(connection.words().await.say("cli.not_measured"));
        return Ok(());
    }
    let words = connection.words().await;
    let mut rows = vec![KEYS.map(|key| words.say(key).to_uppercase()).to_vec()];
    rows.extend(models.iter().map(|model| readable(model, &words).to_vec()));
    for (index, line) in columns(&rows).iter().enumerate() {
        output::line(if index == 0 { paint(Colour::Dim, line) } else { line.clone() });
    }
    Ok(())
}

async fn print_json(connection: &Connection) -> Result<(), Failure> {
    output::json(&connection.get::<Value>("/timings").await?);
    Ok(())
}

async fn read(connection: &Connection) -> Result<Vec<TimedModel>, Failure> {
    Ok(connection.get::<Timings>("/timings").await?.models)
}

fn readable(model: &TimedModel, words: &Words) -> [String; 8] {
    let last = model.last.as_ref();
    let missing = || "-".to_owned();
    let took = |time| millis(time, words);
    let speed = match last {
        Some(ModelTiming { error: Some(error), .. }) => clean(error),
        Some(ModelTiming { tokens_per_s: Some(speed), .. }) => format!("{speed:.1} tokens/s"),
        Some(_) | None => missing(),
    };
    [
        clean(&model.model),
        clean(&model.server),
        last.and_then(|last| last.load_ms).map_or_else(missing, took),
        last.and_then(|last| last.first_token_ms).map_or_else(missing, took),
        speed,
        last.and_then(|last| last.memory_bytes).map_or_else(missing, |bytes| words.bytes(bytes)),
        seconds(model.suggested_timeout_s, words),
        seconds(model.suggested_task_timeout_s, words),
    ]
}

fn exact(model: &TimedModel) -> [String; 11] {
    let last = model.last.as_ref();
    let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    let float = |value: Option<f64>| value.map(|value| format!("{value:.3}")).unwrap_or_default();
    [
        clean(&model.server),
        clean(&model.model),
        last.map(|last| clean(&last.at)).unwrap_or_default(),
        number(last.and_then(|last| last.load_ms)),
        number(last.and_then(|last| last.first_token_ms)),
        float(last.and_then(|last| last.prompt_tokens_per_s)),
        float(last.and_then(|last| last.tokens_per_s)),
        number(last.and_then(|last| last.memory_bytes)),
        last.and_then(|last| last.error.as_deref()).map(clean).unwrap_or_default(),
        model.suggested_timeout_s.to_string(),
        model.suggested_task_timeout_s.to_string(),
    ]
}

/// As RFC 4180 has it; a sheet must not take a name for a formula.
fn quoted(cell: String) -> String {
    let formula = cell.starts_with(['=', '+', '@']) || (cell.starts_with('-') && cell.len() > 1);
    let cell = if formula { format!("'{cell}") } else { cell };
    if cell.contains(['"', ',']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_cells_are_quoted_and_never_formulas() {
        assert_eq!(quoted("a".into()), "a");
        assert_eq!(quoted("a,\"b\"".into()), "\"a,\"\"b\"\"\"");
        assert_eq!(quoted("=1+1".into()), "'=1+1");
    }
}
