//! What a metadata log promises, whatever stands behind it.

use std::sync::Arc;

use chronik_env::net::BoxFuture;
use chronik_metadata::{Image, Record};
use chronik_protocol::types::{BrokerId, LeaderEpoch, Offset};
use chronik_storage::LogReader;
use tokio::sync::watch;

/// Records to be appended as one atomic batch, and what they were decided upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The controller epoch under which the records were decided.
    pub epoch: LeaderEpoch,
    /// The offset that the first record must get: one past the last record of the image they were decided upon.
    pub base_offset: Offset,
    /// Not empty.
    pub records: Vec<Record>,
}

/// A batch that is durable and in the published image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Of the batch's last record.
    pub offset: Offset,
    pub epoch: LeaderEpoch,
}

/// Why a proposal did not commit, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Certainly not appended.
    #[error("this node is not the controller under epoch {epoch}")]
    NotController { epoch: LeaderEpoch },
    /// Certainly not appended: decided upon records that are not in the log.
    #[error("the batch was decided for offset {base_offset}, but the log goes on at {log_end_offset}")]
    Stale { base_offset: Offset, log_end_offset: Offset },
    /// Certainly not appended.
    #[error("a metadata batch of {bytes} bytes is larger than the log takes")]
    TooLarge { bytes: usize },
    /// Certainly not appended; may be tried again.
    #[error("too many metadata batches are waiting")]
    Busy,
    /// Certainly not appended; may be tried again once there is room on the disk, or a file less open.
    #[error("the metadata log finds no room: {reason}")]
    NoRoom { reason: String },
    /// Written, but never known to be durable: it may be there after a restart.
    #[error("the outcome of the metadata batch is not known")]
    OutcomeUnknown,
    /// Certainly not appended: the log takes nothing more.
    #[error("the metadata log has failed: {reason}")]
    Failed { reason: String },
    /// Certainly not appended: the log was closed.
    #[error("the metadata log is closed")]
    Closed,
}

/// Why an image cannot be called current.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BarrierError {
    #[error("no controller is known")]
    NoController,
}

/// Why the voters or the controller stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VotersError {
    /// A standalone node is its own and only voter.
    #[error("the metadata log of a standalone node has one voter, the node itself")]
    OneVoter,
}

/// Who leads the metadata log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// `None` while there is none.
    pub controller: Option<BrokerId>,
    pub epoch: LeaderEpoch,
}

/// A member of the metadata quorum. An emptied disk is another voter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Voter {
    pub node_id: BrokerId,
    pub directory_id: uuid::Uuid,
}

/// An ordered, durable log of metadata batches and the image they add up to.
///
/// - Batches get the order in which [`MetadataLog::propose`] was called; a batch is in the log whole or not at all.
/// - A batch is published in [`MetadataLog::image`] after it is durable and before its proposer is answered.
/// - What was once published or acknowledged stays, across restarts.
pub trait MetadataLog: Send + Sync + 'static {
    /// Queues a batch now, when called; the future waits for its outcome.
    fn propose(&self, proposal: Proposal) -> BoxFuture<'static, Result<Committed, ProposeError>>;

    /// Waits until the image holds all that was acknowledged anywhere before the call (read index). Returns the offset
    /// of the last record known to be so.
    fn read_barrier(&self) -> BoxFuture<'static, Result<Offset, BarrierError>>;

    /// The committed image. Neither locks nor waits.
    fn image(&self) -> Arc<Image>;

    /// The committed image as it changes.
    fn subscribe(&self) -> watch::Receiver<Arc<Image>>;

    fn leader(&self) -> Leader;

    /// Replaces the set of voters.
    fn change_voters(&self, voters: Vec<Voter>) -> BoxFuture<'static, Result<(), VotersError>>;

    /// Hands the leadership to another voter.
    fn transfer(&self, to: BrokerId) -> BoxFuture<'static, Result<(), VotersError>>;

    /// The log's bytes, to be served as the read-only topic `__meta`; read below one past the image's offset.
    fn reader(&self) -> LogReader;

    /// Whether a write or a sync failed: nothing more is committed, and what the log holds past its last commit is in doubt.
    fn has_failed(&self) -> bool;

    /// Finishes what was proposed and closes the log; later proposals are refused.
    fn close(&self) -> BoxFuture<'static, ()>;
}
