//! The storm brake: when many containers turn bad at once, what ails them is above them, and
//! restarting each would only add to it (R18).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::cause::{Cause, CauseId, Confidence};
use crate::clock::Awake;
use crate::doctor::Doctor;
use crate::incident::{Incident, IncidentState, StoryKind};
use crate::ledger::Intent;
use crate::observation::ContainerSeen;
use crate::order::Depth;
use crate::patient::Patient;
use crate::phase::{Phase, Reason};
use crate::sentence::Sentence;
use crate::target::{Care, TargetId};

/// Who turned bad lately, and the storm that came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Brake {
    turned: VecDeque<(TargetId, Awake)>,
    pub(crate) storm: Option<Storm>,
}

#[derive(Clone, Debug)]
pub(crate) struct Storm {
    /// Docker, or the host where it has an incident.
    pub(crate) root: TargetId,
    /// Whom it holds, and when each turned bad last.
    pub(crate) hit: BTreeMap<TargetId, Awake>,
    /// Those that are well again: what befalls them from now on is their own.
    pub(crate) left: BTreeSet<TargetId>,
    /// Those that were hit and are gone, given up or wanted no longer: they made the storm as well, so
    /// they count where it is told.
    pub(crate) dropped: BTreeSet<TargetId>,
    /// The engine was gone and is back: they are what it has not brought back yet.
    pub(crate) returns: bool,
    /// When the last one turned bad.
    last: Awake,
    /// Until then the causes of their ends are still coming in (1.14).
    name_at: Awake,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No container is treated.
    Braking { since: Awake },
    /// The root is well: after one grace they are judged again, one at a time.
    Judging { since: Awake },
}

/// How a container turned bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TurnedBad {
    Unhealthy,
    /// With this code, so many milliseconds after its start, where that is known.
    Ended {
        code: i64,
        lived_ms: Option<i64>,
    },
}

/// What lives no longer than this and is not critical is a job that failed, no victim.
const JOB_MS: i64 = 60_000;

impl Doctor {
    /// A container that was well has ended or turned unhealthy, and nobody asked for it.
    pub(crate) fn turned_bad(&mut self, id: &TargetId, how: TurnedBad) {
        let now = self.now.awake;
        let counts = self.patients.get(id).is_some_and(|patient| self.is_a_victim(patient, how));
        if self.is_waking() || !counts {
            return;
        }
        let window = self.policy.storm_window;
        self.brake.turned.retain(|(other, at)| other != id && now.since(*at) < window);
        self.brake.turned.push_back((id.clone(), now));
        let many = self.are_many();
        match &mut self.brake.storm {
            Some(storm)
                if many
                    || (matches!(storm.stage, Stage::Braking { .. })
                        && !storm.left.contains(id)) =>
            {
                storm.hit.insert(id.clone(), now);
                storm.left.remove(id);
                storm.dropped.remove(id);
                storm.last = now;
                if matches!(storm.stage, Stage::Judging { .. }) {
                    storm.stage = Stage::Braking { since: now };
                }
            }
            None if many => self.begin_storm(),
            Some(storm) => {
                if let Some(at) = storm.hit.get_mut(id) {
                    *at = now;
                }
            }
            None => {}
        }
    }

    /// While the storm lasts no container is treated, unless a person asks.
    pub(crate) fn storm_brakes(&self, patient: &Patient) -> Option<Reason> {
        let in_container = matches!(
            patient.spec.care,
            Care::Container { .. } | Care::Service { container: Some(_), .. }
        );
        let storm = self.brake.storm.as_ref().filter(|_| in_container)?;
        match storm.stage {
            Stage::Braking { .. } => {
                // Past its quiet time it waits for the root, and nobody knows how long.
                let until = storm.last + self.policy.storm_window;
                let reason = Reason::new("R18", "why.storm");
                Some(if until > self.now.awake { reason.until(until) } else { reason })
            }
            Stage::Judging { .. } => None,
        }
    }

    /// The root whose incident this container's trouble belongs to.
    pub(crate) fn storm_root(&self, id: &TargetId) -> Option<TargetId> {
        let storm = self.brake.storm.as_ref()?;
        storm.hit.contains_key(id).then(|| storm.root.clone())
    }

    /// Its trouble is no longer the storm's: it was given up on for reasons of its own.
    pub(crate) fn leave_storm(&mut self, id: &TargetId, cause: &Cause) {
        self.tell_of_victim(id, StoryKind::Failed, "story.storm_given_up");
        let Some(storm) = &mut self.brake.storm else { return };
        if storm.hit.remove(id).is_some() {
            storm.dropped.insert(id.clone());
            self.stand_alone(id, cause.clone());
            // What was tried for it in the storm was tried for this.
            if let Some(patient) = self.patients.get_mut(id)
                && let Some(own) = &mut patient.incident
            {
                own.attempts = own.attempts.max(patient.account.attempts);
            }
        }
    }

    /// Docker answers, which it did all the while: that alone ends no storm.
    pub(crate) fn storm_outlasts(&self, target: &TargetId) -> bool {
        let storm = self.brake.storm.as_ref().filter(|storm| storm.root == *target);
        let own = self.open_one(target).is_some_and(|one| one.cause.id == CauseId::DockerDown);
        storm.is_some_and(|storm| storm.returns || !own) && *target == TargetId::Docker
    }

    /// The engine is back, and many that ran in it wait for it: its incident goes on until each of
    /// them is well or has a story of its own (R15, R17). They are judged after their grace.
    pub(crate) fn engine_returns(&mut self) {
        let now = self.now.awake;
        let Some(incident) = self.open_one(&TargetId::Docker) else { return };
        let waits = |id: &&TargetId| {
            matches!(id, TargetId::Container(_)) && self.patients.get(id).is_some_and(is_watched)
        };
        let hit: BTreeMap<TargetId, Awake> =
            incident.affects.iter().filter(waits).map(|id| (id.clone(), now)).collect();
        if hit.len() < self.policy.storm_least {
            return;
        }
        self.brake.storm = Some(Storm {
            root: TargetId::Docker,
            hit,
            left: BTreeSet::new(),
            dropped: BTreeSet::new(),
            returns: true,
            last: now,
            name_at: now,
            stage: Stage::Judging { since: now },
        });
    }

    /// The root's incident has ended, and with it the storm.
    pub(crate) fn storm_ends_with(&mut self, incident: &Incident) {
        if self.brake.storm.as_ref().is_some_and(|storm| storm.root == incident.target) {
            self.brake.storm = None;
        }
    }

    pub(crate) fn advance_storm(&mut self) {
        let now = self.now.awake;
        let Some(storm) = &self.brake.storm else { return };
        if self.is_waking() || now < storm.name_at {
            return;
        }
        let stage = storm.stage;
        self.let_well_ones_leave();
        match stage {
            Stage::Braking { since } => {
                self.name_storm();
                if self.has_blown_over(since) {
                    self.judge_again();
                }
            }
            Stage::Judging { since } => self.settle_storm(since),
        }
    }

    pub(crate) fn next_storm(&self) -> Option<Awake> {
        let storm = self.brake.storm.as_ref()?;
        let next = match storm.stage {
            Stage::Braking { since } => {
                let longest = since + self.policy.storm_longest;
                (storm.last + self.policy.storm_window).min(longest)
            }
            Stage::Judging { since } => since + self.policy.storm_longest,
        };
        let ahead = |at: &Awake| *at > self.now.awake;
        let fixed = [storm.name_at, next].into_iter().find(ahead);
        fixed.into_iter().chain(self.next_to_leave().filter(ahead)).min()
    }

    fn is_a_victim(&self, patient: &Patient, how: TurnedBad) -> bool {
        let Care::Container { critical, .. } = patient.spec.care else { return false };
        if !is_watched(patient) || !patient.phase.is_usable() || patient.inhibited_by.is_some() {
            return false;
        }
        match how {
            // What it needs is not well: that is the root (R16).
            TurnedBad::Unhealthy => !self.lacks_a_need(patient),
            TurnedBad::Ended { code, lived_ms } => {
                let job = code == 0 || lived_ms.is_some_and(|lived| lived < JOB_MS);
                critical || !job
            }
        }
    }

    /// 40 % and at least three of those that are watched.
    fn are_many(&self) -> bool {
        let turned = &self.brake.turned;
        if turned.len() < self.policy.storm_least {
            return false;
        }
        let containers = self.patients.values();
        let containers = containers.filter(|one| matches!(one.spec.care, Care::Container { .. }));
        // What turned bad and is watched no more counts as well.
        let turned_away = turned
            .iter()
            .filter(|(id, _)| self.patients.get(id).is_some_and(|patient| !is_watched(patient)));
        let watched = containers.filter(|one| is_watched(one)).count() + turned_away.count();
        turned.len() * 100 >= self.policy.storm_share * watched
    }

    fn begin_storm(&mut self) {
        let now = self.now.awake;
        let hit: BTreeMap<TargetId, Awake> = self.brake.turned.iter().cloned().collect();
        self.brake.storm = Some(Storm {
            root: TargetId::Docker,
            hit: hit.clone(),
            left: BTreeSet::new(),
            dropped: BTreeSet::new(),
            returns: false,
            last: now,
            name_at: now + 2 * self.policy.verdict,
            stage: Stage::Braking { since: now },
        });
        for id in hit.into_keys() {
            // One that is being treated already has an incident that tells of it.
            if self.running_on(&id).is_none() && self.open_one(&id).is_some() {
                self.fold(&id, &TargetId::Docker);
            }
        }
        self.look_soon(&TargetId::Docker, Depth::Full);
        self.look_soon(&TargetId::Host, Depth::Full);
    }

    /// One incident, after the root where one can be told.
    fn name_storm(&mut self) {
        let Some(storm) = self.brake.storm.clone() else { return };
        let docker = self.patients.get(&TargetId::Docker);
        if !docker.is_some_and(|docker| docker.phase.is_usable()) {
            // It is judged itself, and its own incident lists them all.
            return;
        }
        let elsewhere = storm.hit.keys().next().and_then(|first| self.listed_by(first));
        if let Some(root) = elsewhere
            && !matches!(root, TargetId::Docker | TargetId::Host)
            && storm.hit.keys().all(|id| self.listed_by(id).as_ref() == Some(&root))
        {
            // All of them wait for one thing, and that is the root.
            self.brake.storm = None;
            self.fold(&TargetId::Docker, &root);
            return;
        }
        let known = self.open_one(&TargetId::Docker).map(|incident| incident.cause.id);
        if storm.root == TargetId::Host {
            self.list_storm(&storm);
        } else if self.of_vm_memory(&storm) {
            let cause = storm_cause(CauseId::DockerVmOom, Confidence::Likely, &storm);
            self.begin_incident(&TargetId::Docker, cause, storm.last);
            self.list_storm(&storm);
        } else if self.open_one(&TargetId::Host).is_some() {
            let root = TargetId::Host;
            if known.is_some() {
                self.fold(&TargetId::Docker, &root);
            }
            let storm = Storm { root, ..storm };
            self.brake.storm = Some(storm.clone());
            self.list_storm(&storm);
        } else {
            if known.is_none_or(|known| known == CauseId::Unknown) {
                let cause = storm_cause(CauseId::Unknown, Confidence::Possible, &storm);
                self.begin_incident(&TargetId::Docker, cause, storm.last);
            }
            self.list_storm(&storm);
        }
    }

    fn list_storm(&mut self, storm: &Storm) {
        let dropped = storm.dropped.iter().filter(|id| !self.has_open(id));
        let dropped: Vec<&TargetId> = dropped.collect();
        for id in storm.hit.keys().chain(dropped) {
            self.list(&storm.root, id.clone());
        }
    }

    /// Two of them ended for memory that the machine Docker runs in did not have.
    fn of_vm_memory(&self, storm: &Storm) -> bool {
        let hit = storm.hit.keys().filter_map(|id| self.patients.get(id));
        let causes = hit.filter_map(|patient| patient.phase.cause());
        causes.filter(|cause| cause.id == CauseId::DockerVmOom).count() >= 2
    }

    /// Nothing more turned bad for a while, and what is above them is well, or will not be soon.
    fn has_blown_over(&self, since: Awake) -> bool {
        let now = self.now.awake;
        let Some(storm) = &self.brake.storm else { return false };
        let quiet = now.since(storm.last) >= self.policy.storm_window;
        let answers = self.patients.get(&TargetId::Docker).is_some_and(|docker| {
            docker.phase.is_usable() && docker.last_good.is_some_and(|good| good.awake > storm.last)
        });
        let late = now.since(since) >= self.policy.storm_longest;
        quiet && answers && (storm.root != TargetId::Host || late)
    }

    /// R17: one grace, in which others may bring them up, then one at a time.
    fn judge_again(&mut self) {
        let now = self.now;
        let Some(storm) = &mut self.brake.storm else { return };
        storm.stage = Stage::Judging { since: now.awake };
        let hit = storm.hit.clone();
        for id in hit.keys() {
            let Some(patient) = self.patients.get_mut(id) else { continue };
            if !matches!(patient.phase, Phase::Down { .. } | Phase::Degraded { .. }) {
                continue;
            }
            patient.forget_counts();
            patient.give_grace("why.parent_back", now);
            if let Some(until) = patient.settles {
                let reason = Reason::new("R17", "why.storm_over").until(until);
                patient.enter(Phase::Starting { until }, reason, now);
            }
            self.look_soon(id, Depth::Full);
        }
    }

    /// The incident ends when each of them is well or has a story of its own.
    fn settle_storm(&mut self, since: Awake) {
        let Some(storm) = &self.brake.storm else { return };
        let (root, settled) = (storm.root.clone(), storm.hit.is_empty());
        let healed = !storm.left.is_empty();
        let late = self.now.awake.since(since) >= self.policy.storm_longest;
        if !settled && !late {
            return;
        }
        self.brake.storm = None;
        if root != TargetId::Docker {
            return;
        }
        let treated = self.open_one(&root).is_some_and(|incident| incident.attempts > 0);
        match (settled && healed, treated) {
            (true, true) => {
                self.close_incident(&root, IncidentState::Verified, Some("story.verified"));
            }
            (true, false) => {
                self.close_incident(
                    &root,
                    IncidentState::HealedItself,
                    Some("story.healed_itself"),
                );
            }
            (false, _) => self.close_incident(&root, IncidentState::Closed, None),
        }
    }
}

/// Wanted, seen alive, and ours to look after.
fn is_watched(patient: &Patient) -> bool {
    let seen = patient.facts.container.as_ref();
    patient.account.intent == Intent::Wanted
        && patient.account.seen_alive
        && seen.is_some_and(|seen| !seen.skip)
}

fn storm_cause(id: CauseId, confidence: Confidence, storm: &Storm) -> Cause {
    let count = storm.hit.len() + storm.left.len() + storm.dropped.len();
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let evidence = vec![Sentence::new("evidence.storm").with("count", count)];
    let says = Sentence::new(id.as_str()).with("count", count);
    Cause { id, confidence, evidence, says }
}

/// It lived so shortly that it was a job, whatever became of it.
pub(crate) fn is_job(seen: &ContainerSeen) -> bool {
    match ended(Some(seen), seen.exit_code, seen.finished_ms) {
        TurnedBad::Ended { lived_ms, .. } => lived_ms.is_some_and(|lived| lived < JOB_MS),
        TurnedBad::Unhealthy => false,
    }
}

/// How this container ended, as a reading or the stream tells it.
pub(crate) fn ended(seen: Option<&ContainerSeen>, code: i64, at_ms: Option<i64>) -> TurnedBad {
    let started = seen.and_then(|seen| seen.started_ms);
    let lived_ms = started.zip(at_ms).map(|(started, at)| at.saturating_sub(started));
    TurnedBad::Ended { code, lived_ms }
}
