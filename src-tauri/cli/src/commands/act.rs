//! `restart`, `start`, `stop`, `hold`, `release`, `raise`.

use doctor::Sentence;
use serde_json::{Value, json};

use crate::arguments::{Targeted, Timed};
use crate::connection::{Connection, encoded};
use crate::failure::{Exit, Failure};
use crate::follow::{Manner, follow};

pub(crate) async fn act(
    connection: &Connection,
    verb: &str,
    to: &Targeted,
    manner: Manner,
) -> Result<Exit, Failure> {
    tell(connection, verb, to, &json!({}), manner).await
}

pub(crate) async fn timed(
    connection: &Connection,
    verb: &str,
    timed: &Timed,
    manner: Manner,
) -> Result<Exit, Failure> {
    let body = timed.within.as_ref().map_or(json!({}), |within| json!({ "for": within }));
    tell(connection, verb, &timed.to, &body, manner).await
}

pub(crate) async fn raise(
    connection: &Connection,
    of: &Targeted,
    to: Option<u64>,
    manner: Manner,
) -> Result<Exit, Failure> {
    let body = to.map_or(json!({}), |to| json!({ "to": to }));
    tell(connection, "raise", of, &body, manner).await
}

async fn tell(
    connection: &Connection,
    verb: &str,
    to: &Targeted,
    body: &Value,
    manner: Manner,
) -> Result<Exit, Failure> {
    check(&to.target)?;
    let path = format!("/targets/{}/{verb}", encoded(&to.target));
    let accepted = connection.act(&path, body).await?;
    // What was to be started and needs no operation for it runs already.
    let key = if verb == "start" { "cli.runs_already" } else { "cli.verb_done" };
    let done = Sentence::new(key).with("target", to.target.as_str()).with("verb", verb);
    follow(connection, accepted, manner, done).await
}

/// A name that can be no target is wrong usage, and needs no engine to say so.
pub(crate) fn check(target: &str) -> Result<(), Failure> {
    target.parse::<doctor::TargetId>().map(|_| ()).map_err(Failure::Usage)
}
