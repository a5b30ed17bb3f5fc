//! ConsumerGroupHeartbeat (68): members of consumer groups (KIP-848) join, stay and leave by it.

use chronik_coordinator::{Assignment, Heartbeat, Heartbeaten, Refusal};
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::consumer_group_heartbeat_response::{Assignment as WireAssignment, TopicPartitions};
use chronik_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::{has_consumer_protocol, owned};
use crate::api::RequestContext;
use crate::handlers::text;

/// The first version in which members bring their ids (KIP-1082).
const FIRST_WITH_MEMBER_ID: i16 = 1;
/// A timeout that has not changed.
const UNCHANGED: i32 = -1;

pub(crate) async fn handle(
    cx: &RequestContext,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    if !has_consumer_protocol(cx) {
        return ConsumerGroupHeartbeatResponse::default().with_error_code(ErrorCode::UnsupportedVersion.code());
    }
    let owned_partitions = request.topic_partitions.map(|topics| {
        let mut owned = Assignment::new();
        for topic in topics {
            owned.entry(topic.topic_id).or_default().extend(topic.partitions);
        }
        owned
    });
    let beat = Heartbeat {
        member_id: request.member_id.to_string(),
        member_epoch: request.member_epoch,
        instance_id: owned(request.instance_id),
        rack_id: owned(request.rack_id),
        client_id: cx.header.client_id.as_deref().unwrap_or_default().to_owned(),
        client_host: cx.client_host(),
        rebalance_timeout_ms: Some(request.rebalance_timeout_ms).filter(|ms| *ms != UNCHANGED),
        subscribed_names: request
            .subscribed_topic_names
            .map(|names| names.into_iter().map(|name| name.to_string()).collect()),
        subscribed_regex: owned(request.subscribed_topic_regex),
        server_assignor: owned(request.server_assignor),
        owned: owned_partitions,
    };
    let needs_member_id = cx.version() >= FIRST_WITH_MEMBER_ID;
    answer(cx.broker.groups().consumer_heartbeat(&request.group_id, beat, needs_member_id).await)
}

fn answer(outcome: Result<Heartbeaten, Refusal>) -> ConsumerGroupHeartbeatResponse {
    match outcome {
        Err(refusal) => ConsumerGroupHeartbeatResponse::default()
            .with_error_code(refusal.error.code())
            .with_error_message(Some(text(refusal.message))),
        Ok(beaten) => ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(text(beaten.member_id)))
            .with_member_epoch(beaten.member_epoch)
            .with_heartbeat_interval_ms(beaten.heartbeat_interval_ms)
            .with_assignment(beaten.assignment.map(assignment)),
    }
}

fn assignment(assignment: Assignment) -> WireAssignment {
    let topics = assignment.into_iter().map(|(topic_id, partitions)| {
        TopicPartitions::default().with_topic_id(topic_id).with_partitions(partitions.into_iter().collect())
    });
    WireAssignment::default().with_topic_partitions(topics.collect())
}
