//! The resource "broker logger" (KIP-412): levels of the log, changed at once and gone with the process. Checks and texts are
//! those of Kafka's brokers.

use std::collections::BTreeMap;

use chronik_config::ConfigSource;
use chronik_protocol::StrBytes;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use tracing::warn;

use super::config_changes::{Operation, Refusal, invalid_config, invalid_request};
use crate::api::RequestContext;
use crate::handlers::text;
use crate::loggers::{LogLevel, ROOT_LOGGER};

/// A level of a logger's own, or `None` for the one it inherits.
type Change = (String, Option<LogLevel>);

/// Every logger of this broker with the level in force.
pub(super) fn describe(
    cx: &RequestContext,
    broker_id: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<DescribeConfigsResourceResult>, String> {
    let own = cx.broker.node_id();
    if broker_id.is_empty() {
        return Err("Broker id must not be empty".into());
    }
    match broker_id.parse::<i32>() {
        Err(_) => return Err(format!("Broker id must be an integer, but it is: {broker_id}")),
        Ok(id) if id != own => return Err(format!("Unexpected broker id, expected {own} but received {broker_id}")),
        Ok(_) => {}
    }
    let described = |(name, level): (String, LogLevel)| {
        DescribeConfigsResourceResult::default()
            .with_name(text(name))
            .with_value(Some(StrBytes::from_static_str(level.name())))
            .with_config_source(ConfigSource::DynamicBrokerLogger.number())
            .with_documentation(Some(StrBytes::default()))
    };
    let levels = cx.broker.loggers().levels().into_iter().filter(|(name, _)| wanted(name));
    Ok(levels.map(described).collect())
}

/// Checks all that is asked of the loggers of this broker, and carries it out.
pub(super) fn alter(
    cx: &RequestContext,
    broker_id: &str,
    operations: &[(String, Operation)],
    validate_only: bool,
) -> Result<(), Refusal> {
    let own = cx.broker.node_id();
    let loggers = cx.broker.loggers();
    let changes = checked(own, broker_id, operations, &loggers.levels())?;
    if validate_only {
        return Ok(());
    }
    loggers.set(&changes);
    for (name, level) in changes {
        warn!(logger = name, level = level.map(LogLevel::name), "the level of a logger was changed by request");
    }
    Ok(())
}

fn checked(
    own: i32,
    broker_id: &str,
    operations: &[(String, Operation)],
    loggers: &BTreeMap<String, LogLevel>,
) -> Result<Vec<Change>, Refusal> {
    match broker_id.parse::<i32>() {
        Err(_) => return Err(invalid_request(format!("Node id must be an integer, but it is: {broker_id}"))),
        Ok(id) if id != own => {
            return Err(invalid_request(format!("Unexpected node id. Expected {own}, but received {broker_id}")));
        }
        Ok(_) => {}
    }
    operations.iter().map(|(name, operation)| Ok((name.clone(), level(name, operation, loggers)?))).collect()
}

fn level(name: &str, operation: &Operation, loggers: &BTreeMap<String, LogLevel>) -> Result<Option<LogLevel>, Refusal> {
    let not_for_lists = |operation: &str| {
        Err(invalid_request(format!("{operation} operation is not allowed for the BROKER_LOGGER resource")))
    };
    match operation {
        Operation::Append(_) => not_for_lists("APPEND"),
        Operation::Subtract(_) => not_for_lists("SUBTRACT"),
        _ if !loggers.contains_key(name) => Err(invalid_config(format!("Logger {name} does not exist!"))),
        Operation::Delete if name == ROOT_LOGGER => {
            Err(invalid_request(format!("Removing the log level of the {ROOT_LOGGER} logger is not allowed")))
        }
        Operation::Delete => Ok(None),
        Operation::Set(value) => LogLevel::from_name(value).map(Some).ok_or_else(|| {
            invalid_config(format!(
                "Cannot set the log level of {name} to {value} as it is not a supported log level. Valid log levels are DEBUG, \
                 ERROR, FATAL, INFO, TRACE, WARN"
            ))
        }),
    }
}

/// The refusal of a resource that a request names more than once.
pub(super) fn named_twice() -> Refusal {
    (ErrorCode::InvalidRequest.code(), "Each resource must appear at most once.".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alter(broker_id: &str, operations: &[(&str, Operation)]) -> Result<Vec<Change>, Refusal> {
        let loggers = ["a", ROOT_LOGGER].map(|name| (name.to_owned(), LogLevel::Info)).into();
        let operations: Vec<_> = operations.iter().map(|(name, one)| ((*name).to_owned(), one.clone())).collect();
        checked(1, broker_id, &operations, &loggers)
    }

    fn set(level: &str) -> Operation {
        Operation::Set(level.to_owned())
    }

    #[test]
    fn levels_are_set_and_taken_away() {
        let change = |level| Ok(vec![("a".to_owned(), level)]);
        for (name, level) in [
            ("TRACE", LogLevel::Trace),
            ("DEBUG", LogLevel::Debug),
            ("INFO", LogLevel::Info),
            ("WARN", LogLevel::Warn),
            ("ERROR", LogLevel::Error),
            ("FATAL", LogLevel::Error),
        ] {
            assert_eq!(alter("1", &[("a", set(name))]), change(Some(level)));
        }
        assert_eq!(alter("1", &[("a", Operation::Delete)]), change(None));
        assert_eq!(alter("1", &[]), Ok(Vec::new()));
    }

    /// The words are those of Apache Kafka 4.3.1.
    #[test]
    fn what_kafka_refuses_is_refused() {
        let (request, config) = (ErrorCode::InvalidRequest, ErrorCode::InvalidConfig);
        for (broker_id, name, operation, error, message) in [
            ("9", "a", set("INFO"), request, "Unexpected node id. Expected 1, but received 9"),
            ("", "a", set("INFO"), request, "Node id must be an integer, but it is: "),
            ("x", "a", set("INFO"), request, "Node id must be an integer, but it is: x"),
            ("1", "b", set("INFO"), config, "Logger b does not exist!"),
            ("1", "b", Operation::Delete, config, "Logger b does not exist!"),
            (
                "1",
                "a",
                set("info"),
                config,
                "Cannot set the log level of a to info as it is not a supported log level. Valid log levels are DEBUG, ERROR, \
                 FATAL, INFO, TRACE, WARN",
            ),
            ("1", "root", Operation::Delete, request, "Removing the log level of the root logger is not allowed"),
            (
                "1",
                "b",
                Operation::Append("INFO".into()),
                request,
                "APPEND operation is not allowed for the BROKER_LOGGER resource",
            ),
            (
                "1",
                "a",
                Operation::Subtract("INFO".into()),
                request,
                "SUBTRACT operation is not allowed for the BROKER_LOGGER resource",
            ),
        ] {
            assert_eq!(alter(broker_id, &[(name, operation)]), Err((error.code(), message.to_owned())));
        }
        assert!(alter("1", &[("a", set("INFO")), ("b", set("INFO"))]).is_err(), "all of it or nothing");
    }
}
