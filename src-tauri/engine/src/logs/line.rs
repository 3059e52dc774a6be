//! Lines of a log without what people wrote to a model: whatever follows a field that may hold a
//! prompt or an answer is cut off before anything else is done with the line.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::secrets;

/// Characters of a line that are kept at most.
const KEPT: usize = 240;

/// Names of fields, in slog's form (`prompt="…"`), in JSON (`"content": "…"`) and in plain words
/// (`Request Body: …`, `mlx_lm/server.py`).
const PRIVATE: [&str; 22] = [
    "prompt",
    "prompts",
    "message",
    "messages",
    "content",
    "contents",
    "input",
    "inputs",
    "system",
    "response",
    "output",
    "completion",
    "text",
    "body",
    "query",
    "arguments",
    "reasoning",
    "reasoning_content",
    "thinking",
    "suffix",
    "template",
    "tool_calls",
];

/// One log's lines in their order: some go on over several lines.
#[derive(Default)]
pub(super) struct Lines {
    /// In the middle of what people wrote.
    inside: bool,
    /// When the newest line with a time was written.
    at: Option<Timestamp>,
}

impl Lines {
    /// Without private parts, and without lines that were written before `since`. Lines without a
    /// time are as old as the one before them.
    pub(super) fn told(&mut self, lines: &[String], since: Option<Timestamp>) -> Vec<String> {
        lines.iter().filter_map(|line| self.one(line, since)).collect()
    }

    fn one(&mut self, line: &str, since: Option<Timestamp>) -> Option<String> {
        if begins(line) {
            self.inside = false;
        }
        if let Some(at) = time(line) {
            self.at = Some(at);
        }
        if self.inside {
            return None;
        }
        let (kept, private) = cut(line);
        self.inside = private.is_some_and(goes_on);
        let old = since.is_some_and(|since| self.at.is_none_or(|at| at < since));
        (!old && !is_debug(kept)).then(|| shown(kept, private.is_some()))
    }
}

/// The line up to the first private field, and what that field holds.
fn cut(line: &str) -> (&str, Option<&str>) {
    let bytes = line.as_bytes();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut at = 0;
    while at < bytes.len() {
        if !is_word(bytes[at]) {
            at += 1;
            continue;
        }
        let length = bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
        let (word, end) = (&bytes[at..at + length], at + length);
        let private = PRIVATE.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()));
        let mut rest = &bytes[end..];
        // The end of a quoted name, which may be quoted once more.
        while let [b'"' | b'\'' | b'\\' | b' ', tail @ ..] = rest {
            rest = tail;
        }
        if private && let [b'=' | b':', value @ ..] = rest {
            let from = line.len() - value.len();
            // Both ends lie beside ASCII, so between characters.
            return (line.get(..end).unwrap_or_default(), line.get(from..));
        }
        at = end;
    }
    (line, None)
}

/// It is not over at the end of the line: an open quote, an open list or object.
fn goes_on(value: &str) -> bool {
    let mut open = false;
    let mut escaped = false;
    for byte in value.bytes() {
        match byte {
            b'"' if !escaped => open = !open,
            _ => {}
        }
        escaped = byte == b'\\' && !escaped;
    }
    let value = value.trim();
    open || value.is_empty() || value.ends_with(['{', '[', ','])
}

/// A line that a logger began: slog's, Gin's, Python's.
fn begins(line: &str) -> bool {
    line.starts_with("time=") || line.starts_with("[GIN]") || time(line).is_some()
}

/// Details for developers hold requests and answers, and prove nothing.
fn is_debug(line: &str) -> bool {
    ["level=DEBUG", "level=TRACE", " - DEBUG - "].iter().any(|mark| line.contains(mark))
}

fn shown(line: &str, is_cut: bool) -> String {
    let line = &secrets::masked(line);
    let mut text: String = line.trim().chars().filter(|one| !one.is_control()).take(KEPT).collect();
    if is_cut || line.trim().chars().count() > KEPT {
        text.push('…');
    }
    text
}

/// `time=2026-08-21T10:00:00.000+03:00 …`, `[GIN] 2026/04/14 - 14:42:25 …`,
/// `2026-11-22 10:00:00,123 - …` (FACTS A.8; Python's `logging`).
fn time(line: &str) -> Option<Timestamp> {
    if let Some(rest) = line.strip_prefix("time=") {
        return rest.split(' ').next()?.trim_matches('"').parse().ok();
    }
    let rest = line.strip_prefix("[GIN] ").unwrap_or(line).get(..21)?;
    let rest = rest.replace('/', "-").replace(" - ", " ");
    let plain: DateTime = rest.get(..19)?.parse().ok()?;
    TimeZone::system().to_timestamp(plain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        Lines::default().told(&lines, None)
    }

    #[test]
    fn what_people_wrote_does_not_leave() {
        for line in [
            r#"time=2026-08-21T10:00:00+03:00 level=INFO msg="chat request" prompt="SECRET out of memory""#,
            r#"time=2026-08-21T10:00:00+03:00 level=INFO msg=x request="{\"messages\":[{\"content\":\"SECRET\"}]}""#,
            r#"srv  params: {"prompt": "SECRET", "n_predict": 1}"#,
            "2026-11-22 10:00:00,123 - ERROR - JSONDecodeError: x - Raw body: {SECRET",
            "slot launch: PROMPT = SECRET",
            r#"{"role":"user","content" : "SECRET""#,
            r#"level=WARN err="bad" Input="SECRET" code=5"#,
            r#"chunk {"delta":{"reasoning_content":"SECRET"}}"#,
            r#"{"role":"assistant","thinking":"SECRET","done":false}"#,
            r#"level=INFO msg=generate suffix="SECRET" code=5"#,
            r#"level=INFO msg=create template="SECRET {{ .Prompt }}""#,
        ] {
            for kept in told(line) {
                assert!(!kept.contains("SECRET") && !kept.contains("out of memory"), "{kept}");
            }
        }
    }

    #[test]
    fn what_goes_on_over_lines_does_not_leave_either() {
        let text = "2026-11-22 10:00:00,123 - INFO - Incoming Request Body: {\n\
                    \"model\": \"m\", SECRET\n\
                    SECRET error: Insufficient Memory\n\
                    2026-11-22 10:00:01,123 - INFO - after\n";
        assert_eq!(
            told(text),
            [
                "2026-11-22 10:00:00,123 - INFO - Incoming Request Body…",
                "2026-11-22 10:00:01,123 - INFO - after"
            ]
        );
        let text = "time=2026-08-21T10:00:00Z level=INFO prompt=\"SECRET\nSECRET 2\" done\ntime=2026-08-21T10:00:01Z x";
        assert_eq!(told(text).last().unwrap(), "time=2026-08-21T10:00:01Z x");
        assert!(told(text).iter().all(|line| !line.contains("SECRET")));
    }

    #[test]
    fn lines_without_a_prompt_stay_whole() {
        for line in [
            "error: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
            "model requires more system memory (9 GiB) than is available (5 GiB)",
            "context: text_model.system_x: fine",
            "static_assert failed: Input types must match cooperative tensor types",
        ] {
            assert_eq!(told(line), [line]);
        }
    }

    #[test]
    fn details_for_developers_are_left_out() {
        assert_eq!(told("time=2026-08-21T10:00:00Z level=DEBUG msg=\"out of memory\""), [""; 0]);
        assert_eq!(told("2026-11-22 10:00:00,123 - DEBUG - out of memory"), [""; 0]);
    }

    #[test]
    fn long_lines_and_control_characters_are_tamed() {
        let kept = told(&format!("a\u{1b}[31m{}", "ü".repeat(1000))).remove(0);
        assert_eq!(kept.chars().count(), KEPT + 1);
        assert!(!kept.contains('\u{1b}'));
    }

    #[test]
    fn old_lines_are_left_out_and_lines_without_a_time_go_with_the_last_one() {
        let lines: Vec<String> = [
            "a line from nobody knows when",
            "time=2026-08-21T10:00:00Z old",
            "raw and old",
            "time=2026-08-21T11:00:00Z new",
            "raw and new",
        ]
        .map(str::to_owned)
        .into();
        let since = "2026-08-21T10:30:00Z".parse().ok();
        assert_eq!(
            Lines::default().told(&lines, since),
            ["time=2026-08-21T11:00:00Z new", "raw and new"]
        );
        assert!(time("[GIN] 2026/04/14 - 14:42:25 | 500 |  2.12s").is_some());
        assert!(time("2026-11-22 10:00:00,123 - INFO - x").is_some());
        assert_eq!(time("11-22 10"), None);
    }
}
