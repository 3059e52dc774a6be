//! Numbers at their edges: just inside a thing happens, just outside it does not. What no story
//! would tell apart is told apart here.

use super::world;

/// What there is; what happens, each with the seconds that pass after it; and a piece of the tale
/// that must be there, or with a `!` in front must not.
type Edge = (&'static [&'static str], &'static [(&'static str, u64)], &'static str);

const WEB: &[&str] = &["docker", "container web: critical", "container db: critical"];
const OLLAMA: &[&str] = &["ollama"];

const EDGES: &[Edge] = &[
    // R64: short below 10 GB or 5 %, full below 2 GB.
    (OLLAMA, &[("51 GB of /data left", 120)], "!host.disk_full"),
    (OLLAMA, &[("49 GB of /data left", 120)], "host.disk_full"),
    (OLLAMA, &[("11 GB of 100 GB of /data left", 120)], "!host.disk_full"),
    (OLLAMA, &[("9 GB of 100 GB of /data left", 120)], "host.disk_full"),
    // R34: a stop signal counts for the stop timeout and five seconds more.
    (WEB, &[("web is sent signal 15", 14), ("web exits with 143", 60)], "web is held"),
    (WEB, &[("web is sent signal 15", 16), ("web exits with 143", 60)], "!web is held"),
    // R34: stops within 15 s before the engine's end were the engine's own.
    (
        WEB,
        &[("a person stops web", 0), ("a person stops db", 13), ("docker goes away", 30)],
        "container:web is wanted",
    ),
    (
        WEB,
        &[("a person stops web", 0), ("a person stops db", 17), ("docker goes away", 30)],
        "!container:web is wanted",
    ),
    // 1.14: the second end for want of memory within the hour is not restarted.
    (WEB, &[("web runs out of memory", 55 * 60), ("web runs out of memory", 120)], "web given up"),
    (WEB, &[("web runs out of memory", 65 * 60), ("web runs out of memory", 120)], "!web given up"),
    // 1.2 Slow: later than a second; well again below seven tenths of it.
    (OLLAMA, &[("ollama answers late, after 900 ms", 120)], "!ollama slow"),
    (OLLAMA, &[("ollama answers late, after 1100 ms", 120)], "ollama slow"),
    // R9: our own answer after more than 200 ms, or a late loop, for a minute.
    (OLLAMA, &[("we answer ourselves after 150 ms", 1), ("ollama dies", 14)], "ollama recovering"),
    (OLLAMA, &[("we answer ourselves after 300 ms", 1), ("ollama dies", 14)], "!ollama recovering"),
    (OLLAMA, &[("our own loop is late by 20 s", 65), ("ollama dies", 16)], "ollama recovering"),
    // R6: ten minutes without a first byte.
    (OLLAMA, &[("ollama works, and a request waits for 9 min", 120)], "!overloaded"),
    (OLLAMA, &[("ollama works, and a request waits for 11 min", 120)], "overloaded"),
];

#[test]
fn numbers_hold_at_their_edges() {
    let wrong: Vec<String> = EDGES
        .iter()
        .filter_map(|(given, happens, expected)| {
            let mut world = world(given);
            for (what, seconds) in *happens {
                world.then(what, *seconds);
            }
            let absent = expected.strip_prefix('!');
            let found = world.told(absent.unwrap_or(expected)) > 0;
            (found == absent.is_some())
                .then(|| format!("{happens:?}: {expected}\n{:#?}", world.tale.lines))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// R27: trials after 30, 60, 120 and 240 minutes, and then every 240.
#[test]
fn r27_trials_come_at_least_every_four_hours() {
    let mut world = world(OLLAMA);
    world.then("ollama starts do nothing", 0).then("ollama dies", 12 * 3600);
    let began = world.told("> ollama: find who listens");
    assert_eq!(began, 3 + 5, "{:#?}", world.tale.lines);
}

/// R28: the alert is given again when the hour has at most one restart left in it.
#[test]
fn r28_the_alert_is_armed_again_at_one_restart() {
    for (wait_s, alerts) in [(3600 - 110, 1), (3600 - 50, 2)] {
        let mut world = world(OLLAMA);
        // The alert is at the fourth: 0, 60, 120 and 180 s.
        for _ in 0..4 {
            world.then("ollama is restarted by somebody else", 60);
        }
        assert_eq!(world.told("NOTICE too many restarts"), 1);
        world.pass(wait_s - 60);
        for _ in 0..3 {
            world.then("ollama is restarted by somebody else", 20);
        }
        assert_eq!(world.told("NOTICE too many restarts"), alerts, "{:#?}", world.tale.lines);
    }
}

/// 1.2 Slow: left below seven tenths of the limit, not of half of it.
#[test]
fn t12_slow_is_left_below_seven_tenths() {
    for (ms, phase) in [(800, "slow"), (600, "healthy")] {
        let mut world = world(OLLAMA);
        world.then("ollama answers late, after 1500 ms", 60);
        world.then(&format!("ollama answers late, after {ms} ms"), 120);
        let last = world.tale.lines.iter().rfind(|(_, line)| line.starts_with("ollama "));
        let expected = format!("ollama {phase}");
        assert_eq!(last.map(|(_, line)| line.as_str()), Some(expected.as_str()), "{ms} ms");
    }
}
