//! The built command against a real API with a small scripted loop behind it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "commands/world.rs"]
mod world;

#[path = "commands/acting.rs"]
mod acting;
#[path = "commands/alone.rs"]
mod alone;
#[path = "commands/reading.rs"]
mod reading;
