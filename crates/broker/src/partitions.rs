//! All partitions this broker leads: opened on first use, recovered after an unclean stop, deleted with their topic.
//!
//! A partition nobody has used costs nothing here: no task, no timer, no open file, no entry.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chronik_config::TopicConfig;
use chronik_env::Env;
use chronik_env::block::BlockPool;
use chronik_env::fs::is_shortage;
use chronik_metadata::{Image, Topic};
use chronik_protocol::error::ErrorCode;
use chronik_protocol::types::{Offset, PartitionId, TopicId, TopicName};
use chronik_quorum::ControllerHandle;
use chronik_replication::Leader;
use chronik_storage::partition_metadata::encode_id;
use chronik_storage::{DEFAULT_INDEX_BYTES, Files, Log, LogOptions, OpenError, Recovery, Start, unclean};
use parking_lot::{Mutex, RwLock};
use tracing::{error, info, warn};

use crate::checkpoints::Checkpoints;
use crate::data_dir::DataDir;
use crate::directories::Directories;
use crate::live_settings::LiveSettings;
use crate::metrics::LogMetrics;
use crate::partition::{Offsets, Partition, PartitionKey};
use crate::readable::{MetaPartition, Readable};
use crate::topics::{Found, META};

pub(crate) struct Partitions {
    env: Env,
    dir: Arc<DataDir>,
    directories: Directories,
    checkpoints: Arc<Checkpoints>,
    files: Files,
    settings: Arc<LiveSettings>,
    controller: ControllerHandle,
    metrics: Arc<LogMetrics>,
    open: RwLock<HashMap<PartitionKey, Arc<Partition>, foldhash::fast::FixedState>>,
    /// Held while a log is opened or let go, or a directory changes hands. True once no more are opened: the broker
    /// stops.
    opening: Mutex<bool>,
    /// The broker stops: maintenance ends at the next partition.
    stopping: AtomicBool,
    /// Partitions that are not open and which retention has nothing to do with before this time, in milliseconds.
    resting: Mutex<HashMap<PartitionKey, i64, foldhash::fast::FixedState>>,
}

impl Partitions {
    pub(crate) fn new(
        env: Env,
        dir: Arc<DataDir>,
        checkpoints: Arc<Checkpoints>,
        settings: Arc<LiveSettings>,
        controller: ControllerHandle,
        pool: BlockPool,
    ) -> Self {
        Partitions {
            files: Files::with_limits(
                env.disk.clone(),
                pool,
                settings.config().max_open_files as u64,
                DEFAULT_INDEX_BYTES,
            ),
            directories: Directories::new(env.clone(), dir.clone()),
            env,
            dir,
            checkpoints,
            settings,
            controller,
            metrics: Arc::default(),
            open: RwLock::default(),
            opening: Mutex::new(false),
            stopping: AtomicBool::new(false),
            resting: Mutex::default(),
        }
    }

    /// The partition, if this broker leads it.
    pub(crate) fn leader(&self, topic: &Topic, index: PartitionId) -> Result<Arc<Partition>, ErrorCode> {
        let key = PartitionKey { topic_id: topic.id, index };
        if let Some(partition) = self.open.read().get(&key) {
            partition.set_used();
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
        if known.leader != self.settings.config().node_id {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let name = TopicName::new(topic.name()).map_err(|_| ErrorCode::InvalidTopicException)?;
        let (partition, recovery) = self.open_log(&image, key, &name, known).map_err(|e| {
            error!(topic = %name, partition = index, "cannot open the log: {e}");
            ErrorCode::KafkaStorageError
        })?;
        report(&name, index, &recovery);
        let partition = Arc::new(partition);
        self.resting.lock().remove(&key);
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

    /// Opens a log. The caller holds `opening`, or is the only one that knows of the partition yet.
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
        if self.dir.has_failed() && self.dir.unclean().start_of(key) == Start::Unclean {
            // What its recovery would sync may be lost all the same.
            return Err(OpenError::Io { path, error: io::Error::other("the data directory has failed") });
        }
        let open = || {
            let mut checkpointed = self.checkpoints.get(topic.as_str(), key.index);
            checkpointed.log_start_offset = checkpointed.log_start_offset.max(known.log_start_offset);
            let (options, start) = (self.options(&config), self.dir.unclean().start_of(key));
            Log::open_in(&self.files, path.clone(), key.topic_id, options, checkpointed, start, now_ms)
        };
        let (mut log, recovery) = match open() {
            Err(OpenError::OtherTopic { found, .. }) if image.topic_by_id(found).is_none() => {
                // A deleted namesake whose turn to be removed has not come.
                self.remove(topic.as_str(), &[key.index], found)
                    .map_err(|error| OpenError::Io { path: path.clone(), error })?;
                open()?
            }
            other => other?,
        };
        log.assign_epoch(known.leader_epoch);
        let end = log.log_end_offset();
        let start = log.log_start_offset().min(end);
        let leader = Leader::new(
            self.settings.config().node_id,
            known.leader_epoch,
            known.replicas(),
            known.isr(),
            start,
            end,
            now_ms,
        );
        Ok((Partition::new(key, topic.clone(), self.dir.clone(), log, leader, config, self.metrics.clone()), recovery))
    }

    fn topic_config(&self, image: &Image, topic: &str) -> TopicConfig {
        TopicConfig::resolve(
            &self.settings.settings(),
            image.topic_configs(topic).iter().map(|(k, v)| (k.as_str(), v.as_str())),
        )
    }

    fn options(&self, config: &TopicConfig) -> LogOptions {
        LogOptions {
            segment_bytes: config.segment_bytes,
            segment_ms: config.segment_ms,
            segment_jitter_ms: config.segment_jitter_ms,
            segment_index_bytes: config.segment_index_bytes,
            index_interval_bytes: config.index_interval_bytes,
            retention_ms: config.retention_ms,
            retention_bytes: config.retention_bytes,
            delete: config.cleanup_policy.delete,
            producer_id_expiration_ms: self.settings.config().producer_id_expiration_ms,
        }
    }

    /// The broker is about to stop: whatever runs over all partitions ends early.
    pub(crate) fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Brings open partitions up to the settings of now; the others have them when they are opened.
    pub(crate) fn apply_configs(&self, image: &Image) {
        // Held so that no partition is opened with what was read before.
        let _opening = self.opening.lock();
        self.resting.lock().clear();
        let mut last: Option<(TopicId, Arc<TopicConfig>)> = None;
        for partition in self.all_open() {
            let topic_id = partition.key.topic_id;
            let known = last.take().filter(|(of, _)| *of == topic_id);
            let config = match known {
                Some((_, config)) => config,
                None => Arc::new(self.topic_config(image, partition.topic.as_str())),
            };
            partition.set_config(config.clone(), self.options(&config));
            last = Some((topic_id, config));
        }
    }

    /// A topic is gone from the metadata: its partitions refuse everything, its files go. Blocks.
    pub(crate) fn topic_deleted(&self, topic_id: TopicId, name: &str, partitions: PartitionId) {
        let _opening = self.opening.lock();
        let is_there = |index: &PartitionId| {
            self.directories.stamp(name, *index) == Some(topic_id)
                || self.open.read().contains_key(&PartitionKey { topic_id, index: *index })
        };
        let there: Vec<PartitionId> = (0..partitions).filter(is_there).collect();
        self.metrics.forget(topic_id);
        if let Err(e) = self.remove(name, &there, topic_id) {
            error!(topic = name, "cannot remove the partitions of a deleted topic; the next start tries again: {e}");
        }
    }

    /// Takes partitions of a deleted topic out of service, out of the checkpoints and off the disk, in this order. The caller holds
    /// `opening` and knows that the directories, where there are any, are that topic's.
    fn remove(&self, topic: &str, partitions: &[PartitionId], topic_id: TopicId) -> io::Result<()> {
        for &index in partitions {
            let key = PartitionKey { topic_id, index };
            let open = self.open.write().remove(&key);
            if let Some(open) = open {
                open.delete();
            }
            self.resting.lock().remove(&key);
            self.checkpoints.forget(topic, index);
        }
        self.checkpoints.write()?;
        for &index in partitions {
            self.directories.remove(topic, index, topic_id);
        }
        Ok(())
    }

    /// At a start: removes what deleted topics left. Returns the partitions that have to be recovered. Blocks.
    pub(crate) fn sweep(&self, image: &Image) -> io::Result<Vec<(TopicName, PartitionId)>> {
        self.directories.finish_removals()?;
        let mut unclean = Vec::new();
        for (topic, index) in self.directories.names()? {
            if let Some(known) = image.topic(topic.as_str()).filter(|known| known.partition(index).is_some()) {
                if self.dir.unclean().start_of(PartitionKey { topic_id: known.id, index }) == Start::Unclean {
                    unclean.push((topic, index));
                }
                continue;
            }
            match self.directories.stamp(topic.as_str(), index) {
                // The metadata, which is always durable first, knows no such topic: it was deleted.
                Some(id) if image.topic_by_id(id).is_none() => {
                    info!(topic = %topic, partition = index, topic_id = %encode_id(id), "removing what a deleted topic left");
                    let _opening = self.opening.lock();
                    self.remove(topic.as_str(), &[index], id)?;
                }
                _ => {
                    warn!(directory = %self.directories.path_of(topic.as_str(), index).display(), "belongs to no topic; left alone")
                }
            }
        }
        Ok(unclean)
    }

    /// Before anything is served: recovers the log of one partition and closes it again. A log that cannot be recovered
    /// is reported and its partition returned: it answers errors, and the others are served. Blocks.
    pub(crate) fn recover(&self, image: &Image, name: &TopicName, index: PartitionId) -> Result<(), PartitionKey> {
        let topic = image.topic(name.as_str());
        let Some((topic, known)) = topic.and_then(|topic| Some((topic, topic.partition(index)?))) else {
            return Ok(());
        };
        let key = PartitionKey { topic_id: topic.id, index };
        match self.open_log(image, key, name, known) {
            Ok((partition, recovery)) => {
                report(name, index, &recovery);
                if !partition.close() {
                    return Err(key);
                }
                self.note(&partition);
                Ok(())
            }
            Err(e) => {
                error!(topic = %name, partition = index, "cannot recover the log: {e}");
                Err(key)
            }
        }
    }

    /// Recovery is over; what could not be recovered is tried again when it is opened. Blocks.
    pub(crate) fn settle(&self, unrecovered: unclean::Partitions) -> io::Result<()> {
        self.checkpoints.write()?;
        self.dir.unclean().settle(unrecovered)
    }

    /// The partitions that may have lost records which clients have seen: all that were written to, with files or without,
    /// for a power cut may have taken those as well. What `flush.mode` says now need not be what it said then.
    pub(crate) fn in_doubt(&self, image: &Image) -> Vec<PartitionKey> {
        let keys = |topic: &Topic| {
            let topic_id = topic.id;
            (0..topic.partitions().len() as PartitionId).map(move |index| PartitionKey { topic_id, index })
        };
        let unclean = |key: &PartitionKey| self.dir.unclean().start_of(*key) == Start::Unclean;
        image.topics().flat_map(keys).filter(unclean).collect()
    }

    /// Applies retention to an open partition that nobody else uses and closes it; whether it did. Blocks.
    fn let_go(&self, partition: &Arc<Partition>) -> bool {
        // An age that only the open log knows would begin anew.
        if partition.oldest_expires_ms().is_none() {
            return false;
        }
        let closed = self.opening.lock();
        // Opened again, it would show what was never known to be durable. When the broker stops, all are closed, and whether
        // each was has to be known there.
        if *closed || self.dir.has_failed() {
            return false;
        }
        {
            let mut open = self.open.write();
            // The map's and the caller's. Whoever else wants it now must take `opening` first.
            if Arc::strong_count(partition) > 2
                || partition.has_waiters()
                || open.get(&partition.key).is_none_or(|known| !Arc::ptr_eq(known, partition))
            {
                return false;
            }
            open.remove(&partition.key);
        }
        self.retain(partition);
        if !partition.close() {
            self.open.write().insert(partition.key, partition.clone());
            return false;
        }
        self.note(partition);
        let expires_ms = partition.oldest_expires_ms().unwrap_or(i64::MIN);
        self.resting.lock().insert(partition.key, expires_ms);
        true
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

    pub(crate) fn metrics(&self) -> &LogMetrics {
        &self.metrics
    }

    /// A partition, if it is open; it is not in use for that.
    pub(crate) fn opened(&self, topic_id: TopicId, index: PartitionId) -> Option<Arc<Partition>> {
        self.open.read().get(&PartitionKey { topic_id, index }).cloned()
    }

    /// First and next offset of a partition, which is not opened for it: of a closed one what was written down as it was closed.
    pub(crate) fn bounds(&self, topic: &Topic, index: PartitionId) -> (Offset, Offset) {
        if let Some(open) = self.open.read().get(&PartitionKey { topic_id: topic.id, index }) {
            let offsets = open.offsets();
            return (offsets.log_start, offsets.high_watermark);
        }
        let known = self.checkpoints.get(topic.name(), index);
        (known.log_start_offset, known.recovery_point.max(known.log_start_offset))
    }

    /// Bytes of the open logs, by topic.
    pub(crate) fn open_bytes_by_topic(&self) -> HashMap<TopicId, u64> {
        let mut bytes = HashMap::new();
        for partition in self.all_open() {
            *bytes.entry(partition.key.topic_id).or_default() += partition.size_bytes();
        }
        bytes
    }

    /// How many partitions are open.
    pub(crate) fn open_count(&self) -> usize {
        self.open.read().len()
    }

    /// Topic, partition and bytes of log of every partition that has files, or of those wanted that have. Blocks.
    pub(crate) fn sizes(
        &self,
        image: &Image,
        wanted: Option<&BTreeSet<(String, PartitionId)>>,
    ) -> io::Result<Vec<(String, PartitionId, u64)>> {
        let mut sizes = Vec::new();
        for (topic, index) in self.directories.names()? {
            let name = (topic.as_str().to_owned(), index);
            let Some(known) = image.topic(topic.as_str()).filter(|known| known.partition(index).is_some()) else {
                continue;
            };
            if wanted.is_some_and(|wanted| !wanted.contains(&name)) {
                continue;
            }
            let open = self.open.read().get(&PartitionKey { topic_id: known.id, index }).cloned();
            let bytes = match open {
                Some(partition) => partition.size_bytes(),
                None => self.directories.log_bytes(topic.as_str(), index)?,
            };
            sizes.push((name.0, index, bytes));
        }
        Ok(sizes)
    }

    /// Makes everything appended durable, closes what nobody has used since the last time, and writes down how far all
    /// that is, so that a crash has little to scan. Blocks.
    pub(crate) fn checkpoint(&self) {
        for partition in self.all_open() {
            if self.is_stopping() {
                // The stop syncs all and writes the checkpoints.
                return;
            }
            partition.flush();
            if !partition.was_used() && self.let_go(&partition) {
                continue;
            }
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
        if self.dir.has_failed() {
            return;
        }
        if let Err(e) = self.checkpoints.write() {
            return warn!("cannot write the checkpoints: {e}");
        }
        // A partition is in the map before it is marked, so none that is being marked now is missed; one that is out of the
        // map while it is closed may come back with its mark.
        let _opening = self.opening.lock();
        match self.dir.unclean().retain(|key| self.open.read().contains_key(&key)) {
            Ok(()) => {}
            Err(e) if is_shortage(&e) => {
                warn!("cannot unmark the partitions that were closed: {e}")
            }
            Err(e) => self.dir.fail(&format!("the list of unclean partitions: {e}")),
        }
    }

    /// Applies retention to every partition with files, opening for a moment those that are closed. Blocks.
    pub(crate) fn apply_retention(&self, image: &Image) {
        if self.dir.has_failed() {
            return;
        }
        let names = match self.directories.names() {
            Ok(names) => names,
            Err(e) => return warn!(directory = %self.directories.root().display(), "cannot list: {e}"),
        };
        for (name, index) in names {
            if self.is_stopping() {
                return;
            }
            let Some(topic) = image.topic(name.as_str()) else { continue };
            let key = PartitionKey { topic_id: topic.id, index };
            let now_ms = self.env.clock.wall_ms();
            if self.resting.lock().get(&key).is_some_and(|expires_ms| now_ms <= *expires_ms) {
                continue;
            }
            let open = self.open.read().get(&key).cloned();
            match open {
                Some(partition) => self.retain(&partition),
                None => {
                    let Ok(partition) = self.leader(topic, index) else { continue };
                    if !self.let_go(&partition) {
                        self.retain(&partition);
                    }
                }
            }
        }
    }

    fn retain(&self, partition: &Partition) {
        let freed_bytes = partition.apply_retention(self.env.clock.wall_ms());
        if freed_bytes > 0 {
            let log_start = partition.offsets().log_start;
            info!(topic = %partition.topic, partition = partition.key.index, freed_bytes, log_start, "removed expired segments");
        }
    }

    /// Closes every log. Whether everything is durable, so that the stop was clean. Blocks.
    pub(crate) fn close(&self) -> bool {
        // Held to the end: none is taken out of the map, or deleted, before it was seen to be closed.
        let mut closed = self.opening.lock();
        *closed = true;
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
