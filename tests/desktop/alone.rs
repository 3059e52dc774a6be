//! One copy at a time.

use engine::view::State;
use tests::{Engine, Ollama, eventually, wait_until};

use crate::SOON;
use crate::app::App;
use crate::desktop::Desktop;

#[test]
fn a_second_copy_opens_the_firsts_window_and_closing_it_leaves_the_app() {
    let desktop = Desktop::full().unwrap();
    let ollama = Ollama::start(&[]).unwrap();
    let mut app = App::start(&desktop, &ollama).unwrap();
    app.wait_for_ollama("healthy", SOON, |target| target.state == State::Healthy);
    assert_eq!(desktop.windows("Homeostat"), Vec::<String>::new());

    assert!(app.command().unwrap().status().unwrap().success());
    let window = eventually("the window", SOON, || desktop.windows("Homeostat").pop());
    assert!(app.command().unwrap().status().unwrap().success());
    assert_eq!(desktop.windows("Homeostat"), std::slice::from_ref(&window), "one window at a time");

    desktop.close(&window).unwrap();
    wait_until("the window's end", SOON, || desktop.windows("Homeostat").is_empty());
    app.await_health();
    assert!(app.is_running());
    assert!(app.command().unwrap().status().unwrap().success());
    eventually("another window", SOON, || desktop.windows("Homeostat").pop());
    assert!(app.terminate().unwrap().success());
    assert_eq!(ollama.running().len(), 1, "what was watched goes on");
}

#[test]
fn an_engine_that_runs_already_is_named_and_left_alone() {
    let desktop = Desktop::bare().unwrap();
    let ollama = Ollama::start(&[]).unwrap();
    let engine = Engine::start("[docker]\nheal = \"observe\"\n", &ollama.environment()).unwrap();
    let output = desktop
        .command(App::program().unwrap())
        .arg("--config")
        .arg(engine.configuration_file())
        .arg("--data")
        .arg(engine.data())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let pid = engine.pid().unwrap().to_string();
    assert!(said.contains("running already") && said.contains(&pid), "{said}");
    assert!(engine.status().is_ok());
}
