//! YAML with the place of everything in it, read within bounds.
//!
//! Variables are put in while reading, as Compose does: in values, never in keys. Anchors are shared
//! and never copied, so that a file which multiplies them costs no more than it is long.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::interpolate::{Scope, interpolate};

/// Bytes of one file; a compose file has some kilobytes.
pub(super) const LARGEST: u64 = 1 << 20;
/// Nodes of one file, with what merge keys bring in.
const MOST_NODES: usize = 20_000;
const DEEPEST: usize = 64;

/// A line from 1, and characters before it in that line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub line: usize,
    pub column: usize,
}

/// Where something stands: which source, from where, until before where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub source: usize,
    pub start: Mark,
    pub end: Mark,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub value: Value,
    pub at: Place,
    pub shape: Shape,
    pub tag: Option<MergeTag>,
}

#[derive(Clone, Debug)]
pub enum Value {
    Text {
        text: String,
        /// A variable in it is not set and has no default: what it will be is not known.
        unset: bool,
        /// Without quotes: `no`, `null` and numbers mean something else in them.
        plain: bool,
    },
    List(Vec<Arc<Node>>),
    Map(Vec<Entry>),
}

/// How a collection was written, and where more can be put into it: before its first key or dash, or
/// behind its opening bracket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Text,
    BlockMap(Mark),
    BlockList(Mark),
    FlowMap(Mark),
    FlowList(Mark),
}

/// Compose's own tags: `!reset` takes away what an earlier file said, `!override` replaces it.
/// Source: compose-spec `13-merge.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeTag {
    Reset,
    Override,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub at: Place,
    pub value: Arc<Node>,
}

/// A file that cannot be read as YAML, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub at: Mark,
    pub reason: String,
}

impl Node {
    /// The value under a key of a map.
    pub fn get(&self, key: &str) -> Option<&Arc<Node>> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// Empty unless it is a map.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Text { .. } | Value::List(_) => &[],
        }
    }

    /// Empty unless it is a list.
    pub fn items(&self) -> &[Arc<Node>] {
        match &self.value {
            Value::List(items) => items,
            Value::Text { .. } | Value::Map(_) => &[],
        }
    }

    /// A text whose value is known; none for `null`.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text { text, unset: false, plain } if !(*plain && is_null(text)) => Some(text),
            Value::Text { .. } | Value::List(_) | Value::Map(_) => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Text { text, unset: false, plain: true } if is_null(text))
    }

    /// Whether a variable in it decides what it is.
    pub fn is_unset(&self) -> bool {
        matches!(&self.value, Value::Text { unset: true, .. })
    }

    /// `true` in any of YAML's ways.
    pub fn is_true(&self) -> bool {
        self.text().is_some_and(|text| {
            ["true", "yes", "on", "1"].contains(&text.to_ascii_lowercase().as_str())
        })
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// All documents of one text, in order.
pub(super) fn parse(
    text: &str,
    source: usize,
    scope: &Scope<'_>,
) -> Result<Vec<Arc<Node>>, Broken> {
    if text.len() as u64 > LARGEST {
        return Err(broken(Mark { line: 1, column: 0 }, "is larger than 1 MB: no compose file is"));
    }
    let mut reading = Reading {
        parser: Parser::new_from_str(text),
        source,
        scope,
        anchors: HashMap::new(),
        left: MOST_NODES,
    };
    let mut documents = Vec::new();
    while let Some((event, span)) = reading.next()? {
        match event {
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::Nothing => {}
            Event::Alias(_)
            | Event::Scalar(..)
            | Event::SequenceStart(..)
            | Event::SequenceEnd
            | Event::MappingStart(..)
            | Event::MappingEnd => documents.push(reading.node(event, span, 0)?),
        }
    }
    Ok(documents)
}

struct Reading<'a, I: saphyr_parser::Input> {
    parser: Parser<'a, I>,
    source: usize,
    scope: &'a Scope<'a>,
    anchors: HashMap<usize, Arc<Node>>,
    left: usize,
}

impl<'a, I: saphyr_parser::Input> Reading<'a, I> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Broken> {
        let next = self.parser.next_event().transpose();
        next.map_err(|error| {
            let reason = format!("the YAML is wrong here ({})", error.info());
            Broken { at: mark(*error.marker()), reason }
        })
    }

    fn spend(&mut self, count: usize, at: Mark) -> Result<(), Broken> {
        self.left = self.left.checked_sub(count).ok_or_else(|| {
            broken(
                at,
                "has more than 20000 entries, or anchors or variables that multiply to as many",
            )
        })?;
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Arc<Node>, Broken> {
        let start = mark(span.start);
        self.spend(1, start)?;
        if depth > DEEPEST {
            return Err(broken(start, "is nested deeper than 64 levels"));
        }
        let (node, anchor) = match event {
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                return known.ok_or_else(|| broken(start, "names an anchor inside itself"));
            }
            Event::Scalar(text, style, anchor, tag) => {
                let put = interpolate(&text, self.scope).map_err(|why| broken(start, &why))?;
                // What variables bring in counts as well.
                self.spend(put.text.len().saturating_sub(text.len()) / 256, start)?;
                let value = Value::Text {
                    text: put.text,
                    unset: put.unset,
                    plain: style == ScalarStyle::Plain,
                };
                let at = self.place(start, mark(span.end));
                (Node { value, at, shape: Shape::Text, tag: merge_tag(tag.as_deref()) }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                (self.list(span, merge_tag(tag.as_deref()), depth)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                (self.map(span, merge_tag(tag.as_deref()), depth)?, anchor)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(broken(start, "ends in the middle")),
        };
        let node = Arc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        Ok(node)
    }

    fn list(&mut self, span: Span, tag: Option<MergeTag>, depth: usize) -> Result<Node, Broken> {
        let start = mark(span.start);
        let mut items = Vec::new();
        // The last mark that belongs to an item itself: a block list ends at the next token.
        let mut last = start;
        loop {
            let Some((event, inner)) = self.next()? else {
                return Err(broken(start, "ends in the middle"));
            };
            if event == Event::SequenceEnd {
                let is_flow = !span.is_empty() && !inner.is_empty();
                let end = if is_flow { mark(inner.end) } else { last };
                let shape =
                    if is_flow { Shape::FlowList(behind(start)) } else { Shape::BlockList(start) };
                let at = self.place(start, end);
                return Ok(Node { value: Value::List(items), at, shape, tag });
            }
            let is_alias = matches!(event, Event::Alias(_));
            let node = self.node(event, inner, depth + 1)?;
            last = if is_alias { mark(inner.end) } else { node.at.end };
            items.push(node);
        }
    }

    fn map(&mut self, span: Span, tag: Option<MergeTag>, depth: usize) -> Result<Node, Broken> {
        let start = mark(span.start);
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut merged: Vec<Arc<Node>> = Vec::new();
        let mut first = None;
        let mut last = start;
        loop {
            let Some((event, inner)) = self.next()? else {
                return Err(broken(start, "ends in the middle"));
            };
            if event == Event::MappingEnd {
                let is_flow = !span.is_empty() && !inner.is_empty();
                let end = if is_flow { mark(inner.end) } else { last };
                let shape = if is_flow {
                    Shape::FlowMap(behind(start))
                } else {
                    Shape::BlockMap(first.unwrap_or(start))
                };
                self.merge(&mut entries, &merged, start)?;
                let at = self.place(start, end);
                return Ok(Node { value: Value::Map(entries), at, shape, tag });
            }
            let key_at = self.place(mark(inner.start), mark(inner.end));
            first = first.or(Some(key_at.start));
            let Event::Scalar(key, style, _, _) = event else {
                return Err(broken(key_at.start, "has a key that is no text"));
            };
            let Some((event, inner)) = self.next()? else {
                return Err(broken(start, "ends in the middle"));
            };
            let alias_end = matches!(event, Event::Alias(_)).then(|| mark(inner.end));
            let value = self.node(event, inner, depth + 1)?;
            last = alias_end.unwrap_or(value.at.end).max(key_at.end);
            if key == "<<" && style == ScalarStyle::Plain {
                merged.push(value);
                continue;
            }
            if let Some(before) = seen.insert(key.to_string(), key_at.start.line) {
                return Err(broken(
                    key_at.start,
                    &format!("has the key \"{key}\" twice, first in line {before}"),
                ));
            }
            entries.push(Entry { key: key.into_owned(), at: key_at, value });
        }
    }

    /// Merge keys: what is here already wins, then the earlier of several.
    /// Source: yaml.org/type/merge.html.
    fn merge(
        &mut self,
        entries: &mut Vec<Entry>,
        merged: &[Arc<Node>],
        at: Mark,
    ) -> Result<(), Broken> {
        let mut known: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        for node in merged {
            let maps = match &node.value {
                Value::List(items) => items.clone(),
                Value::Map(_) => vec![Arc::clone(node)],
                Value::Text { .. } => Vec::new(),
            };
            for map in maps {
                self.spend(map.entries().len(), at)?;
                for entry in map.entries() {
                    if known.insert(entry.key.clone()) {
                        entries.push(entry.clone());
                    }
                }
            }
        }
        Ok(())
    }

    fn place(&self, start: Mark, end: Mark) -> Place {
        Place { source: self.source, start, end }
    }
}

fn merge_tag(tag: Option<&saphyr_parser::Tag>) -> Option<MergeTag> {
    match tag?.suffix.as_str() {
        "reset" => Some(MergeTag::Reset),
        "override" => Some(MergeTag::Override),
        _ => None,
    }
}

fn mark(marker: Marker) -> Mark {
    Mark { line: marker.line(), column: marker.col() }
}

fn behind(bracket: Mark) -> Mark {
    Mark { column: bracket.column + 1, ..bracket }
}

fn broken(at: Mark, reason: &str) -> Broken {
    Broken { at, reason: format!("it {reason}") }
}
