//! Reports of crashes and of what Jetsam ended, of this user and of the system.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use doctor::EndedSeen;

use super::super::deaths::report::Reports;
use super::super::place::home;

/// What was written longer ago than this before our start is no news.
const LOOK_BACK: Duration = Duration::from_hours(1);

/// Processes that the system has ended, each told once.
#[derive(Debug)]
pub struct Deaths(Reports);

impl Deaths {
    /// With what was written since so long ago; none: only what is new from now on.
    pub fn new(since: Option<Duration>) -> Self {
        let since = since.unwrap_or_default().min(LOOK_BACK);
        let now = SystemTime::now();
        // The system's own can be read by administrators (`/Library/Logs/DiagnosticReports`).
        let directories = vec![
            home().join("Library/Logs/DiagnosticReports"),
            PathBuf::from("/Library/Logs/DiagnosticReports"),
        ];
        Self(Reports::new(directories, now.checked_sub(since).unwrap_or(now)))
    }

    /// What is new. Blocks, though briefly.
    pub fn news(&mut self) -> Vec<EndedSeen> {
        self.0.news()
    }
}

impl Default for Deaths {
    fn default() -> Self {
        Self::new(None)
    }
}
