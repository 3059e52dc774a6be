//! From facts to a cause, most specific first. Every conclusion names its evidence.

use crate::cause::{Cause, CauseId, Confidence};
use crate::clock::Now;
use crate::container;
use crate::observation::{
    Answer, Body, ContainerHealth, ContainerSeen, ContainerStatus, Listener, ProcessSeen, Reply,
};
use crate::patient::{Facts, Patient};
use crate::policy::Policy;
use crate::sentence::Sentence;
use crate::target::{Care, Launch};
use crate::verdict::{self, Verdict};

const EVIDENCE_LINES: usize = 8;

/// What is wrong with this target, by everything that is known of it.
pub(crate) fn diagnose(patient: &Patient, now: Now, policy: &Policy) -> Cause {
    let mut cause = match &patient.spec.care {
        Care::Ollama { launch, .. } => ollama(patient, launch),
        Care::Mlx { launch } => mlx(patient, launch.as_ref()),
        Care::Docker => docker(&patient.facts),
        Care::Service { .. } => service(&patient.facts),
        Care::Container { .. } => container(&patient.facts, now, policy),
        Care::Host => host(&patient.facts),
    };
    cause.evidence.truncate(EVIDENCE_LINES);
    cause
}

fn cause(id: CauseId, confidence: Confidence, evidence: Vec<Sentence>) -> Cause {
    Cause { id, confidence, evidence, says: Sentence::new(id.as_str()) }
}

fn ollama(patient: &Patient, launch: &Launch) -> Cause {
    let Some(seen) = &patient.facts.ollama else {
        return cause(CauseId::Unknown, Confidence::Possible, Vec::new());
    };
    let mut evidence = vec![reply(&seen.version)];
    if verdict::ollama(seen) == Verdict::Busy {
        return cause(CauseId::OllamaOverloaded, Confidence::Likely, evidence);
    }
    match &seen.listener {
        Listener::Process(process) => {
            evidence.push(listener(process));
            if !is_own_server(patient, process) {
                return port_taken(CauseId::OllamaPortTaken, process, evidence);
            }
        }
        Listener::Hidden => {
            evidence.push(Sentence::new("evidence.hidden_listener"));
            if verdict::ollama(seen) == Verdict::WrongOwner {
                return cause(CauseId::OllamaPortTaken, Confidence::Possible, evidence);
            }
        }
        Listener::Nobody | Listener::NotAsked => {}
    }
    match &seen.version.reply {
        Reply::Refused => {
            let around = patient.facts.surroundings.clone().unwrap_or_default();
            let missing = around.installed.binary.is_none()
                && around.installed.app.is_none()
                && around.installed.brew_service.is_none();
            // Nothing installed is a certain cause only where it is we who would choose.
            if *launch == Launch::Auto && missing && patient.facts.surroundings.is_some() {
                return cause(CauseId::OllamaNotInstalled, Confidence::Certain, evidence);
            }
            evidence.push(Sentence::new("evidence.no_listener"));
            let mcp = around.relatives.iter().find(|process| named(process, "ollama-mcp"));
            if let Some(mcp) = mcp {
                evidence.push(relative(mcp));
                return cause(CauseId::OllamaOnlyMcp, Confidence::Certain, evidence);
            }
            cause(CauseId::OllamaNotRunning, Confidence::Certain, evidence)
        }
        Reply::ConnectTimeout | Reply::Silent | Reply::Stalled | Reply::Reset | Reply::Empty => {
            cause(CauseId::OllamaWedged, sure(&seen.listener), evidence)
        }
        Reply::Status { .. }
        | Reply::Malformed { .. }
        | Reply::TooLarge
        | Reply::Unreachable { .. } => cause(CauseId::Unknown, Confidence::Possible, evidence),
    }
}

fn mlx(patient: &Patient, launch: Option<&Launch>) -> Cause {
    let Some(seen) = &patient.facts.mlx else {
        return cause(CauseId::Unknown, Confidence::Possible, Vec::new());
    };
    let mut evidence: Vec<Sentence> = seen.asked.iter().map(reply).collect();
    let verdict = verdict::mlx(seen);
    if verdict == Verdict::Misplaced {
        return cause(CauseId::MlxWrongEndpoint, Confidence::Certain, evidence);
    }
    match &seen.listener {
        Listener::Process(process) => {
            evidence.insert(1.min(evidence.len()), listener(process));
            if !is_own_server(patient, process) {
                return port_taken(CauseId::MlxPortTaken, process, evidence);
            }
            if verdict == Verdict::WrongOwner {
                // The configured program itself answers none of the known paths.
                return cause(CauseId::MlxWrongEndpoint, Confidence::Likely, evidence);
            }
        }
        Listener::Hidden => {
            evidence.push(Sentence::new("evidence.hidden_listener"));
            if verdict == Verdict::WrongOwner {
                return cause(CauseId::MlxPortTaken, Confidence::Possible, evidence);
            }
        }
        Listener::Nobody | Listener::NotAsked => {}
    }
    let Some(first) = seen.asked.first() else {
        return cause(CauseId::Unknown, Confidence::Possible, evidence);
    };
    match &first.reply {
        Reply::Refused => {
            if launch.is_none() {
                evidence.push(Sentence::new("evidence.no_launch"));
            }
            evidence.push(Sentence::new("evidence.no_listener"));
            cause(CauseId::MlxNotRunning, Confidence::Certain, evidence)
        }
        Reply::Status { code: 503, .. } => {
            cause(CauseId::MlxGenerationDead, sure(&seen.listener), evidence)
        }
        Reply::ConnectTimeout | Reply::Silent | Reply::Stalled | Reply::Reset | Reply::Empty => {
            cause(CauseId::MlxWedged, sure(&seen.listener), evidence)
        }
        Reply::Status { .. }
        | Reply::Malformed { .. }
        | Reply::TooLarge
        | Reply::Unreachable { .. } => cause(CauseId::Unknown, Confidence::Possible, evidence),
    }
}

/// A process that is not seen may be anybody's: nothing disruptive follows from it (R62).
fn sure(listener: &Listener) -> Confidence {
    match listener {
        Listener::Process(_) => Confidence::Likely,
        Listener::Nobody | Listener::Hidden | Listener::NotAsked => Confidence::Possible,
    }
}

fn docker(facts: &Facts) -> Cause {
    let evidence = facts.docker.iter().map(|seen| reply(&seen.ping)).collect();
    cause(CauseId::DockerDown, Confidence::Certain, evidence)
}

fn service(facts: &Facts) -> Cause {
    let Some(answer) = &facts.service else {
        return cause(CauseId::Unknown, Confidence::Possible, Vec::new());
    };
    let id = match &answer.reply {
        Reply::Refused => CauseId::ServiceRefused,
        Reply::ConnectTimeout | Reply::Silent | Reply::Stalled => CauseId::ServiceTimeout,
        Reply::Reset | Reply::Empty => CauseId::ServiceEmptyReply,
        Reply::Status { .. } => CauseId::ServiceBadStatus,
        Reply::Malformed { .. } | Reply::TooLarge | Reply::Unreachable { .. } => CauseId::Unknown,
    };
    cause(id, Confidence::Certain, vec![reply(answer)])
}

fn host(facts: &Facts) -> Cause {
    let Some(seen) = &facts.host else {
        return cause(CauseId::Unknown, Confidence::Possible, Vec::new());
    };
    let mut evidence = vec![
        Sentence::new("evidence.pressure")
            .with("level", u32::from(seen.pressure))
            .with("available", crate::Value::Bytes(seen.available_bytes))
            .with("total", crate::Value::Bytes(seen.memory_bytes)),
    ];
    if seen.swap_total_bytes > 0 {
        evidence.push(
            Sentence::new("evidence.swap")
                .with("used", crate::Value::Bytes(seen.swap_used_bytes))
                .with("total", crate::Value::Bytes(seen.swap_total_bytes)),
        );
    }
    let mut groups = seen.ledger.clone().unwrap_or_default();
    groups.sort_by_key(|group| std::cmp::Reverse(group.bytes));
    evidence.extend(groups.iter().take(3).map(|group| {
        Sentence::new("evidence.holds")
            .with("owner", group.name.as_str())
            .with("bytes", crate::Value::Bytes(group.bytes))
    }));
    let id = if facts.pressure.by_swap {
        CauseId::HostSwapExhausted
    } else {
        CauseId::HostMemoryPressure
    };
    cause(id, Confidence::Certain, evidence)
}

/// Why a container is not up, or is unwell (1.14).
fn container(facts: &Facts, now: Now, policy: &Policy) -> Cause {
    let Some(seen) = &facts.container else {
        return cause(CauseId::ContainerStopped, Confidence::Possible, Vec::new());
    };
    if facts.container_news.is_crash_loop(now.awake, policy)
        && !matches!(seen.status, ContainerStatus::Paused)
    {
        let ends = u32::try_from(facts.container_news.ends.len()).unwrap_or(u32::MAX);
        let evidence =
            vec![Sentence::new("evidence.ends").with("ends", ends), exit(last_code(facts, seen))];
        return cause(CauseId::ContainerCrashLoop, Confidence::Certain, evidence);
    }
    if container::is_up(seen.status) && seen.health == Some(ContainerHealth::Unhealthy) {
        let evidence = vec![Sentence::new("evidence.unhealthy")];
        return cause(CauseId::ContainerUnhealthy, Confidence::Certain, evidence);
    }
    ended(facts, seen, policy)
}

/// What ended it.
pub(crate) fn ended(facts: &Facts, seen: &ContainerSeen, policy: &Policy) -> Cause {
    let news = &facts.container_news;
    let up = container::is_up(seen.status);
    let code = last_code(facts, seen);
    let mut evidence = vec![exit(code)];
    let died = if up { news.die } else { news.end_of(seen) };
    let end = died.map(|died| died.told.engine_ms).or(seen.finished_ms);
    let told = news.oom_near(end, policy);
    if code == 137 && (told || (seen.oom_killed && !up)) {
        evidence.insert(0, Sentence::new(if told { "evidence.oom" } else { "evidence.oom_flag" }));
        if seen.memory_limit == 0 {
            evidence.push(Sentence::new("evidence.no_limit"));
            return cause(CauseId::DockerVmOom, Confidence::Likely, evidence);
        }
        let limit = crate::Value::Bytes(seen.memory_limit);
        evidence.push(Sentence::new("evidence.limit").with("limit", limit.clone()));
        let mut cause = cause(CauseId::ContainerOomLimit, Confidence::Certain, evidence);
        cause.says = cause.says.with("limit", limit);
        return cause;
    }
    let (id, confidence) = match code {
        125..=127 => (CauseId::ContainerCannotRun, Confidence::Certain),
        137 => (CauseId::ContainerKilled, Confidence::Likely),
        _ => (CauseId::ContainerStopped, Confidence::Certain),
    };
    let mut cause = cause(id, confidence, evidence);
    cause.says = cause.says.with("code", code);
    cause
}

/// With which code it ended: the stream's word while it runs again, else the reading's, since the
/// stream may have been deaf at this end.
fn last_code(facts: &Facts, seen: &ContainerSeen) -> i64 {
    if container::is_up(seen.status) {
        facts.container_news.die.map_or(seen.exit_code, |died| died.exit_code)
    } else {
        seen.exit_code
    }
}

/// A child was killed for memory, the container lives on.
pub(crate) fn oom_child(seen: &ContainerSeen) -> Cause {
    let limit = crate::Value::Bytes(seen.memory_limit);
    let evidence =
        vec![Sentence::new("evidence.oom"), Sentence::new("evidence.limit").with("limit", limit)];
    cause(CauseId::ContainerOomChild, Confidence::Certain, evidence)
}

fn port_taken(id: CauseId, process: &ProcessSeen, evidence: Vec<Sentence>) -> Cause {
    let mut cause = cause(id, Confidence::Certain, evidence);
    cause.says = cause.says.with("program", process.id.program()).with("pid", process.id.pid);
    cause
}

/// Whether this process is the server that we watch, and not one that merely sits on its port:
/// it answered as the server does, we started it, it is the configured command, or it is the
/// product's own program.
pub(crate) fn is_own_server(patient: &Patient, process: &ProcessSeen) -> bool {
    if patient.facts.trusted.contains(&process.id) {
        return true;
    }
    let launch = match &patient.spec.care {
        Care::Ollama { launch, .. } => {
            if process.id.program() == "ollama" {
                return true;
            }
            Some(launch)
        }
        Care::Mlx { launch } => {
            // `python -m mlx_lm server`, `mlx_lm.server`, `mlx-openai-server`, `mlx_api_server.py`
            // (FACTS B.1 to B.3).
            let first = process.command.iter().take(3);
            if first
                .map(|word| word.rsplit('/').next().unwrap_or(word))
                .any(|word| word.starts_with("mlx_") || word.starts_with("mlx-") || word == "omlx")
            {
                return true;
            }
            launch.as_ref()
        }
        Care::Host | Care::Docker | Care::Container { .. } | Care::Service { .. } => None,
    };
    match launch {
        Some(Launch::Command(command)) => same_command(command, &process.command),
        Some(Launch::Auto | Launch::App | Launch::Brew | Launch::Serve | Launch::Launchd(_))
        | None => false,
    }
}

/// The same arguments, and a program of the same file name; an interpreter may stand in front.
fn same_command(configured: &[String], running: &[String]) -> bool {
    let name = |word: &String| word.rsplit('/').next().unwrap_or(word).to_owned();
    let Some((program, arguments)) = configured.split_first() else { return false };
    (0..running.len().min(2)).any(|at| {
        running.get(at).is_some_and(|word| name(word) == name(program))
            && running.get(at + 1..).is_some_and(|rest| rest == arguments)
    })
}

fn named(process: &ProcessSeen, name: &str) -> bool {
    process.id.program() == name
        || process.command.iter().take(2).any(|word| {
            word.rsplit('/').next().is_some_and(|file| {
                file == name || file.strip_suffix(".js").or(file.strip_suffix(".py")) == Some(name)
            })
        })
}

fn listener(process: &ProcessSeen) -> Sentence {
    Sentence::new("evidence.listener")
        .with("program", process.id.program())
        .with("pid", process.id.pid)
        .with("user", process.user.clone().unwrap_or_else(|| "?".into()))
}

fn relative(process: &ProcessSeen) -> Sentence {
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

fn exit(code: i64) -> Sentence {
    Sentence::new("evidence.exit").with("code", code)
}

/// One HTTP answer as a line of evidence, always with its URL.
pub(crate) fn reply(answer: &Answer) -> Sentence {
    let line = |key: &str| Sentence::new(key).with("url", answer.url.as_str());
    let took = crate::Value::Millis(answer.took_ms);
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
