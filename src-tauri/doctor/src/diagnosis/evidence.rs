//! Evidence: what was seen, one line each.

use std::time::Duration;

use super::{Case, Finding};
use crate::cause::CauseId;
use crate::observation::{Answer, Body, EndedSeen, EndedWhy, ExitHow, ProcessSeen, Reply};
use crate::sentence::{Sentence, Value};

/// How long what the system wrote down explains why a server is gone.
const ENDED_LATELY: Duration = Duration::from_mins(10);

/// Nothing takes the connection.
pub(super) fn is_refused(reply: &Reply) -> bool {
    matches!(reply, Reply::Refused)
}

/// The connection is taken, and no whole answer comes.
pub(super) fn is_hung(reply: &Reply) -> bool {
    matches!(
        reply,
        Reply::ConnectTimeout | Reply::Silent | Reply::Stalled | Reply::Reset | Reply::Empty
    )
}

/// A request for a token was answered although the log bears such a line.
pub(super) fn answers_despite(case: &Case<'_>, id: CauseId) -> Option<Sentence> {
    let deep = case.patient.facts.insight.answers_despite(id)?;
    Some(Sentence::new("evidence.deep_answers").with("model", deep.model.as_str()))
}

/// A log line says so, not longer ago than ten minutes.
pub(super) fn sign(case: &Case<'_>, id: CauseId) -> Option<Finding> {
    let sign = case.patient.facts.insight.sign(id, case.now.awake, case.policy)?;
    let line = Sentence::new("evidence.log").with("line", sign.line.as_str());
    Some(Finding::of(vec![line]).only(sign.sure()))
}

/// The system wrote down that it ended this very server, not longer ago than ten minutes (A13).
pub(super) fn server_ended(case: &Case<'_>) -> Option<Finding> {
    let (at, ended) = case.patient.facts.ended.as_ref()?;
    let lately = case.now.awake.since(*at) <= ENDED_LATELY;
    lately.then(|| Finding::of(self::ended(ended)))
}

/// A process that the system ended, and who held the memory then.
pub(crate) fn ended(ended: &EndedSeen) -> Vec<Sentence> {
    let line = Sentence::new(match &ended.why {
        EndedWhy::OutOfMemory => "evidence.ended",
        EndedWhy::OverLimit => "evidence.ended_limit",
        EndedWhy::Crashed { .. } => "evidence.ended_crash",
    });
    let line = line.with("program", ended.victim.as_str()).with("pid", ended.pid);
    let line = match &ended.why {
        EndedWhy::Crashed { signal } => line.with("signal", signal.as_str()),
        EndedWhy::OutOfMemory | EndedWhy::OverLimit => line,
    };
    let largest = ended.largest.as_ref();
    let largest =
        largest.map(|owner| Sentence::new("evidence.largest").with("owner", owner.as_str()));
    [line].into_iter().chain(largest).collect()
}

/// Nobody listens; and how the server ended, where it was our own child (A13, R59).
pub(super) fn no_listener(case: &Case<'_>) -> Vec<Sentence> {
    let exits = case.patient.facts.insight.exits.iter();
    let exit = exits.rev().find(|exit| {
        let this = exit.process.incarnation();
        case.patient.incarnation.as_ref() == Some(&this)
            || case.patient.started.as_ref() == Some(&exit.process)
    });
    let how = exit.map(|exit| {
        let line = match &exit.how {
            ExitHow::Code(code) => Sentence::new("evidence.exited").with("code", i64::from(*code)),
            ExitHow::Signal(signal) => {
                Sentence::new("evidence.exited_signal").with("signal", signal.as_str())
            }
        };
        line.with("program", exit.process.program()).with("pid", exit.process.pid)
    });
    [Sentence::new("evidence.no_listener")].into_iter().chain(how).collect()
}

pub(super) fn listener(process: &ProcessSeen) -> Sentence {
    Sentence::new("evidence.listener")
        .with("program", process.id.program())
        .with("pid", process.id.pid)
        .with("user", process.user.clone().unwrap_or_else(|| "?".into()))
}

pub(super) fn relative(process: &ProcessSeen) -> Sentence {
    let name = process
        .command
        .iter()
        .take(2)
        .filter_map(|word| word.rsplit('/').next())
        .find(|word| word.contains("ollama-mcp"))
        .unwrap_or(process.id.program())
        .to_owned();
    Sentence::new("evidence.relative").with("program", name).with("pid", process.id.pid)
}

/// One HTTP answer as a line of evidence, always with its URL.
pub(super) fn reply(answer: &Answer) -> Sentence {
    let line = |key: &str| Sentence::new(key).with("url", answer.url.as_str());
    let took = Value::Millis(answer.took_ms);
    match &answer.reply {
        Reply::Refused => line("evidence.refused"),
        Reply::Unreachable { reason } => {
            line("evidence.unreachable").with("reason", reason.as_str())
        }
        Reply::ConnectTimeout => line("evidence.connect_timeout").with("took", took),
        Reply::Silent => line("evidence.silent").with("took", took),
        Reply::Stalled => line("evidence.stalled").with("took", took),
        Reply::Reset => line("evidence.reset"),
        Reply::Empty => line("evidence.empty"),
        Reply::Malformed { reason } => line("evidence.malformed").with("reason", reason.as_str()),
        Reply::TooLarge => line("evidence.too_large"),
        Reply::Status { code, body } => {
            let line = match body {
                Body::Expected => line("evidence.status"),
                Body::Other => line("evidence.status_other"),
                Body::Garbage => line("evidence.status_garbage"),
            };
            line.with("status", u32::from(*code)).with("took", took)
        }
    }
}
