//! SyncGroup (14).

use std::collections::BTreeMap;

use bytes::Bytes;
use chronik_coordinator::{Sync, Synced};
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use chronik_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::owned;
use crate::api::RequestContext;
use crate::handlers::text;

/// The first version in which a member names the protocol it joined under (KIP-559).
const FIRST_WITH_PROTOCOL: i16 = 5;

pub(crate) async fn handle(cx: &RequestContext, request: SyncGroupRequest) -> SyncGroupResponse {
    if request.group_id.is_empty() {
        return refused(ErrorCode::InvalidGroupId);
    }
    if cx.version() >= FIRST_WITH_PROTOCOL && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        return refused(ErrorCode::InconsistentGroupProtocol);
    }
    let sync = Sync {
        member_id: request.member_id.to_string(),
        instance_id: owned(request.group_instance_id),
        generation: request.generation_id,
        protocol_type: owned(request.protocol_type),
        protocol: owned(request.protocol_name),
        assignments: copied(request.assignments),
    };
    match cx.broker.groups().sync(&request.group_id, sync).await {
        Ok(Synced { protocol_type, protocol, assignment }) => SyncGroupResponse::default()
            .with_protocol_type(protocol_type.map(text))
            .with_protocol_name(protocol.map(text))
            .with_assignment(assignment),
        Err(error) => refused(error),
    }
}

/// A group must not keep the blocks that requests are read into.
fn copied(assignments: Vec<SyncGroupRequestAssignment>) -> BTreeMap<String, Bytes> {
    assignments.into_iter().map(|one| (one.member_id.to_string(), Bytes::copy_from_slice(&one.assignment))).collect()
}

fn refused(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse::default().with_error_code(error.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_leader_assigns_does_not_keep_its_request() {
        let request = Bytes::from(b"a request with an assignment".to_vec());
        let assignments = copied(vec![SyncGroupRequestAssignment::default().with_assignment(request.slice(18..))]);
        assert_eq!(assignments, BTreeMap::from([(String::new(), Bytes::from_static(b"assignment"))]));
        assert!(request.is_unique());
    }
}
