//! The doctor decides. It is told events and the time, and returns orders; it reads no clock,
//! opens no file and knows no network, so it cannot fail and a month passes in a second of test.
//!
//! In reading order: what is watched, what was seen, what can be wrong, what is done about it.

mod clock;
mod event;
mod observation;
mod order;
mod target;

mod cause;
mod container;
mod containers;
mod deciding;
mod describing;
mod diagnosis;
mod doctor;
mod ending;
mod host;
mod incident;
mod ledger;
mod lever;
mod looking;
mod notice;
mod operating;
mod operation;
mod patient;
mod phase;
mod plan;
mod planning;
mod policy;
mod recording;
mod remedy;
mod sentence;
mod telling;
mod timings;
mod verdict;
mod verifying;
mod waking;
mod wishing;

pub use cause::*;
pub use clock::*;
pub use doctor::{Doctor, LONGEST_WAIT};
pub use event::*;
pub use incident::*;
pub use ledger::*;
pub use notice::*;
pub use observation::*;
pub use operation::Operation;
pub use order::*;
pub use patient::{Facts, LoadedFact, Patient};
pub use phase::{Phase, Reason};
pub use policy::Policy;
pub use remedy::*;
pub use sentence::*;
pub use target::*;
pub use timings::*;
