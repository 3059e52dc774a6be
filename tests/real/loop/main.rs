//! The whole loop on real processes: something dies, the engine sees it, says why, brings it back,
//! proves it. Most tests wait for the minute that a remedy must hold, so they run side by side.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod busy;
mod chain;
mod compose;
mod containers;
mod docker;
mod ended;
mod engine_itself;
mod ensure;
mod kinds;
mod levers;
mod mlx;
mod models;
mod ollama;
mod outer;
mod people;
mod services;
mod store;
mod verdicts;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use engine::view::{Incident, Snapshot, Target};

/// At default settings a closed port is a verdict within 17 s, and 5 s more to confirm it.
const VERDICT_CLOSED: Duration = Duration::from_secs(22);
/// The same for a server that accepts and hangs.
const VERDICT_HANGS: Duration = Duration::from_secs(37);
/// The machine does other things beside.
const SLACK: Duration = Duration::from_secs(10);
/// Start, two good looks, and a minute of soak.
const VERIFIED: Duration = Duration::from_secs(150);
/// First look after a start of the engine.
const SOON: Duration = Duration::from_secs(30);

fn is_healthy(target: &Target) -> bool {
    target.state == engine::view::State::Healthy
}

fn cause_is(target: &Target, id: &str) -> bool {
    target.cause.as_ref().is_some_and(|cause| cause.id == id)
}

fn target<'a>(snapshot: &'a Snapshot, id: &str) -> &'a Target {
    snapshot.targets.iter().find(|target| target.id == id).unwrap()
}

/// It was seen in time, brought back at the first attempt, and held for a minute.
fn assert_healed(incident: &Incident, cause: &str) {
    assert_eq!(incident.cause.id, cause, "{incident:#?}");
    let limit = u64::try_from((VERDICT_CLOSED + SLACK).as_millis()).unwrap();
    assert!(incident.detected_after_ms <= limit, "{incident:#?}");
    assert_eq!(incident.attempts, 1, "{incident:#?}");
    let soaked = incident.recovered_after_ms.zip(incident.answering_after_ms);
    assert!(soaked.is_some_and(|(end, answer)| end >= answer + 55_000), "{incident:#?}");
    assert!(incident.closed.is_some());
    for kind in ["seen", "concluded", "done", "proven"] {
        assert!(incident.story.iter().any(|line| line.kind == kind), "{kind}: {incident:#?}");
    }
    assert!(!incident.cause.evidence.is_empty());
}

/// The engine sees every process of the machine: who starts an `ollama-mcp` does it alone.
static NEIGHBOURS: RwLock<()> = RwLock::new(());

fn without_mcp() -> RwLockReadGuard<'static, ()> {
    NEIGHBOURS.read().unwrap_or_else(PoisonError::into_inner)
}

fn alone_with_mcp() -> RwLockWriteGuard<'static, ()> {
    NEIGHBOURS.write().unwrap_or_else(PoisonError::into_inner)
}
