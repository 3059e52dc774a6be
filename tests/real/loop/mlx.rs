//! The real `mlx_lm.server`, and what sits on its port instead.

use std::time::Duration;

use engine::view::State;
use rustix::process::Signal;
use tests::{Engine, Fault, FaultServer, Mlx, programs, wait_until};

use crate::{
    SLACK, SOON, VERDICT_CLOSED, VERDICT_HANGS, VERIFIED, assert_healed, cause_is, is_healthy,
};

fn configuration(url: &str, launch: &[String]) -> String {
    let launch = serde_json::to_string(launch).unwrap();
    format!(
        "[docker]\nhost = \"unix:///nonexistent/docker.sock\"\nheal = \"observe\"\n\
         [mlx]\nurl = \"{url}\"\nlaunch = {launch}\n"
    )
}

#[test]
fn killed_it_is_started_by_its_command() {
    let mut mlx = Mlx::start().unwrap();
    let engine = Engine::start(&configuration(&mlx.url(), &mlx.command()), &[]).unwrap();
    engine.wait_for_target("mlx", "healthy", SOON, is_healthy);
    let old = mlx.running();
    mlx.kill();
    let incident = engine.wait_for_incident("mlx", "verified", VERDICT_CLOSED + VERIFIED);
    assert_healed(&incident, "mlx.not_running");
    let new = mlx.running();
    assert!(new.len() == 1 && new != old, "{old:?} {new:?}");
}

#[test]
fn a_server_that_answers_404_everywhere_is_alive() {
    let not_found =
        Fault::Answer { status: 404, kind: "application/json", body: "Not Found".into() };
    let server = FaultServer::start(not_found).unwrap();
    let launch = ["/bin/false".to_owned()];
    let engine = Engine::start(&configuration(&server.url(""), &launch), &[]).unwrap();
    let target = engine.wait_for_target("mlx", "its cause", VERDICT_CLOSED + SLACK, |target| {
        cause_is(target, "mlx.wrong_endpoint")
    });
    assert_eq!(target.state, State::Degraded);
    let paths = target.cause.unwrap().evidence.join(" ");
    for path in ["/health", "/v1/models", "/api/tags"] {
        assert!(paths.contains(path), "{path} is not in: {paths}");
    }
    let before = server.connections();
    wait_until("further looks", SOON, || server.connections() > before + 6);
    assert_eq!(engine.target("mlx").unwrap().restarts_last_hour, 0);
}

#[test]
fn one_that_stands_still_is_killed_and_replaced() {
    let mlx = Mlx::start().unwrap();
    let engine = Engine::start(&configuration(&mlx.url(), &mlx.command()), &[]).unwrap();
    engine.wait_for_target("mlx", "healthy", SOON, is_healthy);
    let old = mlx.running();
    programs::send(old[0], Signal::STOP).unwrap();
    // TERM does not reach a process that stands still: KILL follows after its patience.
    let patience = Duration::from_secs(30);
    let within = VERDICT_HANGS + patience + VERIFIED + SLACK;
    let incident = engine.wait_for_incident("mlx", "verified", within);
    assert_eq!(incident.cause.id, "mlx.wedged", "{incident:#?}");
    assert_eq!(incident.attempts, 1, "{incident:#?}");
    let new = mlx.running();
    assert!(new.len() == 1 && new != old, "{old:?} {new:?}");
}

#[test]
fn one_whose_generation_has_died_is_restarted() {
    let mlx = Mlx::start().unwrap();
    let engine = Engine::start(&configuration(&mlx.url(), &mlx.command()), &[]).unwrap();
    engine.wait_for_target("mlx", "healthy", SOON, is_healthy);
    let old = mlx.running();
    mlx.sabotage().unwrap();
    let within = VERDICT_CLOSED + VERIFIED + SLACK;
    let incident = engine.wait_for_incident("mlx", "verified", within);
    assert_eq!(incident.cause.id, "mlx.generation_dead", "{incident:#?}");
    assert_eq!(incident.attempts, 1, "{incident:#?}");
    let new = mlx.running();
    assert!(new.len() == 1 && new != old, "{old:?} {new:?}");
}
