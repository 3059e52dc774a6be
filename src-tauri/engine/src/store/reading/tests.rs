use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;

/// Two models that share one blob, each with one of its own.
fn store() -> (TempDir, [String; 3]) {
    let models = tempfile::tempdir().unwrap();
    let blobs = ["shared ", "one ", "two "].map(|text| blob(models.path(), &text.repeat(5000)));
    for (name, own) in [("one", &blobs[1]), ("two", &blobs[2])] {
        let folder = models.path().join("manifests/registry.ollama.ai/library").join(name);
        fs::create_dir_all(&folder).unwrap();
        let layer = |digest: &str| {
            let size = fs::metadata(models.path().join("blobs").join(digest)).unwrap().len();
            format!(r#"{{"digest":"{}","size":{size}}}"#, digest.replace('-', ":"))
        };
        let text = format!(r#"{{"config":{},"layers":[{}]}}"#, layer(own), layer(&blobs[0]));
        fs::write(folder.join("latest"), text).unwrap();
    }
    (models, blobs)
}

fn blob(models: &Path, text: &str) -> String {
    let mut name = String::from("sha256-");
    for byte in Sha256::digest(text) {
        write!(name, "{byte:02x}").unwrap();
    }
    fs::create_dir_all(models.join("blobs")).unwrap();
    fs::write(models.join("blobs").join(&name), text).unwrap();
    name
}

/// One byte in the middle; the length stays.
fn flip(models: &Path, blob: &str) {
    let file = models.join("blobs").join(blob);
    let mut content = fs::read(&file).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(file, content).unwrap();
}

fn pairs(of: &[(&str, &String)]) -> Vec<(String, String)> {
    of.iter().map(|(model, blob)| ((*model).to_owned(), (*blob).clone())).collect()
}

fn cheap(reading: &Reading, models: &Path) -> Vec<(String, String)> {
    let manifests = Cache::default().read(models).unwrap();
    check::corrupt(models, &manifests, &reading.digests()).unwrap()
}

#[test]
fn what_is_missing_or_cut_is_seen_without_reading() {
    let (models, [shared, one, two]) = store();
    let reading = Reading::default();
    assert_eq!(cheap(&reading, models.path()), []);
    fs::remove_file(models.path().join("blobs").join(&one)).unwrap();
    fs::write(models.path().join("blobs").join(&two), "short").unwrap();
    let expected = pairs(&[("one:latest", &one), ("two:latest", &two)]);
    assert_eq!(cheap(&reading, models.path()), expected);
    // One blob, and every model that shares it.
    fs::remove_file(models.path().join("blobs").join(&shared)).unwrap();
    assert_eq!(cheap(&reading, models.path()).len(), 4);
}

#[test]
fn a_flipped_byte_is_found_by_reading_and_named_with_all_that_share_it() {
    let (models, [shared, _, two]) = store();
    flip(models.path(), &shared);
    flip(models.path(), &two);
    let reading = Reading::default();
    assert_eq!(cheap(&reading, models.path()), [], "its length is right");
    let mut last = (0, 0);
    let found = reading.verify(models.path(), Some("one"), |done, of| {
        last = (done, of);
        true
    });
    let found = found.unwrap().unwrap();
    assert_eq!(last.0, last.1, "all of it was read");
    assert_eq!(found.models, 1);
    assert_eq!(found.corrupt, pairs(&[("one:latest", &shared), ("two:latest", &shared)]));
    let all = reading.verify(models.path(), None, |_, _| true).unwrap().unwrap();
    assert_eq!(all.corrupt.len(), 3);
    assert_eq!(cheap(&reading, models.path()).len(), 3, "it is remembered");
    assert_eq!(reading.verify(models.path(), None, |_, _| false).unwrap(), None);
    assert!(reading.verify(models.path(), Some("three"), |_, _| true).is_err());
}

#[test]
fn only_what_is_broken_is_removed() {
    let (models, [shared, one, two]) = store();
    flip(models.path(), &shared);
    let reading = Reading::default();
    let removed = reading.remove_broken(models.path(), "one", |_, _| true).unwrap().unwrap();
    assert_eq!(removed.blobs, std::slice::from_ref(&shared));
    assert_eq!(removed.models, ["one:latest", "two:latest"]);
    let left = |blob: &String| models.path().join("blobs").join(blob).exists();
    assert!(!left(&shared) && left(&one) && left(&two));
    // What is whole is left alone.
    let (models, _) = store();
    let removed = reading.remove_broken(models.path(), "one", |_, _| true).unwrap().unwrap();
    assert_eq!(removed, Removed::default());
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

#[test]
fn the_background_reads_everything_and_goes_on_after_a_restart() {
    let (models, [shared, one, two]) = store();
    flip(models.path(), &shared);
    let manifests = Cache::default().read(models.path()).unwrap();
    let kept = models.path().join("digests.json");
    let pace = Pace {
        first: Duration::ZERO,
        between: Duration::from_millis(20),
        busy: 1_000_000,
        free: 1_000_000_000,
    };
    let reading = Arc::new(Reading::default());
    reading.pause(true);
    reading.serve(models.path(), &manifests);
    reading.begin_at(kept.clone(), pace);
    std::thread::park_timeout(Duration::from_millis(100));
    assert_eq!(reading.digests(), Digests::default(), "nothing is read while it is paused");
    reading.pause(false);
    eventually("the flipped one is found", || cheap(&reading, models.path()).len() == 2);
    let known = |reading: &Reading| {
        let now = SystemTime::now();
        [&shared, &one, &two]
            .iter()
            .filter(|blob| {
                let data = fs::metadata(models.path().join("blobs").join(blob)).unwrap();
                reading.digests().read_at(&blob.replace('-', ":"), &data, now).is_some()
            })
            .count()
    };
    eventually("all are read", || known(&reading) == 3);
    reading.end();

    let again = Arc::new(Reading::default());
    again.begin_at(kept, Pace { first: Duration::from_hours(1), ..pace });
    assert_eq!(known(&again), 3, "nothing has to be read again");
    again.end();
}

/// 5 MB at 40 MB a second take an eighth of a second at least; a machine under load takes longer.
#[test]
fn a_loaded_model_slows_it_down() {
    let models = tempfile::tempdir().unwrap();
    let name = blob(models.path(), &"x".repeat(5_000_000));
    let layer: Layer = serde_json::from_str(&format!(
        r#"{{"digest":"{}","size":5000000}}"#,
        name.replace('-', ":")
    ))
    .unwrap();
    let reading = Reading::default();
    reading.spare(true);
    let began = Instant::now();
    reading.read_slowly(models.path(), &layer, Pace::default());
    assert!(began.elapsed() >= Duration::from_millis(120), "{:?}", began.elapsed());
}

#[test]
fn a_blob_that_is_what_its_name_says_is_not_removed_for_a_wrong_manifest() {
    let (models, [shared, one, _]) = store();
    let manifest = models.path().join("manifests/registry.ollama.ai/library/one/latest");
    let text = fs::read_to_string(&manifest).unwrap();
    let (first, wrong) = text.split_once("\"layers\"").unwrap();
    let size = fs::metadata(models.path().join("blobs").join(&shared)).unwrap().len();
    let wrong = wrong.replace(&format!("\"size\":{size}"), "\"size\":7");
    fs::write(&manifest, format!("{first}\"layers\"{wrong}")).unwrap();
    fs::write(models.path().join("blobs").join(&one), "short").unwrap();
    let reading = Reading::default();
    let removed = reading.remove_broken(models.path(), "one", |_, _| true).unwrap().unwrap();
    assert_eq!(removed.blobs, [one], "the one that is cut");
    assert!(models.path().join("blobs").join(&shared).is_file(), "the other model needs it");
}
