//! What would be done, or left undone, by mistake: each case looks like another one.

use doctor::{
    ContainerEvent, ContainerNews, DeepOutcome, Event, Intent, LedgerFound, Order, Phase, Step,
    TargetId,
};

use super::world;

const OLLAMA: &str = "ollama: its work is read, loaded llama3:8b 6 GB";

/// The model was removed, or only embeds: the server says so at once, and that is no hang.
#[test]
fn r5_a_request_for_a_token_that_is_turned_down_is_no_wedge() {
    for status in [400, 401, 404, 405] {
        let mut world = world(&[OLLAMA]);
        let insides = &mut world.server_mut(&TargetId::Ollama).expect("ollama").insides;
        insides.generates = DeepOutcome::Failed { status };
        insides.cured_by_restart = false;
        world.pass(600);
        assert!(world.nothing_done(), "{status}");
        assert_eq!(world.phase("ollama"), "healthy", "{status}");
    }
}

/// Only who names a target has seen it fail (R23): a look at everything is no observation.
#[test]
fn r23_a_look_at_everything_is_no_complaint() {
    for what in ["a person asks: check everything", "an agent complains about everything"] {
        let mut world = world(&[OLLAMA]);
        world.pass(60);
        world.then("ollama gives no token", 0).then(what, 22);
        world.then("ollama generates again", 120);
        assert!(world.nothing_done(), "{what}");
        assert_eq!(world.phase("ollama"), "healthy", "{what}");
    }
}

/// A person's word is the confirmation of what it names (R22), and of what is unwell already.
#[test]
fn r22_recover_everything_makes_one_failed_look_no_reason_to_restart() {
    let mut one = world(&[OLLAMA]);
    one.then("ollama works", 60).then("the next looks at ollama bring silence", 0);
    one.then("a person asks: recover everything", 60);
    assert!(one.nothing_done());
    assert_eq!(one.phase("ollama"), "healthy");
    let mut named = world(&[OLLAMA]);
    named.then("ollama hangs", 0).then("a person asks: recover ollama", 8);
    assert_eq!(named.told("TERM"), 1);
}

/// R37: a hold that a person asked for ends through a person, and a supervisor is none.
#[test]
fn r37_a_supervisor_ends_no_hold_of_what_was_seen_to_be_gone() {
    for (given, target) in
        [("mlx: launch launchd:com.example.mlx", "mlx"), ("ollama: the app is installed", "ollama")]
    {
        let mut world = world(&[given]);
        world.then(&format!("a person asks: hold {target}"), 10);
        world.then(&format!("{target} dies"), 25);
        world.then(&format!("{target} is started by somebody else"), 60);
        assert_eq!(world.patient(target).account.intent, Intent::Held, "{target}");
        assert_eq!(world.phase(target), "healthy", "{target}");
        // Nor is it healed afterwards.
        world.then(&format!("{target} hangs"), 300);
        assert!(world.nothing_done(), "{target}");
    }
}

#[test]
fn r37_a_restart_of_the_engine_ends_no_hold() {
    for how in ["docker shuts down, stopping all containers", "docker goes away"] {
        let mut world = world(&["docker", "container web: critical, policy always"]);
        world.then("a person asks: hold container:web", 60);
        world.then(how, 60).then("docker comes up", 0);
        world.runs("web");
        world.pass(120);
        assert_eq!(world.patient("container:web").account.intent, Intent::Held, "{how}");
    }
}

/// R29: layers must not multiply. One container has one budget, however many services live in it.
#[test]
fn r29_two_services_in_one_container_share_its_budget() {
    let mut world = world(&[
        "docker",
        "container web: critical",
        "service a: in container web, not cured by a restart",
        "service b: in container web, not cured by a restart",
    ]);
    world.then("a hangs", 0).then("b hangs", 600);
    let stops = world.times("stop the container");
    assert_eq!(stops.len(), 3, "{stops:?}");
    // R26: at least 10 and 20 s after the attempt before has failed, which took its grace of 50 s.
    assert!(stops[1] - stops[0] >= 60_000 && stops[2] - stops[1] >= 70_000, "{stops:?}");
    for target in ["service:a", "service:b"] {
        assert_eq!(world.phase(target), "given up", "{target}");
    }
    // R28: those were restarts of the container, too.
    assert_eq!(world.patient("container:web").account.restarts.len(), 3);
}

/// R42: what was asked for a moment before the sleep is not done in the first moments after it.
#[test]
fn r42_what_a_person_asked_for_before_the_sleep_waits_out_the_hold() {
    for target in ["container:web", "ollama"] {
        let mut world = world(&["docker", "container web: critical", "ollama"]);
        world.then(&format!("a person asks: restart {target}"), 0);
        world.sleep(std::time::Duration::from_hours(1));
        world.pass(50);
        assert!(world.nothing_done(), "{target}: {:?}", world.treatments);
        world.pass(90);
        assert_eq!(world.phase(target), "healthy", "{target}");
        assert_eq!(world.told(&format!("restart {target}: done")), 1, "{target}");
    }
}

/// R31, 1.8: also one that we started and that never came to listen: it may be loading 70 GB.
#[test]
fn r31_mlx_has_30_s_between_term_and_kill_however_it_came_up() {
    let mut world = world(&["mlx: starts in 200 s"]);
    world.then("mlx ignores TERM", 0).then("mlx dies", 300);
    let waits = |step: &Step| matches!(step, Step::AwaitGone(_));
    let (_, first) = world.treatments.iter().find(|(_, one)| waits(&one.what)).expect("a wait");
    assert_eq!(first.within.as_secs(), 30);
}

/// R11: a reading that disagrees takes the leave that the one before it gave, however fresh.
#[test]
fn r11_a_good_reading_just_before_the_act_cancels_it() {
    let mut world = world(&["ollama"]);
    world.then("ollama hangs after each start", 0).then("ollama hangs", 0);
    world.until("ollama", "recovering").until("ollama", "down");
    let Phase::Down { not_before, .. } = world.patient("ollama").phase else { return };
    let due = world.story_ms() + not_before.0 - world.doctor.now().awake.0;
    // One more bad reading, five seconds long, and a good one, both just before the next attempt.
    world.run_until(due - 5_600);
    world.then("an agent complains about ollama", 0).run_until(due - 400);
    assert_eq!(world.phase("ollama"), "down");
    world.then("ollama answers again", 0).then("an agent complains about ollama", 60);
    assert_eq!(world.told("TERM"), 1);
    assert_eq!(world.phase("ollama"), "healthy");
    // Nor does the incident take on a cause that nothing was seen of.
    assert_eq!(world.told("unknown, possible"), 0);
}

/// P11: what ails it all the time must not hide what it is down for.
#[test]
fn r5_a_missing_model_does_not_hide_a_wedge() {
    for what in ["lacks mistral", "has a broken blob of mistral"] {
        let mut world = world(&[OLLAMA]);
        world.then(&format!("ollama {what}"), 400).then("ollama gives no token", 400);
        assert_eq!(world.told("TERM"), 1, "{what}");
    }
}

/// 503 of `/health`; an idle server has answered a request every two minutes until then.
#[test]
fn r8_a_generation_that_died_after_many_answers_is_restarted() {
    let mut world = world(&["mlx: its work is read"]);
    world.pass(300);
    world.then("mlx answers with status 503", 120);
    assert_eq!(world.told("TERM"), 1);
}

/// R27: also when the app was started anew in between; what it was given up for is remembered.
#[test]
fn r27_another_cause_is_a_changed_world_over_a_relaunch() {
    let mut world = world(&["ollama"]);
    world.then("ollama loses its port to nginx pid 77", 120).then("Homeostat is relaunched", 60);
    assert_eq!(world.phase("ollama"), "given up");
    world.then("Homeostat is relaunched", 0).then("ollama gets its port back", 200);
    assert_eq!(world.phase("ollama"), "healthy");
    assert_eq!(world.told("> ollama: start"), 1);
}

/// R37: what runs when we begin, and was held as one that does not, was started by somebody.
#[test]
fn r37_a_start_while_we_were_off_ends_the_hold() {
    let given = ["docker", "container web: critical", "ollama: the app is installed"];
    let mut world = world(&given);
    world.then("a person stops web", 30).then("ollama is quit", 30);
    let ledger = world.ledger.clone().expect("a ledger");
    world.then("web is started unheard", 0).then("ollama is started by a person", 0);
    world.begin(LedgerFound::Good(ledger.clone()));
    world.pass(60);
    for target in ["container:web", "ollama"] {
        assert_eq!(world.patient(target).account.intent, Intent::Wanted, "{target}");
    }
    // Not so what a person wants to be left alone, running or not, nor what still does not run.
    let mut alone = super::world(&given);
    alone.then("a person asks: hold ollama", 10).then("a person asks: hold container:web", 10);
    alone.then("Homeostat is relaunched", 60).then("a person stops web", 10);
    alone.then("Homeostat is relaunched", 60);
    for target in ["container:web", "ollama"] {
        assert_eq!(alone.patient(target).account.intent, Intent::Held, "{target}");
    }
}

/// R35: a pause is a hold, and its end the end of it, also where the stream did not tell.
#[test]
fn r35_what_runs_again_after_a_pause_is_wanted() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("web is paused", 90).then("the event stream stalls", 0);
    world.then("web is unpaused", 120);
    world.engine.stalled = false;
    world.then("web exits with 1", 60);
    assert_eq!(world.told("start the container"), 1);
    let mut alone = super::world(&["docker", "container web: critical"]);
    alone.then("a person asks: hold container:web", 10).then("web is paused", 90);
    alone.then("web is unpaused", 120);
    assert_eq!(alone.patient("container:web").account.intent, Intent::Held);
}

/// R37: a paused container is held while it is paused. Who ends the hold lets it go on; nothing is
/// started anew for that, neither by Compose.
#[test]
fn r37_a_persons_word_lets_what_is_paused_go_on() {
    for wish in ["release", "recover", "start"] {
        let mut world = world(&["docker", "container web: critical, compose"]);
        world.then("web is paused", 90);
        let before = world.containers["web"].seen.started_ms;
        world.then(&format!("a person asks: {wish} container:web"), 120);
        let web = world.patient("container:web");
        assert_eq!(web.account.intent, Intent::Wanted, "{wish}: {:#?}", world.tale.lines);
        assert_eq!(world.phase("container:web"), "healthy", "{wish}: {:#?}", world.tale.lines);
        assert_eq!(world.containers["web"].seen.started_ms, before, "{wish}");
        assert_eq!(world.told("incident"), 0, "{wish}: {:#?}", world.tale.lines);
    }
}

/// 1.14: a child that was killed for memory is no end of the container, and so not the first of two.
#[test]
fn r58_a_child_killed_for_memory_is_no_first_end() {
    let mut world = world(&["docker", "container web: critical"]);
    world.then("web loses a child for want of memory", 120);
    world.then("web runs out of memory", 120);
    assert_eq!(world.told("start the container"), 1);
    world.then("web runs out of memory", 120);
    assert_eq!(world.told("start the container"), 1);
    assert_eq!(world.phase("container:web"), "given up");
}

/// Fault 31: a stream that is connected anew tells the last seconds again, each time.
#[test]
fn r30_ends_that_are_told_again_are_no_crash_loop() {
    let mut world = world(&["docker", "container web: critical"]);
    let engine = world.engine_ms();
    let told = [(0, ContainerEvent::Die { exit_code: 1 }), (500, ContainerEvent::Start)];
    for _ in 0..4 {
        for (after, what) in told.clone() {
            let (name, at_ms) = ("web".to_owned(), engine + after);
            let news = ContainerNews { id: "7f".into(), name, at_ms, what };
            world.tell(&Event::ContainerNews(news));
        }
    }
    world.pass(3).then("web exits with 1", 30);
    assert_eq!(world.cause("container:web"), "container.stopped");
    assert_eq!(world.told("start the container"), 1);
}

/// 1.2: a look that never comes back leaves nothing known, and nothing is said to be well.
#[test]
fn r3_what_no_look_tells_of_is_unknown() {
    let world = world(&["ollama", "docker", "container web: critical"]);
    let (mut now, mut doctor) = (world.now(), world.doctor);
    for second in 1..=240 {
        now.awake.0 += 1000;
        now.continuous.0 += 1000;
        now.wall.0 += 1000;
        let orders = doctor.handle(Event::Tick, now);
        assert!(!orders.iter().any(|order| matches!(order, Order::Treat(_))), "{second} s");
    }
    for target in ["ollama", "docker", "container:web"] {
        let id: TargetId = target.parse().expect("a target");
        let patient = doctor.patient(&id).expect("watched");
        assert_eq!(patient.phase, Phase::Unknown, "{target}");
    }
}
