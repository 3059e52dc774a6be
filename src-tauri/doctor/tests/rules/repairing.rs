//! A8: models are read on a wish, what is broken is named, and mended by a person's word alone.

use doctor::{Asker, Step, Verb, Wish};

use super::{World, world};

fn steps(world: &World) -> Vec<String> {
    world
        .treatments
        .iter()
        .map(|(_, treatment)| {
            if let Step::RemoveBroken { model } = &treatment.what {
                format!("remove {model}")
            } else if let Step::Pull { model, .. } = &treatment.what {
                format!("pull {model}")
            } else if let Step::Create { model, .. } = &treatment.what {
                format!("create {model}")
            } else if let Step::Prove { model } = &treatment.what {
                format!("prove {model}")
            } else {
                format!("{:?}", treatment.what)
            }
        })
        .collect()
}

fn offers(world: &World) -> bool {
    world.doctor.actions(&doctor::TargetId::Ollama).contains(&Verb::Repair)
}

#[test]
fn a8_a_broken_model_is_offered_for_repair_and_never_touched_by_itself() {
    let mut world = world(&["ollama"]);
    assert!(!offers(&world));
    world.then("ollama has a broken blob of llama3:8b", 24 * 3600);
    assert_eq!(world.cause("ollama"), "ollama.model_corrupt");
    assert!(offers(&world));
    assert!(world.nothing_done(), "{:?}", world.treatments);
}

#[test]
fn a8_a_person_has_it_removed_and_brought_anew() {
    let mut world = world(&["ollama"]);
    world.then("ollama has a broken blob of llama3:8b", 400);
    world.then("a person asks: repair everything broken", 1000);
    let expected = ["remove llama3:8b", "pull llama3:8b", "prove llama3:8b"];
    assert_eq!(steps(&world), expected);
    assert_eq!(world.told("repair ollama: done"), 1, "{:?}", world.tale.lines);
    assert_eq!(world.cause("ollama"), "none");
}

/// What was made from a Modelfile is in no registry.
#[test]
fn a8_what_was_made_from_a_file_is_made_again() {
    let mut world = world(&["ollama: wants tuned made from llama3:8b"]);
    world.then("ollama has a broken blob of tuned", 400);
    world.then("a person asks: repair tuned", 1000);
    assert_eq!(steps(&world), ["remove tuned", "pull llama3:8b", "create tuned", "prove tuned"]);
}

#[test]
fn a8_what_is_whole_is_only_proven() {
    let mut world = world(&["ollama"]);
    world.then("a person asks: repair llama3:8b", 100);
    assert_eq!(steps(&world), ["remove llama3:8b", "prove llama3:8b"]);
    world.then("a person asks: repair everything broken", 5);
    assert_eq!(world.told("why.nothing_broken"), 1);
}

#[test]
fn a8_no_agent_has_files_removed() {
    let mut world = world(&["ollama"]);
    world.then("ollama has a broken blob of llama3:8b", 400);
    for by in [Asker::Agent, Asker::Doctor] {
        world.wish(Wish::Repair { model: None }, by);
    }
    world.pass(10);
    assert!(world.nothing_done());
    assert_eq!(world.told("why.only_a_person"), 2);
}

#[test]
fn a8_reading_finds_and_changes_nothing() {
    let mut world = world(&["ollama"]);
    world.then("a person asks: verify the models", 60);
    assert_eq!(world.told("verify ollama: done"), 1, "{:?}", world.tale.lines);
    world.then("ollama has a broken blob of llama3:8b", 0);
    world.then("a person asks: verify the models", 60);
    assert_eq!(world.told("verify ollama: failed: step.models_broken"), 1);
    assert!(steps(&world).iter().all(|step| step.starts_with("VerifyModels")));
}
