//! What lets somebody in somewhere is taken out of a line before anything else is done with it.

use std::ops::Range;

/// What stands for a part that is not shown.
const MASK: &str = "…";

/// Parts of names whose values let somebody in.
const NAMES: [&str; 20] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "accesskey",
    "private_key",
    "privatekey",
    "credential",
    "authorization",
    "cookie",
    "dsn",
    "_pass",
    "-pass",
    "_key",
];

/// Only at the end of a name: `SMTP_PASS`, `ENCRYPTION_KEY`; `tests_passed` and `sort_keys` are none.
const ENDS: [&str; 3] = ["_pass", "-pass", "_key"];

/// Values of these go on over blanks: `Authorization: Basic dXNlcg==`.
const WHOLE_LINES: [&str; 2] = ["authorization", "cookie"];

/// How well-known issuers begin what they issue (GitHub, GitLab, Slack, `OpenAI`, Hugging Face, AWS,
/// JSON Web Tokens), and what stands before one in a header.
const PREFIXES: [&str; 13] = [
    "bearer ",
    "basic ",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "sk-",
    "hf_",
    "akia",
    "eyj",
];

/// A run of letters and digits as long as this that looks drawn by lot is a key.
const LONG: usize = 32;
/// What follows a well-known beginning is at least so long: `sk-learn` is none.
const SHORT: usize = 8;

/// The line without passwords, tokens and keys.
pub(super) fn masked(line: &str) -> String {
    let mut hidden: Vec<Range<usize>> = Vec::new();
    hidden.extend(in_addresses(line));
    hidden.extend(named(line));
    hidden.extend(issued(line));
    hidden.extend(drawn_by_lot(line));
    hidden.retain(|range| !range.is_empty());
    hidden.sort_by_key(|range| range.start);
    let (mut text, mut at) = (String::with_capacity(line.len()), 0);
    for range in hidden {
        if range.start >= at {
            text.push_str(line.get(at..range.start).unwrap_or_default());
            text.push_str(MASK);
        }
        at = at.max(range.end);
    }
    text.push_str(line.get(at..).unwrap_or_default());
    text
}

/// `postgres://me:word@host/db`: all before the last `@` of the authority.
fn in_addresses(line: &str) -> impl Iterator<Item = Range<usize>> {
    line.match_indices("://").filter_map(|(at, mark)| {
        let from = at + mark.len();
        let rest = line.get(from..)?;
        let end = rest.find([' ', '"', '\'', '<', '>', '\t']).unwrap_or(rest.len());
        // A password may hold what would end an authority.
        let user = rest.get(..end)?.rfind('@')?;
        Some(from..from + user)
    })
}

/// `POSTGRES_PASSWORD=word`, `"api_key": "word"`, `--token word`.
fn named(line: &str) -> Vec<Range<usize>> {
    let lower = line.to_ascii_lowercase();
    let mut found = Vec::new();
    for name in NAMES {
        for (at, _) in lower.match_indices(name) {
            let rest = lower.get(at..).unwrap_or_default();
            let word = rest.find(|one: char| !one.is_ascii_alphanumeric() && !"_-".contains(one));
            let Some(mut from) = word.map(|length| at + length) else { continue };
            if ENDS.contains(&name) && from != at + name.len() {
                continue;
            }
            let after = lower.get(from..).unwrap_or_default();
            let blanks = after.len() - after.trim_start_matches(['"', '\'', '\\', ' ']).len();
            let sign = after.get(blanks..).and_then(|after| after.chars().next());
            let is_option = is_option(&lower, at) && after.starts_with(' ');
            match sign {
                Some('=' | ':') => from += blanks + 1,
                Some(_) if is_option => from += 1,
                Some(_) | None => continue,
            }
            let whole = WHOLE_LINES.contains(&name);
            found.push(from..from + value(line.get(from..).unwrap_or_default(), whole));
        }
    }
    found
}

/// The word around this place begins with a dash, as an option of a command does.
fn is_option(line: &str, at: usize) -> bool {
    let word = line.get(..at).unwrap_or_default().rsplit([' ', '"', '\'']).next();
    word.is_some_and(|word| word.starts_with('-'))
}

/// How long a value is, its quotes included.
fn value(rest: &str, whole_line: bool) -> usize {
    let blanks = rest.len() - rest.trim_start_matches([' ', '\\', '>']).len();
    let body = rest.get(blanks..).unwrap_or_default();
    let quote = body.chars().next().filter(|one| matches!(one, '"' | '\''));
    let length = match quote {
        _ if whole_line => body.len(),
        Some(quote) => {
            body.get(1..).and_then(|body| body.find(quote)).map_or(body.len(), |at| at + 2)
        }
        None => {
            body.find([' ', ',', ';', '&', '"', '\'', ')', '}', ']', '\t']).unwrap_or(body.len())
        }
    };
    blanks + length
}

/// What begins as an issuer's tokens do.
fn issued(line: &str) -> Vec<Range<usize>> {
    let lower = line.to_ascii_lowercase();
    let mut found = Vec::new();
    for prefix in PREFIXES {
        for (at, _) in lower.match_indices(prefix) {
            let within = lower.get(..at).and_then(|before| before.bytes().next_back());
            if within.is_some_and(|byte| byte.is_ascii_alphanumeric()) {
                continue;
            }
            let from = at + prefix.len();
            let length = run(line.get(from..).unwrap_or_default(), b"_-+=.~/");
            if length >= SHORT {
                found.push(at..from + length);
            }
        }
    }
    found
}

/// Long runs that hold capitals, small letters and digits, or nothing but hexadecimal digits.
fn drawn_by_lot(line: &str) -> Vec<Range<usize>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < line.len() {
        // Neither a slash nor a full stop: paths and names of modules are long.
        let length = run(line.get(at..).unwrap_or_default(), b"_-+=");
        if length == 0 {
            at += line.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
            continue;
        }
        let word = line.get(at..at + length).unwrap_or_default().as_bytes();
        let has = |is: fn(&u8) -> bool| word.iter().any(is);
        let mixed =
            has(u8::is_ascii_digit) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
        let hexadecimal = word.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
            && has(u8::is_ascii_digit);
        if length >= LONG && (mixed || hexadecimal) {
            found.push(at..at + length);
        }
        at += length;
    }
    found
}

/// So many bytes at the beginning are letters, digits or one of these.
fn run(rest: &str, more: &[u8]) -> usize {
    rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || more.contains(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn what_lets_somebody_in_does_not_leave() {
        for line in [
            "connecting to postgresql://knowledge:S3CRET@db:5432/knowledge",
            "connecting to redis://:S3CRET@cache:6379/0",
            "postgres://me:with@S3CRET@db/x failed",
            "POSTGRES_PASSWORD=S3CRET",
            "SMTP_PASS=S3CRET",
            "serve --smtp-pass S3CRET",
            "ENCRYPTION_KEY=S3CRET",
            "env: {'DB_PASSWORD': 'S3CRET with blanks', 'PORT': '8010'}",
            r#"{"api_key": "S3CRET", "model": "x"}"#,
            r#"request="{\"token\": \"S3CRET\"}""#,
            "Authorization: Bearer S3CRET",
            "headers: Authorization: Basic S3CRET more-S3CRET",
            "Set-Cookie: session=1; id=S3CRET",
            "serve --token S3CRET --port 1",
            "serve --admin-password=S3CRET",
            "secret: S3CRET",
            "OPENAI_API_KEY = \"S3CRET\"",
            "client_secret=S3CRET&grant=x",
            "got Bearer S3CRETS3CRET",
            "using ghp_S3CRETS3CRETS3CRET",
            "using sk-S3CRETS3CRETS3CRET",
            "jwt eyJhbGciOi.S3CRETS3CRET.x",
            "key 0123S3CRETabcdefghijklmnopqrstuvwxyz012",
            "DSN=https://abc@S3CRET/1",
        ] {
            let kept = masked(line);
            assert!(!kept.contains("S3CRET"), "{line}: {kept}");
            assert!(kept.contains('…'), "{kept}");
        }
        let kept = masked("id 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 x");
        assert_eq!(kept, "id … x");
    }

    #[test]
    fn the_rest_of_the_line_stays() {
        assert_eq!(
            masked("connecting to postgresql://me:word@db:5432/knowledge as me"),
            "connecting to postgresql://…@db:5432/knowledge as me"
        );
        assert_eq!(masked("user=me password=word host=db"), "user=me password=… host=db");
        assert_eq!(masked("пароль PASSWORD=слово конец"), "пароль PASSWORD=… конец");
    }

    #[test]
    fn lines_without_a_secret_stay_whole() {
        for line in [
            "RuntimeError: no running event loop",
            "tests_passed: 4, sort_keys=True, one pass: done",
            "✅ Knowledge OS Database pool создан",
            "GET http://host.docker.internal:11434/api/tags 200",
            "File \"/usr/local/lib/python3.11/site-packages/uvicorn/protocols/http/h11_impl.py\", line 404",
            "knowledge_os_orchestrator_service_monitor_enabled is on",
            "sk-learn is installed, the token limit is 4096, 128 tokens generated",
            "error: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
            "mail to me@example.org",
            "2026-11-22 10:00:00,123 - ERROR - password authentication failed",
        ] {
            assert_eq!(masked(line), line);
        }
    }
}
