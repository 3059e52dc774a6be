//! `recover`: a person's wish, which also ends a hold.

use doctor::Sentence;
use serde_json::json;

use super::act::check;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::follow::{Manner, follow};

pub(crate) async fn recover(
    connection: &Connection,
    target: Option<&str>,
    manner: Manner,
) -> Result<Exit, Failure> {
    let body = match target {
        Some(target) => {
            check(target)?;
            json!({ "target": target })
        }
        None => json!({}),
    };
    let accepted = connection.act("/recover", &body).await?;
    follow(connection, accepted, manner, Sentence::new("cli.nothing_to_do")).await
}
