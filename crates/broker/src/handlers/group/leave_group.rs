//! LeaveGroup (13): one member, or from version 3 on several.

use chronik_coordinator::Leaver;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::leave_group_response::MemberResponse;
use chronik_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::{code, owned};
use crate::api::RequestContext;
use crate::handlers::text;

/// The first version that names several members.
const FIRST_BATCHED: i16 = 3;

pub(crate) async fn handle(cx: &RequestContext, request: LeaveGroupRequest) -> LeaveGroupResponse {
    if request.group_id.is_empty() {
        return LeaveGroupResponse::default().with_error_code(ErrorCode::InvalidGroupId.code());
    }
    if cx.version() < FIRST_BATCHED {
        let leaver = Leaver { member_id: request.member_id.to_string(), instance_id: None };
        let outcome = cx.broker.groups().leave(&request.group_id, &[leaver]).await.pop().unwrap_or(Ok(()));
        return LeaveGroupResponse::default().with_error_code(code(outcome));
    }
    let leavers: Vec<Leaver> = request
        .members
        .into_iter()
        .map(|member| Leaver { member_id: member.member_id.to_string(), instance_id: owned(member.group_instance_id) })
        .collect();
    let outcomes = cx.broker.groups().leave(&request.group_id, &leavers).await;
    let members = leavers.into_iter().zip(outcomes).map(|(leaver, outcome)| {
        MemberResponse::default()
            .with_member_id(text(leaver.member_id))
            .with_group_instance_id(leaver.instance_id.map(text))
            .with_error_code(code(outcome))
    });
    LeaveGroupResponse::default().with_members(members.collect())
}
