//! `unload`: takes models out of memory and says how much came back.

use doctor::Sentence;
use serde_json::json;

use crate::arguments::Which;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::follow::{Manner, follow};

pub(crate) async fn unload(
    connection: &Connection,
    which: &Which,
    manner: Manner,
) -> Result<Exit, Failure> {
    let body = match &which.model {
        Some(model) => json!({ "model": model }),
        None if which.all => json!({ "all": true }),
        None => json!({ "idle": true }),
    };
    let accepted = connection.act("/models/unload", &body).await?;
    follow(connection, accepted, manner, Sentence::new("cli.nothing_loaded")).await
}
