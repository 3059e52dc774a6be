//! Where the engine keeps its things.

use anyhow::Context;
use engine::config::Config;
use engine::paths::Paths;
use engine::run::language;
use engine::words::Words;

use crate::arguments::Arguments;

/// The paths that an engine started with the same arguments would use.
pub(crate) fn paths(arguments: &Arguments) -> anyhow::Result<Paths> {
    let default =
        Paths { config: engine::platform::config_file(), data: engine::platform::data_directory() };
    Paths::choose(arguments.config.clone(), arguments.data.clone(), &environment, default)
        .context("the configuration file or data directory could not be found")
}

/// The words of the engine that runs there, or would: its configuration names the language.
pub(crate) fn words(paths: &Paths) -> Words {
    let load = |file: &std::path::Path| Config::load(file, &environment).ok();
    let config = load(&paths.config).or_else(|| load(&paths.good_config()));
    let config = config.or_else(|| Config::parse(&paths.config, "", &environment).ok());
    Words::new(config.map_or("en", |config| language(&config, &environment)))
}

pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
