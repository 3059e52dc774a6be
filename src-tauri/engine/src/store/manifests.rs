//! Manifests: which model is made of which blobs (manifest/manifest.go, types/model/name.go).

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;

/// A manifest is a few kilobytes; models of many tensors have some hundred.
const LARGEST: u64 = 4 << 20;

/// One installed model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    /// As Ollama's list writes it, such as `llama3:latest`.
    pub(super) name: String,
    pub(super) file: PathBuf,
    changed: Option<SystemTime>,
    /// None: the file is damaged.
    pub(super) layers: Option<Vec<Layer>>,
}

/// One blob as the manifest declares it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Layer {
    /// `sha256:HEX`; empty where a model has no configuration.
    #[serde(default)]
    pub(super) digest: String,
    #[serde(default)]
    pub(super) size: u64,
}

impl Layer {
    /// The name of its file: a dash where the manifest has a colon.
    pub(super) fn blob(&self) -> String {
        self.digest.replace(':', "-")
    }
}

impl Manifest {
    /// Whether the file is still the one that was read.
    pub(super) fn is_current(&self) -> bool {
        fs::metadata(&self.file).is_ok_and(|data| data.modified().ok() == self.changed)
    }

    pub(super) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().flatten()
    }
}

/// What was read before; only files that have changed are read again.
#[derive(Debug, Default)]
pub(super) struct Cache(HashMap<PathBuf, (u64, Manifest)>);

impl Cache {
    /// All manifests below a models directory, by name. No directory is no manifest; one that may
    /// not be read is an error.
    pub(super) fn read(&mut self, models: &Path) -> io::Result<Vec<Manifest>> {
        let root = models.join("manifests");
        let mut found = Vec::new();
        for host in folders(&root)? {
            for namespace in folders(&host)? {
                for model in folders(&namespace)? {
                    for tag in entries(&model)? {
                        found.extend(self.manifest(&root, tag)?);
                    }
                }
            }
        }
        self.0.retain(|file, _| found.iter().any(|one| one.file == *file));
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn manifest(&mut self, root: &Path, file: PathBuf) -> io::Result<Option<Manifest>> {
        // It may have gone since the folder was read.
        let data = match fs::metadata(&file) {
            Ok(data) if data.is_file() && data.len() <= LARGEST => data,
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(name) = file.strip_prefix(root).ok().and_then(name) else { return Ok(None) };
        let changed = data.modified().ok();
        if let Some((size, known)) = self.0.get(&file)
            && *size == data.len()
            && known.changed == changed
        {
            return Ok(Some(known.clone()));
        }
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let manifest = Manifest { name, file: file.clone(), changed, layers: layers(&text) };
        self.0.insert(file, (data.len(), manifest.clone()));
        Ok(Some(manifest))
    }
}

pub(super) fn layers(text: &[u8]) -> Option<Vec<Layer>> {
    #[derive(Deserialize)]
    struct Written {
        config: Option<Layer>,
        layers: Option<Vec<Layer>>,
    }
    let written: Written = serde_json::from_slice(text).ok()?;
    let all = written.config.into_iter().chain(written.layers.unwrap_or_default());
    Some(all.filter(|layer| is_digest(&layer.digest)).collect())
}

/// A model without a configuration has an empty one (manifest/paths.go `BlobsPath`).
fn is_digest(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").or_else(|| text.strip_prefix("sha256-"));
    hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// HOST/NAMESPACE/MODEL/TAG as people write it (types/model/name.go `DisplayShortest`).
fn name(path: &Path) -> Option<String> {
    let parts: Vec<&str> =
        path.components().map(|part| part.as_os_str().to_str()).collect::<Option<_>>()?;
    let [host, namespace, model, tag] = parts.as_slice() else { return None };
    if tag.starts_with('.') {
        return None;
    }
    Some(if !host.eq_ignore_ascii_case("registry.ollama.ai") {
        format!("{host}/{namespace}/{model}:{tag}")
    } else if namespace.eq_ignore_ascii_case("library") {
        format!("{model}:{tag}")
    } else {
        format!("{namespace}/{model}:{tag}")
    })
}

fn folders(at: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = entries(at)?;
    found.retain(|path| path.is_dir());
    Ok(found)
}

fn entries(at: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(at) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_people_write_them() {
        for (path, expected) in [
            ("registry.ollama.ai/library/llama3.2/latest", Some("llama3.2:latest")),
            ("registry.ollama.ai/ann/tuned/7b", Some("ann/tuned:7b")),
            ("hf.co/bartowski/Qwen3-GGUF/Q4_K_M", Some("hf.co/bartowski/Qwen3-GGUF:Q4_K_M")),
            ("registry.ollama.ai/library/llama3.2/.DS_Store", None),
            ("registry.ollama.ai/library/llama3.2", None),
        ] {
            assert_eq!(name(Path::new(path)).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn only_what_changed_is_read_again() {
        let models = tempfile::tempdir().unwrap();
        let folder = models.path().join("manifests/registry.ollama.ai/library/a");
        fs::create_dir_all(&folder).unwrap();
        let digest = format!("sha256:{}", "ab".repeat(32));
        let text = format!(
            r#"{{"schemaVersion":2,"config":{{"digest":""}},"layers":[{{"digest":"{digest}","size":7}}]}}"#
        );
        fs::write(folder.join("latest"), &text).unwrap();
        fs::write(folder.join("torn"), &text[..40]).unwrap();
        let mut cache = Cache::default();
        let read = cache.read(models.path()).unwrap();
        let layers = vec![Layer { digest: digest.clone(), size: 7 }];
        assert_eq!(read[0].layers, Some(layers));
        assert_eq!(read[0].layers().next().unwrap().blob(), format!("sha256-{}", "ab".repeat(32)));
        assert_eq!((read[1].name.as_str(), &read[1].layers), ("a:torn", &None));
        assert!(read[0].is_current());
        assert_eq!(cache.read(models.path()).unwrap(), read);
        fs::remove_file(folder.join("torn")).unwrap();
        assert_eq!(cache.read(models.path()).unwrap().len(), 1);
        assert_eq!(cache.0.len(), 1);
        // No directory at all is no model.
        assert_eq!(cache.read(Path::new("/nonexistent")).unwrap(), []);
    }
}
