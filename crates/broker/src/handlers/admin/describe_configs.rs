//! DescribeConfigs (32): every setting of a topic, this broker, a group or a subscription to metrics, with source,
//! synonyms, type and documentation; and the levels of this broker's loggers.

use std::collections::BTreeSet;

use chronik_config::{Described, describe_broker, describe_client_metrics, describe_group, describe_topic};
use chronik_metadata::image::Configs;
use chronik_metadata::request::ConfigResource;
use chronik_protocol::StrBytes;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::describe_configs_request::DescribeConfigsResource;
use chronik_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use chronik_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use chronik_protocol::types::TopicName;

use crate::api::RequestContext;
use crate::handlers::admin::broker_loggers;
use crate::handlers::admin::resource_type::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use crate::handlers::text;
use crate::topics::META;

pub(crate) fn handle(cx: &RequestContext, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let mut seen = BTreeSet::new();
    // However often a resource is named, it is described once: the answer stays in proportion.
    let resources = request.resources.iter().filter(|r| seen.insert((r.resource_type, &r.resource_name)));
    let results = resources.map(|resource| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        let wanted = |name: &str| match &resource.configuration_keys {
            // As Kafka: no keys at all ask for every key.
            Some(keys) if !keys.is_empty() => keys.iter().any(|k| **k == *name),
            _ => true,
        };
        if resource.resource_type == BROKER_LOGGER {
            return match broker_loggers::describe(cx, &resource.resource_name, wanted) {
                Ok(configs) => result.with_error_message(None).with_configs(configs),
                Err(message) => {
                    result.with_error_code(ErrorCode::InvalidRequest.code()).with_error_message(Some(text(message)))
                }
            };
        }
        match describe(cx, resource) {
            Ok(all) => {
                let configs = all
                    .into_iter()
                    .filter(|d| wanted(&d.name))
                    .map(|d| entry(d, request.include_synonyms, request.include_documentation));
                result.with_error_message(None).with_configs(configs.collect())
            }
            Err((error, message)) => result.with_error_code(error.code()).with_error_message(message.map(text)),
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn describe(
    cx: &RequestContext,
    resource: &DescribeConfigsResource,
) -> Result<Vec<Described>, (ErrorCode, Option<String>)> {
    let settings = &*cx.broker.settings();
    match resource.resource_type {
        TOPIC => {
            let name = TopicName::new(&resource.resource_name)
                .map_err(|e| (ErrorCode::InvalidTopicException, Some(e.to_string())))?;
            let image = cx.broker.image();
            if name.as_str() != META && image.topic(name.as_str()).is_none() {
                return Err((ErrorCode::UnknownTopicOrPartition, None));
            }
            let overrides = image.topic_configs(name.as_str());
            Ok(describe_topic(settings, of(overrides)))
        }
        BROKER if resource.resource_name.is_empty() => {
            let image = cx.broker.image();
            let set = image.broker_configs(None);
            Ok(describe_broker(&cx.broker.settings_of_all())
                .into_iter()
                .filter(|d| set.contains_key(&d.name))
                .collect())
        }
        BROKER if resource.resource_name.parse() == Ok(cx.broker.node_id()) => Ok(describe_broker(settings)),
        BROKER => {
            let message = format!(
                "unexpected broker id, expected {} or the empty string, but got {}",
                cx.broker.node_id(),
                resource.resource_name
            );
            Err((ErrorCode::InvalidRequest, Some(message)))
        }
        GROUP if resource.resource_name.is_empty() => {
            Err((ErrorCode::InvalidRequest, Some("Group name must not be empty".into())))
        }
        GROUP => {
            let image = cx.broker.image();
            Ok(describe_group(settings, of(image.group_configs(&resource.resource_name))))
        }
        CLIENT_METRICS if resource.resource_name.is_empty() => {
            Err((ErrorCode::InvalidRequest, Some("Client metrics subscription name must not be empty".into())))
        }
        CLIENT_METRICS => {
            let image = cx.broker.image();
            let name = ConfigResource::ClientMetrics(resource.resource_name.to_string());
            Ok(describe_client_metrics(of(image.configs(&name))))
        }
        other => Err((ErrorCode::InvalidRequest, Some(format!("resource type {other} has no settings here")))),
    }
}

fn of(configs: &Configs) -> impl Iterator<Item = (&str, &str)> {
    configs.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

fn entry(described: Described, synonyms: bool, documentation: bool) -> DescribeConfigsResourceResult {
    let synonyms = described.synonyms.iter().filter(|_| synonyms).map(|s| {
        DescribeConfigsSynonym::default()
            .with_name(text(s.name.clone()))
            .with_value(s.value.clone().map(text))
            .with_source(s.source.number())
    });
    DescribeConfigsResourceResult::default()
        .with_synonyms(synonyms.collect())
        .with_name(text(described.name))
        .with_value(described.value.map(text))
        .with_read_only(described.read_only)
        .with_config_source(described.source.number())
        .with_is_sensitive(described.sensitive)
        .with_config_type(described.kind.number())
        .with_documentation(documentation.then(|| StrBytes::from_static_str(described.doc)))
}
