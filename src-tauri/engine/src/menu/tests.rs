use std::collections::BTreeMap;

use super::*;
use crate::view::{Cause, Memory, Model, Why};

fn text(text: &str) -> Entry {
    Entry::Text { text: text.into() }
}

fn click(text: &str, action: Action) -> Entry {
    Entry::Click { text: text.into(), action }
}

fn ask(text: &str, wish: Request) -> Entry {
    click(text, Action::Ask { wish })
}

fn target(id: &str, name: &str, state: State) -> Target {
    Target {
        id: id.into(),
        kind: id.split(':').next().unwrap().into(),
        name: name.into(),
        state,
        since: "2026-03-14T13:20:07Z".into(),
        intent: Intent::Wanted,
        inhibited_by: None,
        cause: None,
        restarts_last_hour: 0,
        actions: Vec::new(),
        line: String::new(),
        why: Why { rule: "R10".into(), ..Why::default() },
        found: true,
        detail: BTreeMap::new(),
    }
}

fn snapshot(summary: Summary, headline: &str, targets: Vec<Target>) -> Snapshot {
    Snapshot {
        version: "0.1.0".into(),
        at: "2026-03-14T13:20:48Z".into(),
        summary,
        headline: headline.into(),
        subline: String::new(),
        targets,
        models: Vec::new(),
        memory: Memory::default(),
        incidents: Vec::new(),
        operations: Vec::new(),
        fallback: false,
        timings: Vec::new(),
        messages: Vec::new(),
        takeover: None,
        language: "en".into(),
    }
}

fn cause(said: &str, advice: &str) -> Cause {
    Cause {
        id: "ollama.not_running".into(),
        text: said.into(),
        confidence: "certain".into(),
        evidence: Vec::new(),
        advice: advice.into(),
    }
}

fn incident(recovered_after_ms: Option<u64>, closed: Option<&str>) -> Incident {
    Incident {
        id: "1".into(),
        target: "ollama".into(),
        cause: cause("Ollama is not running.", ""),
        state: "open".into(),
        opened: "2026-03-14T13:20:07Z".into(),
        closed: closed.map(str::to_owned),
        detected_after_ms: 0,
        answering_after_ms: None,
        recovered_after_ms,
        attempts: 1,
        affects: Vec::new(),
        log: Vec::new(),
        story: Vec::new(),
    }
}

fn drawn(snapshot: &Snapshot) -> Menu {
    menu(snapshot, &Beside::default(), &Words::default())
}

#[test]
fn a_sick_machine_has_its_causes_and_actions_in_the_menu() {
    let mut ollama = target("ollama", "Ollama", State::Down);
    ollama.line = "Ollama is not running.".into();
    ollama.cause = Some(cause("Ollama is not running.", "Homeostat starts it."));
    ollama.actions = ["restart", "hold", "dance"].map(str::to_owned).into();
    let mut mlx = target("mlx", "MLX", State::Unknown);
    mlx.found = false;
    mlx.line = "Not found on this machine.".into();
    mlx.actions = vec!["hold".into()];
    let mut agent = target("container:victoria_agent", "victoria_agent", State::Unknown);
    agent.intent = Intent::Held;
    agent.actions = ["start", "release"].map(str::to_owned).into();
    let mut service = target("service:Victoria", "Victoria", State::Healthy);
    service.line = "12 ms".into();
    let mut snapshot = snapshot(
        Summary::Attention,
        "Ollama needs you",
        vec![ollama, mlx, agent, service, target("host", "This Mac", State::Healthy)],
    );
    snapshot.models = vec![Model {
        server: "ollama".into(),
        name: "qwen".into(),
        size_bytes: 1,
        vram_bytes: 1,
        context_length: 1,
        expires_in_s: None,
        pinned: false,
        tokens_per_s: None,
    }];
    snapshot.messages = vec!["The API's address is taken.".into()];
    let beside =
        Beside { at_login: Some(true), last: Some(incident(Some(12_400), Some("2026-03-14"))) };
    let id = "container:victoria_agent".parse::<doctor::TargetId>().unwrap();
    let expected = Menu {
        entries: vec![
            text("Ollama needs you"),
            text("The API's address is taken."),
            Entry::Line,
            Entry::Group {
                text: "✗ Ollama: Ollama is not running.".into(),
                entries: vec![
                    text("Ollama is not running."),
                    text("Homeostat starts it."),
                    Entry::Line,
                    ask("Restart", Request::Restart { target: doctor::TargetId::Ollama }),
                    ask("Hold", Request::Hold { target: doctor::TargetId::Ollama, within: None }),
                ],
            },
            text("– MLX: Not found on this machine."),
            Entry::Group {
                text: "‖ victoria_agent".into(),
                entries: vec![
                    ask("Start", Request::Start { target: id.clone() }),
                    ask("Release", Request::Release { target: id }),
                ],
            },
            text("✓ Victoria"),
            text("✓ This Mac"),
            Entry::Line,
            click("Last: Ollama is not running. Repaired after 12 s.", Action::Open),
            Entry::Line,
            ask("Recover everything", Request::Recover { target: None }),
            ask("Unload idle models", Request::Unload { model: None, idle: true, all: false }),
            click("Open Homeostat", Action::Open),
            Entry::Line,
            Entry::Check { text: "Start at login".into(), checked: true, action: Action::AtLogin },
            click("Quit Homeostat", Action::Quit),
        ],
    };
    assert_eq!(menu(&snapshot, &beside, &Words::default()), expected);
    assert_eq!(icon(&snapshot), Icon::Sick);
}

#[test]
fn a_first_start_offers_no_more_than_there_is() {
    let snapshot = snapshot(Summary::Unknown, "Looking around", Vec::new());
    let expected = Menu {
        entries: vec![
            text("Looking around"),
            Entry::Line,
            Entry::Line,
            ask("Recover everything", Request::Recover { target: None }),
            click("Open Homeostat", Action::Open),
            Entry::Line,
            click("Quit Homeostat", Action::Quit),
        ],
    };
    assert_eq!(drawn(&snapshot), expected);
    assert_eq!(icon(&snapshot), Icon::Unknown);
}

#[test]
fn texts_change_in_place_but_other_actions_need_another_menu() {
    let with = |line: &str, actions: &[&str]| {
        let mut ollama = target("ollama", "Ollama", State::Healthy);
        ollama.line = line.into();
        ollama.actions = actions.iter().map(ToString::to_string).collect();
        drawn(&snapshot(Summary::Well, line, vec![ollama]))
    };
    let before = with("1 in memory", &["stop", "hold"]);
    assert!(before.has_shape_of(&with("2 in memory", &["stop", "hold"])));
    assert!(!before.has_shape_of(&with("1 in memory", &["start", "hold"])));
    assert!(!before.has_shape_of(&with("1 in memory", &["hold"])));
    assert_eq!(before.entries[2].flat().len(), 3);
}

#[test]
fn hundreds_of_targets_leave_room_for_the_sick_ones() {
    let mut targets: Vec<Target> = (0..300)
        .map(|n| target(&format!("container:c{n}"), &format!("c{n}"), State::Healthy))
        .collect();
    targets.push(target("service:last", "last", State::Down));
    let menu = drawn(&snapshot(Summary::Attention, "last needs you", targets));
    assert_eq!(menu.entries[2], text("✗ last"));
    assert_eq!(menu.entries[2 + TARGETS], click("271 more in the window", Action::Open));
}

#[test]
fn hostile_names_stay_one_short_line() {
    let name = format!("a\nb\u{7}{}", "ж".repeat(500));
    let menu =
        drawn(&snapshot(Summary::Well, "Well", vec![target("container:a", &name, State::Healthy)]));
    assert_eq!(menu.entries[2], text(&format!("✓ a b{}…", "ж".repeat(85))));
}

#[test]
fn an_id_carries_its_action_and_nothing_else_is_taken_for_one() {
    let actions = [
        Action::Open,
        Action::AtLogin,
        Action::Quit,
        Action::Ask { wish: Request::Restart { target: "service:a b\"c".parse().unwrap() } },
        Action::Ask { wish: Request::Recover { target: None } },
    ];
    for action in actions {
        assert_eq!(Action::from_id(&action.id()), Some(action));
    }
    for id in ["", "12", "quit", "{}", r#"{"do":"ask"}"#, r#"{"do":"format"}"#] {
        assert_eq!(Action::from_id(id), None, "{id}");
    }
}
