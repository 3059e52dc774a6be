//! A fake of `ollama serve` that speaks the true protocol over real sockets, with real child
//! processes for loaded models. Written after the sources of Ollama (commit fb307609, August 2026):
//! `cmd/cmd.go` (`RunServer`), `server/routes.go`, `server/sched.go`, `llm/llama_server.go`,
//! `server/images.go`, `server/create.go`, `manifest/manifest.go`, `api/types.go`,
//! `envconfig/config.go`.
//!
//! | environment | meaning |
//! |---|---|
//! | `OLLAMA_HOST`, `OLLAMA_MODELS`, `OLLAMA_KEEP_ALIVE`, `OLLAMA_MAX_LOADED_MODELS`, `OLLAMA_MAX_QUEUE`, `OLLAMA_NUM_PARALLEL`, `OLLAMA_CONTEXT_LENGTH` | as for Ollama |
//! | `FAKE_OLLAMA_MODELS` | JSON file with the [models](Model); without it `models.json` in the models directory |
//! | `FAKE_OLLAMA_CONTROL` | JSON file with the [misbehaviour](Control), obeyed while it runs |
//! | `FAKE_OLLAMA_REGISTRY` | JSON file with the models that [can be pulled](Published) |
//! | `FAKE_OLLAMA_PIDS` | file to which each started process appends its pid |

mod catalogue;
pub(crate) mod control;
mod environment;
mod generate;
mod log;
mod registry;
mod requests;
mod routes;
mod runners;
mod server;
mod store;

mod create;

pub use catalogue::{Model, write_models};
pub use control::{Control, Mode, NEVER, Runners};
pub use registry::{Published, publish};
pub use server::main;
pub use store::{Weights, blob_of, install};

/// What `/api/version` says.
pub const VERSION: &str = "0.32.15";
