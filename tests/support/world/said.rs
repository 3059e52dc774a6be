//! Every sentence that the doctor says, with the names of its values: what a language must have
//! words for.

use std::collections::{BTreeMap, BTreeSet};

use doctor::{Cause, Doctor, Entry, Order, Response, Sentence, Tell};

/// Keys and the names of all values that ever came with them.
#[derive(Default)]
pub struct Said {
    pub sentences: BTreeMap<String, BTreeSet<String>>,
}

impl Said {
    pub fn hear(&mut self, doctor: &Doctor, orders: &[Order]) {
        for order in orders {
            match order {
                Order::Tell(Tell::Notice(notice)) => {
                    self.note(&notice.title);
                    notice.lines.iter().for_each(|line| self.note(line));
                }
                Order::Tell(Tell::Answer { response, .. }) => match response {
                    Response::Held(says) | Response::NotNow(says) | Response::Impossible(says) => {
                        self.note(says);
                    }
                    Response::Accepted { .. } | Response::Done => {}
                },
                Order::Record(record) => match &record.entry {
                    Some(Entry::Incident(incident)) => {
                        self.cause(&incident.cause);
                        incident.story.iter().for_each(|line| self.note(&line.says));
                    }
                    Some(Entry::Remedy(remedy)) => {
                        remedy.says.iter().for_each(|says| self.note(says));
                    }
                    Some(Entry::Restart(_) | Entry::Timing(_) | Entry::Memory(_)) | None => {}
                },
                Order::Look(_) | Order::Treat(_) => {}
            }
        }
        for patient in doctor.patients() {
            self.note(&patient.reason.says);
            if let Some(why) = doctor.why(&patient.spec.id) {
                why.changes.iter().for_each(|says| self.note(says));
                why.nothing_done.iter().for_each(|reason| self.note(&reason.says));
            }
        }
        for operation in doctor.operations() {
            operation.log.iter().for_each(|(_, says)| self.note(says));
        }
    }

    fn cause(&mut self, cause: &Cause) {
        cause.evidence.iter().for_each(|line| self.note(line));
        for part in ["text", "advice"] {
            let key = format!("cause.{}.{part}", cause.id);
            self.note(&Sentence { key, values: cause.says.values.clone() });
        }
    }

    fn note(&mut self, says: &Sentence) {
        if !self.sentences.contains_key(&says.key) {
            self.sentences.insert(says.key.clone(), BTreeSet::new());
        }
        if let Some(names) = self.sentences.get_mut(&says.key) {
            for name in says.values.keys() {
                if !names.contains(name) {
                    names.insert(name.clone());
                }
            }
        }
    }
}
