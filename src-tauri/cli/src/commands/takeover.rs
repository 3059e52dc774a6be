//! `takeover`: the other healers are ended, or put back, at a person's word (C12).

use std::time::{Duration, Instant};

use engine::paths::Paths;
use engine::view::{Snapshot, Takeover};
use engine::words::Words;
use serde_json::json;

use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::text::clean;

/// Two programs that do not end at once, and a port that is bound anew.
const WITHIN: Duration = Duration::from_secs(45);
const AGAIN: Duration = Duration::from_millis(200);

pub(crate) async fn takeover(paths: &Paths, undo: bool, json: bool) -> Result<Exit, Failure> {
    let (verb, path) = if undo {
        ("give_back", "/healers/give_back")
    } else {
        ("take_over", "/healers/take_over")
    };
    let connection = Connection::find(paths)?;
    let can = |snapshot: &Snapshot| {
        snapshot.takeover.as_ref().is_some_and(|one| one.can.iter().any(|can| can == verb))
    };
    let before: Snapshot = connection.get("/status").await?;
    let words = Words::new(&before.language);
    if !can(&before) {
        return Ok(tell(before.takeover.as_ref(), &words, json));
    }
    connection.act(path, &json!({})).await?;
    let began = Instant::now();
    let mut last = before.takeover;
    while began.elapsed() < WITHIN {
        tokio::time::sleep(AGAIN).await;
        // Its address changes with the port that is taken or given back.
        let Ok(connection) = Connection::find(paths) else { continue };
        let Ok(now) = connection.get::<Snapshot>("/status").await else { continue };
        let is_over = !can(&now) && !now.takeover.as_ref().is_some_and(|one| one.can.is_empty());
        last = now.takeover;
        if is_over {
            break;
        }
    }
    Ok(tell(last.as_ref(), &words, json))
}

fn tell(takeover: Option<&Takeover>, words: &Words, json: bool) -> Exit {
    if json {
        output::json(&json!(takeover));
        return Exit::Fine;
    }
    match takeover {
        Some(takeover) => {
            output::line(clean(&takeover.text));
            for other in &takeover.others {
                output::line(format!("  {}", clean(other)));
            }
        }
        None => output::line(words.say("cli.no_healers")),
    }
    Exit::Fine
}
