//! The metadata log of a standalone node: one partition log on the local disk, in `<data>/__meta-0/`.
//!
//! A metadata batch is one record batch, its leader epoch the controller epoch, which rises at each start. Everything
//! is synced before it is acknowledged; what arrives during a sync shares the next one. Snapshots are written beside
//! the log from an immutable image while the log goes on, and then the log before them is removed.

mod batch;
mod replay;
mod snapshots;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use chronik_env::Env;
use chronik_env::fs::Disk;
use chronik_env::net::BoxFuture;
use chronik_metadata::Image;
use chronik_metadata::snapshot::SnapshotError;
use chronik_protocol::types::{BrokerId, LeaderEpoch, Offset, TopicId};
use chronik_storage::{LogReader, Recovery, Start};
use tokio::sync::{mpsc, oneshot, watch};

use crate::log::{BarrierError, Committed, Leader, MetadataLog, Proposal, ProposeError, Voter, VotersError};
pub use batch::BatchError;
use writer::{Message, Writer};

/// The directory of the metadata log within the data directory.
pub const DIRECTORY: &str = "__meta-0";
/// The topic id of the metadata log: the one that Kafka reserves for its own.
pub const META_TOPIC_ID: TopicId = TopicId::from_u128(1);

/// Settings of the local metadata log.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// This node's `node.id`.
    pub node_id: BrokerId,
    /// How the process stopped last time.
    pub start: Start,
    /// All below this offset was known to be durable when the process last wrote its checkpoints (partition `__meta`-0
    /// of `recovery-point-offset-checkpoint`), 0 when it said nothing: damage below it is never taken for a torn tail.
    pub recovery_point: Offset,
    /// A snapshot is written after so many records …
    pub snapshot_records: u64,
    /// … or after so many bytes of log, whichever comes first.
    pub snapshot_bytes: u64,
    /// A segment of the log holds so many bytes; no metadata batch can be larger.
    pub segment_bytes: u32,
    /// Proposals that may wait for the disk.
    pub queue_limit: usize,
    /// Bytes of records that share one sync, about.
    pub group_bytes: usize,
}

impl LocalOptions {
    /// The settings that a node runs with unless told otherwise.
    pub fn new(node_id: BrokerId, start: Start) -> Self {
        LocalOptions {
            node_id,
            start,
            recovery_point: 0,
            snapshot_records: 100_000,
            snapshot_bytes: 64 << 20,
            segment_bytes: 16 << 20,
            queue_limit: 8192,
            group_bytes: 8 << 20,
        }
    }
}

/// Why the metadata of this node cannot be used. Nothing was changed but a torn tail cut off.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Log(#[from] chronik_storage::OpenError),
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: std::io::Error },
    #[error("{}: the metadata snapshot is damaged or unknown: {error}", file.display())]
    Snapshot { file: PathBuf, error: SnapshotError },
    #[error("{}: the name says that the snapshot ends at offset {named}, epoch {named_epoch}; its header says {found} and {found_epoch}", file.display())]
    SnapshotName { file: PathBuf, named: Offset, named_epoch: LeaderEpoch, found: Offset, found_epoch: LeaderEpoch },
    #[error("{}: the metadata log is damaged at byte {position} (offset {offset})", file.display())]
    Damaged { file: PathBuf, position: u64, offset: Offset },
    #[error("{}: the bytes cut off the metadata log hold batches that were acknowledged; offset {offset} before them is damaged", file.display())]
    AcknowledgedCut { file: PathBuf, offset: Offset },
    #[error("{}: the metadata log cannot be read at offset {offset}: {error}", dir.display())]
    Read { dir: PathBuf, offset: Offset, error: chronik_storage::ReadError },
    #[error("{}: the metadata log holds a batch at offset {offset} that cannot be applied: {error}", file.display())]
    Batch { file: PathBuf, offset: Offset, error: BatchError },
    #[error("{}: the metadata log ends at offset {log_end_offset}, before the end {snapshot_end} of the snapshot", dir.display())]
    LogTooShort { dir: PathBuf, log_end_offset: Offset, snapshot_end: Offset },
    #[error("the blocking threads are gone")]
    Stopped,
}

impl OpenError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> OpenError + '_ {
        |error| OpenError::Io { path: path.to_owned(), error }
    }
}

/// A running local metadata log. See [`MetadataLog`].
pub struct LocalLog {
    shared: Arc<Shared>,
    messages: mpsc::Sender<Message>,
    recovery: Recovery,
}

/// What the writer publishes.
pub(crate) struct Shared {
    node_id: BrokerId,
    epoch: LeaderEpoch,
    image: ArcSwap<Image>,
    images: watch::Sender<Arc<Image>>,
    failed: AtomicBool,
    reader: LogReader,
}

impl LocalLog {
    /// Opens, recovers and replays the log on a blocking thread, and starts its writer on the control plane.
    pub async fn open(env: &Env, data_dir: PathBuf, options: LocalOptions) -> Result<Arc<LocalLog>, OpenError> {
        let (sender, opened) = oneshot::channel();
        let (disk, now_ms, job_options) = (Arc::clone(&env.disk), env.clock.wall_ms(), options.clone());
        env.tasks.run_blocking(Box::new(move || {
            // Nobody waits when the opening was given up.
            let _ = sender.send(replay::open(disk, data_dir.join(DIRECTORY), &job_options, now_ms));
        }));
        let opened = opened.await.map_err(|_| OpenError::Stopped)??;
        let image = Arc::new(opened.image);
        let shared = Arc::new(Shared {
            node_id: options.node_id,
            epoch: opened.epoch,
            image: ArcSwap::new(Arc::clone(&image)),
            images: watch::Sender::new(Arc::clone(&image)),
            failed: AtomicBool::new(false),
            reader: opened.log.reader(),
        });
        let (messages, inbox) = mpsc::channel(options.queue_limit.max(1));
        let writer = Writer::new(env.clone(), opened.dir, options, Arc::clone(&shared), opened.log, opened.tail);
        env.tasks.spawn_control(Box::pin(writer.run(inbox)));
        Ok(Arc::new(LocalLog { shared, messages, recovery: opened.recovery }))
    }

    /// What recovery found and did when the log was opened.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }
}

impl MetadataLog for LocalLog {
    fn propose(&self, proposal: Proposal) -> BoxFuture<'static, Result<Committed, ProposeError>> {
        let (reply, outcome) = oneshot::channel();
        let refused = match self.messages.try_send(Message::Propose { proposal, reply }) {
            Ok(()) => None,
            Err(mpsc::error::TrySendError::Full(_)) => Some(ProposeError::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Some(ProposeError::Closed),
        };
        Box::pin(async move {
            match refused {
                Some(error) => Err(error),
                None => outcome.await.unwrap_or(Err(ProposeError::OutcomeUnknown)),
            }
        })
    }

    /// A node alone acknowledges only what it has published, so its image is current at any time.
    fn read_barrier(&self) -> BoxFuture<'static, Result<Offset, BarrierError>> {
        let offset = self.shared.image.load().offset();
        Box::pin(async move { Ok(offset) })
    }

    fn image(&self) -> Arc<Image> {
        self.shared.image.load_full()
    }

    fn subscribe(&self) -> watch::Receiver<Arc<Image>> {
        self.shared.images.subscribe()
    }

    fn leader(&self) -> Leader {
        Leader { controller: Some(self.shared.node_id), epoch: self.shared.epoch }
    }

    fn change_voters(&self, _voters: Vec<Voter>) -> BoxFuture<'static, Result<(), VotersError>> {
        Box::pin(async { Err(VotersError::OneVoter) })
    }

    /// A node alone leads already.
    fn transfer(&self, to: BrokerId) -> BoxFuture<'static, Result<(), VotersError>> {
        let alone = if to == self.shared.node_id { Ok(()) } else { Err(VotersError::OneVoter) };
        Box::pin(async move { alone })
    }

    fn reader(&self) -> LogReader {
        self.shared.reader.clone()
    }

    fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Acquire)
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        let messages = self.messages.clone();
        Box::pin(async move {
            let (done, closed) = oneshot::channel();
            if messages.send(Message::Close { done }).await.is_ok() {
                // An error means that the writer is gone already.
                let _ = closed.await;
            }
        })
    }
}

/// The disk and the directory of the log.
#[derive(Clone)]
struct Place {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}
