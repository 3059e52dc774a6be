//! What the window may ask of the app. Each command needs its permission in `capabilities/`.
#![allow(
    clippy::needless_pass_by_value,
    reason = "Tauri hands commands what they ask for by value"
)]

use engine::audit::Audit;
use engine::handle::Handle;
use engine::history::Page;
use engine::view::{Incident, Snapshot};
use engine::wish::{Answer, Request, ask};
use tauri::{AppHandle, State};

use crate::{autostart, tray};

/// Incidents in one page of the window.
const PAGE: usize = 20;

#[tauri::command]
pub(crate) fn snapshot(engine: State<'_, Handle>) -> Snapshot {
    engine.snapshot().as_ref().clone()
}

#[tauri::command]
pub(crate) async fn act(engine: State<'_, Handle>, wish: Request) -> Result<Answer, String> {
    Ok(ask(&engine, wish).await)
}

/// Newest first; `next` is the one of the page before.
#[tauri::command]
pub(crate) async fn incidents(
    engine: State<'_, Handle>,
    next: Option<String>,
) -> Result<Page, String> {
    engine::history::page(&engine, next.as_deref(), PAGE).await
}

#[tauri::command]
pub(crate) async fn incident(engine: State<'_, Handle>, id: String) -> Result<Incident, String> {
    engine::history::incident(&engine, id.clone())
        .await?
        .ok_or_else(|| format!("there is no incident {id:?}"))
}

/// What will go wrong before it does; it may take as long as Docker does.
#[tauri::command]
pub(crate) async fn audit(engine: State<'_, Handle>) -> Result<Audit, String> {
    engine::audit::ask(&engine).await.map_err(|error| error.to_string())
}

#[tauri::command]
pub(crate) fn autostart(app: AppHandle) -> Result<bool, String> {
    autostart::is_on(&app)
}

#[tauri::command]
pub(crate) fn set_autostart(app: AppHandle, on: bool) -> Result<(), String> {
    let set = autostart::set(&app, on);
    tray::redraw(&app);
    set
}
