//! Looks that fail though nothing is wrong, and what tells a needed remedy from a wrong one.

use std::collections::VecDeque;

use doctor::{Answer, Body, Observation, Reply, Step, Treatment};

use super::World;
use super::servers::Answers;

/// One look in so many fails, each by its own dice.
#[derive(Clone, Debug)]
pub struct Noise {
    pub one_in: u64,
    state: u64,
}

impl Noise {
    pub fn new(seed: u64, one_in: u64) -> Self {
        Self { one_in, state: seed | 1 }
    }

    fn dice(&mut self, sides: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % sides
    }

    /// What the look brings, and after how long, when it is this one's turn to fail.
    pub fn spoil(&mut self, observation: Observation, took: u64) -> (Observation, u64) {
        if self.dice(self.one_in) != 0 {
            return (observation, took);
        }
        let reply = match self.dice(9) {
            0 => Reply::Silent,
            1 => Reply::Stalled,
            2 => Reply::ConnectTimeout,
            3 => Reply::Reset,
            4 => Reply::Empty,
            5 => Reply::Refused,
            6 => Reply::Malformed { reason: "broken chunk".into() },
            7 => Reply::Status { code: 500, body: Body::Other },
            _ => Reply::Status { code: 200, body: Body::Garbage },
        };
        brings(observation, took, reply)
    }
}

/// The look as it would be had the answer been this one.
pub fn brings(observation: Observation, took: u64, reply: Reply) -> (Observation, u64) {
    match observation {
        Observation::Ollama(mut seen) => {
            let took = answers(&mut seen.version, reply);
            (seen.product_version, seen.installed, seen.loaded) = (None, None, None);
            (Observation::Ollama(seen), took)
        }
        Observation::Mlx(mut seen) => {
            seen.asked.truncate(1);
            seen.models = None;
            let took = seen.asked.first_mut().map_or(took, |answer| answers(answer, reply));
            (Observation::Mlx(seen), took)
        }
        Observation::Service(mut answer) => {
            let took = answers(&mut answer.answer, reply);
            (Observation::Service(answer), took)
        }
        Observation::Docker(mut seen) => {
            let took = answers(&mut seen.ping, reply);
            (seen.engine, seen.containers) = (None, None);
            (Observation::Docker(seen), took)
        }
        other
        @ (Observation::Host(_) | Observation::Container(_) | Observation::Unasked { .. }) => {
            (other, took)
        }
    }
}

fn answers(answer: &mut Answer, reply: Reply) -> u64 {
    answer.took_ms = match reply {
        Reply::Silent | Reply::Stalled => 5_000,
        Reply::ConnectTimeout => 1_000,
        Reply::Refused
        | Reply::Unreachable { .. }
        | Reply::Reset
        | Reply::Empty
        | Reply::Malformed { .. }
        | Reply::TooLarge
        | Reply::Status { .. } => 4,
    };
    answer.reply = reply;
    answer.took_ms
}

/// `well`, `500`, `silence`, `refusal`, `garbage`: what a coming look brings; `well` leaves it as it
/// is.
pub fn foretold(words: &str) -> Result<VecDeque<Option<Reply>>, String> {
    let one = |word: &str| match word {
        "well" => Ok(None),
        "silence" => Ok(Some(Reply::Silent)),
        "refusal" => Ok(Some(Reply::Refused)),
        "garbage" => Ok(Some(Reply::Status { code: 200, body: Body::Garbage })),
        other => match other.parse() {
            Ok(code) => Ok(Some(Reply::Status { code, body: Body::Other })),
            Err(_) => Err(format!("`{other}` is nothing that a look brings")),
        },
    };
    words.split(", ").map(one).collect()
}

impl World {
    /// Panics where something that is well would be interrupted.
    pub(super) fn is_needed(&self, treatment: &Treatment) {
        let id = &treatment.target;
        let what = &treatment.what;
        let well = if let Step::Terminate(process) | Step::Kill(process) = what {
            self.server(id).is_some_and(|server| {
                let same = server.process.as_ref().is_some_and(|one| one.seen.id == *process);
                same && matches!(server.answers, Answers::Well | Answers::Late(_))
            })
        } else if let Step::StopContainer { id, .. } = what {
            let inside = self.services.values().filter(|service| {
                let container = service.container.as_ref();
                container
                    .and_then(|name| self.containers.get(name))
                    .is_some_and(|container| container.seen.id == *id && container.is_running())
            });
            let mut inside = inside.peekable();
            inside.peek().is_some()
                && inside.all(|service| matches!(service.reply, Reply::Status { code: 200, .. }))
        } else if let Step::StartContainer { id } = what {
            self.containers.values().any(|one| one.seen.id == *id && one.is_running())
        } else {
            false
        };
        assert!(!well, "{id} is well, and {what:?} was ordered");
    }
}
