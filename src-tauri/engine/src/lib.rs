//! The engine senses and acts: it carries out what the doctor orders and reports what came of it.

pub mod handle;
pub mod journal;
pub mod view;
pub mod words;
