//! OffsetFetch (9): the offsets of one group, or from version 8 on of several. What was never committed is -1.

use chronik_metadata::Image;
use chronik_metadata::image::{CommittedOffset, Group};
use chronik_protocol::StrBytes;
use chronik_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use chronik_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use chronik_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};

use crate::api::RequestContext;
use crate::handlers::{text, wire_name};

/// The first version that asks for several groups at once.
const FIRST_BATCHED: i16 = 8;

/// One partition's answer: index, and the offset if there is one.
type Answered<'a> = (i32, Option<&'a CommittedOffset>);

pub(crate) fn handle(cx: &RequestContext, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let image = cx.broker.image();
    if cx.version() >= FIRST_BATCHED {
        let groups = request.groups.into_iter().map(|asked| of_group(cx, &image, asked));
        return OffsetFetchResponse::default().with_groups(groups.collect());
    }
    let group = image.group(&request.group_id);
    let asked = request.topics.map(|topics| topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)));
    let topics = find(&image, group, asked).into_iter().map(|(name, offsets)| {
        let partitions = offsets.into_iter().map(|(index, known)| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_committed_offset(known.map_or(-1, |known| known.offset))
                .with_committed_leader_epoch(known.map_or(-1, |known| known.leader_epoch))
                .with_metadata(Some(words(known)))
        });
        OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

fn of_group(cx: &RequestContext, image: &Image, asked: OffsetFetchRequestGroup) -> OffsetFetchResponseGroup {
    let member_id = asked.member_id.as_deref();
    if let Err(error) = cx.broker.groups().check_fetch(&asked.group_id, member_id, asked.member_epoch) {
        return OffsetFetchResponseGroup::default().with_group_id(asked.group_id).with_error_code(error.code());
    }
    let group = image.group(&asked.group_id);
    let topics = asked.topics.map(|topics| topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)));
    let topics = find(image, group, topics).into_iter().map(|(name, offsets)| {
        let partitions = offsets.into_iter().map(|(index, known)| {
            OffsetFetchResponsePartitions::default()
                .with_partition_index(index)
                .with_committed_offset(known.map_or(-1, |known| known.offset))
                .with_committed_leader_epoch(known.map_or(-1, |known| known.leader_epoch))
                .with_metadata(Some(words(known)))
        });
        OffsetFetchResponseTopics::default().with_name(name).with_partitions(partitions.collect())
    });
    OffsetFetchResponseGroup::default().with_group_id(asked.group_id).with_topics(topics.collect())
}

/// The offsets asked for, or all of them.
fn find<'a>(
    image: &Image,
    group: Option<&'a Group>,
    asked: Option<impl Iterator<Item = (TopicName, Vec<i32>)>>,
) -> Vec<(TopicName, Vec<Answered<'a>>)> {
    match asked {
        Some(asked) => asked
            .map(|(name, indexes)| {
                let topic = image.topic(&name);
                let of = |index| group.and_then(|group| group.offset(topic?.id, index));
                let offsets = indexes.into_iter().map(|index| (index, of(index))).collect();
                (name, offsets)
            })
            .collect(),
        None => group
            .map_or(&[][..], Group::offsets)
            .chunk_by(|a, b| a.topic_id == b.topic_id)
            .filter_map(|of_topic| {
                let name = wire_name(image.topic_by_id(of_topic[0].topic_id)?.name());
                Some((name, of_topic.iter().map(|known| (known.partition, Some(known))).collect()))
            })
            .collect(),
    }
}

fn words(known: Option<&CommittedOffset>) -> StrBytes {
    text(known.map_or("", CommittedOffset::metadata))
}
