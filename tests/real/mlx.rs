//! The real `mlx_lm.server`: the facts that the MLX probe stands on.

use std::time::Duration;

use tests::{Mlx, http};

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
