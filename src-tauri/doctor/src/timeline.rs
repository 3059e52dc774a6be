//! Who held how much memory, and how hard each model server worked, over time (A6, A7). What
//! happened at one moment on both is told by it: two servers share one GPU.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Wall, millis};
use crate::doctor::Doctor;
use crate::observation::MemoryGroup;
use crate::order::{Entry, Order, Record};
use crate::target::TargetId;

/// What is written down of one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemorySample {
    pub at: Wall,
    pub rows: Vec<MemoryRow>,
}

/// One owner at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryRow {
    /// As in the ledger: `ollama`, `mlx`, `docker`, `python`, a configured row, `others`.
    pub owner: String,
    /// None: only the work was read.
    pub bytes: Option<u64>,
    /// Per cent of one core, at most, in the minute that began then; model servers only.
    pub busy_percent: Option<u32>,
}

/// The last hours, in memory.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    owners: BTreeMap<String, VecDeque<(Wall, u64)>>,
    minutes: VecDeque<Minute>,
}

/// How hard each server worked, at most, in one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Minute {
    start: Wall,
    ollama: Option<u32>,
    mlx: Option<u32>,
}

const MINUTE: i64 = 60_000;
/// Growth is told over six hours; the oldest sample may be a little older.
const KEPT: Duration = Duration::from_mins(6 * 60 + 20);
const MINUTES_KEPT: usize = 60;
/// Full looks at the host are five minutes apart, or closer when memory runs short.
const APART: Duration = Duration::from_secs(50);
/// Rows of the ledger are few; a configuration could name many.
const OWNERS_KEPT: usize = 24;
/// A newest sample older than this says nothing about now.
const FRESH: Duration = Duration::from_mins(15);
/// Less is a server that only waits: such minutes are not worth a row each.
const WORKS: u32 = 5;

impl Timeline {
    /// By how much an owner has grown; none: there is no sample from about then.
    pub fn growth(&self, owner: &str, over: Duration, now: Wall) -> Option<i64> {
        let points = self.owners.get(owner)?;
        let (newest, bytes) = *points.back()?;
        if now.since(newest) > FRESH {
            return None;
        }
        let off = |at: Wall| now.since(at).abs_diff(over);
        let (then, before) = *points.iter().min_by_key(|(at, _)| off(*at))?;
        (off(then) <= over / 4).then(|| signed(bytes).saturating_sub(signed(before)))
    }

    /// Bytes in equal steps that end now, oldest first; none where nothing was read.
    pub fn history(
        &self,
        owner: &str,
        step: Duration,
        steps: usize,
        now: Wall,
    ) -> Vec<Option<u64>> {
        let mut slots = vec![None; steps];
        for (at, bytes) in self.owners.get(owner).into_iter().flatten() {
            if let Some(slot) = slot(now, *at, step, steps) {
                slots[slot] = Some(*bytes);
            }
        }
        slots
    }

    /// Per cent of one core in each of the last minutes, oldest first; none where it was not read.
    pub fn work(&self, server: &TargetId, steps: usize, now: Wall) -> Vec<Option<u32>> {
        let mut slots = vec![None; steps];
        let this = minute(now);
        for one in &self.minutes {
            if let Some(slot) = slot(this, one.start, Duration::from_mins(1), steps) {
                slots[slot] = one.of(server);
            }
        }
        slots
    }

    /// How hard a server worked within so long before and a minute after this; none: nobody read it.
    pub(crate) fn load(&self, server: &TargetId, at: Wall, before: Duration) -> Option<u32> {
        let first = minute(Wall(at.0.saturating_sub(length(before))));
        let last = Wall(minute(at).0.saturating_add(MINUTE));
        let within = self.minutes.iter().filter(|one| first <= one.start && one.start <= last);
        within.filter_map(|one| one.of(server)).max()
    }

    /// What an owner held when the ledger was last read.
    pub(crate) fn held(&self, owner: &str) -> Option<u64> {
        self.owners.get(owner)?.back().map(|(_, bytes)| *bytes)
    }

    /// False: the last one is only a moment ago.
    fn took_ledger(&mut self, groups: &[MemoryGroup], now: Wall) -> bool {
        let last = self.owners.values().filter_map(|points| points.back()).map(|(at, _)| *at).max();
        if last.is_some_and(|last| last <= now && now.since(last) < APART) {
            return false;
        }
        for group in groups {
            self.took_bytes(&group.name, group.bytes, now);
        }
        // What has no row any more holds nothing.
        let gone = |name: &String| !groups.iter().any(|group| group.name == *name);
        let names: Vec<String> = self.owners.keys().filter(|name| gone(name)).cloned().collect();
        for name in names {
            self.took_bytes(&name, 0, now);
        }
        let limit = Wall(now.0.saturating_sub(length(KEPT)));
        for points in self.owners.values_mut() {
            // A wall clock that was set back leaves a future that never was.
            points.retain(|(at, _)| limit <= *at && *at <= now);
        }
        self.owners.retain(|_, points| points.iter().any(|(_, bytes)| *bytes > 0));
        true
    }

    fn took_bytes(&mut self, owner: &str, bytes: u64, now: Wall) {
        if let Some(points) = self.owners.get_mut(owner) {
            points.push_back((now, bytes));
        } else if self.owners.len() < OWNERS_KEPT {
            self.owners.insert(owner.to_owned(), VecDeque::from([(now, bytes)]));
        }
    }

    /// The minute that is over by this, if a server worked in it.
    fn took_work(&mut self, server: &TargetId, percent: u32, now: Wall) -> Option<Minute> {
        let start = minute(now);
        self.minutes.retain(|one| one.start <= start);
        let over = self.minutes.back().copied().filter(|last| last.start < start);
        if self.minutes.back().is_none_or(|last| last.start < start) {
            self.minutes.push_back(Minute { start, ollama: None, mlx: None });
            if self.minutes.len() > MINUTES_KEPT {
                self.minutes.pop_front();
            }
        }
        if let Some(work) = self.minutes.back_mut().and_then(|last| last.of_mut(server)) {
            *work = Some(work.unwrap_or(0).max(percent));
        }
        over.filter(|one| one.ollama.max(one.mlx).is_some_and(|percent| percent >= WORKS))
    }

    /// What was written down before we were started anew.
    fn recall(&mut self, samples: Vec<MemorySample>, now: Wall) {
        for sample in samples.into_iter().filter(|sample| sample.at <= now) {
            for row in sample.rows {
                if let Some(bytes) = row.bytes {
                    self.took_bytes(&row.owner, bytes, sample.at);
                }
                if let (Some(percent), Ok(server)) = (row.busy_percent, row.owner.parse()) {
                    self.took_work(&server, percent, sample.at);
                }
            }
        }
    }
}

impl Minute {
    fn of(&self, server: &TargetId) -> Option<u32> {
        let mut copy = *self;
        *copy.of_mut(server)?
    }

    fn of_mut(&mut self, server: &TargetId) -> Option<&mut Option<u32>> {
        match server {
            TargetId::Ollama => Some(&mut self.ollama),
            TargetId::Mlx => Some(&mut self.mlx),
            TargetId::Host | TargetId::Docker | TargetId::Container(_) | TargetId::Service(_) => {
                None
            }
        }
    }

    fn rows(&self) -> Vec<MemoryRow> {
        let row = |owner: &str, busy: Option<u32>| {
            busy.map(|_| MemoryRow { owner: owner.into(), bytes: None, busy_percent: busy })
        };
        [row("ollama", self.ollama), row("mlx", self.mlx)].into_iter().flatten().collect()
    }
}

impl Doctor {
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// A full look at the host has told who holds what.
    pub(crate) fn note_memory(&mut self, groups: &[MemoryGroup]) {
        let now = self.now.wall;
        if groups.is_empty() || !self.timeline.took_ledger(groups, now) {
            return;
        }
        let row = |group: &MemoryGroup| MemoryRow {
            owner: group.name.clone(),
            bytes: Some(group.bytes),
            busy_percent: None,
        };
        self.write_sample(MemorySample { at: now, rows: groups.iter().map(row).collect() });
    }

    pub(crate) fn note_work(&mut self, server: &TargetId, percent: u32) {
        let over = self.timeline.took_work(server, percent, self.now.wall);
        if let Some(minute) = over {
            self.write_sample(MemorySample { at: minute.start, rows: minute.rows() });
        }
    }

    pub(crate) fn recall_memory(&mut self, samples: Vec<MemorySample>) {
        self.timeline.recall(samples, self.now.wall);
    }

    /// Apart from the ledger: nothing that is done waits for it.
    fn write_sample(&mut self, sample: MemorySample) {
        let (id, entry) = (self.next_id(), Some(Entry::Memory(sample)));
        self.orders.push(Order::Record(Record { id, ledger: None, entry }));
    }
}

fn minute(at: Wall) -> Wall {
    Wall(at.0.div_euclid(MINUTE) * MINUTE)
}

fn length(duration: Duration) -> i64 {
    i64::try_from(millis(duration)).unwrap_or(i64::MAX)
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Which of so many steps that end at `now` this lies in; the last one is the newest.
fn slot(now: Wall, at: Wall, step: Duration, steps: usize) -> Option<usize> {
    let age = now.0.checked_sub(at.0).filter(|age| *age >= 0)?;
    let back = usize::try_from(age / length(step).max(1)).ok()?;
    steps.checked_sub(back + 1)
}
