//! Starting at login: a choice of the person, off until it is made.

use doctor::Sentence;
use engine::handle::Handle;
use tauri::{AppHandle, Manager as _};
use tauri_plugin_autostart::ManagerExt as _;

/// The entry's name, and that of its file.
pub(crate) const NAME: &str = "Homeostat";

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
    set.map_err(|error| failed(app, &error.to_string()))?;
    // On Linux the entry is a desktop file, and nobody reads of a crash in it.
    #[cfg(target_os = "macos")]
    if on && let Err(error) = agent::keep_alive(NAME) {
        // It starts at login all the same.
        tracing::warn!(%error, "launchd will not start the app again after a crash");
    }
    Ok(())
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

#[cfg(target_os = "macos")]
mod agent {
    use std::io;

    use super::kept_alive;

    /// R39: after a crash launchd starts the app again; a person's Quit ends it with success and is
    /// respected. The plugin has no word for it, so the file that it wrote (auto-launch
    /// `src/macos.rs`) is completed. launchd reads it at the next login.
    pub(super) fn keep_alive(name: &str) -> io::Result<()> {
        let home = std::env::home_dir().ok_or(io::ErrorKind::NotFound)?;
        let file = home.join("Library/LaunchAgents").join(format!("{name}.plist"));
        let written = std::fs::read_to_string(&file)?;
        let Some(kept) = kept_alive(&written) else { return Ok(()) };
        // Whole or not at all: half a file would be no entry.
        let fresh = file.with_extension("plist.new");
        std::fs::write(&fresh, kept)?;
        std::fs::rename(&fresh, &file)
    }
}

/// With `KeepAlive {SuccessfulExit: false}` (launchd.plist(5)); none when it says so already, or is no
/// property list.
#[cfg(any(test, target_os = "macos"))]
fn kept_alive(written: &str) -> Option<String> {
    const WORDS: &str =
        "<key>KeepAlive</key>\n  <dict><key>SuccessfulExit</key><false/></dict>\n  ";
    if written.contains("<key>KeepAlive</key>") {
        return None;
    }
    let end = written.rfind("</dict>")?;
    let (before, after) = written.split_at_checked(end)?;
    Some(format!("{before}{WORDS}{after}"))
}

#[cfg(test)]
mod tests {
    use super::kept_alive;

    const WRITTEN: &str = "<plist version=\"1.0\">\n  <dict>\n  <key>Label</key>\n  \
        <string>Homeostat</string>\n  <key>RunAtLoad</key>\n  <true/>\n  </dict>\n</plist>";

    #[test]
    fn r39_launchd_starts_the_app_again_after_a_crash_and_not_after_a_quit() {
        let kept = kept_alive(WRITTEN).unwrap_or_default();
        let rule = "<true/>\n  <key>KeepAlive</key>\n  \
            <dict><key>SuccessfulExit</key><false/></dict>\n  </dict>\n</plist>";
        assert!(kept.ends_with(rule), "{kept}");
        assert_eq!(kept.matches("<dict>").count(), kept.matches("</dict>").count());
    }

    #[test]
    fn what_says_so_already_or_is_no_list_is_left_alone() {
        let kept = kept_alive(WRITTEN).unwrap_or_default();
        assert_eq!(kept_alive(&kept), None);
        assert_eq!(kept_alive(""), None);
    }
}
