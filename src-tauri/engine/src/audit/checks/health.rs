//! Health checks, and who waits for them.

use super::role::{asks_models, is_job, is_long_running, is_model_server};
use crate::audit::finding::{Finding, Kind, Severity};
use crate::audit::fix::{Fix, Written, add_key, add_to, quoted, replace, set_value, whole};
use crate::audit::merge::keyed;
use crate::audit::project::{Health, Project, Service};
use crate::audit::yaml::{Entry, Node, Shape, Value};

/// Victoria answers 25 to 40 s after its start (the first users, its restart 1).
const SHORTEST_START_MS: u64 = 25_000;
/// What the first users wait before they look for the first time.
const START: &str = "50s";
const START_MS: u64 = 50_000;

pub(super) fn health(project: &Project, service: &Service) -> Vec<Finding> {
    let Some(health) = service.health() else {
        return missing(project, service).into_iter().collect();
    };
    if health.off {
        return Vec::new();
    }
    let mut findings = Vec::new();
    findings.extend(wrong_port(project, service, &health));
    findings.extend(start_short(project, service, &health));
    findings.extend(no_curl(project, service, &health));
    findings
}

/// `depends_on` alone waits for a start, not for an answer.
pub(super) fn waits(project: &Project) -> Vec<Finding> {
    let has_check = |name: &str| {
        let health = project.service(name).and_then(Service::health);
        health.is_some_and(|health| !health.off && health.test.is_some())
    };
    let of_service = |service: &Service| {
        let waits = service.depends_on();
        let (name, _, at) =
            waits.iter().find(|(name, condition, _)| condition.is_none() && has_check(name))?;
        let fix = service.node.entry("depends_on").and_then(|entry| {
            let conditions: Vec<(String, Written)> = waits
                .iter()
                .map(|(name, condition, _)| {
                    let known = condition.as_deref();
                    let checked =
                        if has_check(name) { "service_healthy" } else { "service_started" };
                    let condition = Written::text(known.unwrap_or(checked));
                    (name.clone(), Written::Map(vec![("condition".into(), condition)]))
                })
                .collect();
            conditioned(project, entry, conditions)
        });
        Some(
            project
                .finding(Kind::DependsWithoutCondition, Severity::Warning, service, Some(*at))
                .with("other", name.as_str())
                .fixed_by(fix),
        )
    };
    project.services.iter().filter_map(of_service).collect()
}

/// The list becomes a map: only that has conditions.
fn conditioned(
    project: &Project,
    entry: &Entry,
    conditions: Vec<(String, Written)>,
) -> Option<Fix> {
    // A list that was put together from several files stands nowhere as a whole.
    let whole_list = matches!(&entry.value.value, Value::List(items)
        if items.iter().all(|item| item.at.source == entry.value.at.source));
    if !whole_list || keyed(&entry.value, "depends_on").len() != conditions.len() {
        return None;
    }
    let place = whole(entry)?;
    let written = Written::Map(conditions);
    let text = match entry.value.shape {
        Shape::BlockList(_) => written.lines(entry.at.start.column, "depends_on"),
        Shape::FlowList(_) => written.line("depends_on"),
        Shape::Text | Shape::BlockMap(_) | Shape::FlowMap(_) => return None,
    };
    replace(project, place, text)
}

fn missing(project: &Project, service: &Service) -> Option<Finding> {
    let own = service.dockerfile.as_deref().is_some_and(|text| text.contains("HEALTHCHECK"));
    if own || is_model_server(service) || !is_long_running(project, service) {
        return None;
    }
    let port = ports_inside(service).first().copied()?;
    let test = proposal(service, port);
    // An image of others may bring its own check, which the file does not show.
    let ours = service.node.get("build").is_some() || asks_models(service);
    let severity = if ours { Severity::Warning } else { Severity::Note };
    let check = Written::Map(vec![
        ("test".into(), Written::List(test)),
        ("interval".into(), Written::text("30s")),
        ("timeout".into(), Written::text("10s")),
        ("retries".into(), Written::text("3")),
        ("start_period".into(), Written::text(START)),
    ]);
    let fix = add_key(project, service, "healthcheck", &check);
    Some(project.finding(Kind::HealthMissing, severity, service, None).fixed_by(fix))
}

/// A check runs inside, where only the inner side of a port mapping is.
fn wrong_port(project: &Project, service: &Service, health: &Health) -> Option<Finding> {
    let (test, entry) = health.test.as_ref()?;
    if service.shares_network() {
        return None;
    }
    let inside = ports_inside(service);
    let published = service.ports();
    let wrong = ports_asked(test).into_iter().find(|asked| {
        !inside.contains(asked)
            && published.iter().any(|(port, _)| {
                port.published.is_some_and(|(first, last)| (first..=last).contains(asked))
            })
    })?;
    let right = published.iter().find_map(|(port, _)| {
        let (first, last) = port.published?;
        let offset = wrong.checked_sub(first).filter(|_| wrong <= last)?;
        port.target.0.checked_add(offset).filter(|right| *right <= port.target.1)
    })?;
    let corrected = |text: &str| text.replace(&format!(":{wrong}"), &format!(":{right}"));
    let named = |node: &Node| node.text().is_some_and(|text| corrected(text) != text);
    let fix = match &entry.value.value {
        Value::Text { text, .. } => set_value(project, entry, &corrected(text)),
        Value::List(items) => items
            .iter()
            .find(|item| named(item))
            .and_then(|item| replace(project, item.at, quoted(&corrected(item.text()?)))),
        Value::Map(_) => None,
    };
    Some(
        project
            .finding(Kind::HealthWrongPort, Severity::Error, service, Some(entry.at))
            .with("port", u32::from(wrong))
            .with("right", u32::from(right))
            .fixed_by(fix),
    )
}

fn start_short(project: &Project, service: &Service, health: &Health) -> Option<Finding> {
    if !asks_models(service) || is_job(project, service) {
        return None;
    }
    let patience = health.interval_ms.saturating_mul(health.retries);
    let short = match health.start_period_ms {
        Some(period) => period < SHORTEST_START_MS,
        // Without one, the failures that are allowed are the time that it has.
        None => patience < START_MS && health.entry.value.get("start_period").is_none(),
    };
    if !short {
        return None;
    }
    let (at, fix) = if let Some(entry) = health.entry.value.entry("start_period") {
        (entry.at, set_value(project, entry, START))
    } else {
        let fix = add_to(project, &health.entry, "start_period", &Written::text(START));
        (health.entry.at, fix)
    };
    Some(
        project
            .finding(Kind::HealthStartShort, Severity::Warning, service, Some(at))
            .with("period", doctor::Value::Millis(health.start_period_ms.unwrap_or(patience)))
            .fixed_by(fix),
    )
}

/// Small images have no curl; what was installed on top shows only in a Dockerfile.
fn no_curl(project: &Project, service: &Service, health: &Health) -> Option<Finding> {
    let (test, entry) = health.test.as_ref()?;
    if !test.split([' ', '/', ';', '|', '&']).any(|word| word == "curl") || test.contains("wget") {
        return None;
    }
    let base = base_image(service)?;
    if !lacks_curl(base) || service.dockerfile.as_deref().is_some_and(|text| text.contains("curl"))
    {
        return None;
    }
    let fix = ports_asked(test)
        .first()
        .map(|port| proposal(service, *port))
        .and_then(|test| replace(project, whole(entry)?, Written::List(test).line("test")));
    Some(
        project
            .finding(Kind::HealthNoCurl, Severity::Warning, service, Some(entry.at))
            .with("image", base)
            .fixed_by(fix),
    )
}

/// The image, or the one that the last stage of a build begins with.
fn base_image(service: &Service) -> Option<&str> {
    if service.node.get("build").is_none() {
        return service.text("image");
    }
    let words = |line: &'_ str| line.trim_start().get(..5).map(str::to_ascii_uppercase);
    let last = service.dockerfile.as_deref()?.lines().rev();
    let from = last.into_iter().find(|line| words(line).as_deref() == Some("FROM "))?;
    from.split_whitespace().skip(1).find(|word| !word.starts_with("--"))
}

fn lacks_curl(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or(image);
    let (name, tag) = name.split_once(':').unwrap_or((name, ""));
    // `curlimages/curl` is made of Alpine and curl.
    name != "curl"
        && (tag.contains("alpine")
            || tag.contains("slim")
            || image.contains("distroless")
            || matches!(name, "alpine" | "busybox" | "debian" | "ubuntu")
            || image.starts_with("ollama/ollama"))
}

/// A command that the image can surely run, as far as that can be known.
fn proposal(service: &Service, port: u16) -> Vec<String> {
    let image = base_image(service).unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or(image);
    let is = |known: &str| name.starts_with(known);
    let command: Vec<String> = if is("postgres") || is("pgvector") {
        vec!["CMD-SHELL".into(), "pg_isready".into()]
    } else if is("redis") {
        vec!["CMD".into(), "redis-cli".into(), "ping".into()]
    } else if is("ollama") {
        vec!["CMD".into(), "ollama".into(), "list".into()]
    } else if is("python") || image.contains("slim") || image.is_empty() {
        let ask = format!(
            "import urllib.request; urllib.request.urlopen('http://127.0.0.1:{port}/health')"
        );
        vec!["CMD".into(), "python3".into(), "-c".into(), ask]
    } else if name.contains("alpine") || is("busybox") {
        let ask = format!("http://127.0.0.1:{port}/");
        vec!["CMD".into(), "wget".into(), "-q".into(), "--spider".into(), ask]
    } else {
        let url = format!("http://127.0.0.1:{port}/");
        let path = if asks_models(service) { "health" } else { "" };
        let ask = format!("curl -fsS {url}{path} || wget -q --spider {url}{path}");
        vec!["CMD-SHELL".into(), ask]
    };
    command
}

/// Ports that something listens on inside, as far as the file tells: the inner side of what is
/// published or exposed, and what variables and the command call a port.
fn ports_inside(service: &Service) -> Vec<u16> {
    let mut ports = Vec::new();
    for (port, _) in service.ports() {
        let (first, last) = port.target;
        ports.extend(first..=last.min(first.saturating_add(100)));
    }
    let exposed = service.node.get("expose").map(|node| node.items()).unwrap_or_default();
    ports.extend(
        exposed.iter().filter_map(|item| item.text()?.split('/').next()?.parse::<u16>().ok()),
    );
    for variable in service.effective() {
        if variable.name == "PORT"
            || variable.name.ends_with("_PORT") && is_own(service, &variable.name)
        {
            ports.extend(variable.value.as_deref().and_then(|value| value.parse::<u16>().ok()));
        }
    }
    let command = service.command();
    let mut words = command.split([' ', '=']);
    while let Some(word) = words.next() {
        if matches!(word, "--port" | "-p" | "--bind" | "-b" | "--listen") {
            let value = words.next().unwrap_or_default();
            ports.extend(value.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()));
        }
    }
    ports
}

/// `VICTORIA_PORT` of `victoria-agent`: its own, and not that of a database.
fn is_own(service: &Service, variable: &str) -> bool {
    let name = variable.trim_end_matches("_PORT").to_lowercase();
    service.called().contains(&name)
}

/// Ports of this container that a command asks: `localhost:8010`, `127.0.0.1:8010`.
fn ports_asked(test: &str) -> Vec<u16> {
    let mut ports = Vec::new();
    for host in ["localhost:", "127.0.0.1:", "0.0.0.0:", "[::1]:"] {
        for (at, _) in test.match_indices(host) {
            let rest = test.get(at + host.len()..).unwrap_or_default();
            let length = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
            ports.extend(rest.get(..length).and_then(|port| port.parse::<u16>().ok()));
        }
    }
    ports
}
