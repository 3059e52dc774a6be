//! The real app on a virtual desktop: a tray icon in a real panel, its menu on the bus, the window
//! through `WebDriver`, notifications at a real daemon.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod alone;
mod app;
mod bare;
mod desktop;
mod tray;
mod window;

use std::time::Duration;

/// The machine does other things beside.
const SOON: Duration = Duration::from_secs(30);
/// A server that is gone, at the intervals of these tests.
const VERDICT: Duration = Duration::from_mins(1);
