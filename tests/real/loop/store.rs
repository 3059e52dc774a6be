//! Models on disk: what is missing, cut or flipped is told with every model that shares it, and mended by
//! a person's word.

use std::path::{Path, PathBuf};

use tests::fake_ollama::{blob_of, install};
use tests::{Engine, Fault, FaultServer, Model, Ollama, Published, Weights};

use crate::{SOON, cause_is, is_healthy, without_mcp};

const BYTES: usize = 3 << 20;

/// Two models that share their weights, and one of its own.
/// The registry has the first of them.
fn three_models() -> (Ollama, Engine, FaultServer) {
    let names = ["one:latest", "two:latest", "other:latest"];
    let ollama = Ollama::start(&names.map(Model::named)).unwrap();
    let shared = Weights::new("shared ", BYTES);
    for (name, weights) in names.iter().zip([&shared, &shared, &Weights::new("own ", BYTES)]) {
        install(&ollama.models(), name, weights).unwrap();
    }
    ollama.publish(&[Published::new(Model::named("one:latest"), shared)]).unwrap();
    let library = ollama.models().join("manifests/registry.ollama.ai/library");
    let manifest = std::fs::read_to_string(library.join("one/latest")).unwrap();
    let registry = FaultServer::start(Fault::json(&manifest)).unwrap();
    let configuration = format!(
        "[ollama]\nurl = \"{}\"\nregistry = \"{}\"\n[schedule]\nfull_check = \"30s\"\n",
        ollama.url(),
        registry.url("/")
    );
    let engine = Engine::start(&configuration, &ollama.environment()).unwrap();
    engine.wait_for_target("ollama", "healthy", SOON, is_healthy);
    (ollama, engine, registry)
}

fn weights(ollama: &Ollama, name: &str) -> PathBuf {
    blob_of(&ollama.models(), name).unwrap()
}

fn name_of(blob: &Path) -> String {
    blob.file_name().unwrap().to_string_lossy().into_owned()
}

/// `homeostat VERB MORE…`: its exit code and all it said.
fn homeostat(engine: &Engine, arguments: &[&str]) -> (Option<i32>, String) {
    let output = engine.command(arguments[0]).unwrap().args(&arguments[1..]).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_cut_blob_is_a_cause_that_names_every_model_that_shares_it() {
    let _alone = without_mcp();
    let (ollama, engine, _registry) = three_models();
    let blob = weights(&ollama, "one:latest");
    std::fs::File::options().write(true).open(&blob).unwrap().set_len(1000).unwrap();
    let target = engine.wait_for_target("ollama", "the cause", SOON * 2, |target| {
        cause_is(target, "ollama.model_corrupt")
    });
    let evidence = target.cause.unwrap().evidence.join("\n");
    for part in ["one:latest", "two:latest", &name_of(&blob)] {
        assert!(evidence.contains(part), "{part}: {evidence}");
    }
    assert!(!evidence.contains("other:latest"), "{evidence}");
    assert!(target.actions.contains(&"repair".to_owned()), "{:?}", target.actions);
    assert!(blob.exists(), "nothing is removed by itself");
}

#[test]
fn a_flipped_byte_is_found_by_reading_and_mended_by_a_person() {
    let _alone = without_mcp();
    let (ollama, engine, _registry) = three_models();
    let (code, said) = homeostat(&engine, &["verify", "--models"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("3 models are intact"), "{said}");

    let blob = weights(&ollama, "two:latest");
    let whole = std::fs::read(&blob).unwrap();
    let mut flipped = whole.clone();
    flipped[BYTES / 2] ^= 1;
    std::fs::write(&blob, &flipped).unwrap();
    let (code, said) = homeostat(&engine, &["verify", "--models", "other"]);
    assert_eq!(code, Some(0), "the other one is whole: {said}");
    let (code, said) = homeostat(&engine, &["verify", "--models", "one"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("one:latest") && said.contains("two:latest"), "{said}");
    assert!(said.contains(&name_of(&blob)), "{said}");
    engine.wait_for_target("ollama", "the cause", SOON, |target| {
        cause_is(target, "ollama.model_corrupt")
    });
    assert_eq!(std::fs::read(&blob).unwrap(), flipped, "reading changes nothing");

    let (code, said) = homeostat(&engine, &["repair", "one"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Removed sha256-") && said.contains("one works"), "{said}");
    assert_eq!(std::fs::read(&blob).unwrap(), whole, "for both that share it");
    engine.wait_for_target("ollama", "healthy", SOON, is_healthy);
    let (code, said) = homeostat(&engine, &["repair"]);
    assert_eq!(code, Some(1), "nothing is broken any more: {said}");
}

/// The registry has a model of that name, and it is a stranger's.
#[test]
fn a_model_that_was_made_here_is_never_replaced_by_a_strangers() {
    let _alone = without_mcp();
    let (ollama, engine, _registry) = three_models();
    let blob = weights(&ollama, "other:latest");
    std::fs::File::options().write(true).open(&blob).unwrap().set_len(1000).unwrap();
    let (code, said) = homeostat(&engine, &["repair", "other"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("ollama create other -f MODELFILE"), "{said}");
    assert_eq!(std::fs::metadata(&blob).unwrap().len(), 1000, "nothing was removed");
}

/// The server runs as another user and lists nothing, while our own user's models lie there.
#[test]
fn a_server_of_another_user_is_told_by_its_owner_and_ours() {
    let _alone = without_mcp();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut ollama = Ollama::install(&[]).unwrap();
    install(&ollama.models(), "one:latest", &Weights::new("ours ", 4096)).unwrap();
    ollama.serve_as(65534).unwrap();
    ollama.await_answer();
    let configuration =
        format!("[ollama]\nurl = \"{}\"\n[schedule]\nfull_check = \"30s\"\n", ollama.url());
    let engine = Engine::start(&configuration, &ollama.environment()).unwrap();
    let target = engine.wait_for_target("ollama", "the cause", SOON * 2, |target| {
        cause_is(target, "ollama.other_user")
    });
    let evidence = target.cause.unwrap().evidence.join("\n");
    assert!(evidence.contains('1'), "one manifest: {evidence}");
}
