//! Senses: each probe asks once, within a deadline, and returns what it saw.

pub mod host;
