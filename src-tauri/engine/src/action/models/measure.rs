//! How fast a model is: loaded, asked, timed.

use std::time::{Duration, Instant};

use doctor::{TargetId, Timing, millis};
use reqwest::Client;
use serde_json::{Value, json};

use super::lines::post;
use super::{ASK, same, url};
use crate::probe::http::builder;
use crate::probe::ollama::Ollama;

/// Tokens to generate: enough for a steady rate, over in seconds even at 5 tokens a second.
const TOKENS: u32 = 64;
const PROMPT: &str = "Write three plain sentences about the sea.";

/// Loads a model, lets it write a few sentences, and tells how long each part took.
/// `mlx:NAME` is a model of the MLX server, any other one of Ollama.
pub async fn measure(ollama: &Ollama, mlx: &str, model: &str, within: Duration) -> Timing {
    let deadline = Instant::now() + within;
    let (server, name) = match model.strip_prefix("mlx:") {
        Some(name) => (TargetId::Mlx, name),
        None => (TargetId::Ollama, model),
    };
    let mut timing = Timing {
        server: server.clone(),
        model: name.to_owned(),
        at: crate::clock::now().wall,
        load_ms: None,
        first_token_ms: None,
        prompt_tokens_per_s: None,
        tokens_per_s: None,
        memory_bytes: None,
        error: None,
    };
    let measured = match builder().build() {
        Err(error) => Err(error.to_string()),
        Ok(client) if server == TargetId::Mlx => {
            measure_mlx(&client, mlx, name, deadline, &mut timing).await
        }
        Ok(client) => measure_ollama(&client, ollama, name, deadline, &mut timing).await,
    };
    timing.error = measured.err();
    timing
}

async fn measure_ollama(
    client: &Client,
    ollama: &Ollama,
    model: &str,
    deadline: Instant,
    timing: &mut Timing,
) -> Result<(), String> {
    let generate = url(ollama, "/api/generate");
    let began = Instant::now();
    // Without a prompt the model is only loaded (FACTS A.3).
    let load = json!({ "model": model, "stream": false });
    let mut loaded = post(client, &generate, &load, deadline).await?;
    while loaded.next(deadline).await?.is_some() {}
    timing.load_ms = Some(millis(began.elapsed()));
    let in_memory = ollama.loaded(ASK).await.unwrap_or_default();
    timing.memory_bytes =
        in_memory.iter().find(|fact| same(&fact.name, model)).map(|fact| fact.size_bytes);
    let began = Instant::now();
    let ask = json!({
        "model": model, "prompt": PROMPT, "stream": true,
        "options": { "num_predict": TOKENS, "temperature": 0 },
    });
    let mut lines = post(client, &generate, &ask, deadline).await?;
    while let Some(line) = lines.next(deadline).await? {
        let value: Value = serde_json::from_str(&line)
            .map_err(|error| format!("the answer is not what Ollama writes: {error}"))?;
        if let Some(error) = value["error"].as_str() {
            return Err(error.to_owned());
        }
        let wrote = ["response", "thinking"]
            .iter()
            .any(|field| value[field].as_str().is_some_and(|text| !text.is_empty()));
        if wrote && timing.first_token_ms.is_none() {
            timing.first_token_ms = Some(millis(began.elapsed()));
        }
        if value["done"] == true {
            timing.tokens_per_s = rate(&value["eval_count"], &value["eval_duration"]);
            timing.prompt_tokens_per_s =
                rate(&value["prompt_eval_count"], &value["prompt_eval_duration"]);
        }
    }
    if timing.first_token_ms.is_none() {
        return Err("it answered, but wrote nothing".into());
    }
    Ok(())
}

/// Durations are nanoseconds; a field that is zero is left out (FACTS A.3).
#[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds far below 2^52")]
fn rate(count: &Value, nanoseconds: &Value) -> Option<f64> {
    let (count, nanoseconds) = (count.as_u64()?, nanoseconds.as_u64()?);
    (nanoseconds > 0).then(|| count as f64 / nanoseconds as f64 * 1e9)
}

/// MLX servers give no timings: the first answer includes the load, the second does not.
async fn measure_mlx(
    client: &Client,
    base: &str,
    model: &str,
    deadline: Instant,
    timing: &mut Timing,
) -> Result<(), String> {
    let chat = format!("{}/v1/chat/completions", base.trim_end_matches('/'));
    let cold = ask_mlx(client, &chat, model, 1, deadline).await?;
    let warm = ask_mlx(client, &chat, model, TOKENS, deadline).await?;
    timing.load_ms = Some(millis(cold.first.saturating_sub(warm.first)));
    timing.first_token_ms = Some(millis(warm.first));
    let writing = warm.whole.saturating_sub(warm.first).as_secs_f64();
    if writing > 0.0 && warm.pieces > 1 {
        timing.tokens_per_s = Some(f64::from(warm.pieces - 1) / writing);
    }
    Ok(())
}

struct Spoken {
    first: Duration,
    whole: Duration,
    pieces: u32,
}

async fn ask_mlx(
    client: &Client,
    chat: &str,
    model: &str,
    tokens: u32,
    deadline: Instant,
) -> Result<Spoken, String> {
    let began = Instant::now();
    let ask = json!({
        "model": model, "max_tokens": tokens, "stream": true,
        "messages": [{ "role": "user", "content": PROMPT }],
    });
    let mut lines = post(client, chat, &ask, deadline).await?;
    let mut first = None;
    let mut pieces = 0;
    while let Some(line) = lines.next(deadline).await? {
        let Some(data) = line.strip_prefix("data: ").filter(|data| *data != "[DONE]") else {
            continue;
        };
        let value: Value = serde_json::from_str(data)
            .map_err(|error| format!("the answer is not a chat completion: {error}"))?;
        let delta = &value["choices"][0]["delta"];
        let wrote = ["content", "reasoning"]
            .iter()
            .any(|field| delta[field].as_str().is_some_and(|text| !text.is_empty()));
        if wrote {
            pieces += 1;
            first.get_or_insert_with(|| began.elapsed());
        }
    }
    let first = first.ok_or("it answered, but wrote nothing")?;
    Ok(Spoken { first, whole: began.elapsed(), pieces })
}
