//! The Docker probe and actions against an engine that misbehaves.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

#[path = "docker/acting.rs"]
mod acting;
#[path = "docker/command.rs"]
mod command;
#[path = "docker/log.rs"]
mod log;
#[path = "docker/progress.rs"]
mod progress;
#[path = "docker/service.rs"]
mod service;
#[path = "docker/stream.rs"]
mod stream;

mod fake;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU16, Ordering};

use doctor::{Body, Healer, Reply};
use engine::docker_host::Surroundings;
use engine::probe::docker::Docker;
use fake::{Fake, PACE, begin, chunk, container, for_ever, id, json};
use tokio::io::AsyncWriteExt;

const SECOND: i64 = 1_000_000_000;
const EPOCH: i64 = 1_700_000_000 * SECOND;
const STARTED: &str = "2026-08-01T10:00:00.123456789Z";
const STARTED_MS: i64 = 1_785_578_400_123;

#[tokio::test]
async fn a_ping_that_is_answered() {
    let fake = Fake::start(|_, _, stream| json(stream, 200, "OK"));
    let seen = fake.docker().ping().await;
    assert_eq!(seen.ping.reply, Reply::Status { code: 200, body: Body::Expected });
    assert_eq!(seen.ping.url, fake.host());
    assert!(seen.containers.is_none());
}

#[tokio::test]
async fn each_way_a_ping_can_fail() {
    let reply = async |fake: &Fake| fake.docker().ping().await.ping.reply;

    let hangs = Fake::start(|_, _, stream| for_ever(stream));
    assert_eq!(reply(&hangs).await, Reply::Silent);

    let closes = Fake::start(|_, _, stream| async { drop(stream) });
    assert_eq!(reply(&closes).await, Reply::Empty);

    let stalls = Fake::start(|_, _, mut stream| async {
        begin(&mut stream).await;
        for_ever(stream).await;
    });
    assert_eq!(reply(&stalls).await, Reply::Stalled);

    let babbles = Fake::start(|_, _, mut stream| async move {
        let _ = stream.write_all(b"220 mail ready\r\n\r\n").await;
    });
    let babble = reply(&babbles).await;
    assert!(matches!(babble, Reply::Malformed { .. }), "{babble:?}");

    let floods = Fake::start(|_, _, mut stream| async move {
        begin(&mut stream).await;
        while chunk(&mut stream, &"x".repeat(10_000)).await {}
    });
    assert_eq!(reply(&floods).await, Reply::TooLarge);

    let fails = Fake::start(|_, _, stream| json(stream, 503, r#"{"message":"starting"}"#));
    assert_eq!(reply(&fails).await, Reply::Status { code: 503, body: Body::Other });

    let another = Fake::start(|_, _, stream| json(stream, 200, "hello"));
    assert_eq!(reply(&another).await, Reply::Status { code: 200, body: Body::Other });
}

/// Docker Desktop's socket answers before its engine is there: that is told apart from silence, and the
/// next ping finds the engine on the same socket.
#[tokio::test]
async fn an_engine_that_is_starting_answers_so_until_it_is_there() {
    let asked = AtomicU16::new(0);
    let fake = Fake::start(move |_, _, stream| {
        let (status, body) = match asked.fetch_add(1, Ordering::Relaxed) {
            0 => (500, "<html>starting</html>"),
            1 => (503, r#"{"message":"starting"}"#),
            _ => (200, "OK"),
        };
        json(stream, status, body)
    });
    let docker = fake.docker();
    let mut replies = Vec::new();
    for _ in 0..3 {
        replies.push(docker.ping().await.ping.reply);
    }
    let status = |code, body| Reply::Status { code, body };
    assert_eq!(
        replies,
        [status(500, Body::Other), status(503, Body::Other), status(200, Body::Expected)]
    );
}

#[tokio::test]
async fn no_socket_and_a_socket_without_engine_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker.sock");
    let host = format!("unix://{}", path.display());
    let docker = Docker::with_pace(host, Surroundings::default(), PACE);
    assert_eq!(docker.ping().await.ping.reply, Reply::Refused);
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert_eq!(docker.ping().await.ping.reply, Reply::Refused);
}

#[tokio::test]
async fn a_host_that_is_not_understood_says_what_is() {
    let docker = Docker::with_pace("npipe:////./pipe/docker", Surroundings::default(), PACE);
    let reply = docker.ping().await.ping.reply;
    let Reply::Unreachable { reason } = reply else { panic!("{reply:?}") };
    assert!(reason.contains("expected unix:///PATH or tcp://HOST:PORT"), "{reason}");
}

#[tokio::test]
async fn an_engine_that_is_too_old_says_so_until_it_is_updated() {
    let fake = Fake::start(async |call: String, before, stream| {
        let body = match call.split('?').next().unwrap() {
            "GET /_ping" => "OK".to_owned(),
            "GET /version" if before < 2 => r#"{"Version":"1.12.6","ApiVersion":"1.24"}"#.into(),
            "GET /version" => r#"{"Version":"17.06.0","ApiVersion":"1.30"}"#.into(),
            "GET /info" => "{}".into(),
            _ => "[]".into(),
        };
        json(stream, 200, &body).await;
    });
    let docker = fake.docker();
    let well = Reply::Status { code: 200, body: Body::Expected };
    assert_eq!(docker.ping().await.ping.reply, well, "a ping tells no version");
    for _ in 0..2 {
        let reply = docker.snapshot(&BTreeSet::new()).await.ping.reply;
        let Reply::Unreachable { reason } = reply else { panic!("{reply:?}") };
        assert!(reason.contains("too old") && reason.contains("1.24"), "{reason}");
        assert_eq!(docker.ping().await.ping.reply, Reply::Unreachable { reason });
    }
    assert_eq!(docker.snapshot(&BTreeSet::new()).await.ping.reply, well);
    assert_eq!(docker.ping().await.ping.reply, well);
}

#[tokio::test]
async fn a_snapshot_reads_again_what_changed_and_names_what_it_could_not_read() {
    let fake = Fake::start(async |call: String, before, stream| {
        let path = call.split('?').next().unwrap().to_owned();
        let listed = |name: &str, status: &str| serde_json::json!({"Id": id(name), "Names": [format!("/{name}")], "State": "running", "Status": status});
        let body = match path.as_str() {
            "GET /_ping" => return json(stream, 200, "OK").await,
            "GET /version" => serde_json::json!({"Version": "29.7.2"}),
            "GET /info" => serde_json::json!({"MemTotal": 8_000_000_000_u64}),
            "GET /containers/json" => serde_json::json!([
                listed("steady", "Up 3 hours"),
                listed("watched", "Up 3 hours"),
                listed("crashing", "Up 2 seconds"),
                listed("older", &format!("Up {} hours", 3 + before)),
                listed("broken", "Up 3 hours"),
                listed("gone", "Up 3 hours"),
            ]),
            path => {
                let name = ["steady", "watched", "crashing", "older", "broken", "gone"]
                    .into_iter()
                    .find(|name| path.contains(&id(name)))
                    .unwrap();
                match name {
                    "broken" => return for_ever(stream).await,
                    "gone" => return json(stream, 404, r#"{"message":"No such container"}"#).await,
                    _ => container(name, "running", STARTED),
                }
            }
        };
        json(stream, 200, &body.to_string()).await;
    });
    let docker = fake.docker();
    let watched = BTreeSet::from(["watched".to_owned()]);
    for _ in 0..2 {
        let seen = docker.snapshot(&watched).await;
        assert_eq!(seen.unread, ["broken"]);
        let engine = seen.engine.unwrap();
        assert_eq!((engine.version.as_str(), engine.memory_bytes), ("29.7.2", 8_000_000_000));
        let containers = seen.containers.unwrap();
        let names: Vec<_> = containers.iter().map(|seen| seen.name.as_str()).collect();
        assert_eq!(names, ["steady", "watched", "crashing", "older"]);
        assert_eq!(containers[0].started_ms, Some(STARTED_MS));
        assert_eq!(containers[0].finished_ms, None);
        assert_eq!(containers[0].restart_policy, doctor::RestartPolicy::OnFailure(3));
        assert_eq!((containers[0].stop_timeout_s, containers[0].skip), (0, true));
        assert_eq!(containers[0].stop_signal, "SIGTERM");
    }
    let read = |name| fake.calls(&format!("GET /containers/{}", id(name))).len();
    assert_eq!([read("steady"), read("watched"), read("crashing"), read("older")], [1, 2, 2, 2]);
}

/// R29 and C6: other healers by their images and labels, and what comes first in a project.
#[tokio::test]
async fn other_healers_and_dependencies_are_read_off_a_container() {
    let fake = Fake::start(async |call: String, _, stream| {
        let name = call.split('/').nth_back(1).unwrap_or_default().to_owned();
        let mut one = container(&name, "running", "2026-01-01T00:00:00Z");
        let (image, environment, labels) = match name.as_str() {
            "nurse" => ("registry:5000/willfarrell/autoheal:1.2.0", "A=b", ("autoheal", "true")),
            "all" => ("autoheal@sha256:0", "AUTOHEAL_CONTAINER_LABEL=all", ("x", "false")),
            "named" => ("me/docker-autoheal", "AUTOHEAL_CONTAINER_LABEL=mend", ("x", "y")),
            "tower" => ("own/build", "A=b", ("com.centurylinklabs.watchtower", "true")),
            "agent" => (
                "autoheal-dashboard",
                "AUTOHEAL_CONTAINER_LABEL=all",
                (
                    "com.docker.compose.depends_on",
                    "db:service_healthy:false,cache:service_started:true",
                ),
            ),
            _ => ("watchtower-docs", "", ("com.docker.compose.depends_on", "")),
        };
        one["Config"]["Image"] = image.into();
        one["Config"]["Env"] = vec![environment].into();
        one["Config"]["Labels"] = serde_json::json!({ labels.0: labels.1 });
        json(stream, 200, &one.to_string()).await;
    });
    let docker = fake.docker();
    let label = |label: Option<&str>| Some(Healer::Autoheal { label: label.map(str::to_owned) });
    for (name, healer) in [
        ("nurse", label(Some("autoheal"))),
        ("all", label(None)),
        ("named", label(Some("mend"))),
        ("tower", Some(Healer::Watchtower)),
        ("agent", None),
        ("plain", None),
    ] {
        let seen = docker.container(name).await.unwrap().unwrap();
        assert_eq!(seen.healer, healer, "{name}");
        assert_eq!(seen.marks == ["autoheal"], name == "nurse", "{:?}", seen.marks);
        let first: &[&str] = if name == "agent" { &["db", "cache"] } else { &[] };
        assert_eq!(seen.depends_on, first, "{name}");
    }
}

#[tokio::test]
async fn when_one_engine_goes_another_that_was_started_is_found() {
    let home = tempfile::tempdir().unwrap();
    let socket = |name: &str| home.path().join(name).join("docker.sock");
    let around = Surroundings { home: Some(home.path().into()), ..Surroundings::default() };
    let docker = Docker::with_pace("auto", around, PACE);
    let serve = |name: &str| Fake::at(&socket(name), |_, _, stream| json(stream, 200, "OK"));
    let place = |name: &str| format!("unix://{}", socket(name).display());

    let orb = serve(".orbstack/run");
    assert_eq!(docker.ping().await.ping.url, place(".orbstack/run"));
    // A better place by order does not take us away from the one that answers.
    let desktop = serve(".docker/run");
    assert_eq!(docker.ping().await.ping.url, place(".orbstack/run"));
    drop(orb);
    assert_eq!(docker.ping().await.ping.url, place(".docker/run"));
    drop(desktop);
    let colima = serve(".colima/default");
    assert_eq!(docker.ping().await.ping.url, place(".colima/default"));
    drop(colima);
}
