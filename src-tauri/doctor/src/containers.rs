//! Containers: what a reading or a snapshot changes (RECOVERY 1.9, 1.14).

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::cause::CauseId;
use crate::clock::Awake;
use crate::container::{self, Died, OOM_END_MS};
use crate::deciding::{is_loop, is_of_memory};
use crate::diagnosis;
use crate::doctor::Doctor;
use crate::holding::{held, hold_is_of_what_is_gone};
use crate::incident::{IncidentState, RestartedBy, StoryKind, Verb};
use crate::ledger::{HeldBy, Intent};
use crate::light;
use crate::looking::NEVER;
use crate::observation::{ContainerHealth, ContainerSeen, ContainerStatus, RestartPolicy};
use crate::order::Depth;
use crate::patient::Patient;
use crate::phase::{Phase, Reason};
use crate::rearming::{has_more, was_started_by_others};
use crate::sentence::Sentence;
use crate::storm::{self, TurnedBad};
use crate::target::{Care, Heal, Spec, TargetId};
use crate::verdict::Verdict;

/// More targets than this are not watched: a flood of short-lived containers ends here.
pub(crate) const PATIENTS: usize = 2_000;
/// Ends for want of memory that are remembered within the hour.
const OOMS_KEPT: usize = 16;

/// A container that nobody named: watched for OOM and crash loops, never started by us.
pub(crate) fn uncritical(name: &str) -> Spec {
    Spec {
        id: TargetId::Container(name.into()),
        name: name.into(),
        configured: false,
        heal: Heal::Auto,
        interval: Duration::from_mins(1),
        grace: Duration::from_secs(50),
        needs: Vec::new(),
        care: Care::Container {
            critical: false,
            compose: None,
            light: BTreeMap::new(),
            after: Vec::new(),
        },
    }
}

/// R35: it has done what it was started for. A job that failed, or what ended with many others, is
/// not started by anybody either.
pub(crate) fn completed(seen: Option<&ContainerSeen>) -> Reason {
    match seen.filter(|seen| !is_orderly(seen)) {
        Some(seen) => {
            let says = Sentence::new("why.job_failed").with("code", seen.exit_code);
            Reason::says("R35", says)
        }
        None => Reason::new("R35", "why.completed"),
    }
}

/// 1.14: 0, or 143 after a TERM that it obeyed.
fn is_orderly(seen: &ContainerSeen) -> bool {
    matches!(seen.exit_code, 0 | 143)
}

impl Doctor {
    /// The whole truth about all containers, every minute (R63), save those that could not be read.
    pub(crate) fn saw_snapshot(&mut self, containers: Vec<ContainerSeen>, unread: &[String]) {
        let known: Vec<TargetId> = self
            .patients
            .keys()
            .filter(|id| matches!(id, TargetId::Container(_)))
            .cloned()
            .collect();
        let there: BTreeSet<String> =
            containers.iter().map(|seen| &seen.name).chain(unread).cloned().collect();
        for id in known {
            let TargetId::Container(name) = &id else { continue };
            if !there.contains(name) {
                self.saw_container(&id, None);
            }
        }
        for seen in containers {
            if self.patients.len() >= PATIENTS {
                break;
            }
            let id = TargetId::Container(seen.name.clone());
            if self.patients.contains_key(&id) || container::is_up(seen.status) {
                self.admit(&seen.name);
                self.saw_container(&id, Some(seen));
            }
        }
    }

    pub(crate) fn admit(&mut self, name: &str) {
        let id = TargetId::Container(name.into());
        if !self.patients.contains_key(&id) {
            let account = self.absent.remove(&id).unwrap_or_default();
            let patient = Patient::new(uncritical(name), account, self.now);
            self.patients.insert(id, patient);
        }
    }

    pub(crate) fn saw_container(&mut self, id: &TargetId, seen: Option<ContainerSeen>) {
        self.inhibit(id);
        let Some(seen) = seen else {
            self.container_is_gone(id);
            return;
        };
        let Some(patient) = self.patients.get(id) else { return };
        if patient.inhibited_by.is_some() {
            return;
        }
        // Two readings may overtake each other: the newer incarnation is the true one.
        let known = patient.facts.container.as_ref();
        if known.is_some_and(|known| known.id == seen.id && known.started_ms > seen.started_ms) {
            return;
        }
        // What took long to read may be older than the end that the stream has told of since: it is
        // no start, and ends no hold (R2, R37).
        let slowest = self.policy.look_deadline;
        let ended = patient.facts.container_news.die.map(|died| died.told);
        let ended = ended.filter(|told| self.now.awake.since(told.at) <= slowest);
        let ended = ended.map(|told| told.engine_ms);
        if seen.status == ContainerStatus::Running && seen.started_ms < ended {
            if let Some(patient) = self.patients.get_mut(id) {
                patient.due = patient.due.min(self.now.awake + self.policy.retry);
            }
            return;
        }
        let before = self.patients.get(id).and_then(|patient| patient.facts.container.clone());
        self.met_container(id, &seen);
        self.keep_last_words(id);
        self.conclude_end(id);
        if let Some(before) = before.filter(|before| has_more(before, &seen))
            && self.limit_was_raised(id, &before)
        {
            // What follows from that is decided from a reading of its own (R2).
            self.look_soon(id, Depth::Full);
            return;
        }
        let up = container::is_up(seen.status);
        let running = seen.status == ContainerStatus::Running;
        let verdict = match seen.health {
            Some(ContainerHealth::Starting) if running => Verdict::Busy,
            Some(ContainerHealth::Unhealthy) => Verdict::Hard,
            Some(ContainerHealth::Starting | ContainerHealth::Healthy) | None if !up => {
                Verdict::Hard
            }
            Some(ContainerHealth::Starting | ContainerHealth::Healthy) | None => {
                Verdict::Good { took_ms: 0 }
            }
        };
        let well = running && matches!(verdict, Verdict::Good { .. });
        if self.verify(id, verdict, Depth::Full) || self.is_our_doing(id) {
            return;
        }
        if self.is_waking() && !well {
            return;
        }
        match seen.status {
            ContainerStatus::Running if well => self.container_runs(id),
            ContainerStatus::Running => self.container_is_unwell(id, &seen),
            ContainerStatus::Restarting => self.container_is_unwell(id, &seen),
            ContainerStatus::Paused => self.hold(id, HeldBy::Paused, None),
            ContainerStatus::Created
            | ContainerStatus::Removing
            | ContainerStatus::Exited
            | ContainerStatus::Dead => self.container_is_stopped(id, &seen),
        }
        self.await_verdict(id);
        self.inhibit_children(id);
    }

    /// What the stream told of memory is concluded when its time has come, whatever was seen since.
    fn await_verdict(&mut self, id: &TargetId) {
        let verdict = self.policy.verdict;
        if let Some(patient) = self.patients.get_mut(id)
            && let Some(oom) = patient.facts.container_news.oom
            && patient.facts.container_news.told != Some(oom)
        {
            patient.due = patient.due.min(oom.at + verdict);
        }
    }

    /// A new id or start time is a new incarnation; who started it, and does it end a hold?
    fn met_container(&mut self, id: &TargetId, seen: &ContainerSeen) {
        let own = self.is_our_doing(id);
        let Some(patient) = self.patients.get_mut(id) else { return };
        // A person may have stopped it meanwhile; that Compose went on is not their doing.
        let first = patient.facts.container.as_ref().is_some_and(|known| known.id != seen.id);
        let own = own || first && patient.facts.container_news.was_made(&seen.id);
        let this = container::incarnation(seen);
        let before = patient.incarnation.replace(this.clone());
        // One that was only created has its first start before it: that is no restart.
        let known = patient.facts.container.as_ref();
        let ran = known.is_some_and(|seen| seen.started_ms.is_some());
        if before.as_ref() != Some(&this) {
            patient.up = false;
        }
        // R37: what Docker's own policy starts again stays held; no person started it. Nor is that
        // known of one that a person holds, when it was never seen to be stopped or the engine has
        // only just come back: the engine may have started it.
        let asked = patient.account.hold.as_ref().is_some_and(|hold| hold.by == HeldBy::Hold);
        let settling = patient.settles.is_some_and(|until| self.now.awake < until);
        let by_policy = known.is_some_and(|one| {
            one.id == seen.id
                && (one.restart_count < seen.restart_count
                    || asked && (settling || container::is_up(one.status)))
        });
        let replaced = known.filter(|one| one.id != seen.id).map(|one| one.memory_limit);
        let started = !own && was_started_by_others(known, seen);
        let known_paused = known.is_some_and(|one| one.status == ContainerStatus::Paused);
        // It is gone with its processes, and says what they had needed.
        let peak = known.filter(|one| one.id == seen.id && one.started_ms == seen.started_ms);
        let peak_bytes = seen.peak_bytes.or_else(|| peak?.peak_bytes);
        patient.facts.container = Some(ContainerSeen { peak_bytes, ..seen.clone() });
        patient.facts.removed = None;
        if let (Some(limit), false) = (replaced, own) {
            self.container_was_replaced(id, limit);
        } else if started && matches!(patient.phase, Phase::GivenUp { .. }) {
            self.forgive(id);
        }
        if !container::is_up(seen.status) {
            return;
        }
        let Some(patient) = self.patients.get_mut(id) else { return };
        patient.account.seen_alive = true;
        // R37: it was held as one that does not run, before the app was started anew or by a pause
        // whose end nobody told, and it runs: somebody started it.
        let unpaused = seen.status == ContainerStatus::Running
            && patient.account.hold.as_ref().is_some_and(|hold| hold.by == HeldBy::Paused)
            && known_paused;
        let first_sight = !patient.met && hold_is_of_what_is_gone(&patient.account);
        if patient.account.intent == Intent::Held && (unpaused || first_sight) {
            patient.account.want();
        }
        if before.is_some_and(|before| before != this) && !own {
            if !by_policy {
                patient.account.want();
            }
            if ran {
                self.restarted(id, RestartedBy::Other);
            }
        }
    }

    fn container_is_gone(&mut self, id: &TargetId) {
        let now = self.now;
        let Some(patient) = self.patients.get_mut(id) else { return };
        if patient.facts.container.as_ref().is_some_and(|seen| !seen.skip) {
            patient.facts.removed = light::compose(patient).map(Box::new);
        }
        patient.facts.container = None;
        if self.is_our_doing(id) {
            return;
        }
        self.close_incident(id, IncidentState::Closed, Some("story.container_gone"));
        let Some(patient) = self.patients.get_mut(id) else { return };
        // R27: what comes under this name is another container.
        patient.account.given_up = None;
        patient.account.renew_attempts();
        patient.met = true;
        if patient.spec.configured {
            patient.enter(Phase::Unknown, Reason::new("R35", "why.no_such_container"), now);
        } else if matches!(patient.spec.care, Care::Container { critical: true, .. }) {
            // Critical by default "where it exists": it does not.
            patient.enter(Phase::Unknown, Reason::new("1.2", "why.not_found"), now);
        } else {
            self.dismiss(id);
        }
    }

    fn container_runs(&mut self, id: &TargetId) {
        let (now, policy) = (self.now, &self.policy);
        let Some(patient) = self.patients.get_mut(id) else { return };
        patient.met = true;
        patient.up = true;
        patient.account.doubtful = false;
        let loops = patient.account.exits.is_crash_loop(now.continuous, policy);
        if loops || self.impairment(id).is_some() {
            // It runs for the moment, as it did before each end; or it runs and nothing comes of it.
            self.ailing(id);
            return;
        }
        let Some(patient) = self.patients.get_mut(id) else { return };
        patient.first_bad = None;
        patient.settles = None;
        patient.urged = false;
        patient.last_good = Some(now);
        patient.due = NEVER;
        if !matches!(patient.phase, Phase::Healthy) {
            // Without a health check it is healthy at its first running reading (R63).
            patient.enter(Phase::Healthy, Reason::new("R63", "why.runs"), now);
            self.became_healthy(id);
            self.light_is_seen(id);
            self.say_light(id);
        }
    }

    fn container_is_unwell(&mut self, id: &TargetId, seen: &ContainerSeen) {
        let now = self.now;
        if seen.health == Some(ContainerHealth::Starting) && !self.hangs_at_start(id) {
            let Some(patient) = self.patients.get_mut(id) else { return };
            if !matches!(patient.phase, Phase::Starting { .. }) {
                // Its own start period counts where it is longer (R12).
                let own = Duration::from_secs(seen.start_period_s).min(self.policy.grace_ceiling);
                let until = now.awake + patient.spec.grace.max(own);
                let reason = Reason::new("R12", "why.in_grace").until(until);
                patient.enter(Phase::Starting { until }, reason, now);
            }
            patient.due = now.awake + self.policy.retry;
            return;
        }
        let Some(patient) = self.patients.get_mut(id) else { return };
        patient.due = now.awake + self.policy.retry;
        if seen.health == Some(ContainerHealth::Unhealthy) && patient.phase.is_usable() {
            self.turned_bad(id, TurnedBad::Unhealthy);
        }
        let Some(patient) = self.patients.get_mut(id) else { return };
        if let Some(until) = patient.settles
            && now.awake < until
        {
            // R14, R17: what it needs has only just come back.
            if !matches!(patient.phase, Phase::Starting { .. }) {
                let reason = Reason::new("R17", "why.parent_back").until(until);
                patient.enter(Phase::Starting { until }, reason, now);
            }
            patient.due = until;
            return;
        }
        let critical = matches!(patient.spec.care, Care::Container { critical: true, .. });
        // What was unhealthy all through its grace has been so since that began.
        let graced = patient.settles.is_some() && matches!(patient.phase, Phase::Starting { .. });
        let began = if graced { patient.since } else { now };
        let since = patient.first_bad.get_or_insert(began).awake;
        let lasts = now.awake.since(since) >= self.policy.unhealthy;
        let running = seen.status == ContainerStatus::Running;
        let Some(patient) = self.patients.get(id) else { return };
        // R29: Docker never restarts what runs and is unhealthy; that is for us, when it has lasted.
        let curable = matches!(
            self.diagnose(patient).id,
            CauseId::ContainerUnhealthy | CauseId::ContainerStartupHang
        );
        let leaves = patient.urged || !self.works_inside(id);
        if critical && running && lasts && curable && leaves {
            self.down(id);
        } else {
            self.ailing(id);
        }
    }

    /// Past its grace, its health undecided and its log silent: it will not come up (V, 4).
    fn hangs_at_start(&self, id: &TargetId) -> bool {
        let Some(patient) = self.patients.get(id) else { return false };
        let graced = match patient.phase {
            Phase::Starting { until } => self.now.awake < until,
            Phase::Unknown
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. }
            | Phase::Down { .. }
            | Phase::Recovering { .. }
            | Phase::GivenUp { .. } => false,
        };
        !graced && self.diagnose(patient).id == CauseId::ContainerStartupHang
    }

    fn container_is_stopped(&mut self, id: &TargetId, seen: &ContainerSeen) {
        let now = self.now;
        let Some(patient) = self.patients.get_mut(id) else { return };
        let critical = matches!(patient.spec.care, Care::Container { critical: true, .. });
        if seen.skip {
            patient.enter(Phase::Unknown, Reason::new("R38", "why.skip"), now);
            return;
        }
        // R33: what we were at when we ended was no person's stop.
        let ours = patient.account.act.as_ref().is_some_and(|act| act.verb != Verb::Stop);
        let first_sight = !std::mem::replace(&mut patient.met, true) && !ours;
        let never_ran = container::is_not_started(seen);
        if first_sight && patient.account.intent == Intent::Wanted && !never_ran {
            // Fault 54: holds unknown = held. R35: never start what was never seen to run.
            if patient.account.doubtful {
                patient.account.hold(HeldBy::LedgerLost, None, now.wall);
            } else if !critical && !patient.facts.container_news.began {
                patient.account.hold(HeldBy::Found, None, now.wall);
            }
        }
        let waits = patient.account.hold.as_ref().is_some_and(|hold| hold.by == HeldBy::Created);
        if waits && (seen.started_ms.is_some() || seen.exit_code != 0) {
            // It was started meanwhile, and has ended or could not begin.
            patient.account.want();
        }
        // What we made ourselves, and did not get to start, is seen through.
        let ours =
            ours || patient.account.attempts > 0 || patient.facts.container_news.was_made(&seen.id);
        if never_ran && !ours && patient.account.intent != Intent::Held {
            // R35: it has not ended. Compose may be about to start it, or wait until what it needs is
            // healthy (docker/compose `pkg/compose/start.go`, `waitDependencies`).
            patient.account.hold(HeldBy::Created, None, now.wall);
        }
        if patient.account.intent == Intent::Held {
            let says = held(&patient.account, now);
            patient.enter(Phase::Unknown, Reason::says("R35", says), now);
            self.close_incident(id, IncidentState::Closed, Some("story.held"));
            return;
        }
        if matches!(patient.phase, Phase::Down { .. } | Phase::GivenUp { .. }) {
            self.down(id);
            return;
        }
        if let Some(until) = patient.settles
            && now.awake < until
        {
            // R17: after its parent's return, or a boot, others may still bring it up.
            if !matches!(patient.phase, Phase::Starting { .. }) {
                let reason = Reason::new("R17", "why.parent_back").until(until);
                patient.enter(Phase::Starting { until }, reason, now);
            }
            patient.due = until;
            return;
        }
        if patient.phase.is_usable() {
            let how = storm::ended(Some(seen), seen.exit_code, seen.finished_ms);
            self.turned_bad(id, how);
        }
        let Some(patient) = self.patients.get_mut(id) else { return };
        // An end is certain when it is still ended 2 s later; by then a late `oom` has come too.
        let died = patient.facts.container_news.end_of(seen).map(|died| died.told.at);
        let first = patient.first_bad.get_or_insert(now);
        if let Some(died) = died {
            first.awake = died;
        }
        let verdict_at = first.awake + self.policy.verdict;
        if now.awake < verdict_at && !patient.urged {
            patient.due = verdict_at;
            return;
        }
        patient.due = NEVER;
        let Some(patient) = self.patients.get(id) else { return };
        let cause = self.diagnose(patient);
        let telling = is_of_memory(cause.id) || is_loop(cause.id);
        let in_storm = self.storm_root(id).is_some()
            || patient.ended_in_storm.is_some_and(|start| seen.started_ms == Some(start));
        if critical || telling {
            self.down(id);
        } else if is_orderly(seen) || storm::is_job(seen) || in_storm {
            if let Some(patient) = self.patients.get_mut(id) {
                if in_storm {
                    patient.ended_in_storm = seen.started_ms;
                }
                patient.account.intent = Intent::Completed;
                patient.enter(Phase::Unknown, completed(Some(seen)), now);
            }
        } else {
            self.not_critical_is_down(id, seen);
        }
    }

    /// R35: it ended with an error, which is told. That it is started is for its own policy, which
    /// gets its time (R29), and for people.
    fn not_critical_is_down(&mut self, id: &TargetId, seen: &ContainerSeen) {
        let now = self.now.awake;
        let by = self.policy.docker_policy;
        let Some(patient) = self.patients.get_mut(id) else { return };
        let began = patient.first_bad.map_or(now, |first| first.awake);
        if Self::docker_may_restart(seen) && now < began + by {
            patient.due = began + by;
            return;
        }
        self.down(id);
    }

    /// Tells of an end for memory even when Docker has started the container again meanwhile:
    /// its flags are reset by then, only the stream knew.
    fn conclude_end(&mut self, id: &TargetId) {
        let (now, policy) = (self.now, &self.policy);
        let Some(patient) = self.patients.get_mut(id) else { return };
        let Some(oom) = patient.facts.container_news.oom else { return };
        if now.awake < oom.at + policy.verdict || patient.facts.container_news.told == Some(oom) {
            return;
        }
        let Some(seen) = patient.facts.container.clone() else { return };
        let died =
            patient.facts.container_news.die.is_some_and(|Died { told, .. }| {
                (told.engine_ms - oom.engine_ms).abs() <= OOM_END_MS
            });
        let around = !died && self.patients.get(id).is_some_and(|patient| self.oom_around(patient));
        if !around {
            self.fail_soak(id, oom.at);
        }
        let Some(patient) = self.patients.get_mut(id) else { return };
        if died && !container::is_up(seen.status) {
            // The stopped container itself is judged by `container_is_stopped`.
            patient.facts.container_news.told = Some(oom);
            return;
        }
        patient.facts.container_news.told = Some(oom);
        if let (true, Some((end, from))) = (died, patient.facts.container_news.last_end())
            && !patient.account.is_another_oom(end, from)
        {
            // It was counted and told before we were started anew.
            return;
        }
        let Some(patient) = self.patients.get(id) else { return };
        if around {
            // It was another container that lost a process, and that is told there.
            return;
        }
        let cause = if died { self.diagnose_end(patient) } else { diagnosis::oom_child(&seen) };
        let key = if died { "story.restarted_by_docker" } else { "story.lives_on" };
        if died {
            // 1.14: only what ended it counts towards the second one.
            self.note_oom(id);
        }
        self.open_incident(id, cause.clone(), oom.at);
        self.tell_story(id, StoryKind::Seen, Sentence::new(key));
        self.tell_oom(id, &cause);
        if self.patients.get(id).is_some_and(|one| matches!(one.phase, Phase::GivenUp { .. })) {
            // It ends again and again, and needs a person: that it runs for the moment heals nothing.
            return;
        }
        // That it goes on is part of what was just told.
        self.notices.close(id);
        self.close_incident(id, IncidentState::HealedItself, None);
    }

    pub(crate) fn note_oom(&mut self, id: &TargetId) {
        let now = self.now.continuous;
        if let Some(patient) = self.patients.get_mut(id) {
            patient.account.ooms.push(now);
            if patient.account.ooms.len() > OOMS_KEPT {
                patient.account.ooms.remove(0);
            }
        }
    }

    /// While Docker's own policy may still bring it back, we leave it to it (R29).
    pub(crate) fn docker_may_restart(seen: &ContainerSeen) -> bool {
        match seen.restart_policy {
            RestartPolicy::No => false,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure(tries) => {
                seen.exit_code != 0 && (tries == 0 || seen.restart_count < tries)
            }
        }
    }

    pub(crate) fn snapshot_due(&mut self, at: Awake) {
        self.next_snapshot = at;
    }
}
