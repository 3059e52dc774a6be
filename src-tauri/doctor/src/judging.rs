//! Judging: one verdict about a target, and what follows from it.

use crate::cause::Confidence;
use crate::doctor::Doctor;
use crate::holding::held;
use crate::incident::IncidentState;
use crate::ledger::Intent;
use crate::order::Depth;
use crate::patient::Looking;
use crate::phase::{Phase, Reason};
use crate::target::{Care, TargetId};
use crate::verdict::Verdict;
use crate::weighing::Turn;

impl Doctor {
    /// One verdict about a target that is asked over the network, and what follows from it.
    pub(crate) fn judged(&mut self, target: &TargetId, verdict: Verdict, looking: Looking) {
        // What is impaired answers: that is what a remedy is judged by, unless it was for that.
        let proof =
            if verdict == Verdict::Impaired { Verdict::Good { took_ms: 0 } } else { verdict };
        if self.verify(target, proof, looking.depth) {
            return;
        }
        let answers =
            matches!(verdict, Verdict::Good { .. } | Verdict::Impaired | Verdict::Suspect);
        if self.is_waking() && !answers {
            return;
        }
        let (now, doubt) = (self.now, self.doubt());
        let Some(patient) = self.patients.get_mut(target) else { return };
        if patient.inhibited_by.is_some() {
            return;
        }
        if patient.account.intent == Intent::Held && !answers {
            patient.forget_counts();
            let says = held(&patient.account, now);
            patient.enter(Phase::Unknown, Reason::says("R34", says), now);
            return;
        }
        if self.fails_with_neighbour(target, verdict) {
            return;
        }
        let Some(patient) = self.patients.get_mut(target) else { return };
        if !matches!(verdict, Verdict::Hard | Verdict::Nothing) {
            // R11: the last reading disagrees with the one before; another one is to tell.
            patient.confirmed = None;
        }
        let changed = patient.last_verdict.replace(verdict.kind()) != Some(verdict.kind());
        if changed && looking.depth == Depth::Shallow && patient.is_given_up_for_good() {
            // Another answer than the one that was given up on: who answers now? (R27)
            patient.due = now.awake;
            patient.depth = Depth::Full;
        }
        let turn = patient.weigh(verdict, looking.confirms, now, &self.policy, doubt);
        let named = patient.phase.cause().is_some();
        if verdict == Verdict::Hard && patient.tally.hard > 1 {
            self.ask_siblings(target);
        }
        match turn {
            Turn::Steady => {}
            // What ails it was named before: a full look only brings the cause up to date.
            Turn::Confirm if !matches!(verdict, Verdict::Hard | Verdict::Wedged) && named => {
                if looking.depth >= Depth::Full {
                    self.ailing(target);
                }
            }
            Turn::Confirm => self.look(target, true),
            Turn::ConfirmedDown => self.down(target),
            Turn::Ailing => self.ailing(target),
            Turn::BecameHealthy => self.became_healthy(target),
        }
        if looking.depth >= Depth::Full {
            self.reconsider_given_up(target, verdict);
        }
        self.renew_cause(target, verdict, looking.depth);
        self.inhibit_children(target);
    }

    /// What fails in another way than before has another cause.
    fn renew_cause(&mut self, target: &TargetId, verdict: Verdict, depth: Depth) {
        let now = self.now;
        let Some(patient) = self.patients.get(target) else { return };
        let fails = !matches!(
            verdict,
            Verdict::Good { .. } | Verdict::Nothing | Verdict::Impaired | Verdict::Suspect
        );
        // A service's last answer alone tells its cause; a server's, only with everything around it.
        let tells = match patient.spec.care {
            Care::Service { .. } => true,
            Care::Ollama { .. } | Care::Mlx { .. } => depth >= Depth::Full,
            Care::Host | Care::Docker | Care::Container { .. } => false,
        };
        if !fails || !tells {
            if let Some(patient) = self.patients.get_mut(target)
                && fails
                && is_only_possible(&patient.phase)
            {
                // Nothing is done before more is known: the next look is a full one.
                patient.depth = patient.depth.max(Depth::Full);
            }
            return;
        }
        let cause = self.diagnose(patient);
        let Some(patient) = self.patients.get_mut(target) else { return };
        match &mut patient.phase {
            Phase::Degraded { cause: Some(known) } | Phase::Down { cause: known, .. }
                if known.id != cause.id =>
            {
                *known = cause.clone();
            }
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. }
            | Phase::Down { .. }
            | Phase::Recovering { .. }
            | Phase::GivenUp { .. } => return,
        }
        self.open_incident(target, cause, now.awake);
    }

    /// R27: another cause than the one given up on is a changed world: the other program has left
    /// the port, Ollama was installed.
    fn reconsider_given_up(&mut self, target: &TargetId, verdict: Verdict) {
        if matches!(verdict, Verdict::Good { .. } | Verdict::Nothing) {
            return;
        }
        let Some(patient) = self.patients.get(target) else { return };
        // What was given up because its budget is spent is no other world when our own last start
        // of it fails in another way: it waits for its trial.
        let Phase::GivenUp { cause, trial: None } = &patient.phase else { return };
        if patient.account.is_locked(&self.policy) {
            return;
        }
        if self.diagnose(patient).id != cause.id {
            self.forgive(target);
            self.look_soon(target, Depth::Full);
        }
    }

    pub(crate) fn became_healthy(&mut self, target: &TargetId) {
        if let Some(patient) = self.patients.get_mut(target) {
            patient.account.given_up = None;
            patient.account.act = None;
            patient.observed_only = false;
            patient.failed = None;
            patient.urged = false;
            patient.extended = false;
        }
        let restarted = *target == TargetId::Docker && std::mem::take(&mut self.engine_gone);
        if restarted && self.engine_was_well {
            self.engine_returns();
        }
        if !self.storm_outlasts(target) && !self.chain_outlasts(target) {
            // What we tried may have helped though its proof was broken off.
            let tried = self
                .patients
                .get(target)
                .and_then(|patient| patient.incident.as_ref())
                .is_some_and(|incident| incident.attempts > 0);
            let key = if tried { "story.well_again" } else { "story.healed_itself" };
            self.close_incident(target, IncidentState::HealedItself, Some(key));
        }
        if *target == TargetId::Docker {
            self.look_soon(target, Depth::Full);
            if restarted && self.engine_was_well {
                self.engine_was_restarted();
            }
        }
        self.inhibit_children(target);
        if *target == TargetId::Docker {
            self.engine_was_well = true;
        }
    }
}

fn is_only_possible(phase: &Phase) -> bool {
    matches!(phase, Phase::Down { cause, .. } if cause.confidence == Confidence::Possible)
}
