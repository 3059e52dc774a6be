//! Manifests against blobs: is each there, and as long as declared? The sums of those that were read
//! are known besides.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::digests::Digests;
use super::manifests::{Layer, Manifest};

/// More than so many tell nothing new.
const TOLD: usize = 32;

/// Models with a blob that is missing, cut, or has another content; with the blob's file name.
/// A manifest that nobody can read counts as well.
pub(super) fn corrupt(
    models: &Path,
    manifests: &[Manifest],
    digests: &Digests,
) -> io::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for manifest in manifests {
        let mut bad = Vec::new();
        if manifest.layers.is_none() {
            bad.push("manifest".to_owned());
        }
        for layer in manifest.layers() {
            if !is_sound(models, layer, digests)? {
                bad.push(layer.blob());
            }
        }
        bad.dedup();
        // It may have been deleted or replaced while its blobs were looked at.
        if !bad.is_empty() && manifest.is_current() {
            found.extend(bad.into_iter().map(|blob| (manifest.name.clone(), blob)));
        }
        if found.len() >= TOLD {
            break;
        }
    }
    found.truncate(TOLD);
    Ok(found)
}

/// There, of its length, and not known to hold something else.
pub(super) fn is_sound(models: &Path, layer: &Layer, digests: &Digests) -> io::Result<bool> {
    match fs::metadata(file(models, layer)) {
        Ok(data) => Ok(data.len() == layer.size && !digests.is_bad(&layer.digest, &data)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn file(models: &Path, layer: &Layer) -> PathBuf {
    models.join("blobs").join(layer.blob())
}

/// Every model that needs this blob, which may be shared by many.
pub(super) fn users<'a>(manifests: &'a [Manifest], blob: &str) -> Vec<&'a str> {
    let uses = |one: &&Manifest| one.layers().any(|layer| layer.blob() == blob);
    manifests.iter().filter(uses).map(|one| one.name.as_str()).collect()
}

pub(super) fn owner(models: &Path) -> Option<u32> {
    fs::metadata(models).ok().map(|data| data.uid())
}
