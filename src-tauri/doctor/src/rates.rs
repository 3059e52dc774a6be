//! What was told and when: the memory behind the rates of notices (R50 to R53).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::cause::CauseId;
use crate::clock::{Awake, Continuous, Now};
use crate::notice::{Notice, NoticeKind};
use crate::policy::Policy;
use crate::target::TargetId;

pub(crate) const HOUR: Duration = Duration::from_hours(1);
/// More things than this are not counted for one digest.
const HELD_BACK: usize = 200;

/// What was told, and what is still to be told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notices {
    /// Opened incidents that have not been told yet.
    waiting: BTreeMap<TargetId, Awake>,
    /// Problems that were told and not yet closed (R52).
    pub(crate) told: BTreeSet<TargetId>,
    /// Which incident was said to need a person, and when.
    needs: BTreeMap<TargetId, (String, Continuous)>,
    last: BTreeMap<(NoticeKind, TargetId, Option<CauseId>), Continuous>,
    /// What was told within the hour, and whether it was urgent.
    hour: VecDeque<(Continuous, bool)>,
    own: BTreeMap<&'static str, Continuous>,
    held_back: HeldBack,
    /// Made while the machine was waking; told after it (R42, R55).
    pub(crate) deferred: Vec<Notice>,
    pub(crate) post: crate::delivery::Post,
}

/// More than the rates allow: summed up in one notice (R53).
#[derive(Clone, Debug, Default)]
struct HeldBack {
    targets: Vec<TargetId>,
    /// Something among it should not wait for the hour's end: since when.
    urgent: Option<Continuous>,
    last: Option<Continuous>,
}

/// What the rates say to a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    Tell,
    /// The same was told a moment ago: ask again later.
    Wait,
    /// Too much was told this hour: it goes into the digest.
    Digest,
    /// A repair that nobody noticed is not worth a place among what people must know.
    Drop,
}

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

    /// It needs nobody any more, whatever was told of it.
    pub(crate) fn needs_nobody(&mut self, id: &TargetId) {
        self.needs.remove(id);
    }

    /// It was said to need a person, by this app or the one that ran before it (R55).
    pub(crate) fn needed(&mut self, id: &TargetId, incident: String, now: Continuous) {
        self.needs.insert(id.clone(), (incident, now));
    }

    /// Somebody is needed somewhere.
    pub(crate) fn needs_anybody(&self) -> bool {
        !self.needs.is_empty()
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
        self.needed(id, incident.to_owned(), now.continuous);
        true
    }

    pub(crate) fn must_remind(&self, id: &TargetId, now: Now, policy: &Policy) -> bool {
        self.needs.get(id).is_some_and(|(_, told)| now.continuous.since(*told) >= policy.reminder)
    }

    pub(crate) fn own_is_news(&mut self, key: &'static str, now: Continuous) -> bool {
        once_an_hour(&mut self.own, key, now)
    }

    /// R53: once per key in five minutes, six an hour. What needs a person has six of its own, the
    /// end of a problem that was told belongs to that problem, and quiet words leave half the room.
    pub(crate) fn leave(&mut self, notice: &Notice, now: Continuous, policy: &Policy) -> Leave {
        if matches!(notice.kind, NoticeKind::Ourselves | NoticeKind::Digest)
            || (notice.kind == NoticeKind::Recovered && !notice.quiet)
        {
            return Leave::Tell;
        }
        let key = (notice.kind, notice.target.clone(), notice.cause);
        if self.last.get(&key).is_some_and(|last| now.since(*last) < policy.notice_every) {
            return Leave::Wait;
        }
        self.hour.retain(|(at, _)| now.since(*at) < HOUR);
        if notice.quiet && self.hour.len() >= policy.notices_per_hour / 2 {
            return Leave::Drop;
        }
        let urgent = is_urgent(notice.kind);
        let before = self.hour.iter().filter(|(_, was_urgent)| !urgent || *was_urgent).count();
        if before >= policy.notices_per_hour {
            return Leave::Digest;
        }
        self.last.retain(|_, at| now.since(*at) < HOUR);
        self.last.insert(key, now);
        self.hour.push_back((now, urgent));
        Leave::Tell
    }

    pub(crate) fn hold_back(&mut self, notice: &Notice, now: Continuous) {
        if self.held_back.targets.len() < HELD_BACK {
            self.held_back.targets.push(notice.target.clone());
        }
        if is_urgent(notice.kind) {
            self.held_back.urgent.get_or_insert(now);
        }
    }

    /// When the digest of what was held back is told: when the hour has room again, sooner when
    /// something urgent is among it.
    pub(crate) fn digest_due(&self, policy: &Policy) -> Option<Continuous> {
        if self.held_back.targets.is_empty() {
            return None;
        }
        let since = |at: Continuous, wait: Duration| at + wait;
        if let Some(urgent) = self.held_back.urgent {
            let again = self.held_back.last.map(|last| since(last, policy.notice_every));
            return Some(since(urgent, policy.notice_after).max(again.unwrap_or_default()));
        }
        let room = self.hour.front().map(|(at, _)| since(*at, HOUR));
        let again = self.held_back.last.map(|last| since(last, HOUR));
        Some(room.unwrap_or_default().max(again.unwrap_or_default()))
    }

    /// What goes into the digest; from now on nothing is held back.
    pub(crate) fn take_digest(&mut self, now: Continuous) -> Vec<TargetId> {
        let held_back = std::mem::take(&mut self.held_back);
        self.held_back.last = Some(now);
        self.hour.push_back((now, false));
        held_back.targets
    }
}

/// Told at once, and not held back by what else there was to tell.
fn is_urgent(kind: NoticeKind) -> bool {
    match kind {
        NoticeKind::NeedsYou | NoticeKind::OutOfMemory => true,
        NoticeKind::Problem
        | NoticeKind::Recovered
        | NoticeKind::RestartRate
        | NoticeKind::Flapping
        | NoticeKind::Held
        | NoticeKind::CloudCalls
        | NoticeKind::Digest
        | NoticeKind::Ourselves => false,
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
