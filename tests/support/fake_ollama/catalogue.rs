//! The models that are installed.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One installed model, and how it behaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// With its tag, such as `llama3.2:latest`.
    pub name: String,
    /// Bytes on disk.
    pub size: u64,
    /// Such as `3.2B`.
    pub parameters: String,
    /// Such as `Q4_K_M`.
    pub quantisation: String,
    pub family: String,
    /// Of `completion`, `embedding`, `thinking`, `tools`, `vision`, `insert`.
    pub capabilities: Vec<String>,
    /// Tokens that it was trained for.
    pub context_length: u64,
    pub load_ms: u64,
    pub tokens_per_s: f64,
    /// What its runner really holds in memory.
    pub memory_bytes: u64,
    /// Its runner ends with this message instead of loading.
    pub load_error: Option<String>,
    /// It thinks also when told not to, as gpt-oss does (server/routes.go `shouldUseHarmony`).
    pub always_thinks: bool,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            name: String::new(),
            size: 2_019_393_189,
            parameters: "3.2B".into(),
            quantisation: "Q4_K_M".into(),
            family: "llama".into(),
            capabilities: vec!["completion".into()],
            context_length: 131_072,
            load_ms: 0,
            tokens_per_s: 200.0,
            memory_bytes: 8 << 20,
            load_error: None,
            always_thinks: false,
        }
    }
}

impl Model {
    /// A small model that generates text.
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// A small model that only embeds.
    pub fn embedding(name: &str) -> Self {
        Self {
            size: 274_302_450,
            parameters: "137M".into(),
            quantisation: "F16".into(),
            family: "nomic-bert".into(),
            capabilities: vec!["embedding".into()],
            context_length: 2048,
            ..Self::named(name)
        }
    }

    pub(crate) fn can(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|own| own == capability)
    }

    /// 64 hex digits, the same for the same name.
    pub(crate) fn digest(&self) -> String {
        let hash = self.name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!(
            "{hash:016x}{:016x}{:016x}{:016x}",
            !hash,
            hash.rotate_left(21),
            hash.reverse_bits()
        )
    }

    /// `api.ModelDetails` (api/types.go).
    pub(crate) fn details(&self) -> Value {
        json!({
            "parent_model": "",
            "format": "gguf",
            "family": self.family,
            "families": [self.family],
            "parameter_size": self.parameters,
            "quantization_level": self.quantisation,
        })
    }
}

/// Writes the file that `FAKE_OLLAMA_MODELS` names.
pub fn write_models(file: &Path, models: &[Model]) -> anyhow::Result<()> {
    Ok(std::fs::write(file, serde_json::to_vec_pretty(models)?)?)
}

/// The model asked for as a person writes it: without a tag `latest` is meant, and case does not
/// matter (server/routes.go `getExistingName`).
pub(crate) fn find<'a>(models: &'a [Model], asked: &str) -> Option<&'a Model> {
    let full = |name: &str| {
        let name = name.to_lowercase();
        let (_, last) = name.rsplit_once('/').unwrap_or(("", &name));
        if last.contains(':') { name } else { format!("{name}:latest") }
    };
    let asked = full(asked);
    models.iter().find(|model| full(&model.name) == asked)
}
