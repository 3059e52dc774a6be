//! Where the engine keeps its things.

use anyhow::Context;
use engine::paths::Paths;

use crate::arguments::Arguments;

/// The paths that an engine started with the same arguments would use.
pub(crate) fn paths(arguments: &Arguments) -> anyhow::Result<Paths> {
    let default =
        Paths { config: engine::platform::config_file(), data: engine::platform::data_directory() };
    Paths::choose(arguments.config.clone(), arguments.data.clone(), &environment, default)
        .context("the configuration file or data directory could not be found")
}

pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
