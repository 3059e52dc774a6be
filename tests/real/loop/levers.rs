//! Whose process it is, what it was started with, and what it leaves behind.

use std::path::Path;

use tests::{Engine, Model, Ollama, wait_until};

use crate::ollama::{healthy, watching_with};
use crate::{SLACK, SOON, VERDICT_CLOSED, VERIFIED, without_mcp};

/// What a process was started with.
fn variable(pid: u32, name: &str) -> Option<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let value = |word: &str| Some(word.strip_prefix(name)?.strip_prefix('=')?.to_owned());
    text.split('\0').find_map(value)
}

/// For an engine that knows where the program is and nothing of its settings.
fn without_settings(ollama: &Ollama) -> Vec<(String, String)> {
    let mut environment = ollama.environment();
    environment.retain(|(name, _)| !name.starts_with("OLLAMA_"));
    environment.push(("OLLAMA_DEBUG".into(), "1".into()));
    environment
}

fn mode(file: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[test]
fn started_by_hand_with_settings_of_its_own_it_comes_back_with_the_same() {
    let _alone = without_mcp();
    let mut ollama = Ollama::install(&[Model::named("llama3.2:latest")]).unwrap();
    let models = ollama.directory().join("elsewhere").display().to_string();
    let settings = [("OLLAMA_MODELS", models.as_str()), ("OLLAMA_API_KEY", "s3cret")];
    ollama.serve_set(&settings).unwrap();
    ollama.await_answer();
    let mut engine: Engine = watching_with(&ollama, &without_settings(&ollama));
    healthy(&engine);
    let file = engine.data().join("environment.json");
    wait_until("what it was started with is written down", SOON, || file.exists());
    assert_eq!(mode(&file), 0o600);

    // We are started anew while it is down: what is remembered outlives us.
    engine.kill().unwrap();
    ollama.kill().unwrap();
    engine.run().unwrap();
    engine.await_health().unwrap();
    wait_until("its return", VERDICT_CLOSED + SLACK + VERIFIED, || !ollama.running().is_empty());
    ollama.await_answer();
    let [now] = ollama.running()[..] else { panic!("{:?}", ollama.running()) };
    assert_eq!(variable(now, "OLLAMA_MODELS").as_deref(), Some(models.as_str()));
    assert_eq!(variable(now, "OLLAMA_API_KEY").as_deref(), Some("s3cret"));
    // What is only ours is none of its settings.
    assert_eq!(variable(now, "OLLAMA_DEBUG"), None);
    assert!(!engine.log().contains("s3cret"), "a value was logged");
}
