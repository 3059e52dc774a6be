//! Why a target is as it is: one test per kind of reason, each with what must not be said instead.

use std::time::Duration;

use doctor::{NextLook, TargetId, Why};

use super::world;
use super::world::World;

impl World {
    fn why(&self, target: &str) -> Why {
        let id: TargetId = target.parse().expect("a target");
        self.doctor.why(&id).expect("a target that is watched")
    }

    /// The rule that it is in its state by, and the one by which nothing is done.
    fn rules(&self, target: &str) -> (&'static str, &'static str) {
        let why = self.why(target);
        (why.rule, why.nothing_done.map_or("", |reason| reason.rule))
    }

    fn changes(&self, target: &str) -> Vec<String> {
        self.why(target).changes.into_iter().map(|says| says.key).collect()
    }

    /// Seconds from now until an attempt may begin.
    fn attempt_in(&self, target: &str) -> Option<u64> {
        let now = self.now().awake;
        self.why(target).next_attempt.map(|at| at.since(now).as_millis().try_into().unwrap_or(0))
    }
}

#[test]
fn why_a_healthy_target_names_what_makes_it_down_and_nothing_more() {
    let world = world(&["ollama"]);
    let why = world.why("ollama");
    assert_eq!(why.nothing_done, None);
    assert_eq!(why.next_attempt, None);
    assert_eq!(world.changes("ollama"), ["change.failed_looks", "change.late_looks"]);
    let NextLook::At(at) = why.next_look else { panic!("{:?}", why.next_look) };
    let ahead = at.since(world.doctor.now().awake);
    assert!(ahead <= Duration::from_secs(11), "{ahead:?}");
    assert!(world.doctor.why(&TargetId::Mlx).is_none(), "it is not watched");
}

#[test]
fn why_counts_the_looks_that_are_missing() {
    let mut world = world(&["ollama: heal ask"]);
    world.then("ollama dies", 0).until("ollama", "degraded");
    assert_eq!(world.changes("ollama"), ["change.good_looks", "change.more_failed_looks"]);
    world.pass(3);
    assert_eq!(world.changes("ollama"), ["change.good_looks", "change.one_more_failed_look"]);
    world.until("ollama", "down");
    assert_eq!(world.changes("ollama")[1], "change.good_looks");
    world.then("ollama is started by somebody else", 0);
    while world
        .patient("ollama")
        .last_good
        .is_none_or(|good| good.awake < world.patient("ollama").since.awake)
    {
        world.run_until(world.story_ms() + 10);
    }
    assert!(world.changes("ollama").contains(&"change.one_good_look".into()));
}

#[test]
fn why_one_good_answer_is_forgotten_with_the_next_failure() {
    // With a supervisor: what that starts is no changed world (R27).
    let mut world = world(&["mlx: launch launchd:com.example.mlx"]);
    world.then("mlx cannot be started", 0).then("mlx dies", 300);
    assert_eq!(world.phase("mlx"), "given up");
    let before = world.why("mlx");
    world.then("mlx is started by somebody else", 0);
    while !world.changes("mlx").contains(&"change.one_good_look".into()) {
        world.run_until(world.story_ms() + 10);
    }
    world.then("mlx dies", 20);
    let after = world.why("mlx");
    assert_eq!((after.rule, after.says), (before.rule, before.says));
}

#[test]
fn why_one_good_answer_is_forgotten_with_the_next_wrong_one() {
    let mut world = world(&["ollama"]);
    world.then("ollama answers with status 500", 30);
    assert_eq!(world.rules("ollama"), ("R8", "R8"));
    world.then("ollama answers again", 0);
    while world.rules("ollama").0 == "R8" {
        world.run_until(world.story_ms() + 10);
    }
    assert_eq!(world.changes("ollama")[0], "change.one_good_look");
    world.then("ollama answers with status 500", 0);
    while world.changes("ollama")[0] != "change.good_looks" {
        world.run_until(world.story_ms() + 10);
    }
    assert_eq!(world.rules("ollama"), ("R8", "R8"));
}

#[test]
fn r26_says_when_the_next_attempt_begins_and_it_does() {
    let mut world = world(&["ollama"]);
    world.then("ollama cannot be started", 0).then("ollama dies", 0);
    world.until_told("start ollama: failed");
    assert_eq!(world.rules("ollama"), ("R46", "R26"));
    let wait = world.attempt_in("ollama").expect("an attempt");
    let begun = world.times("> ollama: find who listens").len();
    world.run_until(world.story_ms() + wait - 50);
    assert_eq!(world.times("> ollama: find who listens").len(), begun, "too early");
    assert_eq!(world.rules("ollama"), ("R46", "R26"));
    // At most one last look lies between the end of the wait and the attempt (R11).
    world.run_until(world.story_ms() + 6_000);
    assert_eq!(world.times("> ollama: find who listens").len(), begun + 1, "at its time");
}

#[test]
fn r27_says_when_the_trial_begins_and_it_does() {
    let mut world = world(&["ollama"]);
    world.then("ollama cannot be started", 0).then("ollama dies", 120);
    assert_eq!(world.rules("ollama"), ("R25", "R27"));
    let wait = world.attempt_in("ollama").expect("a trial");
    assert!(wait > 25 * 60_000, "{wait} ms");
    let begun = world.times("> ollama: find who listens").len();
    world.run_until(world.story_ms() + wait - 50);
    assert_eq!(world.times("> ollama: find who listens").len(), begun, "too early");
    world.run_until(world.story_ms() + 6_000);
    assert_eq!(world.times("> ollama: find who listens").len(), begun + 1, "at its time");
}

#[test]
fn r29_says_until_when_the_supervisor_is_waited_for() {
    let mut world = world(&["ollama: the app is installed"]);
    world.then("ollama dies", 0).until("ollama", "down");
    assert_eq!(world.rules("ollama"), ("R11", "R29"));
    let wait = world.attempt_in("ollama").expect("an attempt");
    assert!((14_000..=15_000).contains(&wait), "{wait} ms");
}

#[test]
fn r31_what_no_restart_cures_has_no_next_attempt() {
    let mut world = world(&["ollama"]);
    world.then("ollama loses its port to python3 pid 9", 60);
    assert_eq!(world.rules("ollama"), ("R31", "R31"));
    assert_eq!(world.attempt_in("ollama"), None);
    let changes = world.changes("ollama");
    assert!(changes.contains(&"change.other_cause".into()), "{changes:?}");
    assert!(!changes.contains(&"change.trial".into()), "{changes:?}");
}

#[test]
fn r28_a_spent_hour_says_when_it_fills_up_again() {
    // Without the rule against flapping, which would end this sooner (R54).
    let mut world = super::world_by(&["ollama"], |policy| policy.flap_restarts = 100);
    for _ in 0..6 {
        world.then("ollama dies", 90);
        world.tell(&doctor::Event::Reconfigured { roster: world.roster.clone() });
    }
    world.then("ollama dies", 60);
    assert_eq!(world.phase("ollama"), "given up");
    world.pass(31 * 60);
    assert_eq!(world.rules("ollama").1, "R28");
    assert_eq!(world.changes("ollama")[0], "change.hour_passes");
    let (wait, begun) = (world.attempt_in("ollama").expect("a time"), world.treatments.len());
    world.run_until(world.story_ms() + wait - 100);
    assert_eq!(world.treatments.len(), begun, "too early");
    world.run_until(world.story_ms() + 40_000);
    assert!(world.treatments.len() > begun, "never");
}

#[test]
fn r34_what_is_held_says_so_in_whatever_state() {
    let mut world = world(&["ollama", "docker", "container web: critical"]);
    world.then("a person asks: hold ollama", 1);
    assert_eq!(world.phase("ollama"), "healthy");
    assert_eq!(world.rules("ollama").1, "R34");
    assert_eq!(world.changes("ollama")[0], "change.release");
    world.then("ollama dies", 60);
    assert_eq!(world.rules("ollama"), ("R34", "R34"));
    world.then("a person stops web", 5);
    assert_eq!(world.rules("container:web").1, "R34");
    world.then("a person starts web", 5);
    assert_eq!(world.why("container:web").nothing_done, None);
}

#[test]
fn r37_a_hold_with_a_time_says_that_it_ends_by_itself_and_it_does() {
    let mut world = world(&["ollama"]);
    let within = Some(Duration::from_mins(10));
    let target = TargetId::Ollama;
    world.wish(doctor::Wish::Hold { target, within }, doctor::Asker::Person);
    assert_eq!(world.rules("ollama").1, "R34");
    assert_eq!(world.changes("ollama")[..2], ["change.hold_over", "change.release"]);
    world.pass(10 * 60 + 31);
    assert_eq!(world.why("ollama").nothing_done, None);
}

#[test]
fn r15_a_child_names_its_parent_as_people_call_it() {
    let mut world = world(&["docker", "container web: critical", "service api: in container web"]);
    world.then("docker goes away", 120);
    assert_eq!(world.rules("container:web"), ("R15", "R15"));
    let why = world.why("container:web");
    assert_eq!(why.next_look, NextLook::With(TargetId::Docker));
    assert_eq!(why.changes[0].key, "change.parent");
    assert_eq!(why.changes[0].values["parent"], "Docker".into());
    assert_eq!(world.why("service:api").changes[0].values["parent"], "web".into());
}

#[test]
fn r16_a_service_names_what_it_needs() {
    let given = [
        "docker",
        "ollama: heal ask",
        "container web",
        "service api: in container web, needs ollama",
    ];
    let mut world = world(&given);
    world.then("ollama dies", 30).then("api hangs", 120);
    assert_eq!(world.rules("service:api"), ("R11", "R16"));
    assert_eq!(world.why("service:api").changes[0].values["parent"], "Ollama".into());
}

#[test]
fn r19_memory_is_named_as_what_hinders_and_no_more_when_it_is_calm() {
    let mut world = world(&["ollama"]);
    world.then("memory is critical", 30).then("ollama hangs", 120);
    assert_eq!(world.rules("ollama"), ("R11", "R19"));
    assert_eq!(world.changes("ollama")[0], "change.memory_calm");
    world.then("memory is calm again", 80);
    assert_ne!(world.rules("ollama").1, "R19");
}

#[test]
fn r20_the_repair_that_is_waited_for_is_named() {
    let mut world = world(&["docker", "ollama", "container web: critical"]);
    world.then("ollama will start in 20 s", 0).then("ollama dies", 0);
    world.until("ollama", "recovering");
    assert_eq!(world.why("ollama").nothing_done, None);
    world.then("web exits with 1", 5);
    assert_eq!(world.rules("container:web").1, "R20");
    assert_eq!(world.why("container:web").changes[0].values["target"], "Ollama".into());
}

#[test]
fn r42_waking_is_said_while_it_lasts_and_not_after() {
    let mut world = world(&["ollama", "docker", "container web: critical"]);
    world.then("ollama dies", 0).then("the machine sleeps for 1 h", 5);
    assert_eq!(world.rules("ollama"), ("R42", "R42"));
    assert_eq!(world.changes("ollama")[0], "change.wake_over");
    world.pass(70);
    assert_ne!(world.rules("ollama").0, "R42");
}

#[test]
fn r46_a_repair_says_what_proves_it() {
    let mut world = world(&["ollama"]);
    world.then("ollama dies", 0).until("ollama", "recovering");
    assert_eq!(world.changes("ollama"), ["change.steps"]);
    world.until_told("waits out the soak");
    assert_eq!(world.changes("ollama"), ["change.soak_holds", "change.soak_fails"]);
    assert_eq!(world.why("ollama").nothing_done, None);
}

#[test]
fn r60_ask_and_observe_say_so_and_have_no_next_attempt() {
    for (mode, key) in [("ask", "why.ask"), ("observe", "why.observe")] {
        let mut world = world(&[&format!("ollama: heal {mode}")]);
        world.then("ollama dies", 60);
        let idle = world.why("ollama").nothing_done.expect("a reason");
        assert_eq!((idle.rule, idle.says.key.as_str()), ("R60", key));
        assert_eq!(world.attempt_in("ollama"), None);
        assert_eq!(world.changes("ollama")[0], "change.auto");
    }
}

#[test]
fn r62_only_possible_waits_for_certainty() {
    let mut world = world(&["ollama"]);
    world.then("ollama hangs behind a hidden listener", 300);
    assert_eq!(world.rules("ollama"), ("R11", "R62"));
    assert_eq!(world.changes("ollama")[0], "change.certainty");
}

#[test]
fn r63_a_container_is_told_of_by_docker() {
    let mut world = world(&["docker", "container web: critical"]);
    let NextLook::Told(at) = world.why("container:web").next_look else { panic!("not told") };
    let ahead = at.since(world.doctor.now().awake);
    assert!(ahead <= Duration::from_mins(1), "{ahead:?}");
    assert_eq!(world.changes("container:web"), ["change.container_fails"]);
    world.then("web exits with 1", 0).until("container:web", "recovering");
    assert_ne!(world.why("container:web").next_look, NextLook::Told(at));
}

#[test]
fn why_what_is_not_found_says_how_it_would_be() {
    let mut world = world(&["ollama: not running, not configured"]);
    world.pass(60);
    assert_eq!(world.changes("ollama"), ["change.appears"]);
}

#[test]
fn why_what_nobody_named_says_that_naming_it_critical_would_help() {
    let mut world = world(&["docker", "container web"]);
    world.then("web runs out of memory", 30);
    assert_eq!(world.phase("container:web"), "down");
    assert_eq!(world.rules("container:web").1, "R60");
    assert_eq!(world.changes("container:web")[0], "change.critical");
}

#[test]
fn why_the_host_says_what_pressure_means() {
    let mut world = world(&["ollama"]);
    assert_eq!(world.changes("host"), ["change.pressure"]);
    world.then("memory is critical", 30);
    assert_eq!(world.changes("host"), ["change.calm"]);
    assert_eq!(world.rules("host").1, "R8");
}

/// It answers at every look: more good answers are not what it lacks.
#[test]
fn why_what_answers_and_lacks_a_model_waits_to_be_put_right() {
    let mut world = world(&["ollama: wants llama3:70b"]);
    world.then("ollama lacks llama3:70b", 600);
    assert_eq!(world.cause("ollama"), "ollama.model_missing");
    assert_eq!(world.changes("ollama")[0], "change.mended", "{:?}", world.changes("ollama"));
    // One that fails does wait for good answers.
    let mut world = super::world(&["ollama"]);
    world.then("ollama answers with status 500", 60);
    assert!(!world.changes("ollama").contains(&"change.mended".to_owned()));
}

/// R34: a moment after a stop nobody knows yet whose it was.
#[test]
fn why_a_stop_is_a_persons_only_when_docker_does_not_go_with_it() {
    let mut world = world(&["docker", "container web: critical", "container db: critical"]);
    let says = |world: &World| {
        let why = world.doctor.why(&TargetId::Container("web".into())).expect("the container");
        why.says.key
    };
    world.then("a person stops web", 2);
    assert_eq!(says(&world), "why.just_stopped");
    world.pass(20);
    assert_eq!(says(&world), "why.stopped");
}
