//! The real `mlx_lm.server`: the facts that the MLX probe stands on.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::cell::Cell;
use std::time::{Duration, Instant};

use doctor::{DeepOutcome, Depth, Look, MlxSeen, Observation, TargetId};
use engine::probe::mlx::Mlx as Probe;
use rustix::process::Signal;
use tests::{Mlx, http, programs, wait_until};

#[test]
fn it_answers_as_the_probe_expects() {
    let mlx = Mlx::start().unwrap();
    let client = http::client(Duration::from_secs(10));
    let get = |path: &str| client.get(format!("{}{path}", mlx.url())).send().unwrap();

    let health = get("/health");
    assert_eq!(health.status(), 200);
    assert_eq!(health.text().unwrap(), r#"{"status": "ok"}"#);

    // Not Ollama: a bare text under the name of JSON.
    let tags = get("/api/tags");
    assert_eq!(tags.status(), 404);
    assert_eq!(tags.headers()["content-type"], "application/json");
    assert_eq!(tags.text().unwrap(), "Not Found");

    let models: serde_json::Value = get("/v1/models").json().unwrap();
    assert_eq!(models["object"], "list");

    let body = serde_json::json!({
        "model": "tiny", "max_tokens": 1,
        "messages": [{"role": "user", "content": "hi"}],
    });
    let answer: serde_json::Value = client
        .post(format!("{}/v1/chat/completions", mlx.url()))
        .json(&body)
        .send()
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(answer["usage"]["completion_tokens"], 1);
}

fn look(probe: &Probe, depth: Depth) -> MlxSeen {
    let order = Look { id: 1, target: TargetId::Mlx, depth, stretch: 1, model: None };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let seen = runtime.block_on(probe.look(&order));
    let Observation::Mlx(seen) = seen else { panic!("{seen:?}") };
    seen
}

/// Looks at the pace of a real engine: our own looks are work as well.
fn wait_until_idle(probe: &Probe) {
    let last = Cell::new(Instant::now());
    wait_until("idleness", Duration::from_mins(1), || {
        if last.get().elapsed() < Duration::from_secs(4) {
            return false;
        }
        last.set(Instant::now());
        let activity = look(probe, Depth::Shallow).signs.activity;
        activity.is_some_and(|one| one.server_percent < 1 && one.runners_percent < 1)
    });
}

#[test]
fn r5_it_is_asked_for_a_token_of_the_model_that_it_holds_and_is_idle_before_and_after() {
    let mlx = Mlx::start().unwrap();
    let probe = Probe::new(&mlx.url(), Duration::from_secs(5), None, &[]);
    // What a server does by itself all the time stays below one per cent.
    wait_until_idle(&probe);
    let seen = look(&probe, Depth::Deep);
    let deep = seen.signs.deep.unwrap_or_else(|| panic!("not asked: {:?}", seen.models));
    assert_eq!((deep.model.as_str(), deep.outcome), ("tiny", DeepOutcome::Answered));
    // Our own question is not its work.
    wait_until_idle(&probe);
    let log = mlx.log();
    assert_eq!(log.matches("POST /v1/chat/completions").count(), 1, "{log}");
}

#[test]
fn r5_a_server_that_stands_still_gives_no_first_byte() {
    let mlx = Mlx::start().unwrap();
    let probe = Probe::new(&mlx.url(), Duration::from_secs(2), None, &[]);
    assert_eq!(look(&probe, Depth::Deep).signs.deep.unwrap().outcome, DeepOutcome::Answered);
    let pid = *mlx.running().first().unwrap();
    programs::send(pid, Signal::STOP).unwrap();
    let seen = look(&probe, Depth::Deep);
    assert_eq!(seen.signs.deep, None, "it does not answer at the surface either");
    programs::send(pid, Signal::CONT).unwrap();
    wait_until("its answer", Duration::from_secs(10), || {
        look(&probe, Depth::Deep)
            .signs
            .deep
            .is_some_and(|deep| deep.outcome == DeepOutcome::Answered)
    });
}
