//! A thousand containers and floods of events, from a Docker engine that runs nothing: memory,
//! processor time, and how long until all of it is known.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use engine::view::{Snapshot, State};
use tests::Engine;
use tests::fake_docker::{Container, FakeDocker};

use crate::process::{Cost, megabytes};

const CONTAINERS: usize = 1000;
const EVENTS: usize = 10_000;
const LONG: Duration = Duration::from_mins(3);

pub(crate) fn measure() -> Result<()> {
    let docker = FakeDocker::start()?;
    // What nobody named is not shown while it is paused.
    let one = "[[docker.container]]\nname = \"agent-0\"\nheal = \"observe\"\n";
    let configuration = format!("[docker]\nhost = \"{}\"\n{one}", docker.host());
    let engine = Engine::start(&configuration, &[])?;
    let pid = engine.pid().context("the engine does not run")?;
    engine.wait_for_target("docker", "healthy", LONG, |target| target.state == State::Healthy);
    settle();
    let empty = Cost::of(pid)?;
    println!("{:<40} {:>8} {:>8} {:>10} {:>8}", "what", "s", "CPU s", "RSS MB", "grown");

    let table = Table { engine: &engine, pid, empty };
    let names: Vec<String> = (0..CONTAINERS).map(|number| format!("agent-{number}")).collect();
    table.line("1,000 containers appear", || {
        for name in &names {
            docker.run(Container::named(name));
        }
        engine.wait_for("all of them, healthy", LONG, |snapshot| healthy(snapshot) == CONTAINERS);
    })?;
    table.line("10,000 events, none of them a change", || {
        for number in 0..EVENTS {
            docker.tell(&names[number % CONTAINERS], &["exec_start: curl"]);
        }
        last_word(&docker, &engine, "agent-0");
    })?;
    table.line("10,000 events, 2,500 restarts by hand", || {
        for number in 0..EVENTS / 4 {
            let name = &names[1 + number % (CONTAINERS - 1)];
            docker.is_stopped(name);
            docker.starts(name);
        }
        last_word(&docker, &engine, "agent-0");
        engine.wait_for("all of them, healthy", LONG, |snapshot| healthy(snapshot) == CONTAINERS);
    })?;
    table.line("1,000 deaths at once", || {
        for name in &names {
            docker.ends(name, 1);
        }
        // They have lived for less than a minute: jobs, and no storm (R18, R35).
        engine.wait_for("none is healthy", LONG, |snapshot| healthy(snapshot) == 0);
    })?;
    println!("listeners too slow for {} events; budget: 10 MB grown at most", docker.dropped());
    Ok(())
}

/// What comes last is known when all before it is.
fn last_word(docker: &FakeDocker, engine: &Engine, name: &str) {
    docker.change(name, |container| container.status = "paused");
    docker.tell(name, &["pause"]);
    let id = format!("container:{name}");
    engine.wait_for_target(&id, "paused", LONG, |target| target.state == State::Unknown);
    docker.change(name, |container| container.status = "running");
    docker.tell(name, &["unpause"]);
    engine.wait_for_target(&id, "running", LONG, |target| target.state == State::Healthy);
}

struct Table<'a> {
    engine: &'a Engine,
    pid: u32,
    empty: Cost,
}

impl Table<'_> {
    fn line(&self, what: &str, happen: impl FnOnce()) -> Result<()> {
        let (began, before) = (Instant::now(), Cost::of(self.pid)?);
        happen();
        let took = began.elapsed().as_secs_f64();
        settle();
        let after = Cost::of(self.pid)?;
        println!(
            "{what:<40} {took:>8.1} {:>8.1} {:>10} {:>8}",
            after.processor_seconds(&before),
            megabytes(after.resident),
            megabytes(after.resident.saturating_sub(self.empty.resident)),
        );
        // It still answers.
        self.engine.status().map(drop)
    }
}

fn healthy(snapshot: &Snapshot) -> usize {
    let containers = snapshot.targets.iter().filter(|target| target.kind == "container");
    containers.filter(|target| target.state == State::Healthy).count()
}

/// What an act costs goes on for a little while after its end can be seen.
fn settle() {
    std::thread::sleep(Duration::from_secs(5));
}
