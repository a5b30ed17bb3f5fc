//! OffsetDelete (47): offsets of topics that no member of the group subscribes to.

use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use chronik_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use crate::api::RequestContext;

pub(crate) async fn handle(cx: &RequestContext, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let image = cx.broker.image();
    let subscribed = match cx.broker.groups().subscribed_topics(&request.group_id) {
        Ok(subscribed) => subscribed,
        Err(error) => return OffsetDeleteResponse::default().with_error_code(error.code()),
    };
    let mut answers = Vec::with_capacity(request.topics.len());
    let mut deletes = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let known = image.topic(&topic.name);
        let in_use = subscribed.contains(topic.name.as_str());
        let indexes: Vec<i32> = topic.partitions.iter().map(|partition| partition.partition_index).collect();
        let check = |index: i32| match known.and_then(|known| known.partition(index)) {
            None => Some(ErrorCode::UnknownTopicOrPartition),
            Some(_) if in_use => Some(ErrorCode::GroupSubscribedToTopic),
            Some(_) => None,
        };
        if let Some(known) = known {
            let there = indexes.iter().copied().filter(|index| check(*index).is_none());
            deletes.push((known.id, there.collect()));
        }
        answers.push((topic.name, indexes.into_iter().map(|index| (index, check(index))).collect::<Vec<_>>()));
    }
    let outcome = cx.broker.groups().delete_offsets(&request.group_id, deletes).await;
    let outcome = outcome.err().unwrap_or(ErrorCode::None);
    let topics = answers.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, refusal)| {
            OffsetDeleteResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(refusal.unwrap_or(outcome).code())
        });
        OffsetDeleteResponseTopic::default().with_name(name).with_partitions(partitions.collect())
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}
