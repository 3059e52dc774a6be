//! Ollama: dead, mistaken, missing, deaf, and stopped by a person.

use std::process::Command;
use std::time::Duration;

use engine::view::{Intent, State};
use serde_json::{Value, json};
use tests::{
    Control, Engine, Fault, FaultServer, Mode, Model, Ollama, Runners, http, programs, wait_until,
};

use crate::{
    SLACK, SOON, VERDICT_CLOSED, VERDICT_HANGS, VERIFIED, alone_with_mcp, assert_healed, cause_is,
    is_healthy, without_mcp,
};

const NO_DOCKER: &str =
    "[docker]\nhost = \"unix:///nonexistent/docker.sock\"\nheal = \"observe\"\n";

fn watching(ollama: &Ollama) -> Engine {
    watching_with(ollama, &ollama.environment())
}

pub(crate) fn watching_with(ollama: &Ollama, environment: &[(String, String)]) -> Engine {
    let configuration = format!("{NO_DOCKER}[ollama]\nurl = \"{}\"\n", ollama.url());
    Engine::start(&configuration, environment).unwrap()
}

pub(crate) fn healthy(engine: &Engine) {
    engine.wait_for_target("ollama", "healthy", SOON, is_healthy);
}

#[test]
fn killed_it_returns_and_the_incident_is_verified_with_its_times() {
    let _alone = without_mcp();
    let mut ollama = Ollama::start(&[Model::named("llama3.2:latest")]).unwrap();
    let mut engine = watching(&ollama);
    healthy(&engine);
    let gate: Value = engine.json("/llm").unwrap();
    assert_eq!(gate["ollama"], true);

    let old = ollama.pid().unwrap();
    ollama.kill().unwrap();
    let seen = engine.wait_for_target("ollama", "its cause", VERDICT_CLOSED + SLACK, |target| {
        cause_is(target, "ollama.not_running")
    });
    assert!(matches!(seen.state, State::Down | State::Recovering), "{seen:#?}");
    let incident = engine.wait_for_incident("ollama", "verified", VERIFIED);
    assert_healed(&incident, "ollama.not_running");
    ollama.await_answer();
    healthy(&engine);
    let now = ollama.running();
    assert!(now.len() == 1 && now[0] != old, "{now:?}");

    // What it started outlives it.
    assert!(engine.stop().unwrap().success());
    assert!(programs::is_alive(now[0]));
    ollama.await_answer();
}

#[test]
fn a_process_that_is_only_named_like_it_deceives_nobody() {
    let _alone = alone_with_mcp();
    let ollama = Ollama::install(&[]).unwrap();
    let impostor = ollama.directory().join("ollama-mcp");
    std::fs::copy("/bin/sleep", &impostor).unwrap();
    let mut child = Command::new(&impostor).arg("600").spawn().unwrap();
    let engine = watching(&ollama);
    let incident = engine.wait_for_incident("ollama", "verified", VERDICT_CLOSED + VERIFIED);
    assert_eq!(incident.cause.id, "ollama.only_mcp", "{incident:#?}");
    assert_eq!(child.try_wait().unwrap(), None, "the impostor was harmed");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_stranger_on_its_port_is_named_and_left_alone() {
    let ollama = Ollama::install(&[]).unwrap();
    let address = format!("127.0.0.1:{}", ollama.port()).parse().unwrap();
    let stranger = FaultServer::start_at(address, Fault::other_product()).unwrap();
    let engine = watching(&ollama);
    let target =
        engine.wait_for_target("ollama", "the stranger", VERDICT_CLOSED + SLACK, |target| {
            cause_is(target, "ollama.port_taken")
        });
    let pid = std::process::id().to_string();
    let cause = target.cause.unwrap();
    let told = format!("{} {}", cause.text, cause.evidence.join(" "));
    assert!(told.contains(&pid), "the owner's pid {pid} is not in: {told}");
    assert!(!cause.advice.is_empty());
    let before = stranger.connections();
    wait_until("further looks", SOON, || stranger.connections() > before);
    assert_eq!(ollama.running(), Vec::<u32>::new());
    assert_eq!(engine.target("ollama").unwrap().restarts_last_hour, 0);
}

#[test]
fn where_it_is_not_installed_that_is_said() {
    let _alone = without_mcp();
    let port = tests::closed_port().unwrap();
    let home = tempfile::tempdir().unwrap();
    let configuration = format!("{NO_DOCKER}[ollama]\nurl = \"http://127.0.0.1:{port}\"\n");
    let environment = [
        ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
        ("HOME".to_owned(), home.path().display().to_string()),
    ];
    let engine = Engine::start(&configuration, &environment).unwrap();
    let target = engine.wait_for_target("ollama", "its cause", VERDICT_CLOSED + SLACK, |target| {
        cause_is(target, "ollama.not_installed")
    });
    assert!(!target.cause.unwrap().advice.is_empty());
    engine.wait_for_target("ollama", "given up", SOON, |target| target.state == State::GivenUp);
}

#[test]
fn a_hanging_server_that_ignores_sigterm_is_killed_and_replaced() {
    let _alone = without_mcp();
    let ollama = Ollama::start(&[]).unwrap();
    let engine = watching(&ollama);
    healthy(&engine);
    let old = ollama.pid().unwrap();
    let deaf = Control { mode: Mode::Hang, ignore_terminate: true, ..Control::default() };
    ollama.misbehave(&deaf).unwrap();
    wait_until("its end by KILL", VERDICT_HANGS + SLACK + SOON, || !programs::is_alive(old));
    ollama.turn(Mode::Well).unwrap();
    let incident = engine.wait_for_incident("ollama", "verified", VERIFIED);
    assert_eq!(incident.cause.id, "ollama.wedged");
    assert!(!ollama.running().contains(&old));
}

/// R5: two minutes between two questions, twenty seconds and five and twenty more until the second
/// one has failed, and the look that confirms it (RECOVERY 4, row 16).
const VERDICT_WEDGED: Duration = Duration::from_secs(165);
/// A server that does not take the unload, which is tried first.
const UNLOAD: Duration = Duration::from_secs(12);
const NAME: &str = "llama3.2:latest";

/// As with a wedged runner: all is well but generating.
fn gives_no_token() -> Control {
    Control { mode: Mode::Hang, path: "/api/generate".into(), ..Control::default() }
}

fn load(ollama: &Ollama) {
    let client = http::client(Duration::from_secs(10));
    let body = json!({"model": NAME, "keep_alive": "1h"});
    let answer = client.post(format!("{}/api/generate", ollama.url())).json(&body).send().unwrap();
    assert!(answer.status().is_success());
}

#[test]
fn r5_a_server_that_gives_no_token_is_restarted_and_a_token_proves_it() {
    let _alone = without_mcp();
    let ollama = Ollama::start(&[Model::named(NAME)]).unwrap();
    load(&ollama);
    let engine = watching(&ollama);
    healthy(&engine);
    let old = ollama.pid().unwrap();
    ollama.misbehave(&gives_no_token()).unwrap();
    wait_until("its end", VERDICT_WEDGED + UNLOAD + SLACK, || !programs::is_alive(old));
    ollama.turn(Mode::Well).unwrap();
    let incident = engine.wait_for_incident("ollama", "verified", VERIFIED);
    assert_eq!(incident.cause.id, "ollama.wedged", "{incident:#?}");
    assert_eq!(incident.attempts, 1, "{incident:#?}");
    let told = incident.cause.evidence.join(" ");
    assert!(told.contains(NAME), "{told}");
    // The new server was heard: it has loaded the model and generated.
    let log = std::fs::read_to_string(engine.data().join("logs/ollama.log")).unwrap();
    let (_, since) = log.rsplit_once("Listening on").unwrap();
    assert!(since.contains("starting llama-server") && since.contains("/api/generate"), "{since}");
}

/// Its other model keeps its place, and nobody's server is restarted.
#[test]
fn t18_a_stuck_runner_is_unloaded_and_the_server_lives_on() {
    let _alone = without_mcp();
    let ollama = Ollama::start(&[Model::named(NAME)]).unwrap();
    load(&ollama);
    let engine = watching(&ollama);
    healthy(&engine);
    let old = ollama.pid().unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let stuck_before_ms = i64::try_from(now.as_millis()).unwrap();
    ollama.misbehave(&Control { stuck_before_ms, ..Control::default() }).unwrap();
    let verdict = VERDICT_WEDGED + SLACK + VERIFIED;
    let incident = engine.wait_for_incident("ollama", "verified", verdict);
    assert_eq!(incident.cause.id, "ollama.wedged", "{incident:#?}");
    assert!(programs::is_alive(old), "{incident:#?}");
    assert_eq!(engine.target("ollama").unwrap().restarts_last_hour, 0);
    assert_eq!(ollama.log().matches("starting llama-server").count(), 2, "{}", ollama.log());
}

#[test]
fn r5_one_at_work_is_left_alone_even_when_an_agent_complains() {
    let ollama = Ollama::start(&[Model::named(NAME)]).unwrap();
    load(&ollama);
    ollama.misbehave(&Control { runners: Runners::Work, ..gives_no_token() }).unwrap();
    let engine = watching(&ollama);
    healthy(&engine);
    let looks = || ollama.log().matches("/api/version").count();
    let begin = looks();
    let complain = || {
        let complaint = json!({"ollama": false, "mlx": true, "ts": 1.5});
        engine.post_without_token("/recover", &complaint).unwrap();
    };
    // Ten looks are longer than a process may be idle and twice as long as a token may take.
    for round in 1..=5 {
        complain();
        wait_until("further looks", SOON * 2, || looks() >= begin + 2 * round);
    }
    let target = engine.target("ollama").unwrap();
    assert!(matches!(target.state, State::Healthy | State::Slow), "{target:#?}");
    assert_eq!(target.restarts_last_hour, 0);
    assert!(programs::is_alive(ollama.pid().unwrap()));
}

#[test]
fn what_its_log_says_is_evidence_and_what_people_wrote_to_it_is_not() {
    let ollama = Ollama::start(&[]).unwrap();
    let engine = watching(&ollama);
    healthy(&engine);
    let looks = || ollama.log().matches("/api/version").count();
    ollama.note("level=INFO msg=chat prompt=\"why does it say Reentrancy avoided\"").unwrap();
    let before = looks();
    wait_until("two further looks", SOON, || looks() >= before + 2);
    assert!(is_healthy(&engine.target("ollama").unwrap()));
    let line = "Connection init failed at lookup with error 141 - Reentrancy avoided";
    ollama.note(line).unwrap();
    let target = engine.wait_for_target("ollama", "its cause", SOON, |target| {
        cause_is(target, "ollama.metal_session_lost")
    });
    let told = target.cause.unwrap().evidence.join(" ");
    assert!(told.contains(line) && !told.contains("why does it say"), "{told}");
    assert_eq!(target.restarts_last_hour, 0);
}

#[test]
fn what_a_person_stops_stays_stopped_until_a_person_wants_it_back() {
    let ollama = Ollama::start(&[]).unwrap();
    let engine = watching(&ollama);
    healthy(&engine);
    let stranger = engine.post_without_token("/targets/ollama/stop", &json!({})).unwrap();
    assert_eq!(stranger.status(), 401);

    let accepted = engine.post("/targets/ollama/stop", &json!({})).unwrap();
    assert_eq!(accepted.status(), 202);
    wait_until("its end", SOON, || ollama.running().is_empty());
    engine.wait_for_target("ollama", "held", SOON, |target| target.intent == Intent::Held);
    let complaint = json!({"ollama": false, "mlx": true, "ts": 1.5});
    assert_eq!(engine.post_without_token("/recover", &complaint).unwrap().status(), 409);
    assert_eq!(ollama.running(), Vec::<u32>::new());

    let wish = engine.post("/recover", &json!({"target": "ollama"})).unwrap();
    assert_eq!(wish.status(), 202);
    ollama.await_answer();
    engine.wait_for_target("ollama", "wanted", SOON, |target| target.intent == Intent::Wanted);
}
