//! Fakes that speak the true protocols, and what tests need to drive the real programs.
//!
//! [`Ollama`] is a program that answers as Ollama does, [`Mlx`] the real `mlx_lm.server`,
//! [`FakeDocker`] an engine that runs nothing, [`FaultServer`] a listener that misbehaves below HTTP,
//! [`Engine`] the real `homeostat run`.

pub mod docker;
pub mod engine;
mod eventually;
pub mod fake_docker;
pub mod fake_ollama;
mod fault_server;
pub mod http;
pub mod llama_server;
mod mlx;
mod ollama;
pub mod programs;
pub mod world;

pub use engine::Engine;
pub use eventually::{eventually, wait_until};
pub use fake_docker::FakeDocker;
pub use fake_ollama::{Control, Mode, Model, Published, Runners, Weights};
pub use fault_server::{Fault, FaultServer, closed_port};
pub use mlx::Mlx;
pub use ollama::Ollama;
