//! FindCoordinator (10): who coordinates a group. Alone, a broker coordinates all of them; transactions there are none yet.

use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::find_coordinator_response::Coordinator;
use chronik_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use crate::api::RequestContext;
use crate::handlers::text;

/// The first version that asks for several keys at once.
const FIRST_BATCHED: i16 = 4;
/// Kafka's types of keys.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(crate) fn handle(cx: &RequestContext, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let found = find(cx, request.key_type);
    if cx.version() < FIRST_BATCHED {
        let response = FindCoordinatorResponse::default();
        return match found {
            Ok((id, host, port)) => {
                response.with_node_id(BrokerId(id)).with_host(text(host)).with_port(port).with_error_message(None)
            }
            Err((error, why)) => response
                .with_error_code(error.code())
                .with_error_message((cx.version() > 0).then(|| text(why)))
                .with_node_id(BrokerId(-1))
                .with_port(-1),
        };
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| {
        let coordinator = Coordinator::default().with_key(key);
        match &found {
            Ok((id, host, port)) => coordinator
                .with_node_id(BrokerId(*id))
                .with_host(text(host.clone()))
                .with_port(*port)
                .with_error_message(None),
            Err((error, why)) => coordinator
                .with_error_code(error.code())
                .with_error_message(Some(text(*why)))
                .with_node_id(BrokerId(-1))
                .with_port(-1),
        }
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

fn find(cx: &RequestContext, key_type: i8) -> Result<(i32, String, i32), (ErrorCode, &'static str)> {
    match key_type {
        GROUP => {}
        TRANSACTION => return Err((ErrorCode::CoordinatorNotAvailable, "this broker has no transactions")),
        _ => return Err((ErrorCode::InvalidRequest, "unknown type of coordinator key")),
    }
    let endpoints = cx.broker.endpoints(&cx.broker.image(), &cx.origin);
    let own = endpoints.into_iter().find(|node| node.id == cx.broker.node_id());
    let own = own.ok_or((ErrorCode::CoordinatorNotAvailable, "this broker is not registered"))?;
    Ok((own.id, own.host, own.port.into()))
}
