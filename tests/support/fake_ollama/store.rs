//! Manifests and blobs on disk (manifest/manifest.go, manifest/paths.go).

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What a model is made of: these words over and over, so many bytes of them. Two models with the
/// same weights share their blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    pub words: String,
    pub bytes: usize,
}

impl Weights {
    pub fn new(words: &str, bytes: usize) -> Self {
        Self { words: words.into(), bytes }
    }

    pub(crate) fn content(&self) -> Vec<u8> {
        self.words.bytes().cycle().take(self.bytes).collect()
    }
}

/// Puts a model into a models directory, as a finished pull leaves it.
pub fn install(models: &Path, name: &str, weights: &Weights) -> Result<()> {
    let content = weights.content();
    let layer = write_blob(models, &content)?;
    let config = write_blob(models, config_of(name).as_bytes())?;
    write_manifest(models, name, &config, &[layer])
}

/// The file with the weights of an installed model.
pub fn blob_of(models: &Path, name: &str) -> Option<PathBuf> {
    let manifest: Value =
        serde_json::from_slice(&fs::read(manifest_file(models, name)).ok()?).ok()?;
    let digest = manifest["layers"][0]["digest"].as_str()?;
    Some(blob_file(models, digest))
}

/// The configuration says the model's name, so that no two are the same.
pub(crate) fn config_of(name: &str) -> String {
    json!({ "model_format": "gguf", "model_type": name }).to_string()
}

pub(crate) fn digest_of(content: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(content) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Colon in manifests, dash in file names.
pub(crate) fn blob_file(models: &Path, digest: &str) -> PathBuf {
    models.join("blobs").join(digest.replace(':', "-"))
}

pub(crate) fn write_blob(models: &Path, content: &[u8]) -> Result<Value> {
    let digest = digest_of(content);
    let file = blob_file(models, &digest);
    fs::create_dir_all(models.join("blobs"))?;
    fs::File::create(file)?.write_all(content)?;
    Ok(json!({ "digest": digest, "size": content.len() }))
}

pub(crate) fn write_manifest(
    models: &Path,
    name: &str,
    config: &Value,
    layers: &[Value],
) -> Result<()> {
    let typed = |layer: &Value, kind: &str| {
        let mut layer = layer.clone();
        layer["mediaType"] = kind.into();
        layer
    };
    let layers: Vec<Value> =
        layers.iter().map(|layer| typed(layer, "application/vnd.ollama.image.model")).collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": typed(config, "application/vnd.docker.container.image.v1+json"),
        "layers": layers,
    });
    let file = manifest_file(models, name);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(file, manifest.to_string())?)
}

/// `registry.ollama.ai/library/NAME/TAG` (types/model/name.go `Filepath`).
pub(crate) fn manifest_file(models: &Path, name: &str) -> PathBuf {
    let (name, tag) = name.split_once(':').unwrap_or((name, "latest"));
    let name = if name.contains('/') { name.to_owned() } else { format!("library/{name}") };
    models.join("manifests/registry.ollama.ai").join(name).join(tag)
}
