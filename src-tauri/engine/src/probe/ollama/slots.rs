//! What a runner says of itself: `GET /slots` of a `llama-server` goes through its main loop and is
//! answered between two steps of work (FACTS A.9; llama.cpp tools/server/README.md). It is an
//! internal of Ollama's: evidence where it is offered, and nothing follows from its absence.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use doctor::{Activity, ProcessId};
use serde_json::Value;

use crate::platform;
use crate::probe::http::{self, LIST_CAP};

/// Between two steps of a large prompt a second or two may pass.
const WITHIN: Duration = Duration::from_secs(3);

/// A slot is at work. One that is stuck does not answer, and so is not called busy.
pub(super) async fn is_busy(runners: impl Iterator<Item = &ProcessId>, blob: Option<&str>) -> bool {
    let ports: Vec<u16> = runners.filter_map(|runner| port(runner, blob)).collect();
    for port in ports {
        if slots(port).await.iter().any(|slot| slot.works) {
            return true;
        }
    }
    false
}

/// Requests that are under work and have had no token, from look to look (R6).
#[derive(Default)]
pub(super) struct Stalls {
    /// Port of the runner, slot and task, and since when on the clock that stands in sleep.
    since: Mutex<HashMap<(u16, i64, i64), Duration>>,
}

impl Stalls {
    /// For how many seconds the oldest request has had no byte; asked only where somebody works.
    pub(super) async fn silent(&self, server: &ProcessId, activity: Activity) -> Option<u64> {
        let found = if activity.runners_percent < 1 {
            Vec::new()
        } else {
            let server = server.clone();
            let listing = tokio::task::spawn_blocking(move || {
                let runners = platform::offspring(server.pid);
                runners.iter().filter_map(|runner| port(runner, None)).collect::<Vec<u16>>()
            });
            silent_in(listing.await.ok()?).await
        };
        let now = platform::awake();
        let mut since = self.since.lock().ok()?;
        since.retain(|key, _| found.contains(key));
        for key in found {
            since.entry(key).or_insert(now);
        }
        since.values().min().map(|oldest| now.saturating_sub(*oldest).as_secs())
    }
}

async fn silent_in(ports: Vec<u16>) -> Vec<(u16, i64, i64)> {
    let mut found = Vec::new();
    for port in ports {
        let slots = slots(port).await.into_iter();
        let silent = slots.filter(|slot| slot.works && slot.decoded == Some(0));
        found.extend(silent.map(|slot| (port, slot.id, slot.task)));
    }
    found
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot {
    id: i64,
    task: i64,
    works: bool,
    decoded: Option<u64>,
}

async fn slots(port: u16) -> Vec<Slot> {
    let url = format!("http://127.0.0.1:{port}/slots");
    let list: Option<Value> = http::get(&url, WITHIN, LIST_CAP).await.json();
    list.as_ref().map(read).unwrap_or_default()
}

/// `next_token` is an object, in some builds a list of one. Prompts that some builds show are not
/// kept.
fn read(list: &Value) -> Vec<Slot> {
    let read = |slot: &Value| {
        let next = &slot["next_token"];
        let next = next.get(0).unwrap_or(next);
        Slot {
            id: slot["id"].as_i64().unwrap_or(-1),
            task: slot["id_task"].as_i64().unwrap_or(-1),
            works: slot["is_processing"] == true,
            decoded: next["n_decoded"].as_u64(),
        }
    };
    list.as_array().into_iter().flatten().map(read).collect()
}

/// The port in a runner's command line; of another model's runner none.
fn port(runner: &ProcessId, blob: Option<&str>) -> Option<u16> {
    let command = platform::process(runner.pid).filter(|seen| seen.id == *runner)?.command;
    port_in(&command, blob)
}

fn port_in(command: &[String], blob: Option<&str>) -> Option<u16> {
    let after = |name: &str| {
        let at = command.iter().position(|word| word == name)?;
        command.get(at + 1).map(String::as_str)
    };
    let program = command.first()?.rsplit('/').next()?;
    let model = after("--model")?;
    let other = blob.is_some_and(|blob| !model.ends_with(blob));
    (program == "llama-server" && !other).then(|| after("--port")?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn slots_are_read_as_any_build_writes_them() {
        let list = json!([
            {"id": 0, "id_task": 7, "is_processing": true, "prompt": "secret",
             "next_token": {"n_decoded": 0}},
            {"id": 1, "id_task": 8, "is_processing": true, "next_token": [{"n_decoded": 3}]},
            {"id": 2},
        ]);
        let slot = |id, task, works, decoded| Slot { id, task, works, decoded };
        assert_eq!(
            read(&list),
            [slot(0, 7, true, Some(0)), slot(1, 8, true, Some(3)), slot(2, -1, false, None)]
        );
        assert_eq!(read(&json!({"error": {"code": 501}})), []);
    }

    #[test]
    fn the_runner_of_a_model_is_told_by_its_command_line() {
        let command = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let runner =
            command("/x/llama-server --model /m/blobs/sha256-ab --port 4711 --host 127.0.0.1");
        assert_eq!(port_in(&runner, Some("sha256-ab")), Some(4711));
        assert_eq!(port_in(&runner, None), Some(4711));
        assert_eq!(port_in(&runner, Some("sha256-cd")), None);
        let other = command("/x/ollama runner --mlx-engine --model a --port 4711");
        assert_eq!(port_in(&other, None), None);
    }
}
