//! One error type per operation.

use std::io;
use std::path::{Path, PathBuf};

use chronik_protocol::types::TopicId;

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory belongs to another topic of the same name: one that was deleted, or a copy gone astray.
    #[error("{} belongs to topic id {found}, not {expected}", dir.display())]
    OtherTopic { dir: PathBuf, found: TopicId, expected: TopicId },
    /// Written by a newer release.
    #[error("{}: unknown version {version}", file.display())]
    UnknownVersion { file: PathBuf, version: i64 },
    /// A file that cannot be rebuilt from others makes no sense.
    #[error("{}: {reason}", file.display())]
    Invalid { file: PathBuf, reason: &'static str },
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
}

impl OpenError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> OpenError + '_ {
        |error| OpenError::Io { path: path.to_owned(), error }
    }
}

/// Why a batch was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("a batch of {size} bytes does not fit into a segment of {segment_bytes}")]
    LargerThanSegment { size: u64, segment_bytes: u64 },
    /// Leader epochs never go back within a log (KIP-101).
    #[error("leader epoch {epoch} is older than {latest}, the newest in the log")]
    StaleLeaderEpoch { epoch: i32, latest: i32 },
    /// The disk is full, or no more files can be opened. Nothing was appended; the log goes on once there is room.
    #[error("{0}")]
    NoRoom(io::Error),
    /// An earlier write or sync failed: what the disk holds past the last sync is in doubt until recovery.
    #[error("the log has failed")]
    Failed,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Why the log could not be changed otherwise than by an append: truncation, rolling, retention, closing.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("offset {offset} is below the log start offset {log_start_offset}")]
    BelowLogStart { offset: i64, log_start_offset: i64 },
    /// An earlier write or sync failed.
    #[error("the log has failed")]
    Failed,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Below the log start offset or past the log end offset.
    #[error("offset {offset} is outside [{log_start_offset}, {log_end_offset}]")]
    OutOfRange { offset: i64, log_start_offset: i64, log_end_offset: i64 },
    /// The bytes that held the offset are damaged; offsets after them may still be served.
    #[error("{} is damaged at byte {position}", file.display())]
    Damaged { file: PathBuf, position: u64 },
    /// The log went with its topic; its directory may be another log's by now.
    #[error("the log was removed")]
    Removed,
    #[error(transparent)]
    Io(#[from] io::Error),
}
