//! `POST /api/pull` (server/images.go `PullModel`, server/download.go): what lies on disk already is
//! told as complete and not verified again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::catalogue::{Model, find};
use super::environment::Environment;
use super::log;
use super::requests::{PullRequest, Refusal, parse};
use super::routes::Server;
use super::store::{Weights, blob_file, config_of, digest_of, write_blob, write_manifest};

/// A model that the registry offers, and how its download goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Published {
    pub model: Model,
    pub weights: Weights,
    /// The download takes ten parts, with so long a pause after each.
    pub pause_ms: u64,
    /// The lines tell this size instead of the true one.
    pub claims: Option<u64>,
    /// In the middle this error comes as a line, after the status 200.
    pub error: Option<String>,
}

impl Published {
    pub fn new(model: Model, weights: Weights) -> Self {
        Self { model, weights, pause_ms: 0, claims: None, error: None }
    }
}

/// Writes the file that `FAKE_OLLAMA_REGISTRY` names.
pub fn publish(file: &Path, all: &[Published]) -> anyhow::Result<()> {
    Ok(std::fs::write(file, serde_json::to_vec_pretty(all)?)?)
}

pub(crate) async fn pull(State(server): State<Server>, body: Bytes) -> Result<Response, Refusal> {
    let request: PullRequest = parse(&body)?;
    let asked = if request.model.is_empty() { request.name } else { request.model };
    let (lines, answer) = stream(request.stream.unwrap_or(true));
    tokio::spawn(async move {
        let fetched = fetch(&server.environment, &asked, &lines).await;
        if lines.is_closed() {
            log::plain("the client of a pull has gone");
        }
        if let Err(error) = fetched {
            let _ = lines.send(json!({ "error": error })).await;
        } else {
            let _ = lines.send(json!({ "status": "success" })).await;
        }
    });
    Ok(answer.await)
}

/// All of `PullModel` but its last line. A client that goes away ends it, and what was loaded so far
/// stays as a partial file.
pub(crate) async fn fetch(
    environment: &Arc<Environment>,
    asked: &str,
    lines: &mpsc::Sender<Value>,
) -> Result<(), String> {
    say(lines, json!({ "status": "pulling manifest" })).await?;
    let registry = environment.registry();
    let models: Vec<Model> = registry.iter().map(|one| one.model.clone()).collect();
    let found =
        find(&models, asked).and_then(|found| registry.into_iter().find(|one| one.model == *found));
    let Some(published) = found else {
        return Err("pull model manifest: file does not exist".into());
    };
    let directory = &environment.models_directory;
    let content = published.weights.content();
    let config = config_of(&published.model.name);
    let mut cached = true;
    for layer in [content.as_slice(), config.as_bytes()] {
        cached &= download(directory, layer, &published, lines).await?;
    }
    say(lines, json!({ "status": "verifying sha256 digest" })).await?;
    if !cached {
        // verifyBlob: only what has just been loaded.
        let file = blob_file(directory, &digest_of(&content));
        let bytes = tokio::fs::read(&file).await.map_err(|error| error.to_string())?;
        if digest_of(&bytes) != digest_of(&content) {
            return Err("digest mismatch, file must be downloaded again".into());
        }
    }
    say(lines, json!({ "status": "writing manifest" })).await?;
    let layer = |bytes: &[u8]| json!({ "digest": digest_of(bytes), "size": bytes.len() });
    write_manifest(directory, &published.model.name, &layer(config.as_bytes()), &[layer(&content)])
        .map_err(|error| error.to_string())?;
    environment.add(published.model)
}

/// True when it was there already (server/download.go `downloadBlob`).
async fn download(
    directory: &Path,
    content: &[u8],
    published: &Published,
    lines: &mpsc::Sender<Value>,
) -> Result<bool, String> {
    let digest = digest_of(content);
    let status = format!("pulling {}", &digest[7..19]);
    let file = blob_file(directory, &digest);
    let line = |completed: u64, total: u64| json!({ "status": status, "digest": digest, "total": total, "completed": completed });
    if let Ok(there) = tokio::fs::metadata(&file).await {
        say(lines, line(there.len(), there.len())).await?;
        return Ok(true);
    }
    let total = published.claims.unwrap_or(content.len() as u64);
    let partial = file.with_extension("partial");
    for part in 0..=10_u64 {
        say(lines, line(total / 10 * part, total)).await?;
        if part == 5
            && let Some(error) = &published.error
        {
            return Err(error.clone());
        }
        let half = content.len() / 10 * usize::try_from(part).unwrap_or(0);
        tokio::fs::write(&partial, &content[..half]).await.map_err(|error| error.to_string())?;
        tokio::time::sleep(Duration::from_millis(published.pause_ms)).await;
    }
    write_blob(directory, content).map_err(|error| error.to_string())?;
    let _ = tokio::fs::remove_file(partial).await;
    say(lines, line(total, total)).await?;
    Ok(false)
}

pub(crate) async fn say(lines: &mpsc::Sender<Value>, line: Value) -> Result<(), String> {
    lines.send(line).await.map_err(|_| "context canceled".to_owned())
}

/// routes.go `streamResponse` and `waitForStream`: an error that comes first has the status 500,
/// a later one is a line like any other.
pub(crate) fn stream(
    streamed: bool,
) -> (mpsc::Sender<Value>, impl Future<Output = Response> + Send) {
    let (lines, mut told) = mpsc::channel::<Value>(1);
    let answer = async move {
        if !streamed {
            let mut last = json!({});
            while let Some(line) = told.recv().await {
                last = line;
            }
            return failure(&last).unwrap_or_else(|| Json(last).into_response());
        }
        let Some(first) = told.recv().await else { return Json(json!({})).into_response() };
        if let Some(failure) = failure(&first) {
            return failure;
        }
        let rest = futures_util::stream::unfold((Some(first), told), |(first, mut told)| async {
            let line = match first {
                Some(line) => line,
                None => told.recv().await?,
            };
            Some((Ok::<_, std::convert::Infallible>(format!("{line}\n")), (None, told)))
        });
        ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(rest)).into_response()
    };
    (lines, answer)
}

fn failure(line: &Value) -> Option<Response> {
    let text = line["error"].as_str()?;
    let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
    Some((status, Json(json!({ "error": text }))).into_response())
}
