//! All partitions this broker leads: opened on first use, recovered after an unclean stop, deleted with their topic.
//!
//! A partition nobody has used costs nothing here: no task, no timer, no open file, no entry.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use chronik_config::{BrokerConfig, FlushMode, Settings, TopicConfig};
use chronik_env::Env;
use chronik_env::block::BlockPool;
use chronik_metadata::{Image, Topic};
use chronik_protocol::error::ErrorCode;
use chronik_protocol::types::{PartitionId, TopicId, TopicName};
use chronik_quorum::ControllerHandle;
use chronik_replication::Leader;
use chronik_storage::partition_metadata::encode_id;
use chronik_storage::{Files, Log, LogOptions, OpenError, Recovery};
use parking_lot::{Mutex, RwLock};
use tracing::{error, info, warn};

use crate::checkpoints::Checkpoints;
use crate::data_dir::DataDir;
use crate::directories::Directories;
use crate::partition::{Offsets, Partition, PartitionKey};
use crate::readable::{MetaPartition, Readable};
use crate::topics::{Found, META};

pub(crate) struct Partitions {
    env: Env,
    dir: Arc<DataDir>,
    directories: Directories,
    checkpoints: Arc<Checkpoints>,
    files: Files,
    node_id: i32,
    producer_id_expiration_ms: i64,
    settings: Arc<Settings>,
    controller: ControllerHandle,
    open: RwLock<HashMap<PartitionKey, Arc<Partition>, foldhash::fast::FixedState>>,
    /// Held while a log is opened or a directory changes hands. True once no more are opened: the broker stops.
    opening: Mutex<bool>,
}

impl Partitions {
    pub(crate) fn new(
        env: Env,
        dir: Arc<DataDir>,
        checkpoints: Arc<Checkpoints>,
        config: &BrokerConfig,
        settings: Arc<Settings>,
        controller: ControllerHandle,
        pool: BlockPool,
    ) -> Self {
        Partitions {
            files: Files::new(env.disk.clone(), pool),
            directories: Directories::new(env.clone(), dir.clone()),
            env,
            dir,
            checkpoints,
            node_id: config.node_id,
            producer_id_expiration_ms: config.producer_id_expiration_ms,
            settings,
            controller,
            open: RwLock::default(),
            opening: Mutex::new(false),
        }
    }

    /// The partition, if this broker leads it.
    pub(crate) fn leader(&self, topic: &Topic, index: PartitionId) -> Result<Arc<Partition>, ErrorCode> {
        let key = PartitionKey { topic_id: topic.id, index };
        if let Some(partition) = self.open.read().get(&key) {
            return Ok(partition.clone());
        }
        let closed = self.opening.lock();
        if let Some(partition) = self.open.read().get(&key) {
            return Ok(partition.clone());
        }
        if *closed {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        // The caller's look at the metadata may be old: a deleted topic must not be opened again.
        let image = self.controller.image();
        let topic = image.topic_by_id(key.topic_id).ok_or(ErrorCode::UnknownTopicId)?;
        let known = topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if known.leader != self.node_id {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let name = TopicName::new(topic.name()).map_err(|_| ErrorCode::InvalidTopicException)?;
        let (partition, recovery) = self.open_log(&image, key, &name, known).map_err(|e| {
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
            Found::Topic(topic) => self.leader(topic, index).map(Readable::Data),
            Found::Meta if index == 0 => {
                let log_end = image.offset() + 1;
                let reader = self.controller.reader();
                let offsets = Offsets {
                    high_watermark: log_end,
                    log_start: reader.log_start_offset(),
                    log_end,
                    leader_epoch: image.epoch(),
                };
                Ok(Readable::Meta(MetaPartition { reader, offsets }))
            }
            Found::Meta => Err(ErrorCode::UnknownTopicOrPartition),
        }
    }

    /// Opens a log. The caller holds `opening`.
    fn open_log(
        &self,
        image: &Image,
        key: PartitionKey,
        topic: &TopicName,
        known: &chronik_metadata::Partition,
    ) -> Result<(Partition, Recovery), OpenError> {
        let config = Arc::new(self.topic_config(image, topic.as_str()));
        let now_ms = self.env.clock.wall_ms();
        let path = self.directories.path_of(topic.as_str(), key.index);
        let open = || {
            let mut checkpointed = self.checkpoints.get(topic.as_str(), key.index);
            checkpointed.log_start_offset = checkpointed.log_start_offset.max(known.log_start_offset);
            let options = self.options(&config);
            Log::open_in(&self.files, path.clone(), key.topic_id, options, checkpointed, self.dir.last_stop(), now_ms)
        };
        let (mut log, recovery) = match open() {
            Err(OpenError::OtherTopic { found, .. }) if image.topic_by_id(found).is_none() => {
                // A deleted namesake whose turn to be removed has not come.
                self.remove_partition(topic.as_str(), key.index, found)
                    .map_err(|error| OpenError::Io { path: path.clone(), error })?;
                open()?
            }
            other => other?,
        };
        log.assign_epoch(known.leader_epoch);
        let end = log.log_end_offset();
        let start = log.log_start_offset().min(end);
        let leader = Leader::new(self.node_id, known.leader_epoch, known.replicas(), known.isr(), start, end, now_ms);
        Ok((
            Partition::new(key, topic.clone(), self.dir.clone(), log, leader, known.replicas().len(), config),
            recovery,
        ))
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

    /// A topic is gone from the metadata: its partitions refuse everything, its files go. Blocks.
    pub(crate) fn topic_deleted(&self, topic_id: TopicId, name: &str, partitions: PartitionId) {
        for index in 0..partitions {
            let _opening = self.opening.lock();
            let stamped = self.directories.stamp(name, index) == Some(topic_id);
            let is_open = self.open.read().contains_key(&PartitionKey { topic_id, index });
            if (stamped || is_open)
                && let Err(e) = self.remove_partition(name, index, topic_id)
            {
                error!(
                    topic = name,
                    partition = index,
                    "cannot remove the partition of a deleted topic; the next start tries again: {e}"
                );
            }
        }
    }

    /// Takes a deleted topic's partition out of service, out of the checkpoints and off the disk, in this order. The caller holds
    /// `opening` and knows that the directory, if there is one, is that topic's.
    fn remove_partition(&self, topic: &str, index: PartitionId, topic_id: TopicId) -> io::Result<()> {
        if let Some(open) = self.open.write().remove(&PartitionKey { topic_id, index }) {
            open.delete();
        }
        if self.checkpoints.forget(topic, index) {
            self.checkpoints.write()?;
        }
        self.directories.remove(topic, index, topic_id);
        Ok(())
    }

    /// At a start: removes what deleted topics left, and returns the partitions that have files.
    fn sweep(&self, image: &Image) -> io::Result<Vec<(TopicName, PartitionId)>> {
        self.directories.finish_removals()?;
        let mut found = Vec::new();
        for (topic, index) in self.directories.names()? {
            if image.topic(topic.as_str()).is_some_and(|known| known.partition(index).is_some()) {
                found.push((topic, index));
                continue;
            }
            match self.directories.stamp(topic.as_str(), index) {
                // The metadata, which is always durable first, knows no such topic: it was deleted.
                Some(id) if image.topic_by_id(id).is_none() => {
                    info!(topic = %topic, partition = index, topic_id = %encode_id(id), "removing what a deleted topic left");
                    let _opening = self.opening.lock();
                    self.remove_partition(topic.as_str(), index, id)?;
                }
                _ => {
                    warn!(directory = %self.directories.path_of(topic.as_str(), index).display(), "belongs to no topic; left alone")
                }
            }
        }
        Ok(found)
    }

    /// Before anything is served: tidies the directory and, after an unclean stop, recovers every log in it. Returns the partitions
    /// that may have lost records which clients have seen: those that did not wait for the disk. Blocks.
    pub(crate) fn recover(&self, image: &Image) -> io::Result<Vec<PartitionKey>> {
        let found = self.sweep(image)?;
        if self.dir.was_clean() {
            return Ok(Vec::new());
        }
        let began = self.env.clock.monotonic_ms();
        for (name, index) in &found {
            let Some(topic) = image.topic(name.as_str()) else { continue };
            // A log that cannot be opened was reported; its partition answers errors and the others are served.
            if let Ok(partition) = self.leader(topic, *index) {
                self.let_go(partition);
            }
        }
        if !found.is_empty() {
            self.checkpoints.write()?;
        }
        info!(
            partitions = found.len(),
            took_ms = self.env.clock.monotonic_ms() - began,
            "recovered after an unclean stop"
        );
        Ok(self.in_doubt(image))
    }

    /// The partitions of topics that do not wait for the disk, with files or without: a power cut may have taken those as well.
    fn in_doubt(&self, image: &Image) -> Vec<PartitionKey> {
        let doubtful = |topic: &&Topic| self.topic_config(image, topic.name()).flush_mode == FlushMode::Async;
        let keys = |topic: &Topic| {
            let topic_id = topic.id;
            (0..topic.partitions().len() as PartitionId).map(move |index| PartitionKey { topic_id, index })
        };
        image.topics().filter(doubtful).flat_map(keys).collect()
    }

    /// Closes an open partition that nobody else uses. Blocks.
    fn let_go(&self, partition: Arc<Partition>) {
        let _opening = self.opening.lock();
        {
            let mut open = self.open.write();
            // The map's and ours. Whoever else wants it now must take `opening` first.
            if Arc::strong_count(&partition) > 2 || partition.has_waiters() {
                return;
            }
            open.remove(&partition.key);
        }
        if partition.close() {
            self.note(&partition);
        }
    }

    fn note(&self, partition: &Partition) {
        if partition.has_files() {
            let log_start = partition.offsets().log_start;
            self.checkpoints.note(partition.topic.as_str(), partition.key.index, partition.synced_offset(), log_start);
        }
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

    /// Makes everything appended durable and writes down how far that is, so that a crash has little to scan. Blocks.
    pub(crate) fn checkpoint(&self) {
        for partition in self.all_open() {
            partition.flush();
            // Not of a partition that was deleted meanwhile: its name may be another topic's.
            let _opening = self.opening.lock();
            if self.open.read().get(&partition.key).is_some_and(|open| Arc::ptr_eq(open, &partition)) {
                self.note(&partition);
            }
        }
        self.checkpoints.note(META, 0, self.controller.end_offset(), self.controller.reader().log_start_offset());
        self.write_checkpoints();
    }

    fn write_checkpoints(&self) {
        if !self.dir.has_failed()
            && let Err(e) = self.checkpoints.write()
        {
            warn!("cannot write the checkpoints: {e}");
        }
    }

    /// Applies retention to every partition with files, opening for a moment those that are closed. Blocks.
    pub(crate) fn apply_retention(&self, image: &Image) {
        let names = match self.directories.names() {
            Ok(names) => names,
            Err(e) => return warn!(directory = %self.directories.root().display(), "cannot list: {e}"),
        };
        for (name, index) in names {
            let Some(topic) = image.topic(name.as_str()) else { continue };
            let was_open = self.open.read().contains_key(&PartitionKey { topic_id: topic.id, index });
            let Ok(partition) = self.leader(topic, index) else { continue };
            let freed = partition.apply_retention(self.env.clock.wall_ms());
            if freed > 0 {
                info!(topic = %name, partition = index, freed_bytes = freed, log_start = partition.offsets().log_start, "removed expired segments");
            }
            if !was_open {
                self.let_go(partition);
            }
        }
    }

    /// Closes every log. Whether everything is durable, so that the stop was clean. Blocks.
    pub(crate) fn close(&self) -> bool {
        *self.opening.lock() = true;
        let mut clean = true;
        for partition in self.all_open() {
            clean &= partition.close();
            self.note(&partition);
        }
        clean
            && !self.dir.has_failed()
            && self.checkpoints.write().inspect_err(|e| error!("cannot write the checkpoints: {e}")).is_ok()
    }
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
