//! Answers that come line by line.

use std::time::Instant;

use reqwest::Client;
use serde_json::Value;

use crate::probe::lines::Broken;
pub(super) use crate::probe::lines::Lines;

/// Sends, and gives back the answer line by line; another status than 200 is an error with its text.
pub(super) async fn post(
    client: &Client,
    url: &str,
    body: &Value,
    deadline: Instant,
) -> Result<Lines, String> {
    let sent = client.post(url).json(body).send();
    let answer = tokio::time::timeout_at(deadline.into(), sent)
        .await
        .map_err(|_| Broken::Late)?
        .map_err(|error| format!("{url} does not answer: {error}"))?;
    let status = answer.status();
    let mut lines = Lines::of(answer);
    if status.is_success() {
        return Ok(lines);
    }
    let says = lines.next(deadline).await?.unwrap_or_default();
    let error = serde_json::from_str::<Value>(&says)
        .ok()
        .and_then(|value| value["error"].as_str().map(str::to_owned))
        .unwrap_or(says);
    Err(format!("{url} answered {status}: {error}"))
}

impl From<Broken> for String {
    fn from(broken: Broken) -> Self {
        broken.to_string()
    }
}
