//! The model servers and the other HTTP services, asked directly.

use std::time::{Duration, Instant};

use doctor::{Care, Sentence, TargetId};
use engine::address::without_secrets;
use engine::config::{Config, ServiceSettings, Url};
use engine::view::Snapshot;
use engine::words::Words;
use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::Value as Json;

use super::{Check, seen};
use crate::connection::{client, read};

/// Ollama with its models, and MLX.
pub(crate) async fn servers(
    config: &Config,
    snapshot: Option<&Snapshot>,
    words: &Words,
) -> Vec<Check> {
    let (ollama, mlx) = tokio::join!(ollama(config, snapshot, words), mlx(config, snapshot, words));
    let mut checks = ollama;
    checks.push(mlx);
    checks
}

pub(crate) async fn services(config: &Config, words: &Words) -> Vec<Check> {
    join_all(config.services.iter().map(|service| check(config, service, words))).await
}

async fn ollama(config: &Config, snapshot: Option<&Snapshot>, words: &Words) -> Vec<Check> {
    let (url, timeout) = (&config.ollama.url, config.ollama.timeout);
    let version = match ask(url, "api/version", timeout).await {
        Ok((StatusCode::OK, body)) if body["version"].is_string() => {
            body["version"].as_str().unwrap_or_default().to_owned()
        }
        Ok((status, _)) => {
            let says = about("cli.check_not_ollama", url).with("status", status.to_string());
            let advice = advice(snapshot, "ollama", &words.say("cli.check_port"));
            return vec![Check::failed("ollama", words.sentence(&says), advice)];
        }
        Err(why) => return vec![silent(config, snapshot, &TargetId::Ollama, url, &why, words)],
    };
    let says = about("cli.check_ollama", url).with("version", version);
    let answers = Check::good("ollama", words.sentence(&says));
    vec![answers, models(config, url, timeout, words).await]
}

/// Another user's Ollama answers, and has no models (FEATURES B).
async fn models(config: &Config, url: &Url, timeout: Duration, words: &Words) -> Check {
    let what = "models";
    let tags = match ask(url, "api/tags", timeout).await {
        Ok((StatusCode::OK, body)) => body,
        Ok((status, _)) => {
            let says = about("cli.check_tags", url).with("status", status.to_string());
            return Check::failed(what, words.sentence(&says), "`homeostat restart ollama`");
        }
        Err(why) => {
            let says = Sentence::new("cli.check_no_list").with("why", why.text(words));
            return Check::failed(what, words.sentence(&says), "`homeostat restart ollama`");
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
            words.say("cli.check_no_model"),
            words.say("cli.check_pull_one"),
        );
    }
    if !missing.is_empty() {
        return Check::failed(
            what,
            words.sentence(&Sentence::new("cli.check_missing").with("models", missing.join(", "))),
            words.say("cli.check_pull"),
        );
    }
    let count = names.len().to_string();
    Check::good(what, words.sentence(&Sentence::new("cli.check_models").with("count", count)))
}

/// A 404 is alive: another kind of server keeps its health elsewhere.
async fn mlx(config: &Config, snapshot: Option<&Snapshot>, words: &Words) -> Check {
    let (url, timeout) = (&config.mlx.url, config.mlx.timeout);
    let mut last = None;
    for path in ["health", "v1/models", "api/tags"] {
        match ask(url, path, timeout).await {
            Ok((status, _)) if status.is_success() => {
                let says = about("cli.check_answers", &format!("{url}{path}"));
                return Check::good("mlx", words.sentence(&says));
            }
            Ok((status, _)) => last = Some(status),
            Err(why) => return silent(config, snapshot, &TargetId::Mlx, url, &why, words),
        }
    }
    let status = last.map(|status| status.to_string()).unwrap_or_default();
    let says = |key: &str| words.sentence(&about(key, url).with("status", status));
    match last {
        Some(status) if status.is_client_error() => {
            Check::good("mlx", says("cli.check_mlx_elsewhere"))
        }
        Some(_) | None => Check::failed(
            "mlx",
            says("cli.check_status"),
            advice(snapshot, "mlx", "`homeostat restart mlx`"),
        ),
    }
}

fn about(key: &str, url: &impl ToString) -> Sentence {
    Sentence::new(key).with("url", without_secrets(&url.to_string()))
}

/// A server that nobody configured and nobody ever saw is no failure.
fn silent(
    config: &Config,
    snapshot: Option<&Snapshot>,
    id: &TargetId,
    url: &Url,
    why: &Silence,
    words: &Words,
) -> Check {
    let what = id.to_string();
    let configured = config.roster.iter().any(|spec| spec.id == *id && spec.configured);
    let found = seen(snapshot, &what).is_some_and(|target| target.found);
    if !configured && !found {
        return Check::absent(what, words.sentence(&about("cli.check_absent", url)));
    }
    let says = format!("{url}: {}", why.text(words));
    let advice = advice(snapshot, &what, &format!("`homeostat start {what}`"));
    Check::failed(what, says, advice)
}

/// The engine's own advice where it has one.
fn advice(snapshot: Option<&Snapshot>, id: &str, otherwise: &str) -> String {
    seen(snapshot, id)
        .and_then(|target| target.cause.as_ref())
        .map(|cause| cause.advice.clone())
        .filter(|advice| !advice.is_empty())
        .unwrap_or_else(|| otherwise.into())
}

async fn check(config: &Config, service: &ServiceSettings, words: &Words) -> Check {
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
        None => words.say("cli.check_start_service"),
    };
    let asked = Instant::now();
    match ask(url, "", service.timeout).await {
        Ok((status, _)) if expect.contains(&status.as_u16()) => {
            let says = about("cli.check_service", url).with("status", status.to_string());
            Check::good(what, words.sentence(&says.with("took", asked.elapsed())))
        }
        Ok((status, _)) => {
            let expected: Vec<String> = expect.iter().map(ToString::to_string).collect();
            let says = about("cli.check_service_other", url)
                .with("status", status.to_string())
                .with("expected", expected.join(", "));
            Check::failed(what, words.sentence(&says), advice)
        }
        Err(why) => Check::failed(what, format!("{url}: {}", why.text(words)), advice),
    }
}

/// Why there was no answer.
enum Silence {
    Late,
    /// The system's own word, such as "Connection refused".
    Failed(String),
}

impl Silence {
    fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Late;
        }
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let why = cause.to_string();
        Self::Failed(match error.url() {
            Some(url) => why.replace(url.as_str(), &without_secrets(url.as_str())),
            None => why,
        })
    }

    fn text(&self, words: &Words) -> String {
        match self {
            Self::Late => words.say("cli.check_late"),
            Self::Failed(why) => why.clone(),
        }
    }
}

/// Status and body, null unless it is JSON; or why there is no answer.
async fn ask(url: &Url, path: &str, timeout: Duration) -> Result<(StatusCode, Json), Silence> {
    let url = url.join(path).map_err(|error| Silence::Failed(error.to_string()))?;
    let client = client(timeout).map_err(|error| Silence::Failed(error.to_string()))?;
    let whole = url.to_string();
    let response = client.get(url).send().await.map_err(|error| Silence::of(&error))?;
    let status = response.status();
    let body = read(response).await.map_err(|error| {
        Silence::Failed(error.to_string().replace(&whole, &without_secrets(&whole)))
    })?;
    Ok((status, serde_json::from_slice(&body).unwrap_or(Json::Null)))
}
