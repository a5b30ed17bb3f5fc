//! Consumer groups and their offsets.

pub(crate) mod consumer_group_describe;
pub(crate) mod consumer_group_heartbeat;
pub(crate) mod delete_groups;
pub(crate) mod describe_groups;
pub(crate) mod heartbeat;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod list_groups;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
pub(crate) mod sync_group;

use chronik_metadata::features::GROUP_VERSION;
use chronik_protocol::StrBytes;
use chronik_protocol::error::ErrorCode;

use crate::api::RequestContext;

fn owned(text: Option<StrBytes>) -> Option<String> {
    text.map(|text| text.to_string())
}

/// Whether the groups of KIP-848 are on. As in Kafka, those that are there when they go off keep what they have.
fn has_consumer_protocol(cx: &RequestContext) -> bool {
    cx.broker.image().finalized_level(GROUP_VERSION) > 0
}

fn code(outcome: Result<(), ErrorCode>) -> i16 {
    outcome.err().unwrap_or(ErrorCode::None).code()
}
