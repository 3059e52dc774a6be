//! The window, through W3C `WebDriver` (tauri-driver in front of `WebKitWebDriver`).

use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use engine::view::{Intent, State};
use reqwest::blocking::Client;
use serde_json::{Value, json};
use tests::{Model, Ollama, eventually, http, programs, wait_until};

use crate::SOON;
use crate::app::App;
use crate::desktop::Desktop;

/// What a driver calls an element (W3C `WebDriver`, "Elements").
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A session with the app that the driver has started; both end when it is dropped.
struct Driver {
    client: Client,
    url: String,
    child: Child,
}

impl Driver {
    fn start(desktop: &Desktop, app: &App) -> Result<Self> {
        let (port, native) = (programs::free_port()?, programs::free_port()?);
        let child = desktop
            .command(driver()?)
            .args(["--port", &port.to_string(), "--native-port", &native.to_string()])
            .envs(app.environment())
            .env_remove("DOCKER_HOST")
            .stdin(Stdio::null())
            // It complains until the browser's own driver is up.
            .stderr(Stdio::null())
            .spawn()?;
        let url = format!("http://127.0.0.1:{port}");
        let mut driver = Self { client: http::client(SOON), url, child };
        wait_until("the driver", SOON, || driver.call("GET", "/status", None).is_ok());
        let mut arguments = app.arguments();
        arguments.push("--show".to_owned());
        let options = json!({ "application": App::program()?, "args": arguments });
        let asked = json!({ "capabilities": { "alwaysMatch": { "tauri:options": options } } });
        let answer = driver.call("POST", "/session", Some(&asked))?;
        let id = answer["sessionId"].as_str().context("no session")?;
        driver.url = format!("{}/session/{id}", driver.url);
        Ok(driver)
    }

    /// The first element that fits, when there is one.
    fn find(&self, selector: &str) -> Result<String> {
        let asked = json!({ "using": "css selector", "value": selector });
        let answer = self.call("POST", "/element", Some(&asked))?;
        Ok(answer[ELEMENT].as_str().context("no element")?.to_owned())
    }

    /// As a property: the driver's own `text` is empty where it takes `overflow: hidden` for hidden.
    fn text(&self, selector: &str) -> Result<String> {
        let element = self.find(selector)?;
        let answer = self.call("GET", &format!("/element/{element}/property/textContent"), None)?;
        Ok(answer.as_str().context("no text")?.to_owned())
    }

    #[track_caller]
    fn click(&self, selector: &str) {
        eventually(&format!("a click on {selector}"), SOON, || {
            let element = self.find(selector).ok()?;
            self.call("POST", &format!("/element/{element}/click"), Some(&json!({}))).ok()
        });
    }

    fn run(&self, script: &str) -> Result<Value> {
        let asked = json!({ "script": script, "args": [] });
        self.call("POST", "/execute/sync", Some(&asked))
    }

    /// The `value` of the answer.
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let request = self.client.request(method.parse()?, format!("{}{path}", self.url));
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send()?;
        let status = answer.status();
        let mut value: Value = answer.json()?;
        if !status.is_success() {
            bail!("{method} {path}: {status}: {value}");
        }
        Ok(value["value"].take())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Ends the app too.
        let _ = self.call("DELETE", "", None);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn driver() -> Result<String> {
    let beside = programs::target_directory()?.join("tools/bin/tauri-driver");
    Ok(if beside.is_file() { beside.display().to_string() } else { "tauri-driver".to_owned() })
}

#[test]
fn the_window_shows_the_snapshot_and_its_buttons_act() {
    let desktop = Desktop::full().unwrap();
    let ollama = Ollama::start(&[Model::named("llama3.2:latest")]).unwrap();
    let app = App::prepare(&desktop, &ollama).unwrap();
    let window = Driver::start(&desktop, &app).unwrap();
    app.await_health();
    app.wait_for_ollama("healthy", SOON, |target| target.state == State::Healthy);
    eventually("the headline of the snapshot in the window", SOON, || {
        let seen = app.status().ok()?.headline;
        (window.text("h1").ok()? == seen).then_some(())
    });

    // What happens is seen without asking again: the window is told.
    window.click("[data-id=ollama]");
    eventually("Ollama's page", SOON, || window.find("[data-id=ollama][aria-selected=true]").ok());
    window.click("button[data-verb=hold]");
    app.wait_for_ollama("held", SOON, |target| target.intent == Intent::Held);
    eventually("the release in the window", Duration::from_secs(5), || {
        window.find("button[data-verb=release]").ok()
    });
    desktop.picture("window").unwrap();
    window.click("button[data-verb=release]");
    app.wait_for_ollama("released", SOON, |target| target.intent == Intent::Wanted);

    // Nothing but the app's own files and commands can be reached from the page.
    let refused = window
        .run("return window.__TAURI__.core.invoke('plugin:autostart|enable').then(() => 'done', String)")
        .unwrap();
    assert!(refused.as_str().unwrap().contains("not allowed"), "{refused}");
    let blocked = window
        .run("return fetch('http://127.0.0.1:1/').then(() => 'done', (error) => error.name)")
        .unwrap();
    assert_eq!(blocked, "TypeError");
    let nonsense = window
        .run("return window.__TAURI__.core.invoke('act', {wish: {verb: 'explode'}}).then(() => 'done', String)")
        .unwrap();
    assert_ne!(nonsense, "done");
}
