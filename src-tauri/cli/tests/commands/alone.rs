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
