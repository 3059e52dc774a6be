//! Models: unloading gives memory back and says how much, measuring tells how fast each is.

use std::time::Duration;

use engine::view::Target;
use serde_json::{Value, json};
use tests::fake_ollama::{NEVER, install};
use tests::{Control, Engine, Model, Ollama, Weights, eventually, http};

use crate::{SOON, VERIFIED, cause_is, is_healthy, without_mcp};

const HELD: u64 = 200 << 20;

fn two_models() -> (Ollama, Engine) {
    let mut large = Model::named("large:latest");
    large.memory_bytes = HELD;
    let ollama = Ollama::start(&[large, Model::named("small:latest")]).unwrap();
    let configuration =
        format!("[ollama]\nurl = \"{}\"\n[schedule]\nfull_check = \"30s\"\n", ollama.url());
    let engine = Engine::start(&configuration, &ollama.environment()).unwrap();
    engine.wait_for_target("ollama", "healthy", SOON, is_healthy);
    (ollama, engine)
}

/// `homeostat VERB MORE…`, which must end well; what it printed.
fn homeostat(engine: &Engine, verb: &str, more: &[&str]) -> String {
    let output = engine.command(verb).unwrap().args(more).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{verb} {more:?}: {said}{errors}");
    said
}

#[test]
fn an_unload_waits_until_the_memory_is_back_and_says_how_much() {
    let _alone = without_mcp();
    let (ollama, engine) = two_models();
    load(&ollama, "large:latest");
    engine.wait_for("the model in memory", SOON, |snapshot| snapshot.models.len() == 1);

    let said = homeostat(&engine, "unload", &["large:latest"]);
    assert!(said.contains("large:latest"), "{said}");
    assert_eq!(ollama.running().len(), 1, "the runner is gone when the command returns");
    // The runner really held 200 MB, and a page more or less is the system's.
    let megabytes: Vec<u64> = said
        .split_whitespace()
        .collect::<Vec<_>>()
        .windows(2)
        .filter(|pair| pair[1].starts_with("MB"))
        .filter_map(|pair| pair[0].split(['.', ',']).next()?.parse().ok())
        .collect();
    assert!(megabytes.iter().any(|freed| (190..=260).contains(freed)), "{said}");
    eventually("no model in memory", SOON, || {
        engine.status().unwrap().models.is_empty().then_some(())
    });
    let idle = engine.command("unload").unwrap().arg("--idle").output().unwrap();
    assert_eq!(idle.status.code(), Some(1), "nothing is idle, and that is said");
}

/// The answer comes at once, the list forgets the model at once, and the process lives on for seconds.
#[test]
fn an_unload_waits_for_the_process_and_not_for_the_list() {
    let _alone = without_mcp();
    let (ollama, engine) = two_models();
    load(&ollama, "large:latest");
    engine.wait_for("the model in memory", SOON, |snapshot| snapshot.models.len() == 1);
    ollama.misbehave(&Control { unload_ms: 4000, ..Control::default() }).unwrap();
    let said = homeostat(&engine, "unload", &["large:latest"]);
    assert!(said.contains("of memory came free"), "{said}");
    assert_eq!(ollama.running().len(), 1, "the runner is gone when the command returns: {said}");
}

#[test]
fn a_runner_that_outlives_its_model_is_named_with_what_it_holds() {
    let _alone = without_mcp();
    let (ollama, engine) = two_models();
    // Which model a runner serves is told by the blob that it was started with.
    for name in ["large:latest", "small:latest"] {
        install(&ollama.models(), name, &Weights::new(name, 1 << 16)).unwrap();
        load(&ollama, name);
    }
    engine.wait_for("both in memory", SOON, |snapshot| snapshot.models.len() == 2);
    let before = ollama.running();
    ollama.misbehave(&Control { unload_ms: NEVER, ..Control::default() }).unwrap();
    let output = engine.command("unload").unwrap().arg("large:latest").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("still holds 20") && said.contains(" MB; "), "{said}");
    assert!(before.iter().any(|pid| said.contains(&format!("process {pid} "))), "{said}");
    // A minute later it is a cause, and still nothing is killed.
    let cause = |target: &Target| cause_is(target, "ollama.unload_stuck");
    let seen = engine.wait_for_target("ollama", "the cause", VERIFIED, cause);
    let evidence = seen.cause.unwrap().evidence.join(" ");
    assert!(evidence.contains("for a model that was unloaded"), "{evidence}");
    assert_eq!(ollama.running(), before);
}

fn load(ollama: &Ollama, model: &str) {
    let load = json!({ "model": model, "stream": false });
    let client = http::client(Duration::from_secs(30));
    client.post(format!("{}/api/generate", ollama.url())).json(&load).send().unwrap();
}

#[test]
fn every_model_is_measured_and_kept() {
    let _alone = without_mcp();
    let (_ollama, mut engine) = two_models();
    homeostat(&engine, "measure", &[]);
    let rows = |engine: &Engine| -> Vec<Value> {
        let text = homeostat(engine, "timings", &["--format", "json"]);
        let value: Value = serde_json::from_str(&text).unwrap();
        let list = value.as_array().or_else(|| value["timings"].as_array());
        list.cloned().unwrap_or_else(|| value["models"].as_array().cloned().unwrap_or_default())
    };
    let measured = rows(&engine);
    assert_eq!(measured.len(), 2, "{measured:#?}");
    let snapshot = engine.status().unwrap();
    for timing in &snapshot.timings {
        assert_eq!(timing.error, None, "{timing:#?}");
        assert!(timing.tokens_per_s.unwrap() > 0.0 && timing.load_ms.is_some(), "{timing:#?}");
        assert!(timing.first_token_ms.is_some(), "{timing:#?}");
    }
    assert!(snapshot.models.is_empty(), "each was unloaded after its measurement");
    for (format, mark) in [("table", "large:latest"), ("md", "|"), ("csv", ",")] {
        let text = homeostat(&engine, "timings", &["--format", format]);
        assert!(text.contains(mark) && text.contains("small:latest"), "{format}: {text}");
    }
    // What was measured is in the journal, not only in memory.
    assert!(engine.stop().unwrap().success());
    engine.run().unwrap();
    engine.await_health().unwrap();
    engine.wait_for("the measurements again", VERIFIED, |snapshot| snapshot.timings.len() == 2);
    assert_eq!(rows(&engine).len(), 2);
}
