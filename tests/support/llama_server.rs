//! The fake runner `llama-server --model … --port …`: holds real memory, answers `/health` and
//! `/slots` (llama.cpp tools/server/README.md), and is what the fake Ollama starts for a model.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::fake_ollama::control::{CONTROL, ControlFile};

/// Runs until it is killed. `FAKE_LLAMA_MEMORY` bytes are held, `FAKE_LLAMA_LOAD_MS` pass before
/// it is ready, and with `FAKE_LLAMA_ERROR` it ends with that as its last words.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let port = arguments
        .windows(2)
        .find_map(|pair| (pair[0] == "--port").then(|| pair[1].parse::<u16>().ok()).flatten());
    let Some(port) = port else {
        let _ = writeln!(std::io::stderr(), "error: --port is missing");
        return ExitCode::from(1);
    };
    let pids = std::env::var("FAKE_OLLAMA_PIDS").ok();
    record_pid(pids.as_deref().map(Path::new));
    if let Ok(message) = std::env::var("FAKE_LLAMA_ERROR") {
        let _ = writeln!(std::io::stderr(), "error: {message}");
        return ExitCode::from(1);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.and_then(|runtime| runtime.block_on(serve(port)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(1)
        }
    }
}

async fn serve(port: u16) -> std::io::Result<()> {
    let ready = Arc::new(AtomicBool::new(false));
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
    let health = {
        let ready = ready.clone();
        move || async move {
            if ready.load(Ordering::SeqCst) {
                (StatusCode::OK, Json(json!({"status": "ok"})))
            } else {
                let error =
                    json!({"code": 503, "message": "Loading model", "type": "unavailable_error"});
                (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"error": error})))
            }
        }
    };
    let control = ControlFile(std::env::var(CONTROL).ok().map(PathBuf::from));
    let working = Arc::new(AtomicBool::new(false));
    let slots = {
        let working = working.clone();
        move || async move {
            let works = working.load(Ordering::SeqCst);
            let next = json!({"has_next_token": works, "n_remain": -1, "n_decoded": 0});
            let task = if works { 7 } else { -1 };
            let slot =
                json!({"id": 0, "id_task": task, "is_processing": works, "next_token": next});
            Json(json!([slot]))
        }
    };
    std::thread::spawn(move || work(&control, &working));
    let router = Router::new().route("/health", get(health)).route("/slots", get(slots));
    let load = async {
        let bytes = number("FAKE_LLAMA_MEMORY");
        // Written, not only reserved: each page is really there.
        let held = vec![1_u8; usize::try_from(bytes).unwrap_or(usize::MAX)];
        tokio::time::sleep(Duration::from_millis(number("FAKE_LLAMA_LOAD_MS"))).await;
        ready.store(true, Ordering::SeqCst);
        std::future::pending::<()>().await;
        drop(held);
    };
    tokio::select! {
        served = axum::serve(listener, router) => served,
        () = load => Ok(()),
    }
}

/// Burns a core while it is told to.
fn work(control: &ControlFile, working: &AtomicBool) {
    loop {
        let works = control.read().runners_work;
        working.store(works, Ordering::SeqCst);
        let began = Instant::now();
        if !works {
            std::thread::sleep(Duration::from_millis(50));
        }
        while began.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
    }
}

/// So that a test can end what it started, also after a `kill -9` of the parent.
pub(crate) fn record_pid(file: Option<&Path>) {
    let Some(file) = file else { return };
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(file);
    if let Ok(mut opened) = opened {
        let _ = writeln!(opened, "{}", std::process::id());
    }
}

fn number(name: &str) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}
