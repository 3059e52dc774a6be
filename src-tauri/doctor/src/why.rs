//! Why a target is as it is, what would change that, and why nothing is done: read off the reason
//! that its phase carries, and asked of the very rule that decides whether to act.

use std::time::Duration;

use crate::change::Change;
use crate::clock::{Awake, Now};
use crate::containers::completed;
use crate::deciding::Refusal;
use crate::doctor::Doctor;
use crate::holding::{held, held_in};
use crate::ledger::Intent;
use crate::looking::NEVER;
use crate::operation::{Stage, Verification};
use crate::patient::Patient;
use crate::phase::{Phase, Reason};
use crate::sentence::Sentence;
use crate::target::{Care, TargetId};
use crate::verdict::Verdict;

/// Everything about one target's state at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Why {
    /// The rule that holds it in its state, such as `R11`.
    pub rule: &'static str,
    pub says: Sentence,
    /// Since when it is in that state.
    pub since: Now,
    /// What would change it, the nearest first.
    pub changes: Vec<Sentence>,
    pub next_look: NextLook,
    /// When the next attempt or trial may begin, if nothing else hinders it.
    pub next_attempt: Option<Awake>,
    /// Why nothing is done; none while something is, or while there is nothing to do.
    pub nothing_done: Option<Reason>,
}

/// When it is looked at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextLook {
    /// A look is under way.
    Now,
    At(Awake),
    /// Docker's events tell of it at once, and the snapshot of all containers at about that time.
    Told(Awake),
    /// Not before this parent is well.
    With(TargetId),
}

impl Doctor {
    /// None: there is no such target.
    pub fn why(&self, id: &TargetId) -> Option<Why> {
        let patient = self.patients.get(id)?;
        let reason = self.state_reason(patient);
        let nothing_done = self.why_nothing_is_done(patient);
        let mut changes: Vec<Sentence> = Vec::new();
        let own = nothing_done.as_ref().map_or(&[][..], |reason| reason.changes);
        let phase = phase_changes(patient);
        for change in own.iter().chain(reason.changes).chain(phase) {
            if let Some(sentence) = self.say_change(*change, patient)
                && !changes.contains(&sentence)
            {
                changes.push(sentence);
            }
        }
        Some(Why {
            rule: reason.rule,
            says: reason.says,
            since: patient.since,
            changes,
            next_look: self.next_look(patient),
            next_attempt: self.next_attempt(patient, nothing_done.as_ref()),
            nothing_done,
        })
    }

    /// What is down or given up is so for the reason it became so; what was said since is why
    /// nothing is done.
    fn state_reason(&self, patient: &Patient) -> Reason {
        let reason = match patient.phase {
            Phase::Down { .. } | Phase::GivenUp { .. } => &patient.entered,
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. }
            | Phase::Recovering { .. } => &patient.reason,
        };
        // What it waited for is over; the look that follows says what is so now.
        let is_wanted = patient.account.intent == Intent::Wanted;
        let outlived = match reason.rule {
            "R42" => !self.is_waking(),
            "R15" => patient.inhibited_by.is_none(),
            "R34" => is_wanted,
            "R35" => is_wanted && reason.says.key != "why.no_such_container",
            _ => false,
        };
        if let (Phase::Unknown, Some(container)) =
            (&patient.phase, self.held_with(&patient.spec.id))
            && let Some(container) = self.patients.get(container)
        {
            return Reason::says("R15", held_in(container, self.now));
        }
        if outlived {
            return Reason::new("1.2", "why.look_again");
        }
        if !self.may_release(&patient.spec.id) {
            return Reason::new("R35", "why.taken_down");
        }
        if matches!(reason.rule, "R34" | "R35") && patient.account.intent == Intent::Held {
            // Whose stop it was shows only after a while.
            return Reason::says(reason.rule, held(&patient.account, self.now));
        }
        reason.clone()
    }

    fn why_nothing_is_done(&self, patient: &Patient) -> Option<Reason> {
        if let Phase::Recovering { .. } = patient.phase {
            return None;
        }
        match patient.account.intent {
            Intent::Held if !self.may_release(&patient.spec.id) => {
                return Some(Reason::new("R35", "why.taken_down"));
            }
            Intent::Held => return Some(Reason::says("R34", held(&patient.account, self.now))),
            Intent::Completed => return Some(completed(patient.facts.container.as_ref())),
            Intent::Wanted => {}
        }
        match &patient.phase {
            Phase::Healthy | Phase::Recovering { .. } => None,
            Phase::Slow | Phase::Starting { .. } | Phase::Unknown | Phase::Degraded { .. } => {
                Some(self.state_reason(patient))
            }
            Phase::Down { .. } => Some(self.hindrance(patient)),
            Phase::GivenUp { trial, .. } => Some(self.given_up_hindrance(patient, *trial)),
        }
    }

    /// What the rule that decides says when it is asked now.
    fn hindrance(&self, patient: &Patient) -> Reason {
        match self.decide(patient) {
            Err(Refusal::Wait(reason)) => reason,
            Err(Refusal::Observe(_)) => Reason::new("R60", "why.observe"),
            Err(Refusal::Hopeless) => self.spent(patient),
            // It may act: the last look is asked for, or what hindered it has ended this moment.
            Ok(_) | Err(Refusal::Confirm) => Reason::new("R11", "why.confirming"),
        }
    }

    fn given_up_hindrance(
        &self,
        patient: &Patient,
        trial: Option<crate::clock::Continuous>,
    ) -> Reason {
        if self.may_be_due(patient) {
            return self.hindrance(patient);
        }
        let Some(trial) = trial else { return patient.entered.clone() };
        // What hinders it now will have passed by then, unless somebody decided it.
        let lasting = |reason: &Reason| matches!(reason.rule, "R60" | "R62");
        match self.hindrance(patient) {
            reason if lasting(&reason) => reason,
            _ => {
                let at = self.now.awake + trial.since(self.now.continuous);
                Reason::new("R27", "why.trial_later").until(at)
            }
        }
    }

    /// R25, R28: the budget is spent; that of the hour fills up again.
    fn spent(&self, patient: &Patient) -> Reason {
        const HOUR: Duration = Duration::from_hours(1);
        let restarts = patient.account.restarts.iter().filter(|one| one.automatic);
        let oldest = restarts.rev().nth(self.policy.restarts_limit.saturating_sub(1));
        match oldest {
            Some(oldest) => {
                let left = (oldest.at + HOUR).since(self.now.continuous);
                Reason::new("R28", "why.hour_spent").until(self.now.awake + left)
            }
            None => patient.entered.clone(),
        }
    }

    fn next_attempt(&self, patient: &Patient, nothing_done: Option<&Reason>) -> Option<Awake> {
        let waits = matches!(patient.phase, Phase::Down { .. } | Phase::GivenUp { .. });
        let reason = nothing_done.filter(|_| waits)?;
        if reason.says.key == "why.confirming" { Some(self.now.awake) } else { reason.next }
    }

    fn next_look(&self, patient: &Patient) -> NextLook {
        let now = self.now.awake;
        if patient.looking.is_some_and(|looking| now < looking.deadline) {
            return NextLook::Now;
        }
        match &patient.spec.care {
            Care::Container { .. } | Care::Service { .. } => {
                if let Some(parent) = &patient.inhibited_by {
                    return NextLook::With(parent.clone());
                }
            }
            Care::Host | Care::Docker | Care::Ollama { .. } | Care::Mlx { .. } => {}
        }
        if patient.due < NEVER {
            return NextLook::At(patient.due);
        }
        let engine = self.patients.get(&TargetId::Docker).map_or(now, |docker| docker.due);
        NextLook::Told(self.next_snapshot.max(engine))
    }

    /// None: not so for this target now.
    fn say_change(&self, change: Change, patient: &Patient) -> Option<Sentence> {
        let policy = &self.policy;
        let says = |key: &str| Some(Sentence::new(key));
        match change {
            // It answers at every look, which is not what is missing.
            Change::GoodLooks if is_impaired(patient) => says("change.mended"),
            Change::GoodLooks => Some(self.good_looks(patient)),
            Change::FailedLooks => self.failed_looks(patient),
            Change::Confirmation => says("change.confirmation"),
            Change::DeepLook => says("change.deep_look"),
            Change::LateLooks => {
                Some(Sentence::new("change.late_looks").with("limit", policy.slow_after))
            }
            Change::QuickLooks => Some(
                Sentence::new("change.quick_looks").with("limit", policy.slow_after.mul_f64(0.7)),
            ),
            Change::GraceOver => says("change.grace_over"),
            Change::WakeOver => says("change.wake_over"),
            Change::Parent => {
                let parent = patient.inhibited_by.as_ref()?;
                Some(Sentence::new("change.parent").with("parent", parent.name()))
            }
            Change::Needs => {
                let ill = |need: &&TargetId| {
                    self.patients.get(need).is_some_and(|need| !need.phase.is_usable())
                };
                let needs = &patient.spec.needs;
                let parent = needs.iter().find(ill).or(needs.first())?;
                Some(Sentence::new("change.needs").with("parent", parent.name()))
            }
            Change::Release if patient.account.intent == Intent::Wanted => None,
            Change::Release => says("change.release"),
            Change::HoldOver => says("change.hold_over"),
            Change::ObservingOver => says("change.observing_over"),
            Change::TakenOver => says("change.taken_over"),
            Change::Unlock => says("change.unlock"),
            Change::Unpause => says("change.unpause"),
            Change::Started => says("change.started"),
            Change::Person if self.actions(&patient.spec.id).is_empty() => None,
            Change::Person => says("change.person"),
            Change::ByHand => says("change.by_hand"),
            Change::World => says("change.world"),
            Change::OtherCause => says("change.other_cause"),
            Change::Trial => says("change.trial"),
            Change::Attempt => says("change.attempt"),
            Change::HourPasses => says("change.hour_passes"),
            Change::OtherEnds => Some(self.other_ends(patient)),
            Change::MemoryCalm => says("change.memory_calm"),
            Change::Auto => says("change.auto"),
            Change::Certainty => says("change.certainty"),
            Change::Recording => says("change.recording"),
            Change::Critical => says("change.critical"),
            Change::Launch => says("change.launch"),
            Change::InContainer => says("change.in_container"),
            Change::Unlabelled => says("change.unlabelled"),
            Change::Appears => says("change.appears"),
            Change::CanLook => says("change.can_look"),
            Change::Steps => says("change.steps"),
            Change::Proven => Some(Sentence::new("change.proven").with("soak", policy.soak)),
            Change::NotProven => says("change.not_proven"),
            Change::SoakHolds if self.verification(patient).is_some_and(|one| one.last_look) => {
                says("change.last_look")
            }
            Change::SoakHolds => says("change.soak_holds"),
            Change::SoakFails => says("change.soak_fails"),
            Change::Pressure => Some(
                Sentence::new("change.pressure")
                    .with("warn", policy.pressure_warn)
                    .with("critical", policy.pressure_critical),
            ),
            Change::Calm => Some(Sentence::new("change.calm").with("clear", policy.pressure_clear)),
            Change::ContainerFails => says("change.container_fails"),
            Change::ContainerRuns => says("change.container_runs"),
            Change::StaysEnded => says("change.stays_ended"),
        }
    }

    fn good_looks(&self, patient: &Patient) -> Sentence {
        let wanted = match patient.phase {
            Phase::Starting { .. } => 1,
            Phase::Unknown
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. }
            | Phase::Down { .. }
            | Phase::Recovering { .. }
            | Phase::GivenUp { .. } => self.policy.successes,
        };
        match wanted.saturating_sub(patient.tally.good) {
            0 | 1 => Sentence::new("change.one_good_look"),
            left => Sentence::new("change.good_looks").with("count", left),
        }
    }

    fn failed_looks(&self, patient: &Patient) -> Option<Sentence> {
        if patient.account.intent != Intent::Wanted {
            return None;
        }
        let limit = self.policy.hard_fails * self.doubt();
        Some(match limit.saturating_sub(patient.tally.hard) {
            0 => Sentence::new("change.confirmation"),
            1 => Sentence::new("change.one_more_failed_look"),
            left if left < limit => Sentence::new("change.more_failed_looks").with("count", left),
            left => Sentence::new("change.failed_looks").with("count", left),
        })
    }

    fn other_ends(&self, patient: &Patient) -> Sentence {
        let others = self.operations.iter().filter(|one| one.is_remedy() && one.is_running());
        let other = others.map(|one| &one.target).find(|target| **target != patient.spec.id);
        match other {
            Some(target) => Sentence::new("change.other_ends").with("target", target.name()),
            None => Sentence::new("change.steps"),
        }
    }

    fn verification(&self, patient: &Patient) -> Option<&Verification> {
        let running = self.running_on(&patient.spec.id)?;
        match &running.stage {
            Stage::Verifying(verification) => Some(verification),
            Stage::Queued | Stage::Writing { .. } | Stage::Acting { .. } | Stage::Ended => None,
        }
    }
}

fn is_impaired(patient: &Patient) -> bool {
    let named = matches!(patient.phase, Phase::Degraded { cause: Some(_) });
    named && patient.last_verdict == Some(Verdict::Impaired)
}

/// What any target in its phase waits for; one that is hidden by its parent, only for that.
fn phase_changes(patient: &Patient) -> &'static [Change] {
    let settled = matches!(
        patient.phase,
        Phase::Healthy
            | Phase::Slow
            | Phase::Down { .. }
            | Phase::Recovering { .. }
            | Phase::GivenUp { .. }
    );
    if !settled && patient.inhibited_by.is_some() {
        return &[Change::Parent];
    }
    if !patient.is_found() && !matches!(patient.spec.care, Care::Container { .. }) {
        return &[Change::Appears];
    }
    patient.phase.changes(&patient.spec.care)
}
