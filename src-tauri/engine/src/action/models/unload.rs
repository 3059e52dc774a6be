//! Taking models out of memory, and seeing the memory come back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use doctor::{Holder, Listener, LoadedSeen, Outcome, RunnerSeen, Unloaded};
use serde_json::json;

use super::{ASK, failed, same, url};
use crate::platform;
use crate::probe::http::builder;
use crate::probe::ollama::Ollama;
use crate::probe::port_of;
use crate::store;

const POLL: Duration = Duration::from_millis(250);

/// Unloads these models, or all that are loaded, and waits until `/api/ps` no longer names them and
/// each of their runners is gone: the answer comes before the unload, and the list forgets a model
/// before its runner has ended (FACTS A.3; ollama#17792).
pub async fn unload(ollama: &Ollama, models: &[String], within: Duration) -> Outcome {
    let deadline = Instant::now() + within.saturating_sub(Duration::from_secs(2));
    let Some(loaded) = ollama.loaded(ASK).await else {
        return failed("Ollama does not say which models are loaded");
    };
    let wanted: Vec<&LoadedSeen> = loaded
        .iter()
        .filter(|model| models.is_empty() || models.iter().any(|name| same(name, &model.name)))
        .collect();
    let names: Vec<String> = wanted.iter().map(|model| model.name.clone()).collect();
    if names.is_empty() && !models.is_empty() {
        let known: Vec<&str> = loaded.iter().map(|model| model.name.as_str()).collect();
        let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
        return Outcome::Failed {
            reason: format!("{} is not in memory; what is: {known}", models.join(", ")),
            permanent: true,
        };
    }
    let mut unloaded = Unloaded {
        expected_bytes: wanted.iter().map(|model| model.size_bytes).sum(),
        left: names.clone(),
        models: names,
        holders: Vec::new(),
        freed_bytes: Some(0),
    };
    if unloaded.models.is_empty() {
        return Outcome::Unloaded(unloaded);
    }
    let all: Vec<String> = loaded.iter().map(|model| model.name.clone()).collect();
    let runners = runners_of(ollama, &all, &unloaded.models).await;
    if let Err(reason) = ask(ollama, &unloaded.models).await {
        return failed(&reason);
    }
    while Instant::now() < deadline {
        tokio::time::sleep(POLL).await;
        if let Some(now) = ollama.loaded(ASK).await {
            let still: BTreeSet<String> = now.into_iter().map(|model| model.name).collect();
            unloaded.left.retain(|name| still.contains(name));
        }
        unloaded.holders = holders(runners.as_deref().unwrap_or_default()).await;
        if unloaded.is_complete() {
            break;
        }
    }
    unloaded.freed_bytes = runners.map(|runners| freed(&runners, &unloaded.holders));
    Outcome::Unloaded(unloaded)
}

/// Asks for the unload of each; the answers come at once.
async fn ask(ollama: &Ollama, names: &[String]) -> Result<(), String> {
    let client = builder().build().map_err(|error| error.to_string())?;
    for name in names {
        let body = json!({ "model": name, "keep_alive": 0, "stream": false });
        let sent = client.post(url(ollama, "/api/generate")).timeout(ASK).json(&body).send().await;
        match sent {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => {
                return Err(format!("Ollama answered {} to unloading {name}", answer.status()));
            }
            Err(error) => {
                return Err(format!("Ollama did not take the unload of {name}: {error}"));
            }
        }
    }
    Ok(())
}

/// The processes that hold these models; none where nobody can tell: the server is another user's, or
/// on another machine.
async fn runners_of(
    ollama: &Ollama,
    loaded: &[String],
    meant: &[String],
) -> Option<Vec<RunnerSeen>> {
    let port = port_of(&ollama.url);
    let known = loaded.to_vec();
    let found = tokio::task::spawn_blocking(move || {
        let listener = platform::listener(port);
        matches!(listener, Listener::Process(_)).then(|| store::runners_of(&listener, &known))?
    });
    let runners = own(found.await.ok().flatten()?, loaded, meant);
    // Seen to have none, though a model is loaded: they are not shown to us.
    (!runners.is_empty()).then_some(runners)
}

/// What this server can end: a runner that a dead one has left behind holds the same model and
/// outlives every unload. Where all that is loaded is meant, every runner of its own is.
fn own(mut runners: Vec<RunnerSeen>, loaded: &[String], meant: &[String]) -> Vec<RunnerSeen> {
    let is_meant = |runner: &RunnerSeen| match &runner.model {
        Some(model) => meant.iter().any(|name| same(name, model)),
        None => loaded.len() == meant.len(),
    };
    runners.retain(|runner| !runner.left_behind && is_meant(runner));
    runners
}

/// Which of them still live, by identity, and what each holds.
async fn holders(runners: &[RunnerSeen]) -> Vec<Holder> {
    let processes: Vec<_> = runners.iter().map(|runner| runner.process.clone()).collect();
    let living = tokio::task::spawn_blocking(move || {
        let alive = processes.into_iter().filter(platform::is_same);
        alive
            .map(|id| Holder { bytes: platform::footprint(id.pid).unwrap_or(0), pid: id.pid })
            .collect()
    });
    living.await.unwrap_or_default()
}

fn freed(runners: &[RunnerSeen], holders: &[Holder]) -> u64 {
    let before: u64 = runners.iter().map(|runner| runner.footprint_bytes).sum();
    before.saturating_sub(holders.iter().map(|holder| holder.bytes).sum())
}

#[cfg(test)]
mod tests {
    use doctor::ProcessId;

    use super::*;

    fn runner(pid: u32, model: &str, left_behind: bool) -> RunnerSeen {
        let process = ProcessId { pid, started: 0, executable: "/x/llama-server".into() };
        let model = Some(model.into());
        RunnerSeen { process, model, footprint_bytes: 5, left_behind }
    }

    #[test]
    fn a_runner_of_a_dead_server_is_no_proof_against_an_unload() {
        let both = vec![runner(977, "a:latest", true), runner(978, "a:latest", false)];
        let all = ["a:latest".to_owned()];
        let pids: Vec<u32> = own(both, &all, &all).iter().map(|one| one.process.pid).collect();
        assert_eq!(pids, [978]);
    }

    #[test]
    fn only_the_runners_of_the_models_that_are_meant_are_waited_for() {
        let both = vec![runner(978, "a:latest", false), runner(979, "b:latest", false)];
        let loaded = ["a:latest".to_owned(), "b:latest".to_owned()];
        let pids: Vec<u32> =
            own(both, &loaded, &loaded[1..]).iter().map(|one| one.process.pid).collect();
        assert_eq!(pids, [979]);
    }
}
