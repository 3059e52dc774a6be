//! What known trouble looks like in a log: data, built in and extended by a person's own file.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use doctor::{CauseId, Confidence};
use serde::Deserialize;

use super::Of;
use super::line::Lines;
use crate::config::{ConfigError, ConfigErrors};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub id: String,
    pub of: Of,
    pub cause: CauseId,
    pub confidence: Confidence,
    /// Each of these is in the line, in lower case.
    all: Vec<String>,
    /// None of these is.
    none: Vec<String>,
}

impl Signature {
    /// `line` in lower case.
    pub(super) fn matches(&self, line: &str) -> bool {
        self.all.iter().all(|part| line.contains(part))
            && !self.none.iter().any(|part| line.contains(part))
    }
}

/// Those that come with Homeostat.
pub fn built_in() -> &'static [Signature] {
    static BUILT_IN: OnceLock<Vec<Signature>> = OnceLock::new();
    BUILT_IN.get_or_init(|| {
        let file = PathBuf::from("signatures.toml");
        read(&file, include_str!("signatures.toml")).unwrap_or_else(|errors| {
            // A test reads them too: nobody gets to see this.
            tracing::error!(%errors, "the built-in signatures can't be read");
            Vec::new()
        })
    })
}

/// The signatures of a file; its faults name file and line. Each signature is tried on its own
/// example and counter-example.
pub fn read(file: &Path, text: &str) -> Result<Vec<Signature>, ConfigErrors> {
    let line_at = |at: usize| text.get(..at).map(|before| before.matches('\n').count() + 1);
    let fault = |at: Option<usize>, place: Option<String>, says: String| ConfigError {
        file: file.to_owned(),
        line: at.and_then(line_at),
        place,
        says,
    };
    let written: Written = toml::from_str(text).map_err(|error| {
        let at = error.span().map(|span| span.start);
        ConfigErrors { errors: vec![fault(at, None, error.message().to_owned())] }
    })?;
    let mut errors = Vec::new();
    let mut signatures: Vec<Signature> = Vec::new();
    for one in written.signature {
        let at = one.span().start;
        let one = one.into_inner();
        let id = one.id.clone();
        let known = signatures.iter().any(|before| before.id == id);
        match one.checked() {
            _ if known => {
                let place = Some(format!("[[signature]] id = {id:?}"));
                errors.push(fault(Some(at), place, "is there twice; give it another name".into()));
            }
            Ok(signature) => signatures.push(signature),
            Err(says) => {
                let place = Some(format!("[[signature]] id = {id:?}"));
                errors.push(fault(Some(at), place, says));
            }
        }
    }
    if errors.is_empty() { Ok(signatures) } else { Err(ConfigErrors { errors }) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    signature: Vec<toml::Spanned<One>>,
}

/// As it is written down.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    id: String,
    of: Of,
    cause: String,
    confidence: Confidence,
    all: Vec<String>,
    #[serde(default)]
    none: Vec<String>,
    example: String,
    counter_example: String,
}

impl One {
    fn checked(self) -> Result<Signature, String> {
        /// Shorter ones are in every second line.
        const SHORTEST: usize = 6;
        let cause = CauseId::ALL.iter().copied().find(|cause| cause.as_str() == self.cause);
        let cause = cause.ok_or_else(|| {
            format!("cause = {:?} is no known cause; one such as ollama.metal_oom is", self.cause)
        })?;
        let kind = match self.of {
            Of::Ollama => "ollama.",
            Of::Mlx => "mlx.",
            Of::Container => "container.",
        };
        if !self.cause.starts_with(kind) {
            return Err(format!("cause = {:?} is not a cause of this server's", self.cause));
        }
        let lower = |parts: &[String]| -> Vec<String> {
            parts.iter().map(|part| part.to_lowercase()).collect()
        };
        let signature = Signature {
            id: self.id,
            of: self.of,
            cause,
            confidence: self.confidence,
            all: lower(&self.all),
            none: lower(&self.none),
        };
        let longest = signature.all.iter().map(|part| part.chars().count()).max();
        if longest.is_none_or(|longest| longest < SHORTEST) {
            return Err(format!("all needs a text of at least {SHORTEST} letters"));
        }
        let told = |line: &str| Lines::default().told(&[line.to_owned()], None);
        let matches =
            |line: &str| told(line).iter().any(|line| signature.matches(&line.to_lowercase()));
        if !matches(&self.example) {
            return Err("its example does not match it".into());
        }
        if matches(&self.counter_example) {
            return Err("its counter_example matches it".into());
        }
        Ok(signature)
    }
}
