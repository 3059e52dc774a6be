//! The token: whoever can read the file may act.

use std::fmt::{self, Write as _};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq;

/// 32 random bytes as 64 hex digits. Never printed: `Debug` shows no digit of it.
#[derive(Clone)]
pub struct Token(String);

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("there is no token at {0}: it is made when Homeostat starts")]
    Missing(PathBuf),
    #[error("{0} is not a token (expected 64 hex digits): remove it and start Homeostat again")]
    Damaged(PathBuf),
    #[error("the token at {file} cannot be read or written: {source}")]
    Unreachable { file: PathBuf, source: io::Error },
    #[error("the system gives no random bytes: {0}")]
    NoRandomness(String),
}

impl Token {
    /// The token of this file; made anew, mode 0600, where there is none or it is damaged. A mode
    /// that lets others read is repaired.
    pub fn load_or_create(file: &Path) -> Result<Self, TokenError> {
        match Self::load(file) {
            Ok(token) => {
                fs::set_permissions(file, Permissions::from_mode(0o600))
                    .map_err(|source| unreachable_file(file, source))?;
                Ok(token)
            }
            Err(TokenError::Missing(_) | TokenError::Damaged(_)) => Self::create(file),
            Err(error @ (TokenError::Unreachable { .. } | TokenError::NoRandomness(_))) => {
                Err(error)
            }
        }
    }

    /// The token of this file, as the command line reads it.
    pub fn load(file: &Path) -> Result<Self, TokenError> {
        let mut text = String::new();
        let read = File::open(file).and_then(|open| open.take(1024).read_to_string(&mut text));
        match read {
            Ok(_) => Self::parse(text.trim()).ok_or_else(|| TokenError::Damaged(file.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(TokenError::Missing(file.into()))
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(TokenError::Damaged(file.into()))
            }
            Err(source) => Err(unreachable_file(file, source)),
        }
    }

    /// For the `Authorization` header of our own clients; nothing else may show it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `offered` is this token; how long the comparison takes tells nothing of where they differ.
    pub fn is(&self, offered: &str) -> bool {
        self.0.as_bytes().ct_eq(offered.as_bytes()).into()
    }

    fn parse(text: &str) -> Option<Self> {
        let hex = text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        hex.then(|| Self(text.into()))
    }

    /// Written beside and moved into place, so that nobody ever reads half a token.
    fn create(file: &Path) -> Result<Self, TokenError> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|error| TokenError::NoRandomness(error.to_string()))?;
        let mut text = String::with_capacity(64);
        for byte in bytes {
            // Writing into a text cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        write_private(file, text.as_bytes()).map_err(|source| unreachable_file(file, source))?;
        Ok(Self(text))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Replaces a file in one step, readable by its owner only.
pub(crate) fn write_private(file: &Path, content: &[u8]) -> io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    // What an earlier process of the same id left behind would keep `create_new` from working.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    open.write_all(content)?;
    open.sync_all()?;
    fs::rename(&beside, file)
}

fn unreachable_file(file: &Path, source: io::Error) -> TokenError {
    TokenError::Unreachable { file: file.into(), source }
}
