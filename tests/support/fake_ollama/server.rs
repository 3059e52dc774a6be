//! The process: listening, connections, signals, and the faults below HTTP.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::control::Mode;
use super::environment::Environment;
use super::runners::Runners;
use super::{VERSION, create, log, routes};
use crate::llama_server::record_pid;

/// `ollama serve` and `ollama create`; any other command ends with 1.
pub fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("serve" | "start") => {}
        Some("--version" | "-v") => {
            log::plain(&format!("ollama version is {VERSION}"));
            return ExitCode::SUCCESS;
        }
        Some("create") => {
            let arguments: Vec<String> = std::env::args().skip(2).collect();
            return match create::command(&arguments) {
                Ok(()) => ExitCode::SUCCESS,
                Err(message) => {
                    log::plain(&format!("Error: {message}"));
                    ExitCode::from(1)
                }
            };
        }
        Some(other) => {
            log::plain(&format!("Error: unknown command {other:?} for \"ollama\""));
            return ExitCode::from(1);
        }
        None => {
            log::plain("Usage:\n  ollama [flags]\n  ollama [command]");
            return ExitCode::SUCCESS;
        }
    }
    let served = Environment::read().and_then(|environment| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let ended = runtime.block_on(serve(Arc::new(environment)));
        // Requests that hang must not hold the end back.
        runtime.shutdown_background();
        ended
    });
    match served {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            log::plain(&format!("Error: {message}"));
            ExitCode::from(1)
        }
    }
}

/// Answers until a signal comes or the control file says otherwise; the exit code.
async fn serve(environment: Arc<Environment>) -> Result<u8, String> {
    record_pid(environment.pids.as_deref());
    let began = Instant::now();
    let control = environment.control.read();
    if let Some(code) = control.exit {
        return Ok(code);
    }
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let mut listener = if control.never_listen { None } else { Some(listen(&environment).await?) };
    std::fs::create_dir_all(environment.models_directory.join("blobs"))
        .map_err(|error| format!("mkdir {}: {error}", environment.models_directory.display()))?;
    let address = environment.address();
    let models = environment.models_directory.display();
    let map = format!("map[OLLAMA_HOST:http://{address} OLLAMA_MODELS:{models}]");
    log::info("routes.go:1951", "server config", &[("env", &map)]);
    let listening = format!("Listening on {address} (version {VERSION})");
    log::info("routes.go:1995", &listening, &[]);

    let runners = Runners::new(environment.clone());
    let router = routes::router(environment.clone(), runners.clone());
    let mut connections = JoinSet::new();
    let mut mode = Mode::Well;
    loop {
        let control = environment.control.read();
        if let Some(code) = control.exit {
            return Ok(code);
        }
        if control.mode != mode {
            // Connections kept alive would not see a fault below HTTP.
            if control.mode.is_of_connection() {
                connections.abort_all();
            }
            mode = control.mode;
        }
        if mode == Mode::Refuse {
            listener = None;
        } else if listener.is_none() && !control.never_listen {
            listener = listen(&environment).await.ok();
        }
        let dies = control.die_after_ms.map(|after| began + Duration::from_millis(after));
        tokio::select! {
            accepted = accept(listener.as_ref()) => if let Some((stream, peer)) = accepted {
                connections.spawn(connection(stream, peer, environment.clone(), router.clone()));
            },
            Some(_) = connections.join_next() => {}
            _ = terminate.recv() => if !environment.control.read().ignore_terminate { break },
            _ = interrupt.recv() => if !environment.control.read().ignore_terminate { break },
            () = sleep_until(dies.unwrap_or(began)), if dies.is_some() => std::process::abort(),
            () = sleep(Duration::from_millis(50)) => {}
        }
    }
    // routes.go `Serve`: listener and connections are closed at once, then every runner is killed.
    drop(listener);
    connections.abort_all();
    runners.kill_all();
    Ok(0)
}

async fn listen(environment: &Environment) -> Result<TcpListener, String> {
    let address = environment.address();
    let bound = TcpListener::bind((environment.host.as_str(), environment.port)).await;
    bound.map_err(|error| {
        let reason = if error.kind() == std::io::ErrorKind::AddrInUse {
            "address already in use".to_owned()
        } else {
            error.to_string()
        };
        format!("listen tcp {address}: bind: {reason}")
    })
}

async fn accept(listener: Option<&TcpListener>) -> Option<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await.ok(),
        None => std::future::pending().await,
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    environment: Arc<Environment>,
    router: Router,
) {
    match environment.control.mode_for("") {
        Mode::Garbage => return garbage(stream).await,
        Mode::Reset => {
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            return;
        }
        Mode::Mute | Mode::Refuse => return,
        Mode::Well
        | Mode::Hang
        | Mode::EmptyBody
        | Mode::EmptyAnswers
        | Mode::FailsLate
        | Mode::Slow
        | Mode::Busy => {}
    }
    let router = router.layer(axum::Extension(Client(peer.ip())));
    // A connection that breaks is the client's affair.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
}

/// Who asks, for the access log.
#[derive(Clone, Copy)]
pub(crate) struct Client(pub(crate) IpAddr);

async fn garbage(mut stream: TcpStream) {
    // The request is read first: closing on unread bytes would be a reset.
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await;
    let _ = stream.write_all(b"\x16\x03\x01\x00\xff \xf0\x9f\x92\xa5 this is no HTTP\n").await;
    let _ = stream.shutdown().await;
}
