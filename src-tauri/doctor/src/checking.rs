//! A check that was wished for ends when each of its targets is well, or has settled otherwise.

use crate::clock::Awake;
use crate::doctor::Doctor;
use crate::incident::RemedyResult;
use crate::ledger::Intent;
use crate::observation::DeepOutcome;
use crate::operation::Stage;
use crate::order::OperationId;
use crate::patient::Patient;
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
            let mut unasked = None;
            let mut pending = false;
            for target in &targets {
                match self.settled(target, began.awake) {
                    Settled::Well => {}
                    Settled::Sick => sick.push(target.to_string()),
                    Settled::Unasked => unasked = unasked.or(Some(target)),
                    Settled::Pending => pending = true,
                    Settled::Untested => {
                        pending = true;
                        self.look_again(target);
                    }
                }
            }
            if pending {
                continue;
            }
            let (result, says) = match unasked {
                _ if !sick.is_empty() => {
                    let says = Sentence::new("step.still_sick").with("targets", sick.join(", "));
                    (RemedyResult::Failed, says)
                }
                Some(target) => (RemedyResult::Superseded, self.untested(target)),
                None => (RemedyResult::Verified, Sentence::new("step.all_well")),
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

    /// R23: who complains of a server that answers may have seen it give no token, so a request for
    /// one belongs to the answer. What has been restarted since was proven by that (R46).
    fn tested(&self, patient: &Patient, began: Awake) -> Settled {
        let insight = &patient.facts.insight;
        let since = insight.deep_at.is_some_and(|at| at >= began);
        let gave = insight.deep.as_ref().is_some_and(|deep| deep.outcome == DeepOutcome::Answered);
        let proven = self.operations.iter().any(|one| {
            one.is_remedy()
                && one.target == patient.spec.id
                && one.result == Some(RemedyResult::Verified)
                && one.began.awake >= began
        });
        if !patient.is_asked_deep() || proven || (since && gave) {
            Settled::Well
        } else if self.now.awake.since(began) < self.policy.complaint {
            Settled::Untested
        } else {
            Settled::Unasked
        }
    }

    /// Its rest is noticed, and the token asked for, as soon as may be.
    fn look_again(&mut self, target: &TargetId) {
        let at = self.now.awake + self.policy.retry;
        if let Some(patient) = self.patients.get_mut(target)
            && patient.looking.is_none()
        {
            patient.due = patient.due.min(at);
        }
    }

    fn untested(&self, target: &TargetId) -> Sentence {
        let insight = self.patients.get(target).map(|patient| &patient.facts.insight);
        let idle = insight.and_then(|insight| insight.idle_for(self.now.awake));
        match idle.filter(|idle| *idle < self.policy.idle_process) {
            Some(idle) => Sentence::new("step.used_lately")
                .with("target", target.to_string())
                .with("ago", idle),
            None => Sentence::new("step.untested").with("target", target.to_string()),
        }
    }

    fn settled(&self, target: &TargetId, began: Awake) -> Settled {
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
            Phase::Healthy | Phase::Slow if container => Settled::Well,
            Phase::Healthy | Phase::Slow if fresh => self.tested(patient, began),
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
    /// It answers; whether it generates is yet to be asked.
    Untested,
    /// It answers; whether it generates could not be asked in time.
    Unasked,
}
