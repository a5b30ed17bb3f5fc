//! All partitions this broker leads: opened on first use, recovered after an unclean stop, deleted with their topic.
//!
//! A partition nobody has used costs nothing here: no task, no timer, no open file, no entry.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use chronik_config::{BrokerConfig, Settings, TopicConfig};
use chronik_env::Env;
use chronik_env::block::BlockPool;
use chronik_metadata::{Image, Topic};
use chronik_protocol::batch::BatchHeader;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::types::{LeaderEpoch, Offset, PartitionId, TopicId, TopicName};
use chronik_quorum::ControllerHandle;
use chronik_replication::Leader;
use chronik_storage::checkpoint::{self, CheckpointError};
use chronik_storage::{Checkpointed, Files, Log, LogOptions, LogReader, OpenError, ReadError, Recovery};
use parking_lot::{Mutex, RwLock};
use tracing::{error, info, warn};

use crate::data_dir::DataDir;
use crate::ids;
use crate::partition::{Offsets, Partition, PartitionKey};
use crate::topics::Found;

/// The name of a directory that waits to be removed starts with this.
const DELETED: &str = "deleted-";

type OffsetsByPartition = BTreeMap<(String, i32), i64>;

/// The directory-wide checkpoint files, as last written and since raised.
#[derive(Default)]
struct Checkpoints {
    recovery_point: OffsetsByPartition,
    log_start: OffsetsByPartition,
}

pub(crate) struct Partitions {
    env: Env,
    dir: Arc<DataDir>,
    files: Files,
    node_id: i32,
    producer_id_expiration_ms: i64,
    settings: Arc<Settings>,
    controller: ControllerHandle,
    open: RwLock<HashMap<PartitionKey, Arc<Partition>, foldhash::fast::FixedState>>,
    /// Held while a log is opened, so that none is opened twice. True once no more are opened: the broker stops.
    opening: Mutex<bool>,
    checkpoints: Mutex<Checkpoints>,
}

/// A partition that can be read: one of a topic, or the metadata log.
pub(crate) enum Readable {
    Data(Arc<Partition>),
    Meta(MetaPartition),
}

/// The metadata log seen as partition 0 of the topic `__meta`.
pub(crate) struct MetaPartition {
    reader: LogReader,
    offsets: Offsets,
}

impl Partitions {
    pub(crate) fn new(
        env: Env,
        dir: Arc<DataDir>,
        config: &BrokerConfig,
        settings: Arc<Settings>,
        controller: ControllerHandle,
        pool: BlockPool,
    ) -> Result<Self, CheckpointError> {
        let read = |name| checkpoint::read_offsets(&**dir.disk(), &dir.path().join(name));
        let checkpoints = Checkpoints { recovery_point: read(checkpoint::RECOVERY_POINT)?, log_start: read(checkpoint::LOG_START)? };
        let files = Files::new(env.disk.clone(), pool);
        Ok(Partitions {
            env,
            files,
            dir,
            node_id: config.node_id,
            producer_id_expiration_ms: config.producer_id_expiration_ms,
            settings,
            controller,
            open: RwLock::default(),
            opening: Mutex::new(false),
            checkpoints: Mutex::new(checkpoints),
        })
    }

    /// The partition, if this broker leads it.
    pub(crate) fn leader(&self, image: &Image, topic: &Topic, index: PartitionId) -> Result<Arc<Partition>, ErrorCode> {
        let key = PartitionKey { topic_id: topic.id, index };
        if let Some(partition) = self.open.read().get(&key) {
            return Ok(partition.clone());
        }
        let known = topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if known.leader != self.node_id {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let closed = self.opening.lock();
        if let Some(partition) = self.open.read().get(&key) {
            return Ok(partition.clone());
        }
        if *closed {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let name = TopicName::new(topic.name()).map_err(|_| ErrorCode::InvalidTopicException)?;
        let (partition, recovery) = self.open_log(image, key, &name, known).map_err(|e| {
            error!(topic = %name, partition = index, "cannot open the log: {e}");
            ErrorCode::KafkaStorageError
        })?;
        report(&name, index, &recovery);
        let partition = Arc::new(partition);
        self.open.write().insert(key, partition.clone());
        Ok(partition)
    }

    /// The partition, whether of a topic or of the metadata log.
    pub(crate) fn readable(&self, image: &Image, found: &Found<'_>, index: PartitionId) -> Result<Readable, ErrorCode> {
        match found {
            Found::Topic(topic) => self.leader(image, topic, index).map(Readable::Data),
            Found::Meta if index == 0 => {
                let log_end = image.offset() + 1;
                let log_start = self.controller.reader().log_start_offset();
                let offsets = Offsets { high_watermark: log_end, log_start, log_end, leader_epoch: image.epoch() };
                Ok(Readable::Meta(MetaPartition { reader: self.controller.reader(), offsets }))
            }
            Found::Meta => Err(ErrorCode::UnknownTopicOrPartition),
        }
    }

    fn path_of(&self, topic: &str, index: PartitionId) -> PathBuf {
        self.dir.path().join(format!("{topic}-{index}"))
    }

    fn open_log(
        &self,
        image: &Image,
        key: PartitionKey,
        topic: &TopicName,
        known: &chronik_metadata::Partition,
    ) -> Result<(Partition, Recovery), OpenError> {
        let config = Arc::new(self.topic_config(image, topic.as_str()));
        let checkpointed = {
            let checkpoints = self.checkpoints.lock();
            let name = (topic.as_str().to_owned(), key.index);
            let of = |offsets: &OffsetsByPartition| offsets.get(&name).copied().unwrap_or(0);
            Checkpointed {
                log_start_offset: of(&checkpoints.log_start).max(known.log_start_offset),
                recovery_point: of(&checkpoints.recovery_point),
            }
        };
        let start = self.dir.last_stop();
        let path = self.path_of(topic.as_str(), key.index);
        let now_ms = self.env.clock.wall_ms();
        let open = |known| Log::open_in(&self.files, path.clone(), key.topic_id, self.options(&config), known, start, now_ms);
        let (log, recovery) = match open(checkpointed) {
            Err(OpenError::OtherTopic { found, .. }) => {
                // A deleted namesake whose directory was not yet removed; its checkpoints are not ours either.
                warn!(topic = %topic, partition = key.index, stale_topic_id = %ids::to_base64(found), "removing what a deleted topic of this name left");
                self.remove_directory(topic.as_str(), key.index, found);
                self.forget_checkpoints(topic.as_str(), key.index);
                open(Checkpointed { log_start_offset: known.log_start_offset, recovery_point: 0 })?
            }
            other => other?,
        };
        let end = log.log_end_offset();
        let leader = Leader::new(self.node_id, known.leader_epoch, known.replicas(), known.isr(), log.log_start_offset().min(end), end, now_ms);
        Ok((Partition::new(key, topic.clone(), self.dir.clone(), log, leader, config), recovery))
    }

    fn topic_config(&self, image: &Image, topic: &str) -> TopicConfig {
        TopicConfig::resolve(&self.settings, image.topic_configs(topic).iter().map(|(k, v)| (k.as_str(), v.as_str())))
    }

    fn options(&self, config: &TopicConfig) -> LogOptions {
        LogOptions {
            segment_bytes: config.segment_bytes,
            segment_ms: config.segment_ms,
            segment_index_bytes: config.segment_index_bytes,
            index_interval_bytes: config.index_interval_bytes,
            retention_ms: config.retention_ms,
            retention_bytes: config.retention_bytes,
            delete: config.cleanup_policy.delete,
            producer_id_expiration_ms: self.producer_id_expiration_ms,
        }
    }

    /// A topic was deleted: its partitions refuse everything, its files go.
    pub(crate) fn topic_deleted(self: &Arc<Self>, topic_id: TopicId, name: &str, partitions: usize) {
        for index in 0..partitions as PartitionId {
            let key = PartitionKey { topic_id, index };
            let open = {
                let _opening = self.opening.lock();
                self.open.write().remove(&key)
            };
            if let Some(partition) = open {
                partition.delete();
            }
            self.forget_checkpoints(name, index);
            self.remove_directory(name, index, topic_id);
        }
    }

    fn forget_checkpoints(&self, topic: &str, index: PartitionId) {
        let name = (topic.to_owned(), index);
        let mut checkpoints = self.checkpoints.lock();
        checkpoints.recovery_point.remove(&name);
        checkpoints.log_start.remove(&name);
    }

    /// Moves a directory out of the way at once and removes it soon.
    fn remove_directory(&self, topic: &str, index: PartitionId, topic_id: TopicId) {
        let from = self.path_of(topic, index);
        let to = self.dir.path().join(format!("{DELETED}{}-{index}", ids::to_base64(topic_id)));
        match self.dir.disk().rename(&from, &to) {
            Ok(()) => self.remove_later(to),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => error!(dir = %from.display(), "cannot remove the directory of a deleted topic: {e}"),
        }
    }

    fn remove_later(&self, path: PathBuf) {
        let disk = self.dir.disk().clone();
        self.env.tasks.run_blocking(Box::new(move || {
            if let Err(e) = disk.remove_dir_all(&path)
                && e.kind() != std::io::ErrorKind::NotFound
            {
                error!(dir = %path.display(), "cannot remove: {e}");
            }
        }));
    }

    /// At a start: removes what deleted topics left, and returns the partitions that have files.
    fn sweep(&self, image: &Image) -> std::io::Result<Vec<(TopicName, PartitionId)>> {
        let mut found = Vec::new();
        for name in self.dir.disk().names(self.dir.path())? {
            if name.starts_with(DELETED) {
                self.remove_later(self.dir.path().join(name));
                continue;
            }
            let Some((topic, index)) = split_name(&name) else { continue };
            match image.topic(topic.as_str()) {
                Some(known) if known.partition(index).is_some() => found.push((topic, index)),
                _ if topic.as_str() == crate::topics::META => {}
                _ => {
                    // The metadata, which is always durable first, knows no such partition: its topic was deleted.
                    info!(dir = %name, "removing the directory of a deleted topic");
                    self.remove_directory(topic.as_str(), index, TopicId::from_u128(u128::from(self.env.random.next_u64())));
                }
            }
        }
        Ok(found)
    }

    /// Before anything is served: tidies the directory and, after an unclean stop, recovers every log in it.
    pub(crate) fn recover(&self, image: &Image) -> std::io::Result<()> {
        let found = self.sweep(image)?;
        if self.dir.was_clean() {
            return Ok(());
        }
        let began = self.env.clock.monotonic_ms();
        for (name, index) in &found {
            let Some(topic) = image.topic(name.as_str()) else { continue };
            // A log that cannot be opened was reported; its partition answers errors and the others are served.
            if let Ok(partition) = self.leader(image, topic, *index) {
                self.let_go(&partition);
            }
        }
        info!(partitions = found.len(), took_ms = self.env.clock.monotonic_ms() - began, "recovered after an unclean stop");
        Ok(())
    }

    /// Forgets an open partition that nobody uses. What it has is durable, which the next checkpoint says.
    fn let_go(&self, partition: &Arc<Partition>) {
        let _opening = self.opening.lock();
        let mut open = self.open.write();
        // The map's and the caller's.
        if Arc::strong_count(partition) > 2 || !partition.close() {
            return;
        }
        self.note(partition);
        open.remove(&partition.key);
    }

    fn note(&self, partition: &Partition) {
        let name = (partition.topic.as_str().to_owned(), partition.key.index);
        let mut checkpoints = self.checkpoints.lock();
        checkpoints.recovery_point.insert(name.clone(), partition.synced_offset());
        checkpoints.log_start.insert(name, partition.offsets().log_start);
    }

    fn all_open(&self) -> Vec<Arc<Partition>> {
        let mut all: Vec<_> = self.open.read().values().cloned().collect();
        all.sort_by_key(|p| p.key);
        all
    }

    /// How many partitions are open.
    pub(crate) fn open_count(&self) -> usize {
        self.open.read().len()
    }

    /// Bytes of the logs of open partitions.
    pub(crate) fn open_bytes(&self) -> u64 {
        self.all_open().iter().map(|p| p.size_bytes()).sum()
    }

    /// Makes everything appended durable and writes down how far that is, so that a crash has little to scan.
    pub(crate) fn checkpoint(&self) {
        for partition in self.all_open() {
            if partition.flush() {
                self.note(&partition);
            }
        }
        self.write_checkpoints();
    }

    fn write_checkpoints(&self) {
        if self.dir.has_failed() {
            return;
        }
        let checkpoints = self.checkpoints.lock();
        let write = |name, offsets| checkpoint::write_offsets(&**self.dir.disk(), &self.dir.path().join(name), offsets);
        if let Err(e) = write(checkpoint::RECOVERY_POINT, &checkpoints.recovery_point).and_then(|()| write(checkpoint::LOG_START, &checkpoints.log_start)) {
            warn!("cannot write the checkpoints: {e}");
        }
    }

    /// Applies retention to every partition with files, opening for a moment those that are closed.
    pub(crate) fn apply_retention(&self, image: &Image) {
        let names = match self.dir.disk().names(self.dir.path()) {
            Ok(names) => names,
            Err(e) => return warn!("cannot list the data directory: {e}"),
        };
        for (name, index) in names.iter().filter_map(|name| split_name(name)) {
            let Some(topic) = image.topic(name.as_str()) else { continue };
            let key = PartitionKey { topic_id: topic.id, index };
            let was_open = self.open.read().contains_key(&key);
            let Ok(partition) = self.leader(image, topic, index) else { continue };
            let freed = partition.apply_retention(self.env.clock.wall_ms());
            if freed > 0 {
                info!(topic = %name, partition = index, freed_bytes = freed, log_start = partition.offsets().log_start, "removed expired segments");
            }
            if !was_open {
                self.let_go(&partition);
            }
        }
        self.dir.check_space();
    }

    /// Closes every log. Whether everything is durable, so that the stop was clean.
    pub(crate) fn close(&self) -> bool {
        *self.opening.lock() = true;
        let mut clean = true;
        for partition in self.all_open() {
            clean &= partition.close();
            self.note(&partition);
        }
        self.write_checkpoints();
        clean && !self.dir.has_failed()
    }
}

/// `<topic>-<partition>`; `None` for any other name.
fn split_name(name: &str) -> Option<(TopicName, PartitionId)> {
    let (topic, index) = name.rsplit_once('-')?;
    let plain = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()) && (index == "0" || !index.starts_with('0'));
    Some((TopicName::new(topic).ok()?, index.parse().ok().filter(|_| plain)?))
}

fn report(topic: &TopicName, partition: PartitionId, recovery: &Recovery) {
    if recovery.truncated_bytes > 0 {
        warn!(topic = %topic, partition, bytes = recovery.truncated_bytes, offset = ?recovery.truncated_at, kept = ?recovery.cut_files, "cut off a torn tail");
    }
    for range in &recovery.damaged {
        error!(
            topic = %topic, partition, segment = range.segment, from_offset = range.from_offset, to_offset = range.to_offset,
            from_position = range.from_position, to_position = range.to_position, "damaged records: they are not served, the rest is"
        );
    }
}

impl Readable {
    pub(crate) fn offsets(&self) -> Offsets {
        match self {
            Readable::Data(partition) => partition.offsets(),
            Readable::Meta(meta) => meta.offsets,
        }
    }

    pub(crate) fn reader(&self) -> &LogReader {
        match self {
            Readable::Data(partition) => partition.reader(),
            Readable::Meta(meta) => &meta.reader,
        }
    }

    pub(crate) fn read(&self, from: Offset, max_bytes: usize, at_least_one: bool, offsets: &Offsets) -> Result<Bytes, ReadError> {
        self.reader().read(from, max_bytes, at_least_one, offsets.high_watermark)
    }

    /// KIP-320: a client that knows an older epoch is fenced, one that knows a newer epoch has to wait; -1 asks for no check.
    pub(crate) fn check_epoch(&self, known: LeaderEpoch) -> Result<(), ErrorCode> {
        let current = self.offsets().leader_epoch;
        match known {
            known if known < 0 || known == current => Ok(()),
            known if known < current => Err(ErrorCode::FencedLeaderEpoch),
            _ => Err(ErrorCode::UnknownLeaderEpoch),
        }
    }

    /// The largest epoch not above `epoch` and its end offset (KIP-320); (-1, -1) when unknown.
    pub(crate) fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        match self {
            Readable::Data(partition) => partition.end_offset_for_epoch(epoch),
            Readable::Meta(meta) if epoch == meta.offsets.leader_epoch => (epoch, meta.offsets.log_end),
            Readable::Meta(_) => (-1, -1),
        }
    }

    /// The leader epoch under which the record at `offset` was written; -1 when there is none.
    pub(crate) fn epoch_of(&self, offset: Offset) -> LeaderEpoch {
        let batch = self.read(offset, 1, true, &self.offsets()).ok();
        batch.and_then(|batch| BatchHeader::parse(&batch)).map_or(-1, |header| header.partition_leader_epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_names_are_split_at_the_last_dash() {
        let split = |name| split_name(name).map(|(t, i)| (t.as_str().to_owned(), i));
        assert_eq!(split("a-b-3"), Some(("a-b".into(), 3)));
        assert_eq!(split("t-0"), Some(("t".into(), 0)));
        for other in ["t", "t-", "-1", "t-01", "t-x", "t--", "meta.properties", "deleted-abc", "t-99999999999"] {
            assert_eq!(split(other), None, "{other}");
        }
    }
}
