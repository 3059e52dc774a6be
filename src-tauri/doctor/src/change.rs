//! What would change a target's state, as kinds. Each reason and each phase names its own; the
//! numbers in them are read off when somebody asks.

use crate::phase::Phase;
use crate::target::Care;

/// One way out of a state, or one thing that would let a held-back remedy begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Good looks in a row make it healthy.
    GoodLooks,
    /// Failed looks in a row, and one that confirms them, make it down.
    FailedLooks,
    /// One more look decides (R11).
    Confirmation,
    /// The next request for a token tells (R5).
    DeepLook,
    LateLooks,
    QuickLooks,
    /// The grace passes (R12, R14).
    GraceOver,
    /// The hold after waking passes (R42).
    WakeOver,
    /// The parent is healthy again (R15).
    Parent,
    /// What it needs is healthy again (R16, R17).
    Needs,
    /// A person, or a start by anybody, ends the hold (R37).
    Release,
    /// The hold's own time passes (R37).
    HoldOver,
    /// Observing after our own crash, or with a broken configuration, passes.
    ObservingOver,
    /// A person releases what took the machine down (R32).
    Unlock,
    Unpause,
    /// Somebody starts it.
    Started,
    /// A person asks for it: skips back-off and giving up (R22).
    Person,
    /// A person mends what we may not touch.
    ByHand,
    /// The world changes (R27).
    World,
    /// Another cause than the one that it was given up for (R27).
    OtherCause,
    /// The half-open trial (R27).
    Trial,
    /// Its wait passes, and the next attempt begins (R17, R26, R29).
    Attempt,
    /// The oldest restart is an hour old (R28).
    HourPasses,
    /// The remedy that is under way ends (R20).
    OtherEnds,
    MemoryCalm,
    /// `heal = "auto"` (R60).
    Auto,
    /// The cause becomes more certain (R62).
    Certainty,
    /// Records reach the disk again (R33).
    Recording,
    /// Named critical in the configuration.
    Critical,
    /// The configuration says how to start it.
    Launch,
    /// The configuration says in which container a service lives.
    InContainer,
    /// The label that keeps us off is taken away (R38).
    Unlabelled,
    /// It comes to be there at all.
    Appears,
    /// We ourselves can look again.
    CanLook,
    /// The steps of a remedy, and then its proof (R46).
    Steps,
    Proven,
    NotProven,
    SoakHolds,
    SoakFails,
    /// Memory pressure lasts (1.3).
    Pressure,
    Calm,
    /// Docker tells of a container's end or ill health.
    ContainerFails,
    ContainerRuns,
    /// A person has us take over from another healer, or it ends (C12).
    TakenOver,
    /// A container that Docker restarts stays ended (R29).
    StaysEnded,
}

/// What a reason of this key waits for, beside what any target in its phase does.
pub(crate) fn awaited(key: &str) -> &'static [Change] {
    match key {
        "why.held" | "why.stopped" | "why.just_stopped" | "why.quit" | "why.found_stopped"
        | "why.not_started" | "why.ledger_lost" => &[Change::Release],
        "why.held_until" => &[Change::HoldOver, Change::Release],
        "why.stopped_until" => &[Change::HoldOver, Change::Release],
        "why.crashed" | "why.misconfigured" => &[Change::ObservingOver],
        "why.other_healers" => &[Change::TakenOver],
        "why.panic_locked" => &[Change::Unlock],
        "why.paused" => &[Change::Unpause],
        "why.completed" | "why.job_failed" => &[Change::Started, Change::Critical],
        "why.skip" => &[Change::Unlabelled],
        "why.not_found" | "why.no_such_container" | "why.taken_down" => &[Change::Appears],
        "why.waking" => &[Change::WakeOver],
        "why.parent" | "why.parent_unwell" | "why.stopped_with" | "why.held_with" => {
            &[Change::Parent]
        }
        "why.soft_parent" | "why.dies_of_its_need" => &[Change::Needs],
        "why.cannot_look" => &[Change::CanLook],
        "why.deep_failed_once" => &[Change::DeepLook],
        "why.docker_restarts" => &[Change::StaysEnded],
        "why.comes_first" => &[Change::Attempt],
        "why.works_inside" => &[Change::ContainerRuns, Change::Person],
        "why.not_critical" => &[Change::Critical],
        "why.no_container" => &[Change::InContainer],
        "why.no_launch" | "why.no_binary" | "why.missing_program" | "why.systemd" => {
            &[Change::Launch]
        }
        "why.docker_consent" | "why.docker_quit" | "why.docker_unit" | "why.docker_by_hand" => {
            &[Change::ByHand]
        }
        "why.docker_once_an_hour" => &[Change::ByHand, Change::HourPasses],
        "why.docker_may_return" => &[Change::ByHand],
        "why.ask" | "why.observe" => &[Change::Auto],
        "why.only_possible" => &[Change::Certainty],
        "why.memory_critical" | "why.memory_short" => &[Change::MemoryCalm],
        "why.cannot_record" => &[Change::Recording],
        "why.supervisor" | "why.staggered" | "why.backoff" => &[Change::Attempt],
        "why.one_at_a_time" | "why.under_way" | "why.hosts_caller" => &[Change::OtherEnds],
        "why.confirming" => &[Change::Confirmation],
        "why.trial_later" => &[Change::Trial],
        "why.hour_spent" => &[Change::HourPasses],
        "why.treating" => &[Change::Steps],
        "why.verifying" | "why.still_loading" => &[Change::Proven, Change::NotProven],
        "why.soaking" => &[Change::SoakHolds, Change::SoakFails],
        // What any target in its phase waits for is all that there is.
        _ => &[],
    }
}

impl Phase {
    /// What changes any target of this kind in this phase.
    pub(crate) fn changes(&self, care: &Care) -> &'static [Change] {
        match care {
            Care::Host => self.changes_of_host(),
            Care::Container { .. } => self.changes_of_container(),
            Care::Docker | Care::Ollama { .. } | Care::Mlx { .. } | Care::Service { .. } => {
                self.changes_of_asked()
            }
        }
    }

    fn changes_of_host(&self) -> &'static [Change] {
        match self {
            Self::Unknown => &[Change::CanLook],
            Self::Healthy => &[Change::Pressure],
            Self::Starting { .. }
            | Self::Slow
            | Self::Degraded { .. }
            | Self::Down { .. }
            | Self::Recovering { .. }
            | Self::GivenUp { .. } => &[Change::Calm],
        }
    }

    fn changes_of_container(&self) -> &'static [Change] {
        match self {
            Self::Unknown => &[Change::ContainerRuns],
            Self::Starting { .. } => &[Change::ContainerRuns, Change::GraceOver],
            Self::Healthy | Self::Slow => &[Change::ContainerFails],
            Self::Degraded { .. } => &[Change::ContainerRuns, Change::ContainerFails],
            Self::Down { .. } => &[Change::ContainerRuns, Change::Person],
            Self::Recovering { .. } => &[Change::Release],
            Self::GivenUp { .. } => &[Change::ContainerRuns, Change::Person, Change::World],
        }
    }

    fn changes_of_asked(&self) -> &'static [Change] {
        match self {
            Self::Unknown => &[Change::GoodLooks, Change::FailedLooks],
            Self::Starting { .. } => &[Change::GoodLooks, Change::GraceOver],
            Self::Healthy => &[Change::FailedLooks, Change::LateLooks],
            Self::Slow => &[Change::QuickLooks, Change::FailedLooks],
            Self::Degraded { .. } => &[Change::GoodLooks, Change::FailedLooks],
            Self::Down { .. } => &[Change::GoodLooks, Change::Person],
            Self::Recovering { .. } => &[Change::Release],
            Self::GivenUp { trial: Some(_), .. } => {
                &[Change::GoodLooks, Change::Person, Change::World]
            }
            Self::GivenUp { trial: None, .. } => {
                &[Change::GoodLooks, Change::OtherCause, Change::Person, Change::World]
            }
        }
    }
}
