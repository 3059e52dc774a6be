//! Homeostat itself: is it running, can it be reached, can it write; and the memory of its host.

use std::fs::OpenOptions;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use doctor::{HostSeen, Sentence, Value};
use engine::api::PORT;
use engine::config::{Config, Listen};
use engine::paths::Paths;
use engine::view::{Snapshot, Takeover};
use engine::words::Words;
use serde_json::Value as Json;

use super::Check;
use crate::connection::{Connection, client, read};

const START: &str = "cli.check_start";

/// The running engine, with what it sees.
pub(crate) async fn engine(paths: &Paths, words: &Words) -> (Check, Option<Snapshot>) {
    let asked = async {
        let connection = Connection::find(paths)?;
        let snapshot: Snapshot = connection.get("/status").await?;
        let health: Json = connection.get("/health").await?;
        Ok::<_, crate::failure::Failure>((connection, snapshot, health))
    };
    match asked.await {
        Ok((connection, snapshot, health)) if health["status"] == "ok" => {
            let says = Sentence::new("cli.check_engine")
                .with("version", snapshot.version.as_str())
                .with("pid", connection.pid)
                .with("address", connection.address.to_string());
            (Check::good("engine", words.sentence(&says)), Some(snapshot))
        }
        Ok((connection, snapshot, _)) => {
            let says = Sentence::new("cli.check_engine_stuck").with("pid", connection.pid);
            let (says, advice) = (words.sentence(&says), words.say("cli.check_engine_again"));
            (Check::failed("engine", says, advice), Some(snapshot))
        }
        Err(failure) => {
            let text = failure.to_string();
            let says = text.lines().next().unwrap_or_default().trim_end_matches('.');
            (Check::failed("engine", says, words.say(START)), None)
        }
    }
}

pub(crate) fn memory(host: std::io::Result<HostSeen>, words: &Words) -> Check {
    let host = match host {
        Ok(host) => host,
        Err(error) => {
            let says = Sentence::new("cli.check_memory_untold").with("reason", error.to_string());
            let advice = words.say("cli.check_system_log");
            return Check::failed("memory", words.sentence(&says), advice);
        }
    };
    let about = |key: &str| {
        let says = Sentence::new(key)
            .with("available", Value::Bytes(host.available_bytes))
            .with("total", Value::Bytes(host.memory_bytes));
        words.sentence(&says.with("level", u32::from(host.pressure)))
    };
    match host.pressure {
        0 | 1 => Check::good("memory", about("cli.check_memory")),
        2.. => Check::failed(
            "memory",
            about("cli.check_memory_short"),
            words.say("cli.check_unload_idle"),
        ),
    }
}

/// Whether agents that post to the webhook reach us, and not another program.
pub(crate) async fn webhook(
    config: &Config,
    connection: Option<&Connection>,
    words: &Words,
) -> Check {
    let home = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let address = match &config.api.listen {
        Listen::Auto => home,
        Listen::Addresses(addresses) => {
            let fixed = addresses.first().copied().filter(|address| address.port() != 0);
            fixed.or(connection.map(|connection| connection.address)).unwrap_or(home)
        }
    };
    let what = "webhook";
    let about =
        |key: &str| words.sentence(&Sentence::new(key).with("address", address.to_string()));
    let asked = async {
        let client = client(Duration::from_secs(5))?;
        let response = client.get(format!("http://{address}/health")).send().await?;
        let body = read(response).await?;
        Ok::<_, anyhow::Error>(serde_json::from_slice::<Json>(&body).unwrap_or(Json::Null))
    };
    match asked.await {
        Ok(health) if health["version"].is_string() && health["status"].is_string() => {
            Check::good(what, about("cli.check_webhook"))
        }
        Ok(_) => Check::failed(
            what,
            format!("{}{}", about("cli.check_webhook_taken"), owner(address.port())),
            words.say("cli.check_webhook_free"),
        ),
        Err(_) => Check::failed(what, about("cli.check_webhook_silent"), words.say(START)),
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
pub(crate) fn journal(paths: &Paths, words: &Words) -> Check {
    let what = "journal";
    let about = |key: &str| Sentence::new(key).with("data", paths.data.display().to_string());
    if !paths.data.is_dir() {
        let says = words.sentence(&about("cli.check_no_data"));
        return Check::failed(what, says, words.say(START));
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
        Ok(()) => {
            let says = about("cli.check_journal").with("file", journal.display().to_string());
            Check::good(what, words.sentence(&says))
        }
        Err(error) => {
            let says = about("cli.check_journal_closed").with("reason", error.to_string());
            Check::failed(what, words.sentence(&says), words.say("cli.check_make_room"))
        }
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
