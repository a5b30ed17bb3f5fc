//! CreatePartitions (37, KIP-195): more partitions for a topic, never fewer.

use chronik_metadata::request::{CreatePartitions, CreatePartitionsResult, NewPartitions};
use chronik_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use chronik_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use crate::api::RequestContext;
use crate::handlers::{text, wire_name};

pub(crate) async fn handle(cx: &RequestContext, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let topics = request.topics.iter().map(|topic| NewPartitions {
        name: topic.name.to_string(),
        count: topic.count,
        assignments: topic
            .assignments
            .as_ref()
            .map(|a| a.iter().map(|a| a.broker_ids.iter().map(|b| b.0).collect()).collect()),
    });
    let wanted = CreatePartitions { topics: topics.collect(), validate_only: request.validate_only };
    let results = match cx.broker.controller().create_partitions(wanted).await {
        Ok(results) => results.into_iter().map(answer).collect(),
        Err(e) => {
            let code = crate::broker::submit_error_code(&e).code();
            request.topics.iter().map(|t| refused(&t.name, code, e.to_string())).collect()
        }
    };
    CreatePartitionsResponse::default().with_results(results)
}

fn answer(result: CreatePartitionsResult) -> CreatePartitionsTopicResult {
    match result.result {
        Ok(()) => CreatePartitionsTopicResult::default().with_name(wire_name(&result.name)).with_error_message(None),
        Err(e) => refused(&result.name, e.code(), e.to_string()),
    }
}

fn refused(name: &str, code: i16, message: String) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult::default()
        .with_name(wire_name(name))
        .with_error_code(code)
        .with_error_message(Some(text(message)))
}
