//! Hands: what is done to the world.

pub mod compose;
pub mod container;
pub mod models;
pub mod process;
