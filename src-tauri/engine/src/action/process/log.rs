//! The log file of a process that we started: `NAME`, and older ones as `NAME.1` to `NAME.3`.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes above which a log is rotated.
const LARGE: u64 = 10 * 1024 * 1024;

/// How many older logs are kept.
const KEPT: u32 = 3;

/// How much of the end of a log is quoted.
const QUOTED_BYTES: u64 = 4096;
const QUOTED_LINES: usize = 8;

/// Opens a log for appending, after rotating a large one. Nobody else may read it: programs write
/// what they are asked.
pub(super) fn open(log: &Path) -> io::Result<File> {
    if let Some(directory) = log.parent().filter(|path| !path.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    rotate(log)?;
    OpenOptions::new().append(true).create(true).mode(0o600).open(log)
}

/// Renames a log above 10 MB to `.1`, the one before to `.2` and so on; true if it did. For a log
/// that nobody holds open.
pub fn rotate(log: &Path) -> io::Result<bool> {
    if !is_large(log)? {
        return Ok(false);
    }
    shift(log)?;
    fs::rename(log, older(log, 1))?;
    Ok(true)
}

/// Copies the last 10 MB of a log above 10 MB to `.1` and empties it; true if it did. For a log
/// that a process holds open for appending: it writes on at the new end. What it writes between
/// copy and cut is lost.
pub fn rotate_while_open(log: &Path) -> io::Result<bool> {
    if !is_large(log)? {
        return Ok(false);
    }
    // The oldest goes first, which makes room for the copy on a full disk.
    shift(log)?;
    let mut from = File::options().read(true).write(true).open(log)?;
    let begin = from.metadata()?.len().saturating_sub(LARGE);
    from.seek(SeekFrom::Start(begin))?;
    let copy = older(log, 1);
    let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&copy)?;
    if let Err(error) = io::copy(&mut (&from).take(LARGE), &mut to) {
        // Half a copy would only fill the disk more; the log itself is untouched.
        drop(to);
        fs::remove_file(&copy)?;
        return Err(error);
    }
    from.set_len(0)?;
    Ok(true)
}

/// The last lines written after `begin` bytes; empty when there are none or it can't be read.
pub(super) fn last_lines(log: &Path, begin: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let end = file.metadata()?.len();
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(begin.max(end.saturating_sub(QUOTED_BYTES))))?;
        file.take(QUOTED_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.get(lines.len().saturating_sub(QUOTED_LINES)..).unwrap_or_default().join("\n")
}

fn is_large(log: &Path) -> io::Result<bool> {
    match fs::metadata(log) {
        Ok(found) => Ok(found.is_file() && found.len() > LARGE),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Drops the oldest and moves the others one up, so that `.1` is free.
fn shift(log: &Path) -> io::Result<()> {
    let absent_is_fine = |result: io::Result<()>| match result {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    };
    absent_is_fine(fs::remove_file(older(log, KEPT)))?;
    for number in (1..KEPT).rev() {
        absent_is_fine(fs::rename(older(log, number), older(log, number + 1)))?;
    }
    Ok(())
}

fn older(log: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(log);
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, OpenOptions};
    use std::io::Write;
    use std::path::Path;

    use super::{LARGE, last_lines, older, open, rotate, rotate_while_open};

    fn fill(log: &Path, first: &str) {
        let mut file = File::create(log).unwrap();
        file.write_all(first.as_bytes()).unwrap();
        file.set_len(LARGE + 1).unwrap();
    }

    fn begins(log: &Path, word: &str) -> bool {
        fs::read(log).is_ok_and(|bytes| bytes.starts_with(word.as_bytes()))
    }

    #[test]
    fn a_large_log_is_renamed_and_three_older_ones_are_kept() {
        let place = tempfile::tempdir().unwrap();
        let log = place.path().join("new/ollama.log");
        open(&log).unwrap();
        assert!(!rotate(&log).unwrap(), "an empty log stays");
        for word in ["one", "two", "three", "four", "five"] {
            fill(&log, word);
            drop(open(&log).unwrap());
            assert_eq!(fs::metadata(&log).unwrap().len(), 0);
        }
        assert!(begins(&older(&log, 1), "five"));
        assert!(begins(&older(&log, 2), "four"));
        assert!(begins(&older(&log, 3), "three"));
        assert!(!older(&log, 4).exists());
    }

    #[test]
    fn an_open_log_is_cut_and_its_writer_goes_on() {
        let place = tempfile::tempdir().unwrap();
        let log = place.path().join("mlx.log");
        let mut writer = OpenOptions::new().append(true).create(true).open(&log).unwrap();
        let line = [b'x'; 1023].iter().chain(b"\n").copied().collect::<Vec<u8>>();
        for _ in 0..LARGE / 1024 {
            writer.write_all(&line).unwrap();
        }
        assert!(!rotate_while_open(&log).unwrap(), "just full is not too full");
        writer.write_all(b"the last\n").unwrap();
        assert!(rotate_while_open(&log).unwrap());
        writer.write_all(b"after\n").unwrap();
        assert_eq!(fs::read(&log).unwrap(), b"after\n", "no hole where the old text was");
        let copy = fs::read(older(&log, 1)).unwrap();
        assert!(copy.ends_with(b"the last\n"));
        assert_eq!(copy.len() as u64, LARGE);
    }

    #[test]
    fn a_missing_log_is_not_large() {
        let place = tempfile::tempdir().unwrap();
        let log = place.path().join("none.log");
        assert!(!rotate(&log).unwrap());
        assert!(!rotate_while_open(&log).unwrap());
    }

    #[test]
    fn the_last_lines_of_this_run_only() {
        let place = tempfile::tempdir().unwrap();
        let log = place.path().join("a.log");
        fs::write(&log, "old\nnew\n\nnewer\n").unwrap();
        assert_eq!(last_lines(&log, 4), "new\nnewer");
        assert_eq!(last_lines(&log, 400), "");
        assert_eq!(last_lines(&place.path().join("none"), 0), "");
        let many: Vec<String> = (0..1000).map(|number| format!("line {number}")).collect();
        fs::write(&log, many.join("\n")).unwrap();
        let last = last_lines(&log, 0);
        assert!(last.starts_with("line 992\n") && last.ends_with("\nline 999"), "{last}");
    }
}
