//! Whose process it is, what it was started with, and what it leaves behind.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tests::fake_ollama::install;
use tests::{Engine, Model, Ollama, Weights, http, programs, wait_until};

use crate::ollama::{healthy, watching_with};
use crate::{SLACK, SOON, VERDICT_CLOSED, VERIFIED, cause_is, is_healthy, without_mcp};
use engine::view::{Intent, OperationState};

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
        cause_is(target, "ollama.left_behind")
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

/// A control group of version 2 that is named like a unit of a user's systemd; only root can make one.
struct Group(PathBuf);

impl Group {
    fn new(unit: &str) -> Option<Self> {
        let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
        let root = mounts.into_iter().find(|root| root.join("cgroup.procs").is_file())?;
        let group = root.join(format!("user@0.service-{}", std::process::id())).join(unit);
        std::fs::create_dir_all(&group).ok().map(|()| Self(group))
    }

    fn take(&self, pid: u32) {
        std::fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that is still in it keeps it for as long as it lives.
        for group in self.0.ancestors().take(2) {
            let _ = std::fs::remove_dir(group);
        }
    }
}

/// Plays the user's systemd: it keeps the process whose id is in `main-pid`.
const SYSTEMD: &str = r#"#!/bin/sh
cd "$(dirname "$0")/.." || exit 1
case "$*" in
  "--user show --property=MainPID --value "*) exec cat main-pid ;;
esac
echo "$*" >> systemctl.log
case "$*" in
  "--user stop --no-block "*) kill "$(cat main-pid)" ;;
  "--user start "*) ;;
  *) exit 1 ;;
esac
"#;

/// A server that was installed with that systemd beside it.
fn kept() -> Ollama {
    let ollama = Ollama::install(&[Model::named(NAME)]).unwrap();
    let systemctl = ollama.directory().join("bin/systemctl");
    std::fs::write(&systemctl, SYSTEMD).unwrap();
    std::fs::set_permissions(&systemctl, std::fs::Permissions::from_mode(0o755)).unwrap();
    ollama
}

/// What the unit's process is from now on.
fn main_process(ollama: &Ollama, pid: u32) {
    std::fs::write(ollama.directory().join("main-pid"), format!("{pid}\n")).unwrap();
}

fn serve_in(ollama: &mut Ollama, group: &Group) {
    ollama.serve().unwrap();
    let pid = ollama.pid().unwrap();
    group.take(pid);
    main_process(ollama, pid);
    ollama.await_answer();
}

fn orders(ollama: &Ollama) -> Vec<String> {
    let text = std::fs::read_to_string(ollama.directory().join("systemctl.log"));
    text.unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn what_a_unit_keeps_is_paused_through_it_and_comes_back_through_it() {
    const STOP: &str = "--user stop --no-block paused.service";
    const START: &str = "--user start paused.service";
    let _alone = without_mcp();
    let Some(group) = Group::new("paused.service") else { return };
    let mut ollama = kept();
    serve_in(&mut ollama, &group);
    let engine = watching_with(&ollama, &ollama.environment());
    healthy(&engine);
    let target = engine.target("ollama").unwrap();
    assert_eq!(target.detail["launch"], "your own systemd (paused.service)");
    assert!(target.actions.iter().any(|action| action == "stop"), "{:?}", target.actions);

    let wish = engine.post("/targets/ollama/stop", &json!({"for": "1m"})).unwrap();
    assert_eq!(wish.status(), 202);
    wait_until("its end", SOON, || ollama.running().is_empty());
    assert_eq!(orders(&ollama), [STOP]);
    engine.wait_for_target("ollama", "held", SOON, |target| target.intent == Intent::Held);
    wait_until("its start", VERIFIED, || orders(&ollama) == [STOP, START]);
    serve_in(&mut ollama, &group);
    engine.wait_for_target("ollama", "healthy", VERIFIED, is_healthy);
    assert_eq!(orders(&ollama), [STOP, START]);
    let incidents = engine.incidents().unwrap();
    let own: Vec<_> = incidents.iter().filter(|incident| incident.target == "ollama").collect();
    assert!(own.is_empty(), "a pause is no fault: {own:#?}");
}

/// Since it was looked at the unit has got another process: this one is not its to stop.
#[test]
fn what_a_unit_no_longer_keeps_is_not_stopped() {
    let _alone = without_mcp();
    let Some(group) = Group::new("another.service") else { return };
    let mut ollama = kept();
    serve_in(&mut ollama, &group);
    let engine = watching_with(&ollama, &ollama.environment());
    healthy(&engine);
    let pid = ollama.pid().unwrap();
    main_process(&ollama, std::process::id());
    let wish = engine.post("/targets/ollama/stop", &json!({})).unwrap();
    let accepted: serde_json::Value = wish.json().unwrap();
    let operation = accepted["operation"].as_str().unwrap();
    wait_until("the end of the operation", SOON, || {
        engine.operation(operation).is_ok_and(|one| one.state == OperationState::Superseded)
    });
    assert_eq!(ollama.running(), [pid]);
    assert_eq!(orders(&ollama), [""; 0]);
}
