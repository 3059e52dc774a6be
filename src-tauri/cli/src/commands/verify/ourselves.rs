//! Homeostat itself: is it running, can it be reached, can it write; and the memory of its host.

use std::fs::OpenOptions;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use doctor::HostSeen;
use engine::api::PORT;
use engine::config::{Config, Listen};
use engine::paths::Paths;
use engine::view::{Snapshot, Takeover};
use serde_json::Value;

use super::Check;
use crate::connection::{Connection, client, read};
use crate::text::bytes;

const START: &str = "start it with `homeostat run`, or open the app";

/// The running engine, with what it sees.
pub(crate) async fn engine(paths: &Paths) -> (Check, Option<Snapshot>) {
    let asked = async {
        let connection = Connection::find(paths)?;
        let snapshot: Snapshot = connection.get("/status").await?;
        let health: Value = connection.get("/health").await?;
        Ok::<_, crate::failure::Failure>((connection, snapshot, health))
    };
    match asked.await {
        Ok((connection, snapshot, health)) if health["status"] == "ok" => {
            let says = format!(
                "version {} runs as process {} and listens on {}",
                snapshot.version, connection.pid, connection.address
            );
            (Check::good("engine", says), Some(snapshot))
        }
        Ok((connection, snapshot, _)) => {
            let says = format!("process {} runs, but its loop stands still", connection.pid);
            (Check::failed("engine", says, "end that process and start it again"), Some(snapshot))
        }
        Err(failure) => {
            let text = failure.to_string();
            let says = text.lines().next().unwrap_or("is not running").trim_end_matches('.');
            (Check::failed("engine", says, START), None)
        }
    }
}

pub(crate) fn memory(host: std::io::Result<HostSeen>) -> Check {
    let host = match host {
        Ok(host) => host,
        Err(error) => {
            let says = format!("the system does not tell: {error}");
            return Check::failed("memory", says, "see the log of the system");
        }
    };
    let free = format!("{} of {} free", bytes(host.available_bytes), bytes(host.memory_bytes));
    match host.pressure {
        0 | 1 => Check::good("memory", free),
        level => Check::failed(
            "memory",
            format!("the system is under pressure (level {level}), {free}"),
            "`homeostat unload --idle` takes unused models out",
        ),
    }
}

/// Whether agents that post to the webhook reach us, and not another program.
pub(crate) async fn webhook(config: &Config, connection: Option<&Connection>) -> Check {
    let home = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let address = match &config.api.listen {
        Listen::Auto => home,
        Listen::Addresses(addresses) => {
            let fixed = addresses.first().copied().filter(|address| address.port() != 0);
            fixed.or(connection.map(|connection| connection.address)).unwrap_or(home)
        }
    };
    let what = "webhook";
    let asked = async {
        let client = client(Duration::from_secs(5))?;
        let response = client.get(format!("http://{address}/health")).send().await?;
        let body = read(response).await?;
        Ok::<_, anyhow::Error>(serde_json::from_slice::<Value>(&body).unwrap_or(Value::Null))
    };
    match asked.await {
        Ok(health) if health["version"].is_string() && health["status"].is_string() => {
            Check::good(what, format!("POST http://{address}/recover reaches Homeostat"))
        }
        Ok(_) => Check::failed(
            what,
            format!("another program answers on {address}{}", owner(address.port())),
            "stop it (host_recovery_listener.py uses this port), then agents reach Homeostat",
        ),
        Err(_) => Check::failed(what, format!("nothing answers on {address}"), START),
    }
}

fn owner(port: u16) -> String {
    match engine::platform::listener(port) {
        doctor::Listener::Process(process) => {
            format!(": {} (pid {})", process.id.program(), process.id.pid)
        }
        doctor::Listener::Nobody | doctor::Listener::Hidden | doctor::Listener::NotAsked => {
            String::new()
        }
    }
}

/// Writes a byte where the journal lies; the journal itself is left alone.
pub(crate) fn journal(paths: &Paths) -> Check {
    let what = "journal";
    let folder = paths.data.display();
    if !paths.data.is_dir() {
        return Check::failed(what, format!("{folder} does not exist yet"), START);
    }
    let trial = paths.data.join(format!(".verify.{}", std::process::id()));
    let mut options = OpenOptions::new();
    let written = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&trial)
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"\n"));
    // What could not be made need not be removed.
    let _ = std::fs::remove_file(&trial);
    let journal = paths.journal();
    let opened = if journal.exists() {
        OpenOptions::new().append(true).open(&journal).map(|_| ())
    } else {
        Ok(())
    };
    match written.and(opened) {
        Ok(()) => Check::good(what, format!("{} can be written", journal.display())),
        Err(error) => Check::failed(
            what,
            format!("{folder} cannot be written ({error})"),
            "make room on the disk, and see that the directory belongs to you",
        ),
    }
}

/// What the engine says about itself.
pub(crate) fn messages(snapshot: &Snapshot) -> Vec<Check> {
    // Nothing is healed until a person has us take over.
    let waits = |one: &&Takeover| one.can.iter().any(|can| can == "take_over");
    let takeover = snapshot.takeover.as_ref().filter(waits).map(|one| &one.text);
    let messages = takeover.into_iter().chain(&snapshot.messages);
    messages.map(|message| Check::failed("message", message, "")).collect()
}
