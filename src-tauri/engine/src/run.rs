//! Starts the whole engine.

use std::path::PathBuf;

use crate::handle::Handle;

pub struct Options {
    pub config: Option<PathBuf>,
    pub data: Option<PathBuf>,
}

pub struct Engine {
    pub handle: Handle,
}

#[derive(Debug, thiserror::Error)]
#[error("not there yet")]
pub struct StartError;

#[expect(clippy::unused_async, reason = "a stub")]
pub async fn start(_options: Options) -> Result<Engine, StartError> {
    Err(StartError)
}

impl Engine {
    #[expect(clippy::unused_async, reason = "a stub")]
    pub async fn stop(self) {}
}
