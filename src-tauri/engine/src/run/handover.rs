//! Other healers, as the loop sees them: named, left alone, and at a person's wish ended or put back (C12).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use doctor::{Event, Sentence};
use tokio::sync::mpsc;

use super::Loop;
use crate::api;
use crate::clock;
use crate::handle::Handover;
use crate::healers::takeover::{self, Taken};
use crate::healers::{self, Healer};
use crate::paths::Paths;
use crate::platform;
use crate::view::Takeover;
use crate::words::Words;

/// What was put back may take so long until it listens, before we try that port again ourselves.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);

/// What came of looking or acting beside the loop.
pub(super) enum News {
    Found { healers: Vec<Healer>, crontab: bool },
    Done(Result<(), String>),
}

pub(super) struct Handovers {
    found: Vec<Healer>,
    taken: Option<Taken>,
    /// One at a time.
    working: bool,
    problem: Option<String>,
    file: PathBuf,
    log: PathBuf,
    news: mpsc::Sender<News>,
}

impl Handovers {
    pub(super) fn new(paths: &Paths) -> (Self, mpsc::Receiver<News>) {
        let (news, heard) = mpsc::channel(8);
        let file = paths.taken();
        let log = paths.logs().join("given-back.log");
        let taken = Taken::load(&file);
        let found = Vec::new();
        (Self { found, taken, working: false, problem: None, file, log, news }, heard)
    }

    /// What is told of it; none: nothing.
    pub(super) fn drawn(&self, words: &Words) -> Option<Takeover> {
        let others: Vec<String> = self.found.iter().map(Healer::name).collect();
        let ends = self.found.iter().any(Healer::can_be_ended);
        let heals = self.found.iter().any(Healer::heals);
        let names = self.taken.as_ref().map(Taken::names).unwrap_or_default();
        let says = match (&self.problem, heals, others.is_empty(), &self.taken) {
            (Some(problem), ..) => {
                Sentence::new("ourselves.healers_failed").with("reason", problem.as_str())
            }
            (None, true, ..) => {
                Sentence::new("why.other_healers").with("names", self.at_hand().join(", "))
            }
            (None, false, false, _) => Sentence::new("ourselves.healers_cron"),
            (None, false, true, Some(_)) => {
                Sentence::new("ourselves.healers_taken").with("names", names.join(", "))
            }
            (None, false, true, None) => return None,
        };
        let take = ends.then(|| "take_over".to_owned()).filter(|_| !self.working);
        let give = self.taken.as_ref().map(|_| "give_back".to_owned()).filter(|_| !self.working);
        let can = take.into_iter().chain(give).collect();
        Some(Takeover { text: words.sentence(&says), others, can })
    }

    /// A process that has ended holds nothing back any more. Whether one was struck out.
    fn strike_out_ended(&mut self) -> bool {
        let before = self.found.len();
        self.found.retain(Healer::is_there);
        self.found.len() != before
    }

    fn at_hand(&self) -> Vec<String> {
        self.found.iter().filter(|one| one.heals()).map(Healer::name).collect()
    }
}

impl Loop {
    /// Before anything is decided: what ended since the last look for them blocks nothing.
    pub(super) fn forget_ended_healers(&mut self) {
        if self.handover.strike_out_ended() {
            tracing::info!(left = ?self.handover.at_hand(), "another healer has ended");
            let names = self.handover.at_hand();
            let mut orders = self.doctor.handle(Event::OtherHealers { names }, clock::now());
            self.carry_out(&mut orders);
        }
    }

    /// With `crontab`, which forks: at the start and at a person's word, never on a timer.
    pub(super) fn look_for_healers(&self, crontab: bool) {
        let news = self.handover.news.clone();
        tokio::spawn(async move {
            let healers = healers::found(crontab).await;
            // The loop has ended when nobody listens.
            let _ = news.send(News::Found { healers, crontab }).await;
        });
    }

    pub(super) fn hand_over(&mut self, what: Handover) {
        if std::mem::replace(&mut self.handover.working, true) {
            return;
        }
        tracing::info!(?what, "a person has asked for it");
        self.handover.problem = None;
        let (news, file) = (self.handover.news.clone(), self.handover.file.clone());
        let log = self.handover.log.clone();
        let doors: Vec<u16> = self.api.as_ref().map(api::Serving::wanted_ports).unwrap_or_default();
        let api = match what {
            Handover::TakeOver => None,
            // Whoever listened there before needs its port.
            Handover::GiveBack => self.api.take(),
        };
        tokio::spawn(async move {
            let done = match what {
                Handover::TakeOver => {
                    let found = healers::found(false).await;
                    takeover::take(&found, &file).await
                }
                Handover::GiveBack => {
                    if let Some(api) = api {
                        api.stop().await;
                    }
                    let waits = Taken::load(&file).is_some_and(|taken| !taken.is_empty());
                    let done = takeover::give_back(&file, &log).await;
                    if waits && done.is_ok() {
                        await_listener(&doors).await;
                    }
                    done
                }
            };
            let _ = news.send(News::Done(done)).await;
        });
    }

    pub(super) async fn handed_over(&mut self, news: News) {
        match news {
            News::Found { mut healers, crontab } => {
                if !crontab {
                    let before = self.handover.found.iter();
                    let lines = before.filter(|one| matches!(one, Healer::Cron(_))).cloned();
                    healers.extend(lines);
                }
                self.healers_are(healers);
            }
            News::Done(done) => {
                self.handover.working = false;
                self.handover.taken = Taken::load(&self.handover.file);
                if let Err(problem) = done {
                    tracing::warn!(problem, "the hand-over did not work");
                    self.handover.problem = Some(problem);
                }
                match &self.api {
                    Some(api) => api.try_again(),
                    None => self.serve().await,
                }
                self.look_for_healers(true);
            }
        }
    }

    /// Until they are ended at a person's wish, nothing is done unasked. A line of a crontab is named
    /// and holds nothing back: only its script does, while it is at work.
    fn healers_are(&mut self, healers: Vec<Healer>) {
        // The look itself took a moment.
        let healers: Vec<Healer> = healers.into_iter().filter(Healer::is_there).collect();
        if healers != self.handover.found {
            let others: Vec<String> = healers.iter().map(Healer::name).collect();
            tracing::info!(?others, "other healers");
        }
        self.handover.found = healers;
        self.handle(Event::OtherHealers { names: self.handover.at_hand() });
    }
}

async fn await_listener(ports: &[u16]) {
    let began = Instant::now();
    let ports = ports.to_vec();
    let waiting = tokio::task::spawn_blocking(move || {
        while began.elapsed() < LISTENS_WITHIN
            && !ports.iter().any(|port| platform::is_listening(*port))
        {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let _ = waiting.await;
}
