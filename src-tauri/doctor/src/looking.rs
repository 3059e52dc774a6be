//! Looks: when each target is asked, and what an answer changes.

use std::time::Duration;

use crate::clock::{Awake, Now};
use crate::diagnosis;
use crate::doctor::Doctor;
use crate::host::Strain;
use crate::incident::IncidentState;
use crate::ledger::Intent;
use crate::observation::{
    DockerSeen, HostSeen, Listener, MlxSeen, Observation, OllamaSeen, ProcessSeen,
};
use crate::order::{Depth, Look, LookId, Order};
use crate::patient::{LoadedFact, Looking, Patient, Turn};
use crate::phase::{Phase, Reason};
use crate::target::{Care, TargetId};
use crate::verdict::{self, Verdict};

impl Doctor {
    /// Containers are not asked one by one on a timer: events and the snapshot tell.
    pub(crate) fn is_asked(patient: &Patient) -> bool {
        match patient.spec.care {
            Care::Container { .. } => patient.inhibited_by.is_none() && patient.due < NEVER,
            Care::Host | Care::Docker | Care::Ollama { .. } | Care::Mlx { .. } => true,
            Care::Service { .. } => patient.inhibited_by.is_none(),
        }
    }

    pub(crate) fn order_looks(&mut self) {
        let now = self.now.awake;
        if now >= self.next_snapshot
            && let Some(docker) = self.patients.get_mut(&TargetId::Docker)
        {
            docker.depth = Depth::Full;
        }
        let due: Vec<TargetId> = self
            .patients
            .iter()
            .filter(|(_, patient)| Self::is_asked(patient))
            .filter(|(_, patient)| match patient.looking {
                Some(looking) => now >= looking.deadline,
                None => now >= patient.due,
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.look(&id, false);
        }
    }

    /// R11: the last reading is too old to act upon; one more decides. Not asked for faster than
    /// fails are, so that a look that brings nothing is not repeated without end.
    pub(crate) fn confirm(&mut self, id: &TargetId) {
        let (now, retry) = (self.now.awake, self.policy.retry);
        let Some(patient) = self.patients.get_mut(id) else { return };
        let lately = patient.asked_again.is_some_and(|asked| now.since(asked) < retry);
        if lately || patient.looking.is_some_and(|looking| looking.confirms) {
            return;
        }
        patient.asked_again = Some(now);
        self.look(id, true);
    }

    pub(crate) fn look(&mut self, target: &TargetId, confirms: bool) {
        let id: LookId = self.next_id();
        let deadline = self.now.awake + self.policy.look_deadline;
        let Some(patient) = self.patients.get_mut(target) else { return };
        let depth = if confirms { Depth::Full } else { patient.depth };
        patient.depth = Depth::Shallow;
        patient.looking = Some(Looking { id, depth, confirms, deadline });
        self.orders.push(Order::Look(Look { id, target: target.clone(), depth }));
    }

    pub(crate) fn look_at_everything(&mut self, depth: Depth) {
        let ids: Vec<TargetId> = self.patients.keys().cloned().collect();
        for id in ids {
            self.look_soon(&id, depth);
        }
    }

    /// The next look at everything is a full one, at its usual time.
    pub(crate) fn deepen_all(&mut self) {
        for patient in self.patients.values_mut() {
            patient.depth = Depth::Full;
        }
    }

    /// At once, unless one is under way; then right after it.
    pub(crate) fn look_soon(&mut self, id: &TargetId, depth: Depth) {
        let now = self.now.awake;
        if let Some(patient) = self.patients.get_mut(id) {
            patient.due = now;
            patient.depth = patient.depth.max(depth);
        }
    }

    pub(crate) fn looked(&mut self, look: LookId, target: &TargetId, observation: Observation) {
        let Some(patient) = self.patients.get_mut(target) else { return };
        let Some(looking) = patient.looking.filter(|looking| looking.id == look) else {
            // Late beyond its deadline, or from before a sleep: it says nothing about now.
            return;
        };
        patient.looking = None;
        self.schedule(target);
        self.inhibit(target);
        match observation {
            Observation::Unasked { reason } => self.unasked(target, &reason),
            Observation::Ollama(seen) => self.saw_ollama(target, seen, looking),
            Observation::Mlx(seen) => self.saw_mlx(target, seen, looking),
            Observation::Service(answer) => {
                let Some(patient) = self.patients.get_mut(target) else { return };
                let Care::Service { expect, .. } = &patient.spec.care else { return };
                let verdict = verdict::service(&answer, expect);
                patient.facts.service = Some(answer);
                self.judged(target, verdict, looking);
            }
            Observation::Docker(seen) => self.saw_docker(target, seen, looking),
            Observation::Container(seen) => self.saw_container(target, seen),
            Observation::Host(seen) => self.saw_host(target, seen),
        }
        // What it meant may have changed how soon to look again; a container sets its own time.
        let own_time = matches!(target, TargetId::Container(_));
        if !own_time && self.patients.get(target).is_some_and(|one| one.due > self.now.awake) {
            self.schedule(target);
        }
    }

    /// The period ± 10 % (R10), so that probes spread; a quick retry is never later than named,
    /// since the time to a verdict is made of it.
    fn schedule(&mut self, id: &TargetId) {
        let Some(patient) = self.patients.get(id) else { return };
        let is_container = matches!(patient.spec.care, Care::Container { .. });
        let pace = patient.pace(&self.policy);
        let retries = pace < patient.spec.interval;
        let due = if is_container && !matches!(patient.phase, Phase::Recovering { .. }) {
            NEVER
        } else {
            let tenth = crate::clock::millis(pace) / 10;
            let jitter = self.dice(if retries { tenth + 1 } else { 2 * tenth + 1 });
            self.now.awake
                + pace.saturating_sub(Duration::from_millis(tenth))
                + Duration::from_millis(jitter)
        };
        if let Some(patient) = self.patients.get_mut(id) {
            patient.due = due;
        }
    }

    /// R15: while the parent is not well, nothing is concluded about the child.
    pub(crate) fn inhibit(&mut self, id: &TargetId) {
        let parent = self.patients.get(id).and_then(|patient| self.unwell_parent(patient));
        let now = self.now;
        let grace = self.engine_was_well || self.is_freshly_booted();
        let Some(patient) = self.patients.get_mut(id) else { return };
        let settled = matches!(
            patient.phase,
            Phase::Unknown | Phase::Recovering { .. } | Phase::GivenUp { .. }
        );
        if patient.inhibited_by == parent && (parent.is_none() || settled) {
            return;
        }
        patient.inhibited_by.clone_from(&parent);
        if let Some(parent) = parent {
            patient.forget_counts();
            let folds = !matches!(patient.phase, Phase::Recovering { .. } | Phase::GivenUp { .. });
            if folds {
                let says = crate::Sentence::new("why.parent").with("parent", parent.to_string());
                patient.enter(Phase::Unknown, Reason::says("R15", says), now);
                self.close_incident(id, IncidentState::Closed, Some("story.folded"));
            }
            return;
        }
        patient.forget_counts();
        patient.due = now.awake;
        patient.depth = Depth::Full;
        // R14, R17: the parent is back, the child gets a fresh grace; not so when it is only seen
        // for the first time.
        let is_container = matches!(patient.spec.care, Care::Container { .. });
        if matches!(patient.phase, Phase::Unknown) && (grace || !is_container) {
            patient.give_grace("why.parent_back", now);
        }
    }

    fn unwell_parent(&self, patient: &Patient) -> Option<TargetId> {
        let parent = match &patient.spec.care {
            Care::Container { .. } => TargetId::Docker,
            Care::Service { container: Some(name), .. } => TargetId::Container(name.clone()),
            Care::Service { container: None, .. }
            | Care::Host
            | Care::Docker
            | Care::Ollama { .. }
            | Care::Mlx { .. } => return None,
        };
        let known = self.patients.get(&parent)?;
        // A container that runs, in whatever health, does not hide its service.
        let well = known.phase.is_usable()
            || (matches!(parent, TargetId::Container(_))
                && matches!(known.phase, Phase::Degraded { .. } | Phase::Starting { .. }));
        (!well).then_some(parent)
    }

    pub(crate) fn inhibit_children(&mut self, parent: &TargetId) {
        let children: Vec<TargetId> = self
            .patients
            .iter()
            .filter(|(_, patient)| match (&patient.spec.care, parent) {
                (Care::Container { .. }, TargetId::Docker) => true,
                (Care::Service { container: Some(name), .. }, TargetId::Container(parent)) => {
                    name == parent
                }
                _ => false,
            })
            .map(|(id, _)| id.clone())
            .collect();
        for child in children {
            self.inhibit(&child);
            self.inhibit_children(&child);
        }
    }

    fn unasked(&mut self, target: &TargetId, reason: &str) {
        // That a container can't be asked is Docker's trouble, and told there.
        if !matches!(target, TargetId::Container(_)) {
            self.tell_about_ourselves("ourselves.cannot_look", reason);
        }
        let now = self.now;
        if let Some(patient) = self.patients.get_mut(target)
            && !matches!(
                patient.phase,
                Phase::Recovering { .. } | Phase::GivenUp { .. } | Phase::Down { .. }
            )
        {
            let says = crate::Sentence::new("why.cannot_look").with("reason", reason);
            patient.enter(Phase::Unknown, Reason::says("1.2", says), now);
        }
    }

    fn saw_ollama(&mut self, target: &TargetId, mut seen: OllamaSeen, looking: Looking) {
        let now = self.now;
        let Some(patient) = self.patients.get_mut(target) else { return };
        let verdict = verdict::ollama(&seen);
        if let Some(installed) = seen.installed.take() {
            patient.facts.models = installed;
        }
        if let Some(loaded) = seen.loaded.take() {
            patient.facts.loaded = remember_loaded(&patient.facts.loaded, loaded, now);
        }
        if let Some(surroundings) = seen.surroundings.take() {
            patient.facts.surroundings = Some(surroundings);
        }
        if matches!(verdict, Verdict::Hard) {
            patient.facts.loaded.clear();
        }
        let listener = seen.listener.clone();
        patient.facts.ollama = Some(seen);
        self.met(target, &listener, verdict);
        self.judged(target, verdict, looking);
    }

    fn saw_mlx(&mut self, target: &TargetId, mut seen: MlxSeen, looking: Looking) {
        let Some(patient) = self.patients.get_mut(target) else { return };
        let verdict = verdict::mlx(&seen);
        if let Some(surroundings) = seen.surroundings.take() {
            patient.facts.surroundings = Some(surroundings);
        }
        let listener = seen.listener.clone();
        patient.facts.mlx = Some(seen);
        // 404 everywhere, but it is the configured program itself: alive at other paths (R8).
        let own = match &listener {
            Listener::Process(process) => diagnosis::is_own_server(patient, process),
            Listener::Nobody | Listener::Hidden | Listener::NotAsked => false,
        };
        let verdict =
            if verdict == Verdict::WrongOwner && own { Verdict::Misplaced } else { verdict };
        self.met(target, &listener, verdict);
        self.judged(target, verdict, looking);
    }

    /// Who answered: learn to know it, and notice when it is a new incarnation (R4, R59).
    fn met(&mut self, target: &TargetId, listener: &Listener, verdict: Verdict) {
        let now = self.now;
        let Listener::Process(process) = listener else {
            // Seen to be gone: whoever comes next was started by somebody.
            if matches!((listener, verdict), (Listener::Nobody, Verdict::Hard))
                && let Some(patient) = self.patients.get_mut(target)
            {
                patient.incarnation.get_or_insert_default();
            }
            return;
        };
        let own_operation = self.running_on(target).is_some();
        let Some(patient) = self.patients.get_mut(target) else { return };
        if matches!(verdict, Verdict::Good { .. }) {
            patient.trust(&process.id);
            patient.started = None;
        }
        let this = incarnation(process);
        let before = patient.incarnation.replace(this.clone());
        let is_new = before.is_some_and(|before| before != this);
        if !is_new || own_operation || !diagnosis::is_own_server(patient, process) {
            return;
        }
        // R37: somebody started it, which ends a hold.
        if matches!(patient.account.intent, Intent::Held) {
            patient.account.intent = Intent::Wanted;
        }
        // R59: it died and was started again between two looks, by somebody else.
        if patient.phase.is_usable() {
            self.restarted(target, crate::incident::RestartedBy::Other);
        }
        let Some(patient) = self.patients.get_mut(target) else { return };
        if !matches!(verdict, Verdict::Good { .. })
            && !matches!(patient.phase, Phase::Recovering { .. } | Phase::GivenUp { .. })
        {
            let until = now.awake + patient.spec.grace;
            let reason = Reason::new("R12", "why.started_by_others").until(until);
            patient.forget_counts();
            patient.enter(Phase::Starting { until }, reason, now);
        }
    }

    /// One verdict about a target that is asked over the network, and what follows from it.
    fn judged(&mut self, target: &TargetId, verdict: Verdict, looking: Looking) {
        if self.verify(target, verdict, looking.depth) {
            return;
        }
        if self.is_waking() && !matches!(verdict, Verdict::Good { .. }) {
            return;
        }
        let (now, doubt) = (self.now, self.doubt());
        let Some(patient) = self.patients.get_mut(target) else { return };
        if patient.inhibited_by.is_some() {
            return;
        }
        if patient.account.intent == Intent::Held && !matches!(verdict, Verdict::Good { .. }) {
            patient.forget_counts();
            patient.enter(Phase::Unknown, Reason::new("R34", "why.held"), now);
            return;
        }
        let changed = patient.last_verdict.replace(verdict.kind()) != Some(verdict.kind());
        if changed && looking.depth == Depth::Shallow && patient.is_given_up_for_good() {
            // Another answer than the one that was given up on: who answers now? (R27)
            patient.due = now.awake;
            patient.depth = Depth::Full;
        }
        match patient.weigh(verdict, looking.confirms, now, &self.policy, doubt) {
            Turn::Steady => {}
            // What ails it was named before: a full look only brings the cause up to date.
            Turn::Confirm if verdict != Verdict::Hard && patient.phase.cause().is_some() => {
                if looking.depth == Depth::Full {
                    self.ailing(target);
                }
            }
            Turn::Confirm => self.look(target, true),
            Turn::ConfirmedDown => self.down(target),
            Turn::Ailing => self.ailing(target),
            Turn::BecameHealthy => self.became_healthy(target),
        }
        if looking.depth == Depth::Full {
            self.reconsider_given_up(target, verdict);
        }
        self.renew_cause(target, verdict);
        self.inhibit_children(target);
    }

    /// A service that fails in another way than before has another cause: its last answer alone
    /// tells it.
    fn renew_cause(&mut self, target: &TargetId, verdict: Verdict) {
        if matches!(verdict, Verdict::Good { .. } | Verdict::Nothing) {
            return;
        }
        let (now, policy) = (self.now, self.policy.clone());
        let Some(patient) = self.patients.get_mut(target) else { return };
        if !matches!(patient.spec.care, Care::Service { .. }) {
            return;
        }
        let cause = diagnosis::diagnose(patient, now, &policy);
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
        let Phase::GivenUp { cause, .. } = &patient.phase else { return };
        if diagnosis::diagnose(patient, self.now, &self.policy).id != cause.id {
            self.forgive(target);
            self.look_soon(target, Depth::Full);
        }
    }

    pub(crate) fn became_healthy(&mut self, target: &TargetId) {
        if let Some(patient) = self.patients.get_mut(target) {
            patient.account.given_up = None;
            patient.account.act = None;
            patient.observed_only = false;
            patient.urged = false;
        }
        self.close_incident(target, IncidentState::HealedItself, Some("story.healed_itself"));
        if *target == TargetId::Docker {
            self.look_soon(target, Depth::Full);
        }
        self.inhibit_children(target);
        if *target == TargetId::Docker {
            self.engine_was_well = true;
        }
    }

    fn saw_docker(&mut self, target: &TargetId, seen: DockerSeen, looking: Looking) {
        let verdict = verdict::docker(&seen.ping);
        let (containers, unread) = (seen.containers.clone(), seen.unread.clone());
        if let Some(patient) = self.patients.get_mut(target) {
            let engine = seen.engine.clone();
            let before = patient.facts.docker.replace(DockerSeen { containers: None, ..seen });
            // A ping brings no engine: keep what the last snapshot told.
            if let (Some(now), Some(before)) = (&mut patient.facts.docker, before)
                && engine.is_none()
            {
                now.engine = before.engine;
            }
        }
        self.judged(target, verdict, looking);
        let usable = self.patients.get(target).is_some_and(|patient| patient.phase.is_usable());
        if matches!(verdict, Verdict::Hard) {
            self.engine_went_away();
        }
        if let (true, Some(containers)) = (usable, containers) {
            self.saw_snapshot(containers, &unread);
            let next = self.now.awake + self.policy.snapshot;
            self.snapshot_due(next);
        }
    }

    fn saw_host(&mut self, target: &TargetId, mut seen: HostSeen) {
        let (now, policy) = (self.now, self.policy.clone());
        let Some(patient) = self.patients.get_mut(target) else { return };
        patient.account.seen_alive = true;
        patient.last_good = Some(now);
        if seen.ledger.is_none() {
            seen.ledger = patient.facts.host.as_mut().and_then(|before| before.ledger.take());
        }
        let before = patient.facts.pressure.verdict;
        patient.facts.pressure.take(&seen, now.awake, &policy);
        patient.facts.host = Some(seen);
        let strain = patient.facts.pressure.verdict;
        if strain == Strain::None {
            let since = patient.facts.pressure.strained_since();
            patient.first_bad = since.map(|awake| Now { awake, ..now });
            if !matches!(patient.phase, Phase::Healthy) {
                patient.enter(Phase::Healthy, Reason::new("1.2", "why.healthy"), now);
                self.became_healthy(target);
            }
            return;
        }
        if before == Strain::None {
            // Who holds the memory is worth the cost of a full look now.
            patient.depth = Depth::Full;
            patient.due = now.awake;
        }
        self.ailing(target);
    }
}

/// For a target that only events bring back to the doctor's mind.
pub(crate) const NEVER: Awake = Awake(u64::MAX);

/// Pid and start time.
pub(crate) fn incarnation(process: &ProcessSeen) -> String {
    format!("{}@{}", process.id.pid, process.id.started)
}

/// A request moves a model's end; a model whose end has not moved is quiet (R61).
fn remember_loaded(
    before: &[LoadedFact],
    loaded: Vec<crate::observation::LoadedSeen>,
    now: Now,
) -> Vec<LoadedFact> {
    loaded
        .into_iter()
        .map(|seen| {
            let left = seen.expires_in_s.and_then(|left| i64::try_from(left).ok());
            let ends_s = left.map(|left| now.wall.0 / 1000 + left);
            let known = before.iter().find(|fact| fact.seen.name == seen.name);
            let moved = |fact: &LoadedFact| match (fact.ends_s, ends_s) {
                (Some(a), Some(b)) => (a - b).abs() > 2,
                (None, None) => false,
                (Some(_), None) | (None, Some(_)) => true,
            };
            let quiet_since =
                known.filter(|fact| !moved(fact)).map_or(now.awake, |fact| fact.quiet_since);
            LoadedFact { seen, ends_s, quiet_since }
        })
        .collect()
}
