//! Work that is expected of a container: a text in its log, a field that changes.

use std::time::Duration;

use doctor::{ContainerLog, ContainerSeen, ContainerStatus, RestartPolicy};
use engine::config::Progress as Expected;
use engine::probe::progress::Progress;
use tokio::io::AsyncWriteExt;

use crate::fake::{Fake, begin, chunk, id, json};

const WITHIN: Duration = Duration::from_mins(30);

#[tokio::test]
async fn a_line_of_its_log_is_work() {
    let now = jiff::Timestamp::now();
    let line = move |minutes: i64, text: &str| {
        format!("{} {text}\n", now - jiff::SignedDuration::from_mins(minutes))
    };
    let lines = [line(20, "task created"), line(10, "task failed"), line(1, "waiting")].concat();
    let fake = logging(lines);
    let seen = running("agent", 60);
    let expect = |text: &str| Expected::Log { text: text.into(), within: WITHIN };
    let silent = async |text| {
        let progress = Progress::new(expect(text), fake.docker());
        progress.look(&seen).await.map(|seen| (seen.silent_for_s / 60, seen.within_s / 60))
    };
    assert_eq!(silent("task created").await, Some((20, 30)));
    assert_eq!(silent("task failed").await, Some((10, 30)));
    // Not in the time that was read, which is a little more than what is allowed.
    assert_eq!(silent("task done").await, Some((30, 30)));
    let asked = fake.calls("GET /containers/");
    assert!(asked.iter().all(|call| call.contains("tail=all") && call.contains("since=")));

    // It has run for less time than that.
    let progress = Progress::new(expect("task done"), fake.docker());
    assert_eq!(progress.look(&running("agent", 5)).await.unwrap().silent_for_s / 60, 5);
}

#[tokio::test]
async fn it_is_not_asked_again_at_once_and_not_while_it_does_not_run() {
    let fake = logging(String::new());
    let expected = Expected::Log { text: "task".into(), within: WITHIN };
    let progress = Progress::new(expected, fake.docker());
    let mut seen = running("agent", 5);
    for _ in 0..3 {
        assert!(progress.look(&seen).await.is_some());
    }
    assert_eq!(fake.calls("GET /containers/").len(), 1);
    seen.status = ContainerStatus::Exited;
    assert_eq!(progress.look(&seen).await, None);
    // Another incarnation is another count.
    seen = running("agent", 1);
    assert_eq!(progress.look(&seen).await.unwrap().silent_for_s / 60, 1);
}

#[tokio::test]
async fn a_log_that_cannot_be_read_says_nothing() {
    let fake = Fake::start(|_, _, stream| json(stream, 501, r#"{"message":"no"}"#));
    let expected = Expected::Log { text: "task".into(), within: WITHIN };
    assert_eq!(Progress::new(expected, fake.docker()).look(&running("agent", 60)).await, None);
}

fn logging(lines: String) -> Fake {
    Fake::start(move |call: String, _, mut stream| {
        let lines = lines.clone();
        async move {
            assert!(call.contains("/logs?"), "{call}");
            begin(&mut stream).await;
            chunk(&mut stream, &lines).await;
            let _ = stream.write_all(b"0\r\n\r\n").await;
        }
    })
}

fn running(name: &str, minutes: i64) -> ContainerSeen {
    let started = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
    ContainerSeen {
        id: id(name),
        name: name.into(),
        image: "busybox:local".into(),
        status: ContainerStatus::Running,
        health: None,
        exit_code: 0,
        oom_killed: false,
        started_ms: Some(started.as_millisecond()),
        finished_ms: None,
        restart_count: 0,
        restart_policy: RestartPolicy::No,
        memory_limit: 0,
        peak_bytes: None,
        stop_timeout_s: 10,
        stop_signal: "SIGTERM".into(),
        start_period_s: 0,
        compose: None,
        light: false,
        settings: Vec::new(),
        addresses: Vec::new(),
        skip: false,
        depends_on: Vec::new(),
        marks: Vec::new(),
        healer: None,
        log: ContainerLog::default(),
        progress: None,
    }
}
