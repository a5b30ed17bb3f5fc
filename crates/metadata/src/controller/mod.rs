//! Decisions: a request and the tip image in, records and a response out. One file per concern.

mod brokers;
mod cluster;
mod configs;
mod features;
mod groups;
mod partitions;
mod producer_ids;
mod quotas;
mod topics;

use chronik_protocol::types::LeaderEpoch;

use crate::error::LimitError;
use crate::ids::Ids;
use crate::image::Image;
use crate::record::Record;
use crate::request::{Limits, Request, Response};

/// Bytes that a record costs in a batch beside its own encoding, at most.
pub const RECORD_OVERHEAD: usize = 24;

/// Topics that are made and kept by the broker itself and have no partitions in the image.
pub const RESERVED_TOPICS: &[&str] = &["__meta", "__cluster_metadata"];

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// One atomic batch, at most [`Limits::max_batch_bytes`] long. Empty: nothing changes.
    pub records: Vec<Record>,
    /// To be released once everything decided so far is committed, and not before, even when `records` is empty: it
    /// rests on the tip.
    pub response: Response,
}

/// The deciding half of the controller. Owns the tip: the image with all records decided so far, committed or not.
pub struct Controller {
    tip: Image,
    epoch: LeaderEpoch,
    ids: Ids,
    limits: Limits,
}

impl Controller {
    /// A controller under `epoch` that starts from a committed image. Topic ids come from `seed`.
    pub fn new(seed: u64, epoch: LeaderEpoch, image: Image, limits: Limits) -> Self {
        Controller { tip: image, epoch, ids: Ids::new(seed), limits }
    }

    pub fn tip(&self) -> &Image {
        &self.tip
    }

    /// Drops the tip, since what was decided on it did not commit.
    pub fn reset(&mut self, image: Image) {
        self.tip = image;
    }

    /// Decides one request and moves the tip past its records. `now_ms` is the wall clock, in milliseconds.
    pub fn handle(&mut self, now_ms: i64, request: Request) -> Decision {
        let mut draft = Draft {
            image: self.tip.clone(),
            epoch: self.epoch,
            limits: &self.limits,
            now_ms,
            records: Vec::new(),
            bytes: 0,
        };
        let (response, keep) = match request {
            Request::Activate(r) => (Response::Activate(draft.activate(r)), true),
            Request::CreateTopics(r) => {
                let keep = !r.validate_only;
                (Response::CreateTopics(draft.create_topics(&mut self.ids, r)), keep)
            }
            Request::DeleteTopics(r) => (Response::DeleteTopics(draft.delete_topics(r)), true),
            Request::CreatePartitions(r) => {
                let keep = !r.validate_only;
                (Response::CreatePartitions(draft.create_partitions(r)), keep)
            }
            Request::SetConfigs(r) => {
                let keep = !r.validate_only;
                (Response::SetConfigs(draft.set_configs(r)), keep)
            }
            Request::RegisterBroker(r) => (Response::RegisterBroker(draft.register_broker(r)), true),
            Request::UnregisterBroker(r) => (Response::UnregisterBroker(draft.unregister_broker(r)), true),
            Request::AllocateProducerIds(r) => (Response::AllocateProducerIds(draft.allocate_producer_ids(r)), true),
            Request::RaiseLeaderEpochs(r) => (Response::RaiseLeaderEpochs(draft.raise_leader_epochs(&r)), true),
            Request::StoreGroup(r) => (Response::StoreGroup(draft.store_group(r)), true),
            Request::StoreConsumerGroup(r) => (Response::StoreConsumerGroup(draft.store_consumer_group(r)), true),
            Request::CommitOffsets(r) => (Response::CommitOffsets(draft.commit_offsets(r)), true),
            Request::RemoveGroups(r) => (Response::RemoveGroups(draft.remove_groups(r)), true),
            Request::DeleteOffsets(r) => (Response::DeleteOffsets(draft.delete_offsets(r)), true),
            Request::AlterQuotas(r) => {
                let keep = !r.validate_only;
                (Response::AlterQuotas(draft.alter_quotas(r)), keep)
            }
            Request::UpdateFeatures(r) => {
                let keep = !r.validate_only;
                (Response::UpdateFeatures(draft.update_features(r)), keep)
            }
            Request::ChangeLogStart(r) => (Response::ChangeLogStart(draft.change_log_start(r)), true),
        };
        let (image, records) = (draft.image, draft.records);
        if !keep || records.is_empty() {
            return Decision { records: Vec::new(), response };
        }
        self.tip = image;
        Decision { records, response }
    }
}

/// A decision in the making: the tip with what was decided so far in this request.
struct Draft<'a> {
    image: Image,
    epoch: LeaderEpoch,
    limits: &'a Limits,
    now_ms: i64,
    records: Vec<Record>,
    bytes: usize,
}

impl Draft<'_> {
    /// Adds records all together, or none of them when the batch would grow too large.
    fn add(&mut self, records: Vec<Record>) -> Result<(), LimitError> {
        let bytes = self.bytes + records.iter().map(|record| record.encoded_len() + RECORD_OVERHEAD).sum::<usize>();
        if bytes > self.limits.max_batch_bytes {
            return Err(LimitError::BatchBytes(self.limits.max_batch_bytes));
        }
        self.bytes = bytes;
        for record in &records {
            self.image.apply(self.image.offset() + 1, self.epoch, record);
        }
        self.records.extend(records);
        Ok(())
    }

    fn check_partition_limits(&self, of_topic: usize, added: usize) -> Result<(), LimitError> {
        let limits = self.limits;
        if of_topic > limits.max_partitions_per_topic as usize {
            return Err(LimitError::PartitionsPerTopic(limits.max_partitions_per_topic));
        }
        if self.image.partition_count() + added as u64 > limits.max_partitions {
            return Err(LimitError::Partitions(limits.max_partitions));
        }
        Ok(())
    }
}
