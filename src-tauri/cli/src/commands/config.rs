//! `config check` and `config example`: need no engine.

use engine::config::Config as Configuration;
use serde_json::json;

use crate::arguments::{Arguments, Config};
use crate::failure::{Exit, Failure};
use crate::output;
use crate::place::{environment, paths};

pub(crate) fn config(arguments: &Arguments, what: &Config) -> Result<Exit, Failure> {
    match what {
        Config::Example => {
            if arguments.json {
                output::json(&json!({ "example": Configuration::example() }));
            } else {
                output::line(Configuration::example().trim_end());
            }
            Ok(Exit::Fine)
        }
        Config::Check { file } => check(arguments, file.as_deref()),
    }
}

fn check(arguments: &Arguments, named: Option<&std::path::Path>) -> Result<Exit, Failure> {
    let standard = paths(arguments)?.config;
    let file = named.unwrap_or(&standard);
    let absent = !file.exists();
    // The engine goes on without a file; whoever names one means it.
    if absent && (named.is_some() || arguments.config.is_some()) {
        return Err(Failure::Refused(format!("{} does not exist.", file.display())));
    }
    match Configuration::load(file, &environment) {
        Ok(config) => {
            if arguments.json {
                let warnings = &config.warnings;
                output::json(
                    &json!({"file": file, "ok": true, "targets": config.roster.len(), "warnings": warnings}),
                );
            } else if absent {
                output::line(format!(
                    "{} does not exist: the defaults are in force.",
                    file.display()
                ));
            } else {
                output::line(format!("{}: good, {} targets.", file.display(), config.roster.len()));
            }
            if !arguments.json {
                for warning in &config.warnings {
                    output::line(format!("! {}", crate::text::clean(warning)));
                }
            }
            Ok(Exit::Fine)
        }
        Err(errors) => {
            let text = errors.to_string();
            if arguments.json {
                let lines: Vec<&str> = text.lines().collect();
                output::json(&json!({"file": file, "ok": false, "errors": lines}));
            } else {
                text.lines().for_each(|line| output::line(crate::text::clean(line)));
            }
            Ok(Exit::Wrong)
        }
    }
}
