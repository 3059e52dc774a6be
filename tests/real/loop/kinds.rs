//! Kinds of MLX server that can unload: recognised by their answers, and seen to have let go.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use engine::view::{State, Target};
use tests::{Engine, eventually, programs};

use crate::{SOON, is_healthy};

const MODEL: &str = "mlx-community/tiny";

/// Killed when dropped; what it started ends with it.
struct Kind {
    child: Child,
    port: u16,
}

impl Kind {
    fn start(kind: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("real/mlx-kind");
        let port = programs::free_port().unwrap();
        let mut command = Command::new(script);
        command.arg(kind).arg(port.to_string()).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: command.spawn().unwrap(), port }
    }

    fn engine(&self) -> Engine {
        let configuration = format!(
            "[docker]\nhost = \"unix:///nonexistent/docker.sock\"\nheal = \"observe\"\n\
             [mlx]\nurl = \"http://127.0.0.1:{}\"\n",
            self.port
        );
        Engine::start(&configuration, &[]).unwrap()
    }
}

impl Drop for Kind {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn unloads(kind: &str) {
    let mut server = Kind::start(kind);
    let engine = server.engine();
    let healthy: Target = engine.wait_for_target("mlx", "healthy", SOON, is_healthy);
    assert_eq!(healthy.cause, None, "{healthy:#?}");
    let snapshot = engine.wait_for("the model in memory", SOON, |now| now.models.len() == 1);
    let model = &snapshot.models[0];
    assert_eq!((model.server.as_str(), model.name.as_str()), ("mlx", MODEL));

    let output = engine.command("unload").unwrap().arg(format!("mlx:{MODEL}")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // 300 MB came back, and a page more or less is the system's.
    let words: Vec<&str> = said.split_whitespace().collect();
    let megabytes = words.windows(2).filter(|pair| pair[1].starts_with("MB"));
    let freed: Vec<u64> =
        megabytes.filter_map(|pair| pair[0].split(['.', ',']).next()?.parse().ok()).collect();
    assert!(freed.iter().any(|freed| (280..=340).contains(freed)), "{said}");
    eventually("no model in memory", SOON, || {
        engine.status().unwrap().models.is_empty().then_some(())
    });
    let after = engine.target("mlx").unwrap();
    assert_eq!((after.state, after.restarts_last_hour), (State::Healthy, 0), "{after:#?}");
    assert!(server.child.try_wait().unwrap().is_none(), "it is the same process");
}

#[test]
fn mlx_omni_server_is_recognised_and_lets_go_of_what_it_holds() {
    unloads("omni");
}

#[test]
fn lm_studio_is_recognised_and_lets_go_of_a_model_that_is_named() {
    unloads("lm-studio");
}
