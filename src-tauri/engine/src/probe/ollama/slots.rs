//! What a runner says of itself: `GET /slots` of a `llama-server` tells each request under work and
//! how far it is (FACTS A.9; llama.cpp tools/server/server-context.cpp `get_slots`). Older builds
//! answer between two steps of work and not at all when a step never ends; newer ones answer during a
//! step as well (tools/server/server-queue.cpp `yield_to_queue`). It is an internal of Ollama's:
//! evidence where it is offered, and nothing follows from its absence.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use doctor::{Activity, ProcessId};
use serde_json::Value;

use crate::platform;
use crate::probe::http::{self, LIST_CAP};

/// Between two steps of a large prompt a second or two may pass.
const WITHIN: Duration = Duration::from_secs(3);

/// A request that has not moved on for so long is no work any more. One step of 512 tokens, Ollama's
/// batch, takes a large model seconds; of 2,048, llama.cpp's own, with a long context a few minutes.
const STANDS: Duration = Duration::from_mins(5);

/// Port of the runner, slot and task.
type Place = (u16, i64, i64);

/// How far each request under work is, from question to question.
#[derive(Default)]
pub(super) struct Moves {
    since: Mutex<HashMap<Place, (Slot, Duration)>>,
}

impl Moves {
    /// A request is under work and moves on, or stands for less than [`STANDS`]: a step that never
    /// ends would otherwise be an excuse for ever.
    pub(super) async fn is_busy(
        &self,
        runners: impl Iterator<Item = &ProcessId>,
        blob: Option<&str>,
    ) -> bool {
        let ports: Vec<u16> = runners.filter_map(|runner| port(runner, blob)).collect();
        let mut found = Vec::new();
        for port in ports {
            found.extend(slots(port).await.into_iter().map(|slot| (port, slot)));
        }
        self.note(found, platform::awake())
    }

    fn note(&self, found: Vec<(u16, Slot)>, now: Duration) -> bool {
        let Ok(mut since) = self.since.lock() else { return true };
        // Another model's requests are not forgotten when this one's are asked for, but at last.
        since.retain(|_, (_, at)| now.saturating_sub(*at) < STANDS * 12);
        let mut busy = false;
        for (port, slot) in found.into_iter().filter(|(_, slot)| slot.works) {
            let place = (port, slot.id, slot.task);
            let known = since.entry(place).or_insert_with(|| (slot.clone(), now));
            if known.0 != slot {
                *known = (slot, now);
            }
            // A build that does not tell how far it has read answers between two steps only: that it
            // answers is the proof that it moves on.
            let tells = known.0.read.is_some();
            busy |= !tells || now.saturating_sub(known.1) < STANDS;
        }
        busy
    }
}

/// Requests that are under work and have had no token, from look to look (R6).
#[derive(Default)]
pub(super) struct Stalls {
    /// Since when, on the clock that stands in sleep.
    since: Mutex<HashMap<Place, Duration>>,
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

async fn silent_in(ports: Vec<u16>) -> Vec<Place> {
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
    /// Tokens of the answer; 0 while the prompt is read.
    decoded: Option<u64>,
    /// Tokens of the prompt, counted after each step; old builds do not tell.
    read: Option<u64>,
}

async fn slots(port: u16) -> Vec<Slot> {
    let url = format!("http://127.0.0.1:{port}/slots");
    let list: Option<Value> = http::get(&url, WITHIN, LIST_CAP).await.json();
    list.as_ref().map(read).unwrap_or_default()
}

/// `next_token` is a list of one, in some builds an object, and not there while the slot is idle.
/// Prompts that some builds show are not kept.
fn read(list: &Value) -> Vec<Slot> {
    let read = |slot: &Value| {
        let next = &slot["next_token"];
        let next = next.get(0).unwrap_or(next);
        Slot {
            id: slot["id"].as_i64().unwrap_or(-1),
            task: slot["id_task"].as_i64().unwrap_or(-1),
            works: slot["is_processing"] == true,
            decoded: next["n_decoded"].as_u64(),
            read: slot["n_prompt_tokens_processed"].as_u64(),
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
            {"id": 1, "id_task": 8, "is_processing": true, "n_prompt_tokens_processed": 9,
             "next_token": [{"n_decoded": 3}]},
            {"id": 2, "n_ctx": 1024, "speculative": false, "is_processing": false},
        ]);
        let slot = |id, task, decoded, read| Slot { id, task, works: task > 0, decoded, read };
        assert_eq!(
            read(&list),
            [slot(0, 7, Some(0), None), slot(1, 8, Some(3), Some(9)), slot(2, -1, None, None)]
        );
        assert_eq!(read(&json!({"error": {"code": 501}})), []);
    }

    #[test]
    fn r5_a_request_that_moves_on_excuses_and_one_that_stands_does_not_for_ever() {
        let at = |task, decoded, read| {
            vec![(
                4711,
                Slot { id: 0, task, works: true, decoded: Some(decoded), read: Some(read) },
            )]
        };
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let moves = Moves::default();
        assert!(moves.note(at(7, 0, 0), minutes(0)));
        assert!(moves.note(at(7, 0, 0), minutes(4)), "one step may take minutes");
        assert!(moves.note(at(7, 0, 2048), minutes(6)), "it read on");
        assert!(moves.note(at(7, 0, 2048), minutes(10)));
        assert!(!moves.note(at(7, 0, 2048), minutes(11)), "it stands");
        assert!(moves.note(at(7, 1, 2048), minutes(12)), "it wrote on");
        assert!(!moves.note(at(7, 1, 2048), minutes(17)));
        assert!(moves.note(at(8, 1, 2048), minutes(18)), "the next request");
        let old = Slot { id: 0, task: 9, works: true, decoded: Some(0), read: None };
        assert!(moves.note(vec![(4711, old.clone())], minutes(19)));
        assert!(
            moves.note(vec![(4711, old)], minutes(40)),
            "a long prompt, of which it tells nothing"
        );
        let idle = Slot { id: 0, task: -1, works: false, decoded: None, read: None };
        assert!(!moves.note(vec![(4711, idle)], minutes(41)));
        assert!(!moves.note(Vec::new(), minutes(42)));
        moves.note(Vec::new(), minutes(200));
        assert!(moves.since.lock().unwrap().is_empty(), "nothing is kept for ever");
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
