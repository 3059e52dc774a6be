//! Unloading from MLX servers: each kind in its own way, where there is one (FACTS B.2).

use std::time::{Duration, Instant};

use doctor::{Holder, Listener, MlxServer, Outcome, Unloaded};
use serde_json::{Value, json};

use super::lines::post;
use super::{ASK, failed};
use crate::platform;
use crate::probe::http::{self, LIST_CAP, builder};
use crate::probe::mlx::Mlx;
use crate::probe::port_of;

const POLL: Duration = Duration::from_millis(500);
/// Freed memory shows within so long, or it was not freed.
const SHOWS_WITHIN: Duration = Duration::from_secs(20);
/// Smaller than any model; other work of the server may move so much.
const LITTLE: u64 = 100 << 20;

/// Lets go of one model, or of all (none), and waits until the process holds less.
///
/// Never `DELETE /v1/models/NAME`: mlx-omni-server deletes the files then.
pub async fn unload_mlx(
    mlx: &Mlx,
    server: MlxServer,
    model: Option<&str>,
    within: Duration,
) -> Outcome {
    let deadline = Instant::now() + within.saturating_sub(Duration::from_secs(2));
    let before = held(mlx).await;
    let asked = match (server, model) {
        (MlxServer::Omni, _) => send(mlx, "/v1/cache/clear", json!({}), deadline).await,
        (MlxServer::Omlx, Some(model)) => {
            let path = format!("/v1/models/{}/unload", encoded(model));
            send(mlx, &path, json!({}), deadline).await
        }
        (MlxServer::LmStudio, Some(model)) => lm_studio(mlx, model, deadline).await,
        (
            MlxServer::MlxLm
            | MlxServer::OpenAi
            | MlxServer::Omlx
            | MlxServer::LmStudio
            | MlxServer::ModelServer
            | MlxServer::Ollama
            | MlxServer::Unrecognised,
            _,
        ) => Err("this server cannot unload a model; restart it to free its memory".into()),
    };
    if let Err(reason) = asked {
        return failed(&reason);
    }
    let names = vec![model.map_or_else(|| "MLX".to_owned(), |model| format!("mlx:{model}"))];
    let unloaded = |freed_bytes, holders| {
        Outcome::Unloaded(Unloaded {
            models: names.clone(),
            left: Vec::new(),
            holders,
            freed_bytes,
            expected_bytes: 0,
        })
    };
    let Some((pid, before)) = before else { return unloaded(None, Vec::new()) };
    let until = deadline.min(Instant::now() + SHOWS_WITHIN);
    let mut freed = 0;
    while Instant::now() < until && freed < LITTLE {
        tokio::time::sleep(POLL).await;
        let Some((still, now)) = held(mlx).await else { break };
        if still != pid {
            return failed("another process has taken its place meanwhile");
        }
        freed = before.saturating_sub(now);
    }
    // What has not come free is still held, whatever the answer was.
    let holders = if freed < LITTLE {
        vec![Holder { pid, bytes: before.saturating_sub(freed) }]
    } else {
        Vec::new()
    };
    unloaded(Some(freed), holders)
}

/// `GET /api/v1/models` names the instances of what is loaded.
async fn lm_studio(mlx: &Mlx, model: &str, deadline: Instant) -> Result<(), String> {
    let url = format!("{}/api/v1/models", mlx.url);
    let list: Value = http::get(&url, ASK, LIST_CAP)
        .await
        .json()
        .ok_or("LM Studio does not say which models are loaded")?;
    let models = list["models"].as_array().into_iter().flatten();
    let named = models.filter(|one| ["key", "id"].iter().any(|field| one[field] == model));
    let instances = named.flat_map(|one| one["loaded_instances"].as_array().into_iter().flatten());
    let ids: Vec<&str> = instances.filter_map(|instance| instance["id"].as_str()).collect();
    if ids.is_empty() {
        return Err(format!("{model} is not in memory"));
    }
    for id in ids {
        send(mlx, "/api/v1/models/unload", json!({ "instance_id": id }), deadline).await?;
    }
    Ok(())
}

async fn send(mlx: &Mlx, path: &str, body: Value, deadline: Instant) -> Result<(), String> {
    let client = builder().build().map_err(|error| error.to_string())?;
    let deadline = deadline.min(Instant::now() + ASK);
    let mut lines = post(&client, &format!("{}{path}", mlx.url), &body, deadline).await?;
    while lines.next(deadline).await?.is_some() {}
    Ok(())
}

/// The process and what it and its children hold.
async fn held(mlx: &Mlx) -> Option<(u32, u64)> {
    let port = port_of(&mlx.url);
    let held = tokio::task::spawn_blocking(move || match platform::listener(port) {
        Listener::Process(process) => {
            let children = platform::descendants(process.id.pid);
            let pids = children.iter().map(|id| id.pid).chain([process.id.pid]);
            Some((process.id.pid, pids.filter_map(platform::footprint).sum()))
        }
        Listener::Nobody | Listener::Hidden | Listener::NotAsked => None,
    });
    held.await.ok().flatten()
}

/// A name such as `mlx-community/Qwen3-8B-4bit` as one part of a path.
fn encoded(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn a_name_stays_one_part_of_the_path() {
        assert_eq!(encoded("mlx-community/Qwen3"), "mlx-community%2FQwen3");
    }
}
