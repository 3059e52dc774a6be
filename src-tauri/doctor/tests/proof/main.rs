//! The proof of the doctor in virtual time: random sequences, ordered triples of faults, a month of
//! noise, and that a disturbed number does not go unnoticed. A few of each in every test run; all
//! of them with `tests/run proof`. Whatever fails prints the line that plays it again.

#![allow(clippy::print_stderr, reason = "a failure tells how it is played again")]

#[path = "../../../../tests/support/world.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the stories, which use the rest of it")]
mod world;

mod dice;
mod mutations;
mod play;
mod sequences;
mod soak;
mod thresholds;
mod triples;
