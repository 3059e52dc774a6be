//! What asks for something, and waits for it.

use doctor::{Asker, MeasurePlan, Response, Sentence, TargetId, Unload, Wish};
use engine::view::OperationState;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::world::{DEADLINE, Ended, World, eventually, operation};

#[tokio::test]
async fn restart_tells_each_step_and_how_it_ended() {
    let world = World::new().await;
    let mut command = world.command(&["restart", "ollama"]).spawn().unwrap();
    let mut lines = BufReader::new(command.stdout.take().unwrap()).lines();
    eventually(|| !world.wished().is_empty()).await;
    let stopped = operation(OperationState::Running, &["stopped pid 812"], "restarting");
    world.operations.send_replace(vec![stopped].into());
    // The step is told while the operation still runs.
    let first = tokio::time::timeout(DEADLINE, lines.next_line()).await.unwrap().unwrap().unwrap();
    assert!(first.ends_with("stopped pid 812"), "{first}");
    assert!(command.try_wait().unwrap().is_none());
    let steps = ["stopped pid 812", "started pid 900"];
    let ended = operation(OperationState::Verified, &steps, "Ollama is back after 4 s");
    world.operations.send_replace(vec![ended].into());
    let second = lines.next_line().await.unwrap().unwrap();
    assert!(second.ends_with("started pid 900"), "{second}");
    let last = lines.next_line().await.unwrap().unwrap();
    assert_eq!(last, "verified  Ollama is back after 4 s");
    assert_eq!(command.wait().await.unwrap().code(), Some(0));
    let wish = Wish::Restart { target: TargetId::Ollama };
    assert_eq!(world.wished(), [(wish, Asker::Person)]);
}

#[tokio::test]
async fn what_fails_ends_with_one() {
    let world = World::new().await;
    for state in [OperationState::Failed, OperationState::Superseded] {
        world.operations.send_replace(vec![operation(state, &[], "no")].into());
        assert_eq!(world.run(&["start", "container:web"]).await.code, 1, "{state:?}");
    }
    let told = world.run(&["start", "container:web", "--json"]).await;
    assert_eq!(told.json()["state"], "superseded");
}

#[tokio::test]
async fn no_wait_returns_at_once() {
    let world = World::new().await;
    world.operations.send_replace(vec![operation(OperationState::Running, &[], "")].into());
    let ended = world.run(&["recover", "--no-wait", "--json"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.json()["operation"], "op-1");
    let everything = Wish::Recover { targets: Vec::new() };
    assert_eq!(world.wished(), [(everything, Asker::Person)]);
}

#[tokio::test]
async fn every_wish_reaches_the_loop() {
    let world = World::new().await;
    world.operations.send_replace(vec![operation(OperationState::Verified, &[], "done")].into());
    let web = || TargetId::Container("web".into());
    for (arguments, wish) in [
        (&["stop", "container:web"][..], Wish::Stop { target: web(), within: None }),
        (&["hold", "container:web"], Wish::Hold { target: web(), within: None }),
        (
            &["hold", "container:web", "--for", "90m"],
            Wish::Hold { target: web(), within: Some(std::time::Duration::from_mins(90)) },
        ),
        (&["release", "container:web"], Wish::Release { target: web() }),
        (&["recover", "container:web"], Wish::Recover { targets: vec![web()] }),
        (
            &["restart", "service:Victoria Agent"],
            Wish::Restart { target: TargetId::Service("Victoria Agent".into()) },
        ),
        (&["raise", "container:web"], Wish::Raise { target: web(), to: None }),
        (
            &["raise", "container:web", "--to", "768m"],
            Wish::Raise { target: web(), to: Some(768 << 20) },
        ),
        (&["unload", "llama3:8b"], Wish::Unload(Unload::Model("llama3:8b".into()))),
        (&["unload", "--idle"], Wish::Unload(Unload::Idle)),
        (&["unload", "--all"], Wish::Unload(Unload::All)),
        (&["measure"], Wish::Measure(MeasurePlan::default())),
        (&["ensure"], Wish::Ensure { model: None }),
        (&["repair"], Wish::Repair { model: None }),
        (&["repair", "a"], Wish::Repair { model: Some("a".into()) }),
        (&["verify", "--models"], Wish::VerifyModels { model: None }),
        (&["verify", "--models", "a"], Wish::VerifyModels { model: Some("a".into()) }),
        (&["ensure", "llama3:70b"], Wish::Ensure { model: Some("llama3:70b".into()) }),
        (
            &["measure", "a", "b"],
            Wish::Measure(MeasurePlan { models: vec!["a".into(), "b".into()] }),
        ),
    ] {
        let ended = world.run(arguments).await;
        assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
        assert_eq!(world.wished().last(), Some(&(wish, Asker::Person)));
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_engines_words() {
    let world = World::answering(|wish| match wish {
        Wish::Hold { .. } => Response::Done,
        Wish::Recover { .. }
        | Wish::Restart { .. }
        | Wish::Start { .. }
        | Wish::Stop { .. }
        | Wish::Release { .. }
        | Wish::Unload(_)
        | Wish::Measure(_)
        | Wish::CancelMeasure
        | Wish::Ensure { .. }
        | Wish::VerifyModels { .. }
        | Wish::Repair { .. }
        | Wish::Raise { .. }
        | Wish::Cancel { .. }
        | Wish::CheckEverything => Response::Held(Sentence::new("you.hold.it")),
    })
    .await;
    let Ended { code, complaint, .. } = world.run(&["restart", "ollama"]).await;
    assert_eq!(code, 1);
    assert!(complaint.contains("you.hold.it"), "{complaint}");
    let held = world.run(&["hold", "ollama"]).await;
    assert_eq!((held.code, held.out.as_str()), (0, "ollama: hold done.\n"));
}

#[tokio::test]
async fn an_interrupt_cancels_the_measurement() {
    interrupted(&["measure"], |wish| *wish == Wish::CancelMeasure).await;
}

#[tokio::test]
async fn an_interrupt_breaks_a_download_off() {
    interrupted(&["ensure"], |wish| matches!(wish, Wish::Cancel { .. })).await;
}

/// It asks for its end and waits for it.
async fn interrupted(arguments: &[&str], ends: impl Fn(&Wish) -> bool) {
    let world = World::new().await;
    world.operations.send_replace(vec![operation(OperationState::Running, &[], "1 of 9")].into());
    let mut command = world.command(arguments).spawn().unwrap();
    eventually(|| !world.wished().is_empty()).await;
    let pid = command.id().unwrap().to_string();
    let sent = tokio::process::Command::new("kill").args(["-INT", &pid]).status().await;
    assert!(sent.unwrap().success());
    eventually(|| world.wished().iter().any(|(wish, _)| ends(wish))).await;
    world.operations.send_replace(vec![operation(OperationState::Superseded, &[], "")].into());
    let ended = tokio::time::timeout(DEADLINE, command.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(1));
}
