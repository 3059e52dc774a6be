//! A thousand containers, and an event stream on its worst days: nothing is missed, nothing is asked
//! twice, nothing grows (faults 28 to 33).

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::{Duration, Instant};

use engine::view::{Intent, Snapshot, State, Target};
use tests::fake_docker::{Container, Delivery, Policy};
use tests::{Engine, FakeDocker, wait_until};

const SOON: Duration = Duration::from_mins(2);
/// A snapshot comes every minute.
const SNAPSHOT: Duration = Duration::from_secs(200);

fn watching(docker: &FakeDocker, critical: &[&str]) -> Engine {
    use std::fmt::Write as _;
    let mut configuration = format!("[docker]\nhost = \"{}\"\n", docker.host());
    for name in critical {
        write!(configuration, "[[docker.container]]\nname = \"{name}\"\ncritical = true\n")
            .unwrap();
    }
    let engine = Engine::start(&configuration, &[]).unwrap();
    engine.wait_for_target("docker", "healthy", SOON, is_healthy);
    engine
}

fn is_healthy(target: &Target) -> bool {
    target.state == State::Healthy
}

fn healthy(snapshot: &Snapshot) -> usize {
    let containers = snapshot.targets.iter().filter(|target| target.kind == "container");
    containers.filter(|target| is_healthy(target)).count()
}

fn cause_is(target: &Target, id: &str) -> bool {
    target.cause.as_ref().is_some_and(|cause| cause.id == id)
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("agent-{number}")).collect()
}

/// Fault 32: what turns bad in the middle of a flood is known, and each container is read once or
/// twice for what befell it, not once for every event.
#[test]
fn a_flood_of_ten_thousand_events_hides_nothing_and_asks_little() {
    let docker = FakeDocker::start().unwrap();
    let names = names(200);
    docker.found(names.iter().map(|name| Container::named(name)));
    let engine = watching(&docker, &["agent-0"]);
    engine.wait_for("all are known", SOON, |snapshot| healthy(snapshot) == 200);
    docker.forget_calls();
    for number in 0..10_000 {
        docker.tell(&names[1 + number % 199], &["exec_start: curl"]);
        if number == 5_000 {
            docker.runs_out_of_memory("agent-7");
        }
    }
    docker.is_stopped("agent-0");
    engine.wait_for_target("container:agent-7", "its cause", SOON, |target| {
        cause_is(target, "container.oom_limit")
    });
    engine.wait_for_target("container:agent-0", "held", SNAPSHOT, |target| {
        target.intent == Intent::Held
    });
    let read = docker.asked("GET /containers/");
    // Both that changed, and at most two snapshots in which those are read anew that were spoken of.
    assert!(read < 3 * 200 + 20, "{read} questions");
    assert_eq!(engine.incidents().unwrap().len(), 1);
}

/// R18: a thousand that end together are one incident, and none of them is started.
#[test]
fn a_thousand_deaths_are_one_incident() {
    let docker = FakeDocker::start().unwrap();
    let names = names(1000);
    docker.found(names.iter().map(|name| Container::named(name)));
    let engine = watching(&docker, &["agent-0", "agent-1", "agent-2"]);
    engine.wait_for("all are known", SOON, |snapshot| healthy(snapshot) == 1000);
    docker.forget_calls();
    for name in &names {
        docker.ends(name, 1);
    }
    let snapshot = engine.wait_for("none is healthy", SNAPSHOT, |snapshot| {
        healthy(snapshot) == 0 && snapshot.incidents.len() == 1
    });
    assert_eq!(snapshot.incidents[0].target, "docker");
    assert_eq!(docker.asked("POST"), 0, "a storm brakes all remedies");
    let read = docker.asked("GET /containers/agent-500/json");
    assert!(read <= 3, "read {read} times");
}

/// Fault 31: the wrong way round, twice, in pieces: the same verdicts, once each.
#[test]
fn events_out_of_order_twice_or_in_pieces_change_no_verdict() {
    let docker = FakeDocker::start().unwrap();
    let deliveries = [Delivery::Plain, Delivery::Reversed, Delivery::Twice, Delivery::InPieces(7)];
    let limited = |number: usize| format!("limited-{number}");
    let stopped = |number: usize| format!("stopped-{number}");
    // Others run beside them, so that no storm is seen in it.
    docker.found(names(40).iter().map(|name| Container::named(name)));
    for number in 0..deliveries.len() {
        docker.found([Container::named(&limited(number)), Container::named(&stopped(number))]);
    }
    let named: Vec<String> = (0..deliveries.len()).map(stopped).collect();
    let engine = watching(&docker, &named.iter().map(String::as_str).collect::<Vec<_>>());
    engine.wait_for("all are known", SOON, |snapshot| healthy(snapshot) == 48);
    for (number, delivery) in deliveries.into_iter().enumerate() {
        docker.deliver(delivery);
        docker.runs_out_of_memory(&limited(number));
        if delivery != Delivery::Reversed {
            docker.is_stopped(&stopped(number));
        }
    }
    docker.deliver(Delivery::Plain);
    docker.is_stopped(&stopped(1));
    for number in 0..deliveries.len() {
        let target = engine.wait_for_target(
            &format!("container:{}", limited(number)),
            "out of memory",
            SOON,
            |target| cause_is(target, "container.oom_limit"),
        );
        assert_eq!(target.cause.unwrap().confidence, "certain", "{number}");
        engine.wait_for_target(&format!("container:{}", stopped(number)), "held", SOON, |target| {
            target.intent == Intent::Held
        });
    }
    let incidents = engine.incidents().unwrap();
    assert_eq!(incidents.len(), deliveries.len(), "{incidents:#?}");
    assert_eq!(docker.asked("POST"), 0);
}

/// Fault 29: broken off in the middle of an event; what happened meanwhile is replayed.
#[test]
fn a_stream_that_breaks_off_misses_nothing() {
    let docker = FakeDocker::start().unwrap();
    docker.found(names(20).iter().map(|name| Container::named(name)));
    let engine = watching(&docker, &["agent-1"]);
    engine.wait_for("all are known", SOON, |snapshot| healthy(snapshot) == 20);
    let asked = docker.asked("GET /events");
    docker.break_off();
    // Nobody listens now. A child of the one is ended for memory, which no later reading can tell.
    docker.tell("agent-2", &["oom"]);
    docker.is_stopped("agent-1");
    engine
        .wait_for_target("container:agent-1", "held", SOON, |target| target.intent == Intent::Held);
    wait_until("a new stream", SOON, || docker.asked("GET /events") > asked);
    wait_until("the child is told of", SOON, || {
        let incidents = engine.incidents().unwrap();
        incidents.iter().any(|one| one.target == "container:agent-2")
    });
    assert_eq!(docker.asked("POST"), 0, "what a person stopped stays stopped");
}

/// Fault 30: open, and silent; the ping answers. A snapshot finds the difference.
#[test]
fn a_stream_that_stalls_is_found_out_by_the_snapshot() {
    let docker = FakeDocker::start().unwrap();
    docker.found(names(20).iter().map(|name| Container::named(name)));
    let engine = watching(&docker, &["agent-1"]);
    engine.wait_for("all are known", SOON, |snapshot| healthy(snapshot) == 20);
    docker.deliver(Delivery::Never);
    let began = Instant::now();
    docker.ends("agent-1", 3);
    engine.wait_for_target("container:agent-1", "its end", SNAPSHOT, |target| !is_healthy(target));
    assert!(began.elapsed() < SNAPSHOT);
    wait_until("it is started again", SOON, || docker.is_running("agent-1"));
}

/// Fault 33, 28: all end and it goes away: nobody wished that. What is wanted comes back once, when
/// the engine is back; what its own policy brings back is left to it.
#[test]
fn a_shutdown_of_the_engine_is_no_wish_to_stop() {
    let mut docker = FakeDocker::start().unwrap();
    docker.found(names(5).iter().map(|name| Container::named(name)));
    let always = Container::named("always").with(|one| one.policy = Policy::Always);
    docker.found([always]);
    let engine = watching(&docker, &["agent-0", "agent-1", "always"]);
    engine.wait_for("all are known", SOON, |snapshot| healthy(snapshot) == 6);
    for name in names(5).iter().map(String::as_str).chain(["always"]) {
        docker.is_stopped(name);
    }
    // What an engine that goes has not sent yet is lost: here all of it has been told.
    engine.wait_for_target("container:always", "its stop", SOON, |target| {
        target.intent == Intent::Held
    });
    docker.go();
    engine.wait_for_target("docker", "down", SNAPSHOT, |target| cause_is(target, "docker.down"));
    for name in ["agent-0", "agent-1", "always"] {
        let target = engine.target(&format!("container:{name}")).unwrap();
        assert_eq!(target.intent, Intent::Wanted, "{name}");
    }
    docker.come_back().unwrap();
    docker.starts("always");
    for name in ["agent-0", "agent-1"] {
        wait_until("it is started", 2 * SNAPSHOT, || docker.is_running(name));
        assert_eq!(docker.asked(&format!("POST /containers/{name}")), 0, "by its id");
    }
    assert_eq!(docker.asked("POST"), 2, "each once, and `always` not at all");
}
