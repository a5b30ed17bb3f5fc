//! OffsetForLeaderEpoch (23, KIP-320): where the log of an epoch ends, by which a client finds that it was truncated.

use chronik_metadata::Image;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use chronik_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use chronik_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use crate::api::RequestContext;
use crate::topics;

pub(crate) fn handle(cx: &RequestContext, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let image = cx.broker.image();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let answer = look_up(cx, &image, &topic.topic, asked);
            answer
                .unwrap_or_else(|e| {
                    EpochEndOffset::default().with_error_code(e.code()).with_leader_epoch(-1).with_end_offset(-1)
                })
                .with_partition(asked.partition)
        });
        let partitions = partitions.collect();
        OffsetForLeaderTopicResult::default().with_topic(topic.topic.clone()).with_partitions(partitions)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

fn look_up(
    cx: &RequestContext,
    image: &Image,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<EpochEndOffset, ErrorCode> {
    let found = topics::find_by_name(image, topic)?;
    let partition =
        cx.broker.partitions().readable(image, &found, asked.partition).map_err(|e| topics::gone(e, false))?;
    partition.check_epoch(asked.current_leader_epoch)?;
    let (epoch, end_offset) = partition.end_offset_for_epoch(asked.leader_epoch);
    Ok(EpochEndOffset::default().with_leader_epoch(epoch).with_end_offset(end_offset))
}
