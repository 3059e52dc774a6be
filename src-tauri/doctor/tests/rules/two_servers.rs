//! C5, R61: two model servers share one GPU and one memory: what the other one did is evidence, and
//! what explains the memory is named.

use std::time::Duration;

use doctor::{Sentence, TargetId, Value};

use super::{World, world};

const BOTH: [&str; 2] =
    ["ollama: its work is read, loaded llama3:8b 6 GB", "mlx: its work is read"];

fn evidence(world: &World, target: &str) -> Vec<Sentence> {
    let patient = world.patient(target);
    let cause = patient.phase.cause().or(patient.note.as_ref());
    cause.map(|cause| cause.evidence.clone()).unwrap_or_default()
}

fn line(world: &World, target: &str, key: &str) -> Option<Sentence> {
    evidence(world, target).into_iter().find(|says| says.key == key)
}

#[test]
fn c5_contention_says_what_the_other_server_did_and_with_which_setting() {
    let mut world = world(&BOTH);
    world.then("mlx runs with MLX_MAX_CONCURRENT = 4", 320);
    world.then("mlx works", 30);
    let told = i64::try_from(world.story_ms()).expect("a time");
    let line_of_log = "ollama logs ollama.metal_contention: compiler is no longer active";
    world.then(line_of_log, 0).then("ollama hangs", 14);
    assert_eq!(world.cause("ollama"), "none");
    world.until("ollama", "recovering");
    assert_eq!(world.cause("ollama"), "ollama.metal_contention");
    let load = line(&world, "ollama", "evidence.other_load").expect("the other's load");
    assert_eq!(load.values.get("server"), Some(&Value::Text("MLX".into())));
    assert_eq!(load.values.get("percent"), Some(&Value::Count(300)));
    let Some(Value::Time(at)) = load.values.get("at") else { panic!("{load:?}") };
    let began = world.doctor.now().wall.0 - i64::try_from(world.story_ms()).expect("a time");
    assert!((at - began - told).abs() <= 15_000, "the time of the line, not of the verdict");
    let setting = line(&world, "ollama", "evidence.setting").expect("the setting");
    assert_eq!(setting.values.get("name"), Some(&Value::Text("MLX_MAX_CONCURRENT".into())));
    assert_eq!(setting.values.get("value"), Some(&Value::Count(4)));
}

/// What counts is the moment of the line: that the other one begins to work later explains nothing.
#[test]
fn c5_the_other_server_was_idle_then_and_works_now_is_no_contention() {
    let mut world = world(&BOTH);
    world.pass(300);
    world.then("ollama logs ollama.metal_contention: compiler is no longer active", 150);
    world.then("mlx works", 20).then("ollama hangs", 40);
    assert_eq!(line(&world, "ollama", "evidence.other_load"), None);
    assert_ne!(world.cause("ollama"), "ollama.metal_contention");
}

/// A container's setting counts too, and only its number.
#[test]
fn c5_the_settings_of_containers_are_named_with_their_owner() {
    let mut world = world(&[BOTH[0], BOTH[1], "docker", "container worker: critical"]);
    world.then("worker runs with SMART_WORKER_MAX_CONCURRENT = 12", 90);
    world.then("mlx works", 30);
    world.then("ollama logs ollama.metal_oom: out of memory", 0).then("ollama hangs", 14);
    world.until("ollama", "recovering");
    let setting = line(&world, "ollama", "evidence.setting").expect("the setting");
    assert_eq!(setting.values.get("owner"), Some(&Value::Text("worker".into())));
}

#[test]
fn c5_a_speed_far_below_the_usual_while_the_other_works_is_said_and_nothing_is_done() {
    let slow = |between: &[&str], last: &str| {
        let mut world = world(&BOTH);
        for _ in 0..3 {
            world.then("a person asks: measure", 60);
        }
        for what in between {
            world.then(what, 15);
        }
        world.then(last, 0).then("a person asks: measure", 60);
        world
    };
    let slowed = slow(&["mlx works"], "ollama writes 12 tokens a second");
    assert_eq!(slowed.cause("ollama"), "ollama.metal_contention", "{:?}", slowed.tale.lines);
    let says = line(&slowed, "ollama", "evidence.slowed").expect("the speeds");
    assert_eq!(says.values.get("was"), Some(&Value::Count(42)));
    assert_eq!(says.values.get("is"), Some(&Value::Count(12)));
    assert_eq!(slowed.told("> ollama: TERM"), 0, "R62: it is only possible");
    // The look-alikes: the other one idle, a speed that is nearly the usual, no habit yet.
    let alone = slow(&[], "ollama writes 12 tokens a second");
    assert_eq!(alone.cause("ollama"), "none");
    let usual = slow(&["mlx works"], "ollama writes 27 tokens a second");
    assert_eq!(usual.cause("ollama"), "none");
    let below = slow(&["mlx works"], "ollama writes 24 tokens a second");
    assert_eq!(below.cause("ollama"), "ollama.metal_contention");
    let little = slow(&["mlx works with 9 % of a core"], "ollama writes 12 tokens a second");
    assert_eq!(little.cause("ollama"), "none");
    let enough = slow(&["mlx works with 10 % of a core"], "ollama writes 12 tokens a second");
    assert_eq!(enough.cause("ollama"), "ollama.metal_contention");
    let mut first = world(&BOTH);
    first.then("mlx works", 15).then("ollama writes 12 tokens a second", 0);
    first.then("a person asks: measure", 60);
    assert_eq!(first.cause("ollama"), "none");
}

#[test]
fn c5_a_slow_measurement_is_forgotten_with_the_next_good_one() {
    let mut world = world(&BOTH);
    for _ in 0..3 {
        world.then("a person asks: measure", 60);
    }
    world.then("mlx works", 15).then("ollama writes 12 tokens a second", 0);
    world.then("a person asks: measure", 60);
    assert_eq!(world.phase("ollama"), "degraded");
    world.then("ollama writes 40 tokens a second", 0).then("a person asks: measure", 120);
    assert_eq!(world.phase("ollama"), "healthy", "{:?}", world.tale.lines);
}

#[test]
fn r61_a_context_that_takes_the_memory_is_named_and_is_no_leak() {
    let mut world = world(&["ollama: its work is read, keeps its models"]);
    world.then("ollama loads qwen3:32b 80 GB of a 20 GB file with a context of 262144", 0);
    world.then("ollama holds 82 GB", 900);
    assert_eq!(world.cause("ollama"), "none", "its models explain it");
    world.then("memory is under pressure", 90);
    let says = line(&world, "host", "evidence.context_default").expect("the context");
    assert_eq!(says.values.get("model"), Some(&Value::Text("qwen3:32b".into())));
    assert_eq!(says.values.get("context"), Some(&Value::Count(262_144)));
    assert_eq!(says.values.get("file"), Some(&Value::Bytes(20 << 30)));
}

/// The look-alikes: large weights, a long context that costs little, a small model beside it.
#[test]
fn r61_what_takes_its_memory_for_its_weights_is_not_put_down_to_its_context() {
    for loads in [
        "ollama loads llama3:70b 44 GB of a 42 GB file with a context of 262144",
        "ollama loads llama3:8b 30 GB of a 5 GB file with a context of 4096",
        "ollama loads phi3 4 GB of a 2 GB file with a context of 262144",
    ] {
        let mut world = world(&["ollama: keeps its models"]);
        world.then(loads, 400).then("memory is under pressure", 90);
        let named = evidence(&world, "host").iter().any(|says| says.key.contains("context"));
        assert!(!named && world.phase("host") == "degraded", "{loads}");
    }
    let mut own = world(&["ollama: keeps its models"]);
    own.then("ollama loads mine 40 GB of a 20 GB file with a context of 100000", 400);
    own.then("memory is under pressure", 90);
    assert!(line(&own, "host", "evidence.context_long").is_some(), "a person's own number");
}

#[test]
fn c5_a_metal_out_of_memory_names_the_limit_that_the_models_exceed() {
    let oom = |limit: &str| {
        let mut world = world(&["ollama: its work is read, loaded llama3:70b 42 GB"]);
        world.then(limit, 30).then("ollama logs ollama.metal_oom: out of memory", 0);
        world.then("ollama hangs", 14).until("ollama", "recovering");
        evidence(&world, "ollama").into_iter().find(|says| says.key.contains("gpu_limit"))
    };
    let set = oom("the GPU may hold 36 GB").expect("the limit");
    assert_eq!(set.key, "evidence.gpu_limit_set");
    assert_eq!(set.values.get("needs"), Some(&Value::Bytes(42 << 30)));
    let default = oom("the GPU may hold 36 GB by default").expect("the limit");
    assert_eq!(default.key, "evidence.gpu_limit_default");
    assert_eq!(oom("the GPU may hold 48 GB"), None, "they fit");
    assert_eq!(oom("nothing happens"), None, "there is no such limit here");
}

#[test]
fn a6_memory_that_grew_is_told_with_its_owner() {
    let mut world = world(&["ollama"]);
    world.pass(1200).then("python grows to 24 GB", 600);
    world.then("memory is under pressure", 90);
    let says = line(&world, "host", "evidence.holds_grown").expect("who grew");
    assert_eq!(says.values.get("owner"), Some(&Value::Text("python".into())));
    assert_eq!(says.values.get("grown"), Some(&Value::Bytes(8 << 30)));
    let now = world.doctor.now().wall;
    let grew = |over| world.doctor.timeline().growth("python", over, now);
    assert_eq!(grew(Duration::from_mins(10)), Some(8 << 30));
    assert_eq!(grew(Duration::from_hours(6)), None, "nothing is known of six hours ago");
    assert_eq!(world.doctor.timeline().growth("ollama", Duration::from_mins(10), now), Some(0));
}

#[test]
fn a6_the_history_has_its_gaps_and_its_end() {
    let mut world = world(&BOTH);
    world.pass(1800).then("the machine sleeps for 1 h", 600);
    let now = world.doctor.now().wall;
    let ten = Duration::from_mins(10);
    let points = world.doctor.timeline().history("python", ten, 12, now);
    assert_eq!(points.len(), 12);
    assert_eq!(points.last(), Some(&Some(16 << 30)));
    assert!(points[5..11].iter().all(Option::is_none), "it slept: {points:?}");
    world.then("mlx works", 90);
    let now = world.doctor.now().wall;
    let work = world.doctor.timeline().work(&TargetId::Mlx, 60, now);
    assert!(work.contains(&Some(300)) && work.contains(&Some(0)), "{work:?}");
    assert_eq!(work[20], None, "it slept: {work:?}");
}

#[test]
fn r61_of_models_idle_for_as_long_the_largest_goes_first_and_of_others_the_longer_idle() {
    let first = |loads: &[(&str, u64)]| {
        let mut world = world(&["ollama"]);
        for (what, seconds) in loads {
            world.then(what, *seconds);
        }
        world.then("memory is critical", 60);
        let unload = world.tale.lines.iter().find(|(_, line)| line.contains("> ollama: unload"));
        unload.map(|(_, line)| line.trim().trim_start_matches("> ollama: unload ").to_owned())
    };
    let alike = [("ollama loads small 2 GB", 60), ("ollama loads large 40 GB", 700)];
    assert_eq!(first(&alike).as_deref(), Some("large"), "idle for 12 and for 11 minutes");
    let apart = [("ollama loads small 2 GB", 1500), ("ollama loads large 40 GB", 700)];
    assert_eq!(first(&apart).as_deref(), Some("small"), "idle for 36 and for 11 minutes");
}

/// No ping-pong: what somebody loads again after we unloaded it is in use.
#[test]
fn r61_what_came_back_after_it_was_shed_is_not_shed_again_within_the_hour() {
    let mut world = world(&["ollama: loaded llama3:70b 42 GB"]);
    world.pass(660).then("memory is critical", 60);
    assert_eq!(world.told("> ollama: unload llama3:70b"), 1);
    world.then("ollama loads llama3:70b 42 GB", 3300);
    assert_eq!(world.told("> ollama: unload llama3:70b"), 1, "{:?}", world.tale.lines);
    world.pass(600);
    assert_eq!(world.told("> ollama: unload llama3:70b"), 2, "an hour later it is idle again");
}

/// Most kinds cannot unload: that they hold memory for nothing is said, and they are left alone.
#[test]
fn r61_an_idle_mlx_server_that_cannot_unload_is_named_and_never_stopped() {
    let mut idle = world(&["mlx: its work is read"]);
    idle.then("mlx holds 30 GB", 700).then("memory is critical", 120);
    let says = line(&idle, "host", "evidence.mlx_idle").expect("what it holds");
    assert_eq!(says.values.get("bytes"), Some(&Value::Bytes(30 << 30)));
    assert!(idle.nothing_done(), "{:?}", idle.tale.lines);
    for (holds, named) in [("mlx holds 1 GB", false), ("mlx holds 3 GB", true)] {
        let mut world = world(&["mlx: its work is read"]);
        world.then(holds, 700).then("memory is critical", 120);
        assert_eq!(line(&world, "host", "evidence.mlx_idle").is_some(), named, "{holds}");
    }
    let mut busy = world(&["mlx: its work is read"]);
    busy.then("mlx holds 30 GB", 0).then("mlx works", 700).then("memory is critical", 120);
    assert_eq!(line(&busy, "host", "evidence.mlx_idle"), None);
}
