//! The engine's own bad days: killed, started twice, its port taken, its files damaged.

use std::time::{Duration, Instant};

use tests::{Engine, Fault, FaultServer, Model, Ollama, eventually, wait_until};

use crate::{SLACK, SOON, VERDICT_CLOSED, VERIFIED, is_healthy, without_mcp};

const NO_DOCKER: &str =
    "[docker]\nhost = \"unix:///nonexistent/docker.sock\"\nheal = \"observe\"\n";

fn configuration(ollama: &Ollama) -> String {
    format!("{NO_DOCKER}[ollama]\nurl = \"{}\"\n", ollama.url())
}

#[test]
fn killed_at_any_moment_it_goes_on_with_the_same_incident() {
    let _alone = without_mcp();
    let mut ollama = Ollama::start(&[Model::named("m:latest")]).unwrap();
    let mut engine = Engine::start(&configuration(&ollama), &ollama.environment()).unwrap();
    engine.wait_for_target("ollama", "healthy", SOON, is_healthy);
    ollama.kill().unwrap();
    let opened = eventually("an incident", VERDICT_CLOSED + SLACK, || {
        engine.incidents().ok()?.into_iter().find(|incident| incident.target == "ollama")
    });
    // In the middle of the remedy, and again while it is proven; a third time it would only observe.
    for moment in [0, 2000] {
        wait_until("the moment", SOON, {
            let began = Instant::now();
            move || began.elapsed() >= Duration::from_millis(moment)
        });
        engine.kill().unwrap();
        engine.run().unwrap();
        engine.await_health().unwrap();
        let kept = engine.incidents().unwrap();
        assert!(kept.iter().any(|incident| incident.id == opened.id), "{kept:#?}");
    }
    engine.wait_for_target("ollama", "healthy", VERIFIED, is_healthy);
    ollama.await_answer();
    assert_eq!(ollama.running().len(), 1, "never two copies");
    let mut last = None;
    let began = Instant::now();
    while began.elapsed() < VERIFIED {
        last = engine.incident(&opened.id).ok();
        if last.as_ref().is_some_and(|incident| incident.closed.is_some()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the incident of before the kill does not end: {last:#?}");
}

#[test]
fn with_its_port_taken_it_heals_all_the_same_and_says_so() {
    let _alone = without_mcp();
    let mut ollama = Ollama::start(&[]).unwrap();
    let mut engine = Engine::prepare(&configuration(&ollama), &ollama.environment()).unwrap();
    let address = format!("127.0.0.1:{}", engine.port()).parse().unwrap();
    let taken = FaultServer::start_at(address, Fault::other_product()).unwrap();
    engine.run().unwrap();
    let port = engine.port().to_string();
    wait_until("a word about the port", SOON, || engine.log().contains(&port));
    ollama.kill().unwrap();
    wait_until("a new Ollama", VERDICT_CLOSED + SLACK + SOON, || !ollama.running().is_empty());
    ollama.await_answer();
    drop(taken);
    eventually("its own answer once the port is free", Duration::from_mins(1), || {
        engine.status().ok()
    });
}

#[test]
fn a_second_copy_ends_with_a_word_about_the_first() {
    let engine = Engine::start(NO_DOCKER, &[]).unwrap();
    let second = engine.command("run").unwrap().output().unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains(&engine.pid().unwrap().to_string()), "{said}");
    assert!(engine.get("/health").unwrap().status().is_success());
}

#[test]
fn a_typo_in_the_configuration_leaves_the_last_good_one_in_force() {
    let server = FaultServer::start(Fault::status(200)).unwrap();
    let service = |name: &str, key: &str| {
        format!("{NO_DOCKER}[[service]]\nname = \"{name}\"\n{key} = \"{}\"\n", server.url("/"))
    };
    let engine = Engine::start(&service("first", "url"), &[]).unwrap();
    engine.wait_for_target("service:first", "healthy", SOON, is_healthy);

    engine.configure(&service("second", "ulr")).unwrap();
    let snapshot = engine.wait_for("a message", SOON, |snapshot| !snapshot.messages.is_empty());
    let message = snapshot.messages.join("\n");
    let file = engine.configuration_file().display().to_string();
    assert!(message.contains("ulr") && message.contains(&file), "{message}");
    assert!(snapshot.targets.iter().any(|target| target.id == "service:first"));
    assert!(!snapshot.targets.iter().any(|target| target.id == "service:second"));

    engine.configure(&service("second", "url")).unwrap();
    engine.wait_for_target("service:second", "healthy", SOON, is_healthy);
    let snapshot = engine.status().unwrap();
    assert_eq!(snapshot.messages, Vec::<String>::new());
    assert!(!snapshot.targets.iter().any(|target| target.id == "service:first"));
}

#[test]
fn another_language_is_spoken_as_soon_as_it_is_configured() {
    let engine = Engine::start(NO_DOCKER, &[("LANG".into(), "C".into())]).unwrap();
    let english = engine.status().unwrap();
    assert_eq!(english.language, "en");
    let speaks =
        |language: &str| format!("{NO_DOCKER}[notifications]\nlanguage = \"{language}\"\n");
    engine.configure(&speaks("ru")).unwrap();
    let russian = engine.wait_for("Russian", SOON, |snapshot| snapshot.language == "ru");
    let cyrillic = |text: &str| text.chars().any(|one| ('а'..='я').contains(&one));
    assert!(cyrillic(&russian.headline) && !cyrillic(&english.headline), "{}", russian.headline);
    let status = engine.command("status").unwrap().output().unwrap();
    assert!(cyrillic(&String::from_utf8_lossy(&status.stdout)));
    engine.configure(&speaks("auto")).unwrap();
    engine.wait_for("English", SOON, |snapshot| snapshot.language == "en");
}

/// A person's own signatures lie beside the configuration, and are read again when they change.
#[test]
fn signatures_that_are_saved_are_read_at_once() {
    let engine = Engine::start(NO_DOCKER, &[]).unwrap();
    assert_eq!(engine.status().unwrap().messages, Vec::<String>::new());
    let file = engine.configuration_file().with_file_name("signatures.toml");
    std::fs::write(&file, "[[signature]]\nid = \"mine\"\nof = \"olama\"\n").unwrap();
    engine.wait_for("a word about the mistake", SOON, |snapshot| {
        let message = snapshot.messages.join("\n");
        message.contains("signatures.toml") && message.contains("olama")
    });
    std::fs::remove_file(&file).unwrap();
    engine.wait_for("the message gone", SOON, |snapshot| snapshot.messages.is_empty());
}

#[test]
fn a_damaged_journal_is_set_aside_and_healing_goes_on() {
    let ollama = Ollama::start(&[]).unwrap();
    let mut engine = Engine::start(&configuration(&ollama), &ollama.environment()).unwrap();
    engine.wait_for_target("ollama", "healthy", SOON, is_healthy);
    assert!(engine.stop().unwrap().success());
    let journal = engine.data().join("journal.db");
    assert!(journal.is_file());
    std::fs::write(&journal, vec![0x5a; 8192]).unwrap();
    engine.run().unwrap();
    engine.await_health().unwrap();
    engine.wait_for_target("ollama", "healthy", SOON, is_healthy);
    let kept = std::fs::read_dir(engine.data()).unwrap().flatten().any(|file| {
        file.metadata().is_ok_and(|data| data.is_file())
            && std::fs::read(file.path()).is_ok_and(|bytes| bytes == vec![0x5a; 8192])
    });
    assert!(kept, "the damaged file is kept beside the new one");
    assert!(!engine.status().unwrap().messages.is_empty());
}

#[test]
fn the_command_line_tells_the_same() {
    let ollama = Ollama::start(&[]).unwrap();
    let only_ollama = format!("[ollama]\nurl = \"{}\"\n", ollama.url());
    let mut engine = Engine::start(&only_ollama, &ollama.environment()).unwrap();
    engine.wait_for_target("ollama", "healthy", SOON, is_healthy);
    let status = engine.command("status").unwrap().output().unwrap();
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert_eq!(status.status.code(), Some(0), "{said}");
    assert!(said.contains("ollama") && said.contains("healthy"), "{said}");
    assert!(engine.stop().unwrap().success());
    let status = engine.command("status").unwrap().output().unwrap();
    assert_eq!(status.status.code(), Some(3));
}

/// Editors delete before they write: what a person said is not forgotten meanwhile.
#[test]
fn a_configuration_that_vanishes_stays_in_force() {
    let _alone = without_mcp();
    let ollama = Ollama::start(&[]).unwrap();
    let engine = Engine::start(&configuration(&ollama), &ollama.environment()).unwrap();
    engine.wait_for_target("ollama", "healthy", SOON, is_healthy);
    std::fs::remove_file(engine.configuration_file()).unwrap();
    engine.wait_for("a word about it", SOON, |snapshot| {
        snapshot.messages.iter().any(|message| message.contains("is gone"))
    });
    let target = engine.target("ollama").unwrap();
    assert!(target.detail["url"].as_str().unwrap().starts_with(&ollama.url()), "{target:#?}");
    assert!(is_healthy(&target));
    engine.configure(&configuration(&ollama)).unwrap();
    engine.wait_for("the message gone", SOON, |snapshot| snapshot.messages.is_empty());
}
