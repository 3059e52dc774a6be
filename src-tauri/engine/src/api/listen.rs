//! The doors: which addresses are open, and how a connection is served.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tower::Service;

use super::guard::{Door, Gate};
use super::stream::Patient;
use super::token::write_private;
use super::{Api, ApiSettings, Listen, PORT, Token, description, events, guard, stopped};
use crate::handle::Handle;

/// A door that would not open, and a bridge that was not there, are tried again after this.
const TRY_AGAIN: Duration = Duration::from_secs(30);
/// Opened when no other door of this machine is: any free port.
const SPARE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const CONNECTIONS: usize = 256;
/// A head that is slower ends the connection; so does a kept one that is silent for as long.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
const HEAD: usize = 16 * 1024;
/// How long answers under way may take when the API stops.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// The doors that are open now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// Loopback first.
    pub addresses: Vec<SocketAddr>,
    /// For a person: which door is shut and why. Everything else goes on.
    pub problem: Option<String>,
}

/// The API while it runs; dropped, it ends at once.
pub struct Serving {
    listening: watch::Receiver<Listening>,
    stop: watch::Sender<bool>,
    again: Arc<Notify>,
    ports: Vec<u16>,
    doors: JoinHandle<()>,
}

impl Serving {
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listening.borrow().addresses.clone()
    }

    pub fn problem(&self) -> Option<String> {
        self.listening.borrow().problem.clone()
    }

    /// Ports that are meant to be open.
    pub fn wanted_ports(&self) -> Vec<u16> {
        self.ports.clone()
    }

    /// Wakes when a door opens or shuts.
    pub fn changes(&self) -> watch::Receiver<Listening> {
        self.listening.clone()
    }

    /// A door that would not open is tried again at once.
    pub fn try_again(&self) {
        self.again.notify_one();
    }

    /// Opens no more connections, ends the streams, lets answers under way finish for two seconds, and
    /// removes the address file.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.doors.await {
            tracing::error!(%error, "the API ended badly");
        }
    }
}

/// Opens the doors; a shut one is no error, it is told in `problem` and tried again. `address_file`
/// tells the command line where to find us: `{"address":"127.0.0.1:9099","pid":4711}`.
pub async fn serve(
    handle: Handle,
    settings: ApiSettings,
    token: Token,
    address_file: PathBuf,
) -> Serving {
    let (stop, stopping) = watch::channel(false);
    let (publish, listening) = watch::channel(Listening::default());
    let again = Arc::new(Notify::new());
    handle.audits.set_port(settings.listen.port());
    let api = Arc::new(Api {
        handle,
        token,
        hosts: settings.hosts,
        recover_needs_token: settings.recover_needs_token,
        gate: Gate::new(),
        streams: Arc::new(Semaphore::new(events::STREAMS)),
        stopping: stopping.clone(),
    });
    let mut doors = Doors {
        listen: settings.listen,
        house: House {
            router: description::router(api.clone()),
            api,
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            stopping,
        },
        open: BTreeMap::new(),
        accepting: JoinSet::new(),
        publish,
        address_file,
        again: again.clone(),
    };
    doors.open_all().await;
    let ports = doors.wanted().iter().map(SocketAddr::port).filter(|port| *port > 0).collect();
    Serving { listening, stop, again, ports, doors: tokio::spawn(doors.attend()) }
}

/// Which doors are meant to be open, and which are.
struct Doors {
    listen: Listen,
    house: House,
    /// What is meant, and what it became: port 0 becomes a free one.
    open: BTreeMap<SocketAddr, SocketAddr>,
    accepting: JoinSet<SocketAddr>,
    publish: watch::Sender<Listening>,
    address_file: PathBuf,
    again: Arc<Notify>,
}

impl Doors {
    async fn attend(mut self) {
        let mut stopping = self.house.stopping.clone();
        loop {
            tokio::select! {
                () = stopped(&mut stopping) => break,
                () = sleep(TRY_AGAIN) => {}
                () = self.again.notified() => {}
                Some(ended) = self.accepting.join_next() => {
                    // A door ends only by a panic; which one it was is then unknown.
                    match ended {
                        Ok(address) => { self.open.remove(&address); }
                        Err(error) => {
                            tracing::error!(%error, "a door of the API ended badly");
                            self.accepting.abort_all();
                            while self.accepting.join_next().await.is_some() {}
                            self.open.clear();
                        }
                    }
                }
            }
            self.open_all().await;
        }
        while self.accepting.join_next().await.is_some() {}
        forget(&self.address_file);
    }

    async fn open_all(&mut self) {
        let mut problems = Vec::new();
        for wanted in self.wanted() {
            if self.open.contains_key(&wanted) {
                continue;
            }
            if let Err(error) = self.open(wanted).await {
                problems.push(shut(wanted, &error).await);
            }
        }
        // The command line and the window in a browser find this one by the address file: with the
        // port taken they are needed most.
        if !problems.is_empty()
            && !self.is_reachable()
            && let Err(error) = self.open(SPARE).await
        {
            tracing::warn!(%error, "not even a free port could be opened");
        }
        let proper = self.open.iter().any(|(wanted, address)| {
            *wanted != SPARE && (address.ip().is_loopback() || address.ip().is_unspecified())
        });
        let shown = self.open.iter().filter(|(wanted, _)| !proper || **wanted != SPARE);
        let mut addresses: Vec<SocketAddr> = shown.map(|(_, address)| *address).collect();
        addresses.sort_by_key(|address| !address.ip().is_loopback());
        let now =
            Listening { addresses, problem: (!problems.is_empty()).then(|| problems.join(" ")) };
        let changed = self.publish.send_if_modified(|before| {
            let changed = *before != now;
            before.clone_from(&now);
            changed
        });
        if changed {
            if let Some(problem) = &now.problem {
                tracing::warn!("{problem}");
            }
            tracing::info!(addresses = ?now.addresses, "the API listens");
            announce(&self.address_file, &now.addresses);
        }
    }

    async fn open(&mut self, wanted: SocketAddr) -> io::Result<()> {
        let listener = TcpListener::bind(wanted).await?;
        self.open.insert(wanted, listener.local_addr()?);
        let house = self.house.clone();
        self.accepting.spawn(async move {
            house.accept(listener).await;
            wanted
        });
        Ok(())
    }

    /// From this machine.
    fn is_reachable(&self) -> bool {
        self.open.values().any(|one| one.ip().is_loopback() || one.ip().is_unspecified())
    }

    fn wanted(&self) -> Vec<SocketAddr> {
        match &self.listen {
            Listen::Addresses(addresses) => addresses.clone(),
            Listen::Auto => {
                let home = IpAddr::V4(Ipv4Addr::LOCALHOST);
                let bridge_open = self.open.keys().find(|address| !address.ip().is_loopback());
                let bridge = bridge_open.map(SocketAddr::ip).or_else(docker_bridge);
                [Some(home), bridge]
                    .into_iter()
                    .flatten()
                    .map(|address| SocketAddr::new(address, PORT))
                    .collect()
            }
        }
    }
}

/// What every connection needs.
#[derive(Clone)]
struct House {
    api: Arc<Api>,
    router: Router,
    connections: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

impl House {
    /// Until the API stops; then waits for the answers under way.
    async fn accept(self, listener: TcpListener) {
        let mut stopping = self.stopping.clone();
        let mut served = JoinSet::new();
        loop {
            tokio::select! {
                () = stopped(&mut stopping) => break,
                Some(ended) = served.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "answering a connection ended badly");
                    }
                }
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => match self.connections.clone().try_acquire_owned() {
                        Ok(place) => { served.spawn(self.clone().serve(stream, peer, place)); }
                        // Too many: shut at once, so that nobody waits for an answer.
                        Err(_) => drop(stream),
                    },
                    Err(error) => {
                        // Out of file descriptors, most likely: it passes when others are closed.
                        tracing::warn!(%error, "a connection could not be accepted");
                        sleep(Duration::from_millis(200)).await;
                    }
                },
            }
        }
        drop(listener);
        let finish = async { while served.join_next().await.is_some() {} };
        if timeout(LAST_ANSWERS, finish).await.is_err() {
            served.shutdown().await;
        }
    }

    async fn serve(self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
        let Ok(local) = stream.local_addr() else { return };
        let door = Door { local, peer: peer.ip() };
        // Small answers leave at once; without it they may wait 40 ms. Not being able to is no loss.
        let _ = stream.set_nodelay(true);
        let (api, router) = (&self.api, &self.router);
        let answer = service_fn(move |request| async move {
            let response = match guard::admit(api, door, request).await {
                Ok(request) => match router.clone().call(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                },
                Err(problem) => problem.into_response(),
            };
            Ok::<_, std::convert::Infallible>(sealed(response))
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_buf_size(HEAD)
            .serve_connection(TokioIo::new(Patient::new(stream)), answer);
        tokio::pin!(connection);
        let mut stopping = self.stopping.clone();
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopped(&mut stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, %peer, "a connection ended early");
        }
        drop(place);
    }
}

/// A browser must not guess what a file is.
fn sealed(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The address under which containers reach this machine; none where Docker runs in a VM.
fn docker_bridge() -> Option<IpAddr> {
    let interfaces = sysinfo::Networks::new_with_refreshed_list().ok()?;
    let bridge = interfaces.get(std::ffi::OsStr::new("docker0"))?;
    bridge.ip_networks().iter().map(|network| network.addr).find(IpAddr::is_ipv4)
}

/// Why a door is shut, and what to do.
async fn shut(address: SocketAddr, error: &io::Error) -> String {
    let (ip, port) = (address.ip(), address.port());
    let reason = if error.kind() == io::ErrorKind::AddrInUse {
        let owner = tokio::task::spawn_blocking(move || owner(port)).await.unwrap_or_default();
        format!(
            "Port {port} on {ip} is taken{owner}. Stop that program or set another address in [api] listen"
        )
    } else if error.kind() == io::ErrorKind::AddrNotAvailable {
        format!("This machine has no address {ip} now. Correct [api] listen unless it comes later")
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        format!(
            "Port {port} on {ip} may not be opened by this user. Set one above 1023 in [api] listen"
        )
    } else {
        format!("Port {port} on {ip} cannot be opened: {error}. See [api] listen")
    };
    format!("{reason}; it is tried again every 30 s. Watching and healing go on.")
}

fn owner(port: u16) -> String {
    match crate::platform::listener(port) {
        doctor::Listener::Process(process) => {
            let user = process.user.map(|user| format!(" of {user}")).unwrap_or_default();
            format!(" by {} (pid {}{user})", process.id.program(), process.id.pid)
        }
        doctor::Listener::Hidden => " by a program of another user".into(),
        doctor::Listener::Nobody | doctor::Listener::NotAsked => String::new(),
    }
}

#[derive(Serialize)]
struct Announcement {
    address: SocketAddr,
    pid: u32,
}

/// The command line finds us by this file. Without it only the command line is lost.
fn announce(file: &Path, addresses: &[SocketAddr]) {
    let Some(&address) = addresses.first() else { return forget(file) };
    let announcement = Announcement { address: reachable(address), pid: std::process::id() };
    let written = serde_json::to_vec(&announcement)
        .map_err(io::Error::other)
        .and_then(|text| write_private(file, &text));
    if let Err(error) = written {
        tracing::warn!(%error, file = %file.display(), "the address file could not be written; the command line will not find this engine");
    }
}

/// Listening on every address is listening on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

fn forget(file: &Path) {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, file = %file.display(), "the address file could not be removed");
        }
        Ok(()) | Err(_) => {}
    }
}
