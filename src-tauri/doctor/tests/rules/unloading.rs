//! C4: an unload is proven by the memory that comes back, and by nothing else.

use doctor::{MlxServer, Step};

use super::{World, world};

fn unloads(world: &World) -> usize {
    let steps = world.treatments.iter().map(|(_, treatment)| &treatment.what);
    steps.filter(|step| matches!(step, Step::Unload { .. } | Step::UnloadMlx { .. })).count()
}

#[test]
fn c4_memory_that_came_back_is_proof() {
    let mut world = world(&["ollama: loaded llama3:8b 6 GB"]);
    world.then("a person asks: unload llama3:8b", 10);
    assert_eq!(world.told("unload ollama: done"), 1, "{:?}", world.tale.lines);
}

/// It has left the list, and its process lives on with its memory.
#[test]
fn c4_a_runner_that_lives_on_is_a_failure_that_names_it() {
    let mut world = world(&["ollama: loaded llama3:70b 40 GB, its work is read"]);
    world.then("ollama leaves a runner behind", 0);
    world.then("a person asks: unload llama3:70b", 10);
    assert_eq!(world.told("unload ollama: failed: step.not_unloaded"), 1, "{:?}", world.tale.lines);
    let unload = world.doctor.operations().find(|one| one.target == doctor::TargetId::Ollama);
    let log = &unload.expect("the unload").log;
    let held = log.iter().find(|(_, says)| says.key == "step.unload_held").expect("who holds it");
    assert_eq!(held.1.values.get("pid"), Some(&doctor::Value::Count(977)));
}

/// A missing model is no reason not to unload another.
#[test]
fn c4_what_is_degraded_but_answers_unloads_as_well() {
    let mut world = world(&["ollama: loaded llama3:8b 6 GB, wants llama3:70b"]);
    world.then("ollama lacks llama3:70b", 400);
    assert_eq!(world.phase("ollama"), "degraded");
    world.then("a person asks: unload llama3:8b", 10);
    assert_eq!(unloads(&world), 1);
}

#[test]
fn c4_not_while_it_does_not_answer() {
    let mut world = world(&["ollama: loaded llama3:8b 6 GB, heal observe"]);
    world.then("ollama hangs", 60).then("a person asks: unload llama3:8b", 10);
    assert_eq!((unloads(&world), world.told("why.ollama_unwell")), (0, 1));
}

/// Which kinds of MLX server can let go of a model (FACTS B.2), and which only by name.
#[test]
fn c4_mlx_unloads_where_its_kind_can() {
    for (server, all, one) in [
        (MlxServer::MlxLm, "why.restart_to_free", "why.restart_to_free"),
        (MlxServer::OpenAi, "why.restart_to_free", "why.restart_to_free"),
        (MlxServer::ModelServer, "why.restart_to_free", "why.restart_to_free"),
        (MlxServer::Unrecognised, "why.restart_to_free", "why.restart_to_free"),
        (MlxServer::Omni, "accepted for mlx", "accepted for mlx"),
        (MlxServer::Omlx, "why.name_the_model", "accepted for mlx"),
        (MlxServer::LmStudio, "why.name_the_model", "accepted for mlx"),
    ] {
        for (what, expected) in [("mlx", all), ("mlx:qwen3", one)] {
            let mut world = world(&["mlx"]);
            if let Some(mlx) = &mut world.mlx {
                mlx.kind = server;
            }
            world.pass(400);
            world.then(&format!("a person asks: unload {what}"), 5);
            assert_eq!(world.told(expected), 1, "{server:?} {what}: {:?}", world.tale.lines);
            assert_eq!(unloads(&world), usize::from(expected.starts_with("accepted")));
        }
    }
}
