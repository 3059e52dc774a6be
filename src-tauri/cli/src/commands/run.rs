//! `run`: the engine here, without tray and window.

use anyhow::Context;
use engine::run::{Options, start};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::Arguments;
use crate::failure::{Exit, Failure};

pub(crate) async fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let options = Options { config: arguments.config.clone(), data: arguments.data.clone() };
    // Listened to before the start, so that no signal ends us half started.
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be heard")?;
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be heard")?;
    let engine = start(options).await.map_err(anyhow::Error::new)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    engine.stop().await;
    Ok(Exit::Fine)
}
