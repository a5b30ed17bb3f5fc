//! UnregisterBroker (64): a broker is gone for good (KIP-631).

use chronik_metadata::request::UnregisterBroker;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use crate::api::RequestContext;
use crate::broker::submit_error_code;
use crate::handlers::text;

pub(crate) async fn handle(cx: &RequestContext, request: UnregisterBrokerRequest) -> UnregisterBrokerResponse {
    let request = UnregisterBroker { broker_id: request.broker_id.0 };
    let response = UnregisterBrokerResponse::default();
    if request.broker_id == cx.broker.node_id() {
        let message = format!("broker {} is running: it answers this request", request.broker_id);
        return response.with_error_code(ErrorCode::InvalidRequest.code()).with_error_message(Some(text(message)));
    }
    match cx.broker.controller().unregister_broker(request).await {
        Ok(Ok(())) => response.with_error_message(None),
        Ok(Err(e)) => response.with_error_code(e.code()).with_error_message(Some(text(e.to_string()))),
        Err(e) => response.with_error_code(submit_error_code(&e).code()).with_error_message(Some(text(e.to_string()))),
    }
}
