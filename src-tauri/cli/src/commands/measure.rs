//! `measure`: how fast each model is, one after the other.

use serde_json::json;

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
    let accepted = connection.act(PATH, &json!({ "models": models })).await?;
    let waiting = follow(connection, accepted, manner, "There is no model to measure.");
    tokio::pin!(waiting);
    let exit = tokio::select! {
        ended = &mut waiting => ended?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(anyhow::Error::new)?;
            output::progress("");
            connection.cancel(PATH).await?;
            // It ends by itself now; a second interrupt ends us.
            tokio::select! {
                ended = &mut waiting => { ended?; Exit::Wrong }
                _ = tokio::signal::ctrl_c() => Exit::Wrong,
            }
        }
    };
    if exit == Exit::Fine && !manner.json && !manner.no_wait {
        timings::table(connection).await?;
    }
    Ok(exit)
}
