//! `measure`: how fast each model is, one after the other.

use doctor::Sentence;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::timings;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::follow::{Manner, follow};
use crate::output;

const PATH: &str = "/models/measure";

pub(crate) async fn measure(
    connection: &Connection,
    models: &[String],
    manner: Manner,
) -> Result<Exit, Failure> {
    // Listened to before asking, so that an interrupt never leaves a measurement behind.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(anyhow::Error::new)?;
    let accepted = connection.act(PATH, &json!({ "models": models })).await?;
    let waiting = follow(connection, accepted, manner, Sentence::new("cli.nothing_to_measure"));
    tokio::pin!(waiting);
    let exit = tokio::select! {
        ended = &mut waiting => ended?,
        _ = interrupt.recv() => {
            output::progress("");
            connection.cancel(PATH).await?;
            // It ends by itself now; a second interrupt ends us.
            tokio::select! {
                ended = &mut waiting => { ended?; Exit::Wrong }
                _ = interrupt.recv() => Exit::Wrong,
            }
        }
    };
    if exit == Exit::Fine && !manner.json && !manner.no_wait {
        timings::table(connection).await?;
    }
    Ok(exit)
}
