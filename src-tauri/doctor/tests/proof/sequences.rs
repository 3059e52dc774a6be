//! Random sequences in random worlds: P1 to P15 hold after every event (the world's audit), what
//! can be well becomes well (P11), and the same seed tells the same tale (P9).
//!
//! `SEQUENCES=n` plays so many, of which one in `FRESH=m` (2) is of a fresh seed and the others of
//! fixed ones; `SEED=n` plays one alone and tells its tale.

use doctor::Intent;

use crate::dice::Dice;
use crate::play::{
    self, Play, begin, count, failure, fresh, most, only_seed, smaller, spread, told,
};
use crate::world::World;
use crate::world::explained::Explained;
use crate::world::happen::happen;
use crate::world::servers::Stops;
use crate::world::signs::Insides;

/// What there is in every random world.
pub(crate) const GIVEN: &[&str] = &[
    "docker: of Docker Desktop",
    "ollama: loaded llama3:8b 6 GB",
    "mlx",
    "container web: critical, compose, light start",
    "container db: critical, policy always, with a health check",
    "service api: in container web, needs ollama",
];

/// What can happen, in the words of the stories.
const HAPPENS: &[&str] = &[
    "ollama dies",
    "ollama dies",
    "ollama hangs",
    "ollama hangs behind a hidden listener",
    "ollama closes without an answer",
    "ollama answers with status 500",
    "ollama answers with status 503",
    "ollama answers garbage",
    "ollama answers late, after 1500 ms",
    "ollama answers again",
    "ollama loses its port to python3 pid 4711",
    "ollama gets its port back",
    "ollama is started by a person",
    "ollama is restarted by somebody else",
    "ollama is uninstalled",
    "ollama is installed",
    "ollama ignores TERM",
    "ollama cannot be killed",
    "ollama cannot be started",
    "ollama starts do nothing",
    "ollama hangs after each start",
    "ollama will die 20 s after each start",
    "ollama will start in 70 s",
    "ollama can be started again",
    "mlx dies",
    "mlx hangs",
    "mlx answers with status 404",
    "mlx answers with status 503",
    "mlx answers again",
    "mlx is started by a person",
    "docker goes away",
    "docker shuts down, stopping all containers",
    "docker hangs",
    "docker comes up",
    "the event stream stalls",
    "web exits with 1",
    "web exits with 1",
    "web exits with 127",
    "web exits with 137",
    "web runs out of memory",
    "web runs out of memory unseen",
    "web loses a child for want of memory",
    "a person stops web",
    "a person starts web",
    "web is sent signal 1",
    "web is paused",
    "web is unpaused",
    "web is started unheard",
    "web cannot be started",
    "web can be started again",
    "web will start without saying so",
    "web ignores being stopped",
    "compose makes anew web",
    "db exits with 3",
    "db exits with 3",
    "db will exit with 3 after 4 s",
    "db can be started again",
    "db becomes unhealthy",
    "db becomes healthy",
    "a person stops db",
    "api hangs",
    "api refuses connections",
    "api answers with status 500",
    "api answers again",
    "memory is under pressure",
    "memory is critical",
    "the swap is full and the level normal",
    "memory is calm again",
    "the machine sleeps for 20 min",
    "the machine sleeps unnoticed for 3 min",
    "the wall clock jumps a day ahead",
    "the wall clock is set back an hour",
    "the awake clock goes back 10 s",
    "the disk is full",
    "the disk has room again",
    "Homeostat is relaunched",
    "Homeostat is quit and started again",
    "the configuration cannot be read",
    "the kernel panics, and the machine is back after 1 min",
    "ollama is quit",
    "ollama crashes with its app",
    "a person asks: hold ollama for 20 s",
    "a person asks: hold container:web for 3 min",
    "the machine is booted anew, away for 1 min",
    "our own loop is late by 20 s",
    "an agent complains about ollama",
    "an agent complains about everything",
    "fifty agents complain about ollama",
    "ollama has nothing to do",
    "ollama gives no token",
    "ollama is cured by an unload",
    "ollama does not let go of its models",
    "ollama works, and a request waits for 3 min",
    "the next looks at ollama bring silence, well, silence, well, silence, well, silence",
    "the next looks at service:api bring 500, well, 500, well, 500, silence",
    "the next looks at docker bring silence",
    "web runs out of memory, told in disorder",
    "twenty dark wakes pass",
    "we run out of file descriptors",
    "we have file descriptors again",
    "docker wakes from its Resource Saver",
    "docker is awake again",
    "Homeostat is relaunched over a damaged ledger",
    "a person asks: recover everything",
    "a person asks: recover ollama",
    "a person asks: recover container:web",
    "a person asks: recover service:api",
    "a person asks: restart ollama",
    "a person asks: restart docker",
    "a person asks: restart container:web",
    "a person asks: restart service:api",
    "a person asks: start ollama",
    "a person asks: start container:web",
    "a person asks: stop ollama",
    "a person asks: stop container:web",
    "a person asks: hold ollama",
    "a person asks: release ollama",
    "a person asks: hold container:web",
    "a person asks: release container:web",
    "a person asks: raise container:web",
    "a person asks: raise container:web to 900m",
    "a person asks: unload all",
    "a person asks: unload idle",
    "a person asks: measure",
    "a person asks: cancel the measurement",
];

fn sequence(seed: u64) -> Play {
    let mut dice = Dice::new(seed);
    let length = 1 + dice.below(7);
    (0..length)
        .map(|_| {
            // Most at once or soon, so that faults meet; some after a long while.
            let longest = *dice.pick(&[1_000, 20_000, 60_000, 60_000, 400_000]);
            (dice.below(longest), (*dice.pick(HAPPENS)).to_owned())
        })
        .collect()
}

#[test]
fn p1_to_p15_hold_in_every_random_world() {
    let cases = count("SEQUENCES", 500);
    prove("p1_to_p15", cases, |world, _, play| {
        begin(world, GIVEN);
        play::play(world, play);
        world.run_until(world.story_ms() + 45_000);
    });
}

/// P11: once the faults are gone and a person asks, all that is wanted is well again in time.
#[test]
fn p11_what_can_be_well_becomes_well() {
    let cases = count("SEQUENCES", 500).div_ceil(10);
    prove("p11", cases, |world, _, play| {
        begin(world, GIVEN);
        play::play(world, play);
        heal(world);
        becomes_well(world);
    });
}

/// P9: the same seed and the same events give the same orders.
#[test]
fn p9_the_same_seed_tells_the_same_tale() {
    let cases = count("SEQUENCES", 500).div_ceil(20);
    prove("p9", cases, |one, seed, play| {
        let mut other = World::new(seed);
        one.telling = true;
        for world in [&mut *one, &mut other] {
            begin(world, GIVEN);
            play::play(world, play);
        }
        assert_eq!(one.tale.lines, other.tale.lines, "P9");
        assert_eq!(one.treatments, other.treatments, "P9");
    });
}

/// What every target says of itself is whole and true after every event, and what it promises
/// comes, also when then for long nothing else happens.
#[test]
fn every_why_is_whole_and_true() {
    let cases = count("SEQUENCES", 500).div_ceil(20);
    prove("every_why", cases, |world, seed, play| {
        // What cannot be asked any more keeps the words of its last reading.
        let blind = |(_, what): &(u64, String)| what == "we run out of file descriptors";
        let play = &play.iter().filter(|one| !blind(one)).cloned().collect();
        world.audit.explained = Some(Explained::default());
        begin(world, GIVEN);
        play::play(world, play);
        world.run_until(world.story_ms() + Dice::new(seed).below(40 * 60_000));
    });
}

fn prove(name: &str, cases: u64, run: impl Fn(&mut World, u64, &Play) + Sync) {
    if let Some(seed) = only_seed() {
        play::aloud(seed, |world| run(world, seed, &sequence(seed)));
        return;
    }
    let (fresh, every) = (fresh(), count("FRESH", 2));
    eprintln!("{name}: {cases} sequences, one in {every} from the fresh seed {fresh} on");
    let failures = spread(cases, most(), |number| {
        let seed = if number % every == 1 { fresh + number / every } else { number + 1 };
        let fails = |play: &Play| {
            let mut world = World::new(seed);
            // The tale costs more than all else; it is written where somebody looks at it.
            world.telling = false;
            failure(|| run(&mut world, seed, play))
        };
        fails(&sequence(seed))?;
        let (least, words) = smaller(sequence(seed), fails);
        Some(format!(
            "{words}\n  again: SEED={seed} cargo test -p doctor --test proof {name} -- --nocapture\n{}",
            told(GIVEN, &least)
        ))
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Everything is well again, but for what the doctor still believes.
pub(crate) fn heal(world: &mut World) {
    // What has only just begun to go wrong goes wrong first.
    world.run_until(world.story_ms() + 1_000);
    for line in [
        "the disk has room again",
        "memory is calm again",
        "we have file descriptors again",
        "docker is awake again",
        "docker comes up",
        "ollama gets its port back",
        "ollama is installed",
        "ollama can be started again",
        "mlx can be started again",
        "ollama answers again",
        "mlx answers again",
        "web can be started again",
        "db can be started again",
        "db becomes healthy",
        "api answers again",
    ] {
        happen(world, line).expect("a sentence that the world knows");
    }
    world.foretold.clear();
    for server in [&mut world.ollama, &mut world.mlx].into_iter().flatten() {
        server.hidden = false;
        server.recognised = true;
        server.stops = Stops::Obeys;
        // Idle, as far as can be seen: only then may it be asked for a token (R5).
        server.insides = Insides { unread: false, ..Insides::default() };
    }
    world.engine.stalled = false;
    for container in world.containers.values_mut() {
        container.ignores_stop = false;
        if container.seen.status == doctor::ContainerStatus::Paused {
            container.seen.status = doctor::ContainerStatus::Running;
        }
    }
}

/// P11: a person asks for everything; in time all of it is well.
pub(crate) fn becomes_well(world: &mut World) {
    // Longer than a wake hold and a storm of restarts within the crash loop's window.
    world.run_until(world.story_ms() + 6 * 60_000);
    // Two panics lock a server until a person releases it (R32).
    for target in ["ollama", "mlx"] {
        happen(world, &format!("a person asks: release {target}")).expect("known");
    }
    for target in ["ollama", "mlx", "container:web", "container:db", "service:api"] {
        happen(world, &format!("a person asks: recover {target}")).expect("known");
    }
    world.run_until(world.story_ms() + 12 * 60_000);
    for patient in world.doctor.patients() {
        let well = patient.phase.is_usable() && patient.account.intent == Intent::Wanted;
        assert!(
            well,
            "P11: {} is {:?} for {:?}, {:?}",
            patient.spec.id, patient.phase, patient.reason, patient.account
        );
    }
}
