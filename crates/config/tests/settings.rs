//! From layers to typed settings.

use chronik_config::{
    BrokerConfig, CleanupPolicy, CompressionType, DynamicConfigError, Entry, FlushMode, Layer, Origin, Place, Settings,
    TimestampType, TopicConfig, TopicConfigError, Value, Warning, from_env, parse_properties, topic_config_has_effect,
    validate_dynamic, validate_topic_config, validate_topic_overrides,
};

fn file(text: &str) -> Layer {
    Layer::new(Origin::File("server.properties".to_owned()), parse_properties(text).expect("well formed"))
}

fn flags(pairs: &[(&str, &str)]) -> Layer {
    let entry = |(key, value): &(&str, &str)| Entry::new(*key, *value, Place::Argument("--set".to_owned()));
    Layer::new(Origin::Flag, pairs.iter().map(entry).collect())
}

fn variables(pairs: &[(&str, &str)]) -> Layer {
    from_env(pairs.iter().map(|(k, v)| (k.to_string(), v.to_string()))).layer
}

fn parse(layers: &[Layer]) -> (Settings, Vec<Warning>) {
    Settings::parse(layers).unwrap_or_else(|error| panic!("{error}"))
}

fn settings(text: &str) -> Settings {
    parse(&[file(text)]).0
}

fn refusal(layers: &[Layer]) -> String {
    match Settings::parse(layers).and_then(|(settings, _)| BrokerConfig::resolve(&settings)) {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(error) => error.to_string(),
    }
}

fn broker(text: &str) -> BrokerConfig {
    BrokerConfig::resolve(&settings(text)).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn later_layers_win_and_tell_where_from() {
    let layers = [
        file("num.partitions=2\nnum.partitions=3\nmax.connections=7\nbroker.rack=a"),
        variables(&[("KAFKA_NUM_PARTITIONS", "4"), ("KAFKA_BROKER_RACK", "b")]),
        flags(&[("num.partitions", "5")]),
    ];
    let (settings, warnings) = parse(&layers);
    assert_eq!(warnings, []);
    let config = BrokerConfig::resolve(&settings).expect("allowed");
    assert_eq!((config.num_partitions, config.max_connections, config.rack.as_deref()), (5, 7, Some("b")));
    let told: Vec<String> = ["num.partitions", "max.connections", "broker.rack", "fetch.max.bytes"]
        .iter()
        .map(|key| settings.set_at(key).to_string())
        .collect();
    assert_eq!(
        told,
        ["flag --set", "server.properties, line 3", "environment variable KAFKA_BROKER_RACK", "the default"]
    );
    let all: Vec<&str> = settings.all("num.partitions").iter().map(|setting| setting.text.as_str()).collect();
    assert_eq!(all, ["3", "4", "5"]);
    assert_eq!(
        settings.set_keys().map(|(key, _)| key).collect::<Vec<_>>(),
        ["broker.rack", "max.connections", "num.partitions"]
    );
}

#[test]
fn refusals_name_key_value_place_and_what_is_allowed() {
    assert_eq!(
        refusal(&[file("\nlog.retention.hour=1")]),
        "unknown key 'log.retention.hour' (server.properties, line 2), did you mean 'log.retention.hours'?"
    );
    assert_eq!(refusal(&[flags(&[("quite.something.else", "1")])]), "unknown key 'quite.something.else' (flag --set)");
    assert_eq!(
        refusal(&[file("retention.ms=1")]),
        "'retention.ms' is a topic's key (server.properties, line 1); the broker's default for all topics is 'log.retention.ms'"
    );
    assert_eq!(
        refusal(&[variables(&[("KAFKA_NUM_PARTITIONS", "many")])]),
        "num.partitions: 'many' is not allowed (environment variable KAFKA_NUM_PARTITIONS); expected a whole number from 1 to 2147483647"
    );
    assert_eq!(
        refusal(&[file("flush.mode=maybe")]),
        "flush.mode: 'maybe' is not allowed (server.properties, line 1); expected one of sync, async"
    );
    assert_eq!(
        refusal(&[file("node.id=1\nbroker.id=2")]),
        "node.id and broker.id contradict each other: '1' (server.properties, line 1) and '2' (server.properties, line 2)"
    );
    assert_eq!(
        refusal(&[file("log.dirs=/a,/b")]),
        "log.dirs: '/a,/b' is not allowed (server.properties, line 1); expected exactly one directory"
    );
    assert!(refusal(&[file("http.listener=nowhere")]).contains("expected host:port"));
}

#[test]
fn a_refused_password_is_not_shown() {
    let error = validate_dynamic("ssl.keystore.password", Some("secret"), true).expect_err("one broker at a time");
    assert!(!error.to_string().contains("secret"));
    let (settings, _) = parse(&[file("ssl.keystore.password= secret ")]);
    let Some(Value::Password(password)) = settings.value("ssl.keystore.password") else { panic!("no password") };
    assert_eq!(password.reveal(), "secret ");
}

#[test]
fn unknown_variables_are_refused_only_when_they_were_meant_for_a_broker() {
    let (_, warnings) = parse(&[variables(&[("KAFKA_BOOTSTRAP_SERVERS", "x:1")])]);
    let told: Vec<String> = warnings.iter().map(Warning::to_string).collect();
    assert_eq!(told, ["variable KAFKA_BOOTSTRAP_SERVERS ignored: there is no key 'bootstrap.servers'"]);
    for variable in ["KAFKA_LOG_RETENTION_HOUR", "KAFKA_CFG_BOOTSTRAP_SERVERS", "CHRONIK_BOOTSTRAP_SERVERS"] {
        assert!(refusal(&[variables(&[(variable, "1")])]).contains(variable), "{variable}");
    }
}

#[test]
fn keys_without_effect_give_one_warning_each() {
    let (_, warnings) = parse(&[
        file(
            "num.io.threads=8\nlog.cleaner.threads=2\nlog.cleaner.threads=3\nzookeeper.connect=x:2181\nnum.partitions=9",
        ),
        flags(&[("log.cleaner.threads", "4")]),
    ]);
    let told: Vec<String> = warnings.iter().map(Warning::to_string).collect();
    assert_eq!(
        told,
        [
            "log.cleaner.threads is accepted but has no effect here (flag --set)",
            "zookeeper.connect was removed from Kafka and has no effect (server.properties, line 4)"
        ]
    );
}

#[test]
fn a_usual_kafka_file_is_accepted_whole() {
    let text = "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=localhost:9093\n\
        controller.quorum.voters=1@localhost:9093\nlisteners=PLAINTEXT://:9092,CONTROLLER://:9093\ninter.broker.listener.name=PLAINTEXT\n\
        advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\ncontroller.listener.names=CONTROLLER\n\
        listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL\n\
        num.network.threads=3\nnum.io.threads=8\nsocket.send.buffer.bytes=102400\nsocket.receive.buffer.bytes=102400\n\
        socket.request.max.bytes=104857600\nlog.dirs=/var/lib/logs\nnum.partitions=1\nnum.recovery.threads.per.data.dir=2\n\
        offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
        share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\nlog.retention.hours=168\n\
        log.segment.bytes=1073741824\nlog.retention.check.interval.ms=300000\n";
    let (settings, warnings) = parse(&[file(text), flags(&[("allow.insecure.listeners", "true")])]);
    assert!(warnings.iter().all(|warning| matches!(warning, Warning::NotHonoured { .. })), "{warnings:?}");
    let config = BrokerConfig::resolve(&settings).expect("allowed");
    let names: Vec<(&str, String, bool)> =
        config.listeners.iter().map(|l| (l.name.as_str(), l.address.to_string(), l.controller)).collect();
    assert_eq!(
        names,
        [("PLAINTEXT", "0.0.0.0:9092".to_owned(), false), ("CONTROLLER", "0.0.0.0:9093".to_owned(), true)]
    );
    assert_eq!(config.listeners[0].advertised.as_ref().map(ToString::to_string).as_deref(), Some("localhost:9092"));
    assert_eq!(config.data_dir.to_str(), Some("/var/lib/logs"));
}

#[test]
fn listeners_are_read() {
    let config = broker(
        "listeners=plaintext://[::1]:0,B://localhost:9093\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,b:plaintext",
    );
    assert_eq!(config.listeners[0].address.to_string(), "[::1]:0");
    assert_eq!(config.listeners[0].name, "PLAINTEXT");
    assert_eq!(config.listeners[1].name, "B");
    assert_eq!(config.listeners[1].advertised, None);
    assert_eq!(broker("http.listener=").http_listener, None);
    // A controller's listener needs no entry in a map that is not given.
    let config = broker("listeners=PLAINTEXT://127.0.0.1:1,CTL://127.0.0.1:2\ncontroller.listener.names=CTL");
    assert!(config.listeners[1].controller);
}

#[test]
fn listeners_that_cannot_work_are_refused() {
    for (text, part) in [
        ("listeners=", "is empty"),
        ("listeners=127.0.0.1:9092", "is not a listener"),
        ("listeners=PLAINTEXT://127.0.0.1", "is not a listener"),
        ("listeners=PLAINTEXT://127.0.0.1:65536", "is not a listener"),
        ("listeners=PLAINTEXT://127.0.0.1:-1", "is not a listener"),
        ("listeners=PLAINTEXT://127.0.0.1:+1", "is not a listener"),
        ("listeners=PLAINTEXT://::1:9092", "is not a listener"),
        ("listeners=PLAINTEXT://[x]:9092", "is not a listener"),
        ("listeners=PLAINTEXT://a b:9092", "is not a listener"),
        ("listeners=://127.0.0.1:9092", "is not a listener"),
        ("listeners=PLAINTEXT://127.0.0.1:1,plaintext://127.0.0.1:2", "occurs twice"),
        ("listeners=PLAINTEXT://127.0.0.1:1,SSL://127.0.0.1:1", "used twice"),
        ("listeners=PLAINTEXT://127.0.0.1:1,SSL://:1", "used twice"),
        ("listeners=MINE://127.0.0.1:1", "add 'MINE:PLAINTEXT'"),
        ("listeners=SSL://127.0.0.1:1", "asks for SSL"),
        ("listener.security.protocol.map=A:B", "expected NAME:PROTOCOL"),
        ("controller.listener.names=PLAINTEXT", "at least one is needed"),
        ("advertised.listeners=OTHER://a:1", "names OTHER"),
        ("advertised.listeners=PLAINTEXT://0.0.0.0:1", "0.0.0.0:1 is not an address"),
        ("advertised.listeners=PLAINTEXT://:1", "0.0.0.0:1 is not an address"),
        ("advertised.listeners=PLAINTEXT://a:0", "a:0 is not an address"),
    ] {
        let error = refusal(&[file(text)]);
        assert!(error.contains(part), "{text}: {error}");
        assert!(error.contains("server.properties, line 1") || error.contains("the default"), "{text}: {error}");
    }
}

#[test]
fn a_listener_beyond_loopback_needs_consent() {
    for (text, key) in [
        ("listeners=PLAINTEXT://0.0.0.0:9092", "listeners"),
        ("listeners=PLAINTEXT://:9092", "listeners"),
        ("listeners=PLAINTEXT://192.168.0.1:9092", "listeners"),
        ("listeners=PLAINTEXT://[::]:9092", "listeners"),
        ("listeners=PLAINTEXT://host.example:9092", "listeners"),
        ("http.listener=0.0.0.0:80", "http.listener"),
    ] {
        let error = refusal(&[file(text)]);
        assert!(error.starts_with(&format!("{key} would serve")) && error.contains("--insecure"), "{text}: {error}");
        assert!(broker(&format!("{text}\nallow.insecure.listeners=true")).insecure);
    }
    for text in
        ["listeners=PLAINTEXT://127.1.2.3:1", "listeners=PLAINTEXT://LOCALHOST:1", "listeners=PLAINTEXT://[::1]:1"]
    {
        assert!(!broker(text).insecure);
    }
}

#[test]
fn fields_take_their_keys_and_minus_one_means_none() {
    assert_eq!(broker("broker.id=7").node_id, 7);
    assert_eq!(broker("node.id=7\nbroker.id=7").node_id, 7);
    assert_eq!(broker("node.id=7\nbroker.id=-1").node_id, 7);
    assert_eq!(broker("").node_id, 1);
    assert_eq!(broker("log.dir=/a").data_dir.to_str(), Some("/a"));
    assert_eq!(broker("log.dir=/a\nlog.dirs=/b").data_dir.to_str(), Some("/b"));
    assert_eq!(broker("connections.max.idle.ms=-1").connections_max_idle_ms, None);
    assert_eq!(broker("connections.max.idle.ms=5").connections_max_idle_ms, Some(5));
    assert_eq!(broker("queued.max.request.bytes=-1").queued_max_request_bytes, None);
    assert_eq!(broker("socket.send.buffer.bytes=-1").socket_send_buffer_bytes, None);
    assert_eq!(broker("flush.mode=async").flush_mode, FlushMode::Async);
    assert_eq!(broker("").flush_mode, FlushMode::Sync);
}

fn topic(broker: &str, overrides: &[(&str, &str)]) -> TopicConfig {
    TopicConfig::resolve(&settings(broker), overrides.iter().copied())
}

#[test]
fn a_topic_takes_its_own_value_then_the_brokers_then_the_default() {
    assert_eq!(topic("", &[]).retention_ms, 604_800_000);
    assert_eq!(topic("log.retention.hours=1", &[]).retention_ms, 3_600_000);
    assert_eq!(topic("log.retention.hours=1\nlog.retention.minutes=2", &[]).retention_ms, 120_000);
    assert_eq!(topic("log.retention.hours=1\nlog.retention.minutes=2\nlog.retention.ms=3", &[]).retention_ms, 3);
    assert_eq!(topic("log.retention.ms=3", &[("retention.ms", "4")]).retention_ms, 4);
    assert_eq!(topic("log.retention.hours=-1", &[]).retention_ms, -1);
    assert_eq!(topic("log.retention.bytes=-9", &[]).retention_bytes, -1);
    assert_eq!(topic("log.roll.hours=2\nlog.roll.jitter.hours=1", &[]).segment_ms, 7_200_000);
    assert_eq!(topic("log.roll.hours=2\nlog.roll.jitter.hours=1", &[]).segment_jitter_ms, 3_600_000);
    assert_eq!(topic("message.max.bytes=10", &[]).max_message_bytes, 10);
    assert_eq!(topic("flush.mode=async", &[]).flush_mode, FlushMode::Async);
    assert_eq!(topic("flush.mode=async", &[("flush.mode", "sync")]).flush_mode, FlushMode::Sync);
}

#[test]
fn words_are_typed() {
    let policy = |text| topic("", &[("cleanup.policy", text)]).cleanup_policy;
    assert_eq!(policy("delete"), CleanupPolicy { delete: true, compact: false });
    assert_eq!(policy("compact,delete"), CleanupPolicy { delete: true, compact: true });
    assert_eq!(policy("compact"), CleanupPolicy { delete: false, compact: true });
    assert_eq!(policy(""), CleanupPolicy { delete: false, compact: false });
    for (text, codec) in [
        ("producer", CompressionType::Producer),
        ("uncompressed", CompressionType::Uncompressed),
        ("gzip", CompressionType::Gzip),
        ("snappy", CompressionType::Snappy),
        ("lz4", CompressionType::Lz4),
        ("zstd", CompressionType::Zstd),
    ] {
        assert_eq!(topic("", &[("compression.type", text)]).compression_type, codec);
    }
    let kind = topic("log.message.timestamp.type=LogAppendTime", &[]).message_timestamp_type;
    assert_eq!(kind, TimestampType::LogAppendTime);
}

#[test]
fn an_override_that_is_not_understood_is_passed_over() {
    let config = topic(
        "log.retention.ms=3",
        &[("retention.ms", "soon"), ("key.of.tomorrow", "1"), ("message.format.version", "3.0")],
    );
    assert_eq!(config, topic("log.retention.ms=3", &[]));
}

#[test]
fn small_segments_only_by_the_internal_key() {
    assert_eq!(topic("", &[("internal.segment.bytes", "4096")]).segment_bytes, 4096);
    assert_eq!(topic("", &[("internal.segment.bytes", "0")]).segment_bytes, 1_073_741_824);
    assert!(validate_topic_config("segment.bytes", "4096").is_err());
}

#[test]
fn a_topics_settings_are_checked() {
    assert_eq!(validate_topic_config("retention.ms", "-1"), Ok(()));
    assert_eq!(validate_topic_config("message.downconversion.enable", "true"), Ok(()));
    assert_eq!(validate_topic_config("remote.storage.enable", "false"), Ok(()));
    assert_eq!(validate_topic_config("remote.storage.enable", "TRUE"), Err(TopicConfigError::NoTieredStorage));
    assert_eq!(
        validate_topic_config("retention.m", "1"),
        Err(TopicConfigError::UnknownKey { key: "retention.m".to_owned(), nearest: Some("retention.ms") })
    );
    let error = validate_topic_config("retention.ms", "x").expect_err("not a number");
    assert_eq!(
        error.to_string(),
        "Invalid value 'x' for configuration retention.ms: expected a whole number from -1 to 9223372036854775807"
    );
    let both = [("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")];
    let checked = |settings: &str, overrides: &[(&str, &str)]| {
        validate_topic_overrides(&parse(&[file(settings)]).0, overrides.iter().copied())
    };
    assert!(matches!(checked("", &both), Err(TopicConfigError::Exceeds { value: 10, limit: 5, .. })));
    assert_eq!(checked("", &both[..1]), Ok(()));
    assert!(checked("log.cleaner.max.compaction.lag.ms=5", &both[..1]).is_err());
    assert!(matches!(checked("", &[("nope", "1")]), Err(TopicConfigError::UnknownKey { .. })));
}

#[test]
fn settings_without_effect_are_known() {
    assert!(topic_config_has_effect("retention.ms", "5"));
    assert!(!topic_config_has_effect("message.format.version", "3.0"));
    assert!(!topic_config_has_effect("preallocate", "true"));
    assert!(topic_config_has_effect("preallocate", "false"));
    assert!(!topic_config_has_effect("nope", "1"));
}

#[test]
fn changes_while_running_keep_to_their_level() {
    use DynamicConfigError::{InvalidValue, PerBrokerOnly, ReadOnly, UnknownKey};
    assert_eq!(validate_dynamic("message.max.bytes", Some("5"), true), Ok(()));
    assert_eq!(validate_dynamic("message.max.bytes", None, false), Ok(()));
    assert_eq!(validate_dynamic("listeners", Some("A://b:1"), false), Ok(()));
    assert!(matches!(validate_dynamic("listeners", Some("A://b:1"), true), Err(PerBrokerOnly { .. })));
    assert!(matches!(validate_dynamic("node.id", Some("5"), false), Err(ReadOnly { .. })));
    assert!(matches!(validate_dynamic("message.max.bytes", Some("x"), true), Err(InvalidValue { .. })));
    assert!(matches!(
        validate_dynamic("message.max.byte", None, true),
        Err(UnknownKey { nearest: Some("message.max.bytes"), .. })
    ));
}

#[test]
fn values_set_while_running_lie_above_those_set_at_start() {
    let start = settings("message.max.bytes=1\nnum.partitions=2");
    let running =
        start.with_dynamic([("message.max.bytes", "3"), ("num.partitions", "9")], [("message.max.bytes", "4")]);
    let max_message_bytes = |running| TopicConfig::resolve(running, [].into_iter()).max_message_bytes;
    assert_eq!(max_message_bytes(&running), 4);
    assert_eq!(BrokerConfig::resolve(&running).expect("allowed").num_partitions, 2);
    let running = start.with_dynamic([("message.max.bytes", "3")], [("message.max.bytes", "what?")]);
    assert_eq!(max_message_bytes(&running), 3);
}

#[test]
fn settings_of_consumer_groups_bound_each_other() {
    let refused = |text: &str| {
        let (settings, _) = parse(&[file(text)]);
        BrokerConfig::resolve(&settings).expect_err(text).to_string()
    };
    let error = refused("group.consumer.session.timeout.ms=6000");
    assert!(error.contains("group.consumer.min.session.timeout.ms"), "{error}");
    let error = refused("group.consumer.heartbeat.interval.ms=20000");
    assert!(error.contains("group.consumer.max.heartbeat.interval.ms"), "{error}");
    let error = refused("group.consumer.max.heartbeat.interval.ms=90000\ngroup.consumer.heartbeat.interval.ms=50000");
    assert!(error.contains("group.consumer.session.timeout.ms"), "{error}");
    let error = refused("group.consumer.assignors=uniform,sticky");
    assert!(error.contains("'uniform', 'range' or both"), "{error}");
    let config = broker("group.consumer.assignors=range\ngroup.consumer.migration.policy=Upgrade");
    assert_eq!(config.groups.consumer.assignors, ["range"]);
    assert_eq!(config.groups.consumer.migration_policy, chronik_config::MigrationPolicy::Upgrade);
}

/// What stands in the `server.properties` and `broker.properties` that Apache Kafka 4 comes with, commented lines included.
#[test]
fn the_files_that_kafka_comes_with_are_understood() {
    let (one, both) = ("PLAINTEXT://localhost:9092", "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093");
    for (roles, listeners, advertised) in
        [("broker", one, one), ("broker,controller", "PLAINTEXT://:9092,CONTROLLER://:9093", both)]
    {
        let entries = [
            ("process.roles", roles),
            ("node.id", "2"),
            ("controller.quorum.bootstrap.servers", "localhost:9093"),
            ("listeners", listeners),
            ("inter.broker.listener.name", "PLAINTEXT"),
            ("advertised.listeners", advertised),
            ("controller.listener.names", "CONTROLLER"),
            (
                "listener.security.protocol.map",
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
            ),
            ("num.network.threads", "3"),
            ("num.io.threads", "8"),
            ("socket.send.buffer.bytes", "102400"),
            ("socket.receive.buffer.bytes", "102400"),
            ("socket.request.max.bytes", "104857600"),
            ("log.dirs", "/var/lib/kafka"),
            ("num.partitions", "1"),
            ("num.recovery.threads.per.data.dir", "2"),
            ("offsets.topic.replication.factor", "1"),
            ("transaction.state.log.replication.factor", "1"),
            ("transaction.state.log.min.isr", "1"),
            ("share.coordinator.state.topic.replication.factor", "1"),
            ("share.coordinator.state.topic.min.isr", "1"),
            ("log.flush.interval.messages", "10000"),
            ("log.flush.interval.ms", "1000"),
            ("log.retention.hours", "168"),
            ("log.retention.bytes", "1073741824"),
            ("log.segment.bytes", "1073741824"),
            ("log.retention.check.interval.ms", "300000"),
        ];
        let text: String = entries.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        // The wildcard listener is not for everybody's network: that is said on the command line.
        let config = broker(&format!("{text}allow.insecure.listeners=true"));
        assert_eq!((config.node_id, config.num_partitions), (2, 1), "{roles}");
        assert_eq!(config.log_retention_check_interval_ms, 300_000);
    }
}
