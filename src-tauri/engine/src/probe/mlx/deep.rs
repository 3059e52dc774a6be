//! The deep probe of an MLX server: a few tokens of exactly the model that is loaded, asked for at
//! the paths of its kind (FACTS B.1 to B.3). Where it can't be told which one is loaded nobody is
//! asked: most of these servers would load what is named, and drop what they have.

use std::time::{Duration, Instant};

use doctor::{DeepOutcome, DeepSeen, MlxServer, ProcessId, ProcessSeen, millis};
use serde_json::{Value, json};

use crate::probe::http::{self, LIST_CAP, Outcome, SHALLOW_CAP};
use crate::probe::work::Reading;

/// R5: no answer in this time, of a process that does nothing.
const WITHIN: Duration = Duration::from_secs(20);
const LIST: Duration = Duration::from_secs(5);
const TOKENS: u32 = 4;
const PROMPT: &str = "Hi";
/// The name by which `mlx_lm.server` means the model of its own command line
/// (`mlx_lm/server.py` `ModelProvider`).
const DEFAULT: &str = "default_model";

/// What is loaded, and how it is asked.
#[derive(Debug, PartialEq)]
enum Loaded {
    /// By the `OpenAI` shape, under a name.
    Chat { name: String, shown: String },
    /// As Ollama is asked.
    Generate { name: String },
    /// At work on a request.
    Busy { name: String },
}

pub(super) async fn ask(
    url: &str,
    server: MlxServer,
    listed: Option<&[String]>,
    process: &ProcessSeen,
    stretch: u32,
) -> Option<DeepSeen> {
    let loaded = match server {
        MlxServer::MlxLm => of_mlx_lm(&process.command, listed?)?,
        MlxServer::OpenAi => of_openai(&health(url).await?)?,
        MlxServer::ModelServer => of_model_server(&health(url).await?)?,
        // A request puts off the time at which they unload by themselves (mlx-omni-server
        // `wrapper_cache.py`, LM Studio's `1_developer/0_core/ttl-and-auto-evict.md`), and none can
        // set it back as it was.
        MlxServer::Omni
        | MlxServer::Omlx
        | MlxServer::LmStudio
        | MlxServer::Ollama
        | MlxServer::Unrecognised => return None,
    };
    let (path, body, model) = match loaded {
        Loaded::Busy { name } => {
            return Some(DeepSeen { model: name, outcome: DeepOutcome::Busy, took_ms: 0 });
        }
        Loaded::Chat { name, shown } => {
            let message = json!({ "role": "user", "content": PROMPT });
            let body = json!({
                "model": name, "messages": [message], "max_tokens": TOKENS, "stream": false,
            });
            ("/v1/chat/completions", body, shown)
        }
        Loaded::Generate { name } => {
            let options = json!({ "num_predict": TOKENS });
            let body =
                json!({ "model": name, "prompt": PROMPT, "stream": false, "options": options });
            ("/api/generate", body, name)
        }
    };
    let before = reading(&process.id).await;
    let began = Instant::now();
    let got = http::post(&format!("{url}{path}"), &body, WITHIN * stretch, LIST_CAP).await;
    let outcome = match got.outcome {
        Outcome::Answered { code: 200, body } if spoke(&body) => DeepOutcome::Answered,
        Outcome::Answered { code: 200, .. } => DeepOutcome::Empty,
        // FACTS B.3: overloaded, the queue is full, too many requests.
        Outcome::Answered { code: 429 | 503, .. } => DeepOutcome::Busy,
        Outcome::Answered { code, .. } => DeepOutcome::Failed { status: code },
        Outcome::Failed(doctor::Reply::Silent | doctor::Reply::Stalled) => {
            match (&before, reading(&process.id).await) {
                (Some(before), Some(after)) if !after.since(before).is_idle() => DeepOutcome::Busy,
                _ => DeepOutcome::NoFirstByte,
            }
        }
        // It has gone, or could not be asked: the next look tells.
        Outcome::Failed(_) | Outcome::Unasked(_) => return None,
    };
    Some(DeepSeen { model, outcome, took_ms: millis(began.elapsed()) })
}

/// The model of its command line, when no other one can have been loaded in its place: any that is
/// downloaded may be, by a request that names it.
fn of_mlx_lm(command: &[String], listed: &[String]) -> Option<Loaded> {
    let at = command.iter().position(|word| word == "--model" || word.starts_with("--model="))?;
    let model = match command.get(at)?.split_once('=') {
        Some((_, model)) => model,
        None => command.get(at + 1)?,
    };
    let own = |name: &String| {
        // A directory is listed with its whole path.
        name == model || name.ends_with(&format!("/{}", model.trim_start_matches("./")))
    };
    let name = DEFAULT.to_owned();
    listed.iter().all(own).then(|| Loaded::Chat { name, shown: model.to_owned() })
}

/// mlx-openai-server names its model while it holds one.
fn of_openai(health: &Value) -> Option<Loaded> {
    let name = health["model_id"].as_str().filter(|name| !name.is_empty())?;
    let ready =
        health["model_status"].as_str().is_some_and(|status| status.starts_with("initialized"));
    ready.then(|| Loaded::Chat { name: name.to_owned(), shown: name.to_owned() })
}

/// The MLX Model Server of FACTS B.3 lists what it holds and what it works on.
fn of_model_server(health: &Value) -> Option<Loaded> {
    let cached = health["cached_models"].as_array()?;
    let idle = cached.iter().find(|model| model["is_loading"] != true)?;
    let name = idle["name"].as_str()?.to_owned();
    let works = health["active_requests"].as_u64().unwrap_or(0) > 0;
    Some(if works { Loaded::Busy { name } } else { Loaded::Generate { name } })
}

async fn health(url: &str) -> Option<Value> {
    http::get(&format!("{url}/health"), LIST, SHALLOW_CAP).await.json()
}

/// Text, thoughts, or at least tokens that were counted: a few bytes of a longer sign show as none.
fn spoke(body: &[u8]) -> bool {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else { return false };
    let message = &answer["choices"][0]["message"];
    let texts = [
        &answer["response"],
        &answer["choices"][0]["text"],
        &message["content"],
        &message["reasoning"],
        &message["reasoning_content"],
    ];
    texts.iter().any(|text| text.as_str().is_some_and(|text| !text.is_empty()))
        || answer["usage"]["completion_tokens"].as_u64().is_some_and(|tokens| tokens > 0)
}

async fn reading(process: &ProcessId) -> Option<Reading> {
    let process = process.clone();
    tokio::task::spawn_blocking(move || Reading::take(&process, None)).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_that_mlx_lm_holds_is_asked_for_and_no_other() {
        let command = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let listed = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let server = command("python -m mlx_lm server --model org/small --port 11435");
        let found = of_mlx_lm(&server, &listed(&["org/small"]));
        let expected = Loaded::Chat { name: DEFAULT.into(), shown: "org/small".into() };
        assert_eq!(found, Some(expected));
        // Another one is downloaded, and may be the one in memory.
        assert_eq!(of_mlx_lm(&server, &listed(&["org/small", "org/large"])), None);
        let local = command("mlx_lm.server --model=./tiny");
        assert!(of_mlx_lm(&local, &listed(&["/models/tiny"])).is_some());
        assert_eq!(of_mlx_lm(&local, &listed(&["/models/mytiny"])), None);
        // Started without a model, it holds what was asked for last.
        assert_eq!(of_mlx_lm(&command("mlx_lm.server"), &listed(&["org/small"])), None);
    }

    #[test]
    fn servers_that_name_what_they_hold() {
        let chat = |name: &str| Loaded::Chat { name: name.into(), shown: name.into() };
        let health = json!({"status": "ok", "model_id": "m", "model_status": "initialized"});
        assert_eq!(of_openai(&health), Some(chat("m")));
        let health = json!({"status": "unhealthy", "model_id": null, "model_status": "no_models"});
        assert_eq!(of_openai(&health), None);

        let model = json!({"name": "m", "is_loading": false});
        let health = |active: u32| json!({"cached_models": [model], "active_requests": active});
        assert_eq!(of_model_server(&health(0)), Some(Loaded::Generate { name: "m".into() }));
        assert_eq!(of_model_server(&health(1)), Some(Loaded::Busy { name: "m".into() }));
        assert_eq!(of_model_server(&json!({"cached_models": []})), None);
    }

    #[test]
    fn an_answer_that_is_only_thinking_counts() {
        for body in [
            r#"{"choices":[{"message":{"content":"","reasoning":"so"}}]}"#,
            r#"{"choices":[{"message":{"content":"x"}}]}"#,
            r#"{"choices":[{"message":{"content":""}}],"usage":{"completion_tokens":1}}"#,
            r#"{"response":"x","done":true}"#,
        ] {
            assert!(spoke(body.as_bytes()), "{body}");
        }
        for body in [
            r#"{"choices":[{"message":{"content":""}}],"usage":{"completion_tokens":0}}"#,
            r#"{"response":"","done":true}"#,
            "{}",
            "",
        ] {
            assert!(!spoke(body.as_bytes()), "{body}");
        }
    }
}
