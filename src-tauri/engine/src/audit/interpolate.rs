//! Variables in values, as Compose puts them in.
//! Source: compose-spec `12-interpolation.md`; compose-go `template/template.go`.

use std::collections::BTreeMap;

/// What variables stand for: the shell's first, then those of the file `.env`.
pub(super) struct Scope<'a> {
    pub shell: &'a dyn Fn(&str) -> Option<String>,
    pub file: BTreeMap<String, String>,
}

/// A text with its variables put in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Put {
    pub text: String,
    /// A variable is not set and has no default: Compose puts in nothing and warns.
    pub unset: bool,
}

/// Defaults within defaults.
const DEEPEST: usize = 16;
/// Characters that a text may grow to.
const LONGEST: usize = 64 * 1024;
/// Characters that the variables of one file may grow to together: a file of a megabyte that names
/// one long value in every line would be gigabytes.
const MOST: usize = 1 << 20;

impl Scope<'_> {
    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.shell)(name).or_else(|| self.file.get(name).cloned())
    }
}

pub(super) fn interpolate(text: &str, scope: &Scope<'_>) -> Result<Put, String> {
    put(text, scope, 0)
}

/// The lines of a file of variables: `NAME=value`, quoted or not, `export` before it, comments.
/// Source: compose-go `dotenv/parser.go`. With the line of each, from 1.
pub(super) fn variables(text: &str, scope: &Scope<'_>) -> Vec<(String, String, usize)> {
    let mut found: Vec<(String, String, usize)> = Vec::new();
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut room = MOST;
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let Some((name, value)) = line.split_once('=') else { continue };
        let name = name.trim();
        if name.is_empty() || name.starts_with('#') || !name.chars().all(is_name) {
            continue;
        }
        let value = value.trim();
        let value = match value.chars().next() {
            Some('\'') => value[1..].split('\'').next().unwrap_or_default().to_owned(),
            quote => {
                let bare = match quote {
                    Some('"') => value[1..].split('"').next().unwrap_or_default(),
                    Some(_) | None => value.split(" #").next().unwrap_or_default().trim_end(),
                };
                let both = |name: &str| known.get(name).cloned().or_else(|| scope.get(name));
                let scope = Scope { shell: &both, file: BTreeMap::new() };
                // What is no variable stands as it is written.
                let put = (room > 0).then(|| interpolate(bare, &scope).ok()).flatten();
                let value = put.map_or_else(|| bare.to_owned(), |put| put.text);
                room = room.saturating_sub(value.len());
                value
            }
        };
        known.insert(name.to_owned(), value.clone());
        found.push((name.to_owned(), value, index + 1));
    }
    found
}

fn put(text: &str, scope: &Scope<'_>, depth: usize) -> Result<Put, String> {
    let mut done = Put::default();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        done.text.push_str(before);
        if let Some(escaped) = after.strip_prefix('$') {
            done.text.push('$');
            rest = escaped;
        } else if let Some(inner) = after.strip_prefix('{') {
            let (inner, behind) = closed(inner)
                .ok_or_else(|| "has a variable whose brace is not closed".to_owned())?;
            let value = braced(inner, scope, depth)?;
            done.unset |= value.unset;
            done.text.push_str(&value.text);
            rest = behind;
        } else {
            let length = after.find(|letter| !is_name(letter)).unwrap_or(after.len());
            let (name, behind) = after.split_at(length);
            if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
                return Err("has a $ that begins no variable; write $$ for the sign itself".into());
            }
            match scope.get(name) {
                Some(value) => done.text.push_str(&value),
                None => done.unset = true,
            }
            rest = behind;
        }
        if done.text.len() > LONGEST {
            return Err("has variables that make it longer than 64 KB".into());
        }
    }
    done.text.push_str(rest);
    Ok(done)
}

/// What stands between the braces, which may hold variables themselves, and what follows.
fn closed(text: &str) -> Option<(&str, &str)> {
    let mut open = 1usize;
    let mut before = ' ';
    for (index, letter) in text.char_indices() {
        match letter {
            '{' if before == '$' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some((&text[..index], &text[index + 1..]));
        }
        before = letter;
    }
    None
}

fn braced(inner: &str, scope: &Scope<'_>, depth: usize) -> Result<Put, String> {
    if depth > DEEPEST {
        return Err("has variables nested deeper than 16 levels".into());
    }
    let length = inner.find(|letter| !is_name(letter)).unwrap_or(inner.len());
    let (name, operator) = inner.split_at(length);
    if name.is_empty() {
        return Err("has a variable without a name".into());
    }
    let value = scope.get(name);
    // With a colon, an empty value counts as none.
    let (filled, operator) = match operator.strip_prefix(':') {
        Some(operator) => (value.clone().filter(|value| !value.is_empty()), operator),
        None => (value.clone(), operator),
    };
    let known = |text: String| Put { text, unset: false };
    if let Some(default) = operator.strip_prefix('-') {
        return match filled {
            Some(value) => Ok(known(value)),
            None => put(default, scope, depth + 1),
        };
    }
    if let Some(instead) = operator.strip_prefix('+') {
        return match filled {
            Some(_) => put(instead, scope, depth + 1),
            None => Ok(Put::default()),
        };
    }
    if operator.is_empty() || operator.starts_with('?') {
        let unset = Put { text: String::new(), unset: true };
        return Ok(filled.map_or(unset, known));
    }
    Err("has a variable that is not written as ${NAME} or ${NAME:-default}".into())
}

fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<Put, String> {
        let shell = |name: &str| (name == "SHELL_SAYS").then(|| "shell".to_owned());
        let file = [("A", "a"), ("EMPTY", ""), ("SHELL_SAYS", "file")];
        let file = file.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        interpolate(text, &Scope { shell: &shell, file })
    }

    #[test]
    fn variables_are_put_in_as_compose_does() {
        for (text, wanted) in [
            ("$A-${A}", "a-a"),
            ("$$A", "$A"),
            ("${SHELL_SAYS}", "shell"),
            ("${EMPTY:-x}|${EMPTY-x}", "x|"),
            ("${NONE:-${A}}", "a"),
            ("${NONE:-http://h:1/p?q}", "http://h:1/p?q"),
            ("${A:+yes}|${NONE:+yes}", "yes|"),
        ] {
            assert_eq!(said(text), Ok(Put { text: wanted.into(), unset: false }), "{text}");
        }
        for text in ["$NONE", "${NONE}", "${NONE:?must be set}"] {
            assert_eq!(said(text), Ok(Put { text: String::new(), unset: true }), "{text}");
        }
        let deep = format!("{}{}", "${A:+".repeat(40), "}".repeat(40));
        for text in ["${A", "$ A", "$1", "${}", "${A!}", deep.as_str()] {
            assert!(said(text).is_err(), "{text}");
        }
    }

    #[test]
    fn variables_that_multiply_stay_within_bounds() {
        let text = format!("B={}\n{}", "x".repeat(60_000), "A=$B\n".repeat(5_000));
        let found = variables(&text, &Scope { shell: &|_| None, file: BTreeMap::new() });
        assert_eq!(found.len(), 5_001);
        let all: usize = found.iter().map(|(_, value, _)| value.len()).sum();
        assert!(all < 2 * MOST, "{all}");
    }

    #[test]
    fn a_file_of_variables_is_read_line_by_line() {
        let text = "# c\nexport A=1\nB = \"two words\" \nC='$A'\nD=$A # x\nnonsense\nE=\n";
        let scope = Scope { shell: &|_| None, file: BTreeMap::new() };
        let found = variables(text, &scope);
        let found: Vec<_> =
            found.iter().map(|(name, value, line)| (&**name, &**value, *line)).collect();
        assert_eq!(
            found,
            [("A", "1", 2), ("B", "two words", 3), ("C", "$A", 4), ("D", "1", 5), ("E", "", 7)]
        );
    }
}
