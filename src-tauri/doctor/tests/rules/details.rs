//! Rules that are easily read another way than they are meant, each with its look-alike.

use doctor::Intent;

use super::world;

const MLX: &str = "mlx: its work is read";
const STARTS: &str = "start the container";

/// Busy but endless: told, and nothing disruptive follows, whatever an agent says of it.
#[test]
fn r6_mlx_at_endless_work_is_told_and_not_restarted() {
    let mut world = world(&[MLX]);
    world.then("mlx works, and a request waits for 11 min", 120);
    assert_eq!(world.phase("mlx"), "degraded");
    assert_eq!(world.told("NOTICE problem: mlx"), 1);
    world.then("an agent complains about mlx", 600);
    assert!(world.nothing_done());
    world.then("mlx has nothing to do", 30);
    assert_eq!(world.phase("mlx"), "healthy");
}

#[test]
fn r6_mlx_at_honest_work_is_well() {
    let mut world = world(&[MLX]);
    world.then("mlx works, and a request waits for 9 min", 60);
    assert_eq!(world.phase("mlx"), "healthy");
    assert_eq!(world.told("incident"), 0);
}

/// R46 (5): a child that is ended for want of memory in the soak proves nothing well.
#[test]
fn r46_want_of_memory_in_the_soak_fails_the_proof() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("web exits with 1", 30).then("web loses a child for want of memory", 5);
    assert_eq!(world.told("start container:web: failed: step.memory_in_soak"), 1);
    assert_eq!(world.told("container.stopped: verified"), 0);
    world.pass(120);
    assert_eq!(world.told(STARTS), 1, "it runs, so nothing more is started");
}

/// R46 (5): a limit around both tells both of them; only which ends has lacked memory.
#[test]
fn r46_a_neighbours_end_for_memory_fails_no_proof() {
    const HEARD: &str = "web loses a child for want of memory";
    const ENDS: &str = "db runs out of memory";
    let given = ["docker", "container web: critical", "container db"];
    for (seconds, first, second) in [(30, HEARD, ENDS), (30, ENDS, HEARD), (62, HEARD, ENDS)] {
        let mut world = world(&given);
        world.then("web exits with 1", seconds).then(first, 0).then(second, 120);
        let proven = world.told("container.stopped: verified");
        assert_eq!(world.told("memory_in_soak"), 0, "{seconds} {first}: {:#?}", world.tale.lines);
        assert_eq!(proven, 1, "{seconds} {first}: {:#?}", world.tale.lines);
    }
    // Told at another moment it is a want of its own, also just before the soak is over.
    for seconds in [30, 62] {
        let mut world = world(&given);
        world.then("web exits with 1", seconds).then(HEARD, 1).then(ENDS, 60);
        assert_eq!(world.told("memory_in_soak"), 1, "{seconds}: {:#?}", world.tale.lines);
        assert_eq!(world.told("container.stopped: verified"), 0, "{seconds}");
    }
}

#[test]
fn r46_want_of_memory_after_the_soak_fails_no_proof() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("web exits with 1", 90).then("web loses a child for want of memory", 30);
    assert_eq!(world.told("container.stopped: verified"), 1);
    assert_eq!(world.told("memory_in_soak"), 0);
}

/// R35 knows one orderly end; what ended with an error is told, and not started by us (R29).
#[test]
fn r35_an_error_of_what_is_not_critical_is_told_and_nothing_is_started() {
    for code in [1, 134, 139] {
        let mut world = world(&["docker", "container web"]);
        world.pass(90);
        world.then(&format!("web exits with {code}"), 600);
        assert_eq!(world.phase("container:web"), "down", "{code}");
        assert_eq!(world.patient("container:web").account.intent, Intent::Wanted);
        assert_eq!(world.told("NOTICE problem: container:web container.stopped"), 1, "{code}");
        assert!(world.nothing_done(), "{code}");
        world.then("a person starts web", 30);
        assert_eq!(world.phase("container:web"), "healthy", "{code}");
    }
}

#[test]
fn r35_an_orderly_end_has_completed_and_so_has_a_short_job() {
    for (lived, code) in [(90, 0), (90, 143), (0, 1)] {
        let mut world = world(&["docker", "container web"]);
        world.pass(lived);
        if lived == 0 {
            world.then("a person starts web", 20);
        }
        world.then(&format!("web exits with {code}"), 300);
        let patient = world.patient("container:web");
        assert_eq!(patient.account.intent, Intent::Completed, "{lived} s, {code}");
        assert_eq!(world.told("incident"), 0, "{lived} s, {code}");
    }
}

/// R29: its own policy has the first minute.
#[test]
fn r35_what_docker_restarts_is_no_trouble() {
    let mut world = world(&["docker", "container web: policy always"]);
    world.pass(90).then("web exits with 1", 300);
    assert_eq!(world.phase("container:web"), "healthy");
    assert_eq!(world.told("container.stopped"), 0);
}

/// Pinned by its name without a tag, as a configuration has it; and by never expiring.
#[test]
fn r61_all_models_are_those_that_are_not_pinned() {
    let given = "ollama: loaded llama3:8b 6 GB, loaded nomic-embed-text:latest 1 GB";
    let mut world = world(&[given]);
    world.then("a person asks: unload all", 10);
    assert_eq!(world.told("> ollama: unload llama3:8b"), 1);
    assert_eq!(world.told("nomic-embed-text:latest"), 0);
    world.then("a person asks: unload all", 10);
    assert_eq!(world.told("impossible (why.only_pinned)"), 1);
    world.then("a person asks: unload nomic-embed-text:latest", 10);
    assert_eq!(world.told("> ollama: unload nomic-embed-text:latest"), 1);
}

/// R61: a pinned model is no idle one.
#[test]
fn r61_a_pinned_model_is_not_unloaded_under_pressure() {
    for (model, unloads) in
        [("nomic-embed-text:latest", 0), ("Nomic-Embed-Text:latest", 0), ("nomic-embed-text:v1", 1)]
    {
        let mut world = world(&[&format!("ollama: its work is read, loaded {model} 1 GB")]);
        world.pass(700).then("memory is under pressure", 120);
        assert_eq!(world.told("> ollama: unload"), unloads, "{model}");
    }
}
