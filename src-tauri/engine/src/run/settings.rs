//! Which configuration is in force at the start, and the copy of the last good one.

use crate::config::{Config, Language};
use crate::paths::Paths;

/// The configuration in force at the start.
pub(super) struct First {
    pub(super) config: Config,
    /// What is wrong with the file.
    pub(super) problem: Option<String>,
    /// Nothing of what a person configured is in force.
    pub(super) unread: bool,
}

/// The file, else the last good one, else the defaults with healing off: what a person wrote and we
/// cannot read may have said "leave it alone".
pub(super) fn first_config(
    paths: &Paths,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<First, String> {
    let errors = match Config::load(&paths.config, environment) {
        Ok(config) => {
            keep_good(paths);
            return Ok(First { config, problem: None, unread: false });
        }
        Err(errors) => errors.to_string(),
    };
    let good = paths.good_config();
    if good.exists()
        && let Ok(config) = Config::load(&good, environment)
    {
        return Ok(First { config, problem: Some(errors), unread: false });
    }
    let mut config =
        Config::parse(&paths.config, "", environment).map_err(|errors| errors.to_string())?;
    for spec in &mut config.roster {
        spec.heal = doctor::Heal::Observe;
    }
    Ok(First { config, problem: Some(errors), unread: true })
}

pub(super) fn keep_good(paths: &Paths) {
    if paths.config.exists() {
        if let Err(error) = std::fs::copy(&paths.config, paths.good_config()) {
            tracing::warn!(%error, "no copy of the good configuration could be kept");
        }
    } else {
        // Deleting the file is a choice as well: the defaults are in force.
        let _ = std::fs::remove_file(paths.good_config());
    }
}

/// `en` or `ru`: as configured, else the system's.
pub fn language(config: &Config, environment: &dyn Fn(&str) -> Option<String>) -> &'static str {
    match config.notifications.language {
        Language::English => "en",
        Language::Russian => "ru",
        Language::Auto => {
            let system = ["LC_ALL", "LC_MESSAGES", "LANG"]
                .iter()
                .find_map(|name| environment(name).filter(|value| !value.is_empty()));
            if system.is_some_and(|system| system.starts_with("ru")) { "ru" } else { "en" }
        }
    }
}
