//! A check that was wished for ends when each of its targets is well, or has settled otherwise.

use crate::doctor::Doctor;
use crate::incident::RemedyResult;
use crate::ledger::Intent;
use crate::operation::Stage;
use crate::order::OperationId;
use crate::phase::Phase;
use crate::plan::Plan;
use crate::sentence::Sentence;
use crate::target::{Care, TargetId};

impl Doctor {
    pub(crate) fn finish_checks(&mut self) {
        let checks: Vec<(OperationId, Vec<TargetId>, crate::clock::Now)> = self
            .operations
            .iter()
            .filter(|one| matches!(one.stage, Stage::Verifying(_)))
            .filter_map(|one| match &one.plan {
                Plan::Check { targets } => Some((one.id.clone(), targets.clone(), one.began)),
                Plan::Server(_)
                | Plan::Container(_)
                | Plan::Docker
                | Plan::Unload { .. }
                | Plan::UnloadMlx { .. }
                | Plan::Measure { .. }
                | Plan::Raise { .. }
                | Plan::Ensure(_)
                | Plan::Verify { .. } => None,
            })
            .collect();
        for (id, targets, began) in checks {
            let mut sick = Vec::new();
            let mut pending = false;
            for target in &targets {
                match self.settled(target, began.awake) {
                    Settled::Well => {}
                    Settled::Sick => sick.push(target.to_string()),
                    Settled::Pending => pending = true,
                }
            }
            if pending {
                continue;
            }
            let (result, says) = if sick.is_empty() {
                (RemedyResult::Verified, Sentence::new("step.all_well"))
            } else {
                let says = Sentence::new("step.still_sick").with("targets", sick.join(", "));
                (RemedyResult::Failed, says)
            };
            self.end(&id, result, Some(says), false);
            for target in &targets {
                // The wish is fulfilled or not; it does not hang over the next failure.
                if let Some(patient) = self.patients.get_mut(target) {
                    patient.urged = false;
                }
            }
        }
        self.retire();
    }

    fn settled(&self, target: &TargetId, began: crate::clock::Awake) -> Settled {
        let Some(patient) = self.patients.get(target) else { return Settled::Well };
        let fresh = patient.last_good.is_some_and(|good| good.awake >= began);
        let aside = !patient.is_found()
            || patient.inhibited_by.is_some()
            || patient.account.intent != Intent::Wanted;
        if aside {
            return Settled::Well;
        }
        if patient.looking.is_some_and(|looking| looking.confirms) {
            return Settled::Pending;
        }
        let container = matches!(patient.spec.care, Care::Container { .. });
        match &patient.phase {
            Phase::Healthy | Phase::Slow if fresh || container => Settled::Well,
            Phase::GivenUp { .. } => Settled::Sick,
            Phase::Degraded { cause: Some(_) } => Settled::Sick,
            // Down and nothing will be done: no remedy, no leave, no lever.
            Phase::Down { .. }
                if matches!(patient.reason.rule, "R60" | "R62" | "R16" | "R19" | "R33" | "1.2")
                    || patient.reason.says.key == "why.other_healer" =>
            {
                Settled::Sick
            }
            Phase::Unknown if container => Settled::Well,
            Phase::Healthy
            | Phase::Slow
            | Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Degraded { cause: None }
            | Phase::Down { .. }
            | Phase::Recovering { .. } => Settled::Pending,
        }
    }
}

enum Settled {
    Well,
    Sick,
    Pending,
}
