//! The restart of Docker itself (RECOVERY 1.8): offered once it has been silent for a minute, and
//! carried out only when a person asks for it, since it ends every container.

use std::time::Duration;

use crate::doctor::Doctor;
use crate::incident::RestartedBy;
use crate::observation::{EngineKeeper, Reply};
use crate::operation::Operation;
use crate::patient::Patient;
use crate::phase::{Phase, Reason};
use crate::plan::Plan;
use crate::sentence::Sentence;
use crate::target::{Care, TargetId};

/// It often comes back by itself: after a wake, or from its Resource Saver.
const WAIT: Duration = Duration::from_mins(1);

impl Doctor {
    /// What a person may have done for an engine that is down; else what keeps it from being offered.
    pub(crate) fn docker_plan(&self, docker: &Patient) -> Result<Plan, Reason> {
        let refused = |says| Err(Reason::says("R60", says));
        if !matches!(docker.phase, Phase::Down { .. } | Phase::GivenUp { .. }) {
            return refused(Sentence::new("why.docker_not_down"));
        }
        let seen = docker.facts.docker.as_ref();
        if seen.is_some_and(|seen| matches!(seen.ping.reply, Reply::Unreachable { .. })) {
            // It is not for us to ask: whether it is well nobody can tell.
            return refused(Sentence::new("why.docker_by_hand"));
        }
        match seen.and_then(|seen| seen.keeper.as_ref()) {
            Some(EngineKeeper::Desktop { runs: true }) => {}
            // Who quit it means it: its own window starts it again.
            Some(EngineKeeper::Desktop { runs: false }) => {
                return refused(Sentence::new("why.docker_quit"));
            }
            Some(EngineKeeper::Unit(unit)) => {
                return refused(Sentence::new("why.docker_unit").with("unit", unit.as_str()));
            }
            None => return refused(Sentence::new("why.docker_by_hand")),
        }
        let until = docker.since.awake + WAIT;
        if self.now.awake < until {
            return Err(Reason::new("R60", "why.docker_may_return").until(until));
        }
        let restarts = &docker.account.restarts;
        if restarts.iter().any(|restart| restart.by != RestartedBy::Other) {
            return refused(Sentence::new("why.docker_once_an_hour"));
        }
        Ok(Plan::Docker)
    }

    /// It is ending its containers or bringing them back: what they are told is no person's doing
    /// (R34). Once it only has to go on answering, a stop is a person's again.
    pub(crate) fn docker_stops_its_own(&self) -> bool {
        let goes = |one: &Operation| one.is_under_way() && !one.is_soaking();
        self.operations.iter().any(|one| one.target == TargetId::Docker && goes(one))
    }

    pub(crate) fn docker_is_being_restarted(&self) -> bool {
        self.operations.iter().any(|one| one.target == TargetId::Docker && one.is_under_way())
    }

    /// R20: parent and child are never treated together, not even while one of them only soaks.
    pub(crate) fn are_docker_and_its_own(&self, a: &TargetId, b: &TargetId) -> bool {
        let inside = |id: &TargetId| matches!(self.container_in(id), TargetId::Container(_));
        (*a == TargetId::Docker && inside(b)) || (*b == TargetId::Docker && inside(a))
    }
}

impl Patient {
    pub(crate) fn is_docker(&self) -> bool {
        matches!(self.spec.care, Care::Docker)
    }
}
