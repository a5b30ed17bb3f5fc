//! DescribeTopicPartitions (75, KIP-966): topics page by page, with a cursor.

use chronik_metadata::{Image, Partition, Topic};
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use chronik_protocol::messages::{BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
use chronik_protocol::types::TopicName;

use super::describe_cluster::NO_OPERATIONS;
use super::metadata::TOPIC_OPERATIONS;
use crate::api::RequestContext;
use crate::handlers::wire_name;
use crate::topics::{META, META_ID};

pub(crate) fn handle(cx: &RequestContext, request: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let image = cx.broker.image();
    let most = cx.broker.config().max_request_partition_size_limit;
    let limit = usize::try_from(request.response_partition_limit).unwrap_or(1).clamp(1, most);
    let (from_topic, from_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.to_string(), cursor.partition_index.max(0) as usize),
        None => (String::new(), 0),
    };
    let mut names: Vec<String> = request.topics.iter().map(|t| t.name.to_string()).collect();
    let all = names.is_empty();
    if all {
        names =
            image.topics().map(|t| t.name().to_owned()).filter(|name| *name >= from_topic).take(limit + 1).collect();
        names.push(META.to_owned());
    }
    if !all && request.cursor.is_some() && !names.contains(&from_topic) {
        // As Kafka: the cursor must be on one of the topics asked for.
        let topics = names.iter().map(|name| refused(name, ErrorCode::InvalidRequest));
        return DescribeTopicPartitionsResponse::default().with_topics(topics.collect()).with_next_cursor(None);
    }
    names.retain(|name| *name >= from_topic);
    names.sort_unstable();
    names.dedup();

    let mut page = Page { left: limit, topics: Vec::new(), next: None };
    for name in names {
        if page.left == 0 {
            page.next = Some((name, 0));
            break;
        }
        let first = if name == from_topic { from_partition } else { 0 };
        page.add(&image, &name, first);
        if page.next.is_some() {
            break;
        }
    }
    DescribeTopicPartitionsResponse::default().with_topics(page.topics).with_next_cursor(
        page.next.map(|(name, index)| {
            Cursor::default().with_topic_name(wire_name(&name)).with_partition_index(index as i32)
        }),
    )
}

struct Page {
    left: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    next: Option<(String, usize)>,
}

impl Page {
    fn add(&mut self, image: &Image, name: &str, first: usize) {
        if name == META {
            self.left = self.left.saturating_sub(1);
            self.topics.push(describe_meta(image));
            return;
        }
        let Some(topic) = image.topic(name) else {
            let error = if TopicName::new(name).is_err() {
                ErrorCode::InvalidTopicException
            } else {
                ErrorCode::UnknownTopicOrPartition
            };
            self.topics.push(refused(name, error));
            return;
        };
        let count = topic.partitions().len();
        let end = count.min(first.saturating_add(self.left));
        self.left -= end.saturating_sub(first);
        if end < count {
            self.next = Some((name.to_owned(), end));
        }
        self.topics.push(describe(topic, first.min(end)..end));
    }
}

fn refused(name: &str, error: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(error.code())
        .with_name(Some(wire_name(name)))
        .with_topic_authorized_operations(NO_OPERATIONS)
}

fn describe(topic: &Topic, range: std::ops::Range<usize>) -> DescribeTopicPartitionsResponseTopic {
    let partitions = range.map(|index| describe_partition(index, &topic.partitions()[index]));
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(wire_name(topic.name())))
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(TOPIC_OPERATIONS)
}

fn describe_partition(index: usize, partition: &Partition) -> DescribeTopicPartitionsResponsePartition {
    let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
    DescribeTopicPartitionsResponsePartition::default()
        .with_error_code(if partition.leader < 0 { ErrorCode::LeaderNotAvailable.code() } else { 0 })
        .with_partition_index(index as i32)
        .with_leader_id(BrokerId(partition.leader))
        .with_leader_epoch(partition.leader_epoch)
        .with_replica_nodes(ids(partition.replicas()))
        .with_isr_nodes(ids(partition.isr()))
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()))
}

/// The metadata log as a read-only topic, as the metadata handler tells it.
fn describe_meta(image: &Image) -> DescribeTopicPartitionsResponseTopic {
    let controller = BrokerId(image.controller().unwrap_or(-1));
    let partition = DescribeTopicPartitionsResponsePartition::default()
        .with_leader_id(controller)
        .with_leader_epoch(image.epoch())
        .with_replica_nodes(vec![controller])
        .with_isr_nodes(vec![controller])
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()));
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(wire_name(META)))
        .with_topic_id(META_ID)
        .with_is_internal(true)
        .with_partitions(vec![partition])
        .with_topic_authorized_operations(TOPIC_OPERATIONS)
}
