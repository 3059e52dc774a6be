//! Hands: each action carries out one step of a remedy and reports what came of it.

pub mod compose;
pub mod container;
pub mod docker_desktop;
pub(crate) mod light;
mod limit;
pub mod models;
pub mod owner;
pub mod process;
