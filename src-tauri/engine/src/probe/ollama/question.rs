//! One question to a model, and what came of it.

use std::time::{Duration, Instant};

use doctor::DeepOutcome;
use serde_json::{Map, Value, json};

use super::ability::Does;
use super::running::Running;
use crate::probe::http;
use crate::probe::lines::{Broken, Lines};

/// Text that goes on by itself: a model that ends at once after the one hardly does after the other.
const PROMPTS: [(&str, u32); 2] = [("Hi", 1), ("1 2 3 4 5 6 7", 16)];
/// After the first token the rest is let come, so that no request is broken off.
const REST: Duration = Duration::from_secs(5);
/// A model's end that has moved less than this has not moved.
const UNMOVED: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
pub(super) struct Question {
    url: String,
    running: Running,
    does: Does,
    /// How long it is expected to take.
    expected: Duration,
}

/// How one request ended, and when that was clear.
struct Said {
    outcome: DeepOutcome,
    at: Instant,
}

pub(super) struct Told {
    pub(super) outcome: DeepOutcome,
    /// Until the first token, or until it was clear that none comes.
    pub(super) first: Duration,
    pub(super) whole: Duration,
}

impl Question {
    pub(super) fn about(url: &str, running: &Running, does: Does, expected: Duration) -> Self {
        Self { url: url.to_owned(), running: running.clone(), does, expected }
    }

    /// None: it could not be put, the server is gone. A model that says nothing is asked once more,
    /// in other words: one may be well and answer with its end, as after a prompt that reads like one.
    pub(super) async fn put(self, within: Duration) -> Option<Told> {
        let began = Instant::now();
        let deadline = began + within;
        let mut said = Said { outcome: DeepOutcome::Empty, at: began };
        let mut asked = began;
        for (prompt, tokens) in PROMPTS {
            asked = Instant::now();
            said = match self.does {
                Does::Generate { thinks } => {
                    self.generate(prompt, tokens, thinks, deadline).await?
                }
                Does::Embed | Does::Neither => self.embed(prompt, deadline).await?,
            };
            if said.outcome != DeepOutcome::Empty {
                break;
            }
        }
        let first = said.at.saturating_duration_since(asked);
        Some(Told { outcome: said.outcome, first, whole: began.elapsed() })
    }

    /// The time that this question leaves with the model, where it sets one.
    pub(super) fn leaves(&self) -> Option<Duration> {
        self.running.left().filter(|left| !left.is_zero())
    }

    /// Sets the model's end to what it was, where our question took longer or shorter than foreseen.
    pub(super) async fn mend(&self, took: Duration) {
        if let Some(left) = self.leaves()
            && self.expected.abs_diff(took) >= UNMOVED
        {
            self.settle(left).await;
        }
    }

    /// Gives the model this time from now on. An empty question takes none itself
    /// (server/routes.go `GenerateHandler`, `EmbedHandler`).
    pub(super) async fn settle(&self, keep: Duration) {
        let (path, field) = match self.does {
            Does::Generate { .. } => ("/api/generate", "prompt"),
            Does::Embed | Does::Neither => ("/api/embed", "input"),
        };
        let mut body = self.body();
        body.insert("keep_alive".into(), json!(keep.as_secs_f64()));
        body.insert(field.into(), json!(""));
        body.insert("stream".into(), json!(false));
        let url = format!("{}{path}", self.url);
        let got = http::post(&url, &Value::Object(body), REST, http::SHALLOW_CAP).await;
        tracing::debug!(model = self.running.name, ?keep, ?got.outcome, "its remaining time was set");
    }

    async fn generate(
        &self,
        prompt: &str,
        tokens: u32,
        thinks: bool,
        deadline: Instant,
    ) -> Option<Said> {
        let mut body = self.timed_body();
        // Raw: without the model's own system prompt and template, which may be long.
        body.insert("prompt".into(), json!(prompt));
        body.insert("raw".into(), json!(true));
        body.insert("stream".into(), json!(true));
        if let Some(options) = body.get_mut("options") {
            options["num_predict"] = json!(tokens);
        }
        if thinks {
            body.insert("think".into(), json!(false));
        }
        let mut lines = match self.post("/api/generate", body, deadline).await? {
            Ok(lines) => lines,
            Err(outcome) => return Some(Said::now(outcome)),
        };
        let mut first: Option<Instant> = None;
        loop {
            let until = first.map_or(deadline, |first| first + REST);
            let line = match lines.next(until).await {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(Broken::Late) if first.is_none() => {
                    return Some(Said::now(DeepOutcome::NoFirstByte));
                }
                Err(Broken::Late) => break,
                Err(Broken::Off(_) | Broken::Endless) => return Some(Said::now(BROKE_OFF)),
            };
            let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
            // After the head went out, an error comes as a line (server/routes.go `streamResponse`).
            if let Some(error) = value["error"].as_str() {
                return Some(Said::now(refusal(500, error)));
            }
            let spoke = ["response", "thinking"]
                .iter()
                .any(|field| value[field].as_str().is_some_and(|text| !text.is_empty()));
            if spoke {
                first.get_or_insert_with(Instant::now);
            }
            if value["done"] == true {
                break;
            }
        }
        Some(match first {
            Some(at) => Said { outcome: DeepOutcome::Answered, at },
            None => Said::now(DeepOutcome::Empty),
        })
    }

    async fn embed(&self, text: &str, deadline: Instant) -> Option<Said> {
        let mut body = self.timed_body();
        body.insert("input".into(), json!(text));
        let mut lines = match self.post("/api/embed", body, deadline).await? {
            Ok(lines) => lines,
            Err(outcome) => return Some(Said::now(outcome)),
        };
        let line = match lines.next(deadline).await {
            Ok(line) => line.unwrap_or_default(),
            Err(Broken::Late) => return Some(Said::now(DeepOutcome::NoFirstByte)),
            Err(Broken::Off(_) | Broken::Endless) => return Some(Said::now(BROKE_OFF)),
        };
        let value: Value = serde_json::from_str(&line).unwrap_or_default();
        let whole = value["embeddings"][0]
            .as_array()
            .is_some_and(|numbers| !numbers.is_empty() && numbers.iter().all(Value::is_number));
        Some(Said::now(if whole { DeepOutcome::Answered } else { DeepOutcome::Empty }))
    }

    /// With the time after which the model goes when it would have gone: what it has left, less what
    /// our question will take. Without the field where a request holds it: its end is not set yet,
    /// and will be that request's.
    fn timed_body(&self) -> Map<String, Value> {
        let mut body = self.body();
        let keep = match self.running.left() {
            // A negative one is for ever (api/types.go `Duration.UnmarshalJSON`).
            None => Some(json!(-1)),
            Some(left) if left.is_zero() => None,
            Some(left) => Some(json!(left.saturating_sub(self.expected).as_secs_f64().max(1.0))),
        };
        if let Some(keep) = keep {
            body.insert("keep_alive".into(), keep);
        }
        body
    }

    /// What every question has. The context is the one that it was loaded with: with another one
    /// Ollama loads the model anew (server/sched.go `needsReload`).
    fn body(&self) -> Map<String, Value> {
        let mut options = Map::new();
        if self.running.context_length > 0 {
            options.insert("num_ctx".into(), json!(self.running.context_length));
        }
        Map::from_iter([
            ("model".into(), json!(self.running.name)),
            ("options".into(), Value::Object(options)),
        ])
    }

    /// None where nobody takes the connection.
    async fn post(
        &self,
        path: &str,
        body: Map<String, Value>,
        deadline: Instant,
    ) -> Option<Result<Lines, DeepOutcome>> {
        let url = format!("{}{path}", self.url);
        let sending = http::client(&url).ok()?.post(url).json(&Value::Object(body)).send();
        let response = match tokio::time::timeout_at(deadline.into(), sending).await {
            Err(_) => return Some(Err(DeepOutcome::NoFirstByte)),
            Ok(Err(error)) if error.is_connect() => return None,
            Ok(Err(_)) => return Some(Err(BROKE_OFF)),
            Ok(Ok(response)) => response,
        };
        let status = response.status().as_u16();
        let mut lines = Lines::of(response);
        if status == 200 {
            return Some(Ok(lines));
        }
        let says = lines.next(Instant::now() + REST).await.ok().flatten().unwrap_or_default();
        Some(Err(refusal(status, &says)))
    }
}

impl Said {
    fn now(outcome: DeepOutcome) -> Self {
        Self { outcome, at: Instant::now() }
    }
}

/// An answer that ends in its middle is a fault of the server's own.
const BROKE_OFF: DeepOutcome = DeepOutcome::Failed { status: 500 };

/// Ollama's own words for "too much to do" (FACTS A.4; server/sched.go `ErrMaxQueue`,
/// `llm/llama_server.go`): nothing is wrong.
fn refusal(status: u16, says: &str) -> DeepOutcome {
    let busy = says.contains("maximum pending requests") || says.contains("no slots available");
    if busy { DeepOutcome::Busy } else { DeepOutcome::Failed { status } }
}
