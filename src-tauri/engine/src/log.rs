//! Our own log: one file a day in the data directory, a week of them. No secrets, no prompts.

use std::path::Path;

use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;

const DAYS: usize = 7;

/// Begins logging to files in `directory`; `HOMEOSTAT_LOG` chooses the level (`info` if unset).
/// A directory that can't be written, or a second call in one process, changes nothing.
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
    let level = EnvFilter::try_from_env("HOMEOSTAT_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,zbus=warn,hyper=warn"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(level)
        .with_ansi(false)
        .with_writer(files)
        .finish();
    // Somebody else in this process logs already: theirs is as good.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
