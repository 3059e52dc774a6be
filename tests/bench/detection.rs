//! From the fault to the verdict, at default settings.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use engine::view::State;
use tests::docker::DockerEngine;
use tests::{Engine, Fault, FaultServer, Mode, Model, Ollama, eventually};

pub(crate) fn measure() -> Result<()> {
    println!("{:<32} {:>8} {:>8}", "fault", "s", "budget");
    service_closes()?;
    service_hangs()?;
    ollama_closes()?;
    ollama_hangs()?;
    container_runs_out_of_memory()
}

const LONG: Duration = Duration::from_mins(2);

fn service_closes() -> Result<()> {
    let server = FaultServer::start(Fault::status(200))?;
    let address = server.address();
    let engine = watched(&address)?;
    drop(server);
    verdict(&engine, "service:api", "service: port closed", 17);
    Ok(())
}

fn service_hangs() -> Result<()> {
    let server = FaultServer::start(Fault::status(200))?;
    let engine = watched(&server.address())?;
    server.set(Fault::Hang);
    verdict(&engine, "service:api", "service: accepts and hangs", 32);
    Ok(())
}

fn watched(address: &SocketAddr) -> Result<Engine> {
    let configuration = format!("[[service]]\nname = \"api\"\nurl = \"http://{address}/health\"\n");
    let engine = Engine::start(&configuration, &[])?;
    healthy(&engine, "service:api");
    Ok(engine)
}

fn ollama_closes() -> Result<()> {
    let ollama = Ollama::start(&[Model::named("m:latest")])?;
    let engine = watching(&ollama)?;
    ollama.turn(Mode::Refuse)?;
    verdict(&engine, "ollama", "Ollama: port closed", 17);
    Ok(())
}

fn ollama_hangs() -> Result<()> {
    let ollama = Ollama::start(&[Model::named("m:latest")])?;
    let engine = watching(&ollama)?;
    ollama.turn(Mode::Hang)?;
    verdict(&engine, "ollama", "Ollama: accepts and hangs", 32);
    Ok(())
}

fn watching(ollama: &Ollama) -> Result<Engine> {
    let configuration = format!("[ollama]\nurl = \"{}\"\nheal = \"observe\"\n", ollama.url());
    let engine = Engine::start(&configuration, &ollama.environment())?;
    healthy(&engine, "ollama");
    Ok(engine)
}

/// From the container's end, by the engine's clock, to the incident.
fn container_runs_out_of_memory() -> Result<()> {
    let docker = match DockerEngine::start() {
        Ok(docker) => docker,
        Err(error) => {
            println!("container out of memory: not measured, {error:#}");
            return Ok(());
        }
    };
    let engine = Engine::start(&format!("[docker]\nhost = \"{}\"\n", docker.host()), &[])?;
    healthy(&engine, "docker");
    let limits = ["run", "-d", "--name", "hungry", "--memory", "24m", "--memory-swap", "24m"];
    let program = ["busybox:local", "tail", "/dev/zero"];
    docker.docker(&[limits.as_slice(), &program].concat())?;
    let opened = eventually("an incident of the container", LONG, || {
        let incidents = engine.incidents().ok()?;
        incidents.into_iter().find(|incident| incident.target == "container:hungry")
    });
    let took = Duration::from_millis(opened.detected_after_ms).as_secs_f64();
    println!("{:<32} {took:>8.1} {:>8}  {}", "container out of memory", 3, opened.cause.id);
    Ok(())
}

fn healthy(engine: &Engine, id: &str) {
    engine.wait_for_target(id, "healthy", LONG, |target| target.state == State::Healthy);
}

fn verdict(engine: &Engine, id: &str, fault: &str, budget: u64) {
    let began = Instant::now();
    let target = engine.wait_for_target(id, "a verdict", LONG, |target| target.cause.is_some());
    let took = began.elapsed().as_secs_f64();
    let cause = target.cause.map(|cause| cause.id).unwrap_or_default();
    println!("{fault:<32} {took:>8.1} {budget:>8}  {cause}");
}
