//! What AlterConfigs and IncrementalAlterConfigs share: which resources there are, what may be set on them, and what follows
//! once it is.

use std::collections::{BTreeMap, BTreeSet};

use chronik_config::{
    ResourceConfigError, Scope, append_to_list, subtract_from_list, validate_client_metrics, validate_dynamic,
    validate_group_overrides, validate_topic_overrides,
};
use chronik_env::task::blocking;
use chronik_metadata::Image;
use chronik_metadata::request::{ConfigResource, ResourceChanges, SetConfigs};
use chronik_protocol::error::ErrorCode;
use chronik_quorum::SubmitError;
use tracing::error;

use crate::api::RequestContext;
use crate::broker::submit_error_code;
use crate::handlers::admin::{
    broker_loggers,
    resource_type::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC},
};

/// Why a resource is left as it is: an error code and a sentence.
pub(super) type Refusal = (i16, String);

/// What is done to a key.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Set(String),
    Delete,
    Append(String),
    Subtract(String),
}

/// One resource with what a request wants done to it.
pub(super) struct Asked {
    pub(super) resource_type: i8,
    pub(super) resource_name: String,
    /// `Err` where the request makes no sense.
    pub(super) operations: Result<Vec<(String, Operation)>, Refusal>,
}

/// Checks and carries out, each resource with an outcome of its own. `replace` unsets whatever a resource has beyond what is
/// asked.
pub(super) async fn change(
    cx: &RequestContext,
    asked: Vec<Asked>,
    replace: bool,
    validate_only: bool,
) -> Vec<Result<(), Refusal>> {
    // What is appended to is read first and written later: one request at a time.
    let changing = cx.broker.changing_configs().clone().lock_owned().await;
    let image = cx.broker.image();
    let mut outcomes: Vec<Option<Result<(), Refusal>>> = Vec::with_capacity(asked.len());
    let mut resources = Vec::new();
    let twice = loggers_named_twice(&asked);
    for one in asked {
        if one.resource_type == BROKER_LOGGER && !replace {
            let outcome = match twice.contains(&one.resource_name) {
                true => Err(broker_loggers::named_twice()),
                false => alter_loggers(cx, &one, validate_only),
            };
            outcomes.push(Some(outcome));
            continue;
        }
        match checked(cx, &image, one, replace) {
            Ok(changes) => {
                outcomes.push(None);
                resources.push(changes);
            }
            Err(refusal) => outcomes.push(Some(Err(refusal))),
        }
    }
    let wanted: Vec<ConfigResource> = resources.iter().map(|changes| changes.resource.clone()).collect();
    let broker = cx.broker.clone();
    // What is committed must take effect, whether or not the client is still there to hear of it.
    let decided = cx.broker.carry_through(async move {
        let decided = broker.controller().set_configs(SetConfigs { resources, validate_only }).await;
        if !validate_only {
            // It waits for logs that are being opened or closed.
            let shared = broker.clone();
            if blocking(&*broker.env().tasks, move || shared.apply_configs()).await.is_none() {
                error!("changed settings are not applied to all that is open: the next change or start does it");
            }
        }
        drop(changing);
        decided
    });
    let decided = match decided.await.unwrap_or(Err(SubmitError::Stopping)) {
        Ok(results) => results
            .into_iter()
            .map(|one| (one.resource, one.result.map_err(|e| (e.code(), e.to_string()))))
            .collect::<BTreeMap<_, _>>(),
        Err(e) => {
            let refusal = (submit_error_code(&e).code(), e.to_string());
            wanted.iter().map(|resource| (resource.clone(), Err(refusal.clone()))).collect()
        }
    };
    let mut wanted = wanted.iter();
    outcomes
        .into_iter()
        .map(|outcome| {
            let of_controller = || wanted.next().and_then(|resource| decided.get(resource).cloned());
            outcome.or_else(of_controller).unwrap_or_else(|| Err(unanswered()))
        })
        .collect()
}

fn unanswered() -> Refusal {
    (ErrorCode::UnknownServerError.code(), "the controller gave no answer".into())
}

fn loggers_named_twice(asked: &[Asked]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let of_loggers = asked.iter().filter(|one| one.resource_type == BROKER_LOGGER).map(|one| &one.resource_name);
    of_loggers.filter(|name| !names.insert(*name)).cloned().collect()
}

fn alter_loggers(cx: &RequestContext, asked: &Asked, validate_only: bool) -> Result<(), Refusal> {
    let operations = asked.operations.as_ref().map_err(Clone::clone)?;
    let mut keys = BTreeSet::new();
    if !operations.iter().all(|(key, _)| keys.insert(key)) {
        return Err(invalid_request("Error due to duplicate config keys".into()));
    }
    broker_loggers::alter(cx, &asked.resource_name, operations, validate_only)
}

fn checked(cx: &RequestContext, image: &Image, asked: Asked, replace: bool) -> Result<ResourceChanges, Refusal> {
    let resource = resource(asked.resource_type, asked.resource_name)?;
    let operations = asked.operations?;
    let mut keys = BTreeSet::new();
    if let Some((key, _)) = operations.iter().find(|(key, _)| !keys.insert(key.as_str())) {
        return Err(invalid_request(format!("the config '{key}' is given twice")));
    }
    let before = image.configs(&resource);
    let scope = match resource {
        ConfigResource::Topic(_) => Scope::Topic,
        ConfigResource::Broker(_) => Scope::Broker,
        ConfigResource::ClientMetrics(_) => Scope::ClientMetrics,
        ConfigResource::Group(_) => Scope::Group,
    };
    let mut changes = Vec::with_capacity(operations.len());
    for (key, operation) in operations {
        let now = before.get(&key).map(String::as_str);
        let value = match operation {
            Operation::Set(value) => Some(value),
            Operation::Delete => None,
            Operation::Append(value) => Some(append_to_list(scope, &key, now, &value).map_err(invalid_config)?),
            Operation::Subtract(value) => Some(subtract_from_list(scope, &key, now, &value).map_err(invalid_config)?),
        };
        changes.push((key, value));
    }
    let mut after: BTreeMap<String, String> = if replace { BTreeMap::new() } else { before.clone() };
    for (key, value) in &changes {
        match value {
            Some(value) => after.insert(key.clone(), value.clone()),
            None => after.remove(key),
        };
    }
    let overrides = after.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    match &resource {
        ConfigResource::Topic(_) => {
            validate_topic_overrides(&cx.broker.settings(), overrides).map_err(|e| invalid_config(e.to_string()))?;
        }
        ConfigResource::Broker(id) => {
            for (key, value) in &changes {
                validate_dynamic(key, value.as_deref(), id.is_none()).map_err(|e| invalid_request(e.to_string()))?;
            }
            cx.broker.check_configs(*id, &after).map_err(|e| invalid_request(e.to_string()))?;
        }
        ConfigResource::ClientMetrics(_) => validate_client_metrics(overrides).map_err(|e| of_resource(&e))?,
        ConfigResource::Group(_) => {
            validate_group_overrides(&cx.broker.settings(), overrides).map_err(|e| of_resource(&e))?;
        }
    }
    Ok(ResourceChanges { resource, changes, replace })
}

fn resource(resource_type: i8, name: String) -> Result<ConfigResource, Refusal> {
    match resource_type {
        TOPIC => Ok(ConfigResource::Topic(name)),
        BROKER if name.is_empty() => Ok(ConfigResource::Broker(None)),
        BROKER => {
            let id = name.parse().map_err(|_| invalid_request(format!("'{name}' is not the id of a broker")))?;
            Ok(ConfigResource::Broker(Some(id)))
        }
        CLIENT_METRICS if name.is_empty() => {
            Err(invalid_request("Default client metrics resources are not allowed.".into()))
        }
        CLIENT_METRICS => Ok(ConfigResource::ClientMetrics(name)),
        GROUP if name.is_empty() => Err(invalid_request("Default group resources are not allowed.".into())),
        GROUP => Ok(ConfigResource::Group(name)),
        // The levels of loggers are not replaced as a whole.
        other => Err(invalid_request(format!("Unknown resource type {other}"))),
    }
}

pub(super) fn invalid_request(message: String) -> Refusal {
    (ErrorCode::InvalidRequest.code(), message)
}

fn of_resource(error: &ResourceConfigError) -> Refusal {
    if error.is_invalid_request() { invalid_request(error.to_string()) } else { invalid_config(error.to_string()) }
}

pub(super) fn invalid_config(message: impl Into<String>) -> Refusal {
    (ErrorCode::InvalidConfig.code(), message.into())
}
