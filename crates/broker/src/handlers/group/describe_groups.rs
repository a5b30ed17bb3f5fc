//! DescribeGroups (15).

use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use chronik_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

use crate::api::RequestContext;
use crate::groups::{Description, Undescribed};
use crate::handlers::cluster::describe_cluster::NO_OPERATIONS;
use crate::handlers::text;

/// The first version that says so when there is no such group (KIP-1043); before, it looks dead.
const FIRST_WITH_NOT_FOUND: i16 = 6;

/// All that can be allowed on a group, as bits by Kafka's operation numbers: read, delete, describe, describe and alter
/// configs.
pub(super) const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

pub(crate) fn handle(cx: &RequestContext, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let operations = if request.include_authorized_operations { GROUP_OPERATIONS } else { NO_OPERATIONS };
    let groups = request.groups.into_iter().map(|group_id| {
        let group = match cx.broker.groups().describe(&group_id) {
            Ok(description) => described(group_id, description),
            Err(why) => absent(group_id, why, cx.version()),
        };
        group.with_authorized_operations(operations)
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn described(group_id: GroupId, description: Description) -> DescribedGroup {
    let members = description.members.into_iter().map(|member| {
        DescribedGroupMember::default()
            .with_member_id(text(member.member_id))
            .with_group_instance_id(member.instance_id.map(text))
            .with_client_id(text(member.client_id))
            .with_client_host(text(member.client_host))
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    });
    DescribedGroup::default()
        .with_group_id(group_id)
        .with_group_state(text(description.state.name()))
        .with_protocol_type(text(description.protocol_type))
        .with_protocol_data(text(description.protocol))
        .with_members(members.collect())
}

fn absent(group_id: GroupId, why: Undescribed, version: i16) -> DescribedGroup {
    let dead = DescribedGroup::default().with_group_state(text("Dead"));
    if version < FIRST_WITH_NOT_FOUND {
        return dead.with_group_id(group_id);
    }
    // Kafka's tools show these words.
    let message = match why {
        Undescribed::NotThere => format!("Group {} not found.", group_id.as_str()),
        Undescribed::OtherProtocol => format!("Group {} is not a classic group.", group_id.as_str()),
    };
    dead.with_group_id(group_id)
        .with_error_code(ErrorCode::GroupIdNotFound.code())
        .with_error_message(Some(text(message)))
}
