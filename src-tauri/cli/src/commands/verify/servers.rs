//! The model servers and the other HTTP services, asked directly.

use std::time::{Duration, Instant};

use doctor::{Care, TargetId};
use engine::config::{Config, ServiceSettings, Url};
use engine::view::Snapshot;
use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::Value;

use super::{Check, seen};
use crate::connection::{client, read};

/// Ollama with its models, and MLX.
pub(crate) async fn servers(config: &Config, snapshot: Option<&Snapshot>) -> Vec<Check> {
    let (ollama, mlx) = tokio::join!(ollama(config, snapshot), mlx(config, snapshot));
    let mut checks = ollama;
    checks.push(mlx);
    checks
}

pub(crate) async fn services(config: &Config) -> Vec<Check> {
    join_all(config.services.iter().map(|service| check(config, service))).await
}

async fn ollama(config: &Config, snapshot: Option<&Snapshot>) -> Vec<Check> {
    let (url, timeout) = (&config.ollama.url, config.ollama.timeout);
    let version = match ask(url, "api/version", timeout).await {
        Ok((StatusCode::OK, body)) if body["version"].is_string() => {
            body["version"].as_str().unwrap_or_default().to_owned()
        }
        Ok((status, _)) => {
            let says = format!("what answers at {url} ({status}) is not Ollama");
            let advice = advice(snapshot, "ollama", "see which program uses the port");
            return vec![Check::failed("ollama", says, advice)];
        }
        Err(why) => return vec![silent(config, snapshot, &TargetId::Ollama, "ollama", url, &why)],
    };
    let answers = Check::good("ollama", format!("version {version} answers at {url}"));
    vec![answers, models(config, url, timeout).await]
}

/// Another user's Ollama answers, and has no models (FEATURES B).
async fn models(config: &Config, url: &Url, timeout: Duration) -> Check {
    let what = "models";
    let tags = match ask(url, "api/tags", timeout).await {
        Ok((StatusCode::OK, body)) => body,
        Ok((status, _)) => {
            let says = format!("{url}api/tags answered {status}");
            return Check::failed(what, says, "`homeostat restart ollama`");
        }
        Err(why) => {
            let says = format!("the list of models did not come: {why}");
            return Check::failed(what, says, "`homeostat restart ollama`");
        }
    };
    let names: Vec<&str> = tags["models"]
        .as_array()
        .map(|models| models.iter().filter_map(|model| model["name"].as_str()).collect())
        .unwrap_or_default();
    let has = |wanted: &str| {
        names.iter().any(|name| *name == wanted || name.strip_suffix(":latest") == Some(wanted))
    };
    let missing: Vec<&str> = config
        .ollama
        .ensure
        .iter()
        .map(|ensured| ensured.model.as_str())
        .filter(|model| !has(model))
        .collect();
    if names.is_empty() {
        return Check::failed(
            what,
            "Ollama has no model",
            "pull one with `ollama pull`; if you have some, Ollama runs as another user: start it as the one who owns them",
        );
    }
    if !missing.is_empty() {
        return Check::failed(
            what,
            format!("{} is missing", missing.join(", ")),
            "pull it with `ollama pull`, or create it from its Modelfile",
        );
    }
    Check::good(what, format!("{} of them are there", names.len()))
}

/// A 404 is alive: another kind of server keeps its health elsewhere.
async fn mlx(config: &Config, snapshot: Option<&Snapshot>) -> Check {
    let (url, timeout) = (&config.mlx.url, config.mlx.timeout);
    let mut last = None;
    for path in ["health", "v1/models", "api/tags"] {
        match ask(url, path, timeout).await {
            Ok((status, _)) if status.is_success() => {
                return Check::good("mlx", format!("answers at {url}{path}"));
            }
            Ok((status, _)) => last = Some(status),
            Err(why) => return silent(config, snapshot, &TargetId::Mlx, "mlx", url, &why),
        }
    }
    match last {
        Some(status) if status.is_client_error() => Check::good(
            "mlx",
            format!("is alive at {url}, though it knows none of its usual paths ({status})"),
        ),
        Some(_) | None => {
            let status = last.map(|status| status.to_string()).unwrap_or_default();
            Check::failed(
                "mlx",
                format!("{url} answers {status}"),
                advice(snapshot, "mlx", "`homeostat restart mlx`"),
            )
        }
    }
}

/// A server that nobody configured and nobody ever saw is no failure.
fn silent(
    config: &Config,
    snapshot: Option<&Snapshot>,
    id: &TargetId,
    what: &str,
    url: &Url,
    why: &str,
) -> Check {
    let configured = config.roster.iter().any(|spec| spec.id == *id && spec.configured);
    let found = seen(snapshot, what).is_some_and(|target| target.found);
    if !configured && !found {
        return Check::absent(what, format!("not found at {url} and not configured"));
    }
    let says = format!("{url}: {why}");
    Check::failed(what, says, advice(snapshot, what, &format!("`homeostat start {what}`")))
}

/// The engine's own advice where it has one.
fn advice(snapshot: Option<&Snapshot>, id: &str, otherwise: &str) -> String {
    seen(snapshot, id)
        .and_then(|target| target.cause.as_ref())
        .map(|cause| cause.advice.clone())
        .filter(|advice| !advice.is_empty())
        .unwrap_or_else(|| otherwise.into())
}

async fn check(config: &Config, service: &ServiceSettings) -> Check {
    let spec = config.roster.iter().find(|spec| spec.id == service.id);
    let what = service.id.to_string();
    let (expect, container) = match spec.map(|spec| &spec.care) {
        Some(Care::Service { expect, container }) => (expect.as_slice(), container.as_deref()),
        Some(
            Care::Host
            | Care::Docker
            | Care::Ollama { .. }
            | Care::Mlx { .. }
            | Care::Container { .. },
        )
        | None => (&[200][..], None),
    };
    let url = &service.url;
    let advice = match container {
        Some(container) => format!("`homeostat restart container:{container}`"),
        None => "start it, or correct its URL in the configuration".into(),
    };
    let asked = Instant::now();
    match ask(url, "", service.timeout).await {
        Ok((status, _)) if expect.contains(&status.as_u16()) => Check::good(
            what,
            format!("{url} answered {status} in {} ms", asked.elapsed().as_millis()),
        ),
        Ok((status, _)) => {
            let expected: Vec<String> = expect.iter().map(ToString::to_string).collect();
            Check::failed(
                what,
                format!("{url} answered {status}, not {}", expected.join(" or ")),
                advice,
            )
        }
        Err(why) => Check::failed(what, format!("{url}: {why}"), advice),
    }
}

/// Status and body, null unless it is JSON; or why there is no answer.
async fn ask(url: &Url, path: &str, timeout: Duration) -> Result<(StatusCode, Value), String> {
    let url = url.join(path).map_err(|error| error.to_string())?;
    let client = client(timeout).map_err(|error| error.to_string())?;
    let response = client.get(url).send().await.map_err(|error| why(&error))?;
    let status = response.status();
    let body = read(response).await.map_err(|error| error.to_string())?;
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    // The innermost error is the system's own word: "Connection refused".
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
