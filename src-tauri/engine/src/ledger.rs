//! The ledger's file: small, checksummed, two generations, apart from the journal so that it
//! survives a damaged one.
//!
//! A file is one line `sha256 HEX` and the JSON that the sum is of.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use doctor::{Ledger, LedgerFound};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A ledger of a thousand targets has some hundred kilobytes.
const LARGEST: u64 = 16 << 20;

/// Blocks for as long as the disk takes: async callers use `spawn_blocking`.
pub struct LedgerFile {
    directory: PathBuf,
    /// Of the last one written or read; none: not looked up yet.
    generation: Mutex<Option<u64>>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    /// Counts up with every save: tells which of two good files is the newer one.
    generation: u64,
    ledger: Ledger,
}

/// What one of the files holds.
enum Found {
    Nothing,
    Bad,
    Good(Kept),
}

impl LedgerFile {
    /// `directory` is the data directory; nothing is read or written yet.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), generation: Mutex::new(None) }
    }

    /// The newest good generation. Where files exist and none is good, they are kept under another
    /// name (`ledger.damaged-<UTC time>`) and the answer is `Damaged`.
    pub fn load(&self) -> LedgerFound {
        let all = [self.current(), self.old(), self.new_one()].map(|file| read(&file));
        // A new one that is torn was never acknowledged: it says nothing.
        let damaged = all[..2].iter().any(|found| matches!(found, Found::Bad));
        let newest = newest(all);
        *self.generation.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(newest.as_ref().map_or(0, |kept| kept.generation));
        match newest {
            Some(kept) => {
                if damaged {
                    tracing::warn!("one of the two ledger files is damaged; the other is used");
                }
                LedgerFound::Good(kept.ledger)
            }
            None if damaged => {
                self.set_aside();
                LedgerFound::Damaged
            }
            None => LedgerFound::None,
        }
    }

    /// As `load`; a journal that was there before tells that this is no first run, and then a ledger
    /// that is missing is a lost one.
    pub fn load_beside(&self, journal_was_there: bool) -> LedgerFound {
        match self.load() {
            LedgerFound::None if journal_was_there => {
                tracing::error!("there is a journal, but the ledger has gone");
                LedgerFound::Damaged
            }
            found @ (LedgerFound::None | LedgerFound::Good(_) | LedgerFound::Damaged) => found,
        }
    }

    /// Replaces the ledger. When this returns `Ok` it survives a crash of the machine; when it does
    /// not, the one before is still there.
    pub fn save(&self, ledger: &Ledger) -> io::Result<()> {
        let mut last = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = last.unwrap_or_else(|| self.newest_generation()).saturating_add(1);
        let text = serialise(&Kept { generation, ledger: ledger.clone() })?;
        write_new(&self.new_one(), &text)?;
        // Only a good file becomes the old generation: a damaged one must not replace a good one.
        if matches!(read(&self.current()), Found::Good(_)) {
            fs::rename(self.current(), self.old())?;
        }
        fs::rename(self.new_one(), self.current())?;
        File::open(&self.directory)?.sync_all()?;
        *last = Some(generation);
        Ok(())
    }

    fn newest_generation(&self) -> u64 {
        let all = [self.current(), self.old(), self.new_one()].map(|file| read(&file));
        newest(all).map_or(0, |kept| kept.generation)
    }

    fn set_aside(&self) {
        let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        for (file, name) in [(self.current(), "ledger"), (self.old(), "ledger.old")] {
            let aside = self.directory.join(format!("{name}.damaged-{time}"));
            match fs::rename(&file, &aside) {
                Ok(()) => tracing::error!(aside = %aside.display(), "a damaged ledger was kept"),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::error!(%error, "a damaged ledger could not be renamed"),
            }
        }
    }

    fn current(&self) -> PathBuf {
        self.directory.join("ledger")
    }

    fn old(&self) -> PathBuf {
        self.directory.join("ledger.old")
    }

    fn new_one(&self) -> PathBuf {
        self.directory.join("ledger.new")
    }
}

fn newest(all: [Found; 3]) -> Option<Kept> {
    all.into_iter()
        .filter_map(|found| match found {
            Found::Good(kept) => Some(kept),
            Found::Nothing | Found::Bad => None,
        })
        .max_by_key(|kept| kept.generation)
}

fn read(file: &Path) -> Found {
    let mut text = Vec::new();
    let result = File::open(file).and_then(|file| file.take(LARGEST).read_to_end(&mut text));
    match result {
        Ok(_) => parse(&text).map_or(Found::Bad, Found::Good),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
        Err(error) => {
            tracing::error!(file = %file.display(), %error, "the ledger can't be read");
            Found::Bad
        }
    }
}

fn parse(text: &[u8]) -> Option<Kept> {
    let line = text.iter().position(|&byte| byte == b'\n')?;
    let sum = text[..line].strip_prefix(b"sha256 ")?;
    let body = &text[line + 1..];
    if sum != hex(&Sha256::digest(body)).as_bytes() {
        return None;
    }
    serde_json::from_slice(body).ok()
}

fn serialise(kept: &Kept) -> io::Result<Vec<u8>> {
    let mut body = serde_json::to_vec_pretty(kept)?;
    body.push(b'\n');
    let mut text = format!("sha256 {}\n", hex(&Sha256::digest(&body))).into_bytes();
    text.append(&mut body);
    Ok(text)
}

/// Readable by its owner only; on disk when this returns.
fn write_new(file: &Path, text: &[u8]) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    opened.write_all(text)?;
    opened.sync_all()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
