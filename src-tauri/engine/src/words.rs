//! The words for every sentence, per language: files under `words/`, nothing else speaks.

use std::collections::HashMap;

use doctor::{Cause, Confidence, Incident, Notice, Sentence, StoryKind, Value, Wall};

use crate::view;

use doctor::{Cause, Incident, Sentence};

use crate::view;

/// The words of one language.
#[derive(Default)]
pub struct Words {}

impl Words {
    pub fn sentence(&self, sentence: &Sentence) -> String {
        sentence.key.clone()
    }

    pub fn cause(&self, cause: &Cause) -> view::Cause {
        view::Cause {
            id: cause.id.to_string(),
            text: cause.says.key.clone(),
            confidence: "certain".into(),
            evidence: cause.evidence.iter().map(|line| self.sentence(line)).collect(),
            advice: String::new(),
        }
    }

    pub fn incident(&self, incident: &Incident) -> view::Incident {
        view::Incident {
            id: incident.id.clone(),
            target: incident.target.to_string(),
            cause: self.cause(&incident.cause),
            state: "open".into(),
            opened: String::new(),
            closed: None,
            detected_after_ms: incident.detected_after_ms,
            answering_after_ms: incident.answering_after_ms,
            recovered_after_ms: incident.recovered_after_ms,
            attempts: incident.attempts,
            story: incident
                .story
                .iter()
                .map(|line| view::StoryLine {
                    at: String::new(),
                    kind: "seen".into(),
                    text: self.sentence(&line.says),
                })
                .collect(),
        }
    }
}
