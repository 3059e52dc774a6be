//! The engine at rest beside monit: 12 HTTP targets each, every 5 s, at the same time.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use tests::{Engine, Fault, FaultServer};

use crate::process::Cost;

pub(crate) fn measure() -> Result<()> {
    let servers =
        (0..12).map(|_| FaultServer::start(Fault::json("{}"))).collect::<Result<Vec<_>>>()?;
    let mut configuration = String::from("[docker]\nhost = \"unix:///nonexistent\"\n");
    let mut monitrc = String::from("set daemon 5\n");
    for (number, server) in servers.iter().enumerate() {
        let url = server.url("/health");
        writeln!(
            configuration,
            "[[service]]\nname = \"s{number}\"\nurl = \"{url}\"\ninterval = \"5s\""
        )?;
        let port = server.port();
        writeln!(
            monitrc,
            "check host s{number} with address 127.0.0.1\n  if failed port {port} protocol http request \"/health\" with timeout 5 seconds then alert"
        )?;
    }
    let engine = Engine::start(&configuration, &[])?;
    let engine_pid = engine.pid().context("the engine does not run")?;
    engine.wait_for("twelve healthy services", Duration::from_secs(30), |snapshot| {
        let healthy = snapshot.targets.iter().filter(|target| {
            target.kind == "service" && target.state == engine::view::State::Healthy
        });
        healthy.count() == 12
    });

    let directory = tempfile::tempdir()?;
    let at = |name: &str| directory.path().join(name);
    for name in ["pidfile", "statefile", "idfile"] {
        writeln!(monitrc, "set {name} {}", at(name).display())?;
    }
    let file = at("monitrc");
    std::fs::write(&file, monitrc)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    let monit = Command::new("monit")
        .args(["-I", "-c"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();

    // What a start costs is not what is measured.
    sleep(Duration::from_secs(15));
    let seconds = crate::seconds(120);
    let asked =
        |servers: &[FaultServer]| servers.iter().map(FaultServer::connections).sum::<usize>();
    let (before, first) = (asked(&servers), Cost::of(engine_pid)?);
    let monit_first = monit.as_ref().ok().map(|child| Cost::of(child.id())).transpose()?;
    sleep(Duration::from_secs(seconds));
    println!("{}", Cost::heading());
    println!("{}", Cost::of(engine_pid)?.line("homeostat", &first, seconds));
    match (monit, monit_first) {
        (Ok(mut child), Some(earlier)) => {
            println!("{}", Cost::of(child.id())?.line("monit", &earlier, seconds));
            child.kill()?;
            child.wait()?;
        }
        _ => println!("monit is not installed: apt-get install monit"),
    }
    println!("over {seconds} s; connections to the 12 targets: {}", asked(&servers) - before);
    Ok(())
}
