//! The app: the engine with a tray icon, a window and native notifications. The only crate that
//! knows Tauri.

mod autostart;
mod commands;
mod notify;
mod tray;
mod window;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use engine::handle::Handle;
use engine::run::{Engine, Options};
use tauri::async_runtime::{block_on, spawn};
use tauri::{AppHandle, Manager as _, RunEvent};
use tokio::signal::unix::{SignalKind, signal};

/// Watches local model servers, containers and services, and brings them back.
#[derive(Parser)]
#[command(name = "homeostat-app", version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory of journal, token and logs.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Open the window at start.
    #[arg(long)]
    show: bool,
}

/// How long the end may take before it is forced, so that a logout never waits for us.
const END: Duration = Duration::from_secs(8);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Started from a desktop nobody sees this; the notification is for them.
            let text = format!("{error:#}");
            let _ = writeln!(std::io::stderr(), "homeostat-app: {text}");
            block_on(notify::alone("Homeostat cannot start", &text));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let unseen = |name: &str| std::env::var_os(name).is_none_or(|value| value.is_empty());
    if cfg!(target_os = "linux") && unseen("DISPLAY") && unseen("WAYLAND_DISPLAY") {
        anyhow::bail!(
            "there is no desktop here (neither DISPLAY nor WAYLAND_DISPLAY is set); \
             `homeostat run` is the same without tray and window"
        );
    }
    let mut app = tauri::Builder::default()
        // First, so that a second copy ends before it does anything else.
        .plugin(tauri_plugin_single_instance::init(|app, _, _| window::open(app)))
        .plugin(tauri_plugin_autostart::Builder::new().app_name(autostart::NAME).build())
        .plugin(tauri_plugin_positioner::init())
        .invoke_handler(tauri::generate_handler![
            commands::snapshot,
            commands::act,
            commands::incidents,
            commands::incident,
            commands::audit,
            commands::autostart,
            commands::set_autostart,
        ])
        .build(tauri::generate_context!())
        .context("the desktop did not take the app")?;
    let options = Options { config: arguments.config, data: arguments.data };
    let engine = match block_on(engine::run::start(options)) {
        Ok(engine) => engine,
        Err(error) => {
            app.cleanup_before_exit();
            return Err(error.into());
        }
    };
    app.manage(engine.handle.clone());
    app.manage(notify::begin(app.handle(), &engine.handle));
    app.manage(tray::Signs::default());
    be_an_accessory(&mut app);

    let mut running = Some(engine);
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "Tauri's events may grow; most are not for us"
    )]
    app.run(move |app, event| match event {
        RunEvent::Ready => ready(app, arguments.show),
        // The last window was closed: the tray goes on. A code means that somebody asked to quit.
        RunEvent::ExitRequested { code: None, api, .. } => api.prevent_exit(),
        RunEvent::Exit => {
            tray::expect_end(app);
            end(running.take());
        }
        _ => {}
    });
    Ok(())
}

/// The event loop runs: only now may the tray be made.
fn ready(app: &AppHandle, show: bool) {
    let handle = app.state::<Handle>().inner().clone();
    autostart::refresh(app);
    tray::begin(app, handle);
    if show {
        window::open(app);
    }
    let quit = app.clone();
    spawn(async move {
        if let Err(error) = told_to_end().await {
            tracing::warn!(%error, "signals cannot be heard");
            return;
        }
        quit.exit(0);
    });
}

async fn told_to_end() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}

/// The engine ends in order; what it started goes on.
fn end(engine: Option<Engine>) {
    let Some(engine) = engine else { return };
    let stopped = block_on(async { tokio::time::timeout(END, engine.stop()).await });
    if stopped.is_err() {
        tracing::warn!("the engine did not stop in time; the app ends without it");
    }
}

#[cfg(target_os = "macos")]
fn be_an_accessory(app: &mut tauri::App) {
    app.set_activation_policy(tauri::ActivationPolicy::Accessory);
}

/// Only macOS has a Dock.
#[cfg(not(target_os = "macos"))]
fn be_an_accessory(_app: &mut tauri::App) {}
