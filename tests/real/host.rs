//! What every engine on this machine sees, and is a test target of its own therefore: real memory
//! pressure, programs that fight over too little memory, as the kernel counts it (PSI); and another
//! healer of the same servers.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use engine::view::State;
use serde_json::Value;
use tests::docker::DockerEngine;
use tests::{Engine, Ollama, eventually, programs, wait_until};

/// A warning must last for a minute; the kernel's ten second mean takes a while to rise and to fall.
const LASTING: Duration = Duration::from_mins(4);

#[test]
fn lasting_memory_pressure_is_told_and_nothing_is_restarted_for_it() {
    let docker = DockerEngine::start().unwrap();
    let ollama = Ollama::start(&[]).unwrap();
    let configuration = format!("[ollama]\nurl = \"{}\"\n", ollama.url());
    let engine = Engine::start(&configuration, &ollama.environment()).unwrap();
    engine.wait_for_target("host", "no pressure", LASTING, |host| host.state == State::Healthy);
    let pid = ollama.pid();

    // Three readers of a file that does not fit into what they may hold: the kernel throws out what
    // they need next, over and over. Nobody is killed.
    let fight = "busybox dd if=/dev/zero of=/f bs=1M count=400 2>/dev/null; \
                 for i in 1 2 3; do while :; do busybox cat /f >/dev/null; done & done; wait";
    let limits = ["run", "-d", "--name", "fight", "--memory", "24m", "--memory-swap", "24m"];
    let program = ["busybox:local", "busybox", "sh", "-c", fight];
    docker.docker(&[limits.as_slice(), &program].concat()).unwrap();
    let host = engine.wait_for_target("host", "its cause", LASTING, |host| {
        host.cause.as_ref().is_some_and(|cause| cause.id == "host.memory_pressure")
    });
    let cause = host.cause.unwrap();
    assert_eq!(cause.confidence, "certain");
    assert!(cause.evidence.iter().any(|line| line.contains("memory available")), "{cause:#?}");
    assert!(!engine.status().unwrap().memory.groups.is_empty(), "who holds the memory is told");

    docker.docker(&["rm", "-f", "fight"]).unwrap();
    let incident = engine.wait_for_incident("host", "healed_itself", LASTING);
    assert_eq!(incident.cause.id, "host.memory_pressure");
    assert_eq!(ollama.pid(), pid, "nothing was restarted");
    assert_eq!(engine.target("host").unwrap().state, State::Healthy);
}

const NO_DOCKER: &str =
    "[docker]\nhost = \"unix:///nonexistent/docker.sock\"\nheal = \"observe\"\n";
/// Tells who and where it is.
const LISTENER: &str = "
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        about = {'pid': os.getpid(), 'directory': os.getcwd(), 'mark': os.environ.get('MARK')}
        self.wfile.write(json.dumps(about).encode())
    def log_message(self, *words):
        pass
http.server.HTTPServer.allow_reuse_address = True
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
";

/// Killed and collected when dropped.
struct Healer(Child);

impl Drop for Healer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn about(engine: &Engine) -> Option<Value> {
    let text = engine.get("/").ok()?.text().ok()?;
    serde_json::from_str(&text).ok()
}

#[test]
fn another_healer_is_named_and_its_place_is_taken_and_given_back_at_a_persons_wish() {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("scripts")).unwrap();
    let script = "scripts/host_recovery_listener.py";
    std::fs::write(place.path().join(script), LISTENER).unwrap();
    let mut engine = Engine::prepare(NO_DOCKER, &[]).unwrap();
    let healer = Command::new("python3")
        .args([script, &engine.port().to_string()])
        .current_dir(place.path())
        .env("MARK", "of its own")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut healer = Healer(healer);
    let soon = Duration::from_secs(30);
    let first = eventually("the other healer", soon, || about(&engine));
    assert_eq!(first["pid"], healer.0.id());

    // Its port is taken, and yet the command line finds the engine.
    engine.run().unwrap();
    let said = |verb: &[&str]| {
        let mut command = engine.command(verb[0]).unwrap();
        let output = command.args(&verb[1..]).arg("--json").output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default()
    };
    let name = format!("host_recovery_listener.py (pid {})", healer.0.id());
    let status = eventually("its name", soon, || {
        let status = said(&["status"]);
        (status["takeover"]["others"][0] == name.as_str()).then_some(status)
    });
    assert_eq!(status["takeover"]["can"], serde_json::json!(["take_over"]));
    let text = status["takeover"]["text"].to_string();
    assert!(text.contains("Homeostat only watches") && text.contains(&name), "{text}");
    assert!(!status["messages"].to_string().contains("only watches"), "said once");
    assert!(healer.0.try_wait().unwrap().is_none(), "nothing is done unasked");

    let taken = said(&["takeover"]);
    assert_eq!(taken["can"], serde_json::json!(["give_back"]), "{taken}\n{}", engine.log());
    wait_until("its end", soon, || healer.0.try_wait().unwrap().is_some());
    wait_until("our own answer at its port", soon, || {
        engine.get("/health").is_ok_and(|answer| answer.status().is_success())
    });
    wait_until("no more holding back", soon, || {
        let told = |text: &str| text.contains("only watches");
        engine.status().is_ok_and(|status| {
            !status.messages.iter().any(|text| told(text))
                && !status.takeover.is_some_and(|one| told(&one.text))
        })
    });

    // What was taken outlives us.
    engine.kill().unwrap();
    engine.run().unwrap();
    engine.await_health().unwrap();
    let kept = engine.data().join("taken.json");
    assert_eq!(mode(&kept), 0o600);

    let said = |verb: &[&str]| {
        let mut command = engine.command(verb[0]).unwrap();
        let output = command.args(&verb[1..]).arg("--json").output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default()
    };
    said(&["takeover", "--undo"]);
    let again = eventually("the healer of before", soon, || about(&engine));
    let pid = u32::try_from(again["pid"].as_u64().unwrap()).unwrap();
    let back = Returned(pid);
    assert_ne!(again["pid"], first["pid"]);
    assert_eq!((&again["directory"], &again["mark"]), (&first["directory"], &first["mark"]));
    wait_until("nothing to give back", soon, || !kept.exists());
    let name = format!("host_recovery_listener.py (pid {pid})");
    wait_until("its name", soon, || said(&["status"])["takeover"]["others"][0] == name.as_str());
    drop(back);
}

/// Started by the engine: ended by the test.
struct Returned(u32);

impl Drop for Returned {
    fn drop(&mut self) {
        let _ = programs::send(self.0, rustix::process::Signal::KILL);
    }
}

fn mode(file: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}
