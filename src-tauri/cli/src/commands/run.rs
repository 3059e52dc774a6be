//! `run`: the engine here, without tray and window.

use std::io::Write as _;

use anyhow::Context;
use engine::handle::Handle;
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
    let handle = engine.handle.clone();
    let telling = tokio::spawn(tell_messages(handle));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    telling.abort();
    engine.stop().await;
    Ok(Exit::Fine)
}

/// What concerns Homeostat itself, a taken port or a mistake in the configuration, is said here too:
/// without a screen there is no banner to see it in.
async fn tell_messages(handle: Handle) {
    let mut told: Vec<String> = Vec::new();
    let mut snapshots = handle.snapshots();
    loop {
        let messages: Vec<String> = {
            let snapshot = snapshots.borrow_and_update();
            let takeover = snapshot.takeover.iter().map(|one| one.text.clone());
            takeover.chain(snapshot.messages.iter().cloned()).collect()
        };
        for message in messages.iter().filter(|message| !told.contains(message)) {
            // A terminal that has gone away is no reason to end.
            let _ = writeln!(std::io::stderr(), "homeostat: {message}");
        }
        told = messages;
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}
