//! Our own log: one file a day in the data directory, a week of them. No secrets, no prompts.

use std::path::Path;

use tracing::level_filters::LevelFilter;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;

const DAYS: usize = 7;

/// Begins logging to files in `directory`; `HOMEOSTAT_LOG` chooses the level for our own lines
/// (`error`, `warn`, `info`, `debug`, `trace`; `info` if unset). A directory that can't be written,
/// or a second call in one process, changes nothing.
pub fn to_files(directory: &Path) {
    // Made first: the appender complains on standard error about a directory that is not there.
    if std::fs::create_dir_all(directory).is_err() {
        return;
    }
    let files = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("homeostat")
        .filename_suffix("log")
        .max_log_files(DAYS)
        .build(directory);
    let Ok(files) = files else { return };
    let level = std::env::var("HOMEOSTAT_LOG").ok().and_then(|level| level.parse().ok());
    let level: LevelFilter = level.unwrap_or(LevelFilter::INFO);
    let ours = ["doctor", "engine", "homeostat", "homeostat_app"];
    // Of the libraries only what went wrong: they may log addresses and heads.
    let targets = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_targets(ours.map(|target| (target, level)));
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(files);
    let subscriber = tracing_subscriber::registry().with(lines).with(targets);
    // Somebody else in this process logs already: theirs is as good.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
