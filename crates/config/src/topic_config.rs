//! A topic's settings, typed: its own values over the broker's over the defaults.

use std::collections::BTreeMap;

use crate::broker_config::FlushMode;
use crate::error::TopicConfigError;
use crate::key::{Key, Status};
use crate::nearest::nearest;
use crate::settings::Settings;
use crate::table;
use crate::value::Value;

/// `cleanup.policy`. Neither: nothing is ever removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    pub delete: bool,
    pub compact: bool,
}

/// `compression.type`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionType {
    /// Batches are kept as the producer compressed them.
    Producer,
    Uncompressed,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl CompressionType {
    fn parse(text: &str) -> CompressionType {
        match text {
            "uncompressed" => CompressionType::Uncompressed,
            "gzip" => CompressionType::Gzip,
            "snappy" => CompressionType::Snappy,
            "lz4" => CompressionType::Lz4,
            "zstd" => CompressionType::Zstd,
            _ => CompressionType::Producer,
        }
    }
}

/// `message.timestamp.type`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// What one topic's partitions go by. Fields are named after their keys; the unit is the end of the name, and a ratio has
/// none.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    pub cleanup_policy: CleanupPolicy,
    pub compression_type: CompressionType,
    /// 1 to 9, or -1 for the codec's default.
    pub compression_gzip_level: i32,
    pub compression_lz4_level: i32,
    pub compression_zstd_level: i32,
    pub flush_mode: FlushMode,
    pub index_interval_bytes: u32,
    pub max_compaction_lag_ms: i64,
    /// The largest batch as it is stored, header included.
    pub max_message_bytes: u32,
    pub message_timestamp_type: TimestampType,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_after_max_ms: i64,
    pub min_compaction_lag_ms: i64,
    pub min_insync_replicas: i32,
    /// Per partition; -1 = no limit.
    pub retention_bytes: i64,
    /// -1 = no limit.
    pub retention_ms: i64,
    pub segment_bytes: u32,
    pub segment_index_bytes: u32,
    pub segment_jitter_ms: i64,
    pub segment_ms: i64,
}

impl TopicConfig {
    /// The topic's effective values. Overrides were checked when they were set; one that this table does not know or
    /// refuses (written by a newer broker) is passed over, so that the value below it counts.
    pub fn resolve<'a>(broker: &Settings, overrides: impl Iterator<Item = (&'a str, &'a str)>) -> TopicConfig {
        let overrides: BTreeMap<&str, &str> = overrides.collect();
        let of = Resolver { broker, overrides };
        let policy = of.list("cleanup.policy");
        TopicConfig {
            cleanup_policy: CleanupPolicy {
                delete: policy.iter().any(|word| word == "delete"),
                compact: policy.iter().any(|word| word == "compact"),
            },
            compression_type: CompressionType::parse(&of.text("compression.type")),
            compression_gzip_level: of.int("compression.gzip.level"),
            compression_lz4_level: of.int("compression.lz4.level"),
            compression_zstd_level: of.int("compression.zstd.level"),
            flush_mode: FlushMode::parse(&of.text("flush.mode")),
            index_interval_bytes: of.size("index.interval.bytes"),
            max_compaction_lag_ms: of.long("max.compaction.lag.ms"),
            max_message_bytes: of.size("max.message.bytes"),
            message_timestamp_type: match of.text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            message_timestamp_before_max_ms: of.long("message.timestamp.before.max.ms"),
            message_timestamp_after_max_ms: of.long("message.timestamp.after.max.ms"),
            min_compaction_lag_ms: of.long("min.compaction.lag.ms"),
            min_insync_replicas: of.int("min.insync.replicas"),
            retention_bytes: of.long("retention.bytes").max(-1),
            retention_ms: of.long("retention.ms").max(-1),
            segment_bytes: of.segment_bytes(),
            segment_index_bytes: of.size("segment.index.bytes"),
            segment_jitter_ms: of.long("segment.jitter.ms"),
            segment_ms: of.long("segment.ms"),
        }
    }
}

struct Resolver<'a> {
    broker: &'a Settings,
    overrides: BTreeMap<&'a str, &'a str>,
}

impl Resolver<'_> {
    fn value(&self, name: &'static str) -> Value {
        let key = table::topic_key(name).expect("every name read here has a row (tested by resolving the defaults)");
        let own = self.overrides.get(name).and_then(|text| key.parse(text).ok());
        own.or_else(|| inherited(self.broker, key)).expect("every topic key read here has a default (tested)")
    }

    /// Kafka's own tests make small segments with the internal key, which may go below the public one's least.
    fn segment_bytes(&self) -> u32 {
        let internal = self.overrides.get("internal.segment.bytes").and_then(|text| text.trim().parse().ok());
        internal.filter(|bytes| *bytes > 0 && *bytes <= i32::MAX as u32).unwrap_or_else(|| self.size("segment.bytes"))
    }

    fn text(&self, name: &'static str) -> String {
        self.value(name).to_string()
    }

    fn list(&self, name: &'static str) -> Vec<String> {
        match self.value(name) {
            Value::List(parts) => parts,
            other => vec![other.to_string()],
        }
    }

    fn long(&self, name: &'static str) -> i64 {
        match self.value(name) {
            Value::Int(value) => value.into(),
            Value::Short(value) => value.into(),
            Value::Long(value) => value,
            other => panic!("the table's row of {name} should be an integer, found {other:?}"),
        }
    }

    fn int(&self, name: &'static str) -> i32 {
        i32::try_from(self.long(name)).expect("the key is an int in the table (tested)")
    }

    fn size(&self, name: &'static str) -> u32 {
        u32::try_from(self.long(name)).expect("the row's validator excludes negative values (tested)")
    }
}

/// The value a topic has where it sets none itself: of the first of its broker keys that is set or has a default, in the
/// topic key's unit; else the topic key's default.
pub(crate) fn inherited(broker: &Settings, key: &Key) -> Option<Value> {
    let from = |name: &&'static str| broker.value(name).map(|value| in_topic_unit(name, value));
    key.synonyms.iter().find_map(from).or_else(|| key.default_value())
}

/// Hours and minutes as milliseconds; everything else as it is.
pub(crate) fn in_topic_unit(broker_key: &str, value: Value) -> Value {
    let factor = match broker_key.rsplit('.').next() {
        Some("hours") => 3_600_000,
        Some("minutes") => 60_000,
        _ => return value,
    };
    match value {
        Value::Int(count) => Value::Long(i64::from(count) * factor),
        other => other,
    }
}

/// Checks one key and value as CreateTopics and (Incremental)AlterConfigs receive them. Retired keys pass whatever their
/// value.
///
/// # Errors
/// [`TopicConfigError`], all of which are Kafka's INVALID_CONFIG.
pub fn validate_topic_config(key: &str, value: &str) -> Result<(), TopicConfigError> {
    let Some(row) = table::topic_key(key) else {
        let names = table::TOPIC_KEYS.iter().filter(|key| key.public()).map(|key| key.name);
        return Err(TopicConfigError::UnknownKey { key: key.to_owned(), nearest: nearest(key, names) });
    };
    let parsed = row.parse(value).map_err(|rejected| TopicConfigError::InvalidValue {
        key: key.to_owned(),
        value: value.to_owned(),
        expected: rejected.0,
    })?;
    if row.name == "remote.storage.enable" && parsed == Value::Boolean(true) {
        return Err(TopicConfigError::NoTieredStorage);
    }
    Ok(())
}

/// Checks all of a topic's own settings, each and against each other, as they would stand after a change.
///
/// # Errors
/// The first that is not allowed.
pub fn validate_topic_overrides<'a>(
    broker: &Settings,
    overrides: impl Iterator<Item = (&'a str, &'a str)> + Clone,
) -> Result<(), TopicConfigError> {
    for (key, value) in overrides.clone() {
        validate_topic_config(key, value)?;
    }
    let topic = TopicConfig::resolve(broker, overrides);
    let (value, limit) = (topic.min_compaction_lag_ms, topic.max_compaction_lag_ms);
    if value > limit {
        let (key, limit_key) = ("min.compaction.lag.ms", "max.compaction.lag.ms");
        return Err(TopicConfigError::Exceeds { key, value, limit_key, limit });
    }
    Ok(())
}

/// Whether anything here acts on a topic's setting. Where not, an operator should be told: it was accepted, since tools
/// send it, but it was either removed from Kafka, or differs from the default and is not honoured.
pub fn topic_config_has_effect(key: &str, value: &str) -> bool {
    let Some(row) = table::topic_key(key) else { return false };
    match row.status {
        Status::Retired => false,
        Status::Ignored => row.parse(value).ok() == row.default_value(),
        Status::Honoured | Status::Own | Status::Internal => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_follow_the_topic_key() {
        assert_eq!(in_topic_unit("log.retention.hours", Value::Int(168)), Value::Long(604_800_000));
        assert_eq!(in_topic_unit("log.retention.minutes", Value::Int(2)), Value::Long(120_000));
        assert_eq!(in_topic_unit("log.retention.ms", Value::Long(5)), Value::Long(5));
    }
}
