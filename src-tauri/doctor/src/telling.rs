//! Telling: incidents with their story, and notices that neither nag nor stay silent (R49 to R57).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cause::{Cause, CauseId};
use crate::clock::{Awake, Continuous, Now, millis};
use crate::doctor::Doctor;
use crate::incident::{Incident, IncidentState, StoryKind, StoryLine};
use crate::ledger::Intent;
use crate::notice::{Notice, NoticeKind, Notices};
use crate::order::{Order, Tell};
use crate::phase::Phase;
use crate::policy::Policy;
use crate::sentence::Sentence;
use crate::target::TargetId;

const STORY_LINES: usize = 200;
const HOUR: Duration = Duration::from_hours(1);

impl Doctor {
    // Incidents.

    /// A new incident, or news about the one that is open. What comes back after it was closed is a
    /// new one, with times of its own; the budget of the episode runs on (R47).
    pub(crate) fn open_incident(&mut self, id: &TargetId, cause: Cause, since: Awake) {
        let now = self.now;
        let fresh = self.incident_id();
        let Some(patient) = self.patients.get_mut(id) else { return };
        let detected_after_ms = millis(now.awake.since(since));
        match &mut patient.incident {
            Some(open) if open.closed.is_none() => {
                if open.cause.id == cause.id {
                    open.cause = cause;
                    return;
                }
                open.cause = cause;
            }
            other => {
                *other = Some(Incident {
                    id: fresh,
                    target: id.clone(),
                    cause,
                    state: IncidentState::Open,
                    opened: now.wall,
                    closed: None,
                    detected_after_ms,
                    answering_after_ms: None,
                    recovered_after_ms: None,
                    attempts: 0,
                    story: Vec::new(),
                });
                patient.opened = now.awake;
                self.notices.opened(id, now.awake);
            }
        }
        let told = self.patients.get(id).and_then(|patient| patient.incident.as_ref());
        let lines: Vec<(StoryKind, Sentence)> = told
            .map(|incident| {
                let seen = incident.cause.evidence.iter();
                let seen = seen.map(|line| (StoryKind::Seen, line.clone()));
                let says = incident.cause.says.clone();
                let cause = Sentence {
                    key: format!("cause.{}.text", incident.cause.id),
                    values: says.values,
                };
                seen.chain([(StoryKind::Concluded, cause)]).collect()
            })
            .unwrap_or_default();
        for (kind, says) in lines {
            self.tell_story(id, kind, says);
        }
        self.touch_incident(id);
    }

    fn incident_id(&mut self) -> String {
        format!("i-{}", self.operation_id())
    }

    pub(crate) fn tell_story(&mut self, id: &TargetId, kind: StoryKind, says: Sentence) {
        let at = self.now.wall;
        let Some(patient) = self.patients.get_mut(id) else { return };
        let Some(incident) = &mut patient.incident else { return };
        if incident.closed.is_some() {
            return;
        }
        if incident.story.last().is_some_and(|last| last.says == says) {
            return;
        }
        if incident.story.len() < STORY_LINES {
            incident.story.push(StoryLine { at, kind, says });
        }
        self.touch_incident(id);
    }

    pub(crate) fn incident_state(
        &mut self,
        id: &TargetId,
        state: IncidentState,
        story: Option<&str>,
    ) {
        let Some(patient) = self.patients.get_mut(id) else { return };
        let Some(incident) = &mut patient.incident else { return };
        if incident.closed.is_some() {
            return;
        }
        incident.state = state;
        if let Some(key) = story {
            self.tell_story(id, StoryKind::Concluded, Sentence::new(key));
        }
        self.touch_incident(id);
    }

    pub(crate) fn bump_attempts(&mut self, id: &TargetId) {
        if let Some(patient) = self.patients.get_mut(id)
            && let Some(incident) = &mut patient.incident
            && incident.closed.is_none()
        {
            incident.attempts += 1;
        }
        self.touch_incident(id);
    }

    pub(crate) fn close_incident(
        &mut self,
        id: &TargetId,
        state: IncidentState,
        story: Option<&str>,
    ) {
        let now = self.now;
        let open = self
            .patients
            .get(id)
            .and_then(|patient| patient.incident.as_ref())
            .is_some_and(|incident| incident.closed.is_none());
        if !open {
            return;
        }
        if let Some(key) = story {
            let kind = match state {
                IncidentState::Verified | IncidentState::HealedItself => StoryKind::Proven,
                IncidentState::Open
                | IncidentState::Healing
                | IncidentState::GivenUp
                | IncidentState::Closed => StoryKind::Seen,
            };
            self.tell_story(id, kind, Sentence::new(key));
        }
        let Some(patient) = self.patients.get_mut(id) else { return };
        let Some(incident) = &mut patient.incident else { return };
        incident.state = state;
        incident.closed = Some(now.wall);
        if matches!(state, IncidentState::Verified | IncidentState::HealedItself) {
            incident.recovered_after_ms = Some(millis(now.awake.since(patient.opened)));
        }
        let incident = incident.clone();
        self.touch_incident(id);
        self.tell_closed(id, &incident);
    }

    // Notices.

    /// A problem is told when it has lasted: 30 s, or 60 s while a remedy is under way (R50, R51).
    pub(crate) fn tell_due(&mut self) {
        if self.is_waking() {
            return;
        }
        for id in self.notices.waiting() {
            let Some(due) = self.notice_due(&id) else { continue };
            // What the rates hold back stays waiting, and is told when they allow it.
            if self.now.awake >= due && self.tell_problem(&id) {
                self.notices.settle(&id);
            }
        }
        if self.notices.needs.is_empty() {
            return;
        }
        let given_up: Vec<TargetId> = self
            .patients
            .values()
            .filter(|patient| matches!(patient.phase, Phase::GivenUp { .. }))
            .filter(|patient| !self.may_be_due(patient))
            .filter(|patient| self.notices.must_remind(&patient.spec.id, self.now, &self.policy))
            .map(|patient| patient.spec.id.clone())
            .collect();
        for id in given_up {
            self.tell_needs_you(&id);
        }
    }

    pub(crate) fn next_notice(&self) -> Option<Awake> {
        if self.is_waking() {
            return None;
        }
        self.notices
            .waiting()
            .iter()
            .filter_map(|id| self.notice_due(id))
            .filter(|due| *due > self.now.awake)
            .min()
    }

    fn notice_due(&self, id: &TargetId) -> Option<Awake> {
        let opened = self.notices.opened_at(id)?;
        let patient = self.patients.get(id)?;
        if patient.inhibited_by.is_some() {
            return None;
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
        let lines = vec![cause_text(&incident.cause), cause_advice(&incident.cause)];
        self.tell(NoticeKind::Problem, id, Some(&incident), title, lines)
    }

    pub(crate) fn tell_needs_you(&mut self, id: &TargetId) {
        let Some(incident) = self.open_one(id) else { return };
        self.notices.settle(id);
        if !self.notices.needs_is_news(id, &incident.id, self.now, &self.policy) {
            return;
        }
        let title = Sentence::new("notice.needs_you").with("target", self.name(id));
        let lines = vec![cause_text(&incident.cause), cause_advice(&incident.cause)];
        self.tell(NoticeKind::NeedsYou, id, Some(&incident), title, lines);
    }

    /// It was told by the app that ran before this one (R55).
    pub(crate) fn told_before(&mut self, id: &TargetId) {
        let Some(incident) = self.open_one(id) else { return };
        self.notices.settle(id);
        self.notices.needs.insert(id.clone(), (incident.id, self.now.continuous));
    }

    /// Always told, once per container and hour (R50).
    pub(crate) fn tell_oom(&mut self, id: &TargetId, cause: &Cause) {
        let now = self.now.continuous;
        if !self.notices.oom_is_news(id, now) {
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
    fn tell_closed(&mut self, id: &TargetId, incident: &Incident) {
        self.notices.settle(id);
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
        let lines = vec![
            cause_text(&incident.cause),
            Sentence::new("notice.recovered_after").with("after", after),
        ];
        self.tell(NoticeKind::Recovered, id, Some(incident), title, lines);
    }

    pub(crate) fn tell_restart_rate(&mut self, id: &TargetId) {
        let count = self
            .patients
            .get(id)
            .map_or(0, |patient| u32::try_from(patient.account.restarts.len()).unwrap_or(u32::MAX));
        let title =
            Sentence::new("notice.restart_rate").with("target", self.name(id)).with("count", count);
        let incident = self.open_one(id);
        let lines = vec![Sentence::new("notice.restart_rate_advice")];
        self.tell(NoticeKind::RestartRate, id, incident.as_ref(), title, lines);
    }

    /// Something about Homeostat itself; at most once an hour each.
    pub(crate) fn tell_about_ourselves(&mut self, key: &'static str, reason: &str) {
        if !self.notices.own_is_news(key, self.now.continuous) {
            return;
        }
        self.orders.push(Order::Tell(Tell::Notice(Notice {
            kind: NoticeKind::Ourselves,
            target: TargetId::Host,
            cause: None,
            title: Sentence::new(key),
            lines: vec![Sentence::new("ourselves.reason").with("reason", reason)],
            incident: None,
        })));
    }

    fn tell(
        &mut self,
        kind: NoticeKind,
        id: &TargetId,
        incident: Option<&Incident>,
        title: Sentence,
        lines: Vec<Sentence>,
    ) -> bool {
        let now = self.now.continuous;
        let cause = incident.map(|incident| incident.cause.id);
        if !self.notices.allows(kind, id, cause, now, &self.policy) {
            return false;
        }
        self.orders.push(Order::Tell(Tell::Notice(Notice {
            kind,
            target: id.clone(),
            cause,
            title,
            lines,
            incident: incident.map(|incident| incident.id.clone()),
        })));
        true
    }

    fn open_one(&self, id: &TargetId) -> Option<Incident> {
        let incident = self.patients.get(id)?.incident.as_ref()?;
        incident.closed.is_none().then(|| incident.clone())
    }

    fn name(&self, id: &TargetId) -> String {
        self.patients.get(id).map_or_else(|| id.to_string(), |patient| patient.spec.name.clone())
    }
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

impl Notices {
    fn opened(&mut self, id: &TargetId, at: Awake) {
        self.waiting.insert(id.clone(), at);
    }

    /// An incident of the app that ran before this one.
    pub(crate) fn resumed(&mut self, id: &TargetId, at: Awake, is_new: bool) {
        if is_new {
            self.opened(id, at);
        } else {
            self.told.insert(id.clone());
        }
    }

    fn opened_at(&self, id: &TargetId) -> Option<Awake> {
        self.waiting.get(id).copied()
    }

    fn waiting(&self) -> Vec<TargetId> {
        self.waiting.keys().cloned().collect()
    }

    fn settle(&mut self, id: &TargetId) {
        self.waiting.remove(id);
    }

    /// Whether any problem of it was told; from now on none is open (R52).
    pub(crate) fn close(&mut self, id: &TargetId) -> bool {
        self.needs.remove(id);
        self.told.remove(id)
    }

    /// One incident needs a person once, and again after some hours (R53).
    fn needs_is_news(&mut self, id: &TargetId, incident: &str, now: Now, policy: &Policy) -> bool {
        let same = self.needs.get(id).is_some_and(|(known, _)| known == incident);
        if same && !self.must_remind(id, now, policy) {
            return false;
        }
        self.needs.insert(id.clone(), (incident.to_owned(), now.continuous));
        true
    }

    fn must_remind(&self, id: &TargetId, now: Now, policy: &Policy) -> bool {
        self.needs.get(id).is_some_and(|(_, told)| now.continuous.since(*told) >= policy.reminder)
    }

    fn oom_is_news(&mut self, id: &TargetId, now: Continuous) -> bool {
        once_an_hour(&mut self.ooms, id.clone(), now)
    }

    fn own_is_news(&mut self, key: &'static str, now: Continuous) -> bool {
        once_an_hour(&mut self.own, key, now)
    }

    /// R53: once per key in five minutes, six an hour. What needs a person is never held back by
    /// the hourly sum, and a recovery belongs to the problem it ends.
    fn allows(
        &mut self,
        kind: NoticeKind,
        id: &TargetId,
        cause: Option<CauseId>,
        now: Continuous,
        policy: &Policy,
    ) -> bool {
        if kind == NoticeKind::Recovered {
            return true;
        }
        let key = (kind, id.clone(), cause);
        let lately = self.last.get(&key).is_some_and(|last| now.since(*last) < policy.notice_every);
        self.hour.retain(|at| now.since(*at) < HOUR);
        let urgent = matches!(kind, NoticeKind::NeedsYou | NoticeKind::OutOfMemory);
        if lately || (self.hour.len() >= policy.notices_per_hour && !urgent) {
            return false;
        }
        self.last.retain(|_, at| now.since(*at) < HOUR);
        self.last.insert(key, now);
        self.hour.push_back(now);
        if cause.is_some() {
            self.told.insert(id.clone());
        }
        true
    }
}

fn once_an_hour<K: Ord>(told: &mut BTreeMap<K, Continuous>, key: K, now: Continuous) -> bool {
    told.retain(|_, at| now.since(*at) < HOUR);
    if told.contains_key(&key) {
        return false;
    }
    told.insert(key, now);
    true
}
