//! Writing to the terminal, or to whoever reads instead of one.

use std::io::{self, IsTerminal, Write};

use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::text::clean;

/// One line; `text` is ours or was cleaned.
pub(crate) fn line(text: impl AsRef<str>) {
    write(&mut io::stdout().lock(), text.as_ref());
}

pub(crate) fn json(value: &Value) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(text),
        Err(error) => complain(&Failure::Other(error.into()), false),
    }
}

pub(crate) fn complain(failure: &Failure, as_json: bool) {
    let text = failure.to_string();
    if as_json {
        let code = match failure.exit() {
            Exit::Fine => 0,
            Exit::Wrong => 1,
            Exit::Usage => 2,
            Exit::NoEngine => 3,
        };
        json(&json!({"error": text, "exit": code}));
        return;
    }
    let mut out = io::stderr().lock();
    for line in text.lines() {
        write(&mut out, &clean(line));
    }
}

/// A line that the next one replaces; only on a terminal.
pub(crate) fn progress(text: &str) {
    let mut out = io::stderr().lock();
    if out.is_terminal() {
        // Progress that nobody sees is no loss.
        let _ = write!(out, "\r\u{1b}[K{text}").and_then(|()| out.flush());
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Good,
    Bad,
    Busy,
    Dim,
}

/// Coloured on a terminal, unless `NO_COLOR` is set (no-color.org).
pub(crate) fn paint(colour: Colour, text: &str) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if plain || !io::stdout().is_terminal() {
        return text.into();
    }
    let code = match colour {
        Colour::Good => 32,
        Colour::Bad => 31,
        Colour::Busy => 33,
        Colour::Dim => 2,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

fn write(out: &mut impl Write, text: &str) {
    if let Err(error) = writeln!(out, "{text}") {
        // Whoever read has seen enough, as `head` has.
        let code = i32::from(error.kind() != io::ErrorKind::BrokenPipe);
        std::process::exit(code);
    }
}
