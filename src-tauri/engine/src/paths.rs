//! Where everything lies, and the lock that lets one engine alone use a data directory.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The configuration file and the data directory, both absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    pub config: PathBuf,
    pub data: PathBuf,
}

impl Paths {
    /// What the command line says, else `HOMEOSTAT_CONFIG` and `HOMEOSTAT_DATA` (empty counts as
    /// not set), else the platform's `default`.
    pub fn choose(
        config: Option<PathBuf>,
        data: Option<PathBuf>,
        environment: &dyn Fn(&str) -> Option<String>,
        default: Self,
    ) -> io::Result<Self> {
        let variable =
            |name: &str| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let config = config.or_else(|| variable("HOMEOSTAT_CONFIG")).unwrap_or(default.config);
        let data = data.or_else(|| variable("HOMEOSTAT_DATA")).unwrap_or(default.data);
        Ok(Self { config: std::path::absolute(config)?, data: std::path::absolute(data)? })
    }

    /// Makes the data directory and those above it, for the owner only. The mode of one that exists
    /// stays: it may be shared on purpose, and every file in it has its own.
    pub fn prepare(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.data)
    }

    pub fn journal(&self) -> PathBuf {
        self.data.join("journal.db")
    }

    /// The directory in which [`LedgerFile`](crate::ledger::LedgerFile) keeps its generations.
    pub fn ledger(&self) -> PathBuf {
        self.data.clone()
    }

    pub fn token(&self) -> PathBuf {
        self.data.join("token")
    }

    /// What reading models found.
    pub fn digests(&self) -> PathBuf {
        self.data.join("digests.json")
    }

    /// What servers were started with; it may hold secrets.
    pub fn environments(&self) -> PathBuf {
        self.data.join("environment.json")
    }

    /// What was taken over from other healers; it may hold secrets.
    pub fn taken(&self) -> PathBuf {
        self.data.join("taken.json")
    }

    /// Jobs of launchd that were stopped for a person, with what they are started from.
    pub fn stopped_jobs(&self) -> PathBuf {
        self.data.join("jobs.json")
    }

    /// The copy of the last configuration without a mistake.
    pub fn good_config(&self) -> PathBuf {
        self.data.join("config.good.toml")
    }

    /// A directory.
    pub fn logs(&self) -> PathBuf {
        self.data.join("logs")
    }

    /// A directory: what containers are started with for a while, beside their own compose files.
    pub fn light(&self) -> PathBuf {
        self.data.join("light")
    }

    pub fn lock(&self) -> PathBuf {
        self.data.join("lock")
    }
}

/// Held until it is dropped, or the process ends in whatever way. Not inherited by processes that
/// we start and that outlive us: the file is closed when they begin.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "Homeostat is running already with this data directory{}; quit it, or give another one with --data",
        .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Held { pid: Option<u32> },
    #[error("the lock file {} can't be used: {reason}", .file.display())]
    Unusable { file: PathBuf, reason: io::Error },
}

impl Lock {
    /// Takes the lock at once or not at all.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let unusable = |reason| LockError::Unusable { file: path.to_owned(), reason };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held { pid: holder(&file) }),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        // The number is for messages only: on a full disk the lock holds without it.
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        if let Err(error) = written {
            tracing::warn!(%error, "the process number could not be written into the lock file");
        }
        Ok(Self { file })
    }
}

/// Unlocked by hand: a child that is just being started still holds a copy of the file until it
/// becomes its own program, and closing ours alone would leave the lock with it (flock(2)).
impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "the data directory is unlocked by our end instead");
        }
    }
}

fn holder(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
