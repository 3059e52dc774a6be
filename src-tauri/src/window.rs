//! The one window: made when it is wanted, gone when it is closed.

use engine::view::Snapshot;
use tauri::{
    AppHandle, Emitter as _, Manager as _, WebviewUrl, WebviewWindow, WebviewWindowBuilder,
};
use tauri_plugin_positioner::{Position, WindowExt as _};

const LABEL: &str = "main";

/// Opens the window or brings the open one to the front. From any thread.
pub(crate) fn open(app: &AppHandle) {
    let inner = app.clone();
    let asked = app.run_on_main_thread(move || {
        if let Err(error) = show(&inner) {
            tracing::error!(%error, "the window could not be opened");
        }
    });
    if let Err(error) = asked {
        tracing::error!(%error, "the window could not be asked for");
    }
}

/// Sends the snapshot to the window if there is one.
pub(crate) fn tell(app: &AppHandle, snapshot: &Snapshot) {
    if app.get_webview_window(LABEL).is_none() {
        return;
    }
    if let Err(error) = app.emit_to(LABEL, "snapshot", snapshot) {
        tracing::warn!(%error, "the window could not be told the news");
    }
}

fn show(app: &AppHandle) -> tauri::Result<()> {
    if let Some(window) = app.get_webview_window(LABEL) {
        window.unminimize()?;
        window.show()?;
        return window.set_focus();
    }
    let window = WebviewWindowBuilder::new(app, LABEL, WebviewUrl::App("index.html".into()))
        .title("Homeostat")
        .inner_size(980.0, 680.0)
        .min_inner_size(420.0, 480.0)
        .center()
        .visible(false)
        .build()?;
    place(&window);
    window.show()?;
    window.set_focus()
}

/// Under the tray icon where its place is known: on macOS, after a click.
fn place(window: &WebviewWindow) {
    if let Err(error) = window.move_window_constrained(Position::TrayBottomCenter) {
        tracing::debug!(%error, "the window stays in the middle");
    }
}
