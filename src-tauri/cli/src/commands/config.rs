//! `config check` and `config example`: need no engine.

use doctor::Sentence;
use engine::config::Config as Configuration;
use serde_json::json;

use crate::arguments::{Arguments, Config};
use crate::failure::{Exit, Failure};
use crate::output;
use crate::place::{environment, paths, words};

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
    let standard = paths(arguments)?;
    let file = named.unwrap_or(&standard.config);
    let absent = !file.exists();
    let words = words(&engine::paths::Paths { config: file.to_owned(), ..standard.clone() });
    let about = |key: &str| Sentence::new(key).with("file", file.display().to_string());
    // The engine goes on without a file; whoever names one means it.
    if absent && (named.is_some() || arguments.config.is_some()) {
        return Err(Failure::Refused(words.sentence(&about("cli.config_absent"))));
    }
    match Configuration::load(file, &environment) {
        Ok(config) => {
            if arguments.json {
                let warnings = &config.warnings;
                output::json(
                    &json!({"file": file, "ok": true, "targets": config.roster.len(), "warnings": warnings}),
                );
            } else if absent {
                output::line(words.sentence(&about("cli.config_defaults")));
            } else {
                let says = about("cli.config_good").with("count", config.roster.len().to_string());
                output::line(words.sentence(&says));
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
