//! JoinGroup (11).

use bytes::Bytes;
use chronik_coordinator::{Join, Joined, JoinedMember, Protocol};
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use chronik_protocol::messages::join_group_response::JoinGroupResponseMember;
use chronik_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

use super::owned;
use crate::api::RequestContext;
use crate::handlers::text;

/// The first version with a rebalance timeout; before, it is the session timeout.
const FIRST_WITH_REBALANCE_TIMEOUT: i16 = 1;
/// The first version whose members get their id before they join (KIP-394).
const FIRST_WITH_MEMBER_ID: i16 = 4;
/// The first version whose answer may leave the protocol out.
const FIRST_WITHOUT_PROTOCOL: i16 = 7;
/// The first version that can be told not to assign (KIP-814).
const FIRST_SKIPPING: i16 = 9;

pub(crate) async fn handle(cx: &RequestContext, request: JoinGroupRequest) -> JoinGroupResponse {
    let version = cx.version();
    if request.group_id.is_empty() {
        return answer(Joined::refused(request.member_id.to_string(), ErrorCode::InvalidGroupId), version);
    }
    let rebalance_timeout_ms =
        if version < FIRST_WITH_REBALANCE_TIMEOUT { request.session_timeout_ms } else { request.rebalance_timeout_ms };
    let join = Join {
        member_id: request.member_id.to_string(),
        instance_id: owned(request.group_instance_id),
        client_id: cx.header.client_id.as_deref().unwrap_or_default().to_owned(),
        client_host: cx.client_host(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: rebalance_timeout_ms.max(0),
        protocol_type: request.protocol_type.to_string(),
        protocols: copied(request.protocols),
        requires_member_id: version >= FIRST_WITH_MEMBER_ID,
        can_skip_assignment: version >= FIRST_SKIPPING,
    };
    answer(cx.broker.groups().join(&request.group_id, join).await, version)
}

/// A group must not keep the blocks that requests are read into.
fn copied(protocols: Vec<JoinGroupRequestProtocol>) -> Vec<Protocol> {
    let copy = |protocol: JoinGroupRequestProtocol| Protocol {
        name: protocol.name.to_string(),
        metadata: Bytes::copy_from_slice(&protocol.metadata),
    };
    protocols.into_iter().map(copy).collect()
}

fn answer(joined: Joined, version: i16) -> JoinGroupResponse {
    let member = |member: JoinedMember| {
        JoinGroupResponseMember::default()
            .with_member_id(text(member.member_id))
            .with_group_instance_id(member.instance_id.map(text))
            .with_metadata(member.metadata)
    };
    let protocol = if version < FIRST_WITHOUT_PROTOCOL {
        joined.protocol.or_else(|| Some(String::new()))
    } else {
        joined.protocol
    };
    JoinGroupResponse::default()
        .with_error_code(joined.error.code())
        .with_generation_id(joined.generation)
        .with_protocol_type(joined.protocol_type.map(text))
        .with_protocol_name(protocol.map(text))
        .with_leader(text(joined.leader))
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(text(joined.member_id))
        .with_members(joined.members.into_iter().map(member).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_member_brings_does_not_keep_its_request() {
        let request = Bytes::from(b"a request with metadata".to_vec());
        let protocols = copied(vec![JoinGroupRequestProtocol::default().with_metadata(request.slice(15..))]);
        assert_eq!(&protocols[0].metadata[..], b"metadata");
        assert!(request.is_unique());
    }
}
