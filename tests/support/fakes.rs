//! The fakes themselves: what other tests build on must be as the true programs are.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};
use tests::{
    Control, Fault, FaultServer, Mode, Model, Ollama, closed_port, eventually, http, programs,
    wait_until,
};

const SOON: Duration = Duration::from_secs(5);

fn client() -> Client {
    http::client(Duration::from_secs(10))
}

fn get(ollama: &Ollama, path: &str) -> Response {
    client().get(format!("{}{path}", ollama.url())).send().unwrap()
}

fn post(ollama: &Ollama, path: &str, body: &Value) -> Response {
    client().post(format!("{}{path}", ollama.url())).json(body).send().unwrap()
}

fn loaded(ollama: &Ollama) -> Vec<Value> {
    let answer: Value = get(ollama, "/api/ps").json().unwrap();
    answer["models"].as_array().unwrap().clone()
}

#[test]
fn plain_questions_are_answered_as_ollama_does() {
    let ollama = Ollama::start(&[Model::named("llama3.2:latest")]).unwrap();
    let root = get(&ollama, "/");
    assert_eq!(root.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(root.text().unwrap(), "Ollama is running");
    let version: Value = get(&ollama, "/api/version").json().unwrap();
    assert_eq!(version, json!({"version": "0.32.15"}));
    let tags: Value = get(&ollama, "/api/tags").json().unwrap();
    assert_eq!(tags["models"][0]["name"], "llama3.2:latest");
    assert_eq!(tags["models"][0]["details"]["parameter_size"], "3.2B");
    assert_eq!(tags["models"][0]["digest"].as_str().unwrap().len(), 64);
    assert_eq!(get(&ollama, "/api/ps").text().unwrap(), r#"{"models":[]}"#);

    let unknown = get(&ollama, "/nothing");
    assert_eq!(unknown.status(), 404);
    assert_eq!(unknown.text().unwrap(), "404 page not found");
    let wrong = get(&ollama, "/api/generate");
    assert_eq!(wrong.status(), 405);
    assert_eq!(wrong.text().unwrap(), "405 method not allowed");
    let missing = post(&ollama, "/api/generate", &json!({"model": "nope", "prompt": "hi"}));
    assert_eq!(missing.status(), 404);
    assert_eq!(missing.text().unwrap(), r#"{"error":"model 'nope' not found"}"#);
    let empty = client().post(format!("{}/api/generate", ollama.url())).send().unwrap();
    assert_eq!(empty.status(), 400);
    assert_eq!(empty.text().unwrap(), r#"{"error":"missing request body"}"#);
    assert!(ollama.log().contains("msg=\"Listening on 127.0.0.1:"));
    assert!(ollama.log().contains("| 404 |"));
}

#[test]
fn a_foreign_host_name_is_refused_without_a_word() {
    let ollama = Ollama::start(&[]).unwrap();
    let with_host = |host: &str| {
        let url = format!("{}/api/version", ollama.url());
        client().get(url).header("Host", host).send().unwrap()
    };
    let foreign = with_host("evil.example:11434");
    assert_eq!(foreign.status(), 403);
    assert_eq!(foreign.text().unwrap(), "");
    for host in ["localhost:11434", "host.docker.internal:11434", "[::1]:1", "192.168.1.5"] {
        assert_eq!(with_host(host).status(), 200, "{host}");
    }
}

#[test]
fn a_loaded_model_is_a_process_that_holds_memory_and_unloads_by_itself() {
    let big = Model { memory_bytes: 64 << 20, load_ms: 300, ..Model::named("llama3.2:latest") };
    let ollama = Ollama::start(&[big]).unwrap();
    let generate = |body: Value| -> Value {
        let answer = post(&ollama, "/api/generate", &body);
        assert_eq!(answer.status(), 200);
        answer.json().unwrap()
    };

    std::thread::scope(|scope| {
        let load = scope.spawn(|| generate(json!({"model": "llama3.2"})));
        // While it loads there is a runner and nothing in the list.
        let seen = eventually("the runner", SOON, || {
            (ollama.running().len() == 2).then(|| loaded(&ollama))
        });
        assert_eq!(seen, Vec::<Value>::new());
        assert_eq!(load.join().unwrap()["done_reason"], "load");
    });
    let listed = loaded(&ollama);
    assert_eq!(listed[0]["name"], "llama3.2:latest");
    assert_eq!(listed[0]["size_vram"], 64 << 20);
    let runner = *ollama.running().last().unwrap();
    assert!(programs::memory(runner).unwrap() > 64 << 20);

    let answer = generate(json!({
        "model": "llama3.2", "prompt": "hi there", "stream": false, "keep_alive": "1s",
        "options": {"num_predict": 2},
    }));
    assert_eq!(answer["response"], "Hello!");
    assert_eq!(answer["done_reason"], "length");
    assert_eq!(answer["eval_count"], 2);
    assert_eq!(answer["prompt_eval_count"], 2);
    assert!(answer["eval_duration"].as_u64().unwrap() >= 10_000_000);
    wait_until("the end of its keep_alive", SOON, || loaded(&ollama).is_empty());
    wait_until("the end of its runner", SOON, || !programs::is_alive(runner));
}

#[test]
fn unloading_answers_at_once_and_lets_the_running_request_finish() {
    let slow = Model { tokens_per_s: 10.0, ..Model::named("slow:latest") };
    let ollama = Ollama::start(&[slow]).unwrap();
    post(&ollama, "/api/generate", &json!({"model": "slow"}));
    let body = json!({"model": "slow", "prompt": "hi", "stream": false});
    std::thread::scope(|scope| {
        let talking = scope.spawn(|| post(&ollama, "/api/generate", &body));
        let log = || ollama.log().matches("/api/ps").count();
        wait_until("some time of talking", SOON, || {
            loaded(&ollama);
            log() > 3
        });
        let began = Instant::now();
        let unload = json!({"model": "slow", "keep_alive": 0});
        let answer: Value = post(&ollama, "/api/generate", &unload).json().unwrap();
        assert_eq!(answer["done_reason"], "unload");
        assert!(began.elapsed() < Duration::from_millis(500));
        assert_eq!(loaded(&ollama).len(), 1);
        let finished: Value = talking.join().unwrap().json().unwrap();
        assert_eq!(finished["done_reason"], "stop");
    });
    wait_until("the unloading", SOON, || loaded(&ollama).is_empty());
}

#[test]
fn streams_thoughts_and_embeddings_have_their_true_shape() {
    let thinker = Model {
        capabilities: vec!["completion".into(), "thinking".into()],
        ..Model::named("thinker:latest")
    };
    let models =
        [thinker, Model::named("plain:latest"), Model::embedding("nomic-embed-text:latest")];
    let ollama = Ollama::start(&models).unwrap();

    let stream = post(
        &ollama,
        "/api/chat",
        &json!({
            "model": "plain", "messages": [{"role": "user", "content": "hi"}],
        }),
    );
    assert_eq!(stream.headers()["content-type"], "application/x-ndjson");
    let text = stream.text().unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["message"], json!({"role": "assistant", "content": "Hello"}));
    assert_eq!(lines[0]["done"], false);
    assert_eq!(lines.last().unwrap()["done_reason"], "stop");
    assert!(lines[0].get("eval_count").is_none());

    // A short answer of a thinking model is all thought.
    let body =
        json!({"model": "thinker", "prompt": "hi", "stream": false, "options": {"num_predict": 1}});
    let thought: Value = post(&ollama, "/api/generate", &body).json().unwrap();
    assert_eq!((&thought["response"], &thought["thinking"]), (&json!(""), &json!("The")));
    let body = json!({"model": "thinker", "prompt": "hi", "stream": false, "think": false, "options": {"num_predict": 1}});
    let said: Value = post(&ollama, "/api/generate", &body).json().unwrap();
    assert_eq!(said["response"], "Hello");
    let body = json!({"model": "plain", "prompt": "hi", "think": true});
    let refused = post(&ollama, "/api/generate", &body);
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.text().unwrap(), r#"{"error":"\"plain\" does not support thinking"}"#);

    let refused =
        post(&ollama, "/api/generate", &json!({"model": "nomic-embed-text", "prompt": "hi"}));
    assert_eq!(refused.status(), 400);
    let text = refused.text().unwrap();
    assert_eq!(text, r#"{"error":"\"nomic-embed-text\" does not support generate"}"#);
    let body = json!({"model": "nomic-embed-text", "input": ["a", "b"]});
    let embedded: Value = post(&ollama, "/api/embed", &body).json().unwrap();
    assert_eq!(embedded["embeddings"].as_array().unwrap().len(), 2);
}

#[test]
fn a_runner_that_dies_or_never_loads_is_told_as_ollama_tells_it() {
    let slow = Model { tokens_per_s: 5.0, ..Model::named("slow:latest") };
    let broken = Model {
        load_error: Some("error loading model: invalid magic".into()),
        ..Model::named("broken:latest")
    };
    let ollama = Ollama::start(&[slow, broken]).unwrap();
    let failed = post(&ollama, "/api/generate", &json!({"model": "broken"}));
    assert_eq!(failed.status(), 500);
    let text = failed.text().unwrap();
    assert!(
        text.contains("llama-server process has terminated: exit status 1: error loading model"),
        "{text}"
    );

    post(&ollama, "/api/generate", &json!({"model": "slow"}));
    let runner = *ollama.running().last().unwrap();
    let body = json!({"model": "slow", "prompt": "hi", "stream": false});
    std::thread::scope(|scope| {
        let talking = scope.spawn(|| post(&ollama, "/api/generate", &body));
        programs::send(runner, rustix::process::Signal::KILL).unwrap();
        let answer = talking.join().unwrap();
        // Killed before the request reached it, it is loaded anew.
        if answer.status() == 500 {
            assert!(answer.text().unwrap().contains("model runner has unexpectedly stopped"));
        } else {
            assert_eq!(answer.status(), 200);
        }
    });
    let again = post(&ollama, "/api/generate", &json!({"model": "slow"}));
    assert_eq!(again.status(), 200);
    assert_ne!(*ollama.running().last().unwrap(), runner);
}

#[test]
fn a_full_queue_is_refused() {
    let slow = Model { load_ms: 2000, ..Model::named("slow:latest") };
    let ollama = Ollama::install(&[slow, Model::named("other:latest")]).unwrap();
    let mut child = Command::new(ollama.binary())
        .arg("serve")
        .envs(ollama.environment())
        .env("OLLAMA_MAX_QUEUE", "1")
        .spawn()
        .unwrap();
    ollama.await_answer();
    std::thread::scope(|scope| {
        scope.spawn(|| post(&ollama, "/api/generate", &json!({"model": "slow"})));
        wait_until("the load", SOON, || ollama.running().len() == 2);
        let refused = post(&ollama, "/api/generate", &json!({"model": "other"}));
        assert_eq!(refused.status(), 503);
        assert_eq!(
            refused.text().unwrap(),
            r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#
        );
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn sigterm_ends_it_with_its_runners_and_kill_leaves_orphans() {
    let mut ollama = Ollama::start(&[Model::named("m:latest")]).unwrap();
    post(&ollama, "/api/generate", &json!({"model": "m"}));
    assert_eq!(ollama.running().len(), 2);
    assert_eq!(ollama.terminate().unwrap().code(), Some(0));
    wait_until("the end of the runner", SOON, || ollama.running().is_empty());

    ollama.serve().unwrap();
    ollama.await_answer();
    post(&ollama, "/api/generate", &json!({"model": "m"}));
    ollama.kill().unwrap();
    assert_eq!(ollama.running().len(), 1, "the runner outlives a kill -9 of its server");

    let control = Control { ignore_terminate: true, ..Control::default() };
    ollama.misbehave(&control).unwrap();
    ollama.serve().unwrap();
    ollama.await_answer();
    programs::send(ollama.pid().unwrap(), rustix::process::Signal::TERM).unwrap();
    for _ in 0..50 {
        assert_eq!(get(&ollama, "/api/version").status(), 200);
    }
}

#[test]
fn a_taken_port_ends_it_with_the_true_words() {
    let mut ollama = Ollama::install(&[]).unwrap();
    let address = format!("127.0.0.1:{}", ollama.port()).parse().unwrap();
    let _owner = FaultServer::start_at(address, Fault::other_product()).unwrap();
    ollama.serve().unwrap();
    let status = eventually("its end", SOON, || ollama.ended());
    assert_eq!(status.code(), Some(1));
    let words = format!("Error: listen tcp {address}: bind: address already in use\n");
    assert!(ollama.log().ends_with(&words), "{}", ollama.log());
}

#[test]
fn every_misbehaviour_shows_and_passes() {
    let mut ollama = Ollama::start(&[Model::named("m:latest")]).unwrap();
    let url = format!("{}/api/version", ollama.url());
    let ask = |within: u64| http::client(Duration::from_millis(within)).get(&url).send();
    let healthy =
        || wait_until("health", SOON, || ask(1000).is_ok_and(|answer| answer.status() == 200));

    ollama.turn(Mode::Hang).unwrap();
    assert!(ask(300).unwrap_err().is_timeout());
    ollama.turn(Mode::Refuse).unwrap();
    wait_until("a closed port", SOON, || TcpStream::connect(("127.0.0.1", ollama.port())).is_err());
    assert!(programs::is_alive(ollama.pid().unwrap()));
    ollama.turn(Mode::Well).unwrap();
    healthy();
    ollama.turn(Mode::EmptyBody).unwrap();
    assert_eq!(ask(1000).unwrap().bytes().unwrap().len(), 0);
    ollama.turn(Mode::Busy).unwrap();
    assert_eq!(ask(1000).unwrap().status(), 503);
    for mode in [Mode::Garbage, Mode::Reset, Mode::Mute] {
        ollama.turn(mode).unwrap();
        wait_until("a broken answer", SOON, || ask(1000).is_err_and(|error| !error.is_timeout()));
    }
    ollama.turn(Mode::Well).unwrap();
    healthy();
    ollama.turn(Mode::EmptyAnswers).unwrap();
    let body = json!({"model": "m", "prompt": "hi", "stream": false});
    let answer: Value = post(&ollama, "/api/generate", &body).json().unwrap();
    assert_eq!((&answer["response"], &answer["done"]), (&json!(""), &json!(true)));
    // Only generation hangs, as with a wedged runner.
    let control = Control { mode: Mode::Hang, path: "/api/generate".into(), ..Control::default() };
    ollama.misbehave(&control).unwrap();
    assert_eq!(ask(1000).unwrap().status(), 200);
    let wedged = http::client(Duration::from_millis(300));
    let wedged = wedged.post(format!("{}/api/generate", ollama.url())).json(&body).send();
    assert!(wedged.unwrap_err().is_timeout());

    ollama.misbehave(&Control { exit: Some(7), ..Control::default() }).unwrap();
    let status = eventually("its end", SOON, || ollama.ended());
    assert_eq!(status.code(), Some(7));
    ollama.misbehave(&Control { die_after_ms: Some(300), ..Control::default() }).unwrap();
    ollama.serve().unwrap();
    ollama.await_answer();
    assert_eq!(eventually("its death", SOON, || ollama.ended()).code(), None);
}

/// What a client without HTTP sees: the first bytes, or how the connection ended.
fn raw(server: &FaultServer, within: Duration) -> Result<Vec<u8>, std::io::ErrorKind> {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(within)).unwrap();
    // A reset may come before the request has left, and is told once: here or at the read.
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").map_err(|e| e.kind())?;
    let mut bytes = vec![0; 64];
    match stream.read(&mut bytes) {
        Ok(count) => {
            bytes.truncate(count);
            Ok(bytes)
        }
        Err(error) => Err(error.kind()),
    }
}

#[test]
fn the_fault_server_does_what_it_is_told() {
    let server = FaultServer::start(Fault::status(503)).unwrap();
    let answer = client().get(server.url("/health")).send().unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(server.requests(), ["GET /health HTTP/1.1"]);
    assert_eq!(server.connections(), 1);

    server.set(Fault::Hang);
    assert_eq!(raw(&server, Duration::from_millis(200)), Err(std::io::ErrorKind::WouldBlock));
    server.set(Fault::EmptyReply);
    assert_eq!(raw(&server, SOON), Ok(Vec::new()));
    server.set(Fault::Reset);
    assert_eq!(raw(&server, SOON), Err(std::io::ErrorKind::ConnectionReset));
    server.set(Fault::SlowHead);
    assert_eq!(raw(&server, SOON), Ok(b"H".to_vec()));
    server.set(Fault::Garbage);
    assert_eq!(raw(&server, SOON).unwrap()[0], 0x16);

    for fault in [Fault::StallInBody, Fault::ResetAfterHead, Fault::BrokenChunks] {
        server.set(fault.clone());
        let client = http::client(Duration::from_millis(500));
        let answer = client.get(server.url("/")).send().unwrap();
        assert_eq!(answer.status(), 200, "{fault:?}");
        assert!(answer.text().is_err(), "{fault:?}");
    }
    server.set(Fault::RedirectLoop);
    assert!(client().get(server.url("/")).send().unwrap_err().is_redirect());
    for fault in [Fault::EndlessChunks, Fault::HugeBody] {
        server.set(fault.clone());
        let mut answer = client().get(server.url("/")).send().unwrap();
        let mut part = vec![0; 1 << 20];
        answer.read_exact(&mut part).unwrap();
    }
    server.set(Fault::EndlessHead);
    assert!(client().get(server.url("/")).send().is_err());
    let closed = closed_port().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", closed)).is_err());
}
