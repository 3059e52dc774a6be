//! C4: an unload is proven by the memory that comes back, and by nothing else.

use doctor::{MlxServer, Step};

use super::{World, world};

fn unloads(world: &World) -> usize {
    let steps = world.treatments.iter().map(|(_, treatment)| &treatment.what);
    steps.filter(|step| matches!(step, Step::Unload { .. } | Step::UnloadMlx { .. })).count()
}

fn mlx_models(world: &World) -> Vec<String> {
    let steps = world.treatments.iter().map(|(_, treatment)| &treatment.what);
    let models = steps.filter_map(|step| {
        if let Step::UnloadMlx { model, .. } = step { model.clone() } else { None }
    });
    models.collect()
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

/// What the MLX server holds goes where Ollama has nothing to say; pinned ones stay.
#[test]
fn c4_what_an_mlx_server_holds_is_unloaded_where_it_runs_alone() {
    let mlx = "mlx: is LM Studio, its work is read, loaded qwen3 8 GB, loaded nomic-embed-text 1 GB, \
               loaded gemma 4 GB";
    for ollama in [None, Some("ollama: heal observe")] {
        let given: Vec<&str> = ollama.into_iter().chain([mlx]).collect();
        let mut world = world(&given);
        if ollama.is_some() {
            world.then("ollama hangs", 60);
        }
        world.pass(60);
        world.then("a person asks: unload all", 60);
        assert_eq!(world.told("unload mlx: done"), 1, "{:?}", world.tale.lines);
        // What is pinned stands with Ollama's settings.
        let expected: &[&str] = match ollama {
            Some(_) => &["qwen3", "gemma"],
            None => &["qwen3", "nomic-embed-text", "gemma"],
        };
        assert_eq!(mlx_models(&world), expected);
        let unload = world.doctor.operations().find(|one| one.target == doctor::TargetId::Mlx);
        let log = &unload.expect("the unload").log;
        let says = log.iter().any(|(_, says)| says.key == "step.ollama_left_out");
        assert_eq!(says, ollama.is_some(), "{log:?}");
    }
}

/// As `status` prints it, without `mlx:`.
#[test]
fn c4_a_bare_name_is_found_at_the_server_that_has_it_in_memory() {
    for ollama in [None, Some("ollama: loaded llama3:8b 6 GB")] {
        let given = ollama.into_iter().chain(["mlx: is LM Studio, loaded qwen3 8 GB"]);
        let mut world = world(&given.collect::<Vec<_>>());
        world.pass(60);
        world.then("a person asks: unload qwen3", 30);
        assert_eq!(mlx_models(&world), ["qwen3"], "{:?}", world.tale.lines);
        world.then("a person asks: unload llama3:8b", 30);
        assert_eq!(mlx_models(&world), ["qwen3"], "it is not MLX's");
        assert_eq!(unloads(&world), 1 + usize::from(ollama.is_some()), "{ollama:?}");
    }
}

/// That it is idle must have been seen of its processes.
#[test]
fn c4_idle_of_an_mlx_server_is_what_nobody_asked_for_in_ten_minutes() {
    let mut world = world(&["mlx: is LM Studio, its work is read, loaded qwen3 8 GB"]);
    world.pass(60);
    world.then("a person asks: unload idle", 30);
    assert_eq!(unloads(&world), 0, "{:?}", world.tale.lines);
    world.pass(700);
    world.then("a person asks: unload idle", 30);
    assert_eq!(mlx_models(&world), ["qwen3"], "{:?}", world.tale.lines);
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
