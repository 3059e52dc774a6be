//! One test per rule, named for it, grouped by the section of the specification it stands in.

#[path = "../../../tests/support/world.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the stories, which use the rest of it")]
mod world;

#[path = "rules/budgets.rs"]
mod budgets;
#[path = "rules/calling.rs"]
mod calling;
#[path = "rules/chains.rs"]
mod chains;
#[path = "rules/clocks.rs"]
mod clocks;
#[path = "rules/containers.rs"]
mod containers;
#[path = "rules/copies.rs"]
mod copies;
#[path = "rules/details.rs"]
mod details;
#[path = "rules/edges.rs"]
mod edges;
#[path = "rules/ensuring.rs"]
mod ensuring;
#[path = "rules/fallback.rs"]
mod fallback;
#[path = "rules/flapping.rs"]
mod flapping;
#[path = "rules/holds.rs"]
mod holds;
#[path = "rules/intent.rs"]
mod intent;
#[path = "rules/ladder.rs"]
mod ladder;
#[path = "rules/ledger.rs"]
mod ledger;
#[path = "rules/light.rs"]
mod light;
#[path = "rules/limits.rs"]
mod limits;
#[path = "rules/mistakes.rs"]
mod mistakes;
#[path = "rules/neighbours.rs"]
mod neighbours;
#[path = "rules/notices.rs"]
mod notices;
#[path = "rules/numbers.rs"]
mod numbers;
#[path = "rules/outcomes.rs"]
mod outcomes;
#[path = "rules/owners.rs"]
mod owners;
#[path = "rules/pauses.rs"]
mod pauses;
#[path = "rules/phases.rs"]
mod phases;
#[path = "rules/proof.rs"]
mod proof;
#[path = "rules/rearming.rs"]
mod rearming;
#[path = "rules/repairing.rs"]
mod repairing;
#[path = "rules/returning.rs"]
mod returning;
#[path = "rules/roots.rs"]
mod roots;
#[path = "rules/sentences.rs"]
mod sentences;
#[path = "rules/sharing.rs"]
mod sharing;
#[path = "rules/shedding.rs"]
mod shedding;
#[path = "rules/shutdowns.rs"]
mod shutdowns;
#[path = "rules/signs.rs"]
mod signs;
#[path = "rules/stopping.rs"]
mod stopping;
#[path = "rules/storms.rs"]
mod storms;
#[path = "rules/two_servers.rs"]
mod two_servers;
#[path = "rules/unloading.rs"]
mod unloading;
#[path = "rules/why.rs"]
mod why;

use doctor::{LedgerFound, Patient, Phase, Policy, TargetId};

use world::World;
use world::given::given;
use world::happen::happen;

/// A world with these things in it, thirty seconds old, so that all that can be well is known.
fn world(lines: &[&str]) -> World {
    world_with(lines, LedgerFound::None)
}

/// … with other numbers than the usual.
fn world_by(lines: &[&str], change: impl FnOnce(&mut Policy)) -> World {
    let mut world = World::new(5);
    change(&mut world.policy);
    for line in lines {
        given(&mut world, line).expect("a line that the world knows");
    }
    world.begin(LedgerFound::None);
    world.run_until(30_000);
    world
}

fn world_with(lines: &[&str], ledger: LedgerFound) -> World {
    let mut world = World::new(5);
    world.audit.explained = Some(world::explained::Explained::default());
    for line in lines {
        given(&mut world, line).expect("a line that the world knows");
    }
    world.begin(ledger);
    world.run_until(30_000);
    world
}

impl World {
    /// This happens, and then so many seconds pass.
    fn then(&mut self, what: &str, seconds: u64) -> &mut Self {
        happen(self, what).expect("a sentence that the world knows");
        self.pass(seconds)
    }

    fn pass(&mut self, seconds: u64) -> &mut Self {
        self.run_until(self.story_ms() + seconds * 1000);
        self
    }

    /// Time passes until the target is in this state; ten minutes at most.
    fn until(&mut self, target: &str, phase: &str) -> &mut Self {
        let latest = self.story_ms() + 600_000;
        while self.phase(target) != phase {
            assert!(self.story_ms() < latest, "{target} is never {phase}");
            self.run_until(self.story_ms() + 100);
        }
        self
    }

    /// Time passes until this is told; ten minutes at most.
    fn until_told(&mut self, part: &str) -> &mut Self {
        let latest = self.story_ms() + 600_000;
        while self.told(part) == 0 {
            assert!(self.story_ms() < latest, "never told: {part}");
            self.run_until(self.story_ms() + 5);
        }
        self
    }

    /// Time passes, a few milliseconds at once, until something is ordered to be done.
    fn until_done(&mut self) -> &mut Self {
        let latest = self.story_ms() + 600_000;
        while self.nothing_done() {
            assert!(self.story_ms() < latest, "nothing is ever done");
            self.run_until(self.story_ms() + 5);
        }
        self
    }

    fn patient(&self, target: &str) -> &Patient {
        let id: TargetId = target.parse().expect("a target");
        self.doctor.patient(&id).expect("a target that is watched")
    }

    fn phase(&self, target: &str) -> &'static str {
        match self.patient(target).phase {
            Phase::Unknown => "unknown",
            Phase::Starting { .. } => "starting",
            Phase::Healthy => "healthy",
            Phase::Slow => "slow",
            Phase::Degraded { .. } => "degraded",
            Phase::Down { .. } => "down",
            Phase::Recovering { .. } => "recovering",
            Phase::GivenUp { .. } => "given up",
        }
    }

    fn cause(&self, target: &str) -> &'static str {
        self.patient(target).phase.cause().map_or("none", |cause| cause.id.as_str())
    }

    /// How many lines of the tale hold this.
    fn told(&self, part: &str) -> usize {
        self.tale.lines.iter().filter(|(_, line)| line.contains(part)).count()
    }

    /// When the first and the following lines that hold this were told, in milliseconds.
    fn times(&self, part: &str) -> Vec<u64> {
        let lines = self.tale.lines.iter().filter(|(_, line)| line.contains(part));
        lines.map(|(at, _)| *at).collect()
    }

    /// Whether anything at all was done to anything.
    fn nothing_done(&self) -> bool {
        self.treatments.is_empty()
    }
}
