//! The end of a file that grows: read on from look to look, whatever its owner does to it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes of the past that are read at first.
const LOOK_BACK: u64 = 64 << 10;
/// Bytes that are read in one look at most: of more, the newest.
const AT_ONCE: u64 = 1 << 20;
/// Bytes of a line that are kept; the rest of it is passed over.
const LINE: usize = 8 << 10;

pub(super) struct Tail {
    path: PathBuf,
    open: Option<Open>,
    begun: bool,
}

struct Open {
    file: File,
    /// Device and inode: another file of the same name has others.
    identity: (u64, u64),
    at: u64,
    pieces: Pieces,
}

/// Bytes as they come, made into lines.
#[derive(Default)]
pub(super) struct Pieces {
    /// A line whose end has not been written yet.
    rest: Vec<u8>,
    /// In the middle of a line whose beginning was not read.
    skips: bool,
}

/// What was written since the last time.
#[derive(Debug, Default, PartialEq)]
pub(super) struct News {
    pub(super) lines: Vec<String>,
    /// These were there before we came.
    pub(super) from_the_middle: bool,
}

impl Tail {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), open: None, begun: false }
    }

    /// Whole lines that are new. A file that is not there, or can't be read, says nothing.
    pub(super) fn read(&mut self) -> News {
        let mut news = News::default();
        let there = std::fs::metadata(&self.path).ok().filter(std::fs::Metadata::is_file);
        let identity = there.map(|there| (there.dev(), there.ino()));
        if let Some(open) = &mut self.open {
            // Renamed, it may have been written to since: its last lines come before the new file's.
            open.read(&mut news.lines);
            if identity.is_some_and(|identity| identity != open.identity) {
                self.open = None;
            }
        }
        if self.open.is_none() && identity.is_some() {
            self.open = Open::at_end(&self.path, if self.begun { u64::MAX } else { LOOK_BACK });
            if let Some(open) = &mut self.open {
                news.from_the_middle = !self.begun;
                open.read(&mut news.lines);
            }
        }
        // A file that comes later is new from its beginning.
        self.begun = true;
        news
    }
}

impl Open {
    fn at_end(path: &Path, look_back: u64) -> Option<Self> {
        let file = File::open(path).ok()?;
        let there = file.metadata().ok()?;
        let at = there.len().saturating_sub(look_back);
        let identity = (there.dev(), there.ino());
        Some(Self { file, identity, at, pieces: Pieces { skips: at > 0, ..Pieces::default() } })
    }

    fn read(&mut self, lines: &mut Vec<String>) {
        let Ok(length) = self.file.metadata().map(|there| there.len()) else { return };
        if length < self.at {
            // Emptied in place (`> file`, copytruncate).
            self.at = 0;
            self.pieces = Pieces::default();
        }
        if length - self.at > AT_ONCE {
            self.at = length - AT_ONCE;
            self.pieces = Pieces { skips: true, ..Pieces::default() };
        }
        let mut bytes = Vec::new();
        let got = self
            .file
            .seek(SeekFrom::Start(self.at))
            .and_then(|_| (&self.file).take(AT_ONCE).read_to_end(&mut bytes));
        if got.is_err() {
            return;
        }
        self.at += bytes.len() as u64;
        self.pieces.take(&bytes, lines);
    }
}

impl Pieces {
    pub(super) fn take(&mut self, bytes: &[u8], lines: &mut Vec<String>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            if !self.skips {
                let room = LINE.saturating_sub(self.rest.len());
                self.rest.extend_from_slice(&text[..text.len().min(room)]);
            }
            if ends {
                if !std::mem::take(&mut self.skips) {
                    lines.push(String::from_utf8_lossy(&self.rest).into_owned());
                }
                self.rest.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    fn append(path: &Path, bytes: &[u8]) {
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(bytes).unwrap();
    }

    /// A tail that has already seen an empty file.
    fn begun() -> (tempfile::TempDir, PathBuf, Tail) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.log");
        append(&path, b"");
        let mut tail = Tail::new(&path);
        assert_eq!(tail.read(), News { lines: Vec::new(), from_the_middle: true });
        (directory, path, tail)
    }

    #[test]
    fn it_begins_near_the_end_with_a_whole_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.log");
        let line = [b"x".repeat(99), b"\n".to_vec()].concat();
        append(&path, &line.repeat(2000));
        append(&path, b"last\nhalf");
        let news = Tail::new(&path).read();
        assert!(news.from_the_middle);
        assert!((600..660).contains(&news.lines.len()), "{}", news.lines.len());
        assert!(news.lines.iter().all(|line| line.len() == 99 || line == "last"));
        assert_eq!(news.lines.last().unwrap(), "last");
    }

    #[test]
    fn a_line_cut_in_the_middle_comes_whole_when_it_is_whole() {
        let (_directory, path, mut tail) = begun();
        append(&path, "one\nнапо".as_bytes());
        assert_eq!(tail.read().lines, ["one"]);
        // In the middle of a letter.
        append(&path, &"лам".as_bytes()[..3]);
        assert_eq!(tail.read().lines, [""; 0]);
        append(&path, &"лам".as_bytes()[3..]);
        append(&path, b"\n\n");
        assert_eq!(tail.read().lines, ["наполам", ""]);
    }

    #[test]
    fn a_rotated_file_is_read_to_its_end_and_then_the_new_one() {
        let (directory, path, mut tail) = begun();
        append(&path, b"before\n");
        assert_eq!(tail.read().lines, ["before"]);
        let old = directory.path().join("server-1.log");
        append(&path, b"unread\nha");
        std::fs::rename(&path, &old).unwrap();
        // The server still writes to the old one.
        append(&old, b"lf\n");
        assert_eq!(tail.read().lines, ["unread", "half"], "the new one is not there yet");
        append(&old, b"late\n");
        append(&path, b"new\n");
        let news = tail.read();
        assert_eq!(news.lines, ["late", "new"]);
        assert!(!news.from_the_middle);
    }

    #[test]
    fn a_file_emptied_in_place_is_read_from_its_beginning() {
        let (_directory, path, mut tail) = begun();
        append(&path, b"a long line before\nhalf of");
        assert_eq!(tail.read().lines, ["a long line before"]);
        std::fs::write(&path, "").unwrap();
        append(&path, b"new\n");
        assert_eq!(tail.read().lines, ["new"]);
    }

    #[test]
    fn a_file_that_comes_later_is_new_from_its_beginning() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.log");
        let mut tail = Tail::new(&path);
        assert_eq!(tail.read(), News::default());
        append(&path, b"first\n");
        assert_eq!(tail.read(), News { lines: vec!["first".into()], from_the_middle: false });
    }

    #[test]
    fn very_long_lines_and_floods_stay_within_bounds() {
        let (_directory, path, mut tail) = begun();
        append(&path, &b"y".repeat(100_000));
        assert_eq!(tail.read().lines, [""; 0]);
        append(&path, b"yyy\nnext\n");
        let lines = tail.read().lines;
        assert_eq!((lines[0].len(), lines[1].as_str()), (LINE, "next"));
        append(&path, &b"flood flood\n".repeat(300_000));
        let lines = tail.read().lines;
        assert!(lines.len() < 90_000 && lines.iter().all(|line| line == "flood flood"));
    }

    #[test]
    fn what_is_no_text_or_no_file_does_no_harm() {
        let (_directory, path, mut tail) = begun();
        append(&path, b"\xff\xfe bad \x00\n");
        assert_eq!(tail.read().lines, ["\u{fffd}\u{fffd} bad \u{0}"]);
        assert_eq!(Tail::new(Path::new("/dev/zero")).read(), News::default());
        assert_eq!(Tail::new(path.parent().unwrap()).read(), News::default());
    }
}
