//! What is asked of Homeostat: complaints, and acts with the token.

use std::time::{Duration, Instant};

use doctor::{Asker, MeasurePlan, Response, Sentence, TargetId, Unload, Wish};
use engine::view::{OperationState, State};
use serde_json::json;

use crate::world::{World, operation, snapshot};

#[tokio::test]
async fn a_complaint_becomes_an_agents_wish() {
    let world = World::new().await;
    let seeds = r#"{"ollama": false, "mlx": true, "ts": "2026-01-31T12:00:00+00:00", "more": [1]}"#;
    // As the first users send it: no type at all is taken where there is no browser.
    let reply = world.ask("POST", "/recover", &[], seeds).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(reply.json(), json!({"operation": "op-1", "targets": ["ollama"]}));
    world.ask("POST", "/recover", &[], r#"{"ollama":true,"mlx":true,"ts":1.5}"#).await;
    world.ask("POST", "/recover", &[], "").await;
    world.act("POST", "/recover", r#"{"target":"container:web","ts":null}"#).await;
    let everything = Wish::Recover { targets: Vec::new() };
    let web = Wish::Recover { targets: vec![TargetId::Container("web".into())] };
    assert_eq!(
        world.wished(),
        [
            (Wish::Recover { targets: vec![TargetId::Ollama] }, Asker::Agent),
            (Wish::CheckEverything, Asker::Agent),
            (everything, Asker::Agent),
            (web, Asker::Person),
        ]
    );
}

#[tokio::test]
async fn a_check_that_passes_is_answered_with_its_evidence() {
    let world = World::new().await;
    world.operations.send_replace(vec![operation("check", OperationState::Verified)].into());
    let reply = world.ask("POST", "/recover", &[], r#"{"ollama":false}"#).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["evidence"][0]["target"], "ollama");
    assert_eq!(reply.json()["evidence"][0]["state"], "healthy");
    // Nothing of that name was ever found: the check had nothing to fail on.
    let mut strange = snapshot();
    strange.targets[0].state = State::Unknown;
    strange.targets[0].found = false;
    world.snapshot.send_replace(strange.into());
    assert_eq!(world.ask("POST", "/recover", &[], r#"{"ollama":false}"#).await.status, 202);
    world.snapshot.send_replace(snapshot().into());
    // A restart that ended well was no check that found it healthy.
    world.operations.send_replace(vec![operation("restart", OperationState::Verified)].into());
    assert_eq!(world.ask("POST", "/recover", &[], "{}").await.status, 202);
}

#[tokio::test]
async fn an_unending_check_is_answered_within_two_seconds() {
    let world = World::new().await;
    world.operations.send_replace(vec![operation("check", OperationState::Running)].into());
    let started = Instant::now();
    let reply = world.ask("POST", "/recover", &[], "{}").await;
    assert_eq!(reply.status, 202);
    assert!(started.elapsed() >= Duration::from_millis(1700), "it did not wait for the check");
}

#[tokio::test]
async fn each_refusal_has_its_status() {
    let world = World::answering(|wish| match wish {
        Wish::Restart { .. } => Response::Held(Sentence::new("held")),
        Wish::Start { .. } => Response::NotNow(Sentence::new("waking")),
        Wish::Stop { .. } => Response::Impossible(Sentence::new("impossible")),
        Wish::Hold { .. } => Response::Done,
        Wish::Release { .. }
        | Wish::Recover { .. }
        | Wish::Unload(_)
        | Wish::Measure(_)
        | Wish::CancelMeasure
        | Wish::Ensure { .. }
        | Wish::VerifyModels { .. }
        | Wish::Repair { .. }
        | Wish::Raise { .. }
        | Wish::Cancel { .. }
        | Wish::CheckEverything => Response::NotNow(Sentence::new("waking")),
    })
    .await;
    let post = |path| world.act("POST", path, "");
    assert_eq!(post("/targets/ollama/restart").await.status, 409);
    assert_eq!(post("/targets/ollama/start").await.status, 423);
    assert_eq!(post("/targets/ollama/stop").await.status, 422);
    assert_eq!(post("/targets/container:gone/stop").await.status, 404);
    assert_eq!(post("/targets/ollama/hold").await.json(), json!({"operation": null}));
    post("/targets/nonsense/stop").await.is_problem(404);
    post("/targets/ollama/explode").await.is_problem(404);
    post("/targets/mlx/ensure").await.is_problem(422);
    world.act("POST", "/targets/mlx/stop", r#"{"to":1}"#).await.is_problem(422);
    world.act("POST", "/targets/mlx/raise", r#"{"to":-1}"#).await.is_problem(422);
    assert_eq!(post("/recover").await.status, 423);
}

#[tokio::test]
async fn acting_reaches_the_loop() {
    let world = World::new().await;
    for (method, path, body) in [
        ("POST", "/targets/container:web/restart", ""),
        ("POST", "/targets/container%3Aweb/release", "{}"),
        ("POST", "/targets/service:Victoria%20Agent/start", ""),
        ("POST", "/targets/ollama/stop", "{}"),
        ("POST", "/models/unload", r#"{"model":"llama3:8b"}"#),
        ("POST", "/models/unload", r#"{"idle":true}"#),
        ("POST", "/models/unload", r#"{"all":true}"#),
        ("POST", "/models/measure", ""),
        ("POST", "/models/measure", r#"{"models":["a"]}"#),
        ("DELETE", "/models/measure", ""),
        ("POST", "/targets/ollama/ensure", ""),
        ("POST", "/targets/ollama/ensure", r#"{"model":"llama3:70b"}"#),
        ("POST", "/targets/ollama/repair", r#"{"model":"llama3:70b"}"#),
        ("POST", "/targets/container:web/raise", ""),
        ("POST", "/targets/container:web/raise", r#"{"to":805306368}"#),
        ("POST", "/models/verify", ""),
        ("POST", "/models/verify", r#"{"model":"llama3:70b"}"#),
        ("DELETE", "/operations/op-1", ""),
    ] {
        let reply = world.act(method, path, body).await;
        assert_eq!(reply.status, 202, "{path}: {reply:?}");
        assert_eq!(reply.json(), json!({"operation": "op-1"}));
    }
    let web = TargetId::Container("web".into());
    let victoria = TargetId::Service("Victoria Agent".into());
    let expected = [
        Wish::Restart { target: web.clone() },
        Wish::Release { target: web.clone() },
        Wish::Start { target: victoria },
        Wish::Stop { target: TargetId::Ollama, within: None },
        Wish::Unload(Unload::Model("llama3:8b".into())),
        Wish::Unload(Unload::Idle),
        Wish::Unload(Unload::All),
        Wish::Measure(MeasurePlan::default()),
        Wish::Measure(MeasurePlan { models: vec!["a".into()] }),
        Wish::CancelMeasure,
        Wish::Ensure { model: None },
        Wish::Ensure { model: Some("llama3:70b".into()) },
        Wish::Repair { model: Some("llama3:70b".into()) },
        Wish::Raise { target: web.clone(), to: None },
        Wish::Raise { target: web, to: Some(768 << 20) },
        Wish::VerifyModels { model: None },
        Wish::VerifyModels { model: Some("llama3:70b".into()) },
        Wish::Cancel { operation: "op-1".into() },
    ];
    let wished = world.wished();
    assert!(wished.iter().all(|(_, by)| *by == Asker::Person));
    assert_eq!(wished.into_iter().map(|(wish, _)| wish).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_hold_may_have_its_time() {
    let world = World::new().await;
    for body in ["", " ", "{}", r#"{"for":"90m"}"#] {
        assert_eq!(world.act("POST", "/targets/mlx/hold", body).await.status, 202, "{body}");
    }
    let wishes: Vec<Wish> = world.wished().into_iter().map(|(wish, _)| wish).collect();
    let hold = |within| Wish::Hold { target: TargetId::Mlx, within };
    let timed = hold(Some(Duration::from_mins(90)));
    assert_eq!(wishes, [hold(None), hold(None), hold(None), timed]);
    for (path, body) in [
        ("/targets/mlx/hold", r#"{"for":"soon"}"#),
        ("/targets/mlx/hold", r#"{"for":60}"#),
        ("/targets/mlx/hold", r#"{"for":"0s"}"#),
        ("/targets/mlx/hold", r#"{"for":"366d"}"#),
        ("/targets/mlx/restart", r#"{"for":"1h"}"#),
    ] {
        world.act("POST", path, body).await.is_problem(422);
    }
}

#[tokio::test]
async fn a_mistyped_hold_is_no_endless_one() {
    let world = World::new().await;
    let allowed = "30s";
    for (body, named, says) in [
        (r#"{"For":"1m"}"#, "`For`", "expected one of `for`"),
        (r#"{"until":"1m"}"#, "`until`", "expected one of `for`"),
        (r#"{"for":"1m","until":"2m"}"#, "`until`", "expected one of `for`"),
        (r#"{"for":null}"#, "`for`", allowed),
        (r#"{"for":60}"#, "`for`", allowed),
        (r#"{"for":""}"#, "for", allowed),
        (r#"{"for":"-1m"}"#, "for", allowed),
        (r#"{"for":"1m","for":"2m"}"#, "`for`", "once"),
    ] {
        let reply = world.act("POST", "/targets/mlx/hold", body).await;
        reply.is_problem(422);
        let detail = reply.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains(named) && detail.contains(says), "{body}: {detail}");
    }
    for (path, body) in [
        ("/targets/mlx/restart", r#"{"force":true}"#),
        ("/models/unload", r#"{"idle":true,"All":true}"#),
        ("/models/measure", r#"{"model":"a"}"#),
    ] {
        world.act("POST", path, body).await.is_problem(422);
    }
    assert_eq!(world.wished(), [], "a mistake reached the loop");
    // Agents that nobody can change may say more than is known here.
    let reply = world.ask("POST", "/recover", &[], r#"{"mlx":false,"mlx":false,"who":"a"}"#).await;
    assert_eq!(reply.status, 202);
}

#[tokio::test]
async fn bad_bodies_are_named() {
    let world = World::new().await;
    for (path, body, status) in [
        ("/models/unload", "", 422),
        ("/models/unload", "{}", 422),
        ("/models/unload", r#"{"model":"a","all":true}"#, 422),
        ("/models/unload", r#"{"model":7}"#, 422),
        ("/models/unload", "{", 400),
        ("/models/measure", r#"{"models":["#, 400),
        ("/recover", "[false, false]", 422),
        ("/recover", r#"{"ollama":"no"}"#, 422),
        ("/recover", r#"{"target":"web"}"#, 422),
        ("/recover", "ollama", 400),
        ("/recover", "\u{0}", 400),
    ] {
        let reply = world.act("POST", path, body).await;
        assert_eq!(reply.status, status, "{path} {body}: {reply:?}");
        reply.is_problem(status);
    }
    let deep = "[".repeat(3000);
    let reply = world.act("POST", "/recover", &deep).await;
    assert!((400..500).contains(&reply.status), "{reply:?}");
    assert!(world.wished().is_empty());
}
