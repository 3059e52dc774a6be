//! The words for every sentence, per language: files under `words/`, nothing else speaks.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use doctor::{Button, Cause, Confidence, Incident, Notice, Sentence, StoryKind, Value, Wall};

use crate::{clock, view};

/// The words of one language at a time; whoever holds them speaks another one from [`Words::speak`] on.
pub struct Words(RwLock<Arc<Spoken>>);

struct Spoken {
    language: &'static str,
    sentences: HashMap<String, String>,
}

impl Default for Words {
    fn default() -> Self {
        Self::new("en")
    }
}

impl Words {
    /// `ru`, or English for everything else.
    pub fn new(language: &str) -> Self {
        Self(RwLock::new(Arc::new(Spoken::new(language))))
    }

    /// From here on.
    pub fn speak(&self, language: &str) {
        let spoken = Arc::new(Spoken::new(language));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = spoken;
    }

    /// `en` or `ru`.
    pub fn language(&self) -> &'static str {
        self.spoken().language
    }

    /// All keys, for tests that compare them.
    pub fn keys(&self) -> Vec<String> {
        self.spoken().sentences.keys().cloned().collect()
    }

    fn spoken(&self) -> Arc<Spoken> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A key without words is shown as itself: strange, but never silent. A value that is missing
    /// is a `?`, unless the sentence has a second wording for that, under `KEY_bare`.
    pub fn sentence(&self, sentence: &Sentence) -> String {
        let spoken = self.spoken();
        let Some(template) = spoken.template(sentence) else { return sentence.key.clone() };
        let mut text = String::with_capacity(template.len() + 16);
        let mut rest = template;
        while let Some((before, name, after)) = next_name(rest) {
            text.push_str(before);
            match sentence.values.get(name) {
                Some(value) => text.push_str(&self.value(value)),
                None => text.push('?'),
            }
            rest = after;
        }
        text.push_str(rest);
        text
    }

    /// A sentence without values, by its key.
    pub fn say(&self, key: &str) -> String {
        self.sentence(&Sentence::new(key))
    }

    fn value(&self, value: &Value) -> String {
        match value {
            Value::Text(text) => text.clone(),
            Value::Count(count) => count.to_string(),
            Value::Bytes(bytes) => self.bytes(*bytes),
            Value::Millis(millis) => self.duration(*millis),
            Value::Time(at) => time_of_day(*at, &jiff::tz::TimeZone::system(), clock::now().wall),
        }
    }

    /// `24 MB`, `3.1 GB`, rounded: powers of 1024, as Docker's and macOS' memory figures are.
    pub fn bytes(&self, bytes: u64) -> String {
        let units = match self.language() {
            "ru" => ["Б", "КБ", "МБ", "ГБ", "ТБ"],
            _ => ["B", "KB", "MB", "GB", "TB"],
        };
        let (mut unit, mut scale) = (0, 1u64);
        while rounded(bytes, scale) >= 1024 && unit + 1 < units.len() {
            unit += 1;
            scale *= 1024;
        }
        let whole = rounded(bytes, scale);
        let tenths = (u128::from(bytes) * 10 + u128::from(scale / 2)) / u128::from(scale);
        if unit < 2 || whole >= 100 || tenths % 10 == 0 {
            format!("{whole} {}", units[unit])
        } else {
            let point = if self.language() == "ru" { "," } else { "." };
            format!("{}{point}{} {}", tenths / 10, tenths % 10, units[unit])
        }
    }

    /// `340 ms`, `12 s`, `4 min`, `2 h`, `3 d`, rounded; a larger unit begins at two of it.
    pub fn duration(&self, millis: u64) -> String {
        const SECOND: u64 = 1_000;
        const MINUTE: u64 = 60 * SECOND;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        let units = match self.language() {
            "ru" => ["мс", "с", "мин", "ч", "д"],
            _ => ["ms", "s", "min", "h", "d"],
        };
        let (count, unit) = if millis < SECOND {
            (millis, units[0])
        } else if rounded(millis, SECOND) < 120 {
            (rounded(millis, SECOND), units[1])
        } else if rounded(millis, MINUTE) < 120 {
            (rounded(millis, MINUTE), units[2])
        } else if rounded(millis, HOUR) < 48 {
            (rounded(millis, HOUR), units[3])
        } else {
            (rounded(millis, DAY), units[4])
        };
        format!("{count} {unit}")
    }

    pub fn cause(&self, cause: &Cause) -> view::Cause {
        let about = |part: &str| Sentence {
            key: format!("cause.{}.{part}", cause.id),
            values: cause.says.values.clone(),
        };
        view::Cause {
            id: cause.id.to_string(),
            text: self.sentence(&about("text")),
            confidence: match cause.confidence {
                Confidence::Possible => "possible",
                Confidence::Likely => "likely",
                Confidence::Certain => "certain",
            }
            .into(),
            evidence: cause.evidence.iter().map(|line| self.sentence(line)).collect(),
            advice: self.sentence(&about("advice")),
        }
    }

    pub fn incident(&self, incident: &Incident) -> view::Incident {
        view::Incident {
            id: incident.id.clone(),
            target: incident.target.to_string(),
            cause: self.cause(&incident.cause),
            state: view::word(&incident.state),
            opened: rfc3339(incident.opened),
            closed: incident.closed.map(rfc3339),
            detected_after_ms: incident.detected_after_ms,
            answering_after_ms: incident.answering_after_ms,
            recovered_after_ms: incident.recovered_after_ms,
            attempts: incident.attempts,
            affects: incident.affects.iter().map(ToString::to_string).collect(),
            log: incident.log.clone(),
            story: incident
                .story
                .iter()
                .map(|line| view::StoryLine {
                    at: rfc3339(line.at),
                    kind: match line.kind {
                        StoryKind::Seen => "seen",
                        StoryKind::Concluded => "concluded",
                        StoryKind::Done => "done",
                        StoryKind::Proven => "proven",
                        StoryKind::Failed => "failed",
                    }
                    .into(),
                    text: self.sentence(&line.says),
                })
                .collect(),
        }
    }

    pub fn notice(&self, notice: &Notice, at: Wall) -> view::NoticeView {
        let lines: Vec<String> = notice.lines.iter().map(|line| self.sentence(line)).collect();
        let button_text = self.say(match notice.button {
            Button::Show => "notice.show",
            Button::Start => "notice.start",
            Button::Restart => "notice.restart",
            Button::Release => "notice.release",
        });
        view::NoticeView {
            id: notice.id,
            kind: view::word(&notice.kind),
            target: notice.target.to_string(),
            cause: notice.cause.map(|cause| cause.to_string()),
            title: self.sentence(&notice.title),
            body: lines.join(" "),
            button: view::word(&notice.button),
            button_text,
            quiet: notice.quiet,
            incident: notice.incident.clone(),
            at: rfc3339(at),
        }
    }
}

impl Spoken {
    fn new(language: &str) -> Self {
        let (language, text) = match language {
            "ru" => ("ru", include_str!("../words/ru.toml")),
            _ => ("en", include_str!("../words/en.toml")),
        };
        let mut sentences = HashMap::new();
        if let Ok(table) = text.parse::<toml::Table>() {
            flatten("", &table, &mut sentences);
        }
        Self { language, sentences }
    }

    fn template(&self, sentence: &Sentence) -> Option<&str> {
        let full = self.sentences.get(&sentence.key)?;
        let mut rest = full.as_str();
        while let Some((_, name, after)) = next_name(rest) {
            if !sentence.values.contains_key(name) {
                return Some(self.sentences.get(&format!("{}_bare", sentence.key)).unwrap_or(full));
            }
            rest = after;
        }
        Some(full)
    }
}

/// Wall time as RFC 3339 in UTC, to the millisecond.
pub fn rfc3339(at: Wall) -> String {
    jiff::Timestamp::from_millisecond(at.0).map(|at| format!("{at:.3}")).unwrap_or_default()
}

/// `14:02` where the reader is; with the date, where it is not today's.
fn time_of_day(at: i64, zone: &jiff::tz::TimeZone, now: Wall) -> String {
    let there = |ms| jiff::Timestamp::from_millisecond(ms).map(|at| at.to_zoned(zone.clone()));
    let Ok(at) = there(at) else { return "?".into() };
    let today = there(now.0).is_ok_and(|now| now.date() == at.date());
    at.strftime(if today { "%H:%M" } else { "%Y-%m-%d %H:%M" }).to_string()
}

/// The text before the next `{name}`, the name, and what follows it.
fn next_name(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

fn rounded(amount: u64, scale: u64) -> u64 {
    amount / scale + u64::from(amount % scale >= scale.div_ceil(2))
}

fn flatten(prefix: &str, table: &toml::Table, into: &mut HashMap<String, String>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if let Some(inner) = value.as_table() {
            flatten(&key, inner, into);
        } else if let Some(text) = value.as_str() {
            into.insert(key, text.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use doctor::Wall;
    use jiff::tz::{TimeZone, offset};

    use super::time_of_day;

    #[test]
    fn a_time_is_told_where_the_reader_is_with_the_date_where_it_is_needed() {
        let moscow = TimeZone::fixed(offset(3));
        // 2026-09-01 11:02 UTC.
        let at = 1_788_260_520_000;
        assert_eq!(time_of_day(at, &moscow, Wall(at + 3_600_000)), "14:02");
        assert_eq!(time_of_day(at, &moscow, Wall(at + 10 * 3_600_000)), "2026-09-01 14:02");
        assert_eq!(time_of_day(i64::MAX, &moscow, Wall(at)), "?");
    }
}
