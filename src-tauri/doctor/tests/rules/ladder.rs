//! The ladder of 1.8: the smallest remedy first, and the next one when it does not help.

use doctor::{Step, TargetId, Verb};

use super::{World, world};

const STUCK: &[&str] = &["ollama: its work is read, loaded llama3:8b 6 GB, loaded qwen3:14b 9 GB"];

fn steps(world: &World) -> Vec<&'static str> {
    let name = |step: &Step| {
        let named = [
            ("unload", matches!(step, Step::Unload { .. })),
            ("prove", matches!(step, Step::Prove { .. })),
            ("stop", matches!(step, Step::Terminate(_))),
            ("start", matches!(step, Step::Start(_))),
        ];
        named.into_iter().find_map(|(name, is)| is.then_some(name))
    };
    world.treatments.iter().filter_map(|(_, treatment)| name(&treatment.what)).collect()
}

fn restarts(world: &World) -> usize {
    let ollama = world.doctor.patient(&TargetId::Ollama);
    ollama.map_or(0, |ollama| ollama.account.restarts.len())
}

/// One attempt of the episode, and no restart in the hour's ledger (R28).
#[test]
fn t18_a_stuck_model_is_unloaded_and_proven_before_anything_is_restarted() {
    for how in ["ollama gives no token", "ollama gives empty answers"] {
        let mut world = world(STUCK);
        world.then("ollama is cured by an unload", 0).then(how, 400);
        assert_eq!(steps(&world), ["unload", "prove"], "{how}");
        assert_eq!(world.phase("ollama"), "healthy", "{how}: {:?}", world.tale.lines);
        assert_eq!(world.told("unload ollama: done"), 1, "{how}: {:?}", world.tale.lines);
        assert_eq!(restarts(&world), 0, "{how}");
        let ollama = world.doctor.patient(&TargetId::Ollama).expect("ollama");
        assert_eq!(ollama.account.attempts, 1, "{how}");
        let unloaded: Vec<&Step> = world.treatments.iter().map(|(_, one)| &one.what).collect();
        let only = Step::Unload { models: vec!["llama3:8b".into()] };
        assert_eq!(unloaded.first(), Some(&&only), "only the one that is stuck");
    }
}

#[test]
fn t18_a_restart_follows_at_once_when_the_unload_does_not_help() {
    let mut world = world(STUCK);
    world.then("ollama gives no token", 400);
    assert_eq!(steps(&world), ["unload", "prove", "stop", "start"]);
    assert_eq!(world.told("restart ollama: done"), 1, "{:?}", world.tale.lines);
    assert_eq!(restarts(&world), 1);
    let at = |wanted: fn(&Step) -> bool| {
        world.treatments.iter().find(|(_, one)| wanted(&one.what)).map(|(at, _)| *at)
    };
    let unload = at(|step| matches!(step, Step::Unload { .. })).expect("an unload");
    let stop = at(|step| matches!(step, Step::Terminate(_))).expect("a stop");
    let waited = stop.awake.since(unload.awake).as_secs();
    assert!(waited <= 70, "{waited} s from the unload to the restart");
    let ollama = world.doctor.patient(&TargetId::Ollama).expect("ollama");
    assert_eq!(ollama.account.attempts, 1, "it was one attempt");
}

/// What will not leave memory is not asked for a token first.
#[test]
fn t18_a_model_that_stays_in_memory_is_met_by_the_restart_at_once() {
    let mut world = world(STUCK);
    world.then("ollama does not let go of its models", 0).then("ollama gives no token", 400);
    assert_eq!(steps(&world), ["unload", "stop", "start"]);
}

/// Stuck again within the episode: one unload was enough to see that it does not last.
#[test]
fn t18_a_model_is_unloaded_once_in_an_episode() {
    let mut world = world(STUCK);
    world.then("ollama is cured by an unload", 0).then("ollama gives no token", 400);
    assert_eq!(steps(&world), ["unload", "prove"]);
    world.then("ollama gives no token", 400);
    assert_eq!(steps(&world), ["unload", "prove", "stop", "start"]);
}

/// A server that hangs itself, or whose GPU session is lost, is not cured by taking a model away.
#[test]
fn t18_what_is_not_of_one_model_is_not_met_by_an_unload() {
    for what in ["ollama hangs", "ollama resets connections", "ollama dies"] {
        let mut world = world(STUCK);
        world.then(what, 120);
        assert!(!steps(&world).contains(&"unload"), "{what}: {:?}", steps(&world));
        assert!(steps(&world).contains(&"start"), "{what}: {:?}", steps(&world));
    }
}

/// Busy is not stuck: nobody's answer is cut off.
#[test]
fn t18_nothing_is_unloaded_while_it_works() {
    let mut world = world(STUCK);
    world.then("ollama works", 0).then("ollama gives no token", 400);
    assert_eq!(steps(&world), [""; 0]);
}

const DESKTOP: &[&str] =
    &["docker: of Docker Desktop", "container web: critical", "container db: critical"];

fn offers(world: &World) -> bool {
    world.doctor.actions(&TargetId::Docker).contains(&Verb::Restart)
}

fn docker_says(world: &World) -> &str {
    &world.doctor.patient(&TargetId::Docker).expect("docker").reason.says.key
}

/// R60: it ends every container, so a person has it done; nothing else of Docker's is touched.
#[test]
fn t18_docker_is_restarted_only_when_a_person_asks() {
    let mut world = world(DESKTOP);
    world.then("docker hangs", 600);
    assert!(world.nothing_done(), "{:?}", world.treatments);
    assert_eq!((offers(&world), docker_says(&world)), (true, "why.docker_consent"));
    world.then("a person asks: recover docker", 60);
    world.then("a person asks: recover everything", 60);
    world.then("an agent complains about everything", 60);
    assert!(world.nothing_done(), "asking that all be well is no consent: {:?}", world.treatments);
    world.then("a person asks: restart docker", 300);
    let asked = world.treatments.iter().filter(|(_, one)| one.what == Step::RestartDocker);
    assert_eq!(asked.count(), 1);
    assert_eq!(world.phase("docker"), "healthy", "{:?}", world.tale.lines);
    assert_eq!(world.told("restart docker: done"), 1, "{:?}", world.tale.lines);
}

/// L0: a wake, a Resource Saver, a short stall go by themselves.
#[test]
fn t18_docker_is_given_a_minute_first() {
    let mut world = world(DESKTOP);
    world.then("docker hangs", 0).until("docker", "down");
    world.pass(50);
    assert_eq!((offers(&world), docker_says(&world)), (false, "why.docker_may_return"));
    world.then("a person asks: restart docker", 1);
    assert_eq!(world.told("impossible (why.docker_may_return)"), 1, "{:?}", world.tale.lines);
    world.pass(30);
    assert!(offers(&world), "{}", docker_says(&world));
}

/// R34: what its shutdown stops is stopped by nobody, and comes back.
#[test]
fn t18_a_restart_of_docker_leaves_intent_as_it_was() {
    let mut world = world(DESKTOP);
    world.then("docker hangs", 200).then("a person asks: restart docker", 1);
    for second in 0..400 {
        world.pass(1);
        for name in ["container:web", "container:db"] {
            let container = world.doctor.patient(&name.parse().expect("a target")).expect(name);
            assert_eq!(container.account.intent, doctor::Intent::Wanted, "{name} at {second} s");
        }
    }
    for name in ["container:web", "container:db"] {
        assert_eq!(world.phase(name), "healthy", "{:?}", world.tale.lines);
    }
}

/// R33: once it answers again, a stop is a person's, though the restart is still being proved.
#[test]
fn t18_a_stop_after_the_restart_of_docker_is_a_persons() {
    let mut world = world(DESKTOP);
    world.then("docker hangs", 200).then("a person asks: restart docker", 1);
    world.pass(30);
    assert_eq!(world.told("docker waits out the soak"), 1, "{:?}", world.tale.lines);
    world.then("a person starts web", 10).then("a person stops web", 10);
    assert_eq!(world.phase("docker"), "recovering", "{:?}", world.tale.lines);
    world.pass(300);
    assert_eq!(world.patient("container:web").account.intent, doctor::Intent::Held);
    assert_eq!(world.told("> web: start"), 0, "{:?}", world.tale.lines);
}

/// At most once an hour, and what one restart does not cure is for a person to see to.
#[test]
fn t18_docker_is_restarted_once_an_hour_and_then_given_up() {
    let mut world = world(DESKTOP);
    world.then("docker is not cured by a restart", 0).then("docker hangs", 200);
    world.then("a person asks: restart docker", 400);
    assert_eq!(world.phase("docker"), "given up", "{:?}", world.tale.lines);
    assert!(!offers(&world));
    world.then("a person asks: restart docker", 1);
    assert_eq!(world.told("impossible (why.docker_once_an_hour)"), 1, "{:?}", world.tale.lines);
    world.pass(3600);
    assert!(offers(&world), "an hour later");
}

/// Who quit it means it, and a unit of the system is for an administrator.
#[test]
fn t18_only_a_docker_desktop_that_runs_is_offered_a_restart() {
    for (given, what, says) in [
        (
            "docker: of Docker Desktop",
            "docker shuts down, stopping all containers",
            "why.docker_quit",
        ),
        ("docker: of the system's unit docker", "docker hangs", "why.docker_unit"),
        ("docker", "docker hangs", "why.docker_by_hand"),
    ] {
        let mut world = world(&[given, "container web: critical"]);
        world.then(what, 300);
        assert_eq!((offers(&world), docker_says(&world)), (false, says), "{given}");
        world.then("a person asks: restart docker", 30);
        assert_eq!(world.told(&format!("impossible ({says})")), 1, "{:?}", world.tale.lines);
        assert!(world.nothing_done());
    }
}

/// What is not for us to ask may be well: nobody can tell.
#[test]
fn t18_a_docker_that_is_closed_to_us_is_not_restarted() {
    let mut world = world(DESKTOP);
    world.then("docker hangs", 300);
    assert!(offers(&world));
    world.then("docker is closed to us", 60);
    assert!(!offers(&world), "{:?}", world.tale.lines);
    world.then("a person asks: restart docker", 30);
    assert!(world.nothing_done(), "{:?}", world.treatments);
}

/// Nor while it answers, and not by an agent's word.
#[test]
fn t18_a_docker_that_answers_is_not_restarted() {
    let mut world = world(DESKTOP);
    world.then("a person asks: restart docker", 30);
    assert_eq!(world.told("impossible (why.docker_not_down)"), 1, "{:?}", world.tale.lines);
    world.then("docker hangs", 300).then("docker answers again", 300);
    assert!(!offers(&world));
    world.then("a person asks: restart docker", 30);
    assert!(world.nothing_done(), "{:?}", world.treatments);
}
