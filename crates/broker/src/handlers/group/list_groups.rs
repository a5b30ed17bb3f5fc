//! ListGroups (16), by state and type where asked for (KIP-518, KIP-848).

use chronik_protocol::messages::list_groups_response::ListedGroup;
use chronik_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};

use crate::api::RequestContext;
use crate::handlers::text;

const CLASSIC: &str = "classic";

pub(crate) fn handle(cx: &RequestContext, request: ListGroupsRequest) -> ListGroupsResponse {
    let wanted = |filter: &[chronik_protocol::StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|one| one.eq_ignore_ascii_case(value))
    };
    let mut groups = Vec::new();
    if wanted(&request.types_filter, CLASSIC) {
        for group_id in cx.broker.groups().ids() {
            let Some(description) = cx.broker.groups().describe(&group_id) else { continue };
            if !wanted(&request.states_filter, description.state.name()) {
                continue;
            }
            groups.push(
                ListedGroup::default()
                    .with_group_id(GroupId(text(group_id)))
                    .with_protocol_type(text(description.protocol_type))
                    .with_group_state(text(description.state.name()))
                    .with_group_type(text(CLASSIC)),
            );
        }
    }
    ListGroupsResponse::default().with_groups(groups)
}
