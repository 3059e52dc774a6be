//! The Docker probe and actions against an engine that misbehaves.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

#[path = "docker/log.rs"]
mod log;
#[path = "docker/progress.rs"]
mod progress;
#[path = "docker/service.rs"]
mod service;

mod fake;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use doctor::{Body, Compose, ContainerEvent, ContainerNews, Event, Healer, Outcome, Reply};
use engine::docker_host::Surroundings;
use engine::probe::docker::Docker;
use fake::{DEADLINE, Fake, PACE, begin, chunk, container, event, for_ever, id, json};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

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
async fn a_stream_that_ends_is_told_and_opened_again_without_repeating_itself() {
    let fake = Fake::start(async |call: String, before, mut stream| {
        assert!(call.starts_with("GET /events?"), "{call}");
        begin(&mut stream).await;
        chunk(&mut stream, &event("oom", "db", EPOCH)).await;
        chunk(&mut stream, &event("die", "db", EPOCH + 1)).await;
        if before > 0 {
            // The same container dies the same death at another time: that is news.
            chunk(&mut stream, &event("die", "db", EPOCH + 9 * SECOND)).await;
            for_ever(stream).await;
        }
    });
    let (sender, mut inbox) = mpsc::channel(64);
    let watching = tokio::spawn(fake.docker().watch(sender, None));
    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: true });
    assert_eq!(next(&mut inbox).await, news(ContainerEvent::Oom, "db", EPOCH));
    let die = ContainerEvent::Die { exit_code: 137 };
    assert_eq!(next(&mut inbox).await, news(die.clone(), "db", EPOCH + 1));
    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: false });
    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: true });
    assert_eq!(next(&mut inbox).await, news(die, "db", EPOCH + 9 * SECOND));

    let calls = fake.calls("GET /events");
    assert!(!calls[0].contains("since"), "{calls:?}");
    assert!(calls[1].contains("since=1699999995.000000001"), "{calls:?}");
    assert!(calls.iter().all(|call| call.contains("container")), "{calls:?}");
    watching.abort();
}

#[tokio::test]
async fn every_kind_of_news_and_nothing_else() {
    const ACTIONS: [&str; 17] = [
        "create",
        "start",
        "exec_create: sh",
        "exec_start: sh",
        "oom",
        "kill",
        "die",
        "stop",
        "restart",
        "pause",
        "unpause",
        "rename",
        "update",
        "attach",
        "health_status: unhealthy",
        "health_status: healthy",
        "destroy",
    ];
    let fake = Fake::start(async |_, _, mut stream| {
        begin(&mut stream).await;
        for (number, action) in (0..).zip(ACTIONS) {
            chunk(&mut stream, &event(action, "db", EPOCH + number)).await;
        }
        for_ever(stream).await;
    });
    let (sender, mut inbox) = mpsc::channel(64);
    let watching = tokio::spawn(fake.docker().watch(sender, None));
    next(&mut inbox).await;
    let mut heard = Vec::new();
    while heard.last() != Some(&ContainerEvent::Destroy) {
        let event = next(&mut inbox).await;
        let Event::ContainerNews(news) = event else { panic!("{event:?}") };
        heard.push(news.what);
    }
    assert_eq!(
        heard,
        [
            ContainerEvent::Create,
            ContainerEvent::Start,
            ContainerEvent::Oom,
            ContainerEvent::Kill { signal: "15".into() },
            ContainerEvent::Die { exit_code: 137 },
            ContainerEvent::Stop,
            ContainerEvent::Restart,
            ContainerEvent::Pause,
            ContainerEvent::Unpause,
            ContainerEvent::Rename { old: "before".into() },
            ContainerEvent::Health(doctor::ContainerHealth::Unhealthy),
            ContainerEvent::Health(doctor::ContainerHealth::Healthy),
            ContainerEvent::Destroy,
        ]
    );
    watching.abort();
}

#[tokio::test]
async fn a_silent_stream_lives_as_long_as_the_ping() {
    let fake = Fake::start(async |call: String, before, mut stream| {
        if call.starts_with("GET /events") {
            begin(&mut stream).await;
            for_ever(stream).await;
        } else if before < 3 {
            json(stream, 200, "OK").await;
        } else {
            for_ever(stream).await;
        }
    });
    let (sender, mut inbox) = mpsc::channel(64);
    let watching = tokio::spawn(fake.docker().watch(sender, None));
    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: true });
    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: false });
    // Three pings held it, the fourth did not.
    assert_eq!(fake.calls("GET /_ping").len(), 4);
    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: true });
    watching.abort();
}

#[tokio::test]
async fn an_engine_that_takes_the_question_and_never_answers_is_told_once() {
    let fake = Fake::start(async |_, before, mut stream| {
        if before < 3 {
            for_ever(stream).await;
        } else {
            begin(&mut stream).await;
            for_ever(stream).await;
        }
    });
    let (sender, mut inbox) = mpsc::channel(64);
    let watching = tokio::spawn(fake.docker().watch(sender, None));
    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: false });
    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: true });
    assert_eq!(fake.calls("GET /events").len(), 4);
    watching.abort();
}

#[tokio::test]
async fn garbage_and_an_endless_event_end_the_stream() {
    let fake = Fake::start(async |_, before, mut stream| {
        begin(&mut stream).await;
        match before {
            0 => {
                chunk(&mut stream, "{\"Type\": ]]] garbage\n").await;
                for_ever(stream).await;
            }
            1 => {
                chunk(&mut stream, "{\"Type\":\"container\",\"Action\":\"").await;
                while chunk(&mut stream, &"x".repeat(10_000)).await {}
            }
            _ => {
                chunk(&mut stream, &event("oom", "db", EPOCH)).await;
                for_ever(stream).await;
            }
        }
    });
    let (sender, mut inbox) = mpsc::channel(64);
    let watching = tokio::spawn(fake.docker().watch(sender, None));
    for connected in [true, false, true, false, true] {
        assert_eq!(next(&mut inbox).await, Event::DockerStream { connected });
    }
    assert_eq!(next(&mut inbox).await, news(ContainerEvent::Oom, "db", EPOCH));
    watching.abort();
}

#[tokio::test]
async fn a_kick_opens_the_stream_anew() {
    let fake = Fake::start(async |_, before, mut stream| {
        begin(&mut stream).await;
        chunk(&mut stream, &event("start", "db", EPOCH + i64::try_from(before).unwrap())).await;
        for_ever(stream).await;
    });
    let docker = fake.docker();
    let (sender, mut inbox) = mpsc::channel(64);
    let watching = tokio::spawn(docker.clone().watch(sender, None));
    for round in 0..3 {
        assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: true });
        assert_eq!(next(&mut inbox).await, news(ContainerEvent::Start, "db", EPOCH + round));
        docker.kick();
    }
    watching.abort();
}

#[tokio::test]
async fn a_burst_that_nobody_takes_costs_no_memory_and_ends_in_a_snapshot() {
    const BURST: i64 = 10_000;
    let fake = Fake::start(async |call: String, _, mut stream| {
        if !call.starts_with("GET /events") {
            return json(stream, 200, "OK").await;
        }
        begin(&mut stream).await;
        for number in 0..BURST {
            chunk(&mut stream, &event("start", "db", EPOCH + number)).await;
            if number == BURST / 2 {
                chunk(&mut stream, &event("oom", "db", EPOCH + number)).await;
            }
        }
        // It is read to its end although nobody takes anything from the inbox.
        chunk(&mut stream, &event("exec_die", "last", EPOCH + BURST)).await;
        for_ever(stream).await;
    });
    let (sender, mut inbox) = mpsc::channel(8);
    let watching = tokio::spawn(fake.docker().watch(sender, None));
    // A quiet stream is pinged: so the burst was read whole.
    until(|| !fake.calls("GET /_ping").is_empty()).await;

    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: true });
    let mut told = Vec::new();
    let after = loop {
        let event = next(&mut inbox).await;
        let Event::ContainerNews(news) = event else { break event };
        told.push(news.what);
    };
    assert_eq!(after, Event::DockerStream { connected: true });
    assert!(told.len() < 1100, "{} were kept", told.len());
    assert!(told.contains(&ContainerEvent::Oom), "what only the stream tells was dropped");
    watching.abort();
}

#[tokio::test]
async fn the_watch_ends_with_its_inbox() {
    let fake = Fake::start(async |_, _, mut stream| {
        begin(&mut stream).await;
        for_ever(stream).await;
    });
    let (sender, inbox) = mpsc::channel(8);
    let watching = tokio::spawn(fake.docker().watch(sender, None));
    drop(inbox);
    timeout(DEADLINE, watching).await.unwrap().unwrap();
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
async fn compose_without_its_file_names_the_file() {
    let docker = Docker::with_pace("unix:///nowhere", Surroundings::default(), PACE);
    let compose = Compose {
        files: vec!["/moved/away/docker-compose.yml".into()],
        service: "web".into(),
        project: Some("knowledge".into()),
        directory: Some("/moved/away".into()),
        env_file: None,
        light: BTreeMap::new(),
    };
    let light = std::path::Path::new("/nowhere");
    let outcome = docker.compose_up(&compose, light, DEADLINE).await;
    let Outcome::Failed { reason, permanent: true } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("/moved/away/docker-compose.yml is missing"), "{reason}");
}

#[tokio::test]
async fn compose_is_run_with_what_the_labels_name_and_against_our_engine() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for file in ["base.yml", "more.yml", ".env"] {
        std::fs::write(path(file), "").unwrap();
    }
    let script = format!(
        "#!/bin/sh\n[ \"$2\" = version ] && exit 0\necho \"$DOCKER_HOST $*\" >{told}\n\
         case $SAY in\nlong) head -c 1000000 /dev/zero | tr '\\0' x; echo the end >&2; exit 3;;\n\
         hang) exec sleep 1000;;\nesac\n",
        told = path("told")
    );
    std::fs::write(path("docker"), script).unwrap();
    std::fs::set_permissions(path("docker"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let docker = |say: &str| {
        let variables = [
            ("PATH", format!("{}:/usr/bin:/bin", folder.path().display())),
            ("SAY", say.to_owned()),
            ("DOCKER_CONTEXT", "elsewhere".to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
        let surroundings = Surroundings { home: None, variables };
        Docker::with_pace("unix:///ours/docker.sock", surroundings, PACE)
    };
    let compose = Compose {
        files: vec![path("base.yml"), path("more.yml")],
        service: "web".into(),
        project: Some("knowledge".into()),
        directory: Some(folder.path().display().to_string()),
        env_file: Some(path(".env")),
        light: BTreeMap::new(),
    };
    let light = folder.path().join("light");
    // Our own file comes last, and only where there are variables of ours (R30).
    for (variables, ours) in [
        (None, String::new()),
        (Some("USE_ELK"), format!(" -f {}", path("light/knowledge.web.homeostat-light.yml"))),
    ] {
        let variables = variables.map(|name| (name.to_owned(), "false".to_owned()));
        let compose = Compose { light: variables.into_iter().collect(), ..compose.clone() };
        assert_eq!(docker("").compose_up(&compose, &light, DEADLINE).await, Outcome::Done);
        assert_eq!(
            std::fs::read_to_string(path("told")).unwrap().trim(),
            format!(
                "unix:///ours/docker.sock compose -p knowledge --project-directory {} -f {} -f {}\
                 {ours} --env-file {} up -d --no-deps web",
                folder.path().display(),
                path("base.yml"),
                path("more.yml"),
                path(".env")
            )
        );
    }

    let outcome = docker("long").compose_up(&compose, &light, DEADLINE).await;
    let Outcome::Failed { reason, permanent: false } = outcome else { panic!("{outcome:?}") };
    assert!(reason.ends_with("the end") && reason.len() < 20_000, "{}", reason.len());

    let outcome = docker("hang").compose_up(&compose, &light, Duration::from_millis(300)).await;
    let Outcome::Failed { reason, permanent: false } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("did not end within"), "{reason}");
}

/// Only an engine that is silent is restarted; the command's own words are told when it fails.
#[tokio::test]
async fn docker_desktop_is_restarted_by_its_own_command() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told").display().to_string();
    let program = folder.path().join("docker");
    let script = format!(
        "#!/bin/sh\necho \"$*\" >>{told}\ncase $SAY in\n\
         no) echo \"'desktop' is not a docker command\" >&2; exit 1;;\n\
         hang) exec sleep 1000;;\nesac\n"
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let around = |say: &str| {
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let variables = [("PATH".to_owned(), path), ("SAY".to_owned(), say.to_owned())].into();
        Surroundings { home: None, variables }
    };
    let silent = |say: &str| Docker::with_pace("unix:///ours/docker.sock", around(say), PACE);
    assert_eq!(silent("").restart_desktop(DEADLINE).await, Outcome::Done);
    assert_eq!(std::fs::read_to_string(&told).unwrap(), "desktop restart\n");

    let outcome = silent("no").restart_desktop(DEADLINE).await;
    let Outcome::Failed { reason, permanent: true } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("is not a docker command"), "{reason}");
    // Given is given: the engine tells whether it helped.
    let soon = Duration::from_millis(5300);
    assert_eq!(silent("hang").restart_desktop(soon).await, Outcome::Done);

    let before = std::fs::read_to_string(&told).unwrap();
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("docker.sock");
    let _engine = Fake::at(&socket, |_, _, stream| json(stream, 200, "OK"));
    let well = Docker::with_pace(format!("unix://{}", socket.display()), around(""), PACE);
    assert_eq!(well.restart_desktop(DEADLINE).await, Outcome::IdentityChanged);
    assert_eq!(std::fs::read_to_string(&told).unwrap(), before, "one that answers is left alone");
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

fn news(what: ContainerEvent, name: &str, nanoseconds: i64) -> Event {
    let at_ms = nanoseconds / 1_000_000;
    Event::ContainerNews(ContainerNews { id: id(name), name: name.into(), at_ms, what })
}

async fn next(inbox: &mut mpsc::Receiver<Event>) -> Event {
    timeout(DEADLINE, inbox.recv()).await.expect("an event within the deadline").unwrap()
}

async fn until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, met).await.expect("the condition within the deadline");
}
