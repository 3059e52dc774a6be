//! Bad callers: foreign pages, foreign names, wrong tokens, slow heads, endless bodies.

use std::time::{Duration, Instant};

use doctor::Asker;
use engine::api::ApiSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{DEADLINE, World, read};

#[tokio::test]
async fn pages_of_other_sites_are_refused() {
    let world = World::new().await;
    let port = world.address.port();
    for own in [
        format!("Origin: http://127.0.0.1:{port}"),
        format!("Origin: http://localhost:{port}"),
        format!("Origin: http://[::1]:{port}"),
    ] {
        assert_eq!(world.ask("GET", "/health", &[&own], "").await.status, 200, "{own}");
    }
    for foreign in [
        "Origin: https://evil.example".to_owned(),
        "Origin: http://localhost:3000".into(),
        "Origin: null".into(),
        "Origin: ".into(),
        format!("Origin: http://127.0.0.1.evil.example:{port}"),
        format!("Origin: http://evil.example:{port}"),
        format!("Origin: http://evil@127.0.0.1:{port}"),
    ] {
        for (method, path) in [("GET", "/status"), ("POST", "/recover"), ("GET", "/events")] {
            let reply = world.ask(method, path, &[&foreign], "").await;
            reply.is_problem(403);
            assert_eq!(reply.header("access-control-allow-origin"), None);
        }
    }
    assert!(world.wished().is_empty());
}

#[tokio::test]
async fn unknown_host_names_are_refused() {
    let world = World::new().await;
    for known in [
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost:9099",
        "LOCALHOST",
        "[::1]:9099",
        "host.docker.internal:9099",
        "studio.local",
    ] {
        let reply = world.ask("GET", "/health", &[&format!("Host: {known}")], "").await;
        assert_eq!(reply.status, 200, "{known}");
    }
    // A page of evil.example whose name was pointed at 127.0.0.1 afterwards.
    for unknown in
        ["evil.example", "evil.example:9099", "127.0.0.1.evil.example", "10.0.0.1", "", "[::1"]
    {
        let header = format!("Host: {unknown}");
        world.ask("GET", "/status", &[&header], "").await.is_problem(421);
        world.ask("POST", "/recover", &[&header], "{}").await.is_problem(421);
    }
    let absolute =
        "GET http://evil.example/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    world.raw(absolute).await.is_problem(421);
    world.raw("GET /status HTTP/1.1\r\nConnection: close\r\n\r\n").await.is_problem(400);
    let two = ["Host: localhost", "Host: evil.example"];
    world.ask("GET", "/status", &two, "").await.is_problem(400);
}

#[tokio::test]
async fn whatever_acts_needs_the_token() {
    let world = World::new().await;
    let acting = [
        ("POST", "/targets/ollama/restart"),
        ("POST", "/targets/ollama/hold"),
        ("POST", "/models/unload"),
        ("POST", "/models/measure"),
        ("DELETE", "/models/measure"),
        ("POST", "/no/such/path"),
    ];
    let token = world.token.expose();
    for (method, path) in acting {
        let reply = world.ask(method, path, &[], "").await;
        reply.is_problem(401);
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        for wrong in [
            "Authorization: Bearer ".to_owned(),
            "Authorization: Bearer 0000".into(),
            format!("Authorization: Basic {token}"),
            format!("Authorization: {token}"),
            format!("Authorization: Bearer {token}0"),
            format!("Authorization: Bearer {}", &token[..63]),
        ] {
            world.ask(method, path, &[&wrong], "").await.is_problem(401);
        }
    }
    world.ask("POST", "/recover", &["Authorization: Bearer 0000"], "").await.is_problem(401);
    assert!(world.wished().is_empty());
}

#[tokio::test]
async fn recover_may_need_the_token_too() {
    let answers = |_: &_| doctor::Response::Done;
    let needs = |settings| ApiSettings { recover_needs_token: true, ..settings };
    let world = World::with(answers, needs).await;
    world.ask("POST", "/recover", &[], "").await.is_problem(401);
    assert_eq!(world.act("POST", "/recover", "").await.status, 202);
    assert_eq!(world.wished().first().map(|(_, by)| *by), Some(Asker::Person));
}

#[tokio::test]
async fn the_eleventh_recover_has_to_wait() {
    let world = World::answering(|_| doctor::Response::Done).await;
    for _ in 0..10 {
        assert_eq!(world.ask("POST", "/recover", &[], "").await.status, 202);
    }
    let reply = world.ask("POST", "/recover", &[], "").await;
    reply.is_problem(429);
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait));
    assert_eq!(world.wished().len(), 10);
    // A person is not locked out by an agent that calls without end.
    assert_eq!(world.act("POST", "/recover", "").await.status, 202);
}

#[tokio::test]
async fn only_json_is_taken() {
    let world = World::new().await;
    let bearer = world.bearer();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        let kind = format!("Content-Type: {kind}");
        world.ask("POST", "/recover", &[&kind], "{}").await.is_problem(415);
        world.ask("POST", "/models/unload", &[&kind, &bearer], "{}").await.is_problem(415);
    }
    world.ask("POST", "/models/unload", &[&bearer], "{}").await.is_problem(415);
    let own = format!("Origin: http://{}", world.address);
    world.ask("POST", "/recover", &[&own], "{}").await.is_problem(415);
    let kind = "Content-Type: Application/JSON; charset=utf-8";
    assert_eq!(world.ask("POST", "/recover", &[kind], "{}").await.status, 202);
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let world = World::new().await;
    let padded = |size: usize| format!("{}{{}}", " ".repeat(size - 2));
    assert_eq!(world.act("POST", "/recover", &padded(4 * 1024)).await.status, 202);
    world.act("POST", "/recover", &padded(4 * 1024 + 1)).await.is_problem(413);
    let models = "/models/measure";
    assert_eq!(world.act("POST", models, &padded(64 * 1024)).await.status, 202);
    world.act("POST", models, &padded(64 * 1024 + 1)).await.is_problem(413);
    // Announced only: refused before a byte of it was sent.
    let started = Instant::now();
    let reply =
        world.ask("POST", models, &[&world.bearer(), "Content-Length: 1000000000000"], "").await;
    reply.is_problem(413);
    assert!(started.elapsed() < Duration::from_secs(4));
}

/// A gigabyte in chunks is cut off after the first kilobytes.
#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let world = World::new().await;
    let (mut reading, mut writing) = world.connect().await.into_split();
    let head = format!(
        "POST /recover HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n",
        world.address
    );
    writing.write_all(head.as_bytes()).await.unwrap();
    let mut chunk = b"10000\r\n".to_vec();
    chunk.resize(chunk.len() + 0x10000, b' ');
    chunk.extend_from_slice(b"\r\n");
    let sending = tokio::spawn(async move {
        let mut sent = 0_u64;
        while sent < 1 << 30 && writing.write_all(&chunk).await.is_ok() {
            sent += 0x10000;
        }
        sent
    });
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, reading.read_to_end(&mut answer)).await.unwrap();
    crate::world::reply(&answer).is_problem(413);
    let sent = tokio::time::timeout(DEADLINE, sending).await.unwrap().unwrap();
    assert!(sent < 64 << 20, "{sent} bytes were taken");
}

#[tokio::test]
async fn a_slow_body_is_given_up() {
    let world = World::new().await;
    let started = Instant::now();
    let reply = world
        .ask("POST", "/recover", &["Content-Length: 10", "Content-Type: application/json"], "")
        .await;
    reply.is_problem(408);
    assert!(started.elapsed() >= Duration::from_millis(4900));
}

/// A head that comes byte by byte holds its connection for five seconds at most.
#[tokio::test]
async fn a_slow_head_is_given_up() {
    let world = World::new().await;
    let started = Instant::now();
    let (mut reading, mut writing) = world.connect().await.into_split();
    let dripping = tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(200));
        for byte in b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter().cycle() {
            pace.tick().await;
            if writing.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    });
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, reading.read_to_end(&mut answer)).await.unwrap();
    dripping.abort();
    let status = crate::world::reply(&answer).status;
    assert!(status == 0 || status == 408, "{status}");
    assert!(started.elapsed() >= Duration::from_millis(4900));
}

#[tokio::test]
async fn garbage_harms_nobody() {
    let world = World::new().await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "A: b\r\n".repeat(500));
    for bytes in ["\u{0}\u{1}\u{2}\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", &long, &many]
    {
        let mut stream = world.connect().await;
        // It may be cut off while we write.
        let _ = stream.write_all(bytes.as_bytes()).await;
        let status = read(&mut stream).await.status;
        assert!(status == 0 || (400..500).contains(&status), "{status}");
    }
    for bad in ["/incidents/%FF", "/targets/%FF/hold", "/llm/room?gb=%FF"] {
        let status = world.get(bad).await.status;
        assert!((400..500).contains(&status), "{bad}: {status}");
    }
    assert_eq!(world.get("/health").await.status, 200);
}

#[tokio::test]
async fn connections_and_streams_are_counted() {
    let world = World::new().await;
    let request = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", world.address);
    let mut open = Vec::new();
    for _ in 0..32 {
        let mut stream = world.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut first = [0_u8; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        open.push(stream);
    }
    world.get("/events").await.is_problem(503);
    // Idle connections take the other places; the next is shut without an answer.
    for _ in 0..(256 - 32) {
        open.push(world.connect().await);
    }
    let mut late = world.connect().await;
    let _ = late.write_all(request.as_bytes()).await;
    assert_eq!(read(&mut late).await.status, 0);
    drop(open);
    let started = Instant::now();
    loop {
        let mut stream = world.connect().await;
        let asked =
            format!("GET /health HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", world.address);
        let _ = stream.write_all(asked.as_bytes()).await;
        if read(&mut stream).await.status == 200 {
            break;
        }
        assert!(started.elapsed() < DEADLINE, "no place became free");
    }
}
