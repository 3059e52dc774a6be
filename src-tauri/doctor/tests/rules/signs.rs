//! What tells more than answers: requests for a token, work, logs, disks (R5 to R10, R58 to R65).

use doctor::{
    CauseId, Confidence, Depth, EndedSeen, EndedWhy, LedgerFound, Order, Phase, TargetId,
};

use super::{world, world_with};
use crate::world::World;

const OLLAMA: &str = "ollama: its work is read, loaded llama3:8b 6 GB";

/// How many looks of this depth a target gets within so many seconds.
fn looks(world: &mut World, target: &str, depth: Depth, seconds: u64) -> usize {
    world.looks = Some(Vec::new());
    world.pass(seconds);
    let id: TargetId = target.parse().expect("a target");
    let looks = world.looks.take().unwrap_or_default();
    looks.iter().filter(|look| look.target == id && look.depth == depth).count()
}

#[test]
fn r5_a_token_is_asked_for_every_two_minutes_of_an_idle_process() {
    let mut world = world(&[OLLAMA]);
    world.pass(60);
    let asked = looks(&mut world, "ollama", Depth::Deep, 1200);
    assert!((9..=10).contains(&asked), "{asked} in twenty minutes");
}

#[test]
fn r5_a_busy_process_is_asked_for_no_token() {
    let mut world = world(&[OLLAMA]);
    world.then("ollama works", 60);
    assert_eq!(looks(&mut world, "ollama", Depth::Deep, 1200), 0);
}

#[test]
fn r5_where_nobody_can_tell_the_work_no_token_is_asked_for() {
    let mut world = world(&["ollama: loaded llama3:8b 6 GB"]);
    assert_eq!(looks(&mut world, "ollama", Depth::Deep, 1200), 0);
}

#[test]
fn r5_two_failed_requests_in_a_row_make_it_down_within_165_s() {
    for offset in 0..12 {
        let mut world = world(&[OLLAMA]);
        world.pass(60 + 11 * offset);
        world.then("ollama gives no token", 0);
        let began = world.story_ms();
        world.until("ollama", "recovering");
        let after = (world.story_ms() - began) / 1000;
        assert!(after <= 165, "{after} s at offset {offset}");
        assert_eq!(world.cause("ollama"), "ollama.wedged");
    }
}

#[test]
fn r5_one_failed_request_is_degraded_and_no_more() {
    let mut world = world(&[OLLAMA]);
    world.then("ollama gives no token", 0).until("ollama", "degraded");
    assert_eq!(world.cause("ollama"), "none");
    world.then("ollama generates again", 120);
    assert_eq!(world.phase("ollama"), "healthy");
    assert!(world.nothing_done());
    assert_eq!(world.told("NOTICE"), 0);
}

#[test]
fn r5_a_token_that_comes_while_something_works_is_waited_for() {
    let mut world = world(&[OLLAMA]);
    // It begins to work while the first request waits: the second one is not sent.
    world.then("ollama gives no token", 0).until("ollama", "degraded");
    world.then("ollama works", 600);
    assert!(world.nothing_done());
}

#[test]
fn r6_endless_work_is_told_once_and_never_restarted() {
    let mut world = world(&[OLLAMA]);
    world.then("ollama works, and a request waits for 9 min", 300);
    assert_eq!(world.phase("ollama"), "healthy", "nine minutes are honest work");
    world.then("ollama works, and a request waits for 11 min", 1200);
    assert_eq!(world.cause("ollama"), "ollama.overloaded");
    assert_eq!(world.told("NOTICE problem"), 1);
    assert!(world.nothing_done());
}

#[test]
fn r7_what_is_not_loaded_is_never_asked() {
    let mut world = world(&["ollama: its work is read"]);
    assert_eq!(looks(&mut world, "ollama", Depth::Deep, 1200), 0);
}

#[test]
fn r8_an_error_counts_in_full_only_together_with_a_failed_request() {
    let mut alone = world(&[OLLAMA]);
    alone.then("ollama answers with status 500", 600);
    assert!(alone.nothing_done());
    let mut both = world(&[OLLAMA]);
    both.then("ollama fails every generation", 0).until("ollama", "degraded");
    both.then("ollama answers with status 500", 30);
    assert!(!both.nothing_done());
}

#[test]
fn r9_each_reason_to_doubt_ourselves_adds_a_fail_and_patience() {
    let down_after = |reasons: &[&str]| {
        let mut world = world(&["ollama"]);
        for reason in reasons {
            world.then(reason, 0);
        }
        world.pass(6);
        world.then("ollama dies", 0);
        let began = world.story_ms();
        world.looks = Some(Vec::new());
        while world.phase("ollama") != "recovering" {
            assert!(world.story_ms() < began + 120_000, "never down: {reasons:?}");
            world.run_until(world.story_ms() + 100);
        }
        let looks = world.looks.take().unwrap_or_default();
        let stretch = looks.iter().filter(|look| look.target == TargetId::Ollama);
        (stretch.map(|look| look.stretch).max().unwrap_or(0), world.story_ms() - began)
    };
    let (calm, soon) = down_after(&[]);
    let (one, later) = down_after(&["we answer ourselves after 900 ms"]);
    let (two, latest) =
        down_after(&["we answer ourselves after 900 ms", "our own loop is late by 3 s"]);
    assert_eq!((calm, one, two), (1, 2, 3));
    assert!(soon < later && later < latest, "{soon} {later} {latest}");
    let (quick, _) = down_after(&["we answer ourselves after 150 ms"]);
    assert_eq!(quick, 1, "150 ms are no reason");
}

#[test]
fn r10_a_wake_from_the_resource_saver_is_no_slowness() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("docker wakes from its Resource Saver", 300);
    assert_eq!(world.phase("docker"), "healthy");
    let note = world.patient("docker").note.as_ref().map(|note| note.id);
    assert_eq!(note, Some(CauseId::DockerResourceSaver));
    assert_eq!(world.told("incident"), 0);
}

#[test]
fn r11_what_it_depends_on_is_asked_before_the_first_act() {
    let mut world = world(&[
        "ollama",
        "docker",
        "container web",
        "service api: in container web, needs ollama",
    ]);
    world.looks = Some(Vec::new());
    world.then("api hangs", 0).until("service:api", "recovering");
    let looks = world.looks.take().unwrap_or_default();
    let at = |target: &TargetId| looks.iter().rposition(|look| look.target == *target);
    let api = TargetId::Service("api".into());
    assert!(at(&TargetId::Ollama) > at(&api).map(|at| at.saturating_sub(3)), "{looks:?}");
}

#[test]
fn r16_r29_an_unhealthy_container_is_restarted_after_30_s_and_not_before() {
    let mut world = world(&["docker", "container web: critical, with a health check"]);
    world.then("web becomes unhealthy", 25);
    assert!(world.nothing_done());
    world.pass(20);
    assert_eq!(world.told("> container:web: stop"), 1);
}

#[test]
fn r29_an_unhealthy_container_that_nobody_named_is_only_told() {
    let mut world = world(&["docker", "container web: with a health check"]);
    world.then("web becomes unhealthy", 600);
    assert!(world.nothing_done());
    assert_eq!(world.told("NOTICE problem: container:web container.unhealthy"), 1);
}

#[test]
fn r19_the_largest_consumer_is_restarted_though_memory_is_critical() {
    let hangs_under_pressure = |largest: &str| {
        let mut world = world(&["ollama"]);
        world.host.ledger = Some(vec![
            doctor::MemoryGroup { name: "docker".into(), bytes: 20 << 30, processes: 3 },
            doctor::MemoryGroup { name: largest.into(), bytes: 40 << 30, processes: 3 },
        ]);
        world.then("memory is critical", 60);
        world.then("ollama hangs", 180);
        world.told("> ollama: TERM")
    };
    assert_eq!(hangs_under_pressure("ollama"), 1);
    assert_eq!(hangs_under_pressure("python"), 0);
}

#[test]
fn r58_killed_at_its_start_beside_a_dead_parent_it_waits_for_the_parent() {
    let mut world = world(&["ollama", "docker", "container orch: critical, needs ollama"]);
    world.then("ollama cannot be started", 0);
    world.then("ollama dies", 20);
    world.then("orch exits with 1", 5);
    world.then("orch runs out of memory", 120);
    assert_eq!(world.patient("container:orch").reason.rule, "R58");
    let before = world.told("> container:orch");
    world.then("ollama is started by a person", 120);
    assert_eq!(world.told("> container:orch"), before + 1, "one trial when the parent is well");
}

#[test]
fn r59_a_crash_between_two_looks_is_written_down_and_counted() {
    let mut world = world(&["ollama"]);
    world.then("ollama is restarted by somebody else", 30);
    let patient = world.patient("ollama");
    assert_eq!(patient.account.restarts.len(), 1);
    let incident = patient.incident.as_ref().expect("written down");
    assert_eq!(incident.cause.id, CauseId::OllamaCrashed);
    assert!(incident.closed.is_some());
    assert_eq!(world.told("NOTICE"), 0);
    // Seen to be gone first, it may have been started by a person: nothing is counted.
    let mut seen = super::world(&["ollama: heal observe"]);
    seen.then("ollama dies", 60).then("ollama is started by somebody else", 60);
    assert_eq!(seen.patient("ollama").account.restarts.len(), 0);
}

#[test]
fn r61_a_leak_must_last_and_is_ended_only_when_idle_and_short_of_memory() {
    let mut world = world(&[OLLAMA]);
    world.then("ollama holds 16 GB", 500);
    assert_eq!(world.phase("ollama"), "healthy");
    world.pass(200);
    assert_eq!(world.cause("ollama"), "ollama.leak");
    world.pass(1800);
    assert!(world.nothing_done(), "memory is not short");
    world.then("ollama works", 0).then("memory is under pressure", 300);
    assert!(world.nothing_done(), "it works");
    world.then("ollama has nothing to do", 90);
    assert_eq!(world.told("> ollama: TERM"), 1);
}

#[test]
fn r62_a_doubtful_detail_does_not_hide_what_is_plain() {
    let mut world = world(&[OLLAMA]);
    world.then("ollama logs ollama.metal_contention: Reentrancy avoided", 0);
    world.then("ollama hangs", 0).until("ollama", "recovering");
    assert_eq!(world.cause("ollama"), "ollama.wedged");
}

#[test]
fn r62_contradicting_facts_make_a_cause_possible_and_nothing_follows() {
    let mut world = world(&["mlx: its work is read"]);
    world.then("mlx answers with status 503", 0).then("mlx hangs behind a hidden listener", 180);
    let cause = world.patient("mlx").phase.cause().expect("a cause").clone();
    assert_eq!(cause.confidence, Confidence::Possible);
    assert!(world.nothing_done());
}

#[test]
fn r64_disks_have_three_levels() {
    let told = |gb: u64| {
        let mut world = world(&["ollama"]);
        world.then(&format!("{gb} GB of /home left"), 60);
        (world.phase("host"), world.cause("host"))
    };
    // Of 1000 GB, 50 are five per cent.
    assert_eq!(told(60), ("healthy", "none"));
    assert_eq!(told(49), ("degraded", "host.disk_full"));
    assert_eq!(told(1), ("degraded", "host.disk_full"));
}

#[test]
fn r3_state_intent_inhibition_and_remedy_are_four_things() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("docker goes away", 60);
    let web = world.patient("container:web");
    assert!(matches!(web.phase, Phase::Unknown), "not down: its parent cannot be reached");
    assert_eq!(web.account.intent, doctor::Intent::Wanted);
    assert_eq!(web.inhibited_by, Some(TargetId::Docker));
    assert!(world.nothing_done());
}

#[test]
fn r1_the_same_seed_and_events_give_the_same_orders() {
    let orders = || {
        let mut world =
            world_with(&["ollama", "docker", "container web: critical"], LedgerFound::None);
        world.heard = Some(Vec::new());
        world.then("ollama dies", 20).then("web exits with 1", 120);
        world.heard.take().unwrap_or_default()
    };
    let heard = orders();
    let again = |heard: &[(doctor::Event, doctor::Now)]| {
        let world = world_with(&["ollama", "docker", "container web: critical"], LedgerFound::None);
        let mut doctor = world.doctor;
        let orders: Vec<Order> =
            heard.iter().flat_map(|(event, now)| doctor.handle(event.clone(), *now)).collect();
        orders
    };
    assert!(!heard.is_empty());
    assert_eq!(again(&heard), again(&heard));
}

#[test]
fn r48_each_attempt_is_recorded_with_all_that_is_asked_later() {
    let mut world = world(&["ollama"]);
    world.remedies = Some(Vec::new());
    world.then("ollama dies", 120);
    let remedies = world.remedies.take().unwrap_or_default();
    let last = remedies.last().expect("a remedy");
    assert_eq!(last.target, TargetId::Ollama);
    assert_eq!((last.attempt, last.by), (1, doctor::Asker::Doctor));
    assert_eq!(last.result, Some(doctor::RemedyResult::Verified));
    assert!(last.ended.is_some() && last.incident.is_some() && !last.steps.is_empty());
}

#[test]
fn t18_short_memory_sheds_idle_models_one_by_one_and_spares_what_is_used_or_pinned() {
    let unloaded = |given: &str, first: &str| {
        let mut world = world(&[given]);
        world.pass(660);
        world.then(first, 0).then("memory is critical", 600);
        (world.told("> ollama: unload llama3:70b"), world.told("> ollama: unload"))
    };
    let loaded = "ollama: its work is read, loaded llama3:70b 42 GB, loaded nomic-embed-text 1 GB";
    assert_eq!(unloaded(loaded, "nothing happens"), (1, 1), "the pinned one stays");
    assert_eq!(unloaded(loaded, "ollama works"), (0, 0), "something works");
    let keeps = "ollama: keeps its models, loaded llama3:70b 42 GB";
    assert_eq!(unloaded(keeps, "nothing happens"), (0, 0));
    let observes = "ollama: heal observe, loaded llama3:70b 42 GB";
    assert_eq!(unloaded(observes, "nothing happens"), (0, 0));
    let mut lacking = world(&["ollama: loaded llama3:70b 42 GB, wants mistral"]);
    lacking.then("ollama lacks mistral", 660).then("memory is critical", 600);
    assert_eq!(lacking.phase("ollama"), "degraded");
    assert_eq!(lacking.told("> ollama: unload llama3:70b"), 1, "what it lacks frees no memory");
    let mut fresh = world(&["ollama: loaded llama3:70b 42 GB"]);
    fresh.then("memory is critical", 300);
    assert_eq!(fresh.told("> ollama: unload"), 0, "used five minutes ago");
}

#[test]
fn another_users_server_is_told_with_the_command_that_ends_it() {
    for (started_by, command) in [
        (None, "sudo kill "),
        (Some("the system's unit ollama.service"), "sudo systemctl disable --now ollama.service"),
    ] {
        let mut world = world(&["ollama"]);
        if let Some(unit) = started_by {
            world.then(&format!("ollama was started by {unit}"), 0);
        }
        world.then("ollama shows the models of another user", 11 * 60);
        assert_eq!(world.cause("ollama"), "ollama.other_user");
        let cause = world.doctor.patient(&TargetId::Ollama).and_then(|one| one.phase.cause());
        let said = format!("{:?}", cause.map(|cause| &cause.says.values));
        assert!(said.contains(command), "{said}");
        assert!(world.nothing_done());
    }
}

#[test]
fn a_server_with_another_models_directory_is_told_with_both_and_left_alone() {
    let mut empty = world(&["ollama"]);
    empty.then("ollama shows the models of another directory", 11 * 60);
    assert_eq!(empty.cause("ollama"), "ollama.other_store");
    let cause = empty.patient("ollama").phase.cause().expect("a cause");
    let said = format!("{cause:?}");
    assert!(said.contains("/Volumes/Models") && said.contains("/Users/anna/.ollama"), "{said}");
    assert!(empty.nothing_done());
    // Elsewhere on purpose: it has models there, or the user has none of their own.
    let mut moved = world(&["ollama"]);
    moved.then("ollama shows the models of another directory", 0);
    moved.then("ollama loads llama3:8b 5 GB of a 4 GB file with a context of 4096", 11 * 60);
    let mut fresh = world(&["ollama"]);
    fresh.then("ollama shows the models of another directory", 0);
    fresh.then("ollama has no models at all", 11 * 60);
    assert_eq!((moved.phase("ollama"), fresh.phase("ollama")), ("healthy", "healthy"));
}

#[test]
fn a_hidden_server_is_another_users_only_where_one_of_that_name_is() {
    let mut hidden = world(&["ollama"]);
    hidden
        .then("ollama shows the models of another user", 0)
        .then("ollama is not shown to us", 660);
    assert_eq!(hidden.cause("ollama"), "ollama.other_user");
    // Its own user's, and hidden for another reason.
    let mut own = world(&["ollama"]);
    own.then("ollama has all its models", 0).then("ollama is not shown to us", 660);
    assert_eq!(own.phase("ollama"), "healthy");
    assert!(hidden.nothing_done() && own.nothing_done());
}

#[test]
fn a_runner_of_a_dead_server_is_told_though_its_model_is_loaded_again() {
    let mut world = world(&[OLLAMA]);
    world.then("ollama has a runner of a dead server beside its own", 11 * 60);
    assert_eq!(world.cause("ollama"), "ollama.left_behind");
    let cause = world.doctor.patient(&TargetId::Ollama).and_then(|one| one.phase.cause());
    let said = format!("{:?}", cause.map(|cause| &cause.evidence));
    assert!(said.contains("977") && !said.contains("978"), "{said}");
    assert!(world.nothing_done());
}

/// What the system wrote down explains why a server is gone, and is told at once.
#[test]
fn a13_a_server_that_the_kernel_ended_for_memory_says_so() {
    for (server, cause) in [("ollama", "ollama.crashed"), ("mlx", "mlx.crashed")] {
        let mut world = world(&["ollama", "mlx"]);
        world.then(&format!("the system ends the server {server} while chrome holds most"), 0);
        world.until(server, "recovering");
        assert_eq!(world.cause(server), cause);
        let cause = world.patient(server).phase.cause().expect("a cause");
        let keys: Vec<&str> = cause.evidence.iter().map(|line| line.key.as_str()).collect();
        assert!(keys.contains(&"evidence.ended"), "{keys:?}");
        assert!(keys.contains(&"evidence.largest"), "{keys:?}");
        assert_eq!(world.told("incident host host.process_killed"), 1);
        assert_eq!(world.told("NOTICE out of memory"), 1);
    }
}

/// Who starts a process is told how it ends.
#[test]
fn a13_a_server_of_our_own_is_told_with_the_signal_or_the_code_that_it_ended_with() {
    for server in ["ollama", "mlx"] {
        for (end, key, name) in
            [("SIGSEGV", "evidence.exited_signal", "signal"), ("3", "evidence.exited", "code")]
        {
            let mut world = world(&["ollama", "mlx"]);
            world.then(&format!("{server} is our child, to end with {end}"), 0);
            world.then(&format!("{server} dies"), 0).until(server, "recovering");
            assert_eq!(world.cause(server), format!("{server}.not_running"));
            let told = evidence(&world, server);
            let exit = told.iter().find(|line| line.key == key).expect("how it ended");
            let value = match end.parse() {
                Ok(code) => doctor::Value::Count(code),
                Err(_) => end.into(),
            };
            assert_eq!(exit.values.get(name), Some(&value), "{told:?}");
            // The next end is another one, of which nobody knows.
            world.until(server, "healthy").pass(120);
            world.then(&format!("{server} dies"), 0).until(server, "recovering");
            let told = evidence(&world, server);
            assert!(told.iter().all(|line| line.key != key), "{told:?}");
        }
    }
}

fn evidence(world: &World, server: &str) -> Vec<doctor::Sentence> {
    world.patient(server).phase.cause().map(|cause| cause.evidence.clone()).unwrap_or_default()
}

/// Told only after the remedy has begun, it is a line of the story.
#[test]
fn a13_what_the_system_wrote_down_late_is_told_in_the_story() {
    let mut world = world(&["ollama"]);
    let process = world.server_mut(&TargetId::Ollama).and_then(|server| server.process.clone());
    world.then("ollama starts do nothing", 0).then("ollama dies", 0).until("ollama", "recovering");
    assert_eq!(world.cause("ollama"), "ollama.not_running");
    let pid = process.expect("it runs").seen.id.pid;
    let why = EndedWhy::OutOfMemory;
    world.host.ended.push(EndedSeen { victim: "ollama".into(), pid, largest: None, why });
    world.pass(20);
    let incident = world.patient("ollama").incident.as_ref().expect("an incident");
    assert!(incident.story.iter().any(|line| line.says.key == "evidence.ended"), "{incident:?}");
}

/// Another process with another pid explains nothing of it.
#[test]
fn a13_what_ended_elsewhere_explains_no_server() {
    let mut world = world(&["ollama"]);
    world.then("the system ends ollama", 0).then("ollama dies", 0).until("ollama", "recovering");
    assert_eq!(world.cause("ollama"), "ollama.not_running");
}

/// What explained the last end does not explain the next one.
#[test]
fn a13_a_server_that_came_back_has_a_clean_record() {
    let mut world = world(&["ollama"]);
    world.then("the system ends the server ollama", 0).until("ollama", "recovering");
    world.until("ollama", "healthy").pass(120);
    world.then("ollama dies", 0).until("ollama", "recovering");
    assert_eq!(world.cause("ollama"), "ollama.not_running");
}

/// A crash, or a limit of one's own, says nothing of the host: written down, and nobody is called.
#[test]
fn a13_a_crash_and_a_limit_are_written_down_only() {
    for what in ["python3 crashes, says the system", "the system ends python3 for its limit"] {
        let mut world = world(&["ollama"]);
        world.then(what, 60);
        assert_eq!(world.told("incident host host.process_killed"), 1, "{what}");
        assert_eq!(world.told("NOTICE"), 0, "{what}");
        assert_eq!(world.phase("host"), "healthy");
    }
}
