//! A compose project as it will run: files merged, variables put in.

use std::path::PathBuf;
use std::sync::Arc;

use doctor::Sentence;

use super::finding::{Finding, Kind, Severity};
use super::fix::Fix;
use super::merge::keyed;
use super::units::{Port, duration_ms, range};
use super::yaml::{Entry, Node, Place, Value};

/// A file that something was read from.
#[derive(Clone, Debug, Default)]
pub struct Source {
    pub path: PathBuf,
    /// Empty: there is no file, it was made from a container.
    pub text: String,
    /// Where relative paths in it begin.
    pub base: PathBuf,
}

#[derive(Clone, Debug, Default)]
pub struct Project {
    pub sources: Vec<Source>,
    pub services: Vec<Service>,
    /// What was found while reading.
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug)]
pub struct Service {
    pub name: String,
    /// Its key, and all that is said of it.
    pub entry: Entry,
    pub node: Arc<Node>,
    /// Those of files first, then its own.
    pub variables: Vec<Variable>,
    /// A file of variables cannot be read: what is missing may stand there.
    pub variables_unknown: bool,
    /// What it is built from, where that could be read.
    pub dockerfile: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Variable {
    pub name: String,
    /// None: it comes from the shell that starts the project, or from a variable that is not set.
    pub value: Option<String>,
    /// From its name to the end of its value.
    pub at: Place,
    /// `NAME=value` in a list.
    pub as_item: bool,
    /// In a file of variables.
    pub in_file: bool,
}

/// What a service's health check says.
#[derive(Clone, Debug)]
pub struct Health {
    pub entry: Entry,
    pub off: bool,
    /// The command as one text; none: it is the image's own.
    pub test: Option<(String, Entry)>,
    pub start_period_ms: Option<u64>,
    pub interval_ms: u64,
    pub retries: u64,
}

impl Project {
    /// A finding about a service, where its key stands unless a closer place is known.
    pub fn finding(
        &self,
        kind: Kind,
        severity: Severity,
        service: &Service,
        at: Option<Place>,
    ) -> Finding {
        let says = Sentence::new(kind.keys().0).with("service", service.name.as_str());
        let mut finding = self.general(kind, severity, Some(at.unwrap_or(service.entry.at)));
        finding.service = Some(service.name.clone());
        finding.says = says;
        finding
    }

    /// A finding that is about no service.
    pub fn general(&self, kind: Kind, severity: Severity, at: Option<Place>) -> Finding {
        let place = at.and_then(|at| Some((at.start, self.sources.get(at.source)?)));
        let place = place.filter(|(_, source)| !source.text.is_empty());
        Finding {
            kind,
            severity,
            file: place.map(|(_, source)| source.path.clone()),
            line: place.map(|(start, _)| start.line),
            column: place.map(|(start, _)| start.column + 1),
            service: None,
            says: Sentence::new(kind.keys().0),
            fix: None,
        }
    }

    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }
}

impl Finding {
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<doctor::Value>) -> Self {
        self.says = self.says.with(name, value);
        self
    }

    #[must_use]
    pub fn fixed_by(mut self, fix: Option<Fix>) -> Self {
        self.fix = fix;
        self
    }
}

impl Service {
    pub fn text(&self, key: &str) -> Option<&str> {
        self.node.get(key)?.text()
    }

    /// The variable as it counts: what comes last.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().rev().find(|variable| variable.name == name)
    }

    /// Each variable once, as it counts.
    pub fn effective(&self) -> impl Iterator<Item = &Variable> {
        self.variables.iter().filter(|variable| {
            self.variable(&variable.name).is_some_and(|last| std::ptr::eq(last, *variable))
        })
    }

    /// `deploy.resources.limits.memory`, or `mem_limit`: Compose takes either.
    pub fn memory_limit(&self) -> Option<&Entry> {
        let deploy = || self.node.get("deploy")?.get("resources")?.get("limits")?.entry("memory");
        self.node.entry("mem_limit").or_else(deploy).filter(|entry| !entry.value.is_null())
    }

    /// Its published ports, each with where it stands.
    pub fn ports(&self) -> Vec<(Port, Arc<Node>)> {
        let Some(node) = self.node.get("ports") else { return Vec::new() };
        node.items().iter().filter_map(|item| Some((port(item)?, Arc::clone(item)))).collect()
    }

    /// Shares the network of the host, or of another container: its `localhost` is not its own.
    pub fn shares_network(&self) -> bool {
        self.text("network_mode").is_some_and(|mode| {
            mode == "host" || mode.starts_with("service:") || mode.starts_with("container:")
        })
    }

    pub fn health(&self) -> Option<Health> {
        let entry = self.node.entry("healthcheck")?;
        let node = &entry.value;
        let test = node.entry("test");
        let command = test.map(|test| words_of(&test.value));
        let off = node.get("disable").is_some_and(|value| value.is_true())
            || command.as_deref() == Some("NONE");
        let duration = |key: &str| node.get(key).and_then(|value| duration_ms(value.text()?));
        Some(Health {
            entry: entry.clone(),
            off,
            test: command.zip(test.cloned()),
            start_period_ms: duration("start_period"),
            // Defaults of the engine (moby `daemon/health.go`).
            interval_ms: duration("interval").unwrap_or(30_000),
            retries: node.get("retries").and_then(|value| value.text()?.parse().ok()).unwrap_or(3),
        })
    }

    /// `command` and `entrypoint` as one text.
    pub fn command(&self) -> String {
        let part = |key: &str| self.node.get(key).map(|node| words_of(node)).unwrap_or_default();
        format!("{} {}", part("entrypoint"), part("command"))
    }

    /// Services that it waits for: name, condition where one is given, and where.
    pub fn depends_on(&self) -> Vec<(String, Option<String>, Place)> {
        let Some(node) = self.node.get("depends_on") else { return Vec::new() };
        keyed(node, "depends_on")
            .into_iter()
            .map(|entry| {
                let condition = entry.value.get("condition").and_then(|value| value.text());
                (entry.key.clone(), condition.map(str::to_owned), entry.at)
            })
            .collect()
    }

    pub fn profiles(&self) -> Vec<&str> {
        let profiles = self.node.get("profiles").map(|node| node.items()).unwrap_or_default();
        profiles.iter().filter_map(|item| item.text()).collect()
    }

    /// Name of the service and of its container, in small letters.
    pub fn called(&self) -> String {
        let container = self.text("container_name").unwrap_or_default();
        format!("{} {container}", self.name).to_lowercase()
    }
}

/// The variables that `environment` sets.
pub(super) fn environment(node: &Node) -> Vec<Variable> {
    let Some(environment) = node.get("environment") else { return Vec::new() };
    let of_entry = |entry: Entry| {
        let as_item = entry.at == entry.value.at;
        // `NAME:` without a value comes from the shell, as `- NAME` does.
        let value = entry.value.text().map(str::to_owned);
        let at = super::fix::whole(&entry).unwrap_or(entry.at);
        let at = if as_item { entry.at } else { at };
        Variable { name: entry.key, value, at, as_item, in_file: false }
    };
    keyed(environment, "environment").into_iter().map(of_entry).collect()
}

/// A command in either form as one text.
fn words_of(node: &Node) -> String {
    match &node.value {
        Value::Text { text, .. } => text.clone(),
        Value::List(items) => {
            let words: Vec<&str> = items.iter().filter_map(|item| item.text()).collect();
            words.join(" ")
        }
        Value::Map(_) => String::new(),
    }
}

fn port(item: &Node) -> Option<Port> {
    if let Some(text) = item.text() {
        return Port::short(text);
    }
    let text = |key: &str| item.get(key).and_then(|value| value.text());
    Some(Port {
        published: match text("published") {
            Some(published) => Some(range(published)?),
            None => None,
        },
        target: range(text("target")?)?,
        address: text("host_ip").unwrap_or_default().to_owned(),
        udp: text("protocol") == Some("udp"),
    })
}
