//! Processes that serve one model each, and which model that is.

use std::path::Path;

use doctor::{Listener, ProcessSeen, RunnerSeen};

use super::manifests::Manifest;
use crate::platform;

/// A runner, and where it answers.
#[derive(Clone, Debug)]
pub(super) struct Runner {
    pub(super) seen: RunnerSeen,
    /// None: it does not say.
    pub(super) port: Option<u16>,
}

/// The runners of the server that listens, and those that a dead one has left behind; none where the
/// server's process is not shown to us.
///
/// `llama-server --model MODELS/blobs/sha256-HEX …` (`llm/llama_server.go`), `ollama runner --mlx-engine
/// --model NAME …` (`x/mlxrunner`), and up to 0.24 `ollama runner --model BLOB …`. What has no `--model`
/// is a short-lived helper at the start. Names in `loaded` come first where several models share a
/// blob.
pub(super) fn runners(
    listener: &Listener,
    models: Option<&Path>,
    manifests: &[Manifest],
    loaded: &[String],
) -> Option<Vec<Runner>> {
    let Listener::Process(server) = listener else { return None };
    let own = platform::descendants(server.id.pid).into_iter().filter_map(|id| {
        let seen = platform::process(id.pid)?;
        (seen.id == id).then_some(seen)
    });
    let mut found: Vec<ProcessSeen> = own.collect();
    let own = found.len();
    // A server that is killed leaves its runners behind (FACTS A.1). Whose model lies here, was ours.
    if let Some(blobs) = models.map(|models| models.join("blobs")) {
        for seen in platform::processes_named(&["llama-server", "ollama"]) {
            let is_ours = argument(&seen, "--model")
                .is_some_and(|model| Path::new(model).starts_with(&blobs));
            if is_ours && has_lost_its_parent(&seen) && !found.iter().any(|one| one.id == seen.id) {
                found.push(seen);
            }
        }
    }
    let runners = found.into_iter().enumerate().filter_map(|(at, seen)| {
        let weights = argument(&seen, "--model")?;
        let port = argument(&seen, "--port").and_then(|port| port.parse().ok());
        let model = model(weights, manifests, loaded);
        let footprint_bytes = platform::footprint(seen.id.pid).unwrap_or(0);
        let left_behind = at >= own;
        let seen = RunnerSeen { process: seen.id, model, footprint_bytes, left_behind };
        Some(Runner { seen, port })
    });
    Some(runners.collect())
}

/// Process 1 takes over the children of the dead; on Linux the user's own systemd does before it
/// (`PR_SET_CHILD_SUBREAPER`; systemd `src/core/main.c`). A person's shell is a living parent.
fn has_lost_its_parent(seen: &ProcessSeen) -> bool {
    let Some(parent) = seen.parent.filter(|parent| *parent > 1) else { return true };
    platform::process(parent).is_some_and(|parent| parent.id.program() == "systemd")
}

fn argument<'a>(seen: &'a ProcessSeen, name: &str) -> Option<&'a str> {
    let pair = seen.command.windows(2).find(|pair| pair[0] == name)?;
    Some(&pair[1])
}

/// By its name, or by the blob that its manifest names.
fn model(weights: &str, manifests: &[Manifest], loaded: &[String]) -> Option<String> {
    let last = Path::new(weights).file_name()?.to_str()?;
    if !last.starts_with("sha256-") {
        let named = if last.contains(':') { weights.into() } else { format!("{weights}:latest") };
        return (!weights.starts_with('/')).then_some(named);
    }
    let mut made_of = manifests.iter().filter(|one| one.layers().any(|layer| layer.blob() == last));
    let is_loaded = |one: &&Manifest| loaded.contains(&one.name);
    let found = made_of.clone().find(is_loaded).or_else(|| made_of.next())?;
    Some(found.name.clone())
}
