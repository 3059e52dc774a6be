//! Diagnosis is a table: from facts to a cause, most specific first. Each rule gives its evidence,
//! and says what would speak against it; a cause whose facts contradict each other is only
//! possible, and nothing disruptive follows from what is only possible (R62).

use std::time::Duration;

use crate::cause::{Cause, CauseId, Confidence};
use crate::clock::Now;
use crate::host::Strain;
use crate::observation::ProcessSeen;
use crate::patient::Patient;
use crate::policy::Policy;
use crate::sentence::{Sentence, Value};
use crate::sharing::Sharing;
use crate::target::{Care, TargetId};

mod container;
mod docker;
mod evidence;
mod host;
mod identity;
mod mlx;
mod ollama;
mod service;
mod shared;

pub(crate) use container::{ended, mebibytes, oom_child, proposal};
pub(crate) use docker::{docker_memory, resource_saver};
pub(crate) use evidence::ended as ended_lines;
pub(crate) use host::process_killed;
pub(crate) use identity::{is_copy, is_own_server};

const EVIDENCE_LINES: usize = 8;

/// One line of the table.
struct Rule {
    id: CauseId,
    /// How sure it is when nothing speaks against it.
    sure: Confidence,
    /// What it is concluded from; none: it does not apply.
    when: fn(&Case<'_>) -> Option<Finding>,
    /// A fact that does not go with it.
    against: fn(&Case<'_>) -> Option<Sentence>,
}

/// Everything that one conclusion is drawn from.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) patient: &'a Patient,
    pub(crate) around: &'a Around,
    pub(crate) now: Now,
    pub(crate) policy: &'a Policy,
}

/// What tells that memory ran out around a container, not at a limit of its own (1.14).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outer {
    #[default]
    None,
    /// Others were killed at the same moment and nobody says why, or the engine hardly answers.
    Killed,
    /// The stream told of it in others at the same moment, and not all of them have ended.
    Told,
}

/// What is known beyond the patient itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Around {
    /// The machine woke so long ago; none: not lately.
    pub(crate) woke: Option<Duration>,
    pub(crate) strain: Strain,
    /// The model that was loaded last, and how much it took.
    pub(crate) grown: Option<(String, u64)>,
    /// The other model server is at work.
    pub(crate) other_engine_works: Option<bool>,
    pub(crate) outer: Outer,
    /// Docker's engine came back a moment ago.
    pub(crate) engine_back: bool,
    /// What it needs and is not well.
    pub(crate) unwell_need: Option<TargetId>,
    /// The processor cannot give everybody what they need.
    pub(crate) overloaded: bool,
    /// A service: the health check of its own container fails.
    pub(crate) container_fails: bool,
    /// Both model servers at once.
    pub(crate) sharing: Sharing,
    /// By how much owners of memory have grown in ten minutes and in six hours.
    pub(crate) growth: Vec<Growth>,
    /// Bytes of the host, and of the machine that Docker runs in; 0: not known.
    pub(crate) host_bytes: u64,
    pub(crate) docker_bytes: u64,
    /// Limits of the other containers that run, together.
    pub(crate) other_limits: u64,
}

/// How an owner's memory has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Growth {
    pub(crate) owner: String,
    pub(crate) over: Duration,
    pub(crate) bytes: u64,
}

/// A rule that applies.
struct Finding {
    evidence: Vec<Sentence>,
    /// For the cause's own text and advice.
    values: Vec<(&'static str, Value)>,
    /// Less sure than the rule in general.
    sure: Option<Confidence>,
}

/// What is wrong with this target, by everything that is known of it.
pub(crate) fn diagnose(case: &Case<'_>) -> Cause {
    let (base, table) = match &case.patient.spec.care {
        Care::Ollama { .. } => (ollama::base(case), ollama::FAILS),
        Care::Mlx { .. } => (mlx::base(case), mlx::FAILS),
        Care::Docker => (docker::base(case), docker::FAILS),
        Care::Service { .. } => (service::base(case), service::FAILS),
        Care::Container { .. } => {
            let rules = container::UNWELL.iter().chain(container::ENDED);
            return first(rules, case, &[])
                .unwrap_or_else(|| cause(CauseId::Unknown, Confidence::Possible, Vec::new()));
        }
        Care::Host => (host::base(case), host::FAILS),
    };
    first(table.iter(), case, &base)
        .unwrap_or_else(|| cause(CauseId::Unknown, Confidence::Possible, base))
}

/// What does not work of a target that answers as it should.
pub(crate) fn impairment(case: &Case<'_>) -> Option<Cause> {
    let (base, table) = match &case.patient.spec.care {
        Care::Ollama { .. } => (Vec::new(), ollama::ANSWERS),
        Care::Mlx { .. } => (Vec::new(), mlx::ANSWERS),
        Care::Container { .. } => (Vec::new(), container::ANSWERS),
        Care::Docker | Care::Service { .. } | Care::Host => return None,
    };
    first(table.iter(), case, &base)
}

/// The first that holds without contradiction; only where there is none, the first that is merely
/// possible: a doubtful detail must not hide what is plain.
fn first<'a>(
    table: impl Iterator<Item = &'a Rule>,
    case: &Case<'_>,
    base: &[Sentence],
) -> Option<Cause> {
    let mut doubtful = None;
    for rule in table {
        match conclude(rule, case, base) {
            Some(plain) if plain.confidence > Confidence::Possible => return Some(plain),
            found => doubtful = doubtful.or(found),
        }
    }
    doubtful
}

fn conclude(rule: &Rule, case: &Case<'_>, base: &[Sentence]) -> Option<Cause> {
    let finding = (rule.when)(case)?;
    let against = (rule.against)(case);
    let sure = finding.sure.unwrap_or(rule.sure).min(rule.sure);
    let sure = if against.is_some() { Confidence::Possible } else { sure };
    let evidence = base.iter().cloned().chain(finding.evidence).chain(against).collect();
    let mut concluded = cause(rule.id, sure, evidence);
    for (name, value) in finding.values {
        concluded.says = concluded.says.with(name, value);
    }
    Some(concluded)
}

fn cause(id: CauseId, confidence: Confidence, mut evidence: Vec<Sentence>) -> Cause {
    evidence.truncate(EVIDENCE_LINES);
    Cause { id, confidence, evidence, says: Sentence::new(id.as_str()) }
}

/// A new process answers that nobody was seen to start (R59).
pub(crate) fn crashed(case: &Case<'_>, process: &ProcessSeen) -> Cause {
    let id = match case.patient.spec.care {
        Care::Mlx { .. } => CauseId::MlxCrashed,
        Care::Ollama { .. }
        | Care::Host
        | Care::Docker
        | Care::Container { .. }
        | Care::Service { .. } => CauseId::OllamaCrashed,
    };
    cause(id, Confidence::Likely, vec![evidence::listener(process)])
}

/// For rules that nothing speaks against.
fn nothing(_: &Case<'_>) -> Option<Sentence> {
    None
}

impl<'a> Case<'a> {
    /// With nothing known around it.
    pub(crate) fn of(patient: &'a Patient, now: Now, policy: &'a Policy) -> Self {
        Self { patient, around: &NOTHING_AROUND, now, policy }
    }
}

static NOTHING_AROUND: Around = Around {
    woke: None,
    strain: Strain::None,
    grown: None,
    other_engine_works: None,
    outer: Outer::None,
    engine_back: false,
    unwell_need: None,
    overloaded: false,
    container_fails: false,
    sharing: Sharing {
        other_load: None,
        settings: Vec::new(),
        contexts: Vec::new(),
        gpu: None,
        gpu_bytes: 0,
        idle_mlx_bytes: None,
    },
    growth: Vec::new(),
    host_bytes: 0,
    docker_bytes: 0,
    other_limits: 0,
};

impl Finding {
    fn of(evidence: Vec<Sentence>) -> Self {
        Self { evidence, values: Vec::new(), sure: None }
    }

    fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.values.push((name, value.into()));
        self
    }

    fn and(mut self, lines: impl IntoIterator<Item = Sentence>) -> Self {
        self.evidence.extend(lines);
        self
    }

    fn only(mut self, sure: Confidence) -> Self {
        self.sure = Some(sure);
        self
    }
}
