//! `GET /llm` with 16 clients that keep their connections: latency and requests a second.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tests::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CLIENTS: usize = 16;

pub(crate) fn measure() -> Result<()> {
    let engine = Engine::start("", &[])?;
    let (port, seconds) = (engine.port(), crate::seconds(10));
    // One thread asks, so that the engine has the other core.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut took = runtime.block_on(async {
        let until = Instant::now() + Duration::from_secs(seconds);
        let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(ask(port, until))).collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.await??);
        }
        Ok::<_, anyhow::Error>(all)
    })?;
    took.sort_unstable();
    let at = |thousandth: usize| {
        let index = (took.len() * thousandth / 1000).min(took.len().saturating_sub(1));
        took.get(index).copied().unwrap_or_default().as_micros()
    };
    let rate = took.len() as u64 / seconds;
    println!(
        "{:>10} {:>10} {:>10} {:>10} {:>10}",
        "requests/s", "p50 us", "p99 us", "p99.9 us", "max us"
    );
    println!("{rate:>10} {:>10} {:>10} {:>10} {:>10}", at(500), at(990), at(999), at(1000));
    println!("budget: above 20000 requests/s, p99 below 2000 us");
    Ok(())
}

async fn ask(port: u16, until: Instant) -> Result<Vec<Duration>> {
    let request = format!("GET /llm HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let (mut took, mut answer) = (Vec::new(), Vec::with_capacity(4096));
    while Instant::now() < until {
        let began = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        answer.clear();
        while !is_whole(&answer)? {
            if stream.read_buf(&mut answer).await? == 0 {
                bail!("the connection was closed");
            }
        }
        took.push(began.elapsed());
    }
    Ok(took)
}

/// Whether head and body are there; an error when it is no 200.
fn is_whole(answer: &[u8]) -> Result<bool> {
    let Some(end) = answer.windows(4).position(|end| end == b"\r\n\r\n") else { return Ok(false) };
    let head = std::str::from_utf8(&answer[..end])?.to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") {
        bail!("GET /llm answered {head}");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.context("no content-length")?.trim().parse()?;
    Ok(answer.len() >= end + 4 + length)
}
