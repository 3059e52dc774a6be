//! 1.3, R8: what each outcome of a look leads to.

use doctor::{Behind, Confidence, LedgerFound, OpenPort, TargetId};

use super::world::World;
use super::{given, happen, world};

/// What happens, the state and cause that it leads to within 40 s, and whether anything is done.
const OLLAMA: &[(&str, &str, &str, bool)] = &[
    ("ollama dies", "recovering", "ollama.not_running", true),
    ("ollama hangs", "recovering", "ollama.wedged", true),
    ("ollama closes without an answer", "recovering", "ollama.wedged", true),
    ("ollama resets connections", "recovering", "ollama.wedged", true),
    ("ollama answers with status 503", "degraded", "ollama.overloaded", false),
    ("ollama answers with status 429", "degraded", "ollama.overloaded", false),
    ("ollama answers with status 500", "degraded", "unknown", false),
    ("ollama answers garbage", "degraded", "unknown", false),
    ("ollama answers with status 401", "degraded", "unknown", false),
    ("ollama answers with status 302", "degraded", "unknown", false),
    ("ollama loses its port to python3 pid 9", "given up", "ollama.port_taken", false),
    ("ollama answers late, after 1500 ms", "slow", "none", false),
];

const MLX: &[(&str, &str, &str, bool)] = &[
    ("mlx dies", "recovering", "mlx.not_running", true),
    ("mlx hangs", "recovering", "mlx.wedged", true),
    ("mlx answers with status 503", "recovering", "mlx.generation_dead", true),
    ("mlx answers with status 404", "degraded", "mlx.wrong_endpoint", false),
    ("mlx answers with status 405", "degraded", "mlx.wrong_endpoint", false),
    ("mlx answers with status 429", "degraded", "unknown", false),
    ("mlx answers with status 500", "degraded", "unknown", false),
    ("mlx loses its port to nginx pid 9", "given up", "mlx.port_taken", false),
];

const SERVICE: &[(&str, &str, &str, bool)] = &[
    ("api refuses connections", "recovering", "service.refused", true),
    ("api hangs", "recovering", "service.timeout", true),
    ("api closes without an answer", "recovering", "service.empty_reply", true),
    ("api answers with status 500", "degraded", "service.bad_status", false),
    ("api answers with status 404", "degraded", "service.bad_status", false),
];

fn check(given: &[&str], target: &str, table: &[(&str, &str, &str, bool)]) {
    for (what, phase, cause, acts) in table {
        let mut world = world(given);
        world.then(what, 40);
        assert_eq!((world.phase(target), world.cause(target)), (*phase, *cause), "{what}");
        assert_eq!(!world.nothing_done(), *acts, "{what}: {:?}", world.treatments);
    }
}

/// What is only `possible` is looked at fully until it is known, and then treated.
/// Down after a complaint and one failed request for a token, while memory forbids the restart:
/// the next request tells whether it still gives none.
#[test]
fn r5_what_is_down_for_want_of_a_token_is_asked_again() {
    let mut world = world(&["ollama: loaded llama3:8b 6 GB"]);
    world.then("the swap is full and the level normal", 60);
    world.then("ollama has nothing to do", 60).then("ollama gives no token", 0);
    world.then("an agent complains about ollama", 120);
    world.then("ollama generates again", 300);
    let ollama = world.doctor.patient(&doctor::TargetId::Ollama).expect("ollama");
    assert!(ollama.phase.is_usable(), "{:?} for {:?}", ollama.phase, ollama.reason);
}

/// Fault 15 mended: the second supervisor is gone, and with it the cause.
#[test]
fn rival_supervisors_are_forgotten_when_they_are_gone() {
    let mut world = world(&["ollama"]);
    world.then("ollama is started by the app and by Homebrew", 0);
    world.then("a person asks: check everything", 5);
    for _ in 0..3 {
        world.then("ollama is restarted by somebody else", 60);
    }
    let rivals = world.tale.lines.iter().any(|(_, line)| line.contains("rival_supervisors"));
    assert!(rivals, "{:#?}", world.tale.lines);
    if let Some(ollama) = &mut world.ollama {
        ollama.insides.supervisors.clear();
    }
    world.pass(900);
    let ollama = world.doctor.patient(&doctor::TargetId::Ollama).expect("ollama");
    assert!(ollama.phase.is_usable(), "{:?} for {:?}", ollama.phase, ollama.reason);
}

#[test]
fn r62_a_possible_cause_is_looked_into_and_then_treated() {
    let mut world = world(&["ollama"]);
    world.then("ollama dies", 0);
    world
        .foretold
        .insert(doctor::TargetId::Ollama, [None, None, None, Some(doctor::Reply::Reset)].into());
    world.pass(60);
    assert!(!world.treatments.is_empty(), "{:#?}", world.tale.lines);
}

#[test]
fn r8_outcomes_of_ollama() {
    check(&["ollama"], "ollama", OLLAMA);
}

#[test]
fn r8_outcomes_of_mlx() {
    check(&["mlx"], "mlx", MLX);
}

#[test]
fn r8_outcomes_of_a_service() {
    let given = ["docker", "container web: critical", "service api: in container web"];
    check(&given, "service:api", SERVICE);
}

#[test]
fn r8_a_port_owner_that_is_not_ours_is_never_touched_however_it_answers() {
    let mut world = world(&["ollama"]);
    world.then("ollama loses its port to python3 pid 9", 0);
    world.pass(1800);
    assert!(world.nothing_done());
    // Not even a person's word makes us stop another program.
    world.then("a person asks: restart ollama", 60).then("a person asks: recover ollama", 60);
    assert_eq!(world.told("TERM"), 0);
    assert_eq!(world.told("KILL"), 0);
}

#[test]
fn s4_worst_times_to_a_verdict() {
    // 10 s + 10 % and two retries; with a hang each look takes its 5 s; 5 s for the confirmation.
    for (what, limit) in [("ollama dies", 22_000), ("ollama hangs", 37_000)] {
        for offset in 0..12 {
            let mut world = world(&["ollama"]);
            world.pass(offset);
            let began = world.story_ms();
            world.then(what, 60);
            let verdict = world.times("recovering from")[0] - began;
            assert!(verdict <= limit, "{what} after {offset} s: {verdict} ms");
        }
    }
    let mut world = world(&["docker", "container web: critical"]);
    let began = world.story_ms();
    world.then("web runs out of memory", 20);
    let verdict = world.times("recovering from container.oom_limit")[0] - began;
    assert!(verdict <= 3_000, "a container's end: {verdict} ms");
}

#[test]
fn t13_memory_is_said_after_its_time_and_over_after_a_calm_minute() {
    for (what, early, late) in [("memory is under pressure", 55, 15), ("memory is critical", 5, 15)]
    {
        let mut world = world(&["ollama"]);
        world.then(what, early);
        assert_eq!(world.phase("host"), "healthy", "{what}");
        world.pass(late);
        assert_eq!(
            (world.phase("host"), world.cause("host")),
            ("degraded", "host.memory_pressure")
        );
        world.then("memory is calm again", 50);
        assert_eq!(world.phase("host"), "degraded", "{what}");
        world.pass(20);
        assert_eq!(world.phase("host"), "healthy", "{what}");
    }
}

#[test]
fn t13_swap_is_a_second_axis() {
    let mut world = world(&["ollama"]);
    world.then("the swap is full and the level normal", 25);
    assert_eq!(world.cause("host"), "host.swap_exhausted");
}

/// What was down for want of its container has its grace when somebody brings that; a wrong restart
/// is worse than a late one.
#[test]
fn r12_a_service_has_its_grace_when_its_container_begins() {
    let mut world = world(&["docker", "container web", "service api: in container web"]);
    let mut web = world.containers["web"].clone();
    world.then("web is removed", 0).then("api refuses connections", 40);
    assert!(world.nothing_done(), "{:#?}", world.tale.lines);
    (web.seen.id, web.seen.started_ms) = ("another".into(), Some(world.engine_ms()));
    world.containers.insert("web".into(), web);
    world.news("web", doctor::ContainerEvent::Start);
    world.pass(45);
    assert!(world.nothing_done(), "{:#?}", world.tale.lines);
    world.pass(15);
    assert!(!world.nothing_done(), "{:#?}", world.tale.lines);
}

/// So it was when Homeostat first saw it.
fn world_from(lines: &[&str], happened: &[&str]) -> World {
    let mut world = World::new(5);
    for line in lines {
        given(&mut world, line).expect("a line that the world knows");
    }
    for what in happened {
        happen(&mut world, what).expect("what can happen");
    }
    world.begin(LedgerFound::None);
    world
}

const INSIDE: [&str; 3] = ["docker", "container web: critical", "service api: in container web"];

/// Whatever the failure looks like: the port may be published where nothing listens.
#[test]
fn r62_a_service_that_was_never_well_is_not_restarted_unasked() {
    for what in ["api closes without an answer", "api refuses connections", "api hangs"] {
        let mut world = world_from(&INSIDE, &[what]);
        world.pass(1800);
        assert!(world.nothing_done(), "{what}: {:?}", world.treatments);
        assert_eq!(world.phase("service:api"), "down", "{what}");
        let api = world.doctor.patient(&TargetId::Service("api".into())).expect("api");
        let cause = api.phase.cause().expect("a cause");
        assert_eq!(cause.confidence, Confidence::Possible, "{what}");
        assert!(cause.evidence.iter().any(|line| line.key == "evidence.never_well"), "{what}");
        assert_eq!(api.reason.says.key, "why.only_possible", "{what}");
        assert_eq!(world.phase("container:web"), "healthy");
    }
}

/// What listens in its container instead is named, where the port that is published leads elsewhere.
#[test]
fn r62_a_port_that_leads_where_nothing_listens_is_named() {
    let open = |port, inside_only| OpenPort { port, inside_only };
    let line = |open: Option<Vec<OpenPort>>, declared: &[u16]| {
        let mut world = World::new(5);
        for line in INSIDE {
            given(&mut world, line).expect("a line that the world knows");
        }
        let behind = Behind { port: 8000, open, declared: declared.to_vec() };
        world.services.get_mut("api").expect("api").behind = Some(behind);
        happen(&mut world, "api closes without an answer").expect("what can happen");
        world.begin(LedgerFound::None);
        world.pass(300);
        assert!(world.nothing_done(), "{:?}", world.treatments);
        let api = world.doctor.patient(&TargetId::Service("api".into())).expect("api");
        let cause = api.phase.cause().expect("a cause");
        assert_eq!(cause.confidence, Confidence::Possible);
        let said = cause.evidence.iter().find(|line| line.values.contains_key("container"));
        let said = said.expect("what to check");
        let others = said.values.get("others").map(|others| format!("{others:?}"));
        (said.key.trim_start_matches("evidence.").to_owned(), others.unwrap_or_default())
    };
    let (key, others) = line(Some(vec![open(9000, false), open(9001, true)]), &[]);
    assert_eq!(key, "listens_elsewhere");
    assert!(others.contains("9000, 9001"), "{others}");
    assert_eq!(line(Some(vec![open(8000, true), open(9000, false)]), &[]).0, "listens_inside_only");
    // It listens where it should, and for some other reason does not answer.
    let both = vec![open(8000, false), open(8000, true), open(9000, false)];
    assert_eq!(line(Some(both), &[9000]).0, "never_well");
    // It has not begun to listen yet.
    assert_eq!(line(Some(Vec::new()), &[9000]).0, "never_well");
    // Nobody can look into the container: what its image declares is what to check.
    let (key, others) = line(None, &[9000]);
    assert_eq!(key, "declares_others");
    assert!(others.contains("9000"), "{others}");
    assert_eq!(line(None, &[8000, 9000]).0, "never_well");
    assert_eq!(line(None, &[]).0, "never_well");
}

/// It is restarted when it was well before, and that is known over a relaunch.
#[test]
fn r62_a_service_that_was_well_before_is_restarted() {
    let mut world = world(&INSIDE);
    world.then("api closes without an answer", 40);
    assert!(!world.nothing_done());

    let mut world = super::world(&INSIDE);
    world.then("api closes without an answer", 0).then("Homeostat is relaunched", 120);
    assert!(!world.nothing_done());

    let mut late = world_from(&INSIDE, &["api closes without an answer"]);
    late.pass(120);
    assert!(late.nothing_done());
    late.then("api answers again", 60).then("api closes without an answer", 40);
    assert!(!late.nothing_done());
}

/// The address was edited, while we ran or before a relaunch: the one that was well is another.
#[test]
fn r62_a_service_at_a_new_address_was_never_well() {
    let edited = |relaunch: bool| {
        let mut world = world(&INSIDE);
        world.pass(120).then("api closes without an answer", 0);
        let api = world.services.get_mut("api").expect("api");
        api.url = "http://127.0.0.1:18010/health".into();
        if relaunch {
            world.then("Homeostat is relaunched", 0);
        } else {
            let roster = world.roster.clone();
            world.tell(&doctor::Event::Reconfigured { roster });
        }
        world.pass(1800);
        world
    };
    for relaunch in [true, false] {
        let mut world = edited(relaunch);
        assert!(world.nothing_done(), "{relaunch}: {:?}", world.treatments);
        let api = world.doctor.patient(&TargetId::Service("api".into())).expect("api");
        let cause = api.phase.cause().expect("a cause");
        assert!(cause.evidence.iter().any(|line| line.key == "evidence.never_well"), "{relaunch}");
        // Once it was well at the new one, it is worth a restart there too.
        world.then("api answers again", 60).then("api closes without an answer", 60);
        assert!(!world.nothing_done(), "{relaunch}");
    }
}
