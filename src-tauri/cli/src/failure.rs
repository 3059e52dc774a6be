//! How a command ends.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Fine,
    /// Something is wrong, or what was asked for did not work.
    Wrong,
    Usage,
    NoEngine,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Says which address was tried and how to start it.
    #[error("{0}")]
    NoEngine(String),
    /// The engine's own words.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Usage(String),
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl Failure {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::NoEngine(_) => Exit::NoEngine,
            Self::Refused(_) | Self::Other(_) => Exit::Wrong,
            Self::Usage(_) => Exit::Usage,
        }
    }
}
