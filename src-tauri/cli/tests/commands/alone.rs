//! What needs no engine, and what says that there is none.

use std::fs;

use crate::world::{World, run};

#[tokio::test]
async fn without_an_engine_everything_says_how_to_start_it() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    for arguments in
        [&["status"][..], &["recover"], &["restart", "ollama"], &["incidents"], &["open"]]
    {
        let ended = run(data, arguments).await;
        assert_eq!(ended.code, 3, "{arguments:?}: {ended:?}");
        assert!(ended.complaint.contains("homeostat run"), "{ended:?}");
        assert!(ended.complaint.contains(data.to_str().unwrap()), "{ended:?}");
    }
    // An engine that was killed leaves its address behind.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fs::write(data.join("address"), format!(r#"{{"address":"{free}","pid":4711}}"#)).unwrap();
    let ended = run(data, &["status"]).await;
    assert_eq!(ended.code, 3);
    assert!(ended.complaint.contains(&free.to_string()), "{ended:?}");
    let told = run(data, &["status", "--json"]).await;
    assert_eq!(told.json()["exit"], 3);
    fs::write(data.join("address"), "{").unwrap();
    let ended = run(data, &["status"]).await;
    assert_eq!(ended.code, 1);
    assert!(ended.complaint.contains("damaged"), "{ended:?}");
}

#[tokio::test]
async fn wrong_usage_ends_with_two() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [
        &["nonsense"][..],
        &["restart"],
        &["unload"],
        &["unload", "--idle", "--all"],
        &["timings", "--format", "xml"],
        &["incidents", "--limit", "0"],
        &["config"],
        &["completions", "dos"],
        &[],
    ] {
        assert_eq!(run(directory.path(), arguments).await.code, 2, "{arguments:?}");
    }
    for time in ["-1m", "", "soon", "1 h", "0s"] {
        let ended = run(directory.path(), &["hold", "ollama", "--for", time]).await;
        assert_eq!(ended.code, 2, "{time}: {ended:?}");
        let (said, written) = (&ended.complaint, format!("\"{time}\""));
        assert!(said.contains("allowed is") && said.contains(&written), "{time}: {ended:?}");
    }
    let world = World::new().await;
    let ended = world.run(&["restart", "web"]).await;
    assert_eq!(ended.code, 2);
    assert!(ended.complaint.contains("container:NAME"), "{ended:?}");
    assert!(world.wished().is_empty());
}

#[tokio::test]
async fn verify_begins_with_the_missing_engine() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    // A server that answers as Ollama does, one port that nobody listens on.
    let ollama = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = ollama.local_addr().unwrap();
    let answers = axum::Router::new()
        .route("/api/version", axum::routing::get(|| async { r#"{"version":"0.9.1"}"# }))
        .route("/api/tags", axum::routing::get(|| async { r#"{"models":[{"name":"a:latest"}]}"# }));
    tokio::spawn(async move { axum::serve(ollama, answers).await });
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!(
        "[ollama]\nurl = \"http://{address}\"\n[[ollama.ensure]]\nmodel = \"b\"\n\
         [mlx]\nurl = \"http://{free}\"\n\
         [[service]]\nname = \"Agent\"\nurl = \"http://{address}/api/version\"\n\
         [[service]]\nname = \"Gone\"\nurl = \"http://{address}/gone\"\n\
         [api]\nlisten = \"{free}\"\n"
    );
    fs::write(data.join("config.toml"), config).unwrap();
    let ended = run(data, &["verify"]).await;
    assert_eq!(ended.code, 1);
    let line = |what: &str| {
        let named = |line: &&str| line.split_whitespace().nth(1) == Some(what);
        ended.out.lines().find(named).unwrap_or_else(|| panic!("no {what}: {ended:?}"))
    };
    assert_eq!(ended.out.lines().next(), Some(line("engine")));
    for (what, state) in [
        ("engine", "FAILED"),
        ("configuration", "ok"),
        ("ollama", "ok"),
        ("models", "FAILED"),
        ("mlx", "FAILED"),
        ("service:Agent", "ok"),
        ("service:Gone", "FAILED"),
        ("memory", "ok"),
        ("autostart", "FAILED"),
        ("webhook", "FAILED"),
        ("journal", "ok"),
    ] {
        assert!(line(what).starts_with(state), "{}", line(what));
    }
    assert!(line("models").contains("b is missing"));
    assert!(line("service:Gone").contains("404"));
    assert!(line("mlx").contains("refused"), "{}", line("mlx"));
    let told = run(data, &["verify", "--json"]).await.json();
    assert_eq!(told["ok"], false);
    assert_eq!(told["checks"][0]["check"], "engine");
}

#[tokio::test]
async fn verify_speaks_the_language_of_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!(
        "[notifications]\nlanguage = \"ru\"\n[ollama]\nurl = \"http://{free}\"\n\
         [mlx]\nurl = \"http://{free}\"\n[api]\nlisten = \"{free}\"\n\
         [[service]]\nname = \"Gone\"\nurl = \"http://{free}/gone\"\n"
    );
    fs::write(data.join("config.toml"), config).unwrap();
    let ended = run(data, &["verify"]).await;
    for line in ended.out.lines() {
        let russian = line.chars().any(|letter| ('а'..='я').contains(&letter));
        // The system's own word for a closed port is in no language of ours.
        assert!(russian || line.contains("Connection refused"), "{line}");
    }
    assert!(ended.out.contains("сбой") && ended.out.contains("Не прошло проверок"), "{ended:?}");
    // What programs read keeps its names.
    let told = run(data, &["verify", "--json"]).await.json();
    let states = told["checks"].as_array().unwrap().iter().map(|check| check["state"].as_str());
    assert!(states.flatten().all(|state| ["ok", "failed", "absent"].contains(&state)), "{told}");
}

#[tokio::test]
async fn verify_sees_a_running_engine() {
    let world = World::new().await;
    let ended = world.run(&["verify"]).await;
    let first = ended.out.lines().next().unwrap();
    assert!(first.starts_with("ok") && first.contains("version 0.1.0"), "{first}");
}

#[tokio::test]
async fn a_configuration_is_checked() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let absent = run(data, &["config", "check"]).await;
    assert_eq!(absent.code, 0, "{absent:?}");
    let example = run(data, &["config", "example"]).await;
    let file = data.join("example.toml");
    fs::write(&file, &example.out).unwrap();
    assert_eq!(run(data, &["config", "check", file.to_str().unwrap()]).await.code, 0);
    fs::write(&file, "[ollama]\nintervall = \"10s\"\n").unwrap();
    let bad = run(data, &["config", "check", file.to_str().unwrap()]).await;
    assert_eq!(bad.code, 1);
    assert!(bad.out.contains("example.toml:2"), "{bad:?}");
    assert!(bad.out.contains("interval"), "{bad:?}");
    let missing = run(data, &["config", "check", "/no/such/file"]).await;
    assert_eq!(missing.code, 1, "{missing:?}");
}

#[tokio::test]
async fn completions_and_version_need_nothing() {
    let directory = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = run(directory.path(), &["completions", shell]).await;
        assert_eq!(script.code, 0);
        assert!(script.out.contains("release") && script.out.contains("measure"));
    }
    let version = run(directory.path(), &["--version"]).await;
    assert_eq!(
        (version.code, version.out),
        (0, format!("homeostat {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[tokio::test]
async fn an_audit_ends_with_one_on_errors_only() {
    let directory = tempfile::tempdir().unwrap();
    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/audit");
    let case = |name: &str| format!("{cases}/{name}.yml");
    let of_files = |ended: &crate::world::Ended| {
        let findings = ended.json()["findings"].as_array().unwrap().clone();
        findings.into_iter().filter(|finding| !finding["file"].is_null()).collect::<Vec<_>>()
    };
    for (name, code, found) in [
        ("good/the-seeds", 0, false),
        ("bad/memory-limit-missing", 0, true),
        ("bad/light-start-missing", 0, true),
        ("bad/restart-no", 1, true),
        ("bad/broken", 1, true),
        ("bad/nothing-there", 1, true),
    ] {
        let ended = run(directory.path(), &["audit", "--json", &case(name)]).await;
        assert_eq!(ended.code, code, "{name}: {ended:?}");
        assert_eq!(ended.json()["ok"], code == 0, "{name}");
        assert_eq!(!of_files(&ended).is_empty(), found, "{name}: {ended:?}");
    }
    let told = run(directory.path(), &["audit", "--json", &case("bad/restart-no")]).await;
    let finding = of_files(&told).remove(0);
    assert_eq!((&finding["id"], &finding["severity"]), (&"restart_no".into(), &"error".into()));
    assert_eq!(
        (&finding["line"], &finding["service"]),
        (&4.into(), &"knowledge_os_orchestrator".into())
    );
    assert_eq!(finding["fix"]["lines"][0], "restart: unless-stopped");
    assert!(finding["why"].as_str().unwrap().contains("orchestrator"), "{finding}");
    // That no engine runs is told first.
    assert_eq!(told.json()["findings"][0]["id"], "engine_absent");

    let read = run(directory.path(), &["audit", &case("bad/restart-missing")]).await;
    assert_eq!(read.code, 1);
    for part in [
        "restart-missing.yml:3: error restart_missing",
        "Write before line 4:",
        "          restart: unless-stopped",
    ] {
        assert!(read.out.contains(part), "{part}: {}", read.out);
    }
    assert_eq!(run(directory.path(), &["audit", "--nonsense"]).await.code, 2);
}
