//! A desktop that shows neither tray icons nor notifications.

use std::time::Duration;

use engine::view::State;
use tests::{Ollama, eventually, wait_until};

use crate::SOON;
use crate::app::App;
use crate::desktop::Desktop;

#[test]
fn without_a_tray_the_window_opens_and_without_notifications_healing_goes_on() {
    let mut desktop = Desktop::bare().unwrap();
    let mut ollama = Ollama::start(&[]).unwrap();
    let mut app = App::start(&desktop, &ollama).unwrap();
    app.wait_for_ollama("healthy", SOON, |target| target.state == State::Healthy);
    eventually("the window", SOON, || desktop.windows("Homeostat").pop());
    assert!(app.log().contains("shows no tray icons"));

    // A mistake in the configuration is told at once; here nobody shows it, which is logged once.
    let configuration = std::fs::read_to_string(app.configuration()).unwrap();
    app.configure("[ollama]\nurl = 1\n").unwrap();
    let unshown = || app.log().matches("notifications cannot be shown").count();
    wait_until("the line in the log", SOON, || unshown() == 1);
    app.configure(&configuration).unwrap();
    app.wait_for("the good configuration", SOON, |snapshot| snapshot.messages.is_empty());

    let old = ollama.pid().unwrap();
    ollama.kill().unwrap();
    wait_until("another Ollama", Duration::from_mins(1), || {
        ollama.running().first().is_some_and(|pid| *pid != old)
    });
    ollama.await_answer();
    assert_eq!(unshown(), 1);

    // As soon as somebody shows them, the ones that were kept come with the next.
    desktop.show_notifications().unwrap();
    app.configure("[ollama]\ninterval = 1\n").unwrap();
    wait_until("the kept notification and the new one", SOON, || {
        let shown = desktop.notifications().unwrap_or_default();
        shown.iter().filter(|title| title.contains("configuration has a mistake")).count() == 2
    });
    assert!(app.terminate().unwrap().success());
}

#[test]
fn without_a_desktop_it_says_so() {
    let mut command = std::process::Command::new(App::program().unwrap());
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    command.env_remove("DBUS_SESSION_BUS_ADDRESS").env("XDG_RUNTIME_DIR", "/nonexistent");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("homeostat run"), "{said}");
}
