//! Reading a project from disk: its files, what they include and extend, and files of variables.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::{Finding, Kind, Severity};
use super::interpolate::{Scope, variables};
use super::merge::merge;
use super::project::{Project, Service, Source, Variable, environment};
use super::yaml::{Broken, Entry, LARGEST, Mark, Node, Place, Shape, Value, parse};

/// Files of one project, with all that is included.
const MOST_FILES: usize = 64;
/// Variables that are taken from one file; what follows is not known.
const MOST_VARIABLES: usize = 2_000;
/// Files of variables that all services together may name, and characters in them: an anchor lets
/// each of a thousand services name the same thousand.
const MOST_ENV_FILES: usize = 2_000;
const MOST_ENV_TEXT: usize = 16 << 20;
/// `extends` of `extends`.
const DEEPEST: usize = 10;

/// The project that these files make together, as `docker compose -f FIRST -f SECOND` would. `shell`
/// gives the variables of the shell, which win over those of the file `.env`.
/// `env_files` are read instead of it where there are any, as with `--env-file`.
pub fn read(
    files: &[PathBuf],
    env_files: &[PathBuf],
    shell: &dyn Fn(&str) -> Option<String>,
) -> Project {
    let base = files.first().map(|file| folder(file)).unwrap_or_default();
    let mut reading = Reading {
        scope: Scope { shell, file: BTreeMap::new() },
        project: Project::default(),
        known: HashMap::new(),
        extended: HashMap::new(),
        env_files: MOST_ENV_FILES,
        env_text: MOST_ENV_TEXT,
    };
    if env_files.is_empty() {
        reading.dot_env(&base.join(".env"));
    }
    for file in env_files.iter().rev() {
        reading.dot_env(file);
    }
    let services = reading.files(files, &base, 0);
    for entry in services {
        reading.service(entry);
    }
    reading.project
}

struct Reading<'a> {
    scope: Scope<'a>,
    project: Project,
    /// The services of each source, for those that extend another one beside them.
    known: HashMap<usize, Vec<Entry>>,
    /// The services of files that were extended.
    extended: HashMap<PathBuf, Vec<Entry>>,
    /// What is left of what files of variables may be.
    env_files: usize,
    env_text: usize,
}

impl Reading<'_> {
    /// What stands in `.env` already known wins: the outer project's counts more than an included one's.
    fn dot_env(&mut self, file: &Path) {
        let Ok(text) = load(file) else { return };
        for (name, value, _) in variables(&text, &self.scope) {
            self.scope.file.entry(name).or_insert(value);
        }
    }

    /// The services of these files, the later over the earlier, and of what they include.
    fn files(&mut self, files: &[PathBuf], base: &Path, depth: usize) -> Vec<Entry> {
        let mut whole: Option<Arc<Node>> = None;
        let mut any = false;
        for file in files {
            for document in self.documents(file, base) {
                any |= ["services", "include"].iter().any(|key| document.get(key).is_some());
                whole = Some(match whole {
                    None => document,
                    Some(before) => merge(&before, &document, ""),
                });
            }
        }
        let Some(whole) = whole else { return Vec::new() };
        if !any {
            self.broken(whole.at, "it has no services");
        }
        let mut services = Vec::new();
        if let Some(include) = whole.get("include") {
            services = self.include(include, depth);
        }
        match whole.get("services") {
            Some(node) if matches!(node.value, Value::Map(_)) => {
                for entry in node.entries() {
                    services.retain(|included: &Entry| included.key != entry.key);
                    services.push(entry.clone());
                }
            }
            Some(node) if !node.is_null() => {
                self.broken(node.at, "it has services that are no map");
            }
            Some(_) | None => {}
        }
        services
    }

    fn documents(&mut self, file: &Path, base: &Path) -> Vec<Arc<Node>> {
        let place = Place { source: self.project.sources.len(), ..Place::default() };
        let (text, error) = match load(file) {
            Ok(text) => (text, None),
            Err(reason) => (String::new(), Some(reason)),
        };
        let source = place.source;
        let parsed = parse(&text, source, &self.scope);
        self.project.sources.push(Source { path: file.into(), text, base: base.into() });
        if let Some(reason) = error {
            let finding = self.project.general(Kind::Broken, Severity::Error, None);
            let finding = finding.with("reason", reason).with("file", shown(file));
            self.project.findings.push(Finding { file: Some(file.into()), ..finding });
            return Vec::new();
        }
        match parsed {
            Ok(documents) => {
                let is_map = |node: &Arc<Node>| matches!(node.value, Value::Map(_));
                if let Some(other) = documents.iter().find(|node| !is_map(node) && !node.is_null())
                {
                    self.broken(other.at, "it is no map of services");
                }
                let empty = documents.iter().all(|node| node.is_null());
                let maps: Vec<_> = documents.into_iter().filter(is_map).collect();
                let services = maps.iter().filter_map(|document| document.get("services"));
                let services = services.flat_map(|services| services.entries().to_vec()).collect();
                self.known.insert(source, services);
                if empty {
                    let start = Mark { line: 1, column: 0 };
                    self.broken(Place { source, start, end: start }, "it is empty");
                }
                maps
            }
            Err(Broken { at, reason }) => {
                self.broken(Place { source, start: at, end: at }, &reason);
                Vec::new()
            }
        }
    }

    fn broken(&mut self, at: Place, reason: &str) {
        let path = self.project.sources.get(at.source).map(|source| source.path.clone());
        let finding = self.project.general(Kind::Broken, Severity::Error, Some(at));
        let finding = finding
            .with("reason", reason)
            .with("file", path.as_deref().map(shown).unwrap_or_default());
        // An empty file has no text to point into, and is a file all the same.
        let finding = Finding {
            file: path,
            line: Some(at.start.line),
            column: Some(at.start.column + 1),
            ..finding
        };
        self.project.findings.push(finding);
    }

    /// Source: compose-spec `14-include.md`.
    fn include(&mut self, include: &Node, depth: usize) -> Vec<Entry> {
        let mut services: Vec<Entry> = Vec::new();
        for item in include.items() {
            let named = match &item.value {
                Value::Text { .. } => vec![Arc::clone(item)],
                Value::Map(_) => match item.get("path") {
                    Some(path) if path.items().is_empty() => vec![Arc::clone(path)],
                    Some(path) => path.items().to_vec(),
                    None => Vec::new(),
                },
                Value::List(_) => Vec::new(),
            };
            let mut files = Vec::new();
            for node in named {
                files.extend(self.named_file(&node, depth));
            }
            let Some(first) = files.first() else { continue };
            let own = item.get("project_directory").and_then(|node| node.text());
            let base = own.map_or_else(|| folder(first), |own| self.base(item.at).join(own));
            self.dot_env(&base.join(".env"));
            for entry in self.files(&files, &base, depth + 1) {
                services.retain(|earlier| earlier.key != entry.key);
                services.push(entry);
            }
        }
        services
    }

    /// A compose file that another one names; none where it cannot be followed, which is then said.
    fn named_file(&mut self, node: &Node, depth: usize) -> Option<PathBuf> {
        let text = node.text().filter(|text| !is_remote(text));
        let may = depth < DEEPEST && self.project.sources.len() < MOST_FILES;
        let Some(text) = text.filter(|_| may) else {
            let finding = self.project.general(Kind::NotFollowed, Severity::Note, Some(node.at));
            let what = node.text().map(without_secrets).unwrap_or_default();
            self.project.findings.push(finding.with("file", what));
            return None;
        };
        let file = self.base(node.at).join(text);
        if !file.is_file() {
            self.missing(node.at, &file, None);
            return None;
        }
        Some(file)
    }

    fn missing(&mut self, at: Place, file: &Path, service: Option<&str>) {
        let finding = self.project.general(Kind::FileMissing, Severity::Error, Some(at));
        let finding = finding.with("file", shown(file));
        let service = service.map(str::to_owned);
        self.project.findings.push(Finding { service, ..finding });
    }

    fn service(&mut self, entry: Entry) {
        if !matches!(entry.value.value, Value::Map(_)) {
            self.broken(entry.at, "it has a service that is no map");
            return;
        }
        let node = self.extended(&entry.value, 0);
        let (mut variables, variables_unknown) = self.env_files(&node, &entry.key);
        variables.extend(environment(&node));
        for variable in variables.iter_mut().filter(|variable| variable.value.is_none()) {
            // Only what is passed through by its name; a text with an unset variable stays unknown.
            if variable.as_item
                || node.get("environment").is_some_and(|environment| {
                    environment.get(&variable.name).is_some_and(|value| value.is_null())
                })
            {
                variable.value = self.scope.get(&variable.name);
            }
        }
        let dockerfile = self.build(&node, &entry.key);
        let entry = Entry { value: Arc::clone(&node), ..entry };
        self.project.services.push(Service {
            name: entry.key.clone(),
            entry,
            node,
            variables,
            variables_unknown,
            dockerfile,
        });
    }

    /// Source: compose-spec `05-services.md`, extends. What is added goes to the service itself.
    fn extended(&mut self, node: &Arc<Node>, depth: usize) -> Arc<Node> {
        let Some(extends) = node.get("extends").cloned() else { return Arc::clone(node) };
        let service = extends.text().or_else(|| extends.get("service")?.text()).map(str::to_owned);
        let Some(service) = service else { return Arc::clone(node) };
        if depth >= DEEPEST {
            self.broken(extends.at, "it extends itself, or more than ten services in a row");
            return Arc::clone(node);
        }
        let services = match extends.get("file").cloned() {
            Some(file) => {
                let Some(file) = self.named_file(&file, depth) else { return Arc::clone(node) };
                if !self.extended.contains_key(&file) {
                    let services =
                        self.files(std::slice::from_ref(&file), &folder(&file), depth + 1);
                    self.extended.insert(file.clone(), services);
                }
                self.extended.get(&file)
            }
            None => self.known.get(&node.at.source),
        };
        let base = services.into_iter().flatten().find(|entry| entry.key == service).cloned();
        let Some(base) = base else {
            self.broken(extends.at, "it extends a service that does not exist");
            return Arc::clone(node);
        };
        let base = self.extended(&base.value, depth + 1);
        let merged = merge(&base, node, "");
        Arc::new(Node { value: merged.value.clone(), at: node.at, shape: node.shape, tag: None })
    }

    /// The variables of the files that `env_file` names, and whether one of them is not there.
    fn env_files(&mut self, node: &Node, service: &str) -> (Vec<Variable>, bool) {
        let Some(named) = node.get("env_file").cloned() else { return (Vec::new(), false) };
        let items = match &named.value {
            Value::List(items) => items.clone(),
            Value::Text { .. } | Value::Map(_) => vec![named],
        };
        let (mut found, mut unknown) = (Vec::new(), false);
        for item in items {
            let Some(path) = item.text().or_else(|| item.get("path")?.text()) else {
                unknown = true;
                continue;
            };
            if self.env_files == 0 || self.env_text == 0 {
                return (found, true);
            }
            self.env_files -= 1;
            let file = self.base(item.at).join(path);
            if let Ok(text) = load(&file) {
                self.env_text = self.env_text.saturating_sub(text.len());
                let source = self.project.sources.len();
                let all = variables(&text, &self.scope);
                unknown |= all.len() > MOST_VARIABLES;
                for (name, value, line) in all.into_iter().take(MOST_VARIABLES) {
                    let length = text.lines().nth(line - 1).map_or(0, |line| line.chars().count());
                    let start = Mark { line, column: 0 };
                    let at = Place { source, start, end: Mark { line, column: length } };
                    let value = Some(value);
                    found.push(Variable { name, value, at, as_item: true, in_file: true });
                }
                self.project.sources.push(Source { base: folder(&file), path: file, text });
            } else {
                unknown = true;
                let optional = item.get("required").is_some_and(|value| {
                    value.text().is_some_and(|text| text.eq_ignore_ascii_case("false"))
                });
                if !optional {
                    self.missing(item.at, &file, Some(service));
                }
            }
        }
        (found, unknown)
    }

    /// The Dockerfile of a build that lies here.
    fn build(&mut self, node: &Node, service: &str) -> Option<String> {
        let build = node.get("build")?;
        let context = build.get("context").cloned();
        let context = context.or_else(|| build.text().is_some().then(|| Arc::clone(build)));
        let place = context.as_ref().map_or(build.at, |node| node.at);
        let text = match &context {
            Some(node) => node.text().filter(|text| !is_remote(text))?,
            None if matches!(build.shape, Shape::Text) => return None,
            None => ".",
        };
        let folder = self.base(place).join(text);
        if !folder.is_dir() {
            self.missing(place, &folder, Some(service));
            return None;
        }
        if let Some(inline) = build.get("dockerfile_inline").and_then(|node| node.text()) {
            return Some(inline.to_owned());
        }
        let named = build.get("dockerfile");
        let name = match named {
            Some(node) => node.text()?,
            None => "Dockerfile",
        };
        let file = folder.join(name);
        if !file.is_file() {
            let at = named.map_or(place, |node| node.at);
            self.missing(at, &file, Some(service));
            return None;
        }
        load(&file).ok()
    }

    fn base(&self, at: Place) -> PathBuf {
        self.project.sources.get(at.source).map(|source| source.base.clone()).unwrap_or_default()
    }
}

/// A text file within the bound; the reason is for people.
pub(super) fn load(file: &Path) -> Result<String, String> {
    let metadata = file.metadata().map_err(|error| {
        let absent = error.kind() == std::io::ErrorKind::NotFound;
        if absent { "it does not exist".to_owned() } else { format!("it cannot be read: {error}") }
    })?;
    if !metadata.is_file() {
        return Err("it is no file".into());
    }
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|open| open.take(LARGEST + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("it cannot be read: {error}"))?;
    if bytes.len() as u64 > LARGEST {
        return Err("it is larger than 1 MB: no compose file is".into());
    }
    String::from_utf8(bytes).map_err(|_| "it is no text in UTF-8".into())
}

fn folder(file: &Path) -> PathBuf {
    file.parent().map(Path::to_path_buf).unwrap_or_default()
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}

/// Not on this disk: an address, a repository, an artifact.
fn is_remote(text: &str) -> bool {
    text.contains("://") || text.starts_with("git@") || text.starts_with("github.com/")
}

/// An address may carry a token before its host, or in its query.
fn without_secrets(text: &str) -> String {
    let text = text.split('?').next().unwrap_or_default();
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => text.to_owned(),
    }
}
