//! What one look means for the target that was asked (RECOVERY 1.3, R8).

use crate::observation::{Answer, Body, MlxSeen, MlxServer, OllamaSeen, Reply, ServiceSeen};

/// What the engine answers a ping with.
const SUCCESS: [u16; 2] = [200, 204];

/// The class of one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good {
        took_ms: u64,
    },
    /// It answers, and something of it does not work; no restart follows from it.
    Impaired,
    /// It answers, and the last request for a token failed; whether it does so again is awaited.
    Suspect,
    /// It answers, and a request for a token has just failed (R5).
    Wedged,
    /// Leads to `down` when it repeats and is confirmed.
    Hard,
    /// Never leads to a restart by itself.
    Soft,
    /// Overloaded by honest work: never restarted.
    Busy,
    /// It lives, but answers none of the known paths, or refuses us.
    Misplaced,
    /// The port belongs to another program: never touched.
    WrongOwner,
    /// We learnt nothing about the target.
    Nothing,
}

impl Verdict {
    /// The same verdict, however long the answer took.
    pub(crate) fn kind(self) -> Self {
        match self {
            Self::Good { .. } => Self::Good { took_ms: 0 },
            Self::Impaired
            | Self::Suspect
            | Self::Wedged
            | Self::Hard
            | Self::Soft
            | Self::Busy
            | Self::Misplaced
            | Self::WrongOwner
            | Self::Nothing => self,
        }
    }
}

/// Transport failures are the same for every kind of target.
fn transport(reply: &Reply) -> Option<Verdict> {
    match reply {
        Reply::Refused
        | Reply::ConnectTimeout
        | Reply::Silent
        | Reply::Stalled
        | Reply::Reset
        | Reply::Empty => Some(Verdict::Hard),
        Reply::Malformed { .. } | Reply::TooLarge => Some(Verdict::Soft),
        Reply::Unreachable { .. } => Some(Verdict::Nothing),
        Reply::Status { .. } => None,
    }
}

pub(crate) fn ollama(seen: &OllamaSeen) -> Verdict {
    let Reply::Status { code, body } = &seen.version.reply else {
        return transport(&seen.version.reply).unwrap_or(Verdict::Nothing);
    };
    match (code, body) {
        (200..=299, Body::Expected) => Verdict::Good { took_ms: seen.version.took_ms },
        (200..=299, Body::Garbage) => Verdict::Soft,
        (200..=299, Body::Other) => Verdict::WrongOwner,
        (401 | 403, _) => Verdict::Misplaced,
        (429 | 503, _) => Verdict::Busy,
        (500..=599, _) => Verdict::Soft,
        _ => Verdict::WrongOwner,
    }
}

pub(crate) fn mlx(seen: &MlxSeen) -> Verdict {
    if seen.server == MlxServer::Ollama {
        return Verdict::WrongOwner;
    }
    let good = seen.asked.iter().find(|answer| {
        matches!(answer.reply, Reply::Status { code: 200..=299, body: Body::Expected })
    });
    if let Some(answer) = good {
        return Verdict::Good { took_ms: answer.took_ms };
    }
    let Some(first) = seen.asked.first() else { return Verdict::Nothing };
    if let Some(verdict) = transport(&first.reply) {
        return verdict;
    }
    let codes: Vec<u16> = seen.asked.iter().filter_map(status).collect();
    if status(first) == Some(503) {
        // mlx_lm.server answers so when its generation thread has died (FACTS B.1).
        return Verdict::Hard;
    }
    if codes.iter().any(|code| matches!(code, 401 | 403)) {
        return Verdict::Misplaced;
    }
    if codes.contains(&429) {
        return Verdict::Busy;
    }
    if codes.iter().any(|code| (500..=599).contains(code)) {
        return Verdict::Soft;
    }
    let nowhere = codes.iter().all(|code| matches!(code, 404 | 405));
    if nowhere && seen.server != MlxServer::Unrecognised {
        Verdict::Misplaced
    } else if garbled(&seen.asked) {
        Verdict::Soft
    } else {
        Verdict::WrongOwner
    }
}

fn garbled(asked: &[Answer]) -> bool {
    asked.iter().any(|answer| {
        matches!(answer.reply, Reply::Status { code: 200..=299, body: Body::Garbage })
    })
}

pub(crate) fn service(seen: &ServiceSeen, expect: &[u16], enough: u32) -> Verdict {
    if is_busy(seen, enough) {
        return Verdict::Busy;
    }
    if seen.elsewhere.as_ref().is_some_and(|answer| is_expected(answer, expect)) {
        // It answers on the other side of the port mapping: the URL is wrong (A5).
        return match web(&seen.answer, expect) {
            Verdict::Good { took_ms } => Verdict::Good { took_ms },
            Verdict::Impaired
            | Verdict::Suspect
            | Verdict::Wedged
            | Verdict::Hard
            | Verdict::Soft
            | Verdict::Busy
            | Verdict::Misplaced
            | Verdict::WrongOwner
            | Verdict::Nothing => Verdict::Misplaced,
        };
    }
    web(&seen.answer, expect)
}

/// It takes connections, answers none in time, and its container works, with `enough` per cent of a
/// core: one long task.
pub(crate) fn is_busy(seen: &ServiceSeen, enough: u32) -> bool {
    let works = seen.cpu_percent.is_some_and(|percent| percent >= enough);
    works && matches!(seen.answer.reply, Reply::Silent | Reply::Stalled)
}

pub(crate) fn is_expected(answer: &Answer, expect: &[u16]) -> bool {
    matches!(answer.reply, Reply::Status { code, .. } if expect.contains(&code))
}

fn web(answer: &Answer, expect: &[u16]) -> Verdict {
    match &answer.reply {
        Reply::Status { code, .. } if expect.contains(code) => {
            Verdict::Good { took_ms: answer.took_ms }
        }
        Reply::Status { .. } => Verdict::Soft,
        Reply::Refused
        | Reply::Unreachable { .. }
        | Reply::ConnectTimeout
        | Reply::Silent
        | Reply::Stalled
        | Reply::Reset
        | Reply::Empty
        | Reply::Malformed { .. }
        | Reply::TooLarge => transport(&answer.reply).unwrap_or(Verdict::Nothing),
    }
}

pub(crate) fn docker(ping: &Answer) -> Verdict {
    web(ping, &SUCCESS)
}

fn status(answer: &Answer) -> Option<u16> {
    if let Reply::Status { code, .. } = answer.reply { Some(code) } else { None }
}
