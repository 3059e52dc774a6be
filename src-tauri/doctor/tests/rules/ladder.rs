//! The ladder of 1.8: the smallest remedy first, and the next one when it does not help.

use doctor::Step;

use super::{World, world};

const STUCK: &[&str] = &["ollama: its work is read, loaded llama3:8b 6 GB, loaded qwen3:14b 9 GB"];

fn steps(world: &World) -> Vec<&'static str> {
    let word = |step: &Step| match step {
        Step::Unload { .. } => "unload",
        Step::Prove { .. } => "prove",
        Step::Terminate(_) => "stop",
        Step::Start(_) => "start",
        Step::FindListener
        | Step::FindCopies
        | Step::Kill(_)
        | Step::AwaitGone(_)
        | Step::StartContainer { .. }
        | Step::ComposeUp(_)
        | Step::StopContainer { .. }
        | Step::UnloadMlx { .. }
        | Step::Measure { .. }
        | Step::FindModel { .. }
        | Step::Pull { .. }
        | Step::Create { .. }
        | Step::VerifyModels { .. }
        | Step::RemoveBroken { .. } => "",
    };
    let words = world.treatments.iter().map(|(_, treatment)| word(&treatment.what));
    words.filter(|word| !word.is_empty()).collect()
}

fn restarts(world: &World) -> usize {
    let ollama = world.doctor.patient(&doctor::TargetId::Ollama);
    ollama.map_or(0, |ollama| ollama.account.restarts.len())
}

/// One attempt of the episode, and no restart in the hour's ledger (R28).
#[test]
fn t18_a_stuck_model_is_unloaded_and_proven_before_anything_is_restarted() {
    for how in ["ollama gives no token", "ollama gives empty answers"] {
        let mut world = world(STUCK);
        world.then("ollama is cured by an unload", 0).then(how, 400);
        assert_eq!(steps(&world), ["unload", "prove"], "{how}");
        assert_eq!(world.phase("ollama"), "healthy", "{how}: {:?}", world.tale.lines);
        assert_eq!(world.told("unload ollama: done"), 1, "{how}: {:?}", world.tale.lines);
        assert_eq!(restarts(&world), 0, "{how}");
        let ollama = world.doctor.patient(&doctor::TargetId::Ollama).expect("ollama");
        assert_eq!(ollama.account.attempts, 1, "{how}");
        let unloaded: Vec<&Step> = world.treatments.iter().map(|(_, one)| &one.what).collect();
        let only = Step::Unload { models: vec!["llama3:8b".into()] };
        assert_eq!(unloaded.first(), Some(&&only), "only the one that is stuck");
    }
}

#[test]
fn t18_a_restart_follows_at_once_when_the_unload_does_not_help() {
    let mut world = world(STUCK);
    world.then("ollama gives no token", 400);
    assert_eq!(steps(&world), ["unload", "prove", "stop", "start"]);
    assert_eq!(world.told("restart ollama: done"), 1, "{:?}", world.tale.lines);
    assert_eq!(restarts(&world), 1);
    let at = |wanted: fn(&Step) -> bool| {
        world.treatments.iter().find(|(_, one)| wanted(&one.what)).map(|(at, _)| *at)
    };
    let unload = at(|step| matches!(step, Step::Unload { .. })).expect("an unload");
    let stop = at(|step| matches!(step, Step::Terminate(_))).expect("a stop");
    let waited = stop.awake.since(unload.awake).as_secs();
    assert!(waited <= 70, "{waited} s from the unload to the restart");
    let ollama = world.doctor.patient(&doctor::TargetId::Ollama).expect("ollama");
    assert_eq!(ollama.account.attempts, 1, "it was one attempt");
}

/// What will not leave memory is not asked for a token first.
#[test]
fn t18_a_model_that_stays_in_memory_is_met_by_the_restart_at_once() {
    let mut world = world(STUCK);
    world.then("ollama does not let go of its models", 0).then("ollama gives no token", 400);
    assert_eq!(steps(&world), ["unload", "stop", "start"]);
}

/// Stuck again within the episode: one unload was enough to see that it does not last.
#[test]
fn t18_a_model_is_unloaded_once_in_an_episode() {
    let mut world = world(STUCK);
    world.then("ollama is cured by an unload", 0).then("ollama gives no token", 400);
    assert_eq!(steps(&world), ["unload", "prove"]);
    world.then("ollama gives no token", 400);
    assert_eq!(steps(&world), ["unload", "prove", "stop", "start"]);
}

/// A server that hangs itself, or whose GPU session is lost, is not cured by taking a model away.
#[test]
fn t18_what_is_not_of_one_model_is_not_met_by_an_unload() {
    for what in ["ollama hangs", "ollama resets connections", "ollama dies"] {
        let mut world = world(STUCK);
        world.then(what, 120);
        assert!(!steps(&world).contains(&"unload"), "{what}: {:?}", steps(&world));
        assert!(steps(&world).contains(&"start"), "{what}: {:?}", steps(&world));
    }
}

/// Busy is not stuck: nobody's answer is cut off.
#[test]
fn t18_nothing_is_unloaded_while_it_works() {
    let mut world = world(STUCK);
    world.then("ollama works", 0).then("ollama gives no token", 400);
    assert_eq!(steps(&world), [""; 0]);
}
