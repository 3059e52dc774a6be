//! Hands: what is done to the world.

pub mod process;
