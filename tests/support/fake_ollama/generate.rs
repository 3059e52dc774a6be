//! `/api/generate` and `/api/chat`: load, unload, tokens, streamed or at once.

use std::time::{Duration, Instant};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::catalogue::Model;
use super::control::Mode;
use super::requests::{
    ChatRequest, GenerateRequest, Options, Refusal, error, parse, wants_thinking,
};
use super::routes::{Server, created_at, load_error, model};
use super::runners::Lease;

pub(crate) async fn generate(State(server): State<Server>, body: Bytes) -> Response {
    answer_generate(&server, &body).await.unwrap_or_else(IntoResponse::into_response)
}

pub(crate) async fn chat(State(server): State<Server>, body: Bytes) -> Response {
    answer_chat(&server, &body).await.unwrap_or_else(IntoResponse::into_response)
}

/// Go writes durations as whole nanoseconds.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

async fn answer_generate(server: &Server, body: &Bytes) -> Result<Response, Refusal> {
    let request: GenerateRequest = parse(body)?;
    let model = model(server, &request.model)?;
    let talk = Talk {
        shape: Shape::Generate,
        asked: request.model,
        path: "/api/generate",
        prompt: request.prompt,
        stream: request.stream.unwrap_or(true),
        keep_alive: request.keep_alive,
        think: wants_thinking(request.think.as_ref()),
        options: request.options,
    };
    answer(server, &model, talk).await
}

async fn answer_chat(server: &Server, body: &Bytes) -> Result<Response, Refusal> {
    let request: ChatRequest = parse(body)?;
    if request.model.is_empty() {
        return Err(error(StatusCode::BAD_REQUEST, "model is required"));
    }
    let model = model(server, &request.model)?;
    let contents: Vec<String> =
        request.messages.into_iter().map(|message| message.content).collect();
    let talk = Talk {
        shape: Shape::Chat,
        asked: request.model,
        path: "/api/chat",
        prompt: contents.join("\n"),
        stream: request.stream.unwrap_or(true),
        keep_alive: request.keep_alive,
        think: wants_thinking(request.think.as_ref()),
        options: request.options,
    };
    answer(server, &model, talk).await
}

#[derive(Clone, Copy)]
enum Shape {
    Generate,
    Chat,
}

struct Talk {
    shape: Shape,
    /// The name as it was asked for; answers repeat it.
    asked: String,
    path: &'static str,
    prompt: String,
    stream: bool,
    keep_alive: Option<Duration>,
    think: Option<bool>,
    options: Options,
}

impl Talk {
    /// One object of the answer.
    fn piece(&self, text: &str, thinking: &str, more: Value) -> Value {
        let mut piece = Map::new();
        piece.insert("model".into(), json!(self.asked));
        piece.insert("created_at".into(), json!(created_at()));
        match self.shape {
            Shape::Generate => {
                piece.insert("response".into(), json!(text));
                if !thinking.is_empty() {
                    piece.insert("thinking".into(), json!(thinking));
                }
            }
            Shape::Chat => {
                let mut message = json!({"role": "assistant", "content": text});
                if !thinking.is_empty() {
                    message["thinking"] = json!(thinking);
                }
                piece.insert("message".into(), message);
            }
        }
        if let Value::Object(more) = more {
            piece.extend(more);
        }
        Value::Object(piece)
    }

    /// The last object; metrics that are zero are left out (api/types.go `Metrics`).
    fn last(&self, text: &str, thinking: &str, spent: &Spent) -> Value {
        let mut more = json!({"done": true, "done_reason": spent.reason});
        let metrics = [
            ("total_duration", nanoseconds(spent.total)),
            ("load_duration", nanoseconds(spent.load)),
            ("prompt_eval_count", spent.prompt_tokens),
            ("prompt_eval_duration", nanoseconds(spent.prompt)),
            ("eval_count", spent.tokens),
            ("eval_duration", nanoseconds(spent.answering)),
        ];
        for (name, value) in metrics {
            if value > 0 {
                more[name] = json!(value);
            }
        }
        if matches!(self.shape, Shape::Generate) {
            more["context"] = json!((0..spent.prompt_tokens + spent.tokens).collect::<Vec<_>>());
        }
        self.piece(text, thinking, more)
    }
}

#[derive(Default)]
struct Spent {
    total: Duration,
    load: Duration,
    prompt: Duration,
    answering: Duration,
    prompt_tokens: u64,
    tokens: u64,
    reason: &'static str,
}

async fn answer(server: &Server, model: &Model, talk: Talk) -> Result<Response, Refusal> {
    let began = Instant::now();
    let empty = talk.prompt.is_empty();
    if empty && talk.keep_alive == Some(Duration::ZERO) {
        server.runners.expire(&model.name);
        let more = json!({"done": true, "done_reason": "unload"});
        return Ok(Json(talk.piece("", "", more)).into_response());
    }
    let verb = match talk.shape {
        Shape::Generate => "generate",
        Shape::Chat => "chat",
    };
    let cannot = |what: &str| {
        let text = format!("{:?} does not support {what}", talk.asked);
        error(StatusCode::BAD_REQUEST, &text)
    };
    if talk.think == Some(true) && !model.can("thinking") {
        return Err(cannot("thinking"));
    }
    if !model.can("completion") {
        return Err(cannot(verb));
    }
    let lease = server.runners.lease(model, talk.keep_alive, talk.options.num_ctx).await;
    let lease = lease.map_err(|failure| load_error(&failure))?;
    if empty {
        let more = json!({"done": true, "done_reason": "load"});
        return Ok(Json(talk.piece("", "", more)).into_response());
    }
    let mode = server.environment.control.mode_for(talk.path);
    let (pieces, receiver) = mpsc::channel(16);
    let stream = talk.stream;
    if lease.runner.is_stuck(&server.environment.control.read()) {
        tokio::spawn(async move {
            let _slot = lease.runner.slots.acquire().await;
            pieces.closed().await;
        });
        return if stream { streamed(receiver).await } else { at_once(receiver).await };
    }
    tokio::spawn(speak(talk, lease, began, mode, pieces));
    if stream { streamed(receiver).await } else { at_once(receiver).await }
}

/// What a model says, token by token; it ends early when the client has gone.
async fn speak(
    talk: Talk,
    lease: Lease,
    began: Instant,
    mode: Mode,
    pieces: mpsc::Sender<Result<Value, String>>,
) {
    let runner = lease.runner.clone();
    // A runner does one request at a time; others wait behind it.
    let Ok(_slot) = runner.slots.acquire().await else { return };
    let rate = runner.model.tokens_per_s.max(0.001);
    let prompt_tokens =
        u32::try_from(talk.prompt.split_whitespace().count()).unwrap_or(u32::MAX).max(1);
    let prompt = Duration::from_secs_f64(f64::from(prompt_tokens) / (rate * 10.0));
    tokio::time::sleep(prompt).await;

    let thinks =
        runner.model.can("thinking") && (runner.model.always_thinks || talk.think != Some(false));
    let thoughts: &[&str] = if thinks { &THOUGHTS } else { &[] };
    let words: Vec<(&str, &str)> = thoughts
        .iter()
        .map(|thought| ("", *thought))
        .chain(WORDS.iter().map(|word| (*word, "")))
        .collect();
    let limit = talk.options.num_predict.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(words.len());
    let reason = if limit < words.len() { "length" } else { "stop" };
    let answering = Instant::now();
    let mut tokens = 0;
    for (text, thinking) in words.into_iter().take(limit) {
        tokio::time::sleep(Duration::from_secs_f64(1.0 / rate)).await;
        if !runner.is_alive() {
            let _ = pieces.send(Err(STOPPED.into())).await;
            return;
        }
        if mode == Mode::EmptyAnswers {
            continue;
        }
        if mode == Mode::FailsLate {
            let _ = pieces.send(Ok(talk.piece("", "", json!({"done": false})))).await;
            let _ = pieces.send(Err(FAILED.into())).await;
            return;
        }
        tokens += 1;
        let piece = talk.piece(text, thinking, json!({"done": false}));
        if pieces.send(Ok(piece)).await.is_err() {
            return;
        }
    }
    let spent = Spent {
        total: began.elapsed(),
        load: lease.loaded_in,
        prompt,
        answering: if tokens > 0 { answering.elapsed() } else { Duration::ZERO },
        prompt_tokens: prompt_tokens.into(),
        tokens,
        reason,
    };
    let _ = pieces.send(Ok(talk.last("", "", &spent))).await;
}

const WORDS: [&str; 12] = [
    "Hello",
    "!",
    " I",
    " am",
    " well",
    " and",
    " ready",
    " to",
    " answer",
    " your",
    " questions",
    ".",
];
const THOUGHTS: [&str; 6] = ["The", " user", " greets", " me", " politely", "."];

/// `llm/llama_server.go`: the runner died while answering.
const STOPPED: &str = "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details";

/// `llm/llama_server.go`: the runner's stream ended in an error.
const FAILED: &str = "an error was encountered while running the model: unexpected EOF";

/// NDJSON; a failure before the first line is a status, later a line (`streamResponse`).
async fn streamed(mut pieces: mpsc::Receiver<Result<Value, String>>) -> Result<Response, Refusal> {
    let first = match pieces.recv().await {
        Some(Ok(piece)) => piece,
        Some(Err(text)) => return Err(error(StatusCode::INTERNAL_SERVER_ERROR, &text)),
        None => json!({"error": "unexpected end of stream"}),
    };
    let line = |piece: &Value| Ok::<_, std::io::Error>(Bytes::from(format!("{piece}\n")));
    let lines = futures_util::stream::unfold(
        (Some(first), pieces),
        move |(first, mut pieces)| async move {
            if let Some(first) = first {
                return Some((line(&first), (None, pieces)));
            }
            let piece = pieces.recv().await?.unwrap_or_else(|text| json!({"error": text}));
            Some((line(&piece), (None, pieces)))
        },
    );
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

/// One object with the whole text.
async fn at_once(mut pieces: mpsc::Receiver<Result<Value, String>>) -> Result<Response, Refusal> {
    let (mut text, mut thinking, mut whole) = (String::new(), String::new(), Value::Null);
    while let Some(piece) = pieces.recv().await {
        let piece = piece.map_err(|text| error(StatusCode::INTERNAL_SERVER_ERROR, &text))?;
        let message = if piece["message"].is_object() { &piece["message"] } else { &piece };
        let content = if piece["message"].is_object() { "content" } else { "response" };
        text.push_str(message[content].as_str().unwrap_or_default());
        thinking.push_str(message["thinking"].as_str().unwrap_or_default());
        whole = piece;
    }
    let chat = whole["message"].is_object();
    let into = if chat { &mut whole["message"] } else { &mut whole };
    into[if chat { "content" } else { "response" }] = json!(text);
    if !thinking.is_empty() {
        into["thinking"] = json!(thinking);
    }
    Ok(Json(whole).into_response())
}
