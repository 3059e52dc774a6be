//! The journal: incidents, remedies, restarts and timings in one SQLite file. SQL lives here only.

/// Cheap to clone; all clones share one file.
#[derive(Clone)]
pub struct Journal {}
