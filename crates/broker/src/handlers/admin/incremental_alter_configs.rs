//! IncrementalAlterConfigs (44): sets, unsets, and changes of lists, key by key (KIP-339).

use chronik_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use chronik_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use chronik_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::config_changes::{Asked, Operation, Refusal, change, invalid_request};
use crate::api::RequestContext;
use crate::handlers::text;

pub(crate) async fn handle(
    cx: &RequestContext,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let named: Vec<_> = request.resources.iter().map(|one| (one.resource_type, one.resource_name.clone())).collect();
    let asked = request.resources.into_iter().map(|one| Asked {
        resource_type: one.resource_type,
        resource_name: one.resource_name.to_string(),
        operations: one.configs.into_iter().map(operation).collect(),
    });
    let outcomes = change(cx, asked.collect(), false, request.validate_only).await;
    let responses = named.into_iter().zip(outcomes).map(|((resource_type, resource_name), outcome)| {
        let (code, message) = outcome.map_or_else(|(code, message)| (code, Some(message)), |()| (0, None));
        AlterConfigsResourceResponse::default()
            .with_resource_type(resource_type)
            .with_resource_name(resource_name)
            .with_error_code(code)
            .with_error_message(message.map(text))
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}

fn operation(config: AlterableConfig) -> Result<(String, Operation), Refusal> {
    let key = config.name.to_string();
    let value = config.value.map(|value| value.to_string());
    let needed = |value: Option<String>| {
        value.ok_or_else(|| invalid_request(format!("Null value not supported for : {}", config.name.as_str())))
    };
    let operation = match config.config_operation {
        0 => Operation::Set(needed(value)?),
        1 => Operation::Delete,
        2 => Operation::Append(needed(value)?),
        3 => Operation::Subtract(needed(value)?),
        other => return Err(invalid_request(format!("unknown operation {other}"))),
    };
    Ok((key, operation))
}
