//! Telling: when something is said to people, and what (R49 to R57).

use std::collections::BTreeSet;
use std::time::Duration;

use crate::cause::{Cause, CauseId};
use crate::clock::Awake;
use crate::doctor::Doctor;
use crate::incident::{Incident, IncidentState, RestartedBy, Verb};
use crate::ledger::Intent;
use crate::notice::{Button, Notice, NoticeKind};
use crate::patient::Patient;
use crate::phase::Phase;
use crate::planning::server_remedy;
use crate::rates::{HOUR, Leave};
use crate::sentence::Sentence;
use crate::target::{Care, Heal, TargetId};

/// So many restarts are listed in one notice.
const RESTARTS: usize = 6;
/// What is no older than this has happened "just now".
const JUST_NOW: Duration = Duration::from_secs(2);
/// So many targets are named in a digest.
const NAMED: usize = 12;
/// Notices that wait for the end of a wake hold.
const DEFERRED: usize = 64;

impl Doctor {
    /// A problem is told when it has lasted: 30 s, or 60 s while a remedy is under way (R50, R51).
    pub(crate) fn tell_due(&mut self) {
        if self.is_waking() {
            return;
        }
        for notice in std::mem::take(&mut self.notices.deferred) {
            if self.still_open(&notice) != Some(false) {
                self.submit(notice);
            }
        }
        self.watch_flapping();
        for id in self.notices.waiting() {
            let Some(due) = self.notice_due(&id) else { continue };
            // What the rates hold back stays waiting, and is told when they allow it.
            if self.now.awake >= due && (self.is_flapping(&id) || self.tell_problem(&id)) {
                self.notices.settle(&id);
            }
        }
        self.remind();
        let due = self.notices.digest_due(&self.policy);
        if due.is_some_and(|due| self.now.continuous >= due) {
            self.tell_digest();
        }
        self.post_again();
    }

    pub(crate) fn next_notice(&self) -> Option<Awake> {
        if self.is_waking() {
            return None;
        }
        let now = self.now;
        let digest = self.notices.digest_due(&self.policy);
        self.notices
            .waiting()
            .iter()
            .filter_map(|id| self.notice_due(id))
            .chain(digest.map(|due| now.awake + due.since(now.continuous)))
            .chain(self.next_post())
            .filter(|due| *due > now.awake)
            .min()
    }

    fn notice_due(&self, id: &TargetId) -> Option<Awake> {
        let opened = self.notices.opened_at(id)?;
        let patient = self.patients.get(id)?;
        if patient.inhibited_by.is_some() {
            return None;
        }
        let patient = self.treated_in(patient);
        if patient.phase.cause().is_some_and(|cause| is_told_at_once(cause.id)) {
            return Some(opened);
        }
        let wait = match &patient.phase {
            // It answers and is only being watched: the one notice comes after verification.
            Phase::Recovering { operation, .. } => {
                let soaking =
                    self.operations.iter().any(|one| one.id == *operation && one.is_soaking());
                if soaking {
                    return None;
                }
                self.policy.notice_after_treated
            }
            // It waits its turn, or for another supervisor: it is being dealt with.
            Phase::Down { .. } if is_underway(patient.reason.rule) => {
                self.policy.notice_after_treated
            }
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. }
            | Phase::Down { .. }
            | Phase::GivenUp { .. } => self.policy.notice_after,
        };
        Some(opened + wait)
    }

    fn tell_problem(&mut self, id: &TargetId) -> bool {
        let Some(incident) = self.open_one(id) else { return true };
        let title = Sentence::new("notice.problem").with("target", self.name(id));
        let lines = self.account_of(&incident);
        self.tell(NoticeKind::Problem, id, Some(&incident), title, lines)
    }

    pub(crate) fn tell_needs_you(&mut self, id: &TargetId) {
        let id = &self.teller(id);
        let Some(incident) = self.open_one(id) else { return };
        self.notices.settle(id);
        let (now, policy) = (self.now, self.policy.clone());
        if !self.notices.needs_is_news(id, &incident.id, now, &policy) {
            return;
        }
        let title = Sentence::new("notice.needs_you").with("target", self.name(id));
        let mut lines = self.account_of(&incident);
        if *id == TargetId::Ollama {
            lines.push(Sentence::new("notice.fallback"));
        }
        self.tell(NoticeKind::NeedsYou, id, Some(&incident), title, lines);
    }

    /// It was told by the app that ran before this one (R55).
    pub(crate) fn told_before(&mut self, id: &TargetId) {
        let id = &self.teller(id);
        let Some(incident) = self.open_one(id) else { return };
        self.notices.settle(id);
        self.notices.needed(id, incident.id, self.now.continuous);
    }

    /// Always told, once per container and hour (R50), whether we were started anew in between or not.
    pub(crate) fn tell_oom(&mut self, id: &TargetId, cause: &Cause) {
        let now = self.now.continuous;
        let Some(patient) = self.patients.get_mut(id) else { return };
        let lately = patient.account.oom_told.is_some_and(|at| now.since(at) < HOUR);
        if !lately {
            patient.account.oom_told = Some(now);
        }
        if lately || self.root_of(id, cause.id).is_some() {
            // Where the root is told, its notice lists this one (R49).
            return;
        }
        let incident = self.open_one(id);
        let title = Sentence::new("notice.oom").with("target", self.name(id));
        let lines = vec![cause_text(cause), cause_advice(cause)];
        self.notices.settle(id);
        self.tell(NoticeKind::OutOfMemory, id, incident.as_ref(), title, lines);
    }

    /// R51, R52: after a proven recovery one quiet notice; after a problem that was told and went
    /// by itself, one.
    pub(crate) fn tell_closed(&mut self, id: &TargetId, incident: &Incident) {
        self.notices.settle(id);
        if self.is_flapping(id) {
            // R54: told once, and again when it has settled.
            self.notices.needs_nobody(id);
            return;
        }
        let told = self.notices.close(id);
        let key = match incident.state {
            IncidentState::Verified => "notice.recovered",
            IncidentState::HealedItself if told => "notice.healed_itself",
            IncidentState::HealedItself
            | IncidentState::Open
            | IncidentState::Healing
            | IncidentState::GivenUp
            | IncidentState::Closed => return,
        };
        let held =
            self.patients.get(id).is_some_and(|patient| patient.account.intent == Intent::Held);
        if held {
            return;
        }
        let title = Sentence::new(key).with("target", self.name(id));
        let after = Duration::from_millis(incident.recovered_after_ms.unwrap_or_default());
        let mut lines = vec![Sentence::new("notice.it_was"), cause_text(&incident.cause)];
        lines.extend(self.affected(incident));
        lines.push(Sentence::new("notice.recovered_after").with("after", after));
        let quiet = !told;
        let notice = self.notice(NoticeKind::Recovered, id, Some(incident), title, lines);
        self.submit(Notice { quiet, ..notice });
    }

    /// A problem that was told and then folded into its root's incident ends with the target itself
    /// (R52).
    pub(crate) fn tell_folded_end(&mut self, id: &TargetId) {
        let incident = self.patients.get(id).and_then(|patient| patient.incident.clone());
        let Some(incident) = incident.filter(|_| !self.is_flapping(id)) else { return };
        if !self.notices.close(id) {
            return;
        }
        let title = Sentence::new("notice.healed_itself").with("target", self.name(id));
        let lines = vec![cause_text(&incident.cause)];
        self.tell(NoticeKind::Recovered, id, Some(&incident), title, lines);
    }

    /// R54: from now on its changes are muted.
    pub(crate) fn tell_flapping(&mut self, id: &TargetId) {
        let Some(incident) = self.patients.get(id).and_then(|one| one.incident.clone()) else {
            return;
        };
        self.notices.settle(id);
        let title = Sentence::new("notice.flapping").with("target", self.name(id));
        let lines = vec![
            cause_text(&incident.cause),
            Sentence::new("notice.flapping_muted"),
            cause_advice(&incident.cause),
        ];
        self.tell(NoticeKind::Flapping, id, Some(&incident), title, lines);
    }

    /// What was told of it while it flapped is over; one that is still open has yet to end.
    pub(crate) fn tell_settled(&mut self, id: &TargetId) {
        let Some(incident) = self.patients.get(id).and_then(|one| one.incident.clone()) else {
            return;
        };
        if incident.closed.is_none() || !self.notices.close(id) {
            return;
        }
        let title = Sentence::new("notice.settled").with("target", self.name(id));
        let lines = vec![Sentence::new("notice.it_was"), cause_text(&incident.cause)];
        self.tell(NoticeKind::Recovered, id, Some(&incident), title, lines);
    }

    /// R57: once, with each restart and who made it.
    pub(crate) fn tell_restart_rate(&mut self, id: &TargetId) {
        let now = self.now.continuous;
        let Some(patient) = self.patients.get(id) else { return };
        let restarts = &patient.account.restarts;
        let count = u32::try_from(restarts.len()).unwrap_or(u32::MAX);
        let title =
            Sentence::new("notice.restart_rate").with("target", self.name(id)).with("count", count);
        let newest = restarts.iter().rev().take(RESTARTS);
        let mut lines: Vec<Sentence> = newest
            .map(|restart| {
                let key = match restart.by {
                    RestartedBy::Us => "notice.restart_by_us",
                    RestartedBy::Person => "notice.restart_by_person",
                    RestartedBy::Other => "notice.restart_by_other",
                };
                let ago = now.since(restart.at);
                let says = Sentence::new(key);
                if ago < JUST_NOW { says } else { says.with("ago", ago) }
            })
            .collect();
        lines.push(Sentence::new("notice.restart_rate_advice"));
        let incident = self.open_one(id);
        self.tell(NoticeKind::RestartRate, id, incident.as_ref(), title, lines);
    }

    /// Something about Homeostat itself; at most once an hour each.
    pub(crate) fn tell_about_ourselves(&mut self, key: &'static str, reason: &str) {
        if !self.notices.own_is_news(key, self.now.continuous) {
            return;
        }
        let lines = vec![Sentence::new("ourselves.reason").with("reason", reason)];
        let kind = NoticeKind::Ourselves;
        self.tell(kind, &TargetId::Host, None, Sentence::new(key), lines);
    }

    /// R53: what was given up is told again every four hours. R35: a critical container that a
    /// person stopped is told once, after half an hour.
    fn remind(&mut self) {
        if self.notices.needs_anybody() {
            let given_up: BTreeSet<TargetId> = self
                .patients
                .values()
                .filter(|patient| matches!(patient.phase, Phase::GivenUp { .. }))
                .filter(|patient| patient.inhibited_by.is_none() && !self.may_be_due(patient))
                .map(|patient| self.teller(&patient.spec.id))
                .filter(|id| self.notices.must_remind(id, self.now, &self.policy))
                .collect();
            for id in given_up {
                self.tell_needs_you(&id);
            }
        }
        let (now, after) = (self.now.continuous, self.policy.held_reminder);
        let mut forgotten = Vec::new();
        for patient in self.patients.values_mut() {
            let account = &mut patient.account;
            if account.intent != Intent::Held {
                (account.held_since, account.held_told) = (None, false);
                continue;
            }
            if account.held_told
                || !matches!(patient.spec.care, Care::Container { critical: true, .. })
            {
                continue;
            }
            let since = *account.held_since.get_or_insert(now);
            if now.since(since) >= after && is_missing(patient) {
                patient.account.held_told = true;
                forgotten.push((patient.spec.id.clone(), now.since(since)));
            }
        }
        for (id, lasted) in forgotten {
            let title = Sentence::new("notice.held").with("target", self.name(&id));
            let lines = vec![
                Sentence::new("notice.held_since").with("lasted", lasted),
                Sentence::new("notice.held_advice"),
            ];
            self.tell(NoticeKind::Held, &id, None, title, lines);
        }
    }

    fn tell_digest(&mut self) {
        let targets = self.notices.take_digest(self.now.continuous);
        let count = u32::try_from(targets.len()).unwrap_or(u32::MAX);
        let mut names: Vec<String> = Vec::new();
        for id in &targets {
            let name = self.name(id);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.len() > NAMED {
            names.truncate(NAMED);
            names.push("…".into());
        }
        let title = Sentence::new("notice.digest").with("count", count);
        let lines = vec![Sentence::new("notice.digest_names").with("names", names.join(", "))];
        self.tell(NoticeKind::Digest, &TargetId::Host, None, title, lines);
    }

    /// R56: what is wrong, what suffers with it, what was done, and what to do.
    fn account_of(&self, incident: &Incident) -> Vec<Sentence> {
        let mut lines = vec![cause_text(&incident.cause)];
        if incident.cause.id == CauseId::Unknown {
            lines.extend(incident.cause.evidence.first().cloned());
        }
        lines.extend(self.affected(incident));
        lines.push(if let Some(treatment) = self.storm_treatment(incident) {
            treatment
        } else if incident.attempts > 0 {
            Sentence::new("notice.tried").with("attempts", incident.attempts)
        } else {
            Sentence::new("notice.nothing_done")
        });
        match self.after_failure(&incident.target) {
            Some(advice) => lines.extend(advice),
            None => lines.push(cause_advice(&incident.cause)),
        }
        lines
    }

    /// What to do where a start is all the advice there is, and the last one has failed: how it did, and
    /// the next step.
    pub fn after_failure(&self, id: &TargetId) -> Option<[Sentence; 2]> {
        let patient = self.patients.get(id)?;
        let failed = patient.failed.clone()?;
        let cause = match &patient.phase {
            Phase::Down { cause, .. } | Phase::GivenUp { cause, .. } => cause.id,
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. }
            | Phase::Recovering { .. } => return None,
        };
        let starts = server_remedy(cause).is_some()
            || matches!(cause, CauseId::ContainerStopped | CauseId::ContainerKilled);
        starts.then(|| [failed, Sentence::new("notice.after_failure")])
    }

    /// Tells it when the rates allow; false: they ask to try again later.
    pub(crate) fn tell(
        &mut self,
        kind: NoticeKind,
        id: &TargetId,
        incident: Option<&Incident>,
        title: Sentence,
        lines: Vec<Sentence>,
    ) -> bool {
        let notice = self.notice(kind, id, incident, title, lines);
        self.submit(notice)
    }

    fn notice(
        &mut self,
        kind: NoticeKind,
        id: &TargetId,
        incident: Option<&Incident>,
        title: Sentence,
        lines: Vec<Sentence>,
    ) -> Notice {
        Notice {
            id: self.next_id(),
            kind,
            target: id.clone(),
            cause: incident.map(|incident| incident.cause.id),
            title,
            lines,
            button: self.button(kind, id),
            quiet: false,
            incident: incident.map(|incident| incident.id.clone()),
        }
    }

    fn submit(&mut self, notice: Notice) -> bool {
        if self.is_waking() {
            // R42: nothing is told while waking; what still holds afterwards is.
            if self.notices.deferred.len() < DEFERRED {
                self.notices.deferred.push(notice);
            }
            return true;
        }
        let (now, policy) = (self.now.continuous, self.policy.clone());
        match self.notices.leave(&notice, now, &policy) {
            Leave::Tell => self.post(notice),
            Leave::Digest => self.notices.hold_back(&notice, now),
            Leave::Drop => {}
            Leave::Wait => return false,
        }
        true
    }

    /// What a person may want to do about it with one click.
    fn button(&self, kind: NoticeKind, id: &TargetId) -> Button {
        let offers = |verb: Verb| self.actions(id).contains(&verb);
        let asks = self.patients.get(id).is_some_and(|one| one.spec.heal == Heal::Ask);
        let acts = match kind {
            NoticeKind::NeedsYou | NoticeKind::Held => true,
            // Otherwise it is being dealt with.
            NoticeKind::Problem | NoticeKind::OutOfMemory => asks,
            NoticeKind::Recovered
            | NoticeKind::RestartRate
            | NoticeKind::Flapping
            | NoticeKind::CloudCalls
            | NoticeKind::Digest
            | NoticeKind::Ourselves => false,
        };
        if acts && offers(Verb::Start) {
            Button::Start
        } else if acts && offers(Verb::Restart) {
            Button::Restart
        } else if kind == NoticeKind::Held && self.may_release(id) {
            Button::Release
        } else {
            Button::Show
        }
    }

    pub(crate) fn name(&self, id: &TargetId) -> String {
        self.patients.get(id).map_or_else(|| id.to_string(), |patient| patient.spec.name.clone())
    }
}

/// It is there, it does not run, and nothing else keeps it from running.
fn is_missing(patient: &Patient) -> bool {
    let there = patient.facts.container.as_ref().is_some_and(|seen| !seen.skip);
    there && !patient.phase.is_usable() && patient.inhibited_by.is_none()
}

/// R50: data is at risk, or the whole machine.
fn is_told_at_once(id: CauseId) -> bool {
    matches!(id, CauseId::HostDiskFull | CauseId::HostPanicSuspect)
}

/// Rules under which a target that is down waits for something that is on its way.
fn is_underway(rule: &str) -> bool {
    matches!(rule, "R11" | "R17" | "R20" | "R26" | "R29")
}

pub(crate) fn cause_text(cause: &Cause) -> Sentence {
    Sentence { key: format!("cause.{}.text", cause.id), values: cause.says.values.clone() }
}

fn cause_advice(cause: &Cause) -> Sentence {
    Sentence { key: format!("cause.{}.advice", cause.id), values: cause.says.values.clone() }
}
