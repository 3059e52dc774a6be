//! Models that are to exist: pulled, created, proven; broken off, refused, and never brought unasked.

use serde_json::json;
use tests::{Control, Engine, Model, Ollama, Published, Weights, eventually, programs};

use crate::{SOON, cause_is, without_mcp};

const MEGABYTES: usize = 4 << 20;

/// An engine that wants `base` and `tuned`, which is made from `base`; none of them is there.
fn wanting(published: Published) -> (Ollama, Engine) {
    let ollama = Ollama::start(&[Model::named("other:latest")]).unwrap();
    ollama.publish(&[published]).unwrap();
    let file = ollama.directory().join("tuned.Modelfile");
    std::fs::write(&file, "FROM base\nSYSTEM You are short.\n").unwrap();
    let configuration = format!(
        "[ollama]\nurl = \"{}\"\n[[ollama.ensure]]\nmodel = \"tuned\"\nmodelfile = \"{}\"\nbase = \"base\"\n",
        ollama.url(),
        file.display()
    );
    let engine = Engine::start(&configuration, &ollama.environment()).unwrap();
    // It is told and offered, and nothing is brought by itself.
    let target = engine.wait_for_target("ollama", "a missing model", SOON, |target| {
        cause_is(target, "ollama.model_missing")
    });
    assert!(target.actions.contains(&"ensure".to_owned()), "{:?}", target.actions);
    assert!(!installed(&ollama, "base:latest"));
    (ollama, engine)
}

fn base() -> Published {
    Published::new(Model::named("base:latest"), Weights::new("base ", MEGABYTES))
}

struct Ended {
    code: Option<i32>,
    said: String,
}

fn ensure(engine: &Engine, more: &[&str]) -> Ended {
    let output = engine.command("ensure").unwrap().args(more).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Ended { code: output.status.code(), said: String::from_utf8_lossy(&said).into_owned() }
}

fn installed(ollama: &Ollama, name: &str) -> bool {
    tests::fake_ollama::blob_of(&ollama.models(), name).is_some()
}

#[test]
fn a_missing_model_is_made_from_its_base_and_proven() {
    let _alone = without_mcp();
    let (ollama, engine) = wanting(base());
    let Ended { code, said } = ensure(&engine, &[]);
    assert_eq!(code, Some(0), "{said}");
    for part in ["Downloaded base", "Created tuned", "tuned works", "3.2B", "Q4_K_M", "verified"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(installed(&ollama, "tuned:latest") && installed(&ollama, "base:latest"));
    // It was not in memory before, and is not after the proof.
    eventually("no runner", SOON, || (ollama.running().len() == 1).then_some(()));
    // A second time there is nothing to bring.
    let Ended { code, said } = ensure(&engine, &["tuned"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("is installed") && !said.contains("Downloaded"), "{said}");
}

#[test]
fn a_model_that_only_embeds_is_proven_by_an_embedding() {
    let _alone = without_mcp();
    let model = Model::embedding("nomic:latest");
    let (ollama, engine) = wanting(Published::new(model, Weights::new("n", MEGABYTES)));
    let Ended { code, said } = ensure(&engine, &["nomic"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nomic works"), "{said}");
    assert!(ollama.log().contains("/api/embed"), "{}", ollama.log());
}

#[test]
fn an_error_after_the_200_is_a_failure_with_its_words() {
    let _alone = without_mcp();
    let error = Some("max retries exceeded: unexpected EOF".to_owned());
    let (ollama, engine) = wanting(Published { error, ..base() });
    let Ended { code, said } = ensure(&engine, &["base"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("max retries exceeded"), "{said}");
    assert!(!installed(&ollama, "base:latest"));
    let Ended { code, said } = ensure(&engine, &["nobody/knows"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("file does not exist"), "{said}");
}

#[test]
fn what_answers_nothing_is_not_proven() {
    let _alone = without_mcp();
    let (ollama, engine) = wanting(base());
    let control = Control {
        mode: tests::Mode::EmptyAnswers,
        path: "/api/generate".into(),
        ..Control::default()
    };
    ollama.misbehave(&control).unwrap();
    let Ended { code, said } = ensure(&engine, &["base"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("base does not work"), "{said}");
}

/// No disk of any machine that runs this holds an exabyte.
#[test]
fn a_download_that_would_fill_the_disk_is_refused() {
    let _alone = without_mcp();
    let (ollama, engine) = wanting(Published { claims: Some(1 << 60), pause_ms: 500, ..base() });
    let Ended { code, said } = ensure(&engine, &["base"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("must stay free"), "{said}");
    assert!(!installed(&ollama, "base:latest"));
}

#[test]
fn a_download_tells_its_progress_and_is_broken_off_by_an_interrupt() {
    let _alone = without_mcp();
    let (ollama, engine) = wanting(Published { pause_ms: 1000, ..base() });
    let mut command = engine.command("ensure").unwrap().arg("base").spawn().unwrap();
    let progress = |snapshot: &engine::view::Snapshot| {
        snapshot.operations.iter().any(|one| one.done.is_some() && one.text.contains("downloaded"))
    };
    engine.wait_for("a progress", SOON, progress);
    programs::send(command.id(), rustix::process::Signal::INT).unwrap();
    let status = eventually("the command's end", SOON, || command.try_wait().ok().flatten());
    assert_eq!(status.code(), Some(1));
    eventually("Ollama hears of it", SOON, || {
        ollama.log().contains("the client of a pull has gone").then_some(())
    });
    assert!(!installed(&ollama, "base:latest"));
}

#[test]
fn a_modelfile_that_is_gone_is_said() {
    let _alone = without_mcp();
    let (ollama, engine) = wanting(base());
    std::fs::remove_file(ollama.directory().join("tuned.Modelfile")).unwrap();
    let Ended { code, said } = ensure(&engine, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("tuned.Modelfile is not there"), "{said}");
    let refused = engine.post("/targets/mlx/ensure", &json!({})).unwrap();
    assert_eq!(refused.status().as_u16(), 422);
}
