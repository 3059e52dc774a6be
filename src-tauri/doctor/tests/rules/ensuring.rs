//! C3, R64: models that are to exist are brought by a person's wish, and by nothing else.

use doctor::{Progress, Reserve, Step, Verb};

use super::{World, world};

const WANTED: &str = "ollama: wants llama3:70b, wants tuned made from llama3:8b";

/// What was ordered, as steps.
fn steps(world: &World) -> Vec<&Step> {
    world.treatments.iter().map(|(_, treatment)| &treatment.what).collect()
}

fn offers(world: &World) -> bool {
    world.doctor.actions(&doctor::TargetId::Ollama).contains(&Verb::Ensure)
}

fn find(model: &str) -> Step {
    Step::FindModel { model: model.into() }
}

fn prove(model: &str) -> Step {
    Step::Prove { model: model.into() }
}

#[test]
fn c3_a_missing_model_is_offered_and_never_brought_by_itself() {
    let mut world = world(&[WANTED]);
    assert!(!offers(&world), "nothing is known to be missing");
    world.then("ollama lacks llama3:70b", 24 * 3600);
    assert!(offers(&world));
    assert!(world.nothing_done(), "{:?}", world.treatments);
}

/// Missing from the disk, but nobody configured it: there is nothing to offer.
#[test]
fn c3_what_is_not_configured_is_not_offered() {
    let mut world = world(&["ollama: wants qwen3:8b"]);
    world.then("ollama lacks llama3:70b", 600);
    assert!(!offers(&world));
}

#[test]
fn c3_pulled_or_made_from_its_base_and_proven() {
    let mut world = world(&[WANTED]);
    world.then("a person asks: ensure", 2000);
    let pull = |model: &str| Step::Pull {
        model: model.into(),
        reserve: Reserve { bytes: 10 << 30, percent: 5 },
    };
    let create =
        Step::Create { model: "tuned".into(), modelfile: "/home/ann/tuned.Modelfile".into() };
    let expected = [
        find("llama3:70b"),
        pull("llama3:70b"),
        prove("llama3:70b"),
        find("tuned"),
        // Its base is there already.
        find("llama3:8b"),
        create,
        prove("tuned"),
    ];
    assert_eq!(steps(&world), expected.iter().collect::<Vec<_>>());
    assert_eq!(world.told("ensure ollama: done"), 1, "{:?}", world.tale.lines);
}

#[test]
fn c3_the_base_is_pulled_first() {
    let mut world = world(&["ollama: wants tuned made from qwen3:32b"]);
    world.then("a person asks: ensure", 2000);
    let names: Vec<String> = steps(&world).iter().map(|step| format!("{step:?}")).collect();
    let at = |part: &str| names.iter().position(|name| name.starts_with(part));
    assert!(at("Pull").is_some() && at("Pull") < at("Create"), "{names:?}");
    assert!(names[at("Pull").unwrap_or_default()].contains("qwen3:32b"), "{names:?}");
}

#[test]
fn c3_what_exists_is_only_proven() {
    let mut world = world(&["ollama"]);
    world.then("a person asks: ensure llama3:8b", 60);
    assert_eq!(steps(&world), [&find("llama3:8b"), &prove("llama3:8b")]);
}

#[test]
fn c3_one_that_cannot_be_had_leaves_the_others() {
    let mut world = world(&["ollama: wants nowhere:1b, wants llama3:8b"]);
    world.then("a person asks: ensure", 600);
    assert_eq!(steps(&world).last(), Some(&&prove("llama3:8b")));
    assert_eq!(world.told("ensure ollama: failed: step.not_ensured"), 1, "{:?}", world.tale.lines);
}

#[test]
fn c3_nothing_configured_and_nothing_named_is_said() {
    let mut world = world(&["ollama"]);
    world.then("a person asks: ensure", 10);
    assert_eq!(world.told("why.nothing_to_ensure"), 1);
    assert!(world.nothing_done());
}

#[test]
fn c3_not_while_memory_is_short() {
    let mut world = world(&[WANTED]);
    world.then("memory is under pressure", 30);
    world.then("a person asks: ensure", 10);
    assert_eq!(world.told("why.under_pressure"), 1, "{:?}", world.tale.lines);
    assert!(!steps(&world).iter().any(|step| matches!(step, Step::FindModel { .. })));
}

/// A download takes an hour; memory may be needed within it.
#[test]
fn c3_a_download_keeps_no_unload_waiting() {
    let mut world = world(&["ollama: loaded llama3:8b 6 GB, wants llama3:70b"]);
    world.then("a person asks: ensure", 60);
    assert!(matches!(steps(&world).last(), Some(Step::Pull { .. })));
    world.then("a person asks: unload llama3:8b", 10);
    assert!(matches!(steps(&world).last(), Some(Step::Unload { .. })), "{:?}", steps(&world));
}

/// The same wish twice is one download.
#[test]
fn c3_the_same_wish_joins_the_one_that_runs() {
    let mut world = world(&[WANTED]);
    world.then("a person asks: ensure", 60).then("a person asks: ensure", 60);
    let running = world.doctor.operations().filter(|one| one.verb == Verb::Ensure);
    assert_eq!(running.count(), 1);
}

#[test]
fn c3_a_download_tells_how_far_it_is_and_can_be_cancelled() {
    let mut world = world(&[WANTED]);
    world.then("a person asks: ensure", 400);
    let ensure = world.doctor.operations().find(|one| one.verb == Verb::Ensure).expect("it runs");
    let (done, of) = (20 << 30, 40 << 30);
    assert_eq!(ensure.progress, Some(Progress { done, of, about: "llama3:70b".into() }));
    let before = steps(&world).len();
    world.then("a person asks: cancel what is ensured", 1200);
    assert_eq!(world.told("ensure ollama: superseded: step.cancelled"), 1);
    assert_eq!(steps(&world).len(), before, "nothing follows");
}

/// A stop or a restart that is half done is worse than either end (R24).
#[test]
fn r24_a_remedy_is_not_cancelled() {
    let mut world = world(&["ollama"]);
    world.then("ollama dies", 25);
    let remedy = world.doctor.operations().find(|one| one.is_running()).expect("a remedy");
    assert!(!remedy.can_be_cancelled());
    let id = remedy.id.clone();
    world.wish(doctor::Wish::Cancel { operation: id.clone() }, doctor::Asker::Person);
    world.pass(1);
    assert!(world.doctor.operations().any(|one| one.id == id && one.is_running()));
    assert_eq!(world.told("why.not_to_cancel"), 1, "{:?}", world.tale.lines);
}

#[test]
fn r64_what_would_fill_the_disk_is_refused() {
    const GB: u64 = 1 << 30;
    let reserve = Reserve { bytes: 10 * GB, percent: 5 };
    // On a small disk 10 GB must stay, on a large one 5 %.
    assert!(reserve.allows(30 * GB, 40 * GB, 100 * GB));
    assert!(!reserve.allows(30 * GB + 1, 40 * GB, 100 * GB));
    assert!(reserve.allows(30 * GB, 130 * GB, 2000 * GB));
    assert!(!reserve.allows(31 * GB, 130 * GB, 2000 * GB));
    // What is there already needs no room.
    assert!(reserve.allows(0, GB, 100 * GB));
    assert!(!reserve.allows(u64::MAX, u64::MAX, 100 * GB));
}
