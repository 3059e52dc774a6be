//! The API over real sockets, with a small scripted loop behind the handle.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "api/world.rs"]
mod world;

#[path = "api/answers.rs"]
mod answers;
#[path = "api/doors.rs"]
mod doors;
#[path = "api/limits.rs"]
mod limits;
#[path = "api/metrics.rs"]
mod metrics;
#[path = "api/wishes.rs"]
mod wishes;
