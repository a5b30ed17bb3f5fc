//! ListOffsets (2): the first, the last, or the first record at or after a time, exact to the record.

use std::collections::BTreeMap;

use chronik_metadata::Image;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::list_offsets_request::ListOffsetsPartition;
use chronik_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use chronik_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use chronik_storage::{ReadError, TimestampedOffset};
use tracing::warn;

use crate::api::RequestContext;
use crate::topics;

const FIRST_WITH_LEADER_EPOCH: i16 = 4;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
/// The first offset on local disk: all there is, without tiered storage (KIP-405).
const EARLIEST_LOCAL: i64 = -4;
/// The last offset in tiered storage: none (KIP-1005).
const LATEST_TIERED: i64 = -5;

pub(crate) fn handle(cx: &RequestContext, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let image = cx.broker.image();
    let mut asked: BTreeMap<(&str, i32), u32> = BTreeMap::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            *asked.entry((&topic.name, partition.partition_index)).or_default() += 1;
        }
    }
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let index = partition.partition_index;
            let answer = match asked.get(&(&*topic.name, index)) {
                // As Kafka: a partition named twice is answered with an error each time.
                Some(2..) => Err(ErrorCode::InvalidRequest),
                _ => look_up(cx, &image, &topic.name, partition),
            };
            let answer = answer.unwrap_or_else(|e| ListOffsetsPartitionResponse::default().with_error_code(e.code()));
            let epoch = if cx.version() >= FIRST_WITH_LEADER_EPOCH { answer.leader_epoch } else { -1 };
            answer.with_partition_index(index).with_leader_epoch(epoch)
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn look_up(
    cx: &RequestContext,
    image: &Image,
    topic: &str,
    asked: &ListOffsetsPartition,
) -> Result<ListOffsetsPartitionResponse, ErrorCode> {
    let found = topics::find_by_name(image, topic)?;
    let partition =
        cx.broker.partitions().readable(image, &found, asked.partition_index).map_err(|e| topics::gone(e, false))?;
    partition.check_epoch(asked.current_leader_epoch)?;
    let offsets = partition.offsets();
    let at = |offset: i64, epoch: i32| {
        ListOffsetsPartitionResponse::default().with_timestamp(-1).with_offset(offset).with_leader_epoch(epoch)
    };
    let timed = |found: Result<Option<TimestampedOffset>, ReadError>| match found {
        Ok(Some(found)) => Ok(at(found.offset, found.leader_epoch).with_timestamp(found.timestamp)),
        Ok(None) => Ok(at(-1, -1)),
        Err(ReadError::Removed) => Err(ErrorCode::UnknownTopicOrPartition),
        Err(e) => {
            warn!(topic, partition = asked.partition_index, "cannot look up a timestamp: {e}");
            Err(ErrorCode::KafkaStorageError)
        }
    };
    match asked.timestamp {
        special if cx.version() < first_version_of(special) => Err(ErrorCode::UnsupportedVersion),
        LATEST => Ok(at(offsets.high_watermark, offsets.leader_epoch)),
        EARLIEST | EARLIEST_LOCAL => Ok(at(offsets.log_start, partition.epoch_of(offsets.log_start))),
        MAX_TIMESTAMP => timed(partition.reader().max_timestamp(offsets.high_watermark)),
        LATEST_TIERED => Ok(at(-1, -1)),
        time if time >= 0 => timed(partition.reader().offset_for_timestamp(time, offsets.high_watermark)),
        _ => Err(ErrorCode::UnsupportedVersion),
    }
}

/// The first version that knows a special timestamp.
fn first_version_of(timestamp: i64) -> i16 {
    match timestamp {
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        _ => 0,
    }
}
