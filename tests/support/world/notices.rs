//! P8: what is told unasked keeps its rates, and every problem that was told is closed once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use doctor::{
    CauseId, Continuous, Doctor, Incident, IncidentState, Notice, NoticeId, NoticeKind, Order,
    TargetId, Tell,
};

const FIVE_MINUTES_S: u64 = 300;
const HOUR_S: u64 = 3600;
const AN_HOUR: usize = 6;

/// What was told, and when.
#[derive(Default)]
pub struct Notices {
    last: BTreeMap<(NoticeKind, TargetId, Option<CauseId>), Continuous>,
    hour: VecDeque<(Continuous, bool)>,
    /// Incidents of which something was told.
    told: BTreeSet<String>,
    /// Incidents of which the recovery was told.
    closed: BTreeSet<String>,
    /// Targets of which something was told that has not been said to be over.
    open: BTreeSet<TargetId>,
    seen: BTreeSet<NoticeId>,
}

impl Notices {
    /// A new doctor has no memory of rates, but incidents go on. Whether one was told is not on
    /// disk, so those that are open count as told (R55).
    pub fn forget_doctor(&mut self, open: &[Incident]) {
        for incident in open {
            // That it ended never reached the disk: it ends once more.
            self.closed.remove(&incident.id);
        }
        self.told.extend(open.iter().map(|incident| incident.id.clone()));
        self.open.extend(open.iter().map(|incident| incident.target.clone()));
        self.last.clear();
        self.hour.clear();
        self.seen.clear();
    }

    pub fn check(&mut self, doctor: &Doctor, orders: &[Order], now: Continuous) {
        for order in orders {
            if let Order::Tell(Tell::Notice(notice)) = order {
                self.one(doctor, notice, now);
            }
        }
    }

    fn one(&mut self, doctor: &Doctor, notice: &Notice, now: Continuous) {
        if !self.seen.insert(notice.id) {
            // It could not be shown, and is tried again.
            return;
        }
        let id = &notice.target;
        if notice.kind == NoticeKind::Recovered {
            self.recovery(doctor, notice);
            return;
        }
        if let Some(incident) = &notice.incident {
            self.told.insert(incident.clone());
            self.open.insert(id.clone());
        }
        if notice.kind == NoticeKind::Ourselves {
            return;
        }
        let key = (notice.kind, id.clone(), notice.cause);
        let before = self.last.insert(key, now).map(|before| now.since(before).as_secs());
        assert!(
            before.is_none_or(|before| before >= FIVE_MINUTES_S),
            "P8: {:?} of {id} is told again after {before:?} s",
            notice.kind
        );
        if notice.kind == NoticeKind::Digest {
            return;
        }
        // What cannot wait has six of its own.
        let urgent = matches!(notice.kind, NoticeKind::NeedsYou | NoticeKind::OutOfMemory);
        self.hour.retain(|(at, _)| now.since(*at).as_secs() < HOUR_S);
        let before = self.hour.iter().filter(|(_, was)| !urgent || *was).count();
        assert!(before < AN_HOUR, "P8: more than six notices in an hour");
        self.hour.push_back((now, urgent));
    }

    /// R51, R52: a problem that was told ends once; of one that was not, only a proven remedy.
    fn recovery(&mut self, doctor: &Doctor, notice: &Notice) {
        let id = &notice.target;
        if notice.title.key == "notice.settled" {
            // R54: what was told of it while it flapped is over, whichever incident was the last.
            assert!(self.open.remove(id), "P8: {id} has settled and was never told to be unwell");
            return;
        }
        let incident = notice.incident.clone().unwrap_or_default();
        let told = self.told.contains(&incident);
        let verified = doctor
            .patient(id)
            .and_then(|patient| patient.incident.as_ref())
            .is_some_and(|one| one.id == incident && one.state == IncidentState::Verified);
        assert!(told || verified, "P8: {id} has recovered from what was never told");
        assert!(self.closed.insert(incident), "P8: {id} has recovered twice");
        self.open.remove(id);
    }
}
