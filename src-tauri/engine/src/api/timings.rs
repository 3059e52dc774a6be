//! `GET /timings`: how fast each model is, and how long agents should wait for it.

use std::collections::BTreeMap;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::response::Response;
use doctor::{Timing, time_limit};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::history::read_journal;
use super::{Problem, Shared, json};
use crate::journal::Journal;
use crate::view::ModelTiming;

/// Measurements that are read; the newest count.
const READ: usize = 2000;
/// Measurements of one model that are sent.
const HISTORY: usize = 50;
/// Calls of one task when the caller names no number.
const CALLS: u32 = 10;
/// Tokens that one call may take: a long answer.
const TOKENS: f64 = 1000.0;
/// A limit is this many times what was measured: another model may be busy beside it.
const MARGIN: f64 = 2.0;
/// No limit is shorter, in seconds.
const SHORTEST: f64 = 30.0;
/// Part of the first limit that is for starting, in seconds (FEATURES E3).
const START: u64 = 60;

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct TimingQuery {
    /// Calls in one task; 1 to 10,000, 10 when not given.
    calls: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Timings {
    models: Vec<TimedModel>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TimedModel {
    server: String,
    model: String,
    last: Option<ModelTiming>,
    median: Median,
    /// Newest first, at most 50.
    history: Vec<ModelTiming>,
    /// For one call, with loading the model.
    suggested_timeout_s: u64,
    /// For a task of several calls.
    suggested_task_timeout_s: u64,
}

/// Of all successful measurements.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
pub(super) struct Median {
    load_ms: Option<f64>,
    first_token_ms: Option<f64>,
    prompt_tokens_per_s: Option<f64>,
    tokens_per_s: Option<f64>,
}

/// Per model: the last measurement, the median, and time limits for agents.
#[utoipa::path(get, path = "/timings", tag = "read", params(TimingQuery),
    responses(
        (status = 200, body = Timings),
        (status = 400, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn timings(
    api: Shared,
    query: Result<Query<TimingQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    let calls = query.calls.unwrap_or(CALLS);
    if !(1..=10_000).contains(&calls) {
        return Err(Problem::bad_request(format!("calls is {calls}; expected 1 to 10000")));
    }
    let journal = api.handle.journal.clone();
    let measured = read_journal(move || journal.timings(None, READ)).await?;
    let mut by_model: BTreeMap<(String, String), Vec<Timing>> = BTreeMap::new();
    for timing in measured {
        by_model.entry((timing.server.to_string(), timing.model.clone())).or_default().push(timing);
    }
    // What is in memory and was never measured has a first limit by its size.
    let snapshot = api.handle.snapshot();
    let mut sizes = BTreeMap::new();
    for model in &snapshot.models {
        let key = (model.server.clone(), model.name.clone());
        sizes.insert(key.clone(), model.size_bytes);
        by_model.entry(key).or_default();
    }
    let models = by_model
        .into_iter()
        .map(|(key, history)| {
            let size = sizes.get(&key).copied();
            timed(key, &history, size, calls)
        })
        .collect();
    Ok(json(200, &Timings { models }))
}

/// What the slowest model that was measured needs for one call; none was: nothing.
pub(crate) fn slowest_call_s(journal: &Journal) -> Result<Option<u64>, String> {
    let measured = journal.timings(None, READ).map_err(|error| error.to_string())?;
    let mut by_model: BTreeMap<(String, String), Vec<Timing>> = BTreeMap::new();
    for timing in measured {
        by_model.entry((timing.server.to_string(), timing.model.clone())).or_default().push(timing);
    }
    let each = by_model.into_iter().map(|(key, history)| timed(key, &history, None, 1));
    Ok(each.map(|model| model.suggested_timeout_s).max())
}

fn timed(key: (String, String), history: &[Timing], size: Option<u64>, calls: u32) -> TimedModel {
    let (server, model) = key;
    let good: Vec<&Timing> = history.iter().filter(|timing| timing.error.is_none()).collect();
    let of = |value: fn(&Timing) -> Option<f64>| {
        median(good.iter().filter_map(|timing| value(timing)).collect())
    };
    let median = Median {
        load_ms: of(|timing| timing.load_ms.map(float)),
        first_token_ms: of(|timing| timing.first_token_ms.map(float)),
        prompt_tokens_per_s: of(|timing| timing.prompt_tokens_per_s),
        tokens_per_s: of(|timing| timing.tokens_per_s),
    };
    let size = size.or_else(|| history.iter().find_map(|timing| timing.memory_bytes));
    let (suggested_timeout_s, suggested_task_timeout_s) = limits(&median, size, calls);
    TimedModel {
        server,
        model,
        last: history.first().map(view),
        median,
        history: history.iter().take(HISTORY).map(view).collect(),
        suggested_timeout_s,
        suggested_task_timeout_s,
    }
}

/// Seconds for one call and for a task of several: from what was measured, or by size (FEATURES E3).
fn limits(median: &Median, size: Option<u64>, calls: u32) -> (u64, u64) {
    let Some(speed) = median.tokens_per_s.filter(|speed| *speed > 0.0) else {
        let one = time_limit(size).as_secs();
        return (one, START + one.saturating_sub(START).saturating_mul(calls.into()));
    };
    let load = median.load_ms.unwrap_or_default() / 1000.0;
    let call = median.first_token_ms.unwrap_or_default() / 1000.0 + TOKENS / speed;
    let limit = |calls: f64| seconds((MARGIN * (load + calls * call)).max(SHORTEST));
    (limit(1.0), limit(calls.into()))
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(*upper);
    }
    values.get(middle.checked_sub(1)?).map(|lower| f64::midpoint(*lower, *upper))
}

fn view(timing: &Timing) -> ModelTiming {
    ModelTiming {
        server: timing.server.to_string(),
        model: timing.model.clone(),
        at: Timestamp::from_millisecond(timing.at.0).unwrap_or_default().to_string(),
        load_ms: timing.load_ms,
        first_token_ms: timing.first_token_ms,
        prompt_tokens_per_s: timing.prompt_tokens_per_s,
        tokens_per_s: timing.tokens_per_s,
        memory_bytes: timing.memory_bytes,
        error: timing.error.clone(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a measurement are far below 2^53")]
fn float(value: u64) -> f64 {
    value as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative, and a float cast saturates"
)]
fn seconds(value: f64) -> u64 {
    value.ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_come_from_what_was_measured() {
        let median = Median {
            load_ms: Some(20_000.0),
            first_token_ms: Some(500.0),
            tokens_per_s: Some(20.0),
            ..Median::default()
        };
        // 20 s to load, 50.5 s for a call, twice.
        assert_eq!(limits(&median, None, 10), (141, 1050));
        assert_eq!(limits(&Median::default(), Some(3_000_000_000), 10), (240, 1860));
        assert_eq!(limits(&Median::default(), None, 1), (1260, 1260));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median(vec![4.0, 1.0, f64::NAN, 2.0, 10.0]), Some(3.0));
        assert_eq!(median(vec![7.0]), Some(7.0));
        assert_eq!(median(Vec::new()), None);
    }
}
