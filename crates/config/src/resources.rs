//! Settings of groups and of subscriptions to clients' metrics: what may be set, in the words of Kafka's controller.

use std::collections::BTreeMap;

use regex::Regex;

use crate::error::ResourceConfigError;
use crate::groups_config::ConsumerGroupsConfig;
use crate::key::Key;
use crate::settings::Settings;
use crate::table;
use crate::topic_config::inherited;
use crate::value::Value;

/// Keys whose value two broker keys bound; an empty name bounds nothing.
const BOUNDS: [(&str, &str, &str); 14] = [
    (
        "consumer.assignment.interval.ms",
        "group.consumer.min.assignment.interval.ms",
        "group.consumer.max.assignment.interval.ms",
    ),
    (
        "consumer.heartbeat.interval.ms",
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ),
    ("consumer.session.timeout.ms", "group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms"),
    (
        "share.assignment.interval.ms",
        "group.share.min.assignment.interval.ms",
        "group.share.max.assignment.interval.ms",
    ),
    ("share.delivery.count.limit", "group.share.min.delivery.count.limit", "group.share.max.delivery.count.limit"),
    ("share.heartbeat.interval.ms", "group.share.min.heartbeat.interval.ms", "group.share.max.heartbeat.interval.ms"),
    (
        "share.partition.max.record.locks",
        "group.share.min.partition.max.record.locks",
        "group.share.max.partition.max.record.locks",
    ),
    (
        "share.record.lock.duration.ms",
        "group.share.min.record.lock.duration.ms",
        "group.share.max.record.lock.duration.ms",
    ),
    ("share.session.timeout.ms", "group.share.min.session.timeout.ms", "group.share.max.session.timeout.ms"),
    (
        "streams.assignment.interval.ms",
        "group.streams.min.assignment.interval.ms",
        "group.streams.max.assignment.interval.ms",
    ),
    (
        "streams.heartbeat.interval.ms",
        "group.streams.min.heartbeat.interval.ms",
        "group.streams.max.heartbeat.interval.ms",
    ),
    ("streams.initial.rebalance.delay.ms", "", ""),
    ("streams.num.standby.replicas", "", "group.streams.max.standby.replicas"),
    ("streams.session.timeout.ms", "group.streams.min.session.timeout.ms", "group.streams.max.session.timeout.ms"),
];

/// Session timeouts, and the heartbeat intervals they must exceed.
const SESSIONS: [(&str, &str); 3] = [
    ("consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"),
    ("share.session.timeout.ms", "share.heartbeat.interval.ms"),
    ("streams.session.timeout.ms", "streams.heartbeat.interval.ms"),
];

/// What a client may be picked by.
const CLIENT_ATTRIBUTES: [&str; 7] = [
    "client_id",
    "client_instance_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
    "client_rack",
];

/// Checks all of a group's own settings, as they would stand after a change.
///
/// # Errors
/// The first that is not allowed.
pub fn validate_group_overrides<'a>(
    broker: &Settings,
    overrides: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), ResourceConfigError> {
    let overrides: BTreeMap<&str, &str> = overrides.collect();
    for (name, value) in &overrides {
        let row = table::group_key(name).ok_or_else(|| ResourceConfigError::UnknownGroupKey((*name).to_owned()))?;
        parsed(row, value)?;
    }
    for (key, least, most) in BOUNDS {
        if !overrides.contains_key(key) {
            continue;
        }
        let value = group_int(broker, &overrides, key);
        if !least.is_empty() && value < broker.int(least) {
            return Err(ResourceConfigError::Less { key, than: least });
        }
        if !most.is_empty() && value > broker.int(most) {
            return Err(ResourceConfigError::More { key, than: most });
        }
    }
    for (session, heartbeat) in SESSIONS {
        let given = overrides.contains_key(session) || overrides.contains_key(heartbeat);
        if given && group_int(broker, &overrides, session) <= group_int(broker, &overrides, heartbeat) {
            return Err(ResourceConfigError::NotMore { key: session, than: heartbeat });
        }
    }
    Ok(())
}

fn parsed(row: &Key, value: &str) -> Result<Value, ResourceConfigError> {
    row.parse(value).map_err(|rejected| ResourceConfigError::InvalidValue {
        key: row.name,
        value: value.to_owned(),
        expected: rejected.0,
    })
}

/// A group's own value, or the broker's. Own values were checked when they were set.
fn group_int(broker: &Settings, overrides: &BTreeMap<&str, &str>, name: &'static str) -> i32 {
    let Some(row) = table::group_key(name) else { return 0 };
    let own = overrides.get(name).and_then(|text| row.parse(text).ok());
    match own.or_else(|| inherited(broker, row)) {
        Some(Value::Int(value)) => value,
        _ => 0,
    }
}

impl ConsumerGroupsConfig {
    /// What holds for one group: its own settings over these.
    pub fn of_group<'a>(&self, overrides: impl Iterator<Item = (&'a str, &'a str)>) -> ConsumerGroupsConfig {
        let mut own = self.clone();
        for (name, value) in overrides {
            let value = table::group_key(name).and_then(|row| row.parse(value).ok());
            if let Some(Value::Int(value)) = value {
                match name {
                    "consumer.assignment.interval.ms" => own.assignment_interval_ms = value,
                    "consumer.heartbeat.interval.ms" => own.heartbeat_interval_ms = value,
                    "consumer.session.timeout.ms" => own.session_timeout_ms = value,
                    _ => {}
                }
            }
        }
        own
    }
}

/// Checks a subscription's settings, as they would stand after a change.
///
/// # Errors
/// The first that is not allowed.
pub fn validate_client_metrics<'a>(
    overrides: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), ResourceConfigError> {
    for (name, value) in overrides {
        let row = table::client_metrics_key(name)
            .ok_or_else(|| ResourceConfigError::UnknownClientMetricsKey(name.to_owned()))?;
        match (name, parsed(row, value)?) {
            ("interval.ms", Value::Int(interval)) if !(100..=3_600_000).contains(&interval) => {
                return Err(ResourceConfigError::Interval(interval));
            }
            ("match", Value::List(patterns)) => check_patterns(&patterns)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_patterns(patterns: &[String]) -> Result<(), ResourceConfigError> {
    for pattern in patterns {
        let known = pattern.split_once('=').filter(|(name, expression)| {
            CLIENT_ATTRIBUTES.contains(&name.trim()) && Regex::new(expression.trim()).is_ok()
        });
        if known.is_none() {
            return Err(ResourceConfigError::Pattern(pattern.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(overrides: &[(&str, &str)]) -> Result<(), String> {
        validate_group_overrides(&Settings::default(), overrides.iter().copied()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_group_keeps_within_the_brokers_bounds() {
        assert_eq!(group(&[("consumer.session.timeout.ms", "50000")]), Ok(()));
        let refused = [
            (
                ("consumer.session.timeout.ms", "1"),
                "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
            ),
            (
                ("streams.num.standby.replicas", "3"),
                "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas",
            ),
            (("foo", "1"), "Unknown group config name: foo"),
        ];
        for (given, text) in refused {
            assert_eq!(group(&[given]), Err(text.to_owned()));
        }
        assert!(group(&[("consumer.session.timeout.ms", "x")]).is_err());
        assert!(group(&[("share.auto.offset.reset", "x")]).is_err());
    }

    #[test]
    fn a_groups_own_settings_win() {
        let settings = Settings::default();
        let config = ConsumerGroupsConfig::resolve(&settings).expect("the defaults are valid");
        let own =
            config.of_group([("consumer.session.timeout.ms", "50000"), ("share.session.timeout.ms", "9")].into_iter());
        assert_eq!((own.session_timeout_ms, own.heartbeat_interval_ms), (50_000, config.heartbeat_interval_ms));
    }

    #[test]
    fn a_subscription_is_checked_as_kafka_does() {
        let check = |key, value| validate_client_metrics([(key, value)].into_iter()).map_err(|e| e.to_string());
        assert_eq!(check("match", "client_software_name=.*,client_id=a.b"), Ok(()));
        assert_eq!(check("match", "x=y"), Err("Illegal client matching pattern: x=y".into()));
        assert_eq!(check("match", "client_id=("), Err("Illegal client matching pattern: client_id=(".into()));
        assert!(check("interval.ms", "50").is_err_and(|e| e.contains("between 100 and 3600000")));
        assert_eq!(check("foo", "1"), Err("Unknown client metrics configuration: foo".into()));
    }
}
