//! Telling: notices that neither nag nor stay silent (R49 to R57).

use std::time::Duration;

use crate::cause::Cause;
use crate::clock::Awake;
use crate::doctor::Doctor;
use crate::incident::{Incident, IncidentState};
use crate::ledger::Intent;
use crate::notice::{Notice, NoticeKind};
use crate::order::{Order, Tell};
use crate::phase::Phase;
use crate::sentence::Sentence;
use crate::target::TargetId;

impl Doctor {
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
            .filter(|patient| patient.inhibited_by.is_none() && !self.may_be_due(patient))
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
        let mut lines = vec![cause_text(&incident.cause)];
        lines.extend(self.affected(&incident));
        lines.push(cause_advice(&incident.cause));
        self.tell(NoticeKind::Problem, id, Some(&incident), title, lines)
    }

    pub(crate) fn tell_needs_you(&mut self, id: &TargetId) {
        let Some(incident) = self.open_one(id) else { return };
        self.notices.settle(id);
        if !self.notices.needs_is_news(id, &incident.id, self.now, &self.policy) {
            return;
        }
        let title = Sentence::new("notice.needs_you").with("target", self.name(id));
        let mut lines = vec![cause_text(&incident.cause)];
        lines.extend(self.affected(&incident));
        lines.push(cause_advice(&incident.cause));
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
        if !self.notices.oom_is_news(id, now) || self.root_of(id, cause.id).is_some() {
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

    pub(crate) fn name(&self, id: &TargetId) -> String {
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
