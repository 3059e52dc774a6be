//! One answer proves that a model works.

use std::time::{Duration, Instant};

use doctor::Outcome;
use serde_json::{Value, json};

use super::lines::post;
use super::{ASK, failed, installed, same, url};
use crate::probe::http::builder;
use crate::probe::ollama::Ollama;

/// What a model that only embeds is refused with (server/routes.go `handleScheduleError`:
/// `"<model>" does not support generate`).
const CANNOT_GENERATE: &str = "does not support generate";

/// The first token alone may be a part of a letter, which is no text yet.
const TOKENS: u32 = 4;

/// A few tokens, or one embedding where it cannot generate; loads it, and takes it out of memory again
/// unless it was there before.
pub async fn prove(ollama: &Ollama, model: &str, within: Duration) -> Outcome {
    let deadline = Instant::now() + within;
    let loaded = ollama.loaded(ASK).await.unwrap_or_default();
    let was_loaded = loaded.iter().any(|one| same(&one.name, model));
    let answered = match token(ollama, model, was_loaded, deadline).await {
        Err(reason) if reason.contains(CANNOT_GENERATE) => {
            embedding(ollama, model, was_loaded, deadline).await
        }
        answered => answered,
    };
    if let Err(reason) = answered {
        return failed(&format!("{model} does not work: {reason}"));
    }
    match installed(ollama, model).await {
        Some(seen) => Outcome::Proven(seen),
        None => failed(&format!("{model} answered, and yet Ollama does not list it")),
    }
}

async fn token(
    ollama: &Ollama,
    model: &str,
    was_loaded: bool,
    deadline: Instant,
) -> Result<(), String> {
    let ask = json!({
        "model": model, "prompt": "Hello", "stream": false,
        "options": { "num_predict": TOKENS, "temperature": 0 },
    });
    let answer = once(ollama, "/api/generate", kept(ask, was_loaded), deadline).await?;
    // A thinking model's first tokens are thoughts. After a GPU reset there are none at all, though
    // everything else of the answer looks right (FACTS 0, 2).
    let wrote = ["response", "thinking"]
        .iter()
        .any(|field| answer[field].as_str().is_some_and(|text| !text.is_empty()));
    if wrote {
        return Ok(());
    }
    Err("it answered, but wrote nothing".into())
}

async fn embedding(
    ollama: &Ollama,
    model: &str,
    was_loaded: bool,
    deadline: Instant,
) -> Result<(), String> {
    let ask = json!({ "model": model, "input": "Hello" });
    let answer = once(ollama, "/api/embed", kept(ask, was_loaded), deadline).await?;
    let numbers = answer["embeddings"][0].as_array();
    if numbers.is_some_and(|numbers| !numbers.is_empty()) {
        return Ok(());
    }
    Err("it answered, but without an embedding".into())
}

/// What was not in memory leaves it after the answer.
fn kept(mut ask: Value, was_loaded: bool) -> Value {
    if !was_loaded {
        ask["keep_alive"] = json!(0);
    }
    ask
}

async fn once(ollama: &Ollama, path: &str, ask: Value, deadline: Instant) -> Result<Value, String> {
    let client = builder().build().map_err(|error| error.to_string())?;
    let mut lines = post(&client, &url(ollama, path), &ask, deadline).await?;
    let line = lines.next(deadline).await?.ok_or("the answer is empty")?;
    let answer: Value = serde_json::from_str(&line)
        .map_err(|error| format!("the answer is not what Ollama writes: {error}"))?;
    match answer["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok(answer),
    }
}
