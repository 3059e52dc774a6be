//! The journal as a file: who may read it, and how a damaged one is set aside.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Readable by its owner only; SQLite gives `-wal` and `-shm` the mode of the file itself.
pub(super) fn prepare(file: &Path) -> io::Result<()> {
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(file)?;
    if opened.metadata()?.mode() & 0o077 != 0 {
        opened.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// Which file lies at this path now; another one after it was deleted or replaced.
pub(super) fn identity(file: &Path) -> Option<(u64, u64)> {
    fs::metadata(file).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Renames the file and what belongs to it to `journal.damaged-<UTC time>.db`; returns the name.
pub(super) fn set_aside(file: &Path) -> io::Result<PathBuf> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let free = (1..1000)
        .map(|number| {
            let suffix = if number == 1 { String::new() } else { format!("-{number}") };
            file.with_file_name(format!("{stem}.damaged-{time}{suffix}.db"))
        })
        .find(|aside| !aside.exists())
        .ok_or_else(|| io::Error::other("a thousand damaged journals within one second"))?;
    // The companions first: left behind, an old -wal would be replayed into the new file.
    for companion in ["-wal", "-shm"] {
        match fs::rename(with_suffix(file, companion), with_suffix(&free, companion)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    match fs::rename(file, &free) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(free),
    }
}

/// Whether the content is bad, as opposed to the disk or the rights being so.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Whether the same entry may well be written later: the fault is not its own.
pub(super) fn may_pass(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::OutOfMemory
                | ErrorCode::FileLockingProtocolFailed
        )
    ) || is_damage(error)
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
