//! Reads tables key by key and collects every fault with its line, instead of ending at the first.
//! A key that nobody asked for is unknown.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, ConfigErrors, either, nearest};
use super::values;
use crate::address::without_secrets;

/// So much of a value is repeated in a message.
const QUOTED: usize = 60;

/// One file and what was found wrong in it.
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    text: &'a str,
    errors: RefCell<Vec<ConfigError>>,
}

/// A table; one that is not in the file has no keys.
pub(super) struct Section<'a> {
    source: &'a Source<'a>,
    table: Option<&'a DeTable<'a>>,
    span: Range<usize>,
    /// As it is written, such as `[ollama]`; empty for the whole file.
    title: String,
    asked: RefCell<Vec<&'static str>>,
}

/// The value of one key.
#[derive(Clone)]
pub(super) struct Field<'a> {
    source: &'a Source<'a>,
    place: String,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text, errors: RefCell::default() }
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.errors.borrow().is_empty()
    }

    pub(super) fn into_errors(self) -> ConfigErrors {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(|error| error.line);
        ConfigErrors { errors }
    }

    /// The text is not TOML.
    pub(super) fn broken(&self, span: Range<usize>, says: &str) {
        self.add(span, None, format!("this is not TOML: {says}"));
    }

    pub(super) fn root(&'a self, table: &'a DeTable<'a>) -> Section<'a> {
        Section {
            source: self,
            table: Some(table),
            span: 0..0,
            title: String::new(),
            asked: RefCell::default(),
        }
    }

    fn add(&self, span: Range<usize>, place: Option<String>, says: String) {
        let line = self.text.get(..span.start).unwrap_or_default().matches('\n').count() + 1;
        let file = self.file.to_owned();
        self.errors.borrow_mut().push(ConfigError { file, line: Some(line), place, says });
    }

    /// A piece of the file on one line, fit for a message.
    fn quote(&self, span: Range<usize>) -> String {
        let text = without_secrets(self.text.get(span).unwrap_or_default());
        let mut quoted: String = text
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .take(QUOTED)
            .collect();
        if quoted.len() < text.len() {
            quoted.push('…');
        }
        quoted
    }
}

impl<'a> Section<'a> {
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// A fault of the section as a whole.
    pub(super) fn error(&self, says: impl Into<String>) {
        self.source.add(self.span.clone(), Some(self.title.clone()), says.into());
    }

    pub(super) fn get(&self, key: &'static str) -> Option<Field<'a>> {
        self.asked.borrow_mut().push(key);
        let (_, value) = self.table?.iter().find(|(name, _)| name.get_ref() == key)?;
        Some(Field { source: self.source, place: self.place(key), value })
    }

    /// The value, or a fault that names the missing key.
    pub(super) fn need(&self, key: &'static str, example: &str) -> Option<Field<'a>> {
        let field = self.get(key);
        if field.is_none() && self.is_present() {
            self.error(format!("the key {key} is missing; write for example {key} = {example}"));
        }
        field
    }

    /// The table under this key.
    pub(super) fn section(&self, key: &'static str) -> Section<'a> {
        let field = self.get(key);
        let (table, span) = field.as_ref().and_then(Field::table).unzip();
        Section {
            source: self.source,
            table,
            span: span.unwrap_or_default(),
            title: self.below(key),
            asked: RefCell::default(),
        }
    }

    /// The tables under this key, written `[[key]]`.
    pub(super) fn sections(&self, key: &'static str) -> Vec<Section<'a>> {
        let Some(field) = self.get(key) else { return Vec::new() };
        let title = format!("[{}]", self.below(key));
        let DeValue::Array(array) = field.value.get_ref() else {
            field.error(format!("a list of sections is expected; write {title}"));
            return Vec::new();
        };
        let item = |value| Field { source: self.source, place: title.clone(), value };
        let tables = array.iter().filter_map(|value| item(value).table());
        tables
            .map(|(table, span)| Section {
                source: self.source,
                table: Some(table),
                span,
                title: title.clone(),
                asked: RefCell::default(),
            })
            .collect()
    }

    /// All keys of a table whose names are free.
    pub(super) fn entries(&self) -> Vec<(String, Field<'a>)> {
        let rows = self.table.into_iter().flat_map(DeTable::iter);
        rows.map(|(name, value)| {
            let name = name.get_ref().to_string();
            let place = self.place(&name);
            (name, Field { source: self.source, place, value })
        })
        .collect()
    }

    /// Reports every key that was not asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.into_inner();
        for (name, _) in self.table.into_iter().flat_map(DeTable::iter) {
            if asked.iter().any(|known| name.get_ref() == known) {
                continue;
            }
            let found = self.source.quote(name.span());
            // At the top of the file there are sections only.
            let (what, place) = match self.title.as_str() {
                "" => ("section", format!("[{found}]")),
                title => ("key", format!("{title} {found}")),
            };
            let says = match nearest(name.get_ref(), &asked) {
                Some(meant) => format!("unknown {what}; did you mean {meant}?"),
                None => format!("unknown {what}; known here are {}", asked.join(", ")),
            };
            self.source.add(name.span(), Some(place), says);
        }
    }

    fn below(&self, key: &str) -> String {
        match self.title.trim_matches(['[', ']']) {
            "" => format!("[{key}]"),
            title => format!("[{title}.{key}]"),
        }
    }

    fn place(&self, key: &str) -> String {
        if self.title.is_empty() { key.to_owned() } else { format!("{} {key}", self.title) }
    }
}

impl<'a> Field<'a> {
    pub(super) fn error(&self, says: impl Into<String>) {
        let span = self.value.span();
        let place = format!("{} = {}", self.place, self.source.quote(span.clone()));
        self.source.add(span, Some(place), says.into());
    }

    /// Reports the fault, if it is one.
    pub(super) fn checked<T>(&self, result: Result<T, String>) -> Option<T> {
        result.map_err(|says| self.error(says)).ok()
    }

    pub(super) fn is_text(&self) -> bool {
        self.value.get_ref().is_str()
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        let text = self.value.get_ref().as_str();
        if text.is_none() {
            self.mistyped("a text in quotes");
        }
        text
    }

    /// A text that is not blank and has no control characters.
    pub(super) fn name(&self) -> Option<&'a str> {
        let text = self.text()?;
        self.checked(values::name(text))
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        let value = self.value.get_ref().as_bool();
        if value.is_none() {
            self.mistyped("true or false");
        }
        value
    }

    /// A whole number; none when it is no number or does not fit.
    pub(super) fn number(&self) -> Option<u64> {
        let found = self.value.get_ref().as_integer();
        if found.is_none() {
            self.mistyped("a whole number");
        }
        let found = found?;
        let number = u64::from_str_radix(found.as_str(), found.radix()).ok();
        if number.is_none() {
            self.error("the number is out of range");
        }
        number
    }

    /// The items of a list, or the value itself as the only one.
    pub(super) fn items(&self) -> Vec<Field<'a>> {
        match self.value.get_ref().as_array() {
            Some(array) => array
                .iter()
                .map(|value| Field { source: self.source, place: self.place.clone(), value })
                .collect(),
            None => vec![self.clone()],
        }
    }

    /// A list of names.
    pub(super) fn names(&self) -> Option<Vec<String>> {
        if !self.value.get_ref().is_array() {
            self.mistyped("a list such as [\"one\", \"two\"]");
            return None;
        }
        self.items().iter().map(|item| item.name().map(str::to_owned)).collect()
    }

    pub(super) fn duration(&self, least: Duration, most: Duration) -> Option<Duration> {
        let result = match self.value.get_ref() {
            DeValue::String(text) => values::duration(text),
            DeValue::Integer(number) => Err(values::no_unit(number.as_str())),
            DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => {
                self.mistyped("a duration such as \"10s\", \"5m\" or \"1h\"");
                return None;
            }
        };
        let duration = self.checked(result)?;
        if duration < least || duration > most {
            let (least, most) = (values::plain(least), values::plain(most));
            self.error(format!("out of range; {least} to {most} is allowed"));
            return None;
        }
        Some(duration)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, known: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = known.iter().find(|(name, _)| *name == text).map(|&(_, value)| value);
        if found.is_none() {
            let names: Vec<&str> = known.iter().map(|&(name, _)| name).collect();
            self.unknown_word(text, &names);
        }
        found
    }

    pub(super) fn unknown_word(&self, found: &str, known: &[&str]) {
        let quoted: Vec<String> = known.iter().map(|name| format!("\"{name}\"")).collect();
        let quoted: Vec<&str> = quoted.iter().map(String::as_str).collect();
        let meant = nearest(found, known)
            .map(|name| format!("; did you mean \"{name}\"?"))
            .unwrap_or_default();
        self.error(format!("must be {}{meant}", either(&quoted)));
    }

    pub(super) fn section(&self) -> Option<Section<'a>> {
        let (table, span) = self.table()?;
        Some(Section {
            source: self.source,
            table: Some(table),
            span,
            title: self.place.clone(),
            asked: RefCell::default(),
        })
    }

    fn table(&self) -> Option<(&'a DeTable<'a>, Range<usize>)> {
        let table = self.value.get_ref().as_table();
        if table.is_none() {
            self.mistyped("a section or a table in braces");
        }
        Some((table?, self.value.span()))
    }

    fn mistyped(&self, expected: &str) {
        let found = match self.value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.error(format!("{expected} is expected, this is {found}"));
    }
}
