//! The event stream: who listens, what is kept, and how it goes out.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc::{self, Receiver, Sender, error::TrySendError};

use super::container::{Container, nanoseconds};

const KEPT: usize = 256;
const ROOM: usize = 1024;
const TAKEN_WITHIN: Duration = Duration::from_millis(100);

/// How events reach their listeners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    #[default]
    Plain,
    /// Each group the wrong way round: `die` before `oom`, which come from different tasks in the
    /// engine.
    Reversed,
    Twice,
    /// In pieces of so many bytes, without regard to where an event ends.
    InPieces(usize),
    /// Not at all, though the stream is open: it stalls.
    Never,
}

/// A piece of an answer; an error breaks the connection off.
pub(super) type Piece = io::Result<String>;

#[derive(Default)]
pub(super) struct Stream {
    pub(super) delivery: Delivery,
    pub(super) dropped: usize,
    kept: VecDeque<(i64, String)>,
    listeners: Vec<Sender<Piece>>,
    /// No two events have the same time.
    last: i64,
}

impl Stream {
    /// What is kept since then, nanoseconds, and all that comes.
    pub(super) fn listen(&mut self, since: Option<i64>) -> Receiver<Piece> {
        let (sender, receiver) = mpsc::channel(ROOM);
        let replayed = since.into_iter().flat_map(|since| {
            self.kept.iter().filter(move |(at, _)| *at >= since).map(|(_, text)| text.clone())
        });
        for text in replayed.collect::<Vec<_>>() {
            // There is room for all that is kept.
            let _ = sender.try_send(Ok(text));
        }
        self.listeners.push(sender);
        receiver
    }

    pub(super) fn tell(&mut self, container: &Container, actions: &[&str]) {
        let mut actions = actions.to_vec();
        if self.delivery == Delivery::Reversed {
            actions.reverse();
        }
        for action in actions {
            let at = self.next_time();
            let text = container.event(action, at);
            self.kept.push_back((nanoseconds(at), text.clone()));
            if self.kept.len() > KEPT {
                self.kept.pop_front();
            }
            match self.delivery {
                Delivery::Plain | Delivery::Reversed => self.send(&text),
                Delivery::Twice => {
                    self.send(&text);
                    self.send(&text);
                }
                Delivery::InPieces(length) => {
                    for piece in text.as_bytes().chunks(length.max(1)) {
                        self.send(&String::from_utf8_lossy(piece));
                    }
                }
                Delivery::Never => {}
            }
        }
    }

    pub(super) fn break_off(&mut self) {
        let half = r#"{"Type":"container","Action":"di"#;
        self.send(half);
        self.send_piece(&|| Err(io::ErrorKind::ConnectionReset.into()));
        self.listeners.clear();
    }

    pub(super) fn close(&mut self) {
        self.listeners.clear();
    }

    fn next_time(&mut self) -> Timestamp {
        let now = Timestamp::now();
        self.last = nanoseconds(now).max(self.last + 1);
        Timestamp::from_nanosecond(i128::from(self.last)).unwrap_or(now)
    }

    fn send(&mut self, text: &str) {
        self.send_piece(&|| Ok(text.to_owned()));
    }

    fn send_piece(&mut self, piece: &dyn Fn() -> Piece) {
        let mut dropped = 0;
        self.listeners.retain(|listener| {
            let began = Instant::now();
            let mut piece = piece();
            loop {
                match listener.try_send(piece) {
                    Ok(()) => return true,
                    Err(TrySendError::Closed(_)) => return false,
                    Err(TrySendError::Full(_)) if began.elapsed() >= TAKEN_WITHIN => {
                        dropped += 1;
                        return true;
                    }
                    Err(TrySendError::Full(back)) => {
                        piece = back;
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            }
        });
        self.dropped += dropped;
    }
}
