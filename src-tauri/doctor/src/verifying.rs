//! Verifying: a remedy is proven by the same kind of check that failed, or it has failed (R46).

use std::time::Duration;

use crate::clock::{Awake, millis};
use crate::diagnosis;
use crate::doctor::Doctor;
use crate::event::Asker;
use crate::incident::{RemedyResult, RestartedBy, StoryKind};
use crate::observation::{ContainerHealth, Listener};
use crate::operation::{Operation, Stage, Verification};
use crate::order::Depth;
use crate::phase::Reason;
use crate::plan::Plan;
use crate::seeing::incarnation;
use crate::sentence::Sentence;
use crate::target::{Care, TargetId};
use crate::verdict::Verdict;

/// A check ends by then, whatever its targets are like: long enough for three attempts.
const CHECK_WITHIN: Duration = Duration::from_mins(15);

impl Doctor {
    pub(crate) fn begin_verifying(&mut self, at: usize) {
        let now = self.now;
        let deep_model = self.model_that_failed(&self.operations[at].target);
        let operation = &mut self.operations[at];
        let (target, by) = (operation.target.clone(), operation.by);
        let is_check = matches!(operation.plan, Plan::Check { .. });
        let unsticks = operation.plan.unsticks();
        let grace = self
            .patients
            .get(&target)
            .map_or(Duration::ZERO, |patient| patient.spec.grace)
            .min(self.policy.grace_ceiling);
        let within = if is_check { CHECK_WITHIN } else { grace };
        // A model that was unloaded has given its token already (R46 (4)).
        let deep_model = if is_check || unsticks { None } else { deep_model };
        operation.stage = Stage::Verifying(Verification {
            began: now.awake,
            deadline: now.awake + within,
            extended: false,
            goods: 0,
            soak_until: None,
            last_look: false,
            proven: None,
            deep_model,
        });
        if !operation.is_remedy() {
            return;
        }
        let by = match by {
            Asker::Person | Asker::Agent => RestartedBy::Person,
            Asker::Doctor => RestartedBy::Us,
        };
        if !unsticks {
            self.restarted(&target, by);
            self.restarted_with(&target, by);
        }
        if let Some(patient) = self.patients.get_mut(&target) {
            patient.forget_counts();
            patient.looking = None;
            let says = Sentence::new("why.verifying").with("grace", grace);
            patient.reason = Reason::says("R46", says).until(now.awake + grace);
        }
        self.look_soon(&target, Depth::Full);
        let container = self.container_in(&target);
        if container != target {
            self.look_soon(&container, Depth::Full);
        }
    }

    /// Takes the look if a remedy is under way here; false leaves it to the ordinary judgement.
    pub(crate) fn verify(&mut self, target: &TargetId, verdict: Verdict, depth: Depth) -> bool {
        let now = self.now;
        let found = self
            .operations
            .iter()
            .position(|one| one.is_remedy() && one.is_under_way() && one.target == *target);
        let Some(at) = found else { return false };
        let id = self.operations[at].id.clone();
        let this = self.incarnation_of(target);
        let replaced = self.operations[at].plan.unsticks()
            || self.is_replaced(target, self.operations[at].before.as_deref());
        let (waking, undecided) = (self.is_waking(), self.awaits_verdict_of_memory(target));
        let (successes, soak) = (self.policy.successes, self.policy.soak);
        let Stage::Verifying(verification) = &mut self.operations[at].stage else { return true };
        let soaking = verification.soak_until.is_some();
        let good = matches!(verdict, Verdict::Good { .. });
        let bad = matches!(
            verdict,
            Verdict::Hard | Verdict::WrongOwner | Verdict::Misplaced | Verdict::Wedged
        );
        if soaking
            && good
            && let Some(patient) = self.patients.get_mut(target)
        {
            // It is in use again, and whoever asks before a cycle goes by the last good look.
            patient.last_good = Some(now);
        }
        if bad && waking {
            // R42: straight after a wake a failure says nothing.
            self.look_soon_verifying(target);
        } else if soaking {
            // R46 (5): a process that was replaced in the soak has ended in the soak.
            let other = this.is_some() && verification.proven.is_some();
            let other = other && this != verification.proven;
            if bad || other {
                let says = Sentence::new("step.failed_in_soak");
                self.end(&id, RemedyResult::Failed, Some(says), false);
            } else if good && undecided {
                verification.last_look = false;
            } else if good
                && verification.last_look
                && depth
                    >= if verification.deep_model.is_some() { Depth::Deep } else { Depth::Full }
            {
                self.end(&id, RemedyResult::Verified, None, false);
            }
        } else if good {
            verification.goods = if replaced { verification.goods + 1 } else { 0 };
            if verification.goods >= successes {
                verification.soak_until = Some(now.awake + soak);
                verification.proven = this;
                self.answers_again(target);
            } else {
                self.look_soon_verifying(target);
            }
        } else {
            if bad {
                verification.goods = 0;
            }
            self.look_soon_verifying(target);
        }
        true
    }

    pub(crate) fn advance_verification(&mut self, at: usize) {
        let now = self.now.awake;
        let operation = &self.operations[at];
        let (id, target) = (operation.id.clone(), operation.target.clone());
        let Stage::Verifying(verification) = operation.stage.clone() else { return };
        match verification.soak_until {
            None if now >= verification.deadline => {
                let ceiling = verification.began + self.policy.grace_ceiling;
                if operation.is_remedy()
                    && !verification.extended
                    && now < ceiling
                    && self.is_still_loading(at)
                {
                    self.extend(at, ceiling);
                    return;
                }
                let says = Sentence::new("step.not_answering");
                self.end(&id, RemedyResult::Failed, Some(says), false);
            }
            // Whose want of memory it was that was told of is not known yet.
            Some(_) if self.awaits_verdict_of_memory(&target) => {}
            Some(until) if now >= until && !verification.last_look => {
                if let Stage::Verifying(verification) = &mut self.operations[at].stage {
                    verification.last_look = true;
                }
                self.look_soon(&target, Depth::Full);
            }
            // The last look itself never came, three looks long.
            Some(until) if now >= until + 3 * self.policy.look_deadline => {
                let says = Sentence::new("step.not_answering");
                self.end(&id, RemedyResult::Failed, Some(says), false);
            }
            None | Some(_) => {}
        }
    }

    /// R46 (5): want of memory in the soak, though only a child was ended for it, proves nothing well.
    /// What a neighbour was ended for says nothing of this one, which only heard of it.
    pub(crate) fn fail_soak(&mut self, container: &TargetId, told: Awake) {
        let soaks = |one: &&Operation| {
            let Stage::Verifying(Verification { soak_until: Some(until), .. }) = &one.stage else {
                return false;
            };
            one.is_remedy()
                && told + self.policy.soak >= *until
                && self.container_in(&one.target) == *container
        };
        let Some(id) = self.operations.iter().find(soaks).map(|one| one.id.clone()) else { return };
        let says = Sentence::new("step.memory_in_soak");
        self.end(&id, RemedyResult::Failed, Some(says), false);
    }

    /// The stream told of a want of memory, and it is not known yet whether this container's (1.14).
    fn awaits_verdict_of_memory(&self, target: &TargetId) -> bool {
        let Some(container) = self.patients.get(&self.container_in(target)) else { return false };
        let news = &container.facts.container_news;
        let within = self.policy.verdict + self.policy.look_deadline;
        news.oom.is_some_and(|oom| news.told != Some(oom) && self.now.awake < oom.at + within)
    }

    /// R42: what is being proven when the machine sleeps gets the time of the hold on top.
    pub(crate) fn extend_verifications(&mut self, by: Duration) {
        for operation in &mut self.operations {
            if let Stage::Verifying(verification) = &mut operation.stage {
                verification.deadline = verification.deadline + by;
                verification.soak_until = verification.soak_until.map(|until| until + by);
            }
        }
    }

    /// R13: once, to the ceiling, while it is still on its way.
    fn extend(&mut self, at: usize, ceiling: crate::clock::Awake) {
        let target = self.operations[at].target.clone();
        if let Stage::Verifying(verification) = &mut self.operations[at].stage {
            verification.extended = true;
            verification.deadline = ceiling;
        }
        if let Some(patient) = self.patients.get_mut(&target) {
            patient.reason = Reason::new("R13", "why.still_loading").until(ceiling);
        }
    }

    /// Its process lives and does not listen yet, or its container's health check is undecided.
    fn is_still_loading(&self, at: usize) -> bool {
        let operation = &self.operations[at];
        let Some(patient) = self.patients.get(&operation.target) else { return false };
        match patient.spec.care {
            Care::Ollama { .. } | Care::Mlx { .. } => {
                let silent = matches!(patient.listener(), Listener::Nobody | Listener::NotAsked);
                silent
                    && patient.facts.surroundings.iter().flat_map(|around| &around.relatives).any(
                        |process| {
                            diagnosis::is_copy(patient, process)
                                && operation.before != Some(incarnation(process))
                        },
                    )
            }
            Care::Container { .. } => patient
                .facts
                .container
                .as_ref()
                .is_some_and(|seen| seen.health == Some(ContainerHealth::Starting)),
            Care::Host | Care::Docker | Care::Service { .. } => false,
        }
    }

    /// R46 (4): what was opened by a request for a token that failed is closed by one that succeeds.
    fn model_that_failed(&self, target: &TargetId) -> Option<String> {
        let insight = &self.patients.get(target)?.facts.insight;
        let deep = insight.deep.as_ref().filter(|_| insight.deep_failed())?;
        Some(deep.model.clone())
    }

    /// The model that the last look of a verification must hear from.
    pub(crate) fn model_to_prove(&self, target: &TargetId) -> Option<String> {
        let operation = self
            .operations
            .iter()
            .find(|one| one.is_remedy() && one.is_under_way() && one.target == *target)?;
        match &operation.stage {
            Stage::Verifying(verification) if verification.last_look => {
                verification.deep_model.clone()
            }
            Stage::Verifying(_)
            | Stage::Queued
            | Stage::Writing { .. }
            | Stage::Acting { .. }
            | Stage::Ended => None,
        }
    }

    fn look_soon_verifying(&mut self, target: &TargetId) {
        let at = self.now.awake + self.policy.verify_every;
        if let Some(patient) = self.patients.get_mut(target) {
            patient.due = at;
            patient.depth = Depth::Full;
        }
    }

    /// R46 (1) and (2): another incarnation than before, and the port is its own.
    fn is_replaced(&self, target: &TargetId, before: Option<&str>) -> bool {
        let Some(patient) = self.patients.get(target) else { return false };
        match &patient.spec.care {
            Care::Ollama { .. } | Care::Mlx { .. } => match patient.listener() {
                Listener::Process(process) => before != Some(incarnation(process).as_str()),
                Listener::Nobody => false,
                // What the system does not show cannot be compared: answering must do.
                Listener::Hidden | Listener::NotAsked => before.is_none(),
            },
            Care::Container { .. } | Care::Service { container: Some(_), .. } => {
                self.incarnation_of(target).as_deref() != before
            }
            Care::Service { container: None, .. } | Care::Host | Care::Docker => true,
        }
    }

    /// The incarnation that a remedy of this target replaces (R4).
    pub(crate) fn incarnation_of(&self, target: &TargetId) -> Option<String> {
        let acted_on = self.container_in(target);
        let patient = self.patients.get(&acted_on)?;
        match patient.listener() {
            Listener::Process(process) => Some(incarnation(process)),
            Listener::Nobody | Listener::Hidden | Listener::NotAsked => patient.incarnation.clone(),
        }
    }

    fn answers_again(&mut self, target: &TargetId) {
        let now = self.now;
        let soak = self.policy.soak;
        if let Some(patient) = self.patients.get_mut(target) {
            patient.last_good = Some(now);
            patient.account.seen_alive = true;
            let says = Sentence::new("why.soaking").with("soak", soak);
            patient.reason = Reason::says("R46", says).until(now.awake + soak);
            patient.due = now.awake + self.policy.retry;
        }
        let told = self.teller(target);
        if let Some(patient) = self.patients.get_mut(&told)
            && let Some(incident) = &mut patient.incident
            && incident.closed.is_none()
        {
            let after = millis(now.awake.since(patient.opened));
            incident.answering_after_ms = Some(after);
        }
        self.stagger();
        self.tell_story(target, StoryKind::Proven, Sentence::new("story.answers_again"));
        self.tell_of_victim(target, StoryKind::Proven, "story.storm_answers_again");
        self.inhibit_children(target);
    }
}
