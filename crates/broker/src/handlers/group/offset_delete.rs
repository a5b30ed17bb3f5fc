//! OffsetDelete (47): offsets of topics that no member of the group subscribes to.

use std::collections::BTreeMap;

use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::offset_delete_request::OffsetDeleteRequestTopic;
use chronik_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use chronik_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use crate::api::RequestContext;

pub(crate) async fn handle(cx: &RequestContext, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let image = cx.broker.image();
    let is_there = |name: &str, index: i32| image.topic(name).is_some_and(|known| known.partition(index).is_some());
    let mut there = BTreeMap::new();
    for topic in &request.topics {
        if let Some(known) = image.topic(&topic.name) {
            let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
            let (_, partitions) = there.entry(topic.name.to_string()).or_insert_with(|| (known.id, Vec::new()));
            partitions.extend(indexes.filter(|index| is_there(&topic.name, *index)));
        }
    }
    let in_use = match cx.broker.groups().delete_offsets(&request.group_id, there).await {
        Ok(in_use) => in_use,
        Err(error) => return OffsetDeleteResponse::default().with_error_code(error.code()),
    };
    let topics = request.topics.into_iter().map(|OffsetDeleteRequestTopic { name, partitions, .. }| {
        let outcome_of = |index| match is_there(&name, index) {
            false => ErrorCode::UnknownTopicOrPartition,
            true if in_use.contains(name.as_str()) => ErrorCode::GroupSubscribedToTopic,
            true => ErrorCode::None,
        };
        let partitions = partitions.into_iter().map(|partition| {
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(outcome_of(partition.partition_index).code())
        });
        let partitions: Vec<_> = partitions.collect();
        OffsetDeleteResponseTopic::default().with_name(name).with_partitions(partitions)
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}
