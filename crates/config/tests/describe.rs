//! What DescribeConfigs is told.

use chronik_config::table::{TOPIC_KEYS, broker_keys};
use chronik_config::{
    ConfigSource, Described, Kind, Layer, Origin, Settings, describe_broker, describe_topic, parse_properties,
    validate_topic_config,
};

fn settings(text: &str) -> Settings {
    let layer = Layer::new(Origin::File("f".to_owned()), parse_properties(text).expect("well formed"));
    Settings::parse(&[layer]).unwrap_or_else(|error| panic!("{error}")).0
}

fn one(all: &[Described], name: &str) -> Described {
    all.iter().find(|described| described.name == name).unwrap_or_else(|| panic!("{name} is missing")).clone()
}

/// `value SOURCE {SOURCE:name=value, …}`, as Kafka's own tool prints it.
fn shown(described: &Described) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let synonym = |s: &chronik_config::Synonym| format!("{}:{}={}", s.source.number(), s.name, text(&s.value));
    let synonyms: Vec<String> = described.synonyms.iter().map(synonym).collect();
    format!("{} {} {{{}}}", text(&described.value), described.source.number(), synonyms.join(", "))
}

fn topic(broker: &Settings, overrides: &[(&str, &str)], name: &str) -> String {
    shown(&one(&describe_topic(broker, overrides.iter().copied()), name))
}

#[test]
fn topics_show_value_source_and_synonyms() {
    let broker = settings("log.segment.bytes=2000000\nlog.retention.hours=1");
    assert_eq!(
        topic(&broker, &[], "segment.bytes"),
        "2000000 4 {4:log.segment.bytes=2000000, 5:log.segment.bytes=1073741824}"
    );
    assert_eq!(
        topic(&broker, &[("segment.bytes", " 3000000 ")], "segment.bytes"),
        "3000000 1 {1:segment.bytes=3000000, 4:log.segment.bytes=2000000, 5:log.segment.bytes=1073741824}"
    );
    assert_eq!(topic(&broker, &[], "retention.ms"), "3600000 4 {4:log.retention.hours=1, 5:log.retention.hours=168}");
    assert_eq!(topic(&broker, &[], "remote.storage.enable"), "false 5 {}");
    assert_eq!(
        topic(&broker, &[("cleanup.policy", "")], "cleanup.policy"),
        " 1 {1:cleanup.policy=, 5:log.cleanup.policy=delete}"
    );
    assert_eq!(topic(&broker, &[("segment.bytes", "?")], "segment.bytes"), topic(&broker, &[], "segment.bytes"));
}

#[test]
fn dynamic_levels_are_told_apart() {
    let broker =
        settings("message.max.bytes=1").with_dynamic([("message.max.bytes", "2")], [("message.max.bytes", "3")]);
    let synonyms = "2:message.max.bytes=3, 3:message.max.bytes=2, 4:message.max.bytes=1, 5:message.max.bytes=1048588";
    assert_eq!(topic(&broker, &[], "max.message.bytes"), format!("3 2 {{{synonyms}}}"));
    assert_eq!(shown(&one(&describe_broker(&broker), "message.max.bytes")), format!("3 2 {{{synonyms}}}"));
    let broker = settings("").with_dynamic([("message.max.bytes", "2")], []);
    assert_eq!(one(&describe_broker(&broker), "message.max.bytes").source, ConfigSource::DynamicDefaultBroker);
}

#[test]
fn every_public_key_is_described_and_sorted() {
    let topics = describe_topic(&settings(""), std::iter::empty());
    let names: Vec<&str> = topics.iter().map(|described| described.name.as_str()).collect();
    let public: Vec<&str> = TOPIC_KEYS.iter().filter(|key| key.public()).map(|key| key.name).collect();
    assert_eq!(names, public);
    assert!(!names.contains(&"message.format.version") && !names.contains(&"internal.segment.bytes"));
    assert!(
        topics.iter().all(|d| !d.read_only && !d.sensitive && d.source == ConfigSource::Default && d.value.is_some())
    );
    let brokers = describe_broker(&settings(""));
    assert_eq!(brokers.len(), broker_keys().filter(|key| key.public()).count());
    assert!(brokers.windows(2).all(|pair| pair[0].name < pair[1].name));
    assert!(brokers.iter().all(|d| d.source == ConfigSource::Default));
}

/// What a tool reads and writes back is accepted.
#[test]
fn described_topic_values_can_be_set_again() {
    for described in describe_topic(&settings(""), std::iter::empty()) {
        let value = described.value.expect("a topic's key has a value");
        assert_eq!(validate_topic_config(&described.name, &value), Ok(()), "{}", described.name);
    }
}

#[test]
fn brokers_show_what_may_change_and_hide_secrets() {
    let broker = settings(
        "ssl.keystore.password=hunter2\nnode.id=4\nlog.retention.hours=2\nlistener.name.a.ssl.keystore.password=hunter2\nlistener.name.a.ssl.keystore.type=PEM",
    );
    let all = describe_broker(&broker);
    let node = one(&all, "node.id");
    assert_eq!((shown(&node).as_str(), node.read_only, node.kind), ("4 4 {4:node.id=4, 5:node.id=1}", true, Kind::Int));
    assert!(!one(&all, "message.max.bytes").read_only);
    let secret = one(&all, "ssl.keystore.password");
    assert_eq!((shown(&secret).as_str(), secret.sensitive), ("null 4 {4:ssl.keystore.password=null}", true));
    // A key that is null has no synonyms; the one that stands in for it is described by itself.
    assert_eq!(shown(&one(&all, "log.retention.ms")), "null 5 {}");
    assert_eq!(shown(&one(&all, "log.retention.hours")), "2 4 {4:log.retention.hours=2, 5:log.retention.hours=168}");
    assert_eq!(
        shown(&one(&all, "listener.name.a.ssl.keystore.type")),
        "PEM 4 {4:listener.name.a.ssl.keystore.type=PEM, 5:ssl.keystore.type=JKS}"
    );
    assert!(!format!("{all:?}").contains("hunter2"), "a password is shown");
    assert!(!format!("{broker:?}").contains("hunter2"), "a password is printed");
    let set = settings("log.retention.ms=5\nlog.retention.hours=2");
    assert_eq!(
        shown(&one(&describe_broker(&set), "log.retention.ms")),
        "5 4 {4:log.retention.ms=5, 4:log.retention.hours=2, 5:log.retention.hours=168}"
    );
}

#[test]
fn numbers_are_the_protocols() {
    assert_eq!(
        [ConfigSource::DynamicTopic.number(), ConfigSource::Default.number(), ConfigSource::Group.number()],
        [1, 5, 8]
    );
    assert_eq!([Kind::Boolean.number(), Kind::Short.number(), Kind::Password.number()], [1, 4, 9]);
}
