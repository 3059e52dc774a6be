//! `POST /api/create` (server/create.go `CreateHandler`), and `ollama create NAME -f FILE`, which reads
//! the Modelfile itself (cmd/cmd.go `CreateHandler`, parser/parser.go `CreateRequest`).

use std::path::Path;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::catalogue::{Model, find};
use super::registry::{fetch, say, stream};
use super::requests::{CreateRequest, Refusal, error, parse};
use super::routes::Server;
use super::store::{config_of, manifest_file, write_blob, write_manifest};
use super::{environment, log};

pub(crate) async fn create(State(server): State<Server>, body: Bytes) -> Result<Response, Refusal> {
    let request: CreateRequest = parse(&body)?;
    if request.model.is_empty() {
        return Err(error(StatusCode::BAD_REQUEST, "invalid model name"));
    }
    let (lines, answer) = stream(request.stream.unwrap_or(true));
    tokio::spawn(async move {
        let line = match build(&server, &request, &lines).await {
            Ok(()) => json!({ "status": "success" }),
            Err(error) => json!({ "error": error }),
        };
        let _ = lines.send(line).await;
    });
    Ok(answer.await)
}

/// server/model.go `parseFromModel`: a base that is not there is pulled.
async fn build(
    server: &Server,
    request: &CreateRequest,
    lines: &tokio::sync::mpsc::Sender<Value>,
) -> Result<(), String> {
    let environment = &server.environment;
    if request.from.is_empty() {
        return Err("neither 'from' or 'files' was specified".into());
    }
    if find(&environment.models(), &request.from).is_none() {
        fetch(environment, &request.from, lines).await?;
    }
    let base = find(&environment.models(), &request.from).cloned();
    let base = base.ok_or("the base is gone")?;
    let directory = &environment.models_directory;
    let text = std::fs::read(manifest_file(directory, &base.name)).unwrap_or_default();
    let manifest: Value = serde_json::from_slice(&text).unwrap_or_default();
    let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
    for layer in &layers {
        let digest = layer["digest"].as_str().unwrap_or_default();
        say(lines, json!({ "status": format!("using existing layer {digest}") })).await?;
    }
    say(lines, json!({ "status": "writing manifest" })).await?;
    let name = if request.model.contains(':') {
        request.model.clone()
    } else {
        format!("{}:latest", request.model)
    };
    let failed = |error: anyhow::Error| error.to_string();
    let config = write_blob(directory, config_of(&name).as_bytes()).map_err(failed)?;
    write_manifest(directory, &name, &config, &layers).map_err(failed)?;
    environment.add(Model { name, ..base })
}

/// `create -f FILE -- NAME`, as a client of the server that `OLLAMA_HOST` names.
pub(crate) fn command(arguments: &[String]) -> Result<(), String> {
    let [option, file, end, name] = arguments else { return Err("accepts 1 arg(s)".into()) };
    if option != "-f" || end != "--" {
        return Err(format!("unknown shorthand flag: {option}"));
    }
    let text = std::fs::read_to_string(file)
        .map_err(|_| "no Modelfile or safetensors files found".to_owned())?;
    let from = text.lines().find_map(|line| line.strip_prefix("FROM ")).map(str::trim);
    let Some(from) = from else { return Err("no FROM line".into()) };
    if Path::new(from).is_absolute() {
        return Err("weights from files are not faked".into());
    }
    log::plain("\u{1b}[?25lgathering model components \u{1b}[K\u{1b}[?25h");
    let client = crate::http::client(Duration::from_mins(1));
    let body = json!({ "model": name, "from": from });
    let url = format!("{}/api/create", environment::client_url());
    let answer = client.post(url).json(&body).send().map_err(|error| error.to_string())?;
    let text = answer.text().map_err(|error| error.to_string())?;
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        if let Some(error) = line["error"].as_str() {
            return Err(error.to_owned());
        }
    }
    Ok(())
}
