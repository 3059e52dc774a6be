//! What is only looked at.

use std::os::unix::fs::PermissionsExt;

use doctor::{
    Cause, CauseId, Confidence, Entry, Incident, IncidentState, Sentence, StoryKind, StoryLine,
    TargetId, Timing, Wall,
};
use engine::view::{Intent, Look, State, Summary, Why};

use crate::world::{World, snapshot};

#[tokio::test]
async fn status_shows_every_target_and_ends_as_things_are() {
    let world = World::new().await;
    let ended = world.run(&["status"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.starts_with("Everything is well\n2 of 2 healthy\n"), "{ended:?}");
    assert!(ended.out.contains("Memory: 50 GB of 128 GB free, no pressure"), "{ended:?}");
    let json = world.run(&["status", "--json"]).await.json();
    assert_eq!(json, serde_json::to_value(snapshot()).unwrap());

    let mut down = snapshot();
    down.summary = Summary::Attention;
    down.targets[0].state = State::Down;
    down.targets[1].state = State::Down;
    down.targets[1].intent = Intent::Held;
    world.snapshot.send_replace(down.into());
    assert_eq!(world.run(&["status"]).await.code, 1);
    assert_eq!(world.run(&["status", "ollama"]).await.code, 1);
    // What a person stopped is as it is meant to be.
    let held = world.run(&["status", "container:web"]).await;
    assert_eq!(held.code, 0, "{held:?}");
    assert!(held.out.starts_with("container:web: held\n"));
    let unknown = world.run(&["status", "container:other"]).await;
    assert_eq!(unknown.code, 1);
    assert!(unknown.complaint.contains("container:web"), "{unknown:?}");
}

#[tokio::test]
async fn status_of_a_target_says_why_and_what_would_change_it() {
    let world = World::new().await;
    let mut down = snapshot();
    down.targets[0].state = State::Down;
    down.targets[0].inhibited_by = Some("container:web".into());
    down.targets[1].name = "The web".into();
    down.targets[0].why = Why {
        rule: "R11".into(),
        text: "It does not work.".into(),
        next: Some("2026-01-31T12:00:14Z".into()),
        since: "2026-01-31T11:59:30Z".into(),
        changes: vec!["Two good checks.".into(), "You ask\u{1b}[31m for it.".into()],
        look: Look::At,
        next_look: Some("2026-01-31T12:00:03Z".into()),
        next_attempt: Some("2026-01-31T12:00:14Z".into()),
        nothing_done: Some("The last attempt failed.".into()),
        nothing_done_rule: Some("R26".into()),
    };
    world.snapshot.send_replace(down.clone().into());
    let said = world.run(&["status", "ollama"]).await.out;
    let after = |label: &str| {
        let line = said.lines().find(|line| line.starts_with(label));
        line.map(|line| line[label.len()..].trim().to_owned()).unwrap_or_default()
    };
    assert_eq!(after("why"), "It does not work.", "{said}");
    assert_eq!(after("not treated"), "The last attempt failed.", "{said}");
    assert_eq!(after("changes when"), "Two good checks.", "{said}");
    assert!(said.lines().any(|line| line.trim() == "You ask[31m for it."), "{said}");
    assert!(after("next check").ends_with(":00:03"), "{said}");
    assert!(after("next attempt").ends_with(":00:14"), "{said}");
    assert_eq!(after("waits for"), "The web", "{said}");
    let json = world.run(&["status", "ollama", "--json"]).await.json();
    assert_eq!(json["why"], serde_json::to_value(&down.targets[0].why).unwrap());

    // What is said already is not said twice, and how the next look comes about is told.
    for (look, says) in [
        (Look::Now, "under way"),
        (Look::Told, "when Docker reports something, or "),
        (Look::Waits, "when what it depends on is well"),
    ] {
        down.targets[0].why.look = look;
        down.targets[0].why.nothing_done = Some("It does not work.".into());
        world.snapshot.send_replace(down.clone().into());
        let said = world.run(&["status", "ollama"]).await.out;
        assert!(said.contains(&format!("next check    {says}")), "{said}");
        assert!(!said.contains("not treated"), "{said}");
    }
}

#[tokio::test]
async fn status_speaks_the_engines_language() {
    let world = World::new().await;
    let mut down = snapshot();
    down.language = "ru".into();
    down.targets[0].state = State::Down;
    down.targets[0].inhibited_by = Some("container:web".into());
    down.targets[0].cause = Some(engine::view::Cause {
        id: "ollama.not_running".into(),
        text: "Ollama не запущена.".into(),
        confidence: "certain".into(),
        evidence: Vec::new(),
        advice: "Запустите её.".into(),
    });
    down.targets[0].why = Why {
        text: "Не работает.".into(),
        changes: vec!["Две удачные проверки.".into()],
        look: Look::Told,
        next_look: Some("2026-01-31T12:00:03Z".into()),
        next_attempt: Some("2026-01-31T12:00:14Z".into()),
        nothing_done: Some("Прошлая попытка не удалась.".into()),
        ..Why::default()
    };
    down.targets[0].actions.clear();
    world.snapshot.send_replace(down.into());
    let said = world.run(&["status", "ollama"]).await.out;
    for label in
        ["Что делать:", "почему", "не чинится", "изменится, когда", "следующая проверка", "ждёт"]
    {
        assert!(said.lines().any(|line| line.starts_with(label)), "{label}: {said}");
    }
    // Ids, the target's own name and Docker's stay as they are.
    let english =
        ["since", "ago", "why", "check", "attempt", "restarts", "hour", "down", "status."];
    assert!(english.iter().all(|word| !said.contains(word)), "{said}");
    assert!(world.run(&["status"]).await.out.contains("не работает"));
}

/// A container can be called anything that its owner likes.
#[tokio::test]
async fn a_hostile_name_cannot_command_the_terminal() {
    let world = World::new().await;
    let mut hostile = snapshot();
    hostile.headline = "down\u{1b}]0;owned\u{7}\r\nwell".into();
    hostile.targets[1].line = "\u{9b}2J\u{202e}txt.exe".into();
    hostile.messages.push("\u{1b}[31mred".into());
    world.snapshot.send_replace(hostile.into());
    for arguments in [&["status"][..], &["status", "container:web"], &["verify"]] {
        let ended = world.run(arguments).await;
        let harmless = |letter: char| letter == '\n' || !letter.is_control();
        assert!(ended.out.chars().all(harmless), "{ended:?}");
        assert!(!ended.out.contains('\u{202e}'));
    }
}

#[tokio::test]
async fn incidents_are_listed_and_told() {
    let world = World::new().await;
    assert_eq!(world.run(&["incidents"]).await.out, "No incident was recorded.\n");
    world.journal.write(&Entry::Incident(incident("i-1", 1_000))).unwrap();
    world.journal.write(&Entry::Incident(incident("i-2", 2_000))).unwrap();
    let list = world.run(&["incidents"]).await;
    let ids: Vec<&str> =
        list.out.lines().skip(1).filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(ids, ["i-2", "i-1"]);
    let short = world.run(&["incidents", "--limit", "1"]).await;
    assert!(short.out.contains("There are older ones"), "{short:?}");
    let one = world.run(&["incidents", "i-1"]).await;
    assert_eq!(one.code, 0, "{one:?}");
    assert!(one.out.contains("ollama.not_running") && one.out.contains("12.5 s"), "{one:?}");
    assert_eq!(world.run(&["incidents", "i-1", "--json"]).await.json()["id"], "i-1");
    assert_eq!(world.run(&["incidents", "none"]).await.code, 1);
}

#[tokio::test]
async fn timings_come_in_every_format() {
    let world = World::new().await;
    assert!(world.run(&["timings"]).await.out.contains("homeostat measure"));
    world.journal.write(&Entry::Timing(timing())).unwrap();
    let table = world.run(&["timings"]).await.out;
    let row = table.lines().nth(1).unwrap();
    assert!(row.starts_with("=a|b,c") && row.contains("20.0 tokens/s"), "{table}");
    let markdown = world.run(&["timings", "--format", "md"]).await.out;
    assert!(markdown.lines().nth(2).unwrap().starts_with("| =a\\|b,c | ollama |"), "{markdown}");
    let csv = world.run(&["timings", "--format", "csv"]).await.out;
    let row = csv.lines().nth(1).unwrap();
    assert!(row.starts_with("ollama,\"'=a|b,c\","), "{csv}");
    assert!(row.contains(",10000,1000,,20.000,"), "{csv}");
    let json = world.run(&["timings", "--format", "json"]).await.json();
    assert_eq!(json, world.run(&["timings", "--json"]).await.json());
    assert_eq!(json["models"][0]["model"], "=a|b,c");
}

#[tokio::test]
async fn open_hands_the_token_over_in_a_private_file() {
    let world = World::new().await;
    // No browser in an empty environment: it names the file.
    let ended = world.run(&["open"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    let file = world.directory.path().join("open.html");
    assert!(ended.complaint.contains(file.to_str().unwrap()));
    let token = std::fs::read_to_string(world.directory.path().join("token")).unwrap();
    assert!(!ended.complaint.contains(token.trim()) && !ended.out.contains(token.trim()));
    assert!(std::fs::read_to_string(&file).unwrap().contains(&format!("#token={}", token.trim())));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

fn incident(id: &str, at: i64) -> Incident {
    Incident {
        id: id.into(),
        target: TargetId::Ollama,
        cause: Cause {
            id: CauseId::OllamaNotRunning,
            confidence: Confidence::Certain,
            evidence: Vec::new(),
            says: Sentence::new("ollama.not_running"),
        },
        state: IncidentState::Verified,
        opened: Wall(at),
        closed: Some(Wall(at + 60_000)),
        detected_after_ms: 12_500,
        answering_after_ms: Some(3_000),
        recovered_after_ms: Some(63_000),
        attempts: 1,
        affects: Vec::new(),
        log: Vec::new(),
        story: vec![StoryLine { at: Wall(at), kind: StoryKind::Seen, says: Sentence::new("seen") }],
    }
}

fn timing() -> Timing {
    Timing {
        server: TargetId::Ollama,
        model: "=a|b,c".into(),
        at: Wall(1_000),
        load_ms: Some(10_000),
        first_token_ms: Some(1_000),
        prompt_tokens_per_s: None,
        tokens_per_s: Some(20.0),
        memory_bytes: None,
        error: None,
    }
}

/// What the engine says in Russian is not framed in English.
#[tokio::test]
async fn a_russian_engine_is_answered_in_russian() {
    let world = World::new().await;
    let mut russian = snapshot();
    russian.language = "ru".into();
    world.snapshot.send_replace(russian.into());
    let status = world.run(&["status"]).await.out;
    assert!(status.contains("Память: свободно"), "{status}");
    for (command, says) in
        [(&["incidents"][..], "Инцидентов не было."), (&["timings"], "Модели ещё не измерялись")]
    {
        let said = world.run(command).await.out;
        assert!(said.contains(says), "{command:?}: {said}");
    }
}
