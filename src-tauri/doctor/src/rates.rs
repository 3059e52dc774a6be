//! What was told and when: the memory behind the rates of notices (R52, R53).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cause::CauseId;
use crate::clock::{Awake, Continuous, Now};
use crate::notice::{NoticeKind, Notices};
use crate::policy::Policy;
use crate::target::TargetId;

const HOUR: Duration = Duration::from_hours(1);

impl Notices {
    pub(crate) fn opened(&mut self, id: &TargetId, at: Awake) {
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

    pub(crate) fn opened_at(&self, id: &TargetId) -> Option<Awake> {
        self.waiting.get(id).copied()
    }

    pub(crate) fn waiting(&self) -> Vec<TargetId> {
        self.waiting.keys().cloned().collect()
    }

    pub(crate) fn settle(&mut self, id: &TargetId) {
        self.waiting.remove(id);
    }

    /// Whether any problem of it was told; from now on none is open (R52).
    pub(crate) fn close(&mut self, id: &TargetId) -> bool {
        self.needs.remove(id);
        self.told.remove(id)
    }

    /// One incident needs a person once, and again after some hours (R53).
    pub(crate) fn needs_is_news(
        &mut self,
        id: &TargetId,
        incident: &str,
        now: Now,
        policy: &Policy,
    ) -> bool {
        let same = self.needs.get(id).is_some_and(|(known, _)| known == incident);
        if same && !self.must_remind(id, now, policy) {
            return false;
        }
        self.needs.insert(id.clone(), (incident.to_owned(), now.continuous));
        true
    }

    pub(crate) fn must_remind(&self, id: &TargetId, now: Now, policy: &Policy) -> bool {
        self.needs.get(id).is_some_and(|(_, told)| now.continuous.since(*told) >= policy.reminder)
    }

    pub(crate) fn oom_is_news(&mut self, id: &TargetId, now: Continuous) -> bool {
        once_an_hour(&mut self.ooms, id.clone(), now)
    }

    pub(crate) fn own_is_news(&mut self, key: &'static str, now: Continuous) -> bool {
        once_an_hour(&mut self.own, key, now)
    }

    /// R53: once per key in five minutes, six an hour. What needs a person is never held back by
    /// the hourly sum, and a recovery belongs to the problem it ends.
    pub(crate) fn allows(
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
