//! CreatePartitions (37, KIP-195): more partitions for a topic, never fewer.

use chronik_metadata::request::{CreatePartitions, CreatePartitionsResult, NewPartitions};
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use chronik_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use crate::api::RequestContext;
use crate::handlers::{QUOTA_EXCEEDED, text, wire_name};

/// The first version that knows THROTTLING_QUOTA_EXCEEDED (KIP-599).
const FIRST_STRICT: i16 = 3;

pub(crate) async fn handle(cx: &RequestContext, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let topics = request.topics.iter().map(|topic| NewPartitions {
        name: topic.name.to_string(),
        count: topic.count,
        assignments: topic
            .assignments
            .as_ref()
            .map(|a| a.iter().map(|a| a.broker_ids.iter().map(|b| b.0).collect()).collect()),
    });
    let image = cx.broker.image();
    // One that is going to be refused costs nothing.
    let added = |topic: &NewPartitions| {
        let wanted = usize::try_from(topic.count).ok().filter(|count| *count <= cx.broker.max_partitions_per_topic());
        let known = image.topic(&topic.name).map(|known| known.partitions().len());
        wanted.zip(known).map_or(0, |(wanted, now)| wanted.saturating_sub(now))
    };
    let (topics, throttled): (Vec<_>, Vec<_>) = topics.partition(|topic| match added(topic) {
        0 => true,
        added => cx.charge_mutation(added, cx.version() >= FIRST_STRICT),
    });
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let wanted = CreatePartitions { topics, validate_only: request.validate_only };
    let mut results: Vec<_> = match cx.broker.controller().create_partitions(wanted).await {
        Ok(results) => results.into_iter().map(answer).collect(),
        Err(e) => {
            let code = crate::broker::submit_error_code(&e).code();
            names.iter().map(|name| refused(name, code, e.to_string())).collect()
        }
    };
    let throttled = throttled
        .into_iter()
        .map(|topic| refused(&topic.name, ErrorCode::ThrottlingQuotaExceeded.code(), QUOTA_EXCEEDED.into()));
    results.extend(throttled);
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
