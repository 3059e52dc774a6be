//! Why an HTTP service does not answer as expected.

use super::evidence::reply;
use super::{Case, Finding, Rule, nothing};
use crate::cause::{CauseId, Confidence};
use crate::observation::{Behind, Reply, ServiceSeen};
use crate::sentence::Sentence;
use crate::target::Care;
use crate::verdict;

pub(super) const FAILS: &[Rule] = &[
    Rule {
        id: CauseId::ServiceWrongSideOfMapping,
        sure: Confidence::Certain,
        when: wrong_side,
        against: nothing,
    },
    Rule { id: CauseId::ServiceBusy, sure: Confidence::Likely, when: busy, against: nothing },
    Rule {
        id: CauseId::ServiceRefused,
        sure: Confidence::Certain,
        when: refused,
        against: never_well,
    },
    Rule {
        id: CauseId::ServiceTimeout,
        sure: Confidence::Certain,
        when: timeout,
        against: never_well,
    },
    Rule {
        id: CauseId::ServiceEmptyReply,
        sure: Confidence::Certain,
        when: empty,
        against: never_well,
    },
    Rule {
        id: CauseId::ServiceBadStatus,
        sure: Confidence::Certain,
        when: bad_status,
        against: nothing,
    },
];

pub(super) fn base(case: &Case<'_>) -> Vec<Sentence> {
    seen(case).map(|seen| reply(&seen.answer)).into_iter().collect()
}

fn seen<'a>(case: &Case<'a>) -> Option<&'a ServiceSeen> {
    case.patient.facts.service.as_ref()
}

fn finding(holds: bool) -> Option<Finding> {
    holds.then(|| Finding::of(Vec::new()))
}

/// It answers well inside its container, or at another published port: the URL is wrong, not the
/// service.
fn wrong_side(case: &Case<'_>) -> Option<Finding> {
    let Care::Service { expect, .. } = &case.patient.spec.care else { return None };
    let elsewhere = seen(case)?.elsewhere.as_ref()?;
    verdict::is_expected(elsewhere, expect)
        .then(|| Finding::of(vec![reply(elsewhere)]).with("url", elsewhere.url.as_str()))
}

/// It takes connections and its container works hard, or as hard as an overloaded machine lets it: one
/// long task, not a failure.
fn busy(case: &Case<'_>) -> Option<Finding> {
    let seen = seen(case)?;
    let enough = case.policy.enough_work(case.around.overloaded);
    let percent = seen.cpu_percent.filter(|_| verdict::is_busy(seen, enough))?;
    let starved = percent < case.policy.busy_percent;
    let starved = starved.then(|| Sentence::new("evidence.starved"));
    let busy = Sentence::new("evidence.busy").with("percent", percent);
    Some(Finding::of([busy].into_iter().chain(starved).collect()))
}

fn refused(case: &Case<'_>) -> Option<Finding> {
    finding(seen(case)?.answer.reply == Reply::Refused)
}

fn timeout(case: &Case<'_>) -> Option<Finding> {
    let reply = &seen(case)?.answer.reply;
    finding(matches!(reply, Reply::ConnectTimeout | Reply::Silent | Reply::Stalled))
}

fn empty(case: &Case<'_>) -> Option<Finding> {
    finding(matches!(seen(case)?.answer.reply, Reply::Reset | Reply::Empty))
}

/// What never answered as it should may not be reachable at all: a port that is published where nothing
/// listens in the container is answered by Docker's own proxy, which takes the connection and closes
/// it (moby: `cmd/docker-proxy/tcp_proxy_linux.go`). No restart cures that, so a failure alone is no
/// reason for one; a health check that fails as well is.
fn never_well(case: &Case<'_>) -> Option<Sentence> {
    let Care::Service { container: Some(container), .. } = &case.patient.spec.care else {
        return None;
    };
    let never = !case.patient.account.seen_alive && !case.around.container_fails;
    never.then(|| {
        let behind = seen(case).and_then(|seen| seen.behind.as_ref()).and_then(leads_wrong);
        let says = behind.unwrap_or_else(|| Sentence::new("evidence.never_well"));
        says.with("container", container.as_str())
    })
}

/// Why nothing answers behind a published port, where that is known. What listens nowhere yet may only
/// be slow to begin.
fn leads_wrong(behind: &Behind) -> Option<Sentence> {
    let port = behind.port.to_string();
    let Some(open) = &behind.open else {
        let others = &behind.declared;
        return (!others.is_empty() && !others.contains(&behind.port)).then(|| {
            let says = Sentence::new("evidence.declares_others").with("port", port);
            says.with("others", listed(others))
        });
    };
    let here: Vec<_> = open.iter().filter(|one| one.port == behind.port).collect();
    if !here.is_empty() {
        let inside_only = here.iter().all(|one| one.inside_only);
        return inside_only
            .then(|| Sentence::new("evidence.listens_inside_only").with("port", port));
    }
    let mut others: Vec<u16> = open.iter().map(|one| one.port).collect();
    others.sort_unstable();
    others.dedup();
    (!others.is_empty()).then(|| {
        let says = Sentence::new("evidence.listens_elsewhere").with("port", port);
        says.with("others", listed(&others))
    })
}

fn listed(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

fn bad_status(case: &Case<'_>) -> Option<Finding> {
    finding(matches!(seen(case)?.answer.reply, Reply::Status { .. }))
}
