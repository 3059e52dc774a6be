//! A listener that misbehaves below and around HTTP, on real sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use anyhow::Result;

/// What happens to each connection from the moment that it is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A plain answer of that status, content type and body.
    Answer { status: u16, kind: &'static str, body: String },
    /// Accepts, reads and never says a byte.
    Hang,
    /// One byte of the head each second.
    SlowHead,
    /// A head that promises 1000 bytes, ten of them, and then nothing.
    StallInBody,
    /// A head, then a reset.
    ResetAfterHead,
    /// A reset before any byte.
    Reset,
    /// Closes without a byte.
    EmptyReply,
    /// Bytes that are not HTTP.
    Garbage,
    /// 302 to itself.
    RedirectLoop,
    /// Chunks without end.
    EndlessChunks,
    /// Chunks of which the second is broken.
    BrokenChunks,
    /// Promises 2 GB and sends them.
    HugeBody,
    /// Header lines without end.
    EndlessHead,
}

impl Fault {
    /// An answer of that status with a short text.
    pub fn status(status: u16) -> Self {
        Self::Answer { status, kind: "text/plain", body: format!("this is {status}\n") }
    }

    /// 200 with JSON.
    pub fn json(body: &str) -> Self {
        Self::Answer { status: 200, kind: "application/json", body: body.into() }
    }

    /// A web page of some other product.
    pub fn other_product() -> Self {
        let body = "<!doctype html><title>Grafana</title>".into();
        Self::Answer { status: 200, kind: "text/html", body }
    }
}

/// Answers on a free port of loopback until it is dropped.
pub struct FaultServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<thread::JoinHandle<()>>,
}

struct Shared {
    fault: Mutex<Fault>,
    stopped: AtomicBool,
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
    /// Weak, since a connection is only reset when its last handle is closed.
    open: Mutex<Vec<Weak<TcpStream>>>,
}

impl FaultServer {
    pub fn start(fault: Fault) -> Result<Self> {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), fault)
    }

    /// On a port of the test's choice, such as one that was closed before.
    pub fn start_at(address: SocketAddr, fault: Fault) -> Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            fault: Mutex::new(fault),
            stopped: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            requests: Mutex::default(),
            open: Mutex::default(),
        });
        let accepting = thread::spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared)
        });
        Ok(Self { address, shared, accepting: Some(accepting) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From the next connection on; the ones that are open are closed.
    pub fn set(&self, fault: Fault) {
        *lock(&self.shared.fault) = fault;
        self.close_open();
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Request lines such as `GET /health HTTP/1.1`, oldest first.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.shared.requests).clone()
    }

    fn close_open(&self) {
        for stream in lock(&self.shared.open).drain(..).filter_map(|open| open.upgrade()) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
        self.close_open();
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// A port on which nothing listens.
pub fn closed_port() -> Result<u16> {
    crate::programs::free_port()
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let stream = Arc::new(stream);
        lock(&shared.open).push(Arc::downgrade(&stream));
        let shared = shared.clone();
        thread::spawn(move || {
            let fault = lock(&shared.fault).clone();
            // The client closing its end is how most of these end.
            let _ = misbehave(&stream, &fault, &shared);
        });
    }
}

fn misbehave(mut stream: &TcpStream, fault: &Fault, shared: &Shared) -> std::io::Result<()> {
    const CHUNK: &[u8] = b"400\r\n";
    if *fault == Fault::Reset {
        return reset(stream);
    }
    read_head(stream, shared)?;
    match fault {
        Fault::Answer { status, kind, body } => {
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status} Scripted\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )?;
        }
        Fault::Hang => hold(stream),
        Fault::SlowHead => {
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Padding: 0123456789\r\n\r\n" {
                stream.write_all(&[*byte])?;
                thread::sleep(Duration::from_secs(1));
            }
        }
        Fault::StallInBody => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"models\":")?;
            hold(stream);
        }
        Fault::ResetAfterHead => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")?;
            // The head must have left before the reset overtakes it.
            thread::sleep(Duration::from_millis(50));
            return reset(stream);
        }
        Fault::Reset => return reset(stream),
        Fault::EmptyReply => {}
        Fault::Garbage => {
            stream.write_all(b"\x16\x03\x01\x00\xff no HTTP \xf0\x9f\x92\xa5\r\n\r\n")?;
        }
        Fault::RedirectLoop => {
            let own = stream.local_addr()?;
            write!(
                stream,
                "HTTP/1.1 302 Found\r\nLocation: http://{own}/again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )?;
        }
        Fault::EndlessChunks => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            loop {
                stream.write_all(CHUNK)?;
                stream.write_all(&[b' '; 1024])?;
                stream.write_all(b"\r\n")?;
            }
        }
        Fault::BrokenChunks => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            stream.write_all(b"2\r\nok\r\nthis is no length\r\n")?;
        }
        Fault::HugeBody => {
            let length: u64 = 2 << 30;
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")?;
            let block = vec![b'x'; 65536];
            for _ in 0..length / 65536 {
                stream.write_all(&block)?;
            }
        }
        Fault::EndlessHead => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            loop {
                stream.write_all(b"X-Again: and again and again and again and again\r\n")?;
            }
        }
    }
    stream.shutdown(Shutdown::Write)?;
    hold(stream);
    Ok(())
}

/// Reads up to the empty line, so that closing does not turn into a reset.
fn read_head(mut stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let (mut head, mut part) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < 65536 {
        match stream.read(&mut part)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => head.extend_from_slice(&part[..count]),
        }
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    lock(&shared.requests).push(String::from_utf8_lossy(line).into_owned());
    Ok(())
}

/// Until the client closes, or the server is dropped.
fn hold(mut stream: &TcpStream) {
    let mut part = [0; 1024];
    while matches!(stream.read(&mut part), Ok(count) if count > 0) {}
}

fn reset(stream: &TcpStream) -> std::io::Result<()> {
    let socket = socket2::SockRef::from(stream);
    socket.set_linger(Some(Duration::ZERO))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
