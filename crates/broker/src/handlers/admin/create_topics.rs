//! CreateTopics (19): one atomic decision of the controller for the whole request, one result a topic.

use chronik_config::{describe_topic, validate_topic_overrides};
use chronik_metadata::request::{CreateTopicResult, CreateTopics, CreatedTopic, NewTopic};
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::create_topics_request::CreatableTopic;
use chronik_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use chronik_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

use crate::api::RequestContext;
use crate::handlers::{QUOTA_EXCEEDED, text, wire_name};

/// The first version that knows THROTTLING_QUOTA_EXCEEDED (KIP-599).
const FIRST_STRICT: i16 = 6;

pub(crate) async fn handle(cx: &RequestContext, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut results: Vec<CreatableTopicResult> = Vec::with_capacity(request.topics.len());
    let mut topics = Vec::with_capacity(request.topics.len());
    let image = cx.broker.image();
    for topic in &request.topics {
        match checked(cx, topic) {
            Ok(topic) if image.topic(&topic.name).is_none() && !allowed(cx, &topic) => {
                let error = ErrorCode::ThrottlingQuotaExceeded.code();
                results.push(refused(&topic.name, error, QUOTA_EXCEEDED.into()));
            }
            Ok(topic) => topics.push(topic),
            Err(message) => results.push(refused(&topic.name, ErrorCode::InvalidConfig.code(), message)),
        }
    }
    let configs: Vec<_> = topics.iter().map(|t| (t.name.clone(), t.configs.clone())).collect();
    let request = CreateTopics { topics, validate_only: request.validate_only, defaults: cx.broker.topic_defaults() };
    match cx.broker.controller().create_topics(request).await {
        Ok(decided) => results.extend(decided.into_iter().map(|r| answer(cx, r, &configs))),
        Err(e) => {
            let code = crate::broker::submit_error_code(&e).code();
            results.extend(configs.iter().map(|(name, _)| refused(name, code, e.to_string())));
        }
    }
    CreateTopicsResponse::default().with_topics(results)
}

/// Whether the quota on changes of topics lets this one be made. One that is going to be refused costs nothing.
fn allowed(cx: &RequestContext, topic: &NewTopic) -> bool {
    let partitions = match topic.num_partitions {
        _ if !topic.assignments.is_empty() => topic.assignments.len(),
        count if count < 0 => cx.broker.topic_defaults().num_partitions.max(0) as usize,
        count => count as usize,
    };
    partitions > cx.broker.max_partitions_per_topic() || cx.charge_mutation(partitions, cx.version() >= FIRST_STRICT)
}

/// The topic with its settings found valid; they are checked here because the table of settings is the broker's.
fn checked(cx: &RequestContext, topic: &CreatableTopic) -> Result<NewTopic, String> {
    let mut configs = Vec::with_capacity(topic.configs.len());
    for config in &topic.configs {
        let value = config
            .value
            .as_ref()
            .ok_or_else(|| format!("null value not supported for topic configs: {}", config.name))?;
        configs.push((config.name.to_string(), value.to_string()));
    }
    validate_topic_overrides(&cx.broker.settings(), configs.iter().map(|(k, v)| (k.as_str(), v.as_str())))
        .map_err(|e| e.to_string())?;
    Ok(NewTopic {
        name: topic.name.to_string(),
        num_partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic
            .assignments
            .iter()
            .map(|a| (a.partition_index, a.broker_ids.iter().map(|b| b.0).collect()))
            .collect(),
        configs,
    })
}

fn refused(name: &str, code: i16, message: String) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(wire_name(name))
        .with_error_code(code)
        .with_error_message(Some(text(message)))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_configs(Some(Vec::new()))
}

fn answer(
    cx: &RequestContext,
    result: CreateTopicResult,
    configs: &[(String, Vec<(String, String)>)],
) -> CreatableTopicResult {
    let CreatedTopic { topic_id, num_partitions, replication_factor } = match result.result {
        Ok(created) => created,
        Err(e) => return refused(&result.name, e.code(), e.to_string()),
    };
    let overrides = configs.iter().find(|(name, _)| *name == result.name).map_or(&[][..], |(_, configs)| configs);
    CreatableTopicResult::default()
        .with_name(wire_name(&result.name))
        .with_topic_id(topic_id)
        .with_error_message(None)
        .with_num_partitions(num_partitions)
        .with_replication_factor(replication_factor)
        .with_configs(Some(effective(cx, overrides)))
}

/// KIP-525: the settings the topic got, with where each comes from.
fn effective(cx: &RequestContext, overrides: &[(String, String)]) -> Vec<CreatableTopicConfigs> {
    let described = describe_topic(&cx.broker.settings(), overrides.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    let configs = described.into_iter().map(|d| {
        CreatableTopicConfigs::default()
            .with_name(text(d.name))
            .with_value(d.value.map(text))
            .with_read_only(d.read_only)
            .with_config_source(d.source.number())
            .with_is_sensitive(d.sensitive)
    });
    configs.collect()
}
