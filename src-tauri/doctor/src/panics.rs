//! The kernel-panic lock (R32): what took the machine down twice within a day is not started again.

use crate::cause::{Cause, CauseId, Confidence};
use crate::clock::Wall;
use crate::diagnosis;
use crate::doctor::Doctor;
use crate::incident::Verb;
use crate::ledger::{Account, Ledger};
use crate::observation::ProcessSeen;
use crate::operation::Stage;
use crate::policy::Policy;
use crate::remedy::Step;
use crate::sentence::Sentence;
use crate::target::TargetId;

/// What can take the whole machine down: MLX did, nine times within six days.
const SUSPECTS: [TargetId; 2] = [TargetId::Ollama, TargetId::Mlx];

impl Account {
    /// Until a person releases it, nobody starts it.
    pub fn is_locked(&self, policy: &Policy) -> bool {
        self.panics.len() >= policy.panics
    }

    /// When it was last seen to do what takes a machine down; a start of ours that was only just
    /// written down counts.
    fn last_strain(&self) -> Option<Wall> {
        let act = self.act.as_ref().filter(|act| act.verb != Verb::Stop).map(|act| act.at);
        self.started.max(self.busy).max(act)
    }
}

impl Doctor {
    /// Another boot, and nobody told us to end: the machine went down about when the ledger was
    /// last written. Who was started or busy shortly before?
    pub(crate) fn panic_suspects(&self, ledger: &Ledger) -> Vec<(TargetId, Wall)> {
        if ledger.boot == self.now.boot || ledger.ended {
            return Vec::new();
        }
        let died = ledger.written;
        let within = self.policy.panic_within;
        let suspects = SUSPECTS.iter().filter(|id| {
            ledger
                .targets
                .get(*id)
                .and_then(Account::last_strain)
                .is_some_and(|strain| died.since(strain) <= within)
        });
        suspects.map(|id| (id.clone(), died)).collect()
    }

    /// Told at once when it is one too many (R50); a lock that was told before stays.
    pub(crate) fn charge(&mut self, charged: Vec<(TargetId, Wall)>) {
        let memory = self.policy.panic_memory;
        for (id, died) in charged {
            let Some(patient) = self.patients.get_mut(&id) else { continue };
            let locked = patient.account.is_locked(&self.policy);
            let panics = &mut patient.account.panics;
            if !locked {
                panics.retain(|at| died.since(*at) < memory);
            }
            panics.push(died);
            if panics.len() > 2 * self.policy.panics {
                panics.remove(0);
            }
            if !locked && patient.account.is_locked(&self.policy) {
                let cause = panic_cause(&patient.account);
                self.open_incident(&id, cause.clone(), self.now.awake);
                self.give_up(&id, cause, true);
            }
        }
        for id in SUSPECTS {
            let Some(patient) = self.patients.get(&id) else { continue };
            let known = patient.phase.cause().is_none() && patient.account.given_up.is_some();
            if known && patient.account.is_locked(&self.policy) {
                let cause = panic_cause(&patient.account);
                self.open_incident(&id, cause.clone(), self.now.awake);
                self.stay_given_up(&id, cause, None);
            }
        }
    }

    /// A new incarnation, by whomever. At first sight the process itself tells its age; where it
    /// does not, only on a fresh boot it must be new.
    pub(crate) fn note_started(&mut self, target: &TargetId, process: &ProcessSeen) {
        let (now, fresh) = (self.now.wall, self.is_freshly_booted());
        let Some(patient) = self.patients.get_mut(target) else { return };
        let this = crate::seeing::incarnation(process);
        let before = patient.incarnation.as_ref();
        if before == Some(&this) || !diagnosis::is_own_server(patient, process) {
            return;
        }
        let told = process.since.map(|since| Wall(since.saturating_mul(1000)));
        let seen = (before.is_some() || fresh).then_some(now);
        if let Some(at) = told.or(seen) {
            patient.account.started = Some(at);
        }
    }

    /// Written no more often than the ledger is anyway.
    pub(crate) fn note_busy(&mut self) {
        let (now, beat) = (self.now.wall, self.policy.heartbeat);
        for id in SUSPECTS {
            let measured = self.is_measured(&id);
            let Some(patient) = self.patients.get_mut(&id) else { continue };
            let old = |at: Wall| at > now || now.since(at) >= beat;
            if (measured || !patient.facts.loaded.is_empty())
                && patient.account.busy.is_none_or(old)
            {
                patient.account.busy = Some(now);
            }
        }
    }

    pub(crate) fn a_server_lives(&self) -> bool {
        SUSPECTS.iter().any(|id| {
            self.patients
                .get(id)
                .is_some_and(|one| one.phase.is_usable() || one.last_good.is_some())
        })
    }

    fn is_measured(&self, id: &TargetId) -> bool {
        self.operations.iter().any(|one| match &one.stage {
            Stage::Acting { step: Step::Measure { model }, .. } => {
                model.starts_with("mlx:") == (*id == TargetId::Mlx)
            }
            Stage::Acting { .. }
            | Stage::Queued
            | Stage::Writing { .. }
            | Stage::Verifying(_)
            | Stage::Ended => false,
        })
    }
}

pub(crate) fn panic_cause(account: &Account) -> Cause {
    let evidence =
        account.panics.iter().map(|at| Sentence::new("evidence.panic").with("at", *at)).collect();
    Cause {
        id: CauseId::HostPanicSuspect,
        confidence: Confidence::Likely,
        evidence,
        says: Sentence::new("cause.host.panic_suspect.text"),
    }
}
