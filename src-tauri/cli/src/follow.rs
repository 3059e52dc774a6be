//! Waiting for the end of an operation, telling its steps as they happen.

use std::time::{Duration, Instant};

use doctor::Sentence;
use engine::view::{Operation, OperationState};
use serde_json::{Value, json};

use crate::connection::{Accepted, Connection, encoded};
use crate::failure::{Exit, Failure};
use crate::output::{self, Colour, paint};
use crate::text::{clean, local};

const POLL: Duration = Duration::from_millis(200);
/// Between the answer to a wish and the operation's first appearance.
const APPEARS_WITHIN: Duration = Duration::from_secs(5);

/// How a command wants to hear of it.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) json: bool,
    pub(crate) no_wait: bool,
}

/// Tells how it goes until it has ended; done at once is told as `done`.
pub(crate) async fn follow(
    connection: &Connection,
    accepted: Accepted,
    manner: Manner,
    done: Sentence,
) -> Result<Exit, Failure> {
    let Some(id) = accepted.operation else {
        if manner.json {
            output::json(&json!({"operation": null, "state": "done"}));
        } else {
            output::line(clean(&connection.words().await.sentence(&done)));
        }
        return Ok(Exit::Fine);
    };
    if manner.no_wait {
        if manner.json {
            output::json(&json!({"operation": id}));
        } else {
            let says = Sentence::new("cli.accepted").with("id", clean(&id));
            output::line(connection.words().await.sentence(&says));
        }
        return Ok(Exit::Fine);
    }
    let ended = watch(connection, &id, manner).await?;
    if manner.json {
        let value = serde_json::to_value(&ended).unwrap_or(Value::Null);
        output::json(&value);
    } else {
        let (colour, key) = match ended.state {
            OperationState::Running => (Colour::Busy, "cli.running"),
            OperationState::Verified => (Colour::Good, "cli.verified"),
            OperationState::Failed => (Colour::Bad, "cli.failed"),
            OperationState::Superseded => (Colour::Busy, "cli.superseded"),
        };
        let word = connection.words().await.say(key);
        output::line(format!("{}  {}", paint(colour, &word), clean(&ended.text)));
    }
    Ok(match ended.state {
        OperationState::Verified => Exit::Fine,
        OperationState::Running | OperationState::Failed | OperationState::Superseded => {
            Exit::Wrong
        }
    })
}

async fn watch(connection: &Connection, id: &str, manner: Manner) -> Result<Operation, Failure> {
    let path = format!("/operations/{}", encoded(id));
    let asked = Instant::now();
    let mut told = 0;
    loop {
        let operation: Operation = match connection.get(&path).await {
            Ok(operation) => operation,
            Err(Failure::Refused(_)) if told == 0 && asked.elapsed() < APPEARS_WITHIN => {
                tokio::time::sleep(POLL).await;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        if !manner.json {
            for step in operation.steps.iter().skip(told) {
                output::progress("");
                let time = local(&step.at, "%H:%M:%S");
                output::line(format!("{}  {}", paint(Colour::Dim, &time), clean(&step.text)));
            }
            if let (Some(done), Some(of)) = (operation.done, operation.of) {
                output::progress(&bar(done, of, &clean(&operation.text)));
            }
        }
        told = operation.steps.len();
        if operation.state != OperationState::Running {
            output::progress("");
            return Ok(operation);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// More than so many are bytes: their share tells more than their number.
const MANY: u64 = 10_000;

/// `[#####     ] 3/6  llama3:8b`, or `[#####     ] 42 %  …`.
fn bar(done: u64, of: u64, about: &str) -> String {
    const WIDTH: u64 = 24;
    let filled = done.min(of).saturating_mul(WIDTH).checked_div(of).unwrap_or(WIDTH);
    let part = |count: u64, sign: &str| sign.repeat(usize::try_from(count).unwrap_or(0));
    let about: String = about.chars().take(60).collect();
    let share = if of > MANY {
        format!("{} %", done.min(of).saturating_mul(100).checked_div(of).unwrap_or(100))
    } else {
        format!("{done}/{of}")
    };
    format!("[{}{}] {share}  {about}", part(filled, "#"), part(WIDTH - filled, " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_never_wider_than_itself() {
        assert_eq!(bar(1, 2, "x"), "[############            ] 1/2  x");
        assert_eq!(bar(6 << 30, 24 << 30, "x"), "[######                  ] 25 %  x");
        assert_eq!(bar(9, 2, "x"), "[########################] 9/2  x");
        assert_eq!(bar(0, 0, "x"), "[########################] 0/0  x");
    }
}
