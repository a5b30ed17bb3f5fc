//! ConsumerGroupDescribe (69): consumer groups (KIP-848) with their members and what these have and are to have.

use chronik_coordinator::{Assignment, ConsumerMemberSummary, ConsumerSummary};
use chronik_metadata::Image;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::consumer_group_describe_response::{
    Assignment as WireAssignment, DescribedGroup, Member, TopicPartitions,
};
use chronik_protocol::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, GroupId};

use super::describe_groups::GROUP_OPERATIONS;
use super::has_consumer_protocol;
use crate::api::RequestContext;
use crate::groups::Undescribed;
use crate::handlers::cluster::describe_cluster::NO_OPERATIONS;
use crate::handlers::{text, wire_name};

/// The first version that says by which protocol a member is in the group (KIP-1099).
const FIRST_WITH_MEMBER_TYPE: i16 = 1;
/// A member by the classic protocol, and one by the consumer protocol.
const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

pub(crate) fn handle(cx: &RequestContext, request: ConsumerGroupDescribeRequest) -> ConsumerGroupDescribeResponse {
    if !has_consumer_protocol(cx) {
        let unsupported = |group_id| {
            DescribedGroup::default().with_group_id(group_id).with_error_code(ErrorCode::UnsupportedVersion.code())
        };
        let groups = request.group_ids.into_iter().map(unsupported).collect();
        return ConsumerGroupDescribeResponse::default().with_groups(groups);
    }
    let image = cx.broker.image();
    let operations = if request.include_authorized_operations { GROUP_OPERATIONS } else { NO_OPERATIONS };
    let groups = request.group_ids.into_iter().map(|group_id| {
        let group = match cx.broker.groups().describe_consumer(&group_id) {
            _ if group_id.is_empty() => {
                refused(group_id, ErrorCode::InvalidGroupId, "the group id is empty".to_owned())
            }
            Ok(summary) => described(&image, cx.version(), group_id, summary),
            Err(why) => {
                // Kafka's tools show these words.
                let message = match why {
                    Undescribed::NotThere => format!("Group {} not found.", group_id.0),
                    Undescribed::OtherProtocol => format!("Group {} is not a consumer group.", group_id.0),
                };
                refused(group_id, ErrorCode::GroupIdNotFound, message)
            }
        };
        group.with_authorized_operations(operations)
    });
    ConsumerGroupDescribeResponse::default().with_groups(groups.collect())
}

fn refused(group_id: GroupId, error: ErrorCode, message: String) -> DescribedGroup {
    DescribedGroup::default()
        .with_group_id(group_id)
        .with_error_code(error.code())
        .with_error_message(Some(text(message)))
}

fn described(image: &Image, version: i16, group_id: GroupId, summary: ConsumerSummary) -> DescribedGroup {
    let members = summary.members.into_iter().map(|member| described_member(image, version, member));
    DescribedGroup::default()
        .with_group_id(group_id)
        .with_group_state(text(summary.state.name()))
        .with_group_epoch(summary.epoch)
        .with_assignment_epoch(summary.target_epoch)
        .with_assignor_name(text(summary.assignor))
        .with_members(members.collect())
}

fn described_member(image: &Image, version: i16, member: ConsumerMemberSummary) -> Member {
    let member_type = if member.is_classic { CLASSIC_MEMBER } else { CONSUMER_MEMBER };
    let described = Member::default()
        .with_member_id(text(member.member_id))
        .with_instance_id(member.instance_id.map(text))
        .with_rack_id(member.rack_id.map(text))
        .with_member_epoch(member.epoch)
        .with_client_id(text(member.client_id))
        .with_client_host(text(member.client_host))
        .with_subscribed_topic_names(member.subscribed_names.iter().map(|name| wire_name(name)).collect())
        // Empty where there is none, as in Kafka.
        .with_subscribed_topic_regex(Some(text(member.subscribed_regex.unwrap_or_default())))
        .with_assignment(assignment(image, member.assignment))
        .with_target_assignment(assignment(image, member.target));
    if version < FIRST_WITH_MEMBER_TYPE { described } else { described.with_member_type(member_type) }
}

/// Topics that are gone are left out.
fn assignment(image: &Image, assignment: Assignment) -> WireAssignment {
    let topics = assignment.into_iter().filter_map(|(topic_id, partitions)| {
        let topic = image.topic_by_id(topic_id)?;
        let partitions = partitions.into_iter().collect();
        let named = TopicPartitions::default().with_topic_id(topic_id).with_topic_name(wire_name(topic.name()));
        Some(named.with_partitions(partitions))
    });
    WireAssignment::default().with_topic_partitions(topics.collect())
}
