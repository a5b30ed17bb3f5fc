//! Metadata (3): brokers, topics, partitions and their leaders; creates a topic that is asked for when that is allowed.

use chronik_metadata::{Image, Topic};
use chronik_protocol::Uuid;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::metadata_request::MetadataRequestTopic;
use chronik_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use chronik_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse};
use chronik_protocol::types::TopicName;

use super::describe_cluster::{NO_OPERATIONS, cluster_operations};
use crate::api::RequestContext;
use crate::handlers::{text, wire_name};
use crate::topics;

/// Topic operations of a client without an authorizer: READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS.
pub(super) const TOPIC_OPERATIONS: i32 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;

pub(crate) async fn handle(cx: &RequestContext, request: MetadataRequest) -> MetadataResponse {
    let operations = if request.include_topic_authorized_operations { TOPIC_OPERATIONS } else { NO_OPERATIONS };
    let asked = match &request.topics {
        // Version 0 has no null: its empty list asks for all.
        Some(topics) if topics.is_empty() && cx.version() == 0 => None,
        other => other.as_deref(),
    };
    let topics = match asked {
        None => all(&cx.broker.image(), operations),
        Some(asked) => {
            // Versions before 4 cannot say that they do not want the topic.
            let may_create = cx.version() < 4 || request.allow_auto_topic_creation;
            named(cx, asked, may_create, operations).await
        }
    };
    let image = cx.broker.image();
    let brokers = cx.broker.endpoints(&image, &cx.origin).into_iter().map(|node| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(node.id))
            .with_host(text(node.host))
            .with_port(node.port.into())
            .with_rack(node.rack.map(text))
    });
    MetadataResponse::default()
        .with_brokers(brokers.collect())
        .with_cluster_id(Some(text(cx.broker.cluster_id())))
        .with_controller_id(BrokerId(cx.broker.node_id()))
        .with_topics(topics)
        .with_cluster_authorized_operations(cluster_operations(request.include_cluster_authorized_operations))
}

fn all(image: &Image, operations: i32) -> Vec<MetadataResponseTopic> {
    let mut topics: Vec<_> = image.topics().map(|topic| describe(topic, operations)).collect();
    topics.push(meta_topic(image, operations));
    topics
}

async fn named(
    cx: &RequestContext,
    asked: &[MetadataRequestTopic],
    may_create: bool,
    operations: i32,
) -> Vec<MetadataResponseTopic> {
    let mut answers = Vec::with_capacity(asked.len());
    for topic in asked {
        answers.push(match &topic.name {
            // Java clients give an empty name with an id.
            Some(name) if !(name.is_empty() && cx.version() >= 12 && !topic.topic_id.is_nil()) => {
                by_name(cx, name, may_create, operations).await
            }
            // Topics by id came with version 12; before, a null name is a mistake (KIP-516).
            None if cx.version() < 12 => nameless(),
            _ => by_id(&cx.broker.image(), topic.topic_id, operations),
        });
    }
    answers
}

async fn by_name(cx: &RequestContext, name: &str, may_create: bool, operations: i32) -> MetadataResponseTopic {
    let image = cx.broker.image();
    if name == topics::META {
        return meta_topic(&image, operations);
    }
    if let Some(topic) = image.topic(name) {
        return describe(topic, operations);
    }
    let error = if TopicName::new(name).is_err() {
        ErrorCode::InvalidTopicException
    } else if may_create && cx.broker.auto_creates_topics() {
        match topics::auto_create(&cx.broker, name).await {
            Ok(()) => {
                let image = cx.broker.image();
                match image.topic(name) {
                    Some(topic) => return describe(topic, operations),
                    // Deleted again in between.
                    None => ErrorCode::UnknownTopicOrPartition,
                }
            }
            Err(error) => error,
        }
    } else {
        ErrorCode::UnknownTopicOrPartition
    };
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_name(Some(wire_name(name)))
        .with_topic_authorized_operations(NO_OPERATIONS)
}

fn nameless() -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_error_code(ErrorCode::InvalidRequest.code())
        .with_name(Some(wire_name("")))
        .with_topic_authorized_operations(NO_OPERATIONS)
}

fn by_id(image: &Image, id: Uuid, operations: i32) -> MetadataResponseTopic {
    match image.topic_by_id(id) {
        _ if id == topics::META_ID => meta_topic(image, operations),
        Some(topic) => describe(topic, operations),
        None => MetadataResponseTopic::default()
            .with_error_code(ErrorCode::UnknownTopicId.code())
            .with_name(None)
            .with_topic_id(id)
            .with_topic_authorized_operations(NO_OPERATIONS),
    }
}

fn describe(topic: &Topic, operations: i32) -> MetadataResponseTopic {
    let partitions = topic.partitions().iter().enumerate().map(|(index, partition)| {
        let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
        MetadataResponsePartition::default()
            .with_error_code(if partition.leader < 0 { ErrorCode::LeaderNotAvailable.code() } else { 0 })
            .with_partition_index(index as i32)
            .with_leader_id(BrokerId(partition.leader))
            .with_leader_epoch(partition.leader_epoch)
            .with_replica_nodes(ids(partition.replicas()))
            .with_isr_nodes(ids(partition.isr()))
    });
    MetadataResponseTopic::default()
        .with_name(Some(wire_name(topic.name())))
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(operations)
}

/// The metadata log as a read-only topic; its leader is the controller, on every node.
fn meta_topic(image: &Image, operations: i32) -> MetadataResponseTopic {
    let controller = image.controller().unwrap_or(-1);
    let partition = MetadataResponsePartition::default()
        .with_leader_id(BrokerId(controller))
        .with_leader_epoch(image.epoch())
        .with_replica_nodes(vec![BrokerId(controller)])
        .with_isr_nodes(vec![BrokerId(controller)]);
    MetadataResponseTopic::default()
        .with_name(Some(wire_name(topics::META)))
        .with_topic_id(topics::META_ID)
        .with_is_internal(true)
        .with_partitions(vec![partition])
        .with_topic_authorized_operations(operations)
}
