//! What a container wrote last, read when it dies or hangs, and of no container that is well.

use std::collections::BTreeSet;

use crate::fake::{DEADLINE, Fake, begin, chunk, container, event, for_ever, id, json};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

const SECOND: i64 = 1_000_000_000;
/// 2026-08-01T10:00:00Z
const EPOCH: i64 = 1_785_578_400 * SECOND;
const STARTED: &str = "2026-08-01T09:59:57.5Z";

#[tokio::test]
async fn the_last_words_are_read_at_the_death_and_shown_while_it_runs_again() {
    let fake = Fake::start(async |call: String, _, mut stream| {
        if call.starts_with("GET /events") {
            begin(&mut stream).await;
            chunk(&mut stream, &event("die", "agent", EPOCH)).await;
            for_ever(stream).await;
        } else if call.contains("/logs?") {
            let lines = [
                "2026-08-01T09:00:00.0Z of an incarnation before",
                "2026-08-01T09:59:58.0Z reading postgresql://me:S3CRET@db/x",
                "2026-08-01T09:59:59.9Z RuntimeError: no running event loop",
                "2026-08-01T10:00:00.4Z of the one that runs now",
            ];
            framed(stream, &lines).await;
        } else {
            let running = container("agent", "running", "2026-08-01T10:00:00.3Z");
            json(stream, 200, &running.to_string()).await;
        }
    });
    let docker = fake.docker();
    let (sender, _inbox) = mpsc::channel(64);
    let watching = tokio::spawn(docker.clone().watch(sender, None));
    let read = async {
        loop {
            let seen = docker.container("agent").await.unwrap().unwrap();
            if !seen.log.tail.is_empty() {
                break seen.log;
            }
        }
    };
    let log = timeout(DEADLINE, read).await.unwrap();
    assert_eq!(log.tail, ["reading postgresql://…@db/x", "RuntimeError: no running event loop"]);
    assert_eq!(log.last_line.as_deref(), Some("RuntimeError: no running event loop"));
    assert_eq!(log.silent_for_s, None, "it is not hanging");
    let asked = fake.calls(&format!("GET /containers/{}/logs", id("agent")));
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].contains("until=1785578401") && asked[0].contains("tail=200"), "{asked:?}");
    watching.abort();
}

#[tokio::test]
async fn nobody_who_is_well_is_asked_for_a_log() {
    let fake = Fake::start(async |call: String, _, stream| {
        let body = match call.split('?').next().unwrap() {
            "GET /_ping" => return json(stream, 200, "OK").await,
            "GET /version" => serde_json::json!({"Version": "29.7.2"}),
            "GET /info" => serde_json::json!({"MemTotal": 8_000_000_000_u64}),
            "GET /containers/json" => serde_json::json!([
                {"Id": id("well"), "Names": ["/well"], "State": "running", "Status": "Up 3 hours"},
                {"Id": id("ended"), "Names": ["/ended"], "State": "exited", "Status": "Exited (1) 3 hours ago"},
                {"Id": id("named"), "Names": ["/named"], "State": "exited", "Status": "Exited (1) 3 hours ago"},
            ]),
            path if path.ends_with("/logs") => {
                return framed(stream, &["2026-08-01T09:59:58.0Z goodbye"]).await;
            }
            path if path.contains(&id("well")) => container("well", "running", STARTED),
            path => {
                let name = if path.contains(&id("named")) { "named" } else { "ended" };
                let mut ended = container(name, "exited", STARTED);
                ended["State"]["FinishedAt"] = "2026-08-01T10:00:00Z".into();
                ended["State"]["ExitCode"] = 1.into();
                ended
            }
        };
        json(stream, 200, &body.to_string()).await;
    });
    let docker = fake.docker();
    let watched = BTreeSet::from(["named".to_owned(), "well".to_owned()]);
    let mut tails = Vec::new();
    for _ in 0..3 {
        for seen in docker.snapshot(&watched).await.containers.unwrap() {
            tails.push((seen.name, seen.log.tail));
        }
    }
    for (name, tail) in tails {
        // What is watched by name and was not heard dying is read once.
        let told: &[&str] = if name == "named" { &["goodbye"] } else { &[] };
        assert_eq!(tail, told, "{name}");
    }
    let logs = fake.calls("GET /containers/");
    let logs: Vec<_> = logs.iter().filter(|call| call.contains("/logs")).collect();
    assert_eq!(logs.len(), 1, "{logs:?}");
    // What an idle engine is asked, and nothing else: a list of all, and who is named by name.
    let mut all = fake.calls("");
    all.retain(|call| !call.contains("/logs"));
    let ended = format!("GET /containers/{}/json", id("ended"));
    let (once, always): (Vec<_>, Vec<_>) = all.into_iter().partition(|call| *call == ended);
    assert_eq!(once.len(), 1, "read again only when it changed");
    let asked = always.iter().map(|call| call.split('?').next().unwrap().to_owned());
    let kinds: BTreeSet<String> = asked.collect();
    let inspected = |name: &str| format!("GET /containers/{}/json", id(name));
    assert_eq!(
        kinds,
        BTreeSet::from([
            "GET /_ping".to_owned(),
            "GET /version".to_owned(),
            "GET /info".to_owned(),
            "GET /containers/json".to_owned(),
            inspected("named"),
            inspected("well"),
        ])
    );
    assert_eq!(always.len(), 3 * kinds.len());
}

#[tokio::test]
async fn a_terminals_output_and_one_that_cannot_be_read() {
    let fake = Fake::start(async |call: String, _, mut stream| {
        let name = if call.contains("raw") || call.contains(&id("raw")) { "raw" } else { "none" };
        if call.contains("/logs?") {
            if name == "none" {
                let says = r#"{"message":"configured logging driver does not support reading"}"#;
                return json(stream, 501, says).await;
            }
            begin(&mut stream).await;
            chunk(&mut stream, "2026-08-01T09:59:58Z \u{1b}[31mred\u{1b}[0m\r\n").await;
            chunk(&mut stream, "2026-08-01T09:59:59Z half").await;
            let _ = stream.write_all(b"0\r\n\r\n").await;
            return;
        }
        let mut unhealthy = container(name, "running", STARTED);
        unhealthy["State"]["Health"] = serde_json::json!({"Status": "starting"});
        json(stream, 200, &unhealthy.to_string()).await;
    });
    let docker = fake.docker();
    let raw = docker.container("raw").await.unwrap().unwrap().log;
    assert_eq!(raw.tail, ["red", "half"]);
    // Silence is counted from here on.
    assert_eq!(raw.silent_for_s, Some(0));
    let none = docker.container("none").await.unwrap().unwrap().log;
    assert_eq!(none, doctor::ContainerLog::default());
}

#[tokio::test]
async fn a_flood_of_deaths_is_no_flood_of_questions() {
    const DEATHS: i64 = 2_000;
    let fake = Fake::start(async |call: String, _, mut stream| {
        if call.starts_with("GET /events") {
            begin(&mut stream).await;
            for number in 0..DEATHS {
                let name = format!("c{number}");
                chunk(&mut stream, &event("die", &name, EPOCH + number)).await;
            }
            for_ever(stream).await;
        } else if call.starts_with("GET /_ping") {
            json(stream, 200, "OK").await;
        } else {
            for_ever(stream).await;
        }
    });
    let (sender, _inbox) = mpsc::channel(8);
    let watching = tokio::spawn(fake.docker().watch(sender, None));
    let whole = async {
        while fake.calls("GET /_ping").is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, whole).await.unwrap();
    let asked = fake.calls("GET /containers/").len();
    assert!((1..200).contains(&asked), "{asked}");
    watching.abort();
}

/// As the engine sends what is no terminal's: eight bytes, then a line (moby `api/types/container`,
/// "attach" stream format).
async fn framed(mut stream: UnixStream, lines: &[&str]) {
    begin(&mut stream).await;
    for (number, line) in lines.iter().enumerate() {
        let kind = char::from(u8::try_from(1 + number % 2).unwrap());
        let length = char::from(u8::try_from(line.len() + 1).unwrap());
        assert!(length.is_ascii(), "one byte for the length");
        chunk(&mut stream, &format!("{kind}\0\0\0\0\0\0{length}{line}\n")).await;
    }
    let _ = stream.write_all(b"0\r\n\r\n").await;
}
