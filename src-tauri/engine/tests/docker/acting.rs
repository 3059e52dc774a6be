//! Stopping and starting containers of an engine that does not answer as it should.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doctor::{LimitLasts, LimitPlace, Outcome};

use crate::fake::{DEADLINE, Fake, container, for_ever, id, json};
use crate::{STARTED, STARTED_MS};

#[tokio::test]
async fn a_stop_whose_answer_never_comes_is_sent_once_and_seen_through() {
    let fake = Fake::start(async |call: String, before, stream| {
        if call.starts_with("POST") {
            return for_ever(stream).await;
        }
        let status = if before < 6 { "running" } else { "exited" };
        json(stream, 200, &container("db", status, STARTED).to_string()).await;
    });
    let stopped = fake.docker().stop(&id("db"), Some(STARTED_MS), DEADLINE).await;
    assert_eq!(stopped, Outcome::Done);
    assert_eq!(fake.calls("POST").len(), 1);
    assert!(fake.calls("GET").len() >= 6);
}

#[tokio::test]
async fn a_stop_that_does_not_help_is_said_at_the_deadline() {
    let fake = Fake::start(async |call: String, _, stream| {
        if call.starts_with("POST") {
            return for_ever(stream).await;
        }
        json(stream, 200, &container("db", "running", STARTED).to_string()).await;
    });
    let within = Duration::from_millis(900);
    let stopped = fake.docker().stop(&id("db"), Some(STARTED_MS), within).await;
    assert_eq!(stopped, Outcome::StillThere);
    assert_eq!(fake.calls("POST").len(), 1);
}

#[tokio::test]
async fn another_incarnation_is_not_stopped() {
    let fake = Fake::start(async |_, _, stream| {
        json(stream, 200, &container("db", "running", STARTED).to_string()).await;
    });
    let stopped = fake.docker().stop(&id("db"), Some(STARTED_MS - 1), DEADLINE).await;
    assert_eq!(stopped, Outcome::IdentityChanged);
    assert_eq!(fake.calls("POST").len(), 0);
}

#[tokio::test]
async fn what_stopped_already_is_gone_and_what_runs_already_is_done() {
    let stopped = Fake::start(async |_, _, stream| {
        json(stream, 200, &container("db", "exited", STARTED).to_string()).await;
    });
    let outcome = stopped.docker().stop(&id("db"), Some(STARTED_MS), DEADLINE).await;
    assert_eq!(outcome, Outcome::Gone);
    let running = Fake::start(async |_, _, stream| {
        json(stream, 200, &container("db", "running", STARTED).to_string()).await;
    });
    assert_eq!(running.docker().start(&id("db"), DEADLINE).await, Outcome::Done);
    assert_eq!(stopped.calls("POST").len() + running.calls("POST").len(), 0);
}

#[tokio::test]
async fn a_start_that_resets_is_sent_once_and_seen_through() {
    let fake = Fake::start(async |call: String, before, stream| {
        if call.starts_with("POST") {
            return drop(stream);
        }
        let status = if before < 4 { "exited" } else { "running" };
        json(stream, 200, &container("db", status, STARTED).to_string()).await;
    });
    assert_eq!(fake.docker().start(&id("db"), DEADLINE).await, Outcome::Done);
    assert_eq!(fake.calls("POST").len(), 1);
}

#[tokio::test]
async fn a_start_that_can_never_work_says_so_in_the_engines_words() {
    let fake = Fake::start(async |call: String, _, stream| {
        if call.starts_with("POST") {
            return json(stream, 400, r#"{"message":"exec: \"serve\": not found"}"#).await;
        }
        json(stream, 200, &container("db", "created", STARTED).to_string()).await;
    });
    let outcome = fake.docker().start(&id("db"), DEADLINE).await;
    let Outcome::Failed { reason, permanent: true } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("exec: \"serve\": not found"), "{reason}");
}

#[tokio::test]
async fn a_name_that_no_container_can_have_is_not_asked() {
    let fake = Fake::start(|_, _, stream| json(stream, 200, "{}"));
    let docker = fake.docker();
    for name in ["", "../version", "a b", "a/json?x=", "-a", "é"] {
        assert_eq!(docker.container(name).await, Ok(None), "{name:?}");
    }
    assert!(fake.calls("").is_empty());
    assert!(docker.container("fine").await.is_err(), "an answer without state is no container");
}

/// C8: the answer tells what would make the new limit last.
#[tokio::test]
async fn c8_a_raised_limit_is_told_with_what_makes_it_last() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("compose.yml");
    std::fs::write(&file, "services:\n  web:\n    image: a\n    mem_limit: 512m\n").unwrap();
    let named = |file: &std::path::Path| {
        serde_json::json!({
            "com.docker.compose.project": "demo", "com.docker.compose.service": "web",
            "com.docker.compose.project.config_files": file.display().to_string(),
        })
    };
    let raise = async |labels: serde_json::Value| {
        let limit = Arc::new(AtomicU64::new(512 << 20));
        let fake = Fake::start(move |path, _, stream| {
            let changes = path.contains("/update");
            if changes {
                limit.store(1 << 30, Ordering::Relaxed);
            }
            let mut found = container("web", "running", STARTED);
            found["HostConfig"]["Memory"] = limit.load(Ordering::Relaxed).into();
            found["Config"]["Labels"] = labels.clone();
            let body = if changes { "{}".to_owned() } else { found.to_string() };
            async move { json(stream, 200, &body).await }
        });
        fake.docker().raise_limit(&id("web"), 512 << 20, 1 << 30, DEADLINE).await
    };
    let place = LimitPlace {
        file: file.display().to_string(),
        line: 4,
        text: "mem_limit: 1g".into(),
        instead: true,
    };
    assert_eq!(raise(named(&file)).await, Outcome::Raised(LimitLasts::Line(place)));
    let gone = folder.path().join("gone.yml");
    let in_compose =
        LimitLasts::InCompose { file: gone.display().to_string(), service: "web".into() };
    assert_eq!(raise(named(&gone)).await, Outcome::Raised(in_compose));
    assert_eq!(raise(serde_json::json!({})).await, Outcome::Raised(LimitLasts::WhenMade));
}
