//! `ensure`, `repair`, `verify --models`: what takes long about models and can be broken off.

use doctor::Sentence;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::connection::{Connection, encoded};
use crate::failure::{Exit, Failure};
use crate::follow::{Manner, follow};
use crate::output;

/// Models that are to exist are downloaded or created, and proven by one answer.
pub(crate) async fn ensure(
    connection: &Connection,
    model: Option<&str>,
    manner: Manner,
) -> Result<Exit, Failure> {
    long(connection, "/targets/ollama/ensure", model, manner).await
}

/// Removes what is broken and brings it anew.
pub(crate) async fn repair(
    connection: &Connection,
    model: Option<&str>,
    manner: Manner,
) -> Result<Exit, Failure> {
    long(connection, "/targets/ollama/repair", model, manner).await
}

/// Reads models whole.
pub(crate) async fn verify(
    connection: &Connection,
    model: Option<&str>,
    manner: Manner,
) -> Result<Exit, Failure> {
    long(connection, "/models/verify", model, manner).await
}

async fn long(
    connection: &Connection,
    path: &str,
    model: Option<&str>,
    manner: Manner,
) -> Result<Exit, Failure> {
    // Listened to before asking, so that an interrupt never leaves a download behind.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(anyhow::Error::new)?;
    let body = model.map_or(json!({}), |model| json!({ "model": model }));
    let accepted = connection.act(path, &body).await?;
    let cancel = accepted.operation.as_ref().map(|id| format!("/operations/{}", encoded(id)));
    let waiting = follow(connection, accepted, manner, Sentence::new("cli.nothing_to_do"));
    tokio::pin!(waiting);
    tokio::select! {
        ended = &mut waiting => ended,
        _ = interrupt.recv() => {
            output::progress("");
            if let Some(path) = cancel {
                connection.cancel(&path).await?;
            }
            // It ends by itself now; a second interrupt ends us.
            tokio::select! {
                ended = &mut waiting => { ended?; }
                _ = interrupt.recv() => {}
            }
            Ok(Exit::Wrong)
        }
    }
}
