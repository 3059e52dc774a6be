//! Why a container is not up, or is unwell (RECOVERY 1.14, R30, R58).

use super::{Case, Finding, Outer, Rule, nothing};
use crate::cause::{Cause, CauseId, Confidence};
use crate::container;
use crate::host::Strain;
use crate::observation::{ContainerHealth, ContainerSeen, ContainerStatus, LogSign};
use crate::sentence::{Sentence, Value};

/// It ends again and again, or it runs and is unwell.
pub(super) const UNWELL: &[Rule] = &[
    Rule {
        id: CauseId::ContainerLoggerCrash,
        sure: Confidence::Likely,
        when: logger_crash,
        against: of_memory,
    },
    // Each end has its reason: the limit, not the loop, is what has to change.
    Rule {
        id: CauseId::ContainerOomLimit,
        sure: Confidence::Certain,
        when: oom_loop,
        against: killed_by_hand,
    },
    Rule {
        id: CauseId::ContainerCrashLoop,
        sure: Confidence::Certain,
        when: crash_loop,
        against: nothing,
    },
    Rule {
        id: CauseId::ContainerStartupHang,
        sure: Confidence::Likely,
        when: startup_hang,
        against: nothing,
    },
    Rule {
        id: CauseId::ContainerHostPressure,
        sure: Confidence::Likely,
        when: host_pressure,
        against: nothing,
    },
    Rule {
        id: CauseId::ContainerUnhealthy,
        sure: Confidence::Certain,
        when: unhealthy,
        against: nothing,
    },
];

/// What ended it, whatever it does now.
pub(super) const ENDED: &[Rule] = &[
    // Possible at most, and before what a contradiction makes possible as well.
    Rule {
        id: CauseId::ContainerKilled,
        sure: Confidence::Possible,
        when: killed,
        against: nothing,
    },
    Rule {
        id: CauseId::ContainerOomLimit,
        sure: Confidence::Certain,
        when: oom_limit,
        against: killed_by_hand,
    },
    Rule {
        id: CauseId::DockerMemoryTooSmall,
        sure: Confidence::Likely,
        when: memory_too_small,
        against: killed_by_hand,
    },
    Rule {
        id: CauseId::DockerVmOom,
        sure: Confidence::Likely,
        when: vm_oom,
        against: killed_by_hand,
    },
    Rule {
        id: CauseId::ContainerCannotRun,
        sure: Confidence::Certain,
        when: cannot_run,
        against: nothing,
    },
    Rule {
        id: CauseId::ContainerStopped,
        sure: Confidence::Certain,
        when: stopped,
        against: nothing,
    },
    Rule {
        id: CauseId::ContainerStopped,
        sure: Confidence::Possible,
        when: never_read,
        against: nothing,
    },
];

/// It runs, and its work does not go on.
pub(super) const ANSWERS: &[Rule] = &[Rule {
    id: CauseId::ContainerNoProgress,
    sure: Confidence::Likely,
    when: no_progress,
    against: nothing,
}];

/// What ended it, for one that Docker has started again meanwhile.
pub(crate) fn ended(case: &Case<'_>) -> Cause {
    super::first(ENDED.iter(), case, &[])
        .unwrap_or_else(|| super::cause(CauseId::Unknown, Confidence::Possible, Vec::new()))
}

/// A child was killed for memory, the container lives on.
pub(crate) fn oom_child(seen: &ContainerSeen) -> Cause {
    let limit = Value::Bytes(seen.memory_limit);
    let evidence =
        vec![Sentence::new("evidence.oom"), Sentence::new("evidence.limit").with("limit", limit)];
    super::cause(CauseId::ContainerOomChild, Confidence::Certain, evidence)
}

fn seen<'a>(case: &Case<'a>) -> Option<&'a ContainerSeen> {
    case.patient.facts.container.as_ref()
}

/// It ended on an error of its logger, whose signature its last lines bear (the first users' `USE_ELK`).
fn logger_crash(case: &Case<'_>) -> Option<Finding> {
    let seen = seen(case)?;
    let ends = !container::is_up(seen.status) || loops(case);
    let sign = seen.log.signs.iter().find(|sign| sign.cause == CauseId::ContainerLoggerCrash);
    let sign = sign.filter(|_| ends && code(case, seen) != 0)?;
    Some(Finding::of(how(case, seen).chain([log_line(sign)]).collect()).only(sign.sure()))
}

/// Ended for memory and bearing the signature: one of both is not the reason.
fn of_memory(case: &Case<'_>) -> Option<Sentence> {
    let seen = seen(case)?;
    memory_line(case, seen).filter(|_| code(case, seen) == 137)
}

fn crash_loop(case: &Case<'_>) -> Option<Finding> {
    let seen = seen(case)?;
    let ends = u32::try_from(case.patient.account.exits.len()).unwrap_or(u32::MAX);
    (loops(case) && seen.status != ContainerStatus::Paused).then(|| {
        let ends = Sentence::new("evidence.ends").with("ends", ends);
        Finding::of([ends].into_iter().chain(how(case, seen)).chain(restarts(seen)).collect())
    })
}

fn loops(case: &Case<'_>) -> bool {
    case.patient.account.exits.is_crash_loop(case.now.continuous, case.policy)
}

/// Alive, its health never came up, and its log has fallen silent.
fn startup_hang(case: &Case<'_>) -> Option<Finding> {
    let seen = seen(case)?;
    let silent = std::time::Duration::from_secs(seen.log.silent_for_s?);
    let never_up =
        matches!(seen.health, Some(ContainerHealth::Starting | ContainerHealth::Unhealthy))
            && !case.patient.was_up();
    let hangs = never_up && silent >= case.policy.startup_silence;
    if !hangs || seen.status != ContainerStatus::Running {
        return None;
    }
    let last = seen.log.last_line.as_ref();
    let last = last.map(|line| Sentence::new("evidence.last_line").with("line", line.as_str()));
    let quiet = Sentence::new("evidence.log_silent").with("silent", silent);
    Some(Finding::of([quiet].into_iter().chain(last).collect()))
}

/// Unwell or killed while the host, or the machine that Docker runs in, is short of memory.
fn host_pressure(case: &Case<'_>) -> Option<Finding> {
    let seen = seen(case)?;
    let unwell = container::is_up(seen.status) && is_unhealthy(seen);
    let killed = !container::is_up(seen.status)
        && code(case, seen) == 137
        && memory_line(case, seen).is_none();
    if case.around.strain == Strain::None || !(unwell || killed) {
        return None;
    }
    let mut lines = vec![Sentence::new("evidence.host_strained")];
    let mut finding_model = None;
    if let Some((model, bytes)) = &case.around.grown {
        lines.push(
            Sentence::new("evidence.grown")
                .with("model", model.as_str())
                .with("bytes", Value::Bytes(*bytes)),
        );
        finding_model = Some(model.clone());
    }
    let finding = Finding::of(lines);
    Some(match finding_model {
        Some(model) => finding.with("model", model),
        None => finding,
    })
}

fn unhealthy(case: &Case<'_>) -> Option<Finding> {
    let seen = seen(case)?;
    let unwell = container::is_up(seen.status) && is_unhealthy(seen);
    unwell.then(|| Finding::of(vec![Sentence::new("evidence.unhealthy")]))
}

fn is_unhealthy(seen: &ContainerSeen) -> bool {
    seen.health == Some(ContainerHealth::Unhealthy)
}

fn oom_limit(case: &Case<'_>) -> Option<Finding> {
    let seen = seen(case)?;
    let told = memory_line(case, seen)?;
    let bytes = case.patient.facts.container_news.limit_of(seen);
    if code(case, seen) != 137 || bytes == 0 || case.around.outer == Outer::Told {
        return None;
    }
    let limit = Value::Bytes(bytes);
    let line = Sentence::new("evidence.limit").with("limit", limit.clone());
    // It used the whole limit, and would have used more.
    let proposal = proposal(bytes);
    let peak = Sentence::new("evidence.peak")
        .with("limit", limit.clone())
        .with("proposal", Value::Bytes(proposal));
    let (docker, others) = (case.around.docker_bytes, case.around.other_limits);
    let tight = docker > 0 && others.saturating_add(proposal) > docker / 10 * 9;
    let tight = tight.then(|| {
        Sentence::new("evidence.no_room")
            .with("docker", Value::Bytes(docker))
            .with("others", Value::Bytes(others))
    });
    let lines = [told].into_iter().chain(how(case, seen)).chain([line, peak]).chain(tight);
    let written = mebibytes(proposal);
    Some(Finding::of(lines.collect()).with("limit", limit).with("proposal", written))
}

/// Half as much again as it used at least, rounded up to what a person would write (C8).
pub(crate) fn proposal(limit: u64) -> u64 {
    const MEBIBYTE: u64 = 1 << 20;
    let wanted = limit.saturating_add(limit / 2);
    let step = match wanted / MEBIBYTE {
        ..1_024 => 64,
        1_024..8_192 => 256,
        8_192.. => 1_024,
    } * MEBIBYTE;
    wanted.div_ceil(step).saturating_mul(step)
}

/// As a compose file has it: `768m`, `3g`.
pub(crate) fn mebibytes(bytes: u64) -> String {
    let mebibytes = bytes >> 20;
    if mebibytes.is_multiple_of(1024) {
        format!("{}g", mebibytes / 1024)
    } else {
        format!("{mebibytes}m")
    }
}

fn oom_loop(case: &Case<'_>) -> Option<Finding> {
    loops(case).then(|| oom_limit(case)).flatten()
}

/// Out of memory without a limit of its own, in a machine that the host could have made larger.
fn memory_too_small(case: &Case<'_>) -> Option<Finding> {
    let (host, docker) = (case.around.host_bytes, case.around.docker_bytes);
    let small = docker > 0 && docker < case.policy.docker_small_bytes && docker * 4 <= host;
    let mut finding = small.then(|| vm_oom(case)).flatten()?;
    finding.evidence.push(
        Sentence::new("evidence.docker_memory")
            .with("docker", Value::Bytes(docker))
            .with("host", Value::Bytes(host)),
    );
    Some(finding.with("docker", Value::Bytes(docker)))
}

/// There is no limit to raise, or it is not the one that was reached: the machine that Docker runs
/// in ran out; or several were killed at once, and nobody says why.
fn vm_oom(case: &Case<'_>) -> Option<Finding> {
    let seen = seen(case)?;
    if code(case, seen) != 137 {
        return None;
    }
    let unlimited = seen.memory_limit == 0;
    let around = case.around.outer == Outer::Told;
    if let Some(told) = memory_line(case, seen).filter(|_| unlimited || around) {
        let used = seen
            .peak_bytes
            .map(|peak| Sentence::new("evidence.used_at_most").with("peak", Value::Bytes(peak)));
        let lines = [told].into_iter().chain(how(case, seen));
        let lines = lines.chain(unlimited.then(|| Sentence::new("evidence.no_limit"))).chain(used);
        let lines = lines.chain(around.then(|| Sentence::new("evidence.oom_around")));
        return Some(Finding::of(lines.collect()));
    }
    (memory_line(case, seen).is_none() && case.around.outer == Outer::Killed).then(|| {
        let together = Sentence::new("evidence.killed_together");
        Finding::of(how(case, seen).chain([together]).collect())
    })
}

/// Somebody's signal and the kernel's verdict at once: either could have ended it.
fn killed_by_hand(case: &Case<'_>) -> Option<Sentence> {
    let seen = seen(case)?;
    let news = &case.patient.facts.container_news;
    let near = news.kill_near(end_ms(case, seen), case.policy);
    near.then(|| Sentence::new("evidence.signal"))
}

fn cannot_run(case: &Case<'_>) -> Option<Finding> {
    ended_with(case, |code| (125..=127).contains(&code))
}

fn killed(case: &Case<'_>) -> Option<Finding> {
    ended_with(case, |code| code == 137 && !case.around.engine_back)
}

/// An engine that comes back has ended what it finds running, with 137 (as dockerd 28 does after a
/// crash): that needs no other explanation.
fn stopped(case: &Case<'_>) -> Option<Finding> {
    ended_with(case, |code| code != 137 || case.around.engine_back)
}

fn ended_with(case: &Case<'_>, is: impl Fn(i64) -> bool) -> Option<Finding> {
    let seen = seen(case)?;
    let code = code(case, seen);
    is(code).then(|| Finding::of(how(case, seen).collect()).with("code", code))
}

fn never_read(case: &Case<'_>) -> Option<Finding> {
    seen(case).is_none().then(|| Finding::of(Vec::new()))
}

/// It runs, and nothing has come of it for longer than the configuration allows; not so when what
/// it needs is itself unwell.
fn no_progress(case: &Case<'_>) -> Option<Finding> {
    let progress = seen(case)?.progress?;
    let silent = std::time::Duration::from_secs(progress.silent_for_s);
    let stands = progress.silent_for_s > progress.within_s && case.around.unwell_need.is_none();
    stands.then(|| {
        Finding::of(vec![Sentence::new("evidence.no_progress").with("silent", silent)])
            .with("silent", silent)
    })
}

/// Ended by the kernel for memory, by the stream's word or by the engine's flag.
fn memory_line(case: &Case<'_>, seen: &ContainerSeen) -> Option<Sentence> {
    let news = &case.patient.facts.container_news;
    if news.oom_near(end_ms(case, seen), case.policy) {
        return Some(Sentence::new("evidence.oom"));
    }
    let flagged = seen.oom_killed && !container::is_up(seen.status);
    flagged.then(|| Sentence::new("evidence.oom_flag"))
}

/// When it ended, on the engine's clock.
fn end_ms(case: &Case<'_>, seen: &ContainerSeen) -> Option<i64> {
    let news = &case.patient.facts.container_news;
    let died = if container::is_up(seen.status) { news.die } else { news.end_of(seen) };
    died.map(|died| died.told.engine_ms).or(seen.finished_ms)
}

/// With which code it ended: the stream's word while it runs again, else the reading's, since the
/// stream may have been deaf at this end.
fn code(case: &Case<'_>, seen: &ContainerSeen) -> i64 {
    if container::is_up(seen.status) {
        let died = case.patient.facts.container_news.die;
        died.map_or(seen.exit_code, |died| died.exit_code)
    } else {
        seen.exit_code
    }
}

/// With which code it ended, and after how long a life.
fn how(case: &Case<'_>, seen: &ContainerSeen) -> impl Iterator<Item = Sentence> + use<> {
    let exit = Sentence::new("evidence.exit").with("code", code(case, seen));
    let lived = case.patient.facts.container_news.lived(seen);
    let lived = lived.map(|lived| Sentence::new("evidence.lived").with("lived", lived));
    [exit].into_iter().chain(lived)
}

/// How often Docker's own policy has brought it back.
fn restarts(seen: &ContainerSeen) -> Option<Sentence> {
    let count = i64::try_from(seen.restart_count).unwrap_or(i64::MAX);
    (count > 0).then(|| Sentence::new("evidence.restarts").with("count", count))
}

fn log_line(sign: &LogSign) -> Sentence {
    Sentence::new("evidence.log").with("line", sign.line.as_str())
}
