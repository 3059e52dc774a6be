//! What each call answers.

use std::time::{Duration, Instant};

use doctor::{
    Calls, Cause, CauseId, Confidence, Entry, Event, Incident, IncidentState, MemoryRow,
    MemorySample, Sentence, TargetId, Timing, Wall,
};
use engine::handle::Gate;
use engine::view::{NoticeView, OperationState, Snapshot};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{DEADLINE, World, model, operation, snapshot};

#[tokio::test]
async fn health_is_of_homeostat_itself() {
    let world = World::new().await;
    world.beat(Duration::ZERO);
    let reply = world.get("/health").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["status"], "ok");
    assert_eq!(reply.json()["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn status_is_the_snapshot() {
    let world = World::new().await;
    let reply = world.get("/status").await;
    assert_eq!(serde_json::from_str::<Snapshot>(&reply.body).unwrap(), snapshot());
}

#[tokio::test]
async fn agents_report_their_calls_with_the_token() {
    let world = World::new().await;
    let body = r#"{"local":3,"cloud":7}"#;
    let json = "Content-Type: application/json";
    assert_eq!(world.ask("POST", "/llm/calls", &[json], body).await.status, 401);
    assert_eq!(world.act("POST", "/llm/calls", body).await.status, 204);
    let told = world.told.lock().await.recv().await;
    assert_eq!(told, Some(Event::Called(Calls { local: 3, cloud: 7 })));
    for wrong in [r#"{"local":-1}"#, r#"{"local":"3"}"#, r#"{"clod":1}"#, r#"{"cloud":1000001}"#] {
        assert_eq!(world.act("POST", "/llm/calls", wrong).await.status, 422, "{wrong}");
    }
    let calls = Calls { local: 12, cloud: 8 };
    world.gate.send_replace(Gate { fallback: true, calls, ..Gate::default() });
    let gate = world.get("/llm").await.json();
    assert_eq!((&gate["fallback"], &gate["calls"]), (&json!(true), &json!({"local":12,"cloud":8})));
}

#[tokio::test]
async fn the_gate_shuts_when_the_loop_stands_still() {
    let world = World::new().await;
    let shut = world.get("/llm").await.json();
    assert_eq!((&shut["ollama"], &shut["mlx"]), (&json!(false), &json!(false)));
    let soon = Instant::now() + Duration::from_millis(300);
    let later = Instant::now() + Duration::from_mins(1);
    world.gate.send_replace(Gate {
        ollama_until: Some(later),
        mlx_until: Some(soon),
        embeddings_until: None,
        fallback: true,
        ..Gate::default()
    });
    let open = world.get("/llm").await.json();
    assert_eq!(open["ollama"], true);
    assert_eq!(open["embeddings"], false);
    assert_eq!(open["fallback"], true);
    assert!(open["ts"].as_str().unwrap().ends_with('Z'));
    // Nobody publishes any more: what was true becomes false by itself.
    let started = Instant::now();
    while world.get("/llm").await.json()["mlx"] == true {
        assert!(started.elapsed() < DEADLINE);
    }
    assert!(Instant::now() >= soon);
}

#[tokio::test]
async fn room_names_the_idle_models_that_have_to_go() {
    let world = World::new().await;
    let mut crowded = snapshot();
    crowded.models = vec![
        model("forever", 30, None, false),
        model("pinned", 30, Some(5), true),
        model("later", 8, Some(240), false),
        model("sooner", 4, Some(60), false),
    ];
    world.snapshot.send_replace(crowded.into());
    let room = |gb: &str| {
        let path = format!("/llm/room?gb={gb}");
        let world = &world;
        async move { world.get(&path).await.json() }
    };
    // 50 GB less a tenth.
    assert_eq!(room("45").await, json!({"room": true, "available_gb": 45.0, "would_unload": []}));
    assert_eq!(room("46").await["would_unload"], json!(["sooner"]));
    assert_eq!(room("57").await["would_unload"], json!(["sooner", "later"]));
    assert_eq!(room("58").await, json!({"room": false, "available_gb": 45.0, "would_unload": []}));
    for wrong in ["", "?gb=", "?gb=-1", "?gb=NaN", "?gb=inf", "?gb=much"] {
        world.get(&format!("/llm/room{wrong}")).await.is_problem(400);
    }
}

#[tokio::test]
async fn ollama_answers_as_the_seeds_manager_did() {
    let world = World::new().await;
    let status = world.get("/ollama").await.json();
    assert_eq!(status["ollama_running"], true);
    assert_eq!(status["health"], "healthy");
    assert_eq!(status["latency_ms"], 245);
    assert_eq!(status["model_loaded"], json!(null));
    for key in [
        "uptime_seconds",
        "inference_count",
        "memory_usage_mb",
        "gpu_available",
        "cpu_usage_percent",
        "last_error",
    ] {
        assert!(status.as_object().unwrap().contains_key(key), "{key}");
    }
}

#[tokio::test]
async fn incidents_come_newest_first_page_by_page() {
    let world = World::new().await;
    for day in 0..5 {
        world.journal.write(&Entry::Incident(incident(day))).unwrap();
    }
    let mut ids = Vec::new();
    let mut path = "/incidents?limit=2".to_owned();
    loop {
        let page = world.get(&path).await.json();
        for incident in page["incidents"].as_array().unwrap() {
            assert_eq!(incident["target"], "ollama");
            ids.push(incident["id"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/incidents?limit=2&next={next}"),
            None => break,
        }
    }
    assert_eq!(ids, ["i-4", "i-3", "i-2", "i-1", "i-0"]);
    let since = world.get("/incidents?since=1970-01-04T00:00:00Z").await.json();
    assert_eq!(since["incidents"].as_array().unwrap().len(), 2);
    assert_eq!(world.get("/incidents/i-3").await.json()["id"], "i-3");
    world.get("/incidents/none").await.is_problem(404);
    for wrong in ["since=yesterday", "limit=0", "limit=501", "limit=x", "next=7"] {
        world.get(&format!("/incidents?{wrong}")).await.is_problem(400);
    }
}

#[tokio::test]
async fn timings_come_with_limits_for_agents() {
    let world = World::new().await;
    for (at, speed) in [(1, 10.0), (2, 30.0), (3, 20.0)] {
        world.journal.write(&Entry::Timing(timing(at, speed))).unwrap();
    }
    let mut loaded = snapshot();
    loaded.models = vec![model("unmeasured", 3, Some(60), false)];
    world.snapshot.send_replace(loaded.into());
    let timings = world.get("/timings?calls=3").await.json();
    let measured = &timings["models"][0];
    assert_eq!(measured["model"], "llama3:8b");
    assert_eq!(measured["last"]["tokens_per_s"], 20.0);
    assert_eq!(measured["median"]["tokens_per_s"], 20.0);
    assert_eq!(measured["history"].as_array().unwrap().len(), 3);
    // Twice: 10 s to load, 51 s for each call.
    assert_eq!(measured["suggested_timeout_s"], 122);
    assert_eq!(measured["suggested_task_timeout_s"], 326);
    assert_eq!(timings["models"][1]["model"], "unmeasured");
    assert_eq!(timings["models"][1]["suggested_timeout_s"], 240);
    world.get("/timings?calls=0").await.is_problem(400);
}

#[tokio::test]
async fn memory_is_told_on_one_time_line() {
    let world = World::new().await;
    let row =
        |owner: &str, bytes, busy_percent| MemoryRow { owner: owner.into(), bytes, busy_percent };
    let minute = 60_000;
    for (at, rows) in [
        (minute, vec![row("mlx", Some(7), None), row("ollama", Some(5), None)]),
        (2 * minute, vec![row("mlx", None, Some(310)), row("ollama", None, Some(0))]),
    ] {
        world.journal.write(&Entry::Memory(MemorySample { at: Wall(at), rows })).unwrap();
    }
    let all = world.get("/memory?since=1970-01-01T00:00:00Z").await.json();
    assert_eq!(all["samples"].as_array().unwrap().len(), 2);
    assert_eq!(all["samples"][0]["at"], "1970-01-01T00:01:00.000Z");
    assert_eq!(
        all["samples"][0]["owners"][0],
        json!({"owner": "mlx", "bytes": 7, "busy_percent": null})
    );
    assert_eq!(all["samples"][1]["owners"][0]["busy_percent"], 310);
    let lately = world.get("/memory").await.json();
    assert_eq!(lately["samples"], json!([]), "the last six hours");
    for wrong in ["since=yesterday", "limit=0", "limit=20001"] {
        world.get(&format!("/memory?{wrong}")).await.is_problem(400);
    }
}

#[tokio::test]
async fn operations_are_told() {
    let world = World::new().await;
    world.get("/operations/op-1").await.is_problem(404);
    world.operations.send_replace(vec![operation("restart", OperationState::Failed)].into());
    let told = world.get("/operations/op-1").await.json();
    assert_eq!((&told["id"], &told["state"]), (&json!("op-1"), &json!("failed")));
    assert!(told["steps"].is_array());
}

#[tokio::test]
async fn events_begin_with_the_snapshot_and_go_on() {
    let world = World::new().await;
    let mut stream = world.connect().await;
    let request = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", world.address);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    until(&mut stream, &mut seen, "event: snapshot\ndata: {\"version\"").await;
    let mut changed = snapshot();
    changed.headline = "Ollama is down".into();
    world.snapshot.send_replace(changed.into());
    until(&mut stream, &mut seen, "Ollama is down").await;
    world.notices.send(notice()).unwrap();
    until(&mut stream, &mut seen, "event: notice\ndata: {\"kind\":\"problem\"").await;
    world.serving.stop().await;
    let mut rest = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_page_may_load_nothing_foreign() {
    let world = World::new().await;
    let reply = world.get("/").await;
    if reply.status == 200 {
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(reply.body.contains("<html"));
    }
    world.get("/../../../etc/passwd").await.is_problem(404);
    world.get("/package.json").await.is_problem(404);
}

#[tokio::test]
async fn every_route_is_described_and_every_described_route_is_served() {
    let world = World::new().await;
    let described = world.get("/openapi.json").await.json();
    let mut found: Vec<String> = Vec::new();
    for (path, item) in described["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            found.push(format!("{} {path}", method.to_uppercase()));
        }
    }
    found.sort();
    let expected = [
        "DELETE /models/measure",
        "DELETE /operations/{id}",
        "GET /",
        "GET /audit",
        "GET /events",
        "GET /health",
        "GET /incidents",
        "GET /incidents/{id}",
        "GET /llm",
        "GET /llm/room",
        "GET /memory",
        "GET /metrics",
        "GET /ollama",
        "GET /openapi.json",
        "GET /operations/{id}",
        "GET /status",
        "GET /timings",
        "POST /healers/{verb}",
        "POST /llm/calls",
        "POST /models/measure",
        "POST /models/unload",
        "POST /models/verify",
        "POST /recover",
        "POST /targets/{id}/{verb}",
    ];
    assert_eq!(found, expected);
    for route in expected {
        let (method, path) = route.split_once(' ').unwrap();
        let path = path.replace("{id}", "ollama").replace("{verb}", "hold");
        if path == "/events" {
            continue;
        }
        let reply = world.act(method, &path, "").await;
        assert_ne!(reply.status, 405, "{route}");
        assert!(!reply.body.contains("there is nothing at") || path == "/", "{route}: {reply:?}");
        let wrong = world.act("PUT", &path, "").await;
        wrong.is_problem(405);
    }
    let text = described.to_string();
    for part in text.split("#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(described["components"]["schemas"].get(name).is_some(), "{name} is not described");
    }
}

/// `BLESS=1` writes it anew.
#[test]
fn the_kept_description_is_of_what_is_served() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let mut made = serde_json::to_string_pretty(&engine::api::description()).unwrap();
    made.push('\n');
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept == made, "openapi.json is not what the handlers say; run this test with BLESS=1");
}

async fn until(stream: &mut tokio::net::TcpStream, seen: &mut Vec<u8>, text: &str) {
    let reading = async {
        while !String::from_utf8_lossy(seen).contains(text) {
            assert_ne!(stream.read_buf(seen).await.unwrap(), 0, "the stream ended before {text}");
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.unwrap_or_else(|_| panic!("no {text}"));
}

fn notice() -> NoticeView {
    NoticeView {
        id: 1,
        kind: "problem".into(),
        target: "ollama".into(),
        cause: Some("ollama.not_running".into()),
        title: "Ollama is down".into(),
        body: String::new(),
        button: "show".into(),
        button_text: "Show".into(),
        quiet: false,
        incident: None,
        at: "2026-01-31T12:00:00Z".into(),
    }
}

fn incident(day: i64) -> Incident {
    Incident {
        id: format!("i-{day}"),
        target: TargetId::Ollama,
        cause: Cause {
            id: CauseId::OllamaNotRunning,
            confidence: Confidence::Certain,
            evidence: Vec::new(),
            says: Sentence::new("ollama.not_running"),
        },
        state: IncidentState::Verified,
        opened: Wall(day * 86_400_000),
        closed: Some(Wall(day * 86_400_000 + 60_000)),
        detected_after_ms: 10,
        answering_after_ms: None,
        recovered_after_ms: None,
        attempts: 1,
        affects: Vec::new(),
        log: Vec::new(),
        story: Vec::new(),
    }
}

fn timing(at: i64, speed: f64) -> Timing {
    Timing {
        server: TargetId::Ollama,
        model: "llama3:8b".into(),
        at: Wall(at),
        load_ms: Some(10_000),
        first_token_ms: Some(1_000),
        prompt_tokens_per_s: None,
        tokens_per_s: Some(speed),
        memory_bytes: None,
        error: None,
    }
}

#[tokio::test]
async fn an_audit_tells_findings_in_words() {
    let world = World::new().await;
    let reply = world.get("/audit").await;
    assert_eq!(reply.status, 200);
    let audit = reply.json();
    assert!(audit["ok"].is_boolean() && audit["files"].is_array(), "{audit}");
    for finding in audit["findings"].as_array().unwrap() {
        for key in ["id", "severity", "text", "why"] {
            assert!(finding[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {finding}");
        }
    }
    assert!(audit["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{audit}");
    // An engine that answers is no finding.
    assert!(!reply.body.contains("engine_absent"), "{audit}");
}
