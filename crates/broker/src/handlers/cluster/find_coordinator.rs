//! FindCoordinator (10): says that no coordinator is available, which is so: there are no groups or transactions yet.
//!
//! It is advertised because librdkafka takes a broker without it for one that cannot read lz4, and silently sends such batches
//! uncompressed (docs/decisions/0003).

use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::find_coordinator_response::Coordinator;
use chronik_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use crate::api::RequestContext;
use crate::handlers::text;

/// The first version that asks for several keys at once.
const FIRST_BATCHED: i16 = 4;
const WHY: &str = "this broker has no consumer groups and no transactions";

pub(crate) fn handle(cx: &RequestContext, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let error = ErrorCode::CoordinatorNotAvailable.code();
    if cx.version() < FIRST_BATCHED {
        let message = (cx.version() > 0).then(|| text(WHY));
        return FindCoordinatorResponse::default()
            .with_error_code(error)
            .with_error_message(message)
            .with_node_id(BrokerId(-1))
            .with_port(-1);
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| {
        Coordinator::default()
            .with_key(key)
            .with_error_code(error)
            .with_error_message(Some(text(WHY)))
            .with_node_id(BrokerId(-1))
            .with_port(-1)
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}
