//! The answers of DescribeConfigs (KIP-133, KIP-226, KIP-569).

use std::collections::BTreeMap;

use crate::key::{Dynamic, Key, Kind};
use crate::layer::Origin;
use crate::settings::{Setting, Settings};
use crate::table;
use crate::topic_config::inherited;
use crate::value::Value;

/// Where a described value comes from. The numbers are Kafka's `ConfigSource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum ConfigSource {
    DynamicTopic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    DynamicBrokerLogger = 6,
    ClientMetrics = 7,
    Group = 8,
}

impl ConfigSource {
    /// The number on the wire.
    pub fn number(self) -> i8 {
        self as i8
    }
}

/// One of the values that a described value is or would be taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    pub name: String,
    /// In the unit of `name`; `None` when sensitive.
    pub value: Option<String>,
    pub source: ConfigSource,
}

/// One key of a topic or broker with the value in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    pub name: String,
    /// `None` when it is null or sensitive.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub read_only: bool,
    pub sensitive: bool,
    /// In falling precedence; the first that is set is the value in force.
    pub synonyms: Vec<Synonym>,
    pub kind: Kind,
    pub doc: &'static str,
}

/// All topic keys, sorted by name, for a topic with these settings of its own. `broker` holds the broker's settings with
/// its dynamic values ([`Settings::with_dynamic`]).
///
/// The source of an inherited value is the source of the broker key it was taken from, also where that key has another
/// unit (`retention.ms` from `log.retention.hours`).
pub fn describe_topic<'a>(broker: &Settings, overrides: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Described> {
    let overrides: BTreeMap<&str, &str> = overrides.collect();
    let public = table::TOPIC_KEYS.iter().filter(|key| key.public());
    public
        .map(|key| own_or_inherited(broker, key, overrides.get(key.name).copied(), ConfigSource::DynamicTopic))
        .collect()
}

/// All keys of a group, sorted by name, for a group with these settings of its own; see [`describe_topic`].
pub fn describe_group<'a>(broker: &Settings, overrides: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Described> {
    let overrides: BTreeMap<&str, &str> = overrides.collect();
    let keys = table::GROUP_KEYS.iter();
    keys.map(|key| own_or_inherited(broker, key, overrides.get(key.name).copied(), ConfigSource::Group)).collect()
}

/// All keys of a subscription to clients' metrics, sorted by name.
pub fn describe_client_metrics<'a>(overrides: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Described> {
    let overrides: BTreeMap<&str, &str> = overrides.collect();
    let describe = |key: &'static Key| {
        let own = overrides.get(key.name).and_then(|text| key.parse(text).ok());
        let source = if own.is_some() { ConfigSource::ClientMetrics } else { ConfigSource::Default };
        let synonyms = own.iter().map(|value| synonym(key, key.name, value, source)).collect();
        described(key, key.name, own.or_else(|| key.default_value()), source, synonyms, false)
    };
    table::CLIENT_METRICS_KEYS.iter().map(describe).collect()
}

fn own_or_inherited(broker: &Settings, key: &'static Key, own: Option<&str>, own_source: ConfigSource) -> Described {
    let own = own.and_then(|text| key.parse(text).ok());
    let mut synonyms = Vec::new();
    synonyms.extend(own.iter().map(|value| synonym(key, key.name, value, own_source)));
    synonyms.extend(broker_synonyms(broker, key.synonyms));
    if own_source == ConfigSource::Group && key.synonyms.is_empty() {
        // As Kafka: a group's key without a broker's is its own synonym.
        synonyms.extend(key.default_value().iter().map(|value| synonym(key, key.name, value, ConfigSource::Default)));
    }
    let value = own.or_else(|| inherited(broker, key));
    let source = if synonyms.first().is_some_and(|first| first.source == own_source) {
        own_source
    } else {
        inherited_source(broker, key)
    };
    described(key, key.name, value, source, synonyms, false)
}

/// The source of [`inherited`]'s value.
fn inherited_source(broker: &Settings, key: &Key) -> ConfigSource {
    let name = key.synonyms.iter().find(|name| broker.value(name).is_some());
    name.and_then(|name| broker.setting(name)).map_or(ConfigSource::Default, source_of)
}

/// All broker keys, sorted by name, and keys narrowed to one listener that were set. `settings` are the broker's own with
/// its dynamic values ([`Settings::with_dynamic`]).
pub fn describe_broker(settings: &Settings) -> Vec<Described> {
    let mut all: BTreeMap<&str, Described> = BTreeMap::new();
    for key in table::broker_keys().filter(|key| key.public()) {
        all.insert(key.name, broker_key(settings, key, key.name));
    }
    for (name, _) in settings.set_keys().filter(|(name, _)| name.starts_with("listener.name.")) {
        let row = table::broker_key(name).filter(|key| key.public());
        all.extend(row.map(|key| (name, broker_key(settings, key, name))));
    }
    all.into_values().collect()
}

fn broker_key(settings: &Settings, key: &'static Key, name: &str) -> Described {
    let narrowed = name != key.name;
    let setting = settings.setting(name);
    let value = if narrowed { setting.map(|setting| setting.value.clone()) } else { settings.value(name) };
    let source = setting.map_or(ConfigSource::Default, source_of);
    let mut synonyms = levels(settings, key, name, !narrowed);
    if narrowed {
        synonyms.extend(broker_synonyms(settings, &[key.name]));
    } else if !synonyms.is_empty() {
        synonyms.extend(broker_synonyms(settings, key.synonyms));
    }
    let read_only = key.dynamic == Dynamic::ReadOnly;
    described(key, name, value, source, synonyms, read_only)
}

fn broker_synonyms(settings: &Settings, names: &[&'static str]) -> Vec<Synonym> {
    let rows = names.iter().filter_map(|name| table::broker_key(name));
    rows.flat_map(|row| levels(settings, row, row.name, true)).collect()
}

/// The values of one broker key at every level, highest first.
fn levels(settings: &Settings, key: &'static Key, name: &str, with_default: bool) -> Vec<Synonym> {
    let mut levels: Vec<Synonym> = Vec::new();
    for setting in settings.all(name).iter().rev() {
        let source = source_of(setting);
        // File, environment and flag are one level to a client: the highest of them.
        if levels.last().is_none_or(|last| last.source != source) {
            levels.push(synonym(key, name, &setting.value, source));
        }
    }
    let default = key.default_value().filter(|_| with_default);
    levels.extend(default.iter().map(|value| synonym(key, name, value, ConfigSource::Default)));
    levels
}

fn source_of(setting: &Setting) -> ConfigSource {
    match setting.at.origin {
        Origin::Default => ConfigSource::Default,
        Origin::File(_) | Origin::Environment | Origin::Flag => ConfigSource::StaticBroker,
        Origin::ClusterDynamic => ConfigSource::DynamicDefaultBroker,
        Origin::BrokerDynamic => ConfigSource::DynamicBroker,
    }
}

fn synonym(key: &Key, name: &str, value: &Value, source: ConfigSource) -> Synonym {
    Synonym { name: name.to_owned(), value: (!key.sensitive()).then(|| value.to_string()), source }
}

fn described(
    key: &'static Key,
    name: &str,
    value: Option<Value>,
    source: ConfigSource,
    synonyms: Vec<Synonym>,
    read_only: bool,
) -> Described {
    let sensitive = key.sensitive();
    let value = value.filter(|_| !sensitive).map(|value| value.to_string());
    Described { name: name.to_owned(), value, source, read_only, sensitive, synonyms, kind: key.kind, doc: key.doc }
}
