//! Why a command ends with other than 0.

use std::io;

use chronik_client::ClientError;

/// The one line that tells it goes to standard error.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The arguments make no sense: exit 2.
    #[error("{0}")]
    Usage(String),
    /// Exit 1.
    #[error("{0}")]
    Failed(String),
    /// Items failed and were reported, each with a line of its own: exit 1.
    #[error("{0} failed")]
    Items(usize),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("cannot read or write: {0}")]
    Io(#[from] io::Error),
}

impl Failure {
    pub fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) => 2,
            _ => 1,
        }
    }

    /// Nobody reads any longer, as with `| head`.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Failure::Io(e) if e.kind() == io::ErrorKind::BrokenPipe)
    }
}
