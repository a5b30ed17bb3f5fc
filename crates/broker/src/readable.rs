//! What can be read: a partition of a topic, or the metadata log as partition 0 of the topic `__meta`.

use std::sync::Arc;

use bytes::Bytes;
use chronik_protocol::batch::BatchHeader;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::types::{LeaderEpoch, Offset};
use chronik_storage::{LogReader, ReadError};

use crate::metrics::TopicTraffic;
use crate::partition::{Offsets, Partition};

/// A client that does not know the leader epoch says this.
pub(crate) const NO_EPOCH: LeaderEpoch = -1;

/// A partition that can be read: one of a topic, or the metadata log.
pub(crate) enum Readable {
    Data(Arc<Partition>),
    Meta(MetaPartition),
}

/// The metadata log seen as partition 0 of the topic `__meta`.
pub(crate) struct MetaPartition {
    pub(crate) reader: LogReader,
    pub(crate) offsets: Offsets,
}

impl Readable {
    pub(crate) fn offsets(&self) -> Offsets {
        match self {
            Readable::Data(partition) => partition.offsets(),
            Readable::Meta(meta) => meta.offsets,
        }
    }

    pub(crate) fn traffic(&self) -> Option<&Arc<TopicTraffic>> {
        match self {
            Readable::Data(partition) => Some(partition.traffic()),
            Readable::Meta(_) => None,
        }
    }

    pub(crate) fn reader(&self) -> &LogReader {
        match self {
            Readable::Data(partition) => partition.reader(),
            Readable::Meta(meta) => &meta.reader,
        }
    }

    pub(crate) fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
        offsets: &Offsets,
    ) -> Result<Bytes, ReadError> {
        self.reader().read(from, max_bytes, at_least_one, offsets.high_watermark)
    }

    /// KIP-320: a client that knows an older epoch is fenced, one that knows a newer epoch has to wait; -1 asks for no check.
    pub(crate) fn check_epoch(&self, known: LeaderEpoch) -> Result<(), ErrorCode> {
        let current = self.offsets().leader_epoch;
        match known {
            known if known == NO_EPOCH || known == current => Ok(()),
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
