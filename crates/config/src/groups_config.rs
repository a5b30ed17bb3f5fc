//! The settings of groups, typed.

use crate::broker_config::{count, size};
use crate::error::ConfigError;
use crate::settings::Settings;

/// What groups are allowed. Times in milliseconds unless a name says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupsConfig {
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: i32,
    /// `group.min.session.timeout.ms`
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`
    pub max_session_timeout_ms: i32,
    /// `group.max.size`
    pub max_size: usize,
    /// `offset.metadata.max.bytes`
    pub offset_metadata_max_bytes: usize,
    /// Whether a commit is answered only once it is durable: `offset.commit.acks=all`.
    pub durable_commits: bool,
    /// `offsets.retention.minutes`
    pub offsets_retention_minutes: i32,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check_interval_ms: u64,
    pub consumer: ConsumerGroupsConfig,
}

/// What groups of the consumer protocol (KIP-848) are allowed: `group.consumer.*`. Times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupsConfig {
    pub session_timeout_ms: i32,
    pub heartbeat_interval_ms: i32,
    pub assignment_interval_ms: i32,
    pub regex_refresh_interval_ms: i32,
    pub max_size: usize,
    /// `uniform`, `range` or both, the default first.
    pub assignors: Vec<String>,
    pub migration_policy: MigrationPolicy,
}

/// Which groups with members change their protocol: `group.consumer.migration.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationPolicy {
    Disabled,
    /// From the consumer protocol to the classic one.
    Downgrade,
    /// From the classic protocol to the consumer one.
    Upgrade,
    Bidirectional,
}

/// The assignors there are.
const ASSIGNORS: [&str; 2] = ["uniform", "range"];
const ASSIGNORS_KEY: &str = "group.consumer.assignors";

impl GroupsConfig {
    pub(crate) fn resolve(settings: &Settings) -> Result<GroupsConfig, ConfigError> {
        Ok(GroupsConfig {
            initial_rebalance_delay_ms: settings.int("group.initial.rebalance.delay.ms").max(0),
            min_session_timeout_ms: settings.int("group.min.session.timeout.ms"),
            max_session_timeout_ms: settings.int("group.max.session.timeout.ms"),
            max_size: size(settings, "group.max.size"),
            durable_commits: settings.text("offset.commit.acks").is_none_or(|acks| acks == "all"),
            offset_metadata_max_bytes: settings.int("offset.metadata.max.bytes").max(0) as usize,
            offsets_retention_minutes: settings.int("offsets.retention.minutes"),
            offsets_retention_check_interval_ms: count(settings, "offsets.retention.check.interval.ms"),
            consumer: ConsumerGroupsConfig::resolve(settings)?,
        })
    }
}

impl ConsumerGroupsConfig {
    pub(crate) fn resolve(settings: &Settings) -> Result<ConsumerGroupsConfig, ConfigError> {
        let session_timeout_ms = bounded(
            settings,
            "group.consumer.session.timeout.ms",
            "group.consumer.min.session.timeout.ms",
            "group.consumer.max.session.timeout.ms",
        )?;
        let heartbeat_interval_ms = bounded(
            settings,
            "group.consumer.heartbeat.interval.ms",
            "group.consumer.min.heartbeat.interval.ms",
            "group.consumer.max.heartbeat.interval.ms",
        )?;
        let assignment_interval_ms = bounded(
            settings,
            "group.consumer.assignment.interval.ms",
            "group.consumer.min.assignment.interval.ms",
            "group.consumer.max.assignment.interval.ms",
        )?;
        if heartbeat_interval_ms >= session_timeout_ms {
            let (interval, timeout) = ("group.consumer.heartbeat.interval.ms", "group.consumer.session.timeout.ms");
            return Err(contradiction(settings, interval, timeout));
        }
        Ok(ConsumerGroupsConfig {
            session_timeout_ms,
            heartbeat_interval_ms,
            assignment_interval_ms,
            regex_refresh_interval_ms: settings.int("group.consumer.regex.refresh.interval.ms"),
            max_size: size(settings, "group.consumer.max.size"),
            assignors: assignors(settings)?,
            migration_policy: migration_policy(settings),
        })
    }
}

fn assignors(settings: &Settings) -> Result<Vec<String>, ConfigError> {
    let names = settings.list(ASSIGNORS_KEY).unwrap_or_default();
    if names.is_empty() || names.iter().any(|name| !ASSIGNORS.contains(&name.as_str())) {
        return Err(ConfigError::InvalidValue {
            key: ASSIGNORS_KEY.to_owned(),
            value: names.join(","),
            at: Box::new(settings.set_at(ASSIGNORS_KEY)),
            expected: "'uniform', 'range' or both".to_owned(),
        });
    }
    Ok(names)
}

fn migration_policy(settings: &Settings) -> MigrationPolicy {
    let policy = settings.text("group.consumer.migration.policy").unwrap_or_default();
    match policy.to_ascii_lowercase().as_str() {
        "disabled" => MigrationPolicy::Disabled,
        "downgrade" => MigrationPolicy::Downgrade,
        "upgrade" => MigrationPolicy::Upgrade,
        _ => MigrationPolicy::Bidirectional,
    }
}

/// A value that two other settings bound.
fn bounded(
    settings: &Settings,
    key: &'static str,
    least: &'static str,
    most: &'static str,
) -> Result<i32, ConfigError> {
    let value = settings.int(key);
    if value < settings.int(least) {
        return Err(contradiction(settings, key, least));
    }
    if value > settings.int(most) {
        return Err(contradiction(settings, key, most));
    }
    Ok(value)
}

fn contradiction(settings: &Settings, key: &'static str, other: &'static str) -> ConfigError {
    ConfigError::Contradiction {
        key: key.to_owned(),
        value: settings.int(key).to_string(),
        at: Box::new(settings.set_at(key)),
        other: other.to_owned(),
        other_value: settings.int(other).to_string(),
        other_at: Box::new(settings.set_at(other)),
    }
}
