//! The table itself: what every row must satisfy, and rows pinned against Kafka.

use std::collections::BTreeSet;

use chronik_config::table::{BROKER_GROUPS, TOPIC_KEYS, broker_key, broker_keys, topic_key};
use chronik_config::{
    BrokerConfig, Dynamic, Key, Kind, Scope, Settings, Status, TopicConfig, Value, allowed, reference_markdown,
};

fn all() -> impl Iterator<Item = &'static Key> {
    broker_keys().chain(TOPIC_KEYS)
}

#[test]
fn names_are_unique_and_sorted_within_their_group() {
    for keys in BROKER_GROUPS.iter().map(|group| group.keys).chain([TOPIC_KEYS]) {
        for pair in keys.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} before {}", pair[0].name, pair[1].name);
        }
    }
    let rows: usize = BROKER_GROUPS.iter().map(|group| group.keys.len()).sum();
    assert_eq!(broker_keys().count(), rows, "a broker key stands in two groups");
    assert!(BROKER_GROUPS.iter().flat_map(|group| group.keys).all(|key| key.scope == Scope::Broker));
    assert!(TOPIC_KEYS.iter().all(|key| key.scope == Scope::Topic));
}

#[test]
fn names_are_found_and_spelled_as_keys() {
    for key in all() {
        let found = if key.scope == Scope::Topic { topic_key(key.name) } else { broker_key(key.name) };
        assert_eq!(found.map(|key| key.name), Some(key.name));
        assert!(key.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.'), "{}", key.name);
    }
}

#[test]
fn defaults_pass_their_own_validators_and_display_as_written() {
    for key in all() {
        let Some(text) = key.default else { continue };
        let value = key.parse(text).unwrap_or_else(|error| panic!("{}: {text}: expected {error}", key.name));
        assert_eq!(value.to_string(), text, "{}", key.name);
    }
}

#[test]
fn every_synonym_is_a_broker_key_of_a_type_that_fits() {
    for key in all() {
        for name in key.synonyms {
            let row = broker_key(name).unwrap_or_else(|| panic!("{}: no broker key {name}", key.name));
            assert_eq!(row.name, *name);
            let converted = name.ends_with(".hours") || name.ends_with(".minutes");
            let wanted = if converted { Kind::Int } else { key.kind };
            assert_eq!(row.kind, wanted, "{} from {name}", key.name);
        }
        if key.scope == Scope::Topic
            && key.honoured()
            && let Some(last) = key.synonyms.last()
        {
            assert!(broker_key(last).is_some_and(Key::honoured), "{} is honoured and {last} is not", key.name);
        }
    }
}

#[test]
fn every_row_has_a_text_of_whole_sentences() {
    for key in all() {
        assert!(key.doc.ends_with('.') && key.doc.len() > 10, "{}: {}", key.name, key.doc);
        assert!(
            key.doc.starts_with(|c: char| c.is_uppercase()) || key.doc.starts_with('-'),
            "{}: {}",
            key.name,
            key.doc
        );
        assert!(!allowed(key).is_empty());
    }
}

#[test]
fn the_defaults_resolve() {
    let settings = Settings::defaults();
    let broker = BrokerConfig::resolve(&settings).expect("the defaults agree with each other");
    assert_eq!(broker.listeners.len(), 1);
    assert_eq!(broker.listeners[0].address.to_string(), "127.0.0.1:9092");
    assert_eq!(broker.http_listener.map(|address| address.to_string()).as_deref(), Some("127.0.0.1:9644"));
    assert_eq!(broker.data_dir.to_str(), Some("./chronik-data"));
    assert_eq!(TopicConfig::resolve(&settings, std::iter::empty()).retention_ms, 604_800_000);
}

/// Every least value that a row allows can be typed: the conversions in `BrokerConfig` and `TopicConfig` rely on it.
#[test]
fn the_least_values_resolve() {
    use chronik_config::{Entry, Layer, Origin, Place, Validator};
    // These bound each other.
    let bounded = |name: &str| {
        name.starts_with("group.consumer.") && (name.ends_with(".interval.ms") || name.ends_with(".session.timeout.ms"))
    };
    for key in broker_keys().filter(|key| key.honoured() && !bounded(key.name)) {
        let least = match key.validator {
            Validator::AtLeast(low) | Validator::Between(low, _) => low,
            Validator::Any if matches!(key.kind, Kind::Int | Kind::Long) => -1,
            _ => continue,
        };
        let entries = vec![Entry::new(key.name, least.to_string(), Place::Unknown)];
        let (settings, _) = Settings::parse(&[Layer::new(Origin::Flag, entries)]).expect("the row allows it");
        BrokerConfig::resolve(&settings).unwrap_or_else(|error| panic!("{}={least}: {error}", key.name));
        TopicConfig::resolve(&settings, std::iter::empty());
    }
    for key in TOPIC_KEYS {
        let least = match key.validator {
            Validator::AtLeast(low) | Validator::Between(low, _) | Validator::BetweenOr(low, _, _) => low,
            _ => continue,
        };
        TopicConfig::resolve(&Settings::defaults(), std::iter::once((key.name, least.to_string().as_str())));
    }
}

/// Name, type, default: read from Apache Kafka 4.3.1's own definitions.
#[test]
fn rows_are_kafkas() {
    let pinned = [
        ("message.max.bytes", Kind::Int, Some("1048588"), Dynamic::ClusterWide),
        ("fetch.max.bytes", Kind::Int, Some("57671680"), Dynamic::ReadOnly),
        ("socket.request.max.bytes", Kind::Int, Some("104857600"), Dynamic::ReadOnly),
        ("connections.max.idle.ms", Kind::Long, Some("600000"), Dynamic::ReadOnly),
        ("log.retention.hours", Kind::Int, Some("168"), Dynamic::ReadOnly),
        ("log.retention.ms", Kind::Long, None, Dynamic::ClusterWide),
        ("log.segment.bytes", Kind::Int, Some("1073741824"), Dynamic::ClusterWide),
        ("offsets.topic.replication.factor", Kind::Short, Some("3"), Dynamic::ReadOnly),
        ("log.cleaner.io.max.bytes.per.second", Kind::Double, Some("1.7976931348623157E308"), Dynamic::ClusterWide),
        ("ssl.keystore.password", Kind::Password, None, Dynamic::PerBroker),
        ("num.recovery.threads.per.data.dir", Kind::Int, Some("2"), Dynamic::ClusterWide),
        ("log.message.timestamp.after.max.ms", Kind::Long, Some("3600000"), Dynamic::ClusterWide),
    ];
    for (name, kind, default, dynamic) in pinned {
        let key = broker_key(name).expect(name);
        assert_eq!((key.kind, key.default, key.dynamic), (kind, default, dynamic), "{name}");
    }
    let kafkas = |key: &&Key| !matches!(key.status, Status::Own | Status::Retired);
    assert_eq!(TOPIC_KEYS.iter().filter(kafkas).count(), 34);
    // 360 of its table and 5 that Kafka reads elsewhere.
    assert_eq!(broker_keys().filter(kafkas).count(), 365);
}

#[test]
fn values_are_read_as_kafka_reads_them() {
    let check = |name: &str, text: &str, expect: Option<&str>| {
        let key = topic_key(name).expect(name);
        let value = key.parse(text).ok().map(|value| value.to_string());
        assert_eq!(value.as_deref(), expect, "{name}={text}");
    };
    // Each answer was observed of Apache Kafka 4.3.1.
    check("cleanup.policy", "", Some(""));
    check("cleanup.policy", "delete,delete", Some("delete"));
    check("cleanup.policy", "delete , compact", Some("delete,compact"));
    check("cleanup.policy", "Delete", None);
    check("cleanup.policy", ",delete", None);
    check("compression.type", " gzip ", Some("gzip"));
    check("compression.type", "none", None);
    check("compression.gzip.level", "0", None);
    check("compression.gzip.level", "-1", Some("-1"));
    check("compression.gzip.level", "9", Some("9"));
    check("compression.gzip.level", "10", None);
    check("retention.ms", " 5 ", Some("5"));
    check("retention.ms", "+5", Some("5"));
    check("retention.ms", "5L", None);
    check("retention.ms", "-2", None);
    check("retention.ms", "9223372036854775808", None);
    check("retention.bytes", "-7", Some("-7"));
    check("segment.bytes", "1048575", None);
    check("segment.bytes", "2147483648", None);
    check("preallocate", "TRUE", Some("true"));
    check("preallocate", "yes", None);
    check("min.cleanable.dirty.ratio", "1.1", None);
    check("min.cleanable.dirty.ratio", "1", Some("1.0"));
    check("max.compaction.lag.ms", "0", None);
    check("leader.replication.throttled.replicas", "*", Some("*"));
    check("leader.replication.throttled.replicas", "0:1, 1:2", Some("0:1,1:2"));
    check("leader.replication.throttled.replicas", "none", None);
    check("message.timestamp.type", "createtime", None);
    // Retired: anything goes.
    check("message.format.version", "whatever", Some("whatever"));
}

#[test]
fn doubles_are_written_as_java_does() {
    for (value, text) in [
        (0.5, "0.5"),
        (1.0, "1.0"),
        (0.0, "0.0"),
        (1e7, "1.0E7"),
        (9_999_999.0, "9999999.0"),
        (1e-4, "1.0E-4"),
        (-2.5e10, "-2.5E10"),
    ] {
        assert_eq!(Value::Double(value).to_string(), text);
    }
}

#[test]
fn keys_narrowed_to_a_listener_have_the_row_they_narrow() {
    let base = |name: &str| broker_key(name).map(|key| key.name);
    assert_eq!(base("listener.name.internal.ssl.keystore.location"), Some("ssl.keystore.location"));
    assert_eq!(base("listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config"), Some("sasl.jaas.config"));
    assert_eq!(base("listener.name.x.max.connections"), Some("max.connections"));
    assert_eq!(base("listener.name.x.log.dirs"), None);
    assert_eq!(base("listener.name."), None);
    assert_eq!(base("listener.name.x"), None);
}

#[test]
fn the_reference_page_shows_each_public_key_once() {
    let page = reference_markdown();
    assert_eq!(page, reference_markdown());
    let lines: BTreeSet<&str> = page.lines().collect();
    for key in all() {
        let heading = lines.iter().any(|line| line.starts_with(&format!("### `{}`", key.name)));
        let row = lines.iter().any(|line| line.starts_with(&format!("| `{}` |", key.name)));
        let item = lines.iter().any(|line| line.starts_with(&format!("- `{}` (", key.name)));
        match key.status {
            Status::Honoured | Status::Own => assert!(heading, "{}", key.name),
            Status::Ignored => assert!(row, "{}", key.name),
            Status::Retired => assert!(item, "{}", key.name),
            Status::Internal => assert!(!heading && !row && !item, "{}", key.name),
        }
    }
    assert!(!page.contains("\n\n\n"));
}
