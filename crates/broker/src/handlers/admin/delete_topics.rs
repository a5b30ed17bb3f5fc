//! DeleteTopics (20): by name, or from version 6 on by id. The disk is freed at once.

use chronik_metadata::request::{DeleteTopicResult, TopicRef};
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::delete_topics_response::DeletableTopicResult;
use chronik_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use crate::api::RequestContext;
use crate::handlers::{QUOTA_EXCEEDED, text, wire_name};
use crate::topics;

/// The first version that knows THROTTLING_QUOTA_EXCEEDED (KIP-599).
const FIRST_STRICT: i16 = 5;

pub(crate) async fn handle(cx: &RequestContext, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let mut malformed = Vec::new();
    let mut named: Vec<TopicRef> = request.topic_names.iter().map(|name| TopicRef::Name(name.to_string())).collect();
    for state in &request.topics {
        match (&state.name, state.topic_id.is_nil()) {
            (Some(name), true) => named.push(TopicRef::Name(name.to_string())),
            (None, false) => named.push(TopicRef::Id(state.topic_id)),
            (name, _) => malformed.push(
                DeletableTopicResult::default()
                    .with_name(name.clone())
                    .with_topic_id(state.topic_id)
                    .with_error_code(ErrorCode::InvalidRequest.code())
                    .with_error_message(Some(text("a topic is named either by its name or by its id"))),
            ),
        }
    }
    // As Kafka: what is named twice is answered once, with an error.
    named.sort();
    let mut topics: Vec<TopicRef> = Vec::with_capacity(named.len());
    for same in named.chunk_by(|a, b| a == b) {
        match same {
            [one] => topics.push(one.clone()),
            [first, ..] => {
                malformed.push(refused(first.clone(), ErrorCode::InvalidRequest.code(), "named more than once".into()))
            }
            [] => {}
        }
    }
    if !cx.broker.deletes_topics() {
        // Versions before 3 do not know the error.
        let error = if cx.version() < 3 { ErrorCode::InvalidRequest } else { ErrorCode::TopicDeletionDisabled };
        return respond(
            topics
                .into_iter()
                .map(|topic| refused(topic, error.code(), "delete.topic.enable is false".into()))
                .collect(),
        );
    }
    let image = cx.broker.image();
    let partitions = |topic: &TopicRef| match topic {
        TopicRef::Name(name) => image.topic(name).map_or(0, |known| known.partitions().len()),
        TopicRef::Id(id) => image.topic_by_id(*id).map_or(0, |known| known.partitions().len()),
    };
    let (topics, throttled): (Vec<_>, Vec<_>) =
        topics.into_iter().partition(|topic| cx.charge_mutation(partitions(topic), cx.version() >= FIRST_STRICT));
    let mut results: Vec<_> = match topics::delete(&cx.broker, topics.clone()).await {
        Ok(results) => results.into_iter().map(answer).collect(),
        Err(e) => {
            let code = crate::broker::submit_error_code(&e).code();
            topics.into_iter().map(|topic| refused(topic, code, e.to_string())).collect()
        }
    };
    results.extend(malformed);
    let error = ErrorCode::ThrottlingQuotaExceeded.code();
    results.extend(throttled.into_iter().map(|topic| refused(topic, error, QUOTA_EXCEEDED.into())));
    respond(results)
}

fn respond(results: Vec<DeletableTopicResult>) -> DeleteTopicsResponse {
    DeleteTopicsResponse::default().with_responses(results)
}

fn answer(result: DeleteTopicResult) -> DeletableTopicResult {
    match result.result {
        Ok(deleted) => DeletableTopicResult::default()
            .with_name(Some(wire_name(&deleted.name)))
            .with_topic_id(deleted.topic_id)
            .with_error_message(None),
        Err(e) => refused(result.topic, e.code(), e.to_string()),
    }
}

fn refused(topic: TopicRef, code: i16, message: String) -> DeletableTopicResult {
    let result = DeletableTopicResult::default().with_error_code(code).with_error_message(Some(text(message)));
    match topic {
        TopicRef::Name(name) => result.with_name(Some(wire_name(&name))),
        TopicRef::Id(id) => result.with_name(None).with_topic_id(id),
    }
}
