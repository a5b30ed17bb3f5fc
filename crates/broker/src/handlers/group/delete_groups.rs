//! DeleteGroups (42).

use chronik_protocol::messages::delete_groups_response::DeletableGroupResult;
use chronik_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::code;
use crate::api::RequestContext;

pub(crate) async fn handle(cx: &RequestContext, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group_id in request.groups_names {
        let outcome = cx.broker.groups().delete(&group_id).await;
        results.push(DeletableGroupResult::default().with_group_id(group_id).with_error_code(code(outcome)));
    }
    DeleteGroupsResponse::default().with_results(results)
}
