//! The picture of a virtual world: what every target says of itself, in words, in both languages.

use std::path::Path;

use doctor::{LedgerFound, TargetId};
use engine::config::Config;
use engine::picture::{Frame, snapshot, usable_for};
use engine::view::{Look, Snapshot, Summary, Why};
use engine::words::Words;

#[path = "../../../tests/support/world.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the stories, which use the rest of it")]
mod world;

use world::World;
use world::given::given;
use world::happen::happen;

/// A world with these things in it, in which this happened so many seconds ago.
fn played(lines: &[&str], happenings: &[(&str, u64)]) -> World {
    let mut world = World::new(5);
    for line in lines {
        given(&mut world, line).expect("a line that the world knows");
    }
    world.begin(LedgerFound::None);
    world.run_until(30_000);
    for (what, seconds) in happenings {
        happen(&mut world, what).expect("a sentence that the world knows");
        world.run_until(world.story_ms() + seconds * 1000);
    }
    world
}

fn draw(world: &World, language: &str) -> Snapshot {
    draw_unread(world, language, None)
}

fn draw_unread(world: &World, language: &str, unread: Option<&str>) -> Snapshot {
    let config = Config::parse(Path::new("config.toml"), "", &|_| None).expect("a configuration");
    let words = Words::new(language);
    let frame = Frame {
        words: &words,
        config: &config,
        timings: &[],
        messages: Vec::new(),
        unread: unread.map(str::to_owned),
        takeover: None,
    };
    snapshot(&world.doctor, &frame)
}

fn why(world: &World, target: &str) -> Why {
    let drawn = draw(world, "en");
    let found = drawn.targets.into_iter().find(|one| one.id == target);
    found.expect("a target that is drawn").why
}

/// Seconds from the moment of the picture to this one.
fn ahead(world: &World, at: Option<&str>) -> i64 {
    let time = |at: &str| at.parse::<jiff::Timestamp>().expect("a time").as_second();
    time(at.expect("a time")) - time(&draw(world, "en").at)
}

#[test]
fn a_wait_is_drawn_with_its_end_and_its_reason() {
    let world = played(
        &["ollama: the app is installed"],
        &[("ollama dies", 0), ("the wall clock jumps a day ahead", 20)],
    );
    let why = why(&world, "ollama");
    assert_eq!(why.rule, "R11");
    assert_eq!(why.text, "It does not work; a second look confirmed it.");
    assert_eq!(why.nothing_done_rule.as_deref(), Some("R29"));
    let idle = why.nothing_done.as_deref();
    assert_eq!(idle, Some("What started it gets the first chance to bring it back."));
    assert!(why.changes[0].starts_with("The wait ends"), "{:?}", why.changes);
    assert!(why.changes.contains(&"2 good checks in a row make it healthy.".into()));
    assert_eq!(why.look, Look::At);
    assert!((0..=10).contains(&ahead(&world, why.next_look.as_deref())));
    assert!((0..=15).contains(&ahead(&world, why.next_attempt.as_deref())));
    assert_eq!(why.next, why.next_attempt);
}

/// Whoever asks before a cycle may use what answers again, all the time that it is being watched.
#[test]
fn r46_a_server_is_usable_for_the_whole_soak() {
    for (name, id) in [("ollama", TargetId::Ollama), ("mlx", TargetId::Mlx)] {
        let mut world = played(&[name], &[(&format!("{name} dies"), 1)]);
        let (mut watched, mut closed, mut ended) = (0, false, false);
        for _ in 0..300 {
            world.run_until(world.story_ms() + 1000);
            let usable = usable_for(&world.doctor, &id).is_some();
            if world.doctor.operations().any(|one| one.target == id && one.is_soaking()) {
                watched += 1;
                assert!(usable, "{name}, {watched} s");
            }
            closed |= watched == 0 && !usable;
            ended |=
                watched > 0 && world.doctor.patient(&id).is_some_and(|one| one.phase.is_usable());
        }
        assert!(watched >= 55 && closed && ended, "{name}, {watched} s");
    }
}

/// What runs by default is well, and what a person configured is not watched at all.
#[test]
fn a_configuration_of_which_nothing_is_in_force_is_not_well() {
    let world = played(&["ollama"], &[("ollama answers again", 60)]);
    let well = draw(&world, "en");
    assert_eq!(well.summary, Summary::Well);
    let wrong = "/home/ann/config.toml:3: [[service]] url: is not an address\nand more";
    let broken = draw_unread(&world, "en", Some(wrong));
    assert_eq!(broken.summary, Summary::Attention);
    assert_ne!(broken.headline, well.headline);
    assert!(broken.subline.ends_with("config.toml:3: [[service]] url: is not an address"));
}

#[test]
fn a_parent_is_called_as_people_call_it() {
    let world = played(&["docker", "container web: critical"], &[("docker goes away", 180)]);
    let why = why(&world, "container:web");
    assert_eq!(why.text, "It depends on Docker, which is not well; that comes first.");
    assert_eq!(why.changes, ["Docker works again; then this is checked anew."]);
    assert_eq!((why.look, why.next_look), (Look::Waits, None));
}

#[test]
fn what_is_well_has_no_reason_for_doing_nothing() {
    let world = played(&["docker", "container web: critical"], &[]);
    let web = why(&world, "container:web");
    assert_eq!((web.nothing_done, web.nothing_done_rule, web.next_attempt), (None, None, None));
    assert_eq!(web.look, Look::Told);
    assert!((0..=60).contains(&ahead(&world, web.next_look.as_deref())));
    for target in draw(&world, "en").targets {
        assert_eq!(target.why.since, target.since, "{}", target.id);
    }
}

/// R39: who looks learns that nothing is healed for now, though everything is well.
#[test]
fn that_homeostat_only_observes_is_said_of_itself() {
    let crash = ("Homeostat is relaunched", 20);
    let twice = played(&["ollama"], &[crash, crash]);
    assert_eq!(draw(&twice, "en").messages, Vec::<String>::new());
    let mut world = played(&["ollama"], &[crash, crash, crash]);
    let message = |world: &World, language| draw(world, language).messages.join("|");
    assert!(message(&world, "en").contains("only observes"), "{}", message(&world, "en"));
    assert!(message(&world, "ru").contains("только наблюдает"), "{}", message(&world, "ru"));
    world.run_until(world.story_ms() + 600_000);
    assert_eq!(message(&world, "en"), "", "ten quiet minutes are over");
}

/// Whatever is said has words in both languages, and no value is missing in them.
#[test]
fn nothing_is_said_without_words() {
    let given = [
        "docker",
        "ollama: heal ask",
        "mlx",
        "container web: critical",
        "container other",
        "service api: in container web, needs ollama",
    ];
    let happenings = [
        ("ollama dies", 60),
        ("mlx hangs", 70),
        ("web exits with 1", 4),
        ("api hangs", 40),
        ("other runs out of memory", 20),
        ("a person asks: hold ollama", 2),
        ("memory is critical", 30),
        ("docker goes away", 30),
        ("the machine sleeps for 20 min", 3),
    ];
    for count in 0..=happenings.len() {
        let world = played(&given, &happenings[..count]);
        for language in ["en", "ru"] {
            for target in draw(&world, language).targets {
                let why = target.why;
                assert!(!why.changes.is_empty(), "{} has no way out", target.id);
                let said = [Some(why.text), why.nothing_done].into_iter().flatten();
                for text in said.chain(why.changes) {
                    let bare = text.contains(['{', '}', '?']) || text.starts_with("change.");
                    let whole = text.ends_with('.') && !text.starts_with("why.");
                    assert!(whole && !bare, "{language} {}: {text}", target.id);
                }
            }
        }
    }
}

/// Docker that is there and not for us is neither "not found" nor down.
#[test]
fn docker_that_cannot_be_asked_says_why() {
    let line = |world: &World, language: &str| {
        let targets = draw(world, language).targets;
        targets.into_iter().find(|one| one.id == "docker").expect("docker is drawn")
    };
    let reason = "this user may not open it";
    let never = played(&["docker: not configured, closed to us"], &[]);
    for language in ["en", "ru"] {
        assert!(line(&never, language).line.contains(reason), "{:?}", line(&never, language));
    }
    let absent = played(&["docker: not configured, absent"], &[]);
    assert!(!line(&absent, "en").line.contains("cannot be asked"));

    let lost = played(&["docker"], &[("docker is closed to us", 180)]);
    let lost = line(&lost, "en");
    assert!(lost.line.contains(reason) && lost.cause.is_none(), "{lost:#?}");
    let gone = line(&played(&["docker"], &[("docker goes away", 180)]), "en");
    assert!(!gone.line.contains("cannot be asked"), "{gone:#?}");
}

/// Neither configured nor critical; only what ended by itself, or was found so, leaves the picture.
#[test]
fn what_a_person_put_aside_stays_in_sight() {
    let shown = |what: &str| {
        let world = played(&["docker", "container web"], &[(what, 60)]);
        draw(&world, "en").targets.iter().any(|target| target.id == "container:web")
    };
    for what in ["web is paused", "a person asks: stop container:web"] {
        assert!(shown(what), "{what}");
    }
    assert!(!shown("web exits with 0"));
}

#[test]
fn nothing_is_called_well_before_it_was_looked_at() {
    let lines = ["docker", "container web", "service api: in container web"];
    let mut world = World::new(5);
    for line in lines {
        given(&mut world, line).expect("a line that the world knows");
    }
    happen(&mut world, "api closes without an answer").expect("what can happen");
    world.begin(LedgerFound::None);
    let mut seen = Vec::new();
    while world.story_ms() < 10_000 {
        world.run_until(world.story_ms() + 100);
        let drawn = draw(&world, "en");
        if seen.last() != Some(&drawn.summary) {
            seen.push(drawn.summary);
        }
    }
    assert_eq!(seen, [Summary::Unknown, Summary::Attention]);
    let steady = played(&lines, &[("api closes without an answer", 0)]);
    assert_eq!(draw(&steady, "en").summary, Summary::Well, "one failed look is no first one");
}
