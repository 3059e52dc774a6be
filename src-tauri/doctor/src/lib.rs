//! The doctor decides. It is told events and the time, and returns orders; it reads no clock,
//! opens no file and knows no network, so it cannot fail and a month passes in a second of test.
//!
//! In reading order: what comes in and goes out, what is known of a target, what it means, what is
//! done about it, and what is said of it.

mod clock;
mod event;
mod observation;
mod order;
mod target;

mod doctor;
mod patient;
mod patients;
mod phase;
mod policy;

mod around;
mod cause;
mod chain;
mod change;
mod container;
mod containers;
mod diagnosis;
mod hearing;
mod host;
mod inhibiting;
mod insight;
mod judging;
mod latency;
mod looking;
mod seeing;
mod sharing;
mod shedding;
mod timeline;
mod verdict;
mod weighing;

mod deciding;
mod docker_restart;
mod docker_start;
mod giving_up;
mod lever;
mod light;
mod owners;
mod plan;
mod planning;
mod raising;
mod rearming;
mod remedy;
mod restraint;
mod unsticking;

mod ending;
mod operating;
mod operation;
mod verifying;
mod victims;

mod crashes;
mod exits;
mod holding;
mod ledger;
mod panics;
mod recording;
mod waking;

mod calling;
mod checking;
mod ensuring;
mod errands;
mod fallback;
mod wishing;

mod delivery;
mod describing;
mod flapping;
mod folding;
mod incident;
mod incidents;
mod neighbours;
mod notice;
mod rates;
mod sentence;
mod storm;
mod telling;
mod timings;
mod why;

pub use cause::*;
pub use change::Change;
pub use clock::*;
pub use doctor::{Doctor, LONGEST_WAIT};
pub use event::*;
pub use exits::Exits;
pub use fallback::Calls;
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
pub use timeline::*;
pub use timings::*;
pub use why::*;
