//! Starting at login: a choice of the person, off until it is made.

use doctor::Sentence;
use engine::handle::Handle;
use tauri::{AppHandle, Manager as _};
use tauri_plugin_autostart::ManagerExt as _;

pub(crate) fn is_on(app: &AppHandle) -> Result<bool, String> {
    app.autolaunch().is_enabled().map_err(|error| failed(app, &error.to_string()))
}

/// The error is a sentence for the person who clicked.
pub(crate) fn set(app: &AppHandle, on: bool) -> Result<(), String> {
    if on && is_translocated() {
        return Err(app.state::<Handle>().words.say("shell.translocated"));
    }
    let launch = app.autolaunch();
    let set = if on { launch.enable() } else { launch.disable() };
    set.map_err(|error| failed(app, &error.to_string()))
}

/// The entry names the program's place, which may have changed since it was written.
pub(crate) fn refresh(app: &AppHandle) {
    if is_on(app) == Ok(true)
        && let Err(error) = set(app, true)
    {
        tracing::warn!(error, "the entry for starting at login could not be written anew");
    }
}

fn failed(app: &AppHandle, reason: &str) -> String {
    let says = Sentence::new("shell.no_autostart").with("reason", reason);
    app.state::<Handle>().words.sentence(&says)
}

/// macOS runs an app that was never moved since its download from a place that is gone afterwards.
fn is_translocated() -> bool {
    std::env::current_exe()
        .is_ok_and(|path| path.components().any(|part| part.as_os_str() == "AppTranslocation"))
}
