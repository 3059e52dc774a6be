//! The doctor decides. It is told events and the time, and returns orders; it reads no clock,
//! opens no file and knows no network, so it cannot fail and a month passes in a second of test.
//!
//! In reading order: what is watched, what was seen, what can be wrong, what is done about it.

mod cause;
mod clock;
mod event;
mod incident;
mod ledger;
mod notice;
mod observation;
mod order;
mod remedy;
mod sentence;
mod target;
mod timings;

pub use cause::*;
pub use clock::*;
pub use event::*;
pub use incident::*;
pub use ledger::*;
pub use notice::*;
pub use observation::*;
pub use order::*;
pub use remedy::*;
pub use sentence::*;
pub use target::*;
pub use timings::*;
