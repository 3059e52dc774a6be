//! Draws the engine's menu and icon in the tray, and carries out clicks.

mod draw;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use engine::handle::Handle;
use engine::menu::{Action, Beside, Icon, Menu, icon, menu};
use engine::view::{Incident, Snapshot};
use engine::wish::{Answer, ask};
use engine::{history, platform};
use tauri::async_runtime::spawn;
use tauri::{AppHandle, Manager as _};
use tokio::sync::Notify;

use crate::notify::Notices;
use crate::{autostart, window};
use draw::Tray;

/// A panel that starts with the session has this long to appear.
const PANEL: Duration = Duration::from_secs(10);

/// What the task that draws is told beside the snapshot.
#[derive(Default)]
pub(crate) struct Signs {
    /// Something that the menu shows has changed.
    redraw: Notify,
    /// The engine falls silent because the app ends.
    ending: AtomicBool,
}

/// Only touched on the main thread; the lock is there because the state of an app is shared.
#[derive(Default)]
struct Shown(Mutex<Option<Tray>>);

/// Makes the tray icon and keeps it and the window at the newest snapshot. On the main thread.
pub(crate) fn begin(app: &AppHandle, handle: Handle) {
    let first = menu(&handle.snapshot(), &Beside::default(), &handle.words);
    // Where the system's library for tray icons is missing, the binding to it panics.
    let made = catch_unwind(AssertUnwindSafe(|| Tray::new(app, first)));
    let tray = match made {
        Ok(Ok(tray)) => Some(tray),
        Ok(Err(error)) => {
            tracing::warn!(%error, "there is no tray icon");
            None
        }
        Err(_) => {
            tracing::warn!("there is no tray icon: libayatana-appindicator3 is not installed");
            None
        }
    };
    let missing = tray.is_none();
    app.manage(Shown(Mutex::new(tray)));
    spawn(be_reachable(app.clone(), missing));
    spawn(follow(app.clone(), handle));
}

/// Reads again what the menu shows beside the snapshot.
pub(crate) fn redraw(app: &AppHandle) {
    app.state::<Signs>().redraw.notify_one();
}

/// The engine is about to be stopped.
pub(crate) fn expect_end(app: &AppHandle) {
    app.state::<Signs>().ending.store(true, Ordering::Relaxed);
}

pub(crate) fn clicked(app: &AppHandle, id: &str) {
    // Separators and plain texts have ids of their own.
    let Some(action) = Action::from_id(id) else { return };
    match action {
        Action::Open => window::open(app),
        Action::Quit => app.exit(0),
        Action::AtLogin => {
            let set = autostart::is_on(app).and_then(|on| autostart::set(app, !on));
            if let Err(text) = set {
                refused(app, &text);
            }
            // The click has turned the check mark already, whatever came of it.
            on_main_thread(app, Tray::forget);
            redraw(app);
        }
        Action::Ask { wish } => {
            let app = app.clone();
            spawn(async move {
                let handle = app.state::<Handle>().inner().clone();
                match ask(&handle, wish).await {
                    Answer::Accepted { .. } | Answer::Done => {}
                    Answer::Refused { text } => refused(&app, &text),
                }
            });
        }
    }
}

/// Who clicks in a menu sees no answer; the refusal comes as a notification.
fn refused(app: &AppHandle, text: &str) {
    let title = app.state::<Handle>().words.say("menu.refused");
    app.state::<Notices>().show(&title, text);
}

/// Without a tray icon the window is the way in.
async fn be_reachable(app: AppHandle, missing: bool) {
    if missing || !platform::has_tray_host(PANEL).await {
        tracing::warn!("this desktop shows no tray icons; the window is opened instead");
        window::open(&app);
    }
}

/// The latest snapshot wins; one that draws the same menu changes nothing in the tray.
async fn follow(app: AppHandle, handle: Handle) {
    let signs = app.state::<Signs>();
    let mut snapshots = handle.snapshots();
    let mut beside = beside(&app, &handle).await;
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        if is_news(&snapshot, beside.last.as_ref()) {
            beside.last = last(&handle).await;
        }
        draw(&app, menu(&snapshot, &beside, &handle.words), icon(&snapshot), &snapshot.headline);
        window::tell(&app, &snapshot);
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { break },
            () = signs.redraw.notified() => beside = self::beside(&app, &handle).await,
        }
    }
    if signs.ending.load(Ordering::Relaxed) {
        return;
    }
    tracing::error!("the engine tells nothing any more");
    let snapshot = handle.snapshot();
    draw(&app, menu(&snapshot, &beside, &handle.words), Icon::Unknown, &snapshot.headline);
}

async fn beside(app: &AppHandle, handle: &Handle) -> Beside {
    Beside { at_login: autostart::is_on(app).ok(), last: last(handle).await }
}

async fn last(handle: &Handle) -> Option<Incident> {
    match history::page(handle, None, 1).await {
        Ok(page) => page.incidents.into_iter().next(),
        Err(error) => {
            tracing::debug!(error, "the last incident is not known");
            None
        }
    }
}

/// Whether the open incidents tell that another one is the last, or that the last has closed.
fn is_news(snapshot: &Snapshot, last: Option<&Incident>) -> bool {
    let newest = snapshot.incidents.first();
    match (newest, last) {
        (None, last) => last.is_some_and(|last| last.closed.is_none()),
        (Some(newest), Some(last)) => newest.opened > last.opened,
        (Some(_), None) => true,
    }
}

fn draw(app: &AppHandle, menu: Menu, icon: Icon, headline: &str) {
    let headline = headline.to_owned();
    on_main_thread(app, move |tray| {
        if let Err(error) = tray.draw(menu, icon, &headline) {
            tracing::warn!(%error, "the tray could not be drawn");
        }
    });
}

fn on_main_thread(app: &AppHandle, change: impl FnOnce(&mut Tray) + Send + 'static) {
    let inner = app.clone();
    let asked = app.run_on_main_thread(move || {
        let shown = inner.state::<Shown>();
        let mut tray = shown.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tray) = tray.as_mut() {
            change(tray);
        }
    });
    if let Err(error) = asked {
        tracing::debug!(%error, "the app is ending");
    }
}
