//! Numbers whose edge needs more than a row of `numbers.rs`: each case sits just inside and just
//! outside, so that half the number and its double are both noticed.

use doctor::{Depth, LedgerFound, TargetId, VolumeSeen};

use super::{world, world_by};
use crate::world::World;
use crate::world::given::given;

const OLLAMA: &str = "ollama: its work is read, loaded llama3:8b 6 GB";
const GB: u64 = 1 << 30;

/// A world that was changed before the doctor first looked at it.
fn world_as(lines: &[&str], change: impl FnOnce(&mut World)) -> World {
    let mut world = World::new(5);
    for line in lines {
        given(&mut world, line).expect("a line that the world knows");
    }
    change(&mut world);
    world.begin(LedgerFound::None);
    world.run_until(30_000);
    world
}

/// Passes until the next request for one token, and tells when it was.
fn until_asked(world: &mut World) -> u64 {
    let latest = world.story_ms() + 300_000;
    world.looks = Some(Vec::new());
    loop {
        assert!(world.story_ms() < latest, "no token is asked for");
        world.run_until(world.story_ms() + 100);
        let looks = world.looks.as_ref().expect("looks are kept");
        if looks.iter().any(|look| look.depth == Depth::Deep) {
            world.looks = None;
            return world.story_ms();
        }
    }
}

/// 1.2: the third soft fail in a row degrades, by the full look that follows it.
#[test]
fn t12_three_soft_fails_in_a_row_degrade() {
    for (fails, phase) in [("500, 500, 500", "healthy"), ("500, 500, 500, 500", "degraded")] {
        let mut world = world(&["ollama"]);
        let brings = format!("the next looks at ollama bring {fails}");
        world.then(&brings, 0);
        let latest = world.story_ms() + 60_000;
        while world.foretold.values().any(|looks| !looks.is_empty()) {
            assert!(world.story_ms() < latest, "not looked at");
            world.run_until(world.story_ms() + 100);
        }
        world.pass(1);
        assert_eq!(world.phase("ollama"), phase, "{fails}");
    }
}

/// 1.2 Slow: later than a second, or than five times what is usual.
#[test]
fn t12_late_is_five_times_the_median_of_a_day() {
    for (ms, phase) in [(1_400, "healthy"), (1_600, "slow")] {
        let mut world = world(&["ollama"]);
        world.then("ollama answers late, after 300 ms", 4 * 3600);
        world.then(&format!("ollama answers late, after {ms} ms"), 120);
        assert_eq!(world.phase("ollama"), phase, "{ms} ms");
    }
}

/// R26: the delay doubles up to five minutes, of which half to all.
#[test]
fn r26_no_delay_is_longer_than_five_minutes() {
    let mut world = world_by(&["ollama"], |policy| {
        (policy.attempts, policy.restarts_limit) = (9, 20);
    });
    // With three attempts no delay comes near it, and the audit allows no more than three.
    world.watched = false;
    world.then("ollama starts do nothing", 0).then("ollama dies", 3600);
    let (tried, failed) = (world.times("> ollama: find who"), world.times("step.not_answering"));
    assert!(tried.len() >= 9, "{tried:?}");
    let waits = failed.iter().zip(&tried[1..9]).map(|(failed, next)| next - failed);
    for (attempt, wait) in (1..).zip(waits).skip(4) {
        assert!((145_000..=310_000).contains(&wait), "{wait} ms after attempt {attempt}");
    }
}

/// R23: after a complaint one failed request for a token is enough, for a minute.
#[test]
fn r23_a_complaint_counts_for_a_minute() {
    // It works when the complaint comes: half a minute after the work has ended a token is asked for.
    for (works_s, confirmed) in [(5, true), (45, false)] {
        let mut world = world(&[OLLAMA]);
        world.then("ollama works", 60);
        world.then("an agent complains about ollama", works_s);
        world.then("ollama has nothing to do", 0).then("ollama gives empty answers", 0);
        until_asked(&mut world);
        world.then("ollama generates again", 30);
        assert_eq!(world.nothing_done(), !confirmed, "it worked {works_s} s more");
    }
}

/// R5: what was read of its work more than half a minute ago does not tell that it is idle now.
#[test]
fn r5_an_old_reading_of_its_work_is_none() {
    for (blind_s, asked) in [(20, true), (45, false)] {
        let mut world = world(&[OLLAMA]);
        world.pass(60);
        // The look that asks for a token reads its work, too.
        until_asked(&mut world);
        world.server_mut(&TargetId::Ollama).expect("ollama").insides.unread = true;
        world.pass(blind_s);
        world.looks = Some(Vec::new());
        world.then("an agent complains about ollama", 5);
        let looks = world.looks.take().expect("looks are kept");
        let deep = looks.iter().any(|look| look.depth == Depth::Deep);
        assert_eq!(deep, asked, "not read for {blind_s} s");
    }
}

/// R61: a server that works at four fifths of a core while no runner does.
#[test]
fn r61_hot_is_four_fifths_of_a_core() {
    for (percent, found) in [(70, false), (90, true)] {
        let mut world = world(&[OLLAMA]);
        world.then("ollama spins without a runner at work", 0);
        let insides = &mut world.server_mut(&TargetId::Ollama).expect("ollama").insides;
        insides.activity.server_percent = percent;
        world.pass(900);
        assert_eq!(world.phase("ollama") != "healthy", found, "{percent} %");
    }
}

/// What hangs within five minutes of a wake is put down to it.
#[test]
fn t11_a_hang_within_five_minutes_of_waking_is_of_the_wake() {
    for (after_s, cause) in [(250, "ollama.after_wake"), (320, "ollama.wedged")] {
        let mut world = world(&["ollama"]);
        world.then("the machine sleeps for 1 h", after_s);
        world.then("ollama hangs", 0).until("ollama", "recovering");
        assert_eq!(world.cause("ollama"), cause, "{after_s} s after waking");
    }
}

/// A silent log is a hang after a minute, not before.
#[test]
fn t18_a_start_hangs_once_its_log_was_silent_for_a_minute() {
    for (silent, found) in [("50 s", 0), ("70 s", 1)] {
        let mut world = world(&["docker", "container web: critical, with a health check"]);
        world.then("web exits with 1", 4).then("web comes up slowly", 45);
        world.then(&format!("web has logged nothing for {silent}"), 240);
        let told = world.told("container:web degraded: container.startup_hang").min(1);
        assert_eq!(told, found, "{silent}: {:#?}", world.tale.lines);
    }
}

/// 1.14: killed within half a minute of one another.
#[test]
fn t114_killed_together_is_within_half_a_minute() {
    for (apart_s, cause) in [(25, "docker.vm_oom"), (40, "container.killed")] {
        let mut world = world(&["docker", "container web: critical", "container db: critical"]);
        world.then("web exits with 137 and stays down", apart_s);
        world.then("db exits with 137 and stays down", 20);
        let incident = world.patient("container:db").incident.clone();
        let found = incident.map_or("none", |incident| incident.cause.id.as_str());
        assert_eq!(found, cause, "{apart_s} s apart: {:#?}", world.tale.lines);
    }
}

/// R58: killed for memory within a minute of its start.
#[test]
fn r58_a_death_at_the_start_is_within_a_minute() {
    for (lived_s, waits) in [(50, true), (75, false)] {
        let mut world = world(&["ollama", "docker", "container orch: critical, needs ollama"]);
        world.then("ollama cannot be started", 0).then("ollama dies", 20);
        world.then("orch exits with 1", 0);
        world.until_told("> container:orch: start the container");
        world.pass(lived_s);
        let before = world.told("> container:orch");
        world.then("orch runs out of memory", 120);
        let done = world.told("> container:orch") - before;
        assert_eq!(done == 0, waits, "lived {lived_s} s: {:#?}", world.tale.lines);
    }
}

/// The model that is named when memory runs short was loaded within ten minutes.
#[test]
fn r19_what_grew_lately_did_so_within_ten_minutes() {
    for (ago_s, named) in [(9 * 60, true), (11 * 60, false)] {
        let mut world = world(&[OLLAMA, "docker", "container web: critical, with a health check"]);
        world.pass(1200);
        world.then("ollama works", 0).then("ollama loads llama3:70b 42 GB", ago_s - 70);
        world.then("memory is under pressure", 70);
        world.then("web becomes unhealthy", 20);
        assert_eq!(world.cause("container:web"), "container.host_pressure");
        let cause = world.patient("container:web").phase.cause().expect("a cause").clone();
        let grown = cause.evidence.iter().any(|line| line.key == "evidence.grown");
        assert_eq!(grown, named, "loaded {ago_s} s ago");
    }
}

/// The machine that Docker runs in is small below 10 GB, where the host has four times as much.
#[test]
fn t114_a_small_machine_for_docker_has_less_than_10_gb() {
    for (gb, cause) in [(9, "docker.memory_too_small"), (12, "docker.vm_oom")] {
        let given = &["docker", "container web: critical, no memory limit"];
        let mut world = world_as(given, |world| world.engine.memory_gb = gb);
        world.then("web runs out of memory", 20);
        let incident = world.patient("container:web").incident.clone();
        let found = incident.map_or("none", |incident| incident.cause.id.as_str());
        assert_eq!(found, cause, "{gb} GB");
    }
}

/// R10: 3 to 10 s are a wake from the Resource Saver; two seconds are late.
#[test]
fn r10_a_ping_of_two_seconds_is_no_resource_saver() {
    for (ms, phase) in [(2_000, "slow"), (3_500, "healthy")] {
        let mut world = world(&["docker", "container web: critical"]);
        world.engine.wakes_in = Some(ms);
        world.pass(300);
        assert_eq!(world.phase("docker"), phase, "{ms} ms");
    }
}

/// A container at half a core is at work; its service is late, not down.
#[test]
fn r16_half_a_core_is_work() {
    for (percent, disturbed) in [(40, true), (60, false)] {
        let given = ["docker", "container web: critical", "service api: in container web"];
        let mut world = world(&given);
        world.then("api works on one long task", 0);
        let api = world.services.get_mut("api").expect("the service");
        api.cpu_percent = Some(percent);
        world.pass(180);
        assert_eq!(world.nothing_done(), !disturbed, "{percent} %");
    }
}

/// On an overloaded machine whoever works gets a small share of a core; who gets nothing at all hangs.
#[test]
fn r16_a_small_share_is_work_where_no_more_can_be_had() {
    let given = ["docker", "container web: critical", "service api: in container web"];
    for (percent, load, disturbed) in [
        (15, 900, false),
        (5, 151, false),
        (15, 150, true),
        (15, 0, true),
        (0, 900, true),
        (4, 900, true),
    ] {
        let mut world = world(&given);
        world.host.load_percent = load;
        world.pass(60).then("api works on one long task", 0);
        world.services.get_mut("api").expect("the service").cpu_percent = Some(percent);
        world.pass(180);
        assert_eq!(world.nothing_done(), !disturbed, "{percent} % at a load of {load} %");
    }
    let mut slow = world(&given);
    slow.pass(60).then("api works on one long task", 0);
    slow.services.get_mut("api").expect("the service").cpu_percent = Some(15);
    for _ in 0..10 {
        slow.then("we answer ourselves after 900 ms", 30);
    }
    assert!(slow.nothing_done(), "{:#?}", slow.tale.lines);
    let note = slow.patient("service:api").note.clone().expect("a note");
    assert_eq!(note.id.as_str(), "service.busy");
    assert!(note.evidence.iter().any(|line| line.key == "evidence.starved"), "{note:?}");
}

/// R64: below 2 GB it is critical, and says so before all else.
#[test]
fn r64_a_disk_is_critical_below_2_gb() {
    for (free_mb, cause) in [(1_500, "host.disk_full"), (2_500, "host.memory_pressure")] {
        let mut world = world(&["ollama"]);
        world.then("memory is under pressure", 0);
        world.host.volumes = vec![VolumeSeen {
            path: "/data".into(),
            free_bytes: free_mb << 20,
            total_bytes: 1000 * GB,
        }];
        world.pass(180);
        assert_eq!(world.cause("host"), cause, "{free_mb} MB");
    }
}

/// R14: two minutes after the boot all is still coming up.
#[test]
fn r14_a_boot_counts_for_two_minutes() {
    for (booted_s, phase) in [(100, "starting"), (140, "unknown")] {
        let mut world = World::new(5);
        for line in [&format!("the machine was booted {booted_s} s ago"), "ollama"] {
            given(&mut world, line).expect("a line that the world knows");
        }
        world.begin(LedgerFound::None);
        assert_eq!(world.phase("ollama"), phase, "booted {booted_s} s ago");
    }
}

/// "Press Start" is no advice to who has just done that: how it failed, and the next step.
#[test]
fn a_start_that_failed_is_not_advised_once_more() {
    let mut world = world(&["docker", "ollama", "container web"]);
    let ollama = "ollama".parse().expect("an id");
    world.then("ollama cannot be started", 0).then("ollama dies", 300);
    let [failed, next] = world.doctor.after_failure(&ollama).expect("it has failed");
    assert_eq!((failed.key.as_str(), next.key.as_str()), ("step.failed", "notice.after_failure"));
    world.then("ollama is started by a person", 60);
    assert!(world.doctor.after_failure(&ollama).is_none(), "it is well");
    // What nobody has tried to start is advised to be.
    let web = "container:web".parse().expect("an id");
    world.then("web exits with 1", 60);
    assert_eq!(world.phase("container:web"), "down");
    assert!(world.doctor.after_failure(&web).is_none());
    world.then("web cannot be started", 0).then("a person asks: start container:web", 60);
    assert!(world.doctor.after_failure(&web).is_some());
}
