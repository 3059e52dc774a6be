//! Delivery: what the desktop could not show is kept and tried again, without a loop (R52, fault 61).

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Awake;
use crate::doctor::Doctor;
use crate::notice::{Notice, NoticeId, NoticeKind};
use crate::order::{Order, Tell};

/// So many of the last ones are remembered, should their failure be reported.
const SENT: usize = 64;
/// More than this wait for nobody.
const PENDING: usize = 20;
/// What could not be shown for so long is no news any more, unless its problem is still open.
const NEWS: Duration = Duration::from_hours(1);

/// What was handed over, and what came back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Post {
    sent: VecDeque<Sent>,
    pending: VecDeque<(Sent, Awake)>,
}

#[derive(Clone, Debug)]
struct Sent {
    notice: Notice,
    tries: u32,
    first: Awake,
}

impl Doctor {
    /// Notices that could not be shown and wait for another try.
    pub fn undelivered(&self) -> usize {
        self.notices.post.pending.len()
    }

    /// It was not shown, so its problem counts as not told.
    pub(crate) fn notice_failed(&mut self, id: NoticeId) {
        let now = self.now.awake;
        let (every, cap) = (self.policy.notice_every, self.policy.reminder);
        let post = &mut self.notices.post;
        let Some(at) = post.sent.iter().position(|sent| sent.notice.id == id) else { return };
        let Some(sent) = post.sent.remove(at) else { return };
        let next = now + (every * 2u32.saturating_pow(sent.tries.min(8))).min(cap);
        while post.pending.len() >= PENDING {
            post.pending.pop_front();
        }
        if ends_with_a_recovery(sent.notice.kind) {
            self.notices.told.remove(&sent.notice.target);
        }
        post.pending.push_back((Sent { tries: sent.tries + 1, ..sent }, next));
    }

    /// Hands a notice over; what failed before is tried again with it.
    pub(crate) fn post(&mut self, notice: Notice) {
        let now = self.now.awake;
        for (_, next) in &mut self.notices.post.pending {
            *next = now;
        }
        self.send(Sent { notice, tries: 0, first: now });
    }

    pub(crate) fn post_again(&mut self) {
        let now = self.now.awake;
        let pending = &mut self.notices.post.pending;
        if pending.iter().all(|(_, next)| *next > now) {
            return;
        }
        let waiting = std::mem::take(pending).into_iter();
        let (due, later): (VecDeque<_>, VecDeque<_>) = waiting.partition(|(_, next)| *next <= now);
        *pending = later;
        for (sent, _) in due {
            if self.still_holds(&sent) {
                self.send(sent);
            }
        }
    }

    pub(crate) fn next_post(&self) -> Option<Awake> {
        self.notices.post.pending.iter().map(|(_, next)| *next).min()
    }

    fn send(&mut self, sent: Sent) {
        let notice = sent.notice.clone();
        if ends_with_a_recovery(notice.kind) && notice.cause.is_some() {
            self.notices.told.insert(notice.target.clone());
        }
        let post = &mut self.notices.post;
        post.sent.push_back(sent);
        while post.sent.len() > SENT {
            post.sent.pop_front();
        }
        self.orders.push(Order::Tell(Tell::Notice(notice)));
    }

    /// A problem that is still open, or an end that is still news.
    fn still_holds(&self, sent: &Sent) -> bool {
        self.still_open(&sent.notice).unwrap_or(self.now.awake.since(sent.first) < NEWS)
    }

    /// Whether the problem that it tells of is still open; none: it tells of no problem.
    pub(crate) fn still_open(&self, notice: &Notice) -> Option<bool> {
        let incident = notice.incident.as_ref().filter(|_| ends_with_a_recovery(notice.kind))?;
        Some(self.open_one(&notice.target).is_some_and(|open| open.id == *incident))
    }
}

/// A problem that was told is told to be over, too (R52).
fn ends_with_a_recovery(kind: NoticeKind) -> bool {
    match kind {
        NoticeKind::Problem
        | NoticeKind::OutOfMemory
        | NoticeKind::NeedsYou
        | NoticeKind::RestartRate
        | NoticeKind::Flapping => true,
        NoticeKind::Recovered
        | NoticeKind::Held
        | NoticeKind::CloudCalls
        | NoticeKind::Digest
        | NoticeKind::Ourselves => false,
    }
}
