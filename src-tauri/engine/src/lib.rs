//! The engine senses and acts: it carries out what the doctor orders and reports what came of it.

pub mod action;
pub mod clock;
pub mod handle;
pub mod journal;
pub mod platform;
pub mod probe;
pub mod view;
pub mod words;
