//! The sections of the file, each with its defaults and ranges.

mod containers;
mod needs;
mod servers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use doctor::{Care, Heal, Spec, TargetId};
use toml::de::DeTable;

use super::environment::Environment;
use super::reader::{Field, Section, Source};
use super::{
    ApiSettings, Config, DockerHost, DockerSettings, JournalSettings, Language, Listen,
    MemorySettings, NotificationSettings, ScheduleSettings, values,
};
use needs::Needs;

/// Least and most of what may be configured.
pub(super) const GRACE: Range = (Duration::from_secs(25), Duration::from_mins(2));
pub(super) const FULL_CHECK: Range = (Duration::from_secs(30), Duration::from_hours(24));
const INTERVAL: Range = (Duration::from_secs(1), Duration::from_hours(1));
const TIMEOUT: Range = (Duration::from_millis(100), Duration::from_mins(1));
const KEEP: Range = (Duration::from_hours(24), Duration::from_hours(24 * 3650));

type Range = (Duration, Duration);

const HEAL: [(&str, Heal); 3] =
    [("auto", Heal::Auto), ("ask", Heal::Ask), ("observe", Heal::Observe)];

/// What every section needs to know of the whole.
struct Reading<'a> {
    source: &'a Source<'a>,
    environment: Environment,
    /// R12, or what the environment says.
    grace: Duration,
    roster: Vec<Spec>,
    needs: Needs<'a>,
}

/// The keys that every watched thing takes.
struct Watched {
    heal: Heal,
    interval: Duration,
    timeout: Duration,
    grace: Duration,
}

/// Faults are collected in `source`; with any of them the answer, if there is one, is not to be used.
pub(super) fn config<'a>(
    source: &'a Source<'a>,
    table: &'a DeTable<'a>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Option<Config> {
    let environment = Environment::read(variable);
    let grace = environment.grace.unwrap_or(Duration::from_secs(50));
    let mut reading =
        Reading { source, environment, grace, roster: Vec::new(), needs: Needs::default() };
    let root = source.root(table);
    reading.host();
    let docker_section = root.section("docker");
    let (docker, docker_heal) = reading.docker(&docker_section);
    let ollama = reading.ollama(root.section("ollama"));
    let mlx = reading.mlx(root.section("mlx"));
    let containers = reading.containers(docker_section, docker_heal);
    let services = reading.services(root.sections("service"), docker_heal);
    let memory = memory(root.section("memory"));
    let schedule = schedule(root.section("schedule"), &reading.environment);
    let api = api(root.section("api"));
    let notifications = notifications(root.section("notifications"));
    let journal = journal(root.section("journal"));
    root.finish();
    let needs_projects = reading.needs.settle(&mut reading.roster);
    for spec in &mut reading.roster {
        if let (Care::Container { after, .. }, Some(projects)) =
            (&mut spec.care, needs_projects.get(&spec.id))
        {
            after.clone_from(projects);
        }
    }
    Some(Config {
        roster: reading.roster,
        default_critical: containers::DEFAULT_CRITICAL.map(str::to_owned).to_vec(),
        ollama: ollama?,
        mlx: mlx?,
        docker,
        containers,
        services,
        memory,
        schedule,
        api,
        notifications,
        journal,
        needs_projects,
        signatures: Vec::new(),
        warnings: reading.environment.warnings,
    })
}

impl Reading<'_> {
    fn host(&mut self) {
        // The kernel tells its pressure without being asked over a network: 5 s cost nothing.
        self.roster.push(Spec {
            id: TargetId::Host,
            name: "Memory".into(),
            configured: true,
            heal: Heal::Auto,
            interval: Duration::from_secs(5),
            grace: self.grace,
            needs: Vec::new(),
            care: Care::Host,
        });
    }

    /// The section is read to its end with the containers.
    fn docker(&mut self, section: &Section<'_>) -> (DockerSettings, Heal) {
        let host = section.get("host").and_then(|field| {
            let text = field.text()?;
            field.checked(values::docker_host(text))
        });
        let named = self.environment.docker.clone();
        let configured = section.is_present() || named.is_some();
        let host = match (host, named) {
            (Some(DockerHost::Address(address)), _) => DockerHost::Address(address),
            (Some(DockerHost::Auto) | None, named) => named.unwrap_or(DockerHost::Auto),
        };
        // An engine that wakes from Resource Saver takes 3 to 10 s for its first answer (R10).
        let watched = self.watched(section, Duration::from_secs(15), Duration::from_secs(12));
        self.roster.push(Spec {
            id: TargetId::Docker,
            name: "Docker".into(),
            configured,
            heal: watched.heal,
            interval: watched.interval,
            grace: watched.grace,
            needs: Vec::new(),
            care: Care::Docker,
        });
        (DockerSettings { host, timeout: watched.timeout }, watched.heal)
    }

    fn watched(&self, section: &Section<'_>, interval: Duration, timeout: Duration) -> Watched {
        Watched {
            heal: heal(section).unwrap_or(Heal::Auto),
            interval: duration(section, "interval", INTERVAL).unwrap_or(interval),
            timeout: duration(section, "timeout", TIMEOUT).unwrap_or(timeout),
            grace: duration(section, "grace", GRACE).unwrap_or(self.grace),
        }
    }
}

fn heal(section: &Section<'_>) -> Option<Heal> {
    section.get("heal")?.choice(&HEAL)
}

fn duration(section: &Section<'_>, key: &'static str, (least, most): Range) -> Option<Duration> {
    section.get(key)?.duration(least, most)
}

fn boolean(section: &Section<'_>, key: &'static str) -> Option<bool> {
    section.get(key)?.boolean()
}

fn memory(section: Section<'_>) -> MemorySettings {
    let mut groups = BTreeMap::new();
    for (name, patterns) in section.section("groups").entries() {
        if let Some(patterns) = patterns.names() {
            groups.insert(name, patterns);
        }
    }
    section.finish();
    MemorySettings { groups }
}

fn schedule(section: Section<'_>, environment: &Environment) -> ScheduleSettings {
    let full_check = duration(&section, "full_check", FULL_CHECK)
        .or(environment.full_check)
        .unwrap_or(Duration::from_mins(5));
    section.finish();
    ScheduleSettings { full_check }
}

fn api(section: Section<'_>) -> ApiSettings {
    let listen = section.get("listen").and_then(|field| listen(&field)).unwrap_or(Listen::Auto);
    let hosts = section.get("hosts").and_then(|field| {
        let names = field.names()?;
        names.iter().map(|name| field.checked(values::host_name(name))).collect()
    });
    let recover_needs_token = boolean(&section, "recover_needs_token").unwrap_or(false);
    section.finish();
    ApiSettings { listen, hosts: hosts.unwrap_or_default(), recover_needs_token }
}

fn listen(field: &Field<'_>) -> Option<Listen> {
    if field.is_text() && field.text()? == "auto" {
        return Some(Listen::Auto);
    }
    let items = field.items();
    if items.is_empty() {
        field.error("names no address; write \"auto\" or \"127.0.0.1:9099\"");
        return None;
    }
    let addresses: Option<Vec<SocketAddr>> =
        items.iter().map(|item| item.checked(values::socket_address(item.text()?))).collect();
    addresses.map(Listen::Addresses)
}

fn notifications(section: Section<'_>) -> NotificationSettings {
    let languages =
        [("auto", Language::Auto), ("en", Language::English), ("ru", Language::Russian)];
    let enabled = boolean(&section, "enabled").unwrap_or(true);
    let language = section.get("language").and_then(|field| field.choice(&languages));
    section.finish();
    NotificationSettings { enabled, language: language.unwrap_or(Language::Auto) }
}

fn journal(section: Section<'_>) -> JournalSettings {
    let keep = duration(&section, "keep", KEEP).unwrap_or(Duration::from_hours(24 * 365));
    section.finish();
    JournalSettings { keep }
}
