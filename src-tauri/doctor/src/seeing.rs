//! Seeing: what each kind of answer adds to the facts.

use std::time::Duration;

use crate::clock::Now;
use crate::diagnosis::{self, Case};
use crate::doctor::Doctor;
use crate::holding::hold_is_of_what_is_gone;
use crate::host::Strain;
use crate::incident::StoryKind;
use crate::ledger::{HeldBy, Intent};
use crate::lever::lever;
use crate::observation::{
    DeepSeen, DockerSeen, EndedSeen, EndedWhy, HostSeen, Listener, MlxSeen, OllamaSeen,
    ProcessSeen, Reply, ServiceSeen, Signs,
};
use crate::order::Depth;
use crate::patient::{LoadedFact, Looking, Patient};
use crate::phase::{Phase, Reason};
use crate::target::{Care, TargetId};
use crate::verdict::{self, Verdict};

/// More processes that were ended at once than this are not told one by one.
const ENDED_TOLD: usize = 4;

impl Doctor {
    pub(crate) fn unasked(&mut self, target: &TargetId, reason: &str) {
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
        self.inhibit_children(target);
    }

    pub(crate) fn saw_ollama(&mut self, target: &TargetId, mut seen: OllamaSeen, looking: Looking) {
        let now = self.now;
        let Some(patient) = self.patients.get_mut(target) else { return };
        let verdict = verdict::ollama(&seen);
        let insight = &mut patient.facts.insight;
        if seen.ps_fails.is_some() {
            insight.ps_fails += 1;
        } else if seen.loaded.is_some() {
            insight.ps_fails = 0;
        }
        if let Some(installed) = seen.installed.take() {
            patient.facts.models = installed;
        }
        if let Some(loaded) = seen.loaded.take() {
            if loaded.is_empty() {
                patient.facts.insight.forget_deep();
            }
            patient.facts.loaded = remember_loaded(&patient.facts.loaded, loaded, now);
        }
        if let Some(surroundings) = seen.surroundings.take() {
            patient.facts.surroundings = Some(surroundings);
        }
        if matches!(verdict, Verdict::Hard) {
            let loaded = std::mem::take(&mut patient.facts.loaded);
            if !loaded.is_empty() {
                patient.facts.loaded_last = loaded;
            }
        }
        let signs = std::mem::take(&mut seen.signs);
        let (listener, deep) = (seen.listener.clone(), signs.deep.clone());
        patient.facts.ollama = Some(Box::new(seen));
        self.met(target, &listener, verdict);
        self.learn(target, signs, looking.depth);
        let verdict = self.tempered(target, verdict, deep.as_ref());
        self.judged(target, verdict, looking);
    }

    /// Adds what is known beyond the answers, and sets when the next request for a token is due.
    fn learn(&mut self, target: &TargetId, signs: Signs, depth: Depth) {
        let (now, policy) = (self.now.awake, &self.policy);
        let worked =
            signs.activity.map(|one| one.server_percent.saturating_add(one.runners_percent));
        let Some(patient) = self.patients.get_mut(target) else { return };
        let asked = signs.deep.is_some();
        let facts = &mut patient.facts;
        if depth >= Depth::Full {
            // A full look finds all of them: who is not found any more has gone.
            facts.insight.supervisors.clear();
        }
        facts.insight.take(signs, &facts.loaded, now, policy);
        if asked {
            let again =
                if facts.insight.deep_failed() { policy.deep_retry } else { policy.deep_every };
            patient.deep_due = now + again;
        }
        if let Some(percent) = worked {
            self.note_work(target, percent);
        }
    }

    /// What an answer is worth beside the last request for a token: it can be well at the surface
    /// and dead below, and an error counts in full only together with a failed request (R8).
    fn tempered(&self, target: &TargetId, verdict: Verdict, deep: Option<&DeepSeen>) -> Verdict {
        let Some(patient) = self.patients.get(target) else { return verdict };
        let insight = &patient.facts.insight;
        match verdict {
            Verdict::Good { .. } if insight.deep_failed() => {
                if deep.is_some() {
                    Verdict::Wedged
                } else {
                    Verdict::Suspect
                }
            }
            Verdict::Good { .. } if self.impairment(target).is_some() => Verdict::Impaired,
            Verdict::Soft if insight.deep_failed() => Verdict::Hard,
            Verdict::Good { .. }
            | Verdict::Impaired
            | Verdict::Suspect
            | Verdict::Wedged
            | Verdict::Hard
            | Verdict::Soft
            | Verdict::Busy
            | Verdict::Misplaced
            | Verdict::WrongOwner
            | Verdict::Nothing => verdict,
        }
    }

    pub(crate) fn saw_mlx(&mut self, target: &TargetId, mut seen: MlxSeen, looking: Looking) {
        let now = self.now;
        let Some(patient) = self.patients.get_mut(target) else { return };
        let verdict = verdict::mlx(&seen);
        if let Some(surroundings) = seen.surroundings.take() {
            patient.facts.surroundings = Some(surroundings);
        }
        let signs = std::mem::take(&mut seen.signs);
        let (listener, deep) = (seen.listener.clone(), signs.deep.clone());
        match seen.loaded.take() {
            Some(loaded) => {
                patient.facts.loaded = remember_loaded(&patient.facts.loaded, loaded, now);
            }
            // It does not tell, or has gone: what it held is not known any more.
            None if looking.depth >= Depth::Full || matches!(verdict, Verdict::Hard) => {
                patient.facts.loaded.clear();
            }
            None => {}
        }
        // Shallow looks do not ask for models: what was told stays known.
        if let Some(before) = patient.facts.mlx.take() {
            seen.models = seen.models.or(before.models);
            seen.settings = seen.settings.or(before.settings);
        }
        patient.facts.mlx = Some(Box::new(seen));
        // 404 everywhere, but it is the configured program itself: alive at other paths (R8).
        let own = match &listener {
            Listener::Process(process) => diagnosis::is_own_server(patient, process),
            Listener::Nobody | Listener::Hidden | Listener::NotAsked => false,
        };
        let verdict =
            if verdict == Verdict::WrongOwner && own { Verdict::Misplaced } else { verdict };
        self.met(target, &listener, verdict);
        self.learn(target, signs, looking.depth);
        let verdict = self.tempered(target, verdict, deep.as_ref());
        self.judged(target, verdict, looking);
    }

    pub(crate) fn saw_service(&mut self, target: &TargetId, seen: ServiceSeen, looking: Looking) {
        let enough = self.policy.enough_work(self.is_overloaded());
        let Some(patient) = self.patients.get_mut(target) else { return };
        let Care::Service { expect, .. } = &patient.spec.care else { return };
        let verdict = verdict::service(&seen, expect, enough);
        let account = &mut patient.account;
        if matches!(verdict, Verdict::Good { .. }) {
            account.alive_at = Some(seen.address.clone());
        } else if let Some(known) = &account.alive_at {
            account.seen_alive = *known == seen.address;
        }
        patient.facts.service = Some(seen);
        let busy = verdict == Verdict::Busy;
        let note = self.patients.get(target).filter(|_| busy).map(|patient| self.diagnose(patient));
        if let Some(patient) = self.patients.get_mut(target) {
            patient.note = note;
        }
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
        self.note_started(target, process);
        let own_operation = self.running_on(target).is_some();
        let Some(patient) = self.patients.get_mut(target) else { return };
        if matches!(verdict, Verdict::Good { .. }) {
            patient.trust(&process.id);
            patient.started = None;
        }
        let this = incarnation(process);
        let before = patient.incarnation.replace(this.clone());
        // R37: before the app was started anew it was held as one that does not run, and it does.
        let first_sight = before.is_none() && !patient.met;
        if first_sight
            && hold_is_of_what_is_gone(&patient.account)
            && matches!(verdict, Verdict::Good { .. })
            && diagnosis::is_own_server(patient, process)
        {
            patient.account.want();
        }
        let is_new = before.is_some_and(|before| before != this);
        if is_new {
            patient.facts.insight.forget_incarnation();
            patient.facts.ended = None;
        }
        if !is_new || own_operation || !diagnosis::is_own_server(patient, process) {
            return;
        }
        // R37: somebody started it, which ends a hold. What is held while it runs, and is replaced
        // between two looks or has a supervisor at all, may have been started again by that.
        let asked = patient.account.hold.as_ref().is_some_and(|hold| hold.by == HeldBy::Hold);
        let by_person = !patient.phase.is_usable() && !is_supervised(patient);
        if patient.account.intent == Intent::Held && (!asked || by_person) {
            patient.account.want();
        }
        // R59: it died and was started again between two looks, by somebody else.
        if patient.phase.is_usable() {
            self.restarted(target, crate::incident::RestartedBy::Other);
            self.crashed_between(target, process);
        }
        // R27: what no supervisor starts again was started by a person.
        let given_up = self.patients.get(target).filter(|patient| {
            matches!(patient.phase, Phase::GivenUp { .. }) && !is_supervised(patient)
        });
        if given_up.is_some() {
            self.forgive(target);
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

    pub(crate) fn saw_docker(&mut self, target: &TargetId, mut seen: DockerSeen, looking: Looking) {
        let mut verdict = verdict::docker(&seen.ping);
        let waited = Duration::from_millis(seen.ping.took_ms);
        let saved = waited >= self.policy.resource_saver && matches!(verdict, Verdict::Good { .. });
        if saved {
            // Waking from its Resource Saver takes 3 to 10 s: that is no slowness (R10).
            verdict = Verdict::Good { took_ms: 0 };
        }
        let gone = seen.ping.reply == Reply::Refused;
        let reply = seen.ping.reply.clone();
        let proves = looking.depth >= Depth::Full && self.docker_is_being_restarted();
        if proves && seen.containers.is_none() && matches!(verdict, Verdict::Good { .. }) {
            // It is well again when it tells of its containers, not when it only answers.
            verdict = Verdict::Soft;
        }
        let (containers, unread) = (seen.containers.take(), seen.unread.clone());
        let memory = self.docker_memory_note();
        if let Some(patient) = self.patients.get_mut(target) {
            let asleep = saved.then(|| diagnosis::resource_saver(&seen.ping));
            patient.note = asleep.or(memory);
            let engine = seen.engine.clone();
            let before = patient.facts.docker.replace(DockerSeen { containers: None, ..seen });
            // A ping brings no engine: keep what the last snapshot told.
            if let (Some(now), Some(before)) = (&mut patient.facts.docker, before) {
                if engine.is_none() {
                    now.engine = before.engine;
                }
                if now.keeper.is_none() {
                    now.keeper = before.keeper;
                }
            }
        }
        // Before it is judged: when it is well again, what it brings back is looked at anew.
        self.engine_gone |= gone;
        self.note_engine_start(target, &reply);
        self.judged(target, verdict, looking);
        self.tell_engine_start(target);
        let down = self.patients.get(target).map(|patient| &patient.phase);
        self.engine_gone |= matches!(down, Some(Phase::Down { .. } | Phase::GivenUp { .. }));
        let usable = self.patients.get(target).is_some_and(|patient| patient.phase.is_usable());
        if matches!(verdict, Verdict::Hard) {
            self.engine_lost = true;
            self.engine_may_have_gone();
        }
        if let (true, Some(containers)) = (usable, containers) {
            self.saw_snapshot(containers, &unread);
            let next = self.now.awake + self.policy.snapshot;
            self.snapshot_due(next);
        }
    }

    pub(crate) fn saw_host(&mut self, target: &TargetId, mut seen: HostSeen) {
        let (now, policy) = (self.now, &self.policy);
        let Some(patient) = self.patients.get_mut(target) else { return };
        patient.account.seen_alive = true;
        patient.last_good = Some(now);
        let fresh = seen.ledger.clone();
        if seen.ledger.is_none() {
            seen.ledger = patient.facts.host.as_mut().and_then(|before| before.ledger.take());
        }
        let ended = std::mem::take(&mut seen.ended);
        let before = patient.facts.pressure.verdict;
        let disk_before = patient.facts.disk.verdict;
        patient.facts.pressure.take(&seen, now.awake, policy);
        patient.facts.disk.take(&seen.volumes, policy);
        patient.facts.host = Some(seen);
        let (strain, disk) = (patient.facts.pressure.verdict, patient.facts.disk.verdict);
        let disk_freed = disk_before == Strain::Critical && disk < Strain::Critical;
        if disk_freed || strain < before {
            let calm = disk < Strain::Critical && strain == Strain::None;
            self.host_has_room_again(calm);
        }
        if let Some(groups) = fresh {
            self.note_memory(&groups);
        }
        for one in ended.into_iter().take(ENDED_TOLD) {
            self.process_was_ended(target, &one);
        }
        let Some(patient) = self.patients.get_mut(target) else { return };
        if strain == Strain::None && disk == Strain::None {
            let since = patient.facts.pressure.strained_since();
            patient.first_bad = since.map(|awake| Now { awake, ..now });
            if !matches!(patient.phase, Phase::Healthy) {
                patient.enter(Phase::Healthy, Reason::new("1.2", "why.healthy"), now);
                self.became_healthy(target);
            }
            return;
        }
        if before == Strain::None && strain > Strain::None {
            // Who holds the memory is worth the cost of a full look now.
            patient.depth = Depth::Full;
            patient.due = now.awake;
        }
        self.ailing(target);
        if strain > Strain::None {
            self.shed_idle_models();
        }
    }

    /// A13: what the system ended for want of memory is told, though nothing of the host fails. What
    /// crashed, or passed its own limit, says nothing of the host and is written down. Where it is
    /// a server that is watched, it explains why that one is gone.
    fn process_was_ended(&mut self, host: &TargetId, ended: &EndedSeen) {
        let now = self.now.awake;
        let prefix = format!("{}@", ended.pid);
        for server in [TargetId::Ollama, TargetId::Mlx] {
            if let Some(patient) = self.patients.get_mut(&server)
                && patient.incarnation.as_ref().is_some_and(|this| this.starts_with(&prefix))
            {
                patient.facts.ended = Some((now, ended.clone()));
                let is_told = patient.incident.as_ref().is_some_and(|one| one.closed.is_none());
                if is_told {
                    // It was concluded without it: the look at the host came after.
                    for line in diagnosis::ended_lines(ended) {
                        self.tell_story(&server, StoryKind::Seen, line);
                    }
                }
            }
        }
        let cause = diagnosis::process_killed(ended);
        match ended.why {
            EndedWhy::OutOfMemory => self.remark(host, cause),
            EndedWhy::OverLimit | EndedWhy::Crashed { .. } => self.note_down(host, cause),
        }
    }

    /// R59: it died and was brought back between two looks. No probe ever failed; it is written
    /// down, and told only when it happens too often (R57).
    fn crashed_between(&mut self, target: &TargetId, process: &ProcessSeen) {
        let Some(patient) = self.patients.get(target) else { return };
        let case = Case::of(patient, self.now, &self.policy);
        let crash = diagnosis::crashed(&case, process);
        self.note_down(target, crash);
    }
}

/// Something else than a person may start it at any time.
fn is_supervised(patient: &Patient) -> bool {
    !patient.facts.insight.supervisors.is_empty()
        || matches!(lever(patient), Some(Ok(lever)) if lever.has_owner())
}

/// Pid and start time.
pub(crate) fn incarnation(process: &ProcessSeen) -> String {
    process.id.incarnation()
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
            let since = known.map_or(now.awake, |fact| fact.since);
            LoadedFact { seen, ends_s, quiet_since, since }
        })
        .collect()
}
