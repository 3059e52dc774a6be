//! The words for every sentence, per language: files under `words/`, nothing else speaks.

use std::collections::HashMap;

use doctor::{Cause, Confidence, Incident, Notice, Sentence, StoryKind, Value, Wall};

use crate::view;

/// The words of one language.
pub struct Words {
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

    /// `en` or `ru`.
    pub fn language(&self) -> &'static str {
        self.language
    }

    /// All keys, for tests that compare them.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.sentences.keys().map(String::as_str)
    }

    /// A key without words is shown as itself: strange, but never silent.
    pub fn sentence(&self, sentence: &Sentence) -> String {
        let Some(template) = self.sentences.get(&sentence.key) else { return sentence.key.clone() };
        let mut text = String::with_capacity(template.len() + 16);
        let mut rest = template.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let Some((name, after)) = after.split_once('}') else { break };
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
        }
    }

    /// `24 MB`, `3.1 GB`: powers of 1024, as Docker's and macOS' memory figures are.
    pub fn bytes(&self, bytes: u64) -> String {
        let units = match self.language {
            "ru" => ["Б", "КБ", "МБ", "ГБ", "ТБ"],
            _ => ["B", "KB", "MB", "GB", "TB"],
        };
        let (mut whole, mut unit, mut scale) = (bytes, 0, 1u64);
        while whole >= 1024 && unit + 1 < units.len() {
            whole /= 1024;
            unit += 1;
            scale *= 1024;
        }
        let tenths = (bytes % scale).saturating_mul(10) / scale;
        if unit < 2 || whole >= 100 || tenths == 0 {
            format!("{whole} {}", units[unit])
        } else {
            let point = if self.language == "ru" { "," } else { "." };
            format!("{whole}{point}{tenths} {}", units[unit])
        }
    }

    /// `340 ms`, `12 s`, `4 min`, `2 h`.
    pub fn duration(&self, millis: u64) -> String {
        let units = match self.language {
            "ru" => ["мс", "с", "мин", "ч"],
            _ => ["ms", "s", "min", "h"],
        };
        match millis {
            0..1_000 => format!("{millis} {}", units[0]),
            1_000..120_000 => format!("{} {}", (millis + 500) / 1_000, units[1]),
            120_000..7_200_000 => format!("{} {}", millis / 60_000, units[2]),
            7_200_000.. => format!("{} {}", millis / 3_600_000, units[3]),
        }
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
        view::NoticeView {
            kind: view::word(&notice.kind),
            target: notice.target.to_string(),
            cause: notice.cause.map(|cause| cause.to_string()),
            title: self.sentence(&notice.title),
            body: lines.join(" "),
            incident: notice.incident.clone(),
            at: rfc3339(at),
        }
    }
}

/// Wall time as RFC 3339 in UTC, to the millisecond.
pub fn rfc3339(at: Wall) -> String {
    jiff::Timestamp::from_millisecond(at.0).map(|at| format!("{at:.3}")).unwrap_or_default()
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
