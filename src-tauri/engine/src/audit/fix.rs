//! The exact lines to write, and where.

use std::path::PathBuf;

use doctor::Sentence;

use super::finding::Finding;
use super::project::{Project, Service, Variable};
use super::yaml::{Entry, Mark, Node, Place, Shape};

/// One change of one file: what stands from `start` until before `end` becomes `text`. With both the
/// same, nothing is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    pub file: PathBuf,
    pub start: Mark,
    pub end: Mark,
    pub text: String,
    /// Where it goes into a line: what stands right before it, such as `ports: [`.
    pub behind: Option<String>,
    /// What is replaced shares its lines with something else.
    pub part: bool,
}

impl Fix {
    /// The place in words, so exact that a person finds it.
    pub fn place(&self) -> Sentence {
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let key = match (&self.behind, self.start == self.end, self.part) {
            (Some(_), true, _) => "audit.place_behind",
            (None, true, _) => "audit.place_before",
            (_, false, true) if self.start.line == self.end.line => "audit.place_part",
            (_, false, _) if self.start.line < self.end.line => "audit.place_lines",
            (_, false, _) => "audit.place_instead",
        };
        Sentence::new(key)
            .with("line", number(self.start.line))
            .with("last", number(self.end.line))
            .with("behind", self.behind.clone().unwrap_or_default())
            .with("from", number(self.start.column + 1))
            .with("to", number(self.end.column))
    }
}

/// What is to be written under a key.
#[derive(Clone, Debug)]
pub(super) enum Written {
    Text(String),
    List(Vec<String>),
    Map(Vec<(String, Written)>),
}

impl Written {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// `key: value` in one line, without its end.
    pub(super) fn line(&self, key: &str) -> String {
        format!("{key}: {}", self.flow())
    }

    /// `key:` and what is below it, for a place that is indented so far already; without the last end.
    pub(super) fn lines(&self, indent: usize, key: &str) -> String {
        self.block(indent, key).trim().to_owned()
    }

    /// Whole lines.
    fn block(&self, indent: usize, key: &str) -> String {
        let space = " ".repeat(indent);
        match self {
            Self::Text(_) | Self::List(_) => format!("{space}{}\n", self.line(key)),
            Self::Map(entries) => {
                let below = entries.iter().map(|(key, value)| value.block(indent + 2, key));
                format!("{space}{key}:\n{}", below.collect::<String>())
            }
        }
    }

    fn flow(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(|item| double_quoted(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Map(entries) => {
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{key}: {}", value.flow())).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }
}

/// Adds a key to a service.
pub(super) fn add_key(
    project: &Project,
    service: &Service,
    key: &str,
    value: &Written,
) -> Option<Fix> {
    add_to(project, &service.entry, key, value)
}

/// Adds a key to the map that stands under `entry`.
pub(super) fn add_to(project: &Project, entry: &Entry, key: &str, value: &Written) -> Option<Fix> {
    match entry.value.shape {
        Shape::BlockMap(inner) => {
            insert(project, entry.value.at.source, inner, value.block(inner.column, key))
        }
        Shape::FlowMap(inner) => {
            let more = if entry.value.entries().is_empty() { "" } else { ", " };
            within(project, &entry.value, inner, format!("{key}: {}{more}", value.flow()))
        }
        Shape::Text | Shape::BlockList(_) | Shape::FlowList(_) => {
            if !entry.value.is_null() || entry.value.at.source != entry.at.source {
                return None;
            }
            let text = value.block(entry.at.start.column + 2, key);
            insert(project, entry.at.source, below(entry.at), text)
        }
    }
}

/// Adds variables to a service's environment.
pub(super) fn add_variables(
    project: &Project,
    service: &Service,
    variables: &[(&str, String)],
) -> Option<Fix> {
    if let Some(entry) = service.node.entry("environment") {
        add_pairs(project, entry, variables, '=')
    } else {
        let map = variables.iter().map(|(name, value)| ((*name).into(), Written::text(value)));
        add_key(project, service, "environment", &Written::Map(map.collect()))
    }
}

/// Adds names with values in the way in which those that are there are written: as a map, or as a list
/// with a sign between both.
pub(super) fn add_pairs(
    project: &Project,
    entry: &Entry,
    pairs: &[(&str, String)],
    sign: char,
) -> Option<Fix> {
    let node = &entry.value;
    let each = |pair: &dyn Fn(&str, &str) -> String| -> Vec<String> {
        pairs.iter().map(|(name, value)| pair(name, value)).collect()
    };
    let lines = |column: usize| {
        let space = " ".repeat(column);
        each(&|name, value| format!("{space}{name}: {}\n", quoted(value))).concat()
    };
    let more = if node.entries().is_empty() && node.items().is_empty() { "" } else { ", " };
    match node.shape {
        Shape::BlockMap(inner) => insert(project, node.at.source, inner, lines(inner.column)),
        Shape::BlockList(first) => {
            let dash = dash(project, node.at.source, first)?;
            let space = " ".repeat(dash.column);
            let item = |name: &str, value: &str| {
                format!("{space}- {}\n", quoted(&format!("{name}{sign}{value}")))
            };
            insert(project, node.at.source, dash, each(&item).concat())
        }
        Shape::FlowMap(inner) => {
            let pairs = each(&|name, value| format!("{name}: {}", quoted(value))).join(", ");
            within(project, node, inner, format!("{pairs}{more}"))
        }
        Shape::FlowList(inner) => {
            let item = |name: &str, value: &str| double_quoted(&format!("{name}{sign}{value}"));
            within(project, node, inner, format!("{}{more}", each(&item).join(", ")))
        }
        Shape::Text => {
            let here = node.is_null() && node.at.source == entry.at.source;
            let text = lines(entry.at.start.column + 2);
            here.then(|| insert(project, entry.at.source, below(entry.at), text)).flatten()
        }
    }
}

/// Gives a variable another value.
pub(super) fn set_variable(project: &Project, variable: &Variable, value: &str) -> Option<Fix> {
    let name = &variable.name;
    let text = match (variable.in_file, variable.as_item) {
        (true, _) => format!("{name}={value}"),
        (false, true) => quoted(&format!("{name}={value}")),
        (false, false) => format!("{name}: {}", quoted(value)),
    };
    replace(project, variable.at, text)
}

/// Replaces the value of a key that stands in one line.
pub(super) fn set_value(project: &Project, entry: &Entry, value: &str) -> Option<Fix> {
    replace(project, whole(entry)?, format!("{}: {}", entry.key, quoted(value)))
}

/// From its key to the end of its value; none where the value stands elsewhere, as an alias's does.
pub(super) fn whole(entry: &Entry) -> Option<Place> {
    let value = entry.value.at;
    (value.source == entry.at.source && value.start >= entry.at.end)
        .then_some(Place { end: value.end, ..entry.at })
}

pub(super) fn replace(project: &Project, at: Place, text: String) -> Option<Fix> {
    let source = project.sources.get(at.source)?;
    let line = source.text.lines().nth(at.start.line.checked_sub(1)?)?;
    let inside = at.start < at.end && line.chars().count() > at.start.column;
    let before: String = line.chars().take(at.start.column).collect();
    let last = source.text.lines().nth(at.end.line.checked_sub(1)?).unwrap_or_default();
    let after: String = last.chars().skip(at.end.column).collect();
    let after = after.trim_start();
    let part = !before.chars().all(|letter| letter == ' ' || letter == '-')
        || !(after.is_empty() || after.starts_with('#'));
    inside.then(|| Fix {
        file: source.path.clone(),
        start: at.start,
        end: at.end,
        text,
        behind: None,
        part,
    })
}

/// The text with changes made; a change that meets an earlier one is left out, since its place is no
/// longer what it was. The second value is how many were made.
pub fn apply(text: &str, fixes: &[&Fix]) -> (String, usize) {
    let mut fixes: Vec<&Fix> = fixes.to_vec();
    fixes.sort_by_key(|fix| (fix.start, fix.end));
    let mut out = String::with_capacity(text.len());
    let (mut done, mut made, mut from) = (0, 0, None::<Mark>);
    for fix in fixes {
        if from.is_some_and(|from| fix.start <= from) {
            continue;
        }
        let (start, end) = (offset(text, fix.start), offset(text, fix.end));
        let Some(kept) = text.get(done..start).filter(|_| start <= end) else { continue };
        out.push_str(kept);
        out.push_str(&fix.text);
        done = end;
        made += 1;
        from = Some(fix.end);
    }
    out.push_str(text.get(done..).unwrap_or_default());
    (out, made)
}

/// Findings of one service that would each begin the same key, such as its `environment`, begin it
/// together: twice it would be an error.
pub(super) fn join(findings: &mut [Finding]) {
    let head = |fix: &Fix| {
        let (head, rest) = fix.text.split_once('\n')?;
        let begins = head.ends_with("environment:") && fix.start == fix.end && !rest.is_empty();
        begins.then(|| (head.to_owned(), rest.to_owned()))
    };
    let heads: Vec<_> = findings.iter().filter_map(|one| head(one.fix.as_ref()?)).collect();
    let Some((first, _)) = heads.first().filter(|_| heads.len() > 1) else { return };
    let lines: String = heads.iter().map(|(_, rest)| rest.as_str()).collect();
    let whole = format!("{first}\n{lines}");
    for fix in findings.iter_mut().filter_map(|finding| finding.fix.as_mut()) {
        if head(fix).is_some() {
            fix.text.clone_from(&whole);
        }
    }
}

/// A text as a YAML scalar: in quotes where it would be read as something else.
pub(super) fn quoted(text: &str) -> String {
    let safe = |letter: char| letter.is_alphanumeric() || "_-./:@%+=$~".contains(letter);
    let word = text.to_ascii_lowercase();
    let meant = ["true", "false", "yes", "no", "on", "off", "null", "~", "y", "n"];
    let plain = !text.is_empty()
        && text.chars().all(safe)
        && text.starts_with(|first: char| first.is_alphanumeric() || "_/.".contains(first))
        && !text.ends_with(':')
        && !meant.contains(&word.as_str());
    if plain { text.to_owned() } else { double_quoted(text) }
}

pub(super) fn double_quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// The dash of the first item: a list that is not indented is said to begin behind it.
fn dash(project: &Project, source: usize, first: Mark) -> Option<Mark> {
    let line = project.sources.get(source)?.text.lines().nth(first.line.checked_sub(1)?)?;
    let column = line.chars().position(|letter| letter != ' ')?;
    (line.chars().nth(column) == Some('-') && column <= first.column)
        .then_some(Mark { line: first.line, column })
}

/// Whole lines before the one that `inner` begins.
fn insert(project: &Project, source: usize, inner: Mark, text: String) -> Option<Fix> {
    let source = project.sources.get(source)?;
    let before = inner.line.checked_sub(1)?;
    // What stands before it in its line would be torn from it. Behind the last line is a good place.
    if let Some(line) = source.text.lines().nth(before)
        && !line.chars().take(inner.column).all(|letter| letter == ' ')
    {
        return None;
    }
    if source.text.is_empty() {
        return None;
    }
    let missing_end = before >= source.text.lines().count() && !source.text.ends_with('\n');
    let text = if missing_end { format!("\n{}", text.trim_end()) } else { text };
    let mark = Mark { line: inner.line, column: 0 };
    let file = source.path.clone();
    Some(Fix { file, start: mark, end: mark, text, behind: None, part: false })
}

fn within(project: &Project, node: &Node, inner: Mark, text: String) -> Option<Fix> {
    let source = project.sources.get(node.at.source)?;
    (!source.text.is_empty()).then(|| Fix {
        file: source.path.clone(),
        start: inner,
        end: inner,
        text,
        behind: Some(opening(&source.text, inner)),
        part: true,
    })
}

/// The bracket before this place, with its key where that stands in the same line: nothing else of the
/// line, since a value may be a secret.
fn opening(text: &str, inner: Mark) -> String {
    let line = inner.line.checked_sub(1).and_then(|index| text.lines().nth(index));
    let before: String = line.unwrap_or_default().chars().take(inner.column).collect();
    let Some(at) = before.rfind(['[', '{']) else { return String::new() };
    let (head, bracket) = before.split_at(at);
    let bracket = bracket.trim_end();
    let Some(head) = head.trim_end().strip_suffix(':') else { return bracket.to_owned() };
    let of_key = |letter: char| letter.is_alphanumeric() || "_-.".contains(letter);
    let key = head.rsplit(|letter: char| !of_key(letter)).next().unwrap_or_default();
    if key.is_empty() { bracket.to_owned() } else { format!("{key}: {bracket}") }
}

/// The line below a key without a value.
fn below(at: Place) -> Mark {
    Mark { line: at.start.line + 1, column: 0 }
}

/// In bytes; behind the last line is the end.
fn offset(text: &str, mark: Mark) -> usize {
    let mut from = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if index + 1 == mark.line {
            let column = line.char_indices().nth(mark.column).map_or(line.len(), |(at, _)| at);
            return from + column;
        }
        from += line.len();
    }
    text.len()
}
