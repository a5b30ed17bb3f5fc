//! The table of settings: one row per key, grouped by concern. Everything else in this crate reads it.
//!
//! Names, types, ranges and levels are those of Apache Kafka 4.3.1; defaults too, except where a row's text names the
//! difference.

mod client_metrics;
mod cluster;
mod group;
mod groups;
mod log;
mod network;
mod remote;
mod security;
mod server;
mod topic;
mod transactions;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::key::{Dynamic, Importance, Key, Kind, Scope, Status, Validator};

/// A group of broker keys, as the reference page shows them.
pub struct Group {
    pub title: &'static str,
    pub keys: &'static [Key],
}

/// All broker keys, by concern.
pub const BROKER_GROUPS: &[Group] = &[
    Group { title: "Network", keys: network::KEYS },
    Group { title: "Log", keys: log::KEYS },
    Group { title: "Cluster and replication", keys: cluster::KEYS },
    Group { title: "Groups", keys: groups::KEYS },
    Group { title: "Transactions and producers", keys: transactions::KEYS },
    Group { title: "Security", keys: security::KEYS },
    Group { title: "Tiered storage", keys: remote::KEYS },
    Group { title: "Metrics, quotas and the rest", keys: server::KEYS },
];

/// All topic keys, sorted by name.
pub const TOPIC_KEYS: &[Key] = topic::KEYS;

/// All keys of groups, sorted by name.
pub const GROUP_KEYS: &[Key] = group::KEYS;

/// All keys of subscriptions to clients' metrics, sorted by name.
pub const CLIENT_METRICS_KEYS: &[Key] = client_metrics::KEYS;

static BROKER_BY_NAME: LazyLock<BTreeMap<&'static str, &'static Key>> =
    LazyLock::new(|| BROKER_GROUPS.iter().flat_map(|group| group.keys).map(|key| (key.name, key)).collect());

/// All broker keys, sorted by name.
pub fn broker_keys() -> impl Iterator<Item = &'static Key> {
    BROKER_BY_NAME.values().copied()
}

/// The row of a broker key. A key narrowed to one listener (`listener.name.<listener>.[<mechanism>.]<key>`) has the row
/// of the key it narrows, as far as that key concerns a listener.
pub fn broker_key(name: &str) -> Option<&'static Key> {
    BROKER_BY_NAME.get(name).copied().or_else(|| {
        let (_listener, rest) = name.strip_prefix("listener.name.")?.split_once('.')?;
        let base = listener_key(rest);
        base.or_else(|| listener_key(rest.split_once('.')?.1))
    })
}

fn listener_key(name: &str) -> Option<&'static Key> {
    const LIMITS: [&str; 6] = [
        "connections.max.reauth.ms",
        "max.connection.creation.rate",
        "max.connections",
        "num.network.threads",
        "principal.builder.class",
        "socket.listen.backlog.size",
    ];
    let concerns_a_listener = name.starts_with("ssl.") || name.starts_with("sasl.") || LIMITS.contains(&name);
    BROKER_BY_NAME.get(name).copied().filter(|_| concerns_a_listener)
}

/// The row of a topic key.
pub fn topic_key(name: &str) -> Option<&'static Key> {
    row(TOPIC_KEYS, name)
}

/// The row of a group's key.
pub fn group_key(name: &str) -> Option<&'static Key> {
    row(GROUP_KEYS, name)
}

/// The row of a key of a subscription to clients' metrics.
pub fn client_metrics_key(name: &str) -> Option<&'static Key> {
    row(CLIENT_METRICS_KEYS, name)
}

/// The row of a key of any scope.
pub fn key_of(scope: Scope, name: &str) -> Option<&'static Key> {
    match scope {
        Scope::Broker => broker_key(name),
        Scope::Topic => topic_key(name),
        Scope::Group => group_key(name),
        Scope::ClientMetrics => client_metrics_key(name),
    }
}

fn row(keys: &'static [Key], name: &str) -> Option<&'static Key> {
    keys.binary_search_by(|key| key.name.cmp(name)).ok().map(|at| &keys[at])
}

const fn broker(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    validator: Validator,
    importance: Importance,
    dynamic: Dynamic,
    doc: &'static str,
) -> Key {
    let (scope, synonyms, status) = (Scope::Broker, &[] as &[&str], Status::Ignored);
    Key { name, kind, default, validator, scope, dynamic, synonyms, importance, status, doc }
}

const fn topic(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    validator: Validator,
    synonyms: &'static [&'static str],
    doc: &'static str,
) -> Key {
    let (scope, dynamic, importance) = (Scope::Topic, Dynamic::ClusterWide, Importance::Medium);
    Key { name, kind, default, validator, scope, dynamic, synonyms, importance, status: Status::Ignored, doc }
}
