//! Heartbeat (12).

use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::code;
use crate::api::RequestContext;

pub(crate) async fn handle(cx: &RequestContext, request: HeartbeatRequest) -> HeartbeatResponse {
    let outcome = if request.group_id.is_empty() {
        Err(ErrorCode::InvalidGroupId)
    } else {
        let instance_id = request.group_instance_id.as_deref();
        cx.broker.groups().heartbeat(&request.group_id, &request.member_id, instance_id, request.generation_id).await
    };
    HeartbeatResponse::default().with_error_code(code(outcome))
}
