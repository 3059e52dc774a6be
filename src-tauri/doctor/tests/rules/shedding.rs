//! R61, 1.8: under memory pressure idle models of either engine are unloaded, one at a time.

use super::{World, world};

const OLLAMA: &str = "ollama: its work is read";
const LM_STUDIO: &str = "mlx: its work is read, loaded qwen3 20 GB, is LM Studio";

/// Idle for long, then memory is short for ten minutes.
fn short(given: &[&str], first: &str) -> World {
    let mut world = world(given);
    world.pass(720);
    world.then(first, 20).then("memory is critical", 600);
    world
}

fn unloads(world: &World) -> usize {
    world.told("> mlx: unload") + world.told("> ollama: unload")
}

#[test]
fn r61_an_idle_model_of_an_mlx_server_that_can_unload_is_shed_and_nothing_is_restarted() {
    for (kind, what) in [
        ("LM Studio", "> mlx: unload qwen3"),
        ("oMLX", "> mlx: unload qwen3"),
        ("mlx-omni-server", "> mlx: unload"),
    ] {
        let given = format!("mlx: its work is read, loaded qwen3 20 GB, is {kind}");
        let world = short(&[OLLAMA, &given], "nothing happens");
        assert_eq!((world.told(what), unloads(&world)), (1, 1), "{kind}: {:?}", world.tale.lines);
        assert_eq!(world.told("unload mlx: done"), 1, "{kind}");
        assert_eq!(world.told("restart"), 0, "{kind}");
    }
}

#[test]
fn r61_what_frees_its_memory_by_a_restart_only_is_left_to_a_person() {
    let given = "mlx: its work is read, loaded qwen3 20 GB";
    let world = short(&[OLLAMA, given], "nothing happens");
    assert_eq!((unloads(&world), world.told("restart")), (0, 0), "{:?}", world.tale.lines);
}

#[test]
fn r61_an_mlx_model_that_is_used_pinned_or_not_known_to_be_idle_stays() {
    let none = |given: &[&str], first: &str| {
        let world = short(given, first);
        assert_eq!(unloads(&world), 0, "{given:?}, {first}: {:?}", world.tale.lines);
    };
    none(&[OLLAMA, LM_STUDIO], "mlx works");
    none(
        &[OLLAMA, "mlx: its work is read, loaded nomic-embed-text 1 GB, is LM Studio"],
        "nothing happens",
    );
    // Nobody could tell how hard it works.
    none(&[OLLAMA, "mlx: loaded qwen3 20 GB, is LM Studio"], "nothing happens");
    // Its models are held by processes that are not seen, and may work.
    none(&[OLLAMA, LM_STUDIO], "mlx holds 2 GB");
    none(&[OLLAMA, LM_STUDIO], "mlx hangs");
    none(&["ollama: keeps its models", LM_STUDIO], "nothing happens");
    none(&[OLLAMA, &format!("{LM_STUDIO}, heal observe")], "nothing happens");
    none(&[OLLAMA, &format!("{LM_STUDIO}, heal ask")], "nothing happens");
    // All of it goes at once, and a part of it is meant to stay.
    let two = "mlx: its work is read, loaded qwen3 20 GB, loaded nomic-embed-text 1 GB, is mlx-omni-server";
    none(&[OLLAMA, two], "nothing happens");
}

#[test]
fn r61_a_model_that_was_loaded_five_minutes_ago_is_not_idle() {
    let mut world = world(&[OLLAMA, "mlx: its work is read, is LM Studio"]);
    world.pass(720);
    world.then("mlx loads qwen3 20 GB", 0).then("mlx holds 21 GB", 120);
    world.then("memory is critical", 200);
    assert_eq!(unloads(&world), 0, "{:?}", world.tale.lines);
}

#[test]
fn r61_the_least_valuable_of_both_engines_goes_first() {
    for (ollama, mlx, first) in [(42, 20, "ollama"), (20, 42, "mlx")] {
        let given = [
            format!("ollama: its work is read, loaded llama3:70b {ollama} GB"),
            format!("mlx: its work is read, loaded qwen3 {mlx} GB, is LM Studio"),
        ];
        let mut world = world(&[&given[0], &given[1]]);
        world.pass(720);
        world.then("memory is critical", 45);
        assert_eq!(world.told(&format!("> {first}: unload")), 1, "{:?}", world.tale.lines);
        assert_eq!(unloads(&world), 1, "one at a time");
        world.pass(300);
        assert_eq!(unloads(&world), 2, "it was not enough");
    }
}

/// Loaded again after it was unloaded: somebody uses it. And one whose memory did not come back is
/// not asked again and again.
#[test]
fn r61_an_mlx_model_is_not_shed_twice_in_an_hour() {
    let mut world = short(&[OLLAMA, LM_STUDIO], "nothing happens");
    world.then("mlx loads qwen3 20 GB", 0).then("mlx holds 21 GB", 1500);
    assert_eq!(unloads(&world), 1, "{:?}", world.tale.lines);
    let world = short(&[OLLAMA, LM_STUDIO], "mlx does not let go of its models");
    assert_eq!(world.told("unload mlx: failed: step.not_unloaded"), 1, "{:?}", world.tale.lines);
    assert_eq!(unloads(&world), 1);
}
