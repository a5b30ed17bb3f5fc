//! AlterConfigs (33): all that is set on a resource, replaced.

use chronik_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use chronik_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::config_changes::{Asked, Operation, change, invalid_request};
use crate::api::RequestContext;
use crate::handlers::text;

pub(crate) async fn handle(cx: &RequestContext, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let named: Vec<_> = request.resources.iter().map(|one| (one.resource_type, one.resource_name.clone())).collect();
    let asked = request.resources.into_iter().map(|one| {
        let operations = one.configs.into_iter().map(|config| match config.value {
            Some(value) => Ok((config.name.to_string(), Operation::Set(value.to_string()))),
            None => Err(invalid_request(format!("Null value not supported for : {}", config.name.as_str()))),
        });
        Asked {
            resource_type: one.resource_type,
            resource_name: one.resource_name.to_string(),
            operations: operations.collect(),
        }
    });
    let outcomes = change(cx, asked.collect(), true, request.validate_only).await;
    let responses = named.into_iter().zip(outcomes).map(|((resource_type, resource_name), outcome)| {
        let (code, message) = outcome.map_or_else(|(code, message)| (code, Some(message)), |()| (0, None));
        AlterConfigsResourceResponse::default()
            .with_resource_type(resource_type)
            .with_resource_name(resource_name)
            .with_error_code(code)
            .with_error_message(message.map(text))
    });
    AlterConfigsResponse::default().with_responses(responses.collect())
}
