//! Why the Docker engine does not answer.

use super::evidence::{is_hung, reply};
use super::{Case, Finding, Rule, nothing};
use crate::cause::{Cause, CauseId, Confidence};
use crate::observation::Answer;
use crate::sentence::Sentence;

pub(super) const FAILS: &[Rule] = &[
    Rule { id: CauseId::HostWoke, sure: Confidence::Likely, when: woke, against: nothing },
    Rule { id: CauseId::DockerDown, sure: Confidence::Certain, when: down, against: nothing },
];

pub(super) fn base(case: &Case<'_>) -> Vec<Sentence> {
    case.patient.facts.docker.iter().map(|seen| reply(&seen.ping)).collect()
}

/// Docker Desktop hangs after a wake on some machines (for-mac #3000).
fn woke(case: &Case<'_>) -> Option<Finding> {
    let hung = case.patient.facts.docker.as_ref().is_some_and(|seen| is_hung(&seen.ping.reply));
    let woke = case.around.woke.filter(|_| hung)?;
    Some(Finding::of(vec![Sentence::new("evidence.woke").with("ago", woke)]))
}

/// Nothing has ended for it yet.
pub(crate) fn docker_memory(evidence: Vec<Sentence>) -> Cause {
    super::cause(CauseId::DockerMemoryTooSmall, Confidence::Possible, evidence)
}

/// It answers, after a while: it was asleep to save memory, and that is well.
pub(crate) fn resource_saver(ping: &Answer) -> Cause {
    super::cause(CauseId::DockerResourceSaver, Confidence::Likely, vec![reply(ping)])
}

fn down(case: &Case<'_>) -> Option<Finding> {
    let seen = case.patient.facts.docker.is_some();
    seen.then(|| Finding::of(stuck(case).into_iter().collect()))
}

/// Its own program runs, and what it starts never comes up (docker/for-mac #7775).
fn stuck(case: &Case<'_>) -> Option<Sentence> {
    let since = case.patient.facts.engine_starts.filter(|_| case.patient.is_not_yet_there())?;
    let span = case.now.awake.since(since);
    Some(Sentence::new("evidence.docker_stuck").with("span", span))
}
