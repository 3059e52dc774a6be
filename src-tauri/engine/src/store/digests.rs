//! What each blob's content was found to be, kept in a small file: reading hundreds of gigabytes goes on
//! after a restart where it was.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// At once in memory.
const CHUNK: usize = 1 << 20;
/// A disk may go bad later: read again after so long.
const HOLDS: Duration = Duration::from_hours(60 * 24);
/// Much larger is some other file.
const LARGEST: u64 = 16 << 20;

/// By digest, as manifests write it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Digests(BTreeMap<String, Known>);

/// One reading of one file; it counts as long as the file keeps its size and time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Known {
    size: u64,
    /// Milliseconds since 1970.
    changed: u64,
    good: bool,
    /// Milliseconds since 1970: when it was read.
    at: u64,
}

impl Digests {
    /// None or a damaged file is an empty one: all is read again.
    pub(super) fn load(file: &Path) -> Self {
        let text = File::open(file).and_then(|open| {
            let mut text = Vec::new();
            open.take(LARGEST).read_to_end(&mut text)?;
            Ok(text)
        });
        text.ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// As a whole, so that a reader never sees half of it.
    pub(super) fn save(&self, file: &Path) -> io::Result<()> {
        let fresh = file.with_extension("new");
        fs::write(&fresh, serde_json::to_vec(self)?)?;
        fs::rename(fresh, file)
    }

    /// This very file was read and is not what its name says.
    pub(super) fn is_bad(&self, digest: &str, data: &Metadata) -> bool {
        self.known(digest, data).is_some_and(|known| !known.good)
    }

    /// When this very file was read last; none: never, or too long ago.
    pub(super) fn read_at(&self, digest: &str, data: &Metadata, now: SystemTime) -> Option<u64> {
        let known = self.known(digest, data)?;
        let age = millis(now).saturating_sub(known.at);
        (Duration::from_millis(age) < HOLDS).then_some(known.at)
    }

    pub(super) fn put(&mut self, digest: &str, data: &Metadata, good: bool, now: SystemTime) {
        let known = Known { size: data.len(), changed: changed(data), good, at: millis(now) };
        self.0.insert(digest.to_owned(), known);
    }

    /// What is no longer there is forgotten.
    pub(super) fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|digest, _| is_there(digest));
    }

    fn known(&self, digest: &str, data: &Metadata) -> Option<&Known> {
        let known = self.0.get(digest)?;
        (known.size == data.len() && known.changed == changed(data)).then_some(known)
    }
}

/// Whether the file's content is what the digest says; none: `go_on`, which is told of each chunk, has
/// ended it.
pub(super) fn is_intact(
    file: &Path,
    digest: &str,
    mut go_on: impl FnMut(usize) -> bool,
) -> io::Result<Option<bool>> {
    let mut open = File::open(file)?;
    let mut sum = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = open.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        sum.update(&chunk[..count]);
        if !go_on(count) {
            return Ok(None);
        }
    }
    let sum = sum.finalize();
    let hex = digest.split_once([':', '-']).map_or("", |(_, hex)| hex);
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap_or_default());
    let same = pairs.map(|pair| u8::from_str_radix(pair, 16).ok()).eq(sum.iter().map(|b| Some(*b)));
    Ok(Some(same))
}

fn changed(data: &Metadata) -> u64 {
    data.modified().map_or(0, millis)
}

fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_byte_is_found_and_remembered_for_this_very_file() {
        let place = tempfile::tempdir().unwrap();
        let blob = place.path().join("blob");
        fs::write(&blob, "abc").unwrap();
        // FIPS 180-2, B.1.
        let digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(is_intact(&blob, digest, |_| true).unwrap(), Some(true));
        assert_eq!(is_intact(&blob, digest, |_| false).unwrap(), None);
        fs::write(&blob, "abd").unwrap();
        assert_eq!(is_intact(&blob, digest, |_| true).unwrap(), Some(false));
        assert_eq!(is_intact(&blob, "sha256:", |_| true).unwrap(), Some(false));

        let now = SystemTime::now();
        let data = fs::metadata(&blob).unwrap();
        let mut digests = Digests::default();
        digests.put(digest, &data, false, now);
        let file = place.path().join("digests.json");
        digests.save(&file).unwrap();
        let digests = Digests::load(&file);
        assert!(digests.is_bad(digest, &data));
        assert!(digests.read_at(digest, &data, now).is_some());
        assert!(digests.read_at(digest, &data, now + HOLDS).is_none());
        fs::write(&blob, "abcd").unwrap();
        assert!(!digests.is_bad(digest, &fs::metadata(&blob).unwrap()), "another file");
        fs::write(&file, "{").unwrap();
        assert_eq!(Digests::load(&file), Digests::default());
    }
}
