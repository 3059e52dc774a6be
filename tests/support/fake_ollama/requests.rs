//! Request bodies (api/types.go).

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::environment::{go_duration, seconds_of};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct GenerateRequest {
    pub(crate) model: String,
    pub(crate) prompt: String,
    pub(crate) stream: Option<bool>,
    #[serde(deserialize_with = "keep_alive")]
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) think: Option<Value>,
    pub(crate) options: Options,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ChatRequest {
    pub(crate) model: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) stream: Option<bool>,
    #[serde(deserialize_with = "keep_alive")]
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) think: Option<Value>,
    pub(crate) options: Options,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Message {
    pub(crate) content: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EmbedRequest {
    pub(crate) model: String,
    pub(crate) input: Value,
    #[serde(deserialize_with = "keep_alive")]
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) options: Options,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PullRequest {
    pub(crate) model: String,
    /// The older name of the field.
    pub(crate) name: String,
    pub(crate) stream: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CreateRequest {
    pub(crate) model: String,
    pub(crate) from: String,
    pub(crate) stream: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ShowRequest {
    pub(crate) model: String,
    pub(crate) name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Options {
    /// At most so many tokens; negative: no limit.
    pub(crate) num_predict: Option<i64>,
    pub(crate) num_ctx: Option<u64>,
}

/// 400 `missing request body`, or what is wrong with it.
pub(crate) fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    if body.is_empty() {
        return Err(error(StatusCode::BAD_REQUEST, "missing request body"));
    }
    serde_json::from_slice(body).map_err(|wrong| error(StatusCode::BAD_REQUEST, &wrong.to_string()))
}

/// `{"error":"…"}` under that status, as everywhere in the native API.
pub(crate) struct Refusal {
    status: StatusCode,
    text: String,
}

pub(crate) fn error(status: StatusCode, text: &str) -> Refusal {
    Refusal { status, text: text.to_owned() }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"error": self.text}))).into_response()
    }
}

/// `think` may be a truth or a level such as `"high"` (api/types.go `ThinkValue.Bool`).
pub(crate) fn wants_thinking(think: Option<&Value>) -> Option<bool> {
    match think {
        None | Some(Value::Null) => None,
        Some(Value::Bool(wanted)) => Some(*wanted),
        Some(Value::String(level)) => Some(!level.is_empty()),
        Some(Value::Number(_) | Value::Array(_) | Value::Object(_)) => Some(false),
    }
}

/// Seconds as a number or a Go duration (api/types.go `Duration.UnmarshalJSON`).
fn keep_alive<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Duration>, D::Error> {
    let wrong = |text: &dyn std::fmt::Display| {
        serde::de::Error::custom(format!(
            "time: invalid duration {text:?}",
            text = text.to_string()
        ))
    };
    match Value::deserialize(source)? {
        Value::Null => Ok(None),
        Value::Number(number) => {
            let seconds = number.as_f64().and_then(seconds_of);
            seconds.map(Some).ok_or_else(|| wrong(&number))
        }
        Value::String(text) => go_duration(&text).map(Some).ok_or_else(|| wrong(&text)),
        other @ (Value::Bool(_) | Value::Array(_) | Value::Object(_)) => Err(wrong(&other)),
    }
}
