//! Models of Ollama and MLX: unload them and see the memory come back, measure how fast they are.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use doctor::{Outcome, TargetId, Timing, Unloaded, millis};
use reqwest::Client;
use serde_json::{Value, json};

use crate::platform;
use crate::probe::http::builder;
use crate::probe::lines::{Broken, Lines};
use crate::probe::ollama::{Ollama, same};

const POLL: Duration = Duration::from_millis(250);
/// The request itself; the unload goes on after it (FACTS A.3).
const ASK: Duration = Duration::from_secs(10);
/// Tokens to generate: enough for a steady rate, over in seconds even at 5 tokens a second.
const TOKENS: u32 = 64;
const PROMPT: &str = "Write three plain sentences about the sea.";

/// Unloads these models, or all that are loaded, and waits until `/api/ps` no longer names them
/// and their runners' memory is back.
pub async fn unload(ollama: &Ollama, models: &[String], within: Duration) -> Outcome {
    let deadline = Instant::now() + within.saturating_sub(Duration::from_secs(2));
    let Some(loaded) = ollama.loaded(ASK).await else {
        return failed("Ollama does not say which models are loaded");
    };
    let wanted: Vec<_> = loaded
        .iter()
        .filter(|model| models.is_empty() || models.iter().any(|name| same(name, &model.name)))
        .collect();
    let names: Vec<String> = wanted.iter().map(|model| model.name.clone()).collect();
    let expected_bytes = wanted.iter().map(|model| model.size_bytes).sum();
    if names.is_empty() && !models.is_empty() {
        let known: Vec<&str> = loaded.iter().map(|model| model.name.as_str()).collect();
        let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
        return Outcome::Failed {
            reason: format!("{} is not in memory; what is: {known}", models.join(", ")),
            permanent: true,
        };
    }
    if names.is_empty() {
        let nothing = Unloaded { models: names, left: Vec::new(), freed_bytes: 0, expected_bytes };
        return Outcome::Unloaded(nothing);
    }
    let before = held(ollama).await;
    let client = match builder().build() {
        Ok(client) => client,
        Err(error) => return failed(&error.to_string()),
    };
    for name in &names {
        let body = json!({ "model": name, "keep_alive": 0, "stream": false });
        let sent = client.post(url(ollama, "/api/generate")).timeout(ASK).json(&body).send().await;
        match sent {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => {
                return failed(&format!("Ollama answered {} to unloading {name}", answer.status()));
            }
            Err(error) => {
                return failed(&format!("Ollama did not take the unload of {name}: {error}"));
            }
        }
    }
    let mut left = names.clone();
    let mut freed_bytes = 0;
    // The list forgets a model a moment before its runner is gone: wait for both.
    while Instant::now() < deadline {
        tokio::time::sleep(POLL).await;
        if let Some(now) = ollama.loaded(ASK).await {
            let still: BTreeSet<String> = now.into_iter().map(|model| model.name).collect();
            left.retain(|name| still.contains(name));
        }
        freed_bytes = before.saturating_sub(held(ollama).await);
        if left.is_empty() && (freed_bytes > 0 || before == 0) {
            break;
        }
    }
    Outcome::Unloaded(Unloaded { models: names, left, freed_bytes, expected_bytes })
}

/// Bytes that the server and everything it started hold together.
async fn held(ollama: &Ollama) -> u64 {
    let port = crate::probe::port_of(&ollama.url);
    let sum = tokio::task::spawn_blocking(move || match platform::listener(port) {
        doctor::Listener::Process(process) => {
            let runners = platform::descendants(process.id.pid);
            let pids = runners.iter().map(|id| id.pid).chain([process.id.pid]);
            pids.filter_map(platform::footprint).sum()
        }
        doctor::Listener::Nobody | doctor::Listener::Hidden | doctor::Listener::NotAsked => 0,
    });
    sum.await.unwrap_or(0)
}

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
    while next(&mut loaded, deadline).await?.is_some() {}
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
    while let Some(line) = next(&mut lines, deadline).await? {
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
    while let Some(line) = next(&mut lines, deadline).await? {
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

async fn post(
    client: &Client,
    url: &str,
    body: &Value,
    deadline: Instant,
) -> Result<Lines, String> {
    let sent = client.post(url).json(body).send();
    let answer = tokio::time::timeout_at(deadline.into(), sent)
        .await
        .map_err(|_| late())?
        .map_err(|error| format!("{url} does not answer: {error}"))?;
    let status = answer.status();
    let mut lines = Lines::of(answer);
    if status.is_success() {
        return Ok(lines);
    }
    let says = next(&mut lines, deadline).await?.unwrap_or_default();
    let error = serde_json::from_str::<Value>(&says)
        .ok()
        .and_then(|value| value["error"].as_str().map(str::to_owned))
        .unwrap_or(says);
    Err(format!("{url} answered {status}: {error}"))
}

async fn next(lines: &mut Lines, deadline: Instant) -> Result<Option<String>, String> {
    lines.next(deadline).await.map_err(|broken| broken.to_string())
}

fn late() -> String {
    Broken::Late.to_string()
}

fn url(ollama: &Ollama, path: &str) -> String {
    format!("{}{path}", ollama.url)
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed { reason: reason.to_owned(), permanent: false }
}
