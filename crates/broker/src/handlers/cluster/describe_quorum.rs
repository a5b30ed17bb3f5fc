//! DescribeQuorum (55): who keeps the metadata log (KIP-595, KIP-836, KIP-853). Kafka's tools ask for it under Kafka's name of
//! that log.

use chronik_protocol::Uuid;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::describe_quorum_response::{Listener, Node, PartitionData, ReplicaState, TopicData};
use chronik_protocol::messages::{BrokerId, DescribeQuorumRequest, DescribeQuorumResponse};

use crate::api::RequestContext;
use crate::handlers::text;
use crate::topics::META;

/// Kafka's name of the metadata log.
const CLUSTER_METADATA: &str = "__cluster_metadata";

pub(crate) fn handle(cx: &RequestContext, request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    let topics = request.topics.into_iter().map(|asked| {
        let is_log = [CLUSTER_METADATA, META].contains(&asked.topic_name.as_str());
        let partitions = asked.partitions.into_iter().map(|partition| match partition.partition_index {
            0 if is_log => log(cx),
            index => PartitionData::default()
                .with_partition_index(index)
                .with_error_code(ErrorCode::UnknownTopicOrPartition.code())
                .with_error_message(None)
                .with_leader_id(BrokerId(-1))
                .with_leader_epoch(-1)
                .with_high_watermark(-1),
        });
        TopicData::default().with_partitions(partitions.collect()).with_topic_name(asked.topic_name)
    });
    DescribeQuorumResponse::default().with_error_message(None).with_topics(topics.collect()).with_nodes(nodes(cx))
}

/// Alone, a node is the one voter and the leader, and has all it ever committed.
fn log(cx: &RequestContext) -> PartitionData {
    let controller = cx.broker.controller();
    let (end, now_ms) = (controller.end_offset(), cx.broker.now_ms());
    let own = ReplicaState::default()
        .with_replica_id(BrokerId(cx.broker.node_id()))
        .with_replica_directory_id(directory(cx))
        .with_log_end_offset(end)
        .with_last_fetch_timestamp(now_ms)
        .with_last_caught_up_timestamp(now_ms);
    PartitionData::default()
        .with_partition_index(0)
        .with_error_message(None)
        .with_leader_id(BrokerId(controller.controller().unwrap_or(-1)))
        .with_leader_epoch(controller.log().leader().epoch)
        .with_high_watermark(end)
        .with_current_voters(vec![own])
}

fn directory(cx: &RequestContext) -> Uuid {
    cx.broker.identity().directory_id
}

fn nodes(cx: &RequestContext) -> Vec<Node> {
    let image = cx.broker.image();
    let node = |broker: &chronik_metadata::image::Broker| {
        let listener = |endpoint: &chronik_metadata::record::Endpoint| {
            Listener::default()
                .with_name(text(endpoint.listener.clone()))
                .with_host(text(endpoint.host.clone()))
                .with_port(u16::try_from(endpoint.port).unwrap_or(0))
        };
        let listeners = broker.endpoints.iter().map(listener).collect();
        Node::default().with_node_id(BrokerId(broker.id)).with_listeners(listeners)
    };
    image.brokers().map(node).collect()
}
