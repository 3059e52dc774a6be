//! Whose process it is, what it was started with, and what it leaves behind.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tests::fake_ollama::install;
use tests::{Engine, Model, Ollama, Weights, http, programs, wait_until};

use crate::ollama::{healthy, watching_with};
use crate::{SLACK, SOON, VERDICT_CLOSED, VERIFIED, cause_is, is_healthy, without_mcp};

const NAME: &str = "llama3.2:latest";
/// A runner is no orphan before a minute has passed, and full looks are half a minute apart.
const ORPHAN: Duration = Duration::from_secs(150);

/// What a process was started with.
fn variable(pid: u32, name: &str) -> Option<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let value = |word: &str| Some(word.strip_prefix(name)?.strip_prefix('=')?.to_owned());
    text.split('\0').find_map(value)
}

/// For an engine that knows where the program is and nothing of its settings.
fn without_settings(ollama: &Ollama) -> Vec<(String, String)> {
    let mut environment = ollama.environment();
    environment.retain(|(name, _)| !name.starts_with("OLLAMA_"));
    environment.push(("OLLAMA_DEBUG".into(), "1".into()));
    environment
}

fn mode(file: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[test]
fn started_by_hand_with_settings_of_its_own_it_comes_back_with_the_same() {
    let _alone = without_mcp();
    let mut ollama = Ollama::install(&[Model::named("llama3.2:latest")]).unwrap();
    let models = ollama.directory().join("elsewhere").display().to_string();
    let settings = [("OLLAMA_MODELS", models.as_str()), ("OLLAMA_API_KEY", "s3cret")];
    ollama.serve_set(&settings).unwrap();
    ollama.await_answer();
    let mut engine: Engine = watching_with(&ollama, &without_settings(&ollama));
    healthy(&engine);
    let detail = engine.target("ollama").unwrap().detail;
    assert!(detail["launch"].as_str().unwrap().starts_with("the program "), "{detail:?}");
    let file = engine.data().join("environment.json");
    wait_until("what it was started with is written down", SOON, || file.exists());
    assert_eq!(mode(&file), 0o600);

    // We are started anew while it is down: what is remembered outlives us.
    engine.kill().unwrap();
    ollama.kill().unwrap();
    engine.run().unwrap();
    engine.await_health().unwrap();
    wait_until("its return", VERDICT_CLOSED + SLACK + VERIFIED, || !ollama.running().is_empty());
    ollama.await_answer();
    let [now] = ollama.running()[..] else { panic!("{:?}", ollama.running()) };
    assert_eq!(variable(now, "OLLAMA_MODELS").as_deref(), Some(models.as_str()));
    assert_eq!(variable(now, "OLLAMA_API_KEY").as_deref(), Some("s3cret"));
    // What is only ours is none of its settings.
    assert_eq!(variable(now, "OLLAMA_DEBUG"), None);
    assert!(!engine.log().contains("s3cret"), "a value was logged");
}

fn load(ollama: &Ollama) {
    let client = http::client(Duration::from_secs(10));
    let body = json!({"model": NAME, "keep_alive": "1h"});
    let answer = client.post(format!("{}/api/generate", ollama.url())).json(&body).send().unwrap();
    assert!(answer.status().is_success());
}

#[test]
fn a_runner_of_a_server_that_somebody_killed_is_told_with_its_pid_and_left_alone() {
    let _alone = without_mcp();
    let mut ollama = Ollama::install(&[Model::named(NAME)]).unwrap();
    // A blob belongs to a model by the server's directory alone: the same for both servers.
    ollama.serve().unwrap();
    ollama.await_answer();
    load(&ollama);
    let server = ollama.pid().unwrap();
    let orphan = ollama.running().into_iter().find(|pid| *pid != server).unwrap();
    ollama.kill().unwrap();
    assert!(programs::is_alive(orphan));
    ollama.serve().unwrap();
    ollama.await_answer();
    load(&ollama);
    let configuration =
        format!("[ollama]\nurl = \"{}\"\n[schedule]\nfull_check = \"30s\"\n", ollama.url());
    let engine = Engine::start(&configuration, &ollama.environment()).unwrap();
    let target = engine.wait_for_target("ollama", "the orphan", SOON + ORPHAN, |target| {
        cause_is(target, "ollama.unload_stuck")
    });
    let evidence = target.cause.unwrap().evidence.join(" ");
    assert!(evidence.contains(&orphan.to_string()), "{orphan}: {evidence}");
    assert!(programs::is_alive(orphan), "nothing is killed unasked");
    programs::send(orphan, rustix::process::Signal::KILL).unwrap();
    engine.wait_for_target("ollama", "healthy", ORPHAN, is_healthy);
}

#[test]
fn another_users_server_is_told_with_the_cure_and_nothing_is_done_to_it() {
    let _alone = without_mcp();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut ollama = Ollama::install(&[]).unwrap();
    install(&ollama.models(), "one:latest", &Weights::new("ours ", 4096)).unwrap();
    ollama.serve_as(65534).unwrap();
    ollama.await_answer();
    let pid = ollama.pid().unwrap();
    let configuration =
        format!("[ollama]\nurl = \"{}\"\n[schedule]\nfull_check = \"30s\"\n", ollama.url());
    let engine = Engine::start(&configuration, &ollama.environment()).unwrap();
    let target = engine.wait_for_target("ollama", "the cause", SOON * 2, |target| {
        cause_is(target, "ollama.other_user")
    });
    let cause = target.cause.unwrap();
    assert!(cause.advice.contains(&format!("sudo kill {pid}")), "{}", cause.advice);
    let launch = target.detail["launch"].as_str().unwrap().to_owned();
    assert_eq!(launch, "another user (nobody)");
    assert!(
        !engine.data().join("environment.json").exists() || {
            let kept = std::fs::read_to_string(engine.data().join("environment.json")).unwrap();
            !kept.contains("OLLAMA_MODELS")
        }
    );
    // Further looks change nothing: no pull, no restart, no second server.
    let looks = || ollama.log().matches("/api/tags").count();
    let before = looks();
    wait_until("two further full looks", ORPHAN, || looks() >= before + 2);
    assert_eq!(ollama.running(), [pid]);
    assert!(!ollama.log().contains("/api/pull"), "{}", ollama.log());
    assert_eq!(engine.target("ollama").unwrap().restarts_last_hour, 0);
}
