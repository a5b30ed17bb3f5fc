//! ListGroups (16), by state and type where asked for (KIP-518, KIP-848).

use chronik_protocol::messages::list_groups_response::ListedGroup;
use chronik_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};

use crate::api::RequestContext;
use crate::handlers::text;

pub(crate) fn handle(cx: &RequestContext, request: ListGroupsRequest) -> ListGroupsResponse {
    let wanted = |filter: &[chronik_protocol::StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|one| one.eq_ignore_ascii_case(value))
    };
    let mut groups = Vec::new();
    for group_id in cx.broker.groups().ids() {
        let Some(listed) = cx.broker.groups().listed(&group_id) else { continue };
        if wanted(&request.types_filter, listed.group_type) && wanted(&request.states_filter, listed.state) {
            groups.push(
                ListedGroup::default()
                    .with_group_id(GroupId(text(group_id)))
                    .with_protocol_type(text(listed.protocol_type))
                    .with_group_state(text(listed.state))
                    .with_group_type(text(listed.group_type)),
            );
        }
    }
    ListGroupsResponse::default().with_groups(groups)
}
