//! InitProducerId (22, KIP-98): a fresh producer id for an idempotent producer.

use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use tracing::warn;

use crate::api::RequestContext;

/// A producer without an id, or without an epoch.
const NONE: i64 = -1;

pub(crate) async fn handle(cx: &RequestContext, request: InitProducerIdRequest) -> InitProducerIdResponse {
    match producer_id(cx, &request).await {
        Ok((id, epoch)) => {
            InitProducerIdResponse::default().with_producer_id(ProducerId(id)).with_producer_epoch(epoch)
        }
        Err(e) => InitProducerIdResponse::default()
            .with_error_code(e.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1),
    }
}

async fn producer_id(cx: &RequestContext, request: &InitProducerIdRequest) -> Result<(i64, i16), ErrorCode> {
    if let Some(transactional_id) = &request.transactional_id {
        warn!(peer = %cx.origin.peer, transactional_id = %transactional_id.0, "transactions are not supported: producer id refused");
        return Err(ErrorCode::InvalidRequest);
    }
    // KIP-360: a producer brings both or neither.
    if (request.producer_id.0 == NONE) != (i64::from(request.producer_epoch) == NONE) {
        return Err(ErrorCode::InvalidRequest);
    }
    // Without a transactional id Kafka ignores the id and epoch that a producer brings along, and gives a new id.
    cx.broker.producer_ids().next(&cx.broker).await.map(|id| (id, 0)).map_err(|e| {
        warn!("cannot allocate a producer id: {e}");
        // What Kafka answers as well: retriable for clients of any age.
        ErrorCode::CoordinatorLoadInProgress
    })
}
