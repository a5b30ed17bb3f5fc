//! Under the names of Kafka's tools: their flags, their lines. Pinned from Apache Kafka 4.3.1.

use crate::cli::{Cli, until};

const TOPICS: &str = "kafka-topics.sh";
const GROUPS: &str = "kafka-consumer-groups.sh";
const CONFIGS: &str = "kafka-configs.sh";

#[test]
fn topics() {
    let cli = Cli::start();
    let topic = cli.name("t.1");
    let create = ["--create", "--topic", &topic, "--partitions", "2", "--config", "retention.ms=100000"];
    let made = cli.tool(0, TOPICS, &create, "").out;
    assert!(made.starts_with("WARNING: Due to limitations") && made.ends_with(&format!("Created topic {topic}.\n")));
    let again = cli.tool(1, "kafka-topics", &create, "").out;
    assert!(again.contains("Error while executing topic command : ") && again.contains("already exists"), "{again}");
    cli.tool(0, TOPICS, &[&create[..], &["--if-not-exists"]].concat(), "");
    assert!(cli.tool(0, TOPICS, &["--list"], "").out.lines().any(|line| line == topic));
    let described = cli.tool(0, TOPICS, &["--describe", "--topic", &topic], "").out;
    let lines: Vec<&str> = described.lines().collect();
    assert!(lines[0].starts_with(&format!("Topic: {topic}\tTopicId: ")), "{described}");
    assert!(
        lines[0].contains("\tPartitionCount: 2\tReplicationFactor: 1\tConfigs: ")
            && lines[0].contains("retention.ms=100000")
    );
    let expect = format!("\tTopic: {topic}\tPartition: 1\tLeader: 1\tReplicas: 1\tIsr: 1\tElr: \tLastKnownElr: ");
    assert_eq!(lines[2], expect);
    assert_eq!(cli.tool(0, TOPICS, &["--alter", "--topic", &topic, "--partitions", "3"], "").out, "");
    assert_eq!(cli.tool(0, TOPICS, &["--describe", "--topic", &topic, "--unavailable"], "").out, "");
    assert_eq!(cli.tool(0, TOPICS, &["--delete", "--topic", &topic], "").out, "");
    until("it is gone", || !cli.tool(0, TOPICS, &["--list"], "").out.lines().any(|line| line == topic));
    let gone = cli.tool(1, TOPICS, &["--delete", "--topic", &topic], "").out;
    assert_eq!(gone, format!("Error while executing topic command : Topic '{topic}' does not exist as expected\n"));
    cli.tool(1, TOPICS, &["--create"], "");
    cli.tool(1, TOPICS, &["--list", "--nonsense"], "");
    cli.tool(0, TOPICS, &["--help"], "");
}

#[test]
fn console_producer_and_consumer() {
    let cli = Cli::start();
    let topic = cli.name("t");
    cli.run(0, &["topic", "create", &topic]);
    let produce = [
        ["--topic", &topic, "--property", "parse.key=true"],
        ["--property", "parse.headers=true", "--reader-property", "null.marker=NULL"],
    ];
    let given = "h1:v1,h2:v2\tk1\tv1\nh1:v1\tk2\tNULL\n";
    cli.tool(0, "kafka-console-producer.sh", &produce.concat(), given);
    let consume = ["--topic", &topic, "--from-beginning", "--timeout-ms", "2000"];
    let ended = cli.tool(0, "kafka-console-consumer.sh", &consume, "");
    assert_eq!((ended.out.as_str(), ended.err.as_str()), ("v1\nnull\n", "Processed a total of 2 messages\n"));
    let shown = [
        "--property",
        "print.key=true",
        "--property",
        "print.headers=true",
        "--formatter-property",
        "print.offset=true",
    ];
    let some = ["--topic", &topic, "--partition", "0", "--offset", "0", "--max-messages", "1"];
    let ended = cli.tool(0, "kafka-console-consumer.sh", &[&some[..], &shown[..]].concat(), "");
    assert_eq!(ended.out, "Offset:0\th1:v1,h2:v2\tk1\tv1\n");
    let keyed = ["--topic", &topic, "--property", "parse.key=true"];
    let refused = cli.tool(1, "kafka-console-producer.sh", &keyed, "novalue\n");
    assert_eq!(refused.err, "No key separator found on line number 1: 'novalue'\n");
    cli.tool(1, "kafka-console-consumer.sh", &["--topic", &topic, "--property", "print.colour=true"], "");
}

#[test]
fn consumer_groups() {
    let cli = Cli::start();
    let (topic, group) = (cli.name("t"), cli.name("g"));
    cli.run(0, &["topic", "create", &topic]);
    cli.run_given(0, &["produce", &topic], "a\nb\n");
    let consume = ["--topic", &topic, "--from-beginning", "--max-messages", "1", "--group", &group];
    cli.tool(0, "kafka-console-consumer.sh", &consume, "");
    assert!(cli.tool(0, GROUPS, &["--list"], "").out.lines().any(|line| line == group));
    let described = cli.tool(0, GROUPS, &["--describe", "--group", &group], "");
    let head = "GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID";
    assert_eq!(described.lines(), ["", head, &format!("{group} {topic} 0 1 2 1 - - -")]);
    assert_eq!(described.err, format!("\nConsumer group '{group}' has no active members.\n"));
    let state = cli.tool(0, GROUPS, &["--describe", "--group", &group, "--state"], "").lines();
    assert_eq!(state[1], "GROUP COORDINATOR (ID) ASSIGNMENT-STRATEGY STATE #MEMBERS");
    assert!(state[2].ends_with("- Empty 0"), "{state:?}");

    let reset = ["--reset-offsets", "--group", &group, "--topic", &topic, "--to-latest"];
    let expect = ["", "GROUP TOPIC PARTITION NEW-OFFSET", &format!("{group} {topic} 0 2")];
    assert_eq!(cli.tool(0, GROUPS, &[&reset[..], &["--dry-run"]].concat(), "").lines(), expect);
    assert!(cli.tool(0, GROUPS, &["--describe", "--group", &group], "").lines()[2].contains(" 0 1 2 1 "));
    assert_eq!(cli.tool(0, GROUPS, &[&reset[..], &["--execute"]].concat(), "").lines(), expect);
    let exported = cli.tool(0, GROUPS, &[&reset[..], &["--export", "--dry-run"]].concat(), "").out;
    assert_eq!(exported, format!("{topic},0,2\n"));
    let file = cli.file("offsets.csv", &format!("{topic},0,1\n"));
    cli.tool(0, GROUPS, &["--reset-offsets", "--group", &group, "--from-file", &file, "--execute"], "");
    assert!(cli.tool(0, GROUPS, &["--describe", "--group", &group], "").lines()[2].contains(" 0 1 2 1 "));

    let deleted = cli.tool(0, GROUPS, &["--delete-offsets", "--group", &group, "--topic", &topic], "").lines();
    assert_eq!(deleted[0], format!("Request succeeded for deleting offsets from group {group}."));
    assert_eq!(deleted[3], format!("{topic} 0 Successful"));
    cli.tool(0, GROUPS, &[&reset[..], &["--execute"]].concat(), "");
    let deleted = cli.tool(0, GROUPS, &["--delete", "--group", &group], "").out;
    assert_eq!(deleted, format!("Deletion of requested consumer groups ('{group}') was successful.\n"));
    let gone = cli.tool(1, GROUPS, &["--delete", "--group", &group], "").out;
    let why = "org.apache.kafka.common.errors.GroupIdNotFoundException: The group id does not exist.";
    let expect = format!(
        "\nError: Deletion of some consumer groups failed:\n* Group '{group}' could not be deleted due to: {why}\n"
    );
    assert_eq!(gone, expect);
    let gone = cli.tool(1, GROUPS, &["--describe", "--group", &group], "").out;
    assert!(gone.contains("GroupIdNotFoundException: Group"), "{gone}");
}

#[test]
fn flags_that_would_destroy_more_than_was_meant_are_refused() {
    let cli = Cli::start();
    let (topic, group) = (cli.name("t"), cli.name("g"));
    cli.run(0, &["topic", "create", &topic]);
    cli.run_given(0, &["produce", &topic], "a\nb\n");
    let read = ["--topic", &topic, "--group", &group, "--from-beginning", "--max-messages", "1"];
    assert_eq!(cli.tool(0, "kafka-console-consumer.sh", &read, "").out, "a\n");
    for flags in [
        &["--delete-offsets", "--group", &group][..],
        &["--delete-offsets", "--group", &group, "--group", "other", "--topic", &topic],
        &["--delete", "--group", &group, "--topic", &topic],
        &["--delete", "--group", &group, "--all-topics"],
    ] {
        assert!(cli.tool(1, GROUPS, flags, "").out.contains("Option [delete"), "{flags:?}");
    }
    let kept = cli.json(0, &["group", "describe", &group]);
    assert_eq!(kept[0]["offsets"][0]["current_offset"], 1, "{kept}");
    let refused = cli.tool(
        1,
        "kafka-topics.sh",
        &["--alter", "--topic", &topic, "--partitions", "3", "--config", "retention.ms=5"],
        "",
    );
    assert!(refused.out.contains("Option \"[config]\" can't be used with option \"[alter]\""), "{}", refused.out);
}

#[test]
fn a_group_goes_on_where_retention_has_passed_it_by() {
    let cli = Cli::start();
    let (topic, group) = (cli.name("t"), cli.name("g"));
    cli.run(0, &["topic", "create", &topic]);
    cli.run_given(0, &["produce", &topic], "a\nb\nc\n");
    let read = ["--topic", &topic, "--group", &group, "--from-beginning", "--max-messages", "1"];
    assert_eq!(cli.tool(0, "kafka-console-consumer.sh", &read, "").out, "a\n");
    assert_eq!(cli.run(1, &["topic", "trim", &topic, "--to", "9", "--dry-run"]).out.matches("would be").count(), 0);
    cli.run(0, &["topic", "trim", &topic, "--to", "2"]);
    assert_eq!(cli.tool(0, "kafka-console-consumer.sh", &read, "").out, "c\n");
    assert_eq!(cli.json(0, &["group", "lag", &group])[0]["lag"], 0);
}

#[test]
fn levels_of_loggers_and_subscriptions_to_metrics() {
    let cli = Cli::start();
    let id = cli.json(0, &["cluster", "status"])["brokers"][0]["broker"].to_string();
    let of = ["--entity-type", "broker-loggers", "--entity-name", &id];
    let describe = || cli.tool(0, CONFIGS, &[&["--describe"], &of[..]].concat(), "").out;
    let described = describe();
    assert!(described.starts_with(&format!("Dynamic configs for broker-logger {id} are:\n  ")), "{described}");
    let levels = described.lines().skip(1).map(|line| {
        let level = line.strip_suffix(" sensitive=false synonyms={}").and_then(|line| line.trim().split_once('='));
        level.unwrap_or_else(|| panic!("{line}"))
    });
    let levels: std::collections::BTreeMap<_, _> = levels.collect();
    assert!(levels.contains_key("root"), "{described}");
    // Any logger but the root, whose level others may have of their own.
    let (logger, level) = levels.iter().find(|(name, _)| **name != "root").expect("a logger");
    let set = cli.tool(0, CONFIGS, &[&["--alter", "--add-config", &format!("{logger}=DEBUG")], &of[..]].concat(), "");
    assert_eq!(set.out, format!("Completed updating config for broker-logger {id}.\n"));
    assert!(describe().contains(&format!("  {logger}=DEBUG ")));
    let own = cli.json(0, &["config", "describe", logger, "--broker-logger", &id]);
    assert_eq!((&own[0]["value"], &own[0]["source"]), (&"DEBUG".into(), &"DYNAMIC_BROKER_LOGGER_CONFIG".into()));
    cli.tool(0, CONFIGS, &[&["--alter", "--delete-config", logger], &of[..]].concat(), "");
    assert!(describe().contains(&format!("  {logger}={level} ")));
    let refused = cli.tool(1, CONFIGS, &[&["--alter", "--add-config", "no.such=INFO"], &of[..]].concat(), "").err;
    assert!(refused.contains("InvalidConfigurationException: "), "{refused}");
    cli.run(1, &["config", "set", &format!("{logger}=LOUD"), "--broker-logger", &id]);

    let name = cli.name("metrics");
    let of = ["--entity-type", "client-metrics", "--entity-name", &name];
    let set = cli.tool(0, CONFIGS, &[&["--alter", "--add-config", "interval.ms=30000"], &of[..]].concat(), "");
    assert_eq!(set.out, format!("Completed updating config for client-metric {name}.\n"));
    until("it is set", || {
        let all = cli.tool(0, CONFIGS, &["--describe", "--entity-type", "client-metrics"], "").out;
        all.contains(&format!("Dynamic configs for client-metric {name} are:\n  interval.ms=30000 "))
    });
    cli.run(0, &["config", "unset", "interval.ms", "--client-metrics", &name]);
}

#[test]
fn quotas_of_users_and_clients() {
    let cli = Cli::start();
    let (user, client) = (cli.name("u"), cli.name("c"));
    let of = ["--entity-type", "users", "--entity-name", &user, "--entity-type", "clients", "--entity-name", &client];
    let quotas = ["--alter", "--add-config", "producer_byte_rate=1048576,request_percentage=150.5"];
    let set = cli.tool(0, CONFIGS, &[&quotas, &of[..]].concat(), "").out;
    assert!(set.starts_with(&format!("Completed updating config for user {user}.\n")), "{set}");
    let describe = || cli.tool(0, CONFIGS, &[&["--describe"], &of[..]].concat(), "").out;
    let expected = format!(
        "Quota configs for user-principal '{user}', client-id '{client}' are producer_byte_rate=1048576.0, request_percentage=150.5\n"
    );
    until("they are set", || describe() == expected);
    // Of the user alone there are none.
    assert_eq!(cli.tool(0, CONFIGS, &["--describe", "--user", &user], "").out, "");
    let each = ["--describe", "--user", &user, "--entity-type", "clients"];
    assert_eq!(cli.tool(0, CONFIGS, &each, "").out, expected);
    let unset = ["--alter", "--delete-config", "producer_byte_rate,request_percentage"];
    cli.tool(0, CONFIGS, &[&unset, &of[..]].concat(), "");
    until("they are taken away", || describe().is_empty());
    let refused = cli.tool(1, CONFIGS, &[&unset, &of[..]].concat(), "").err;
    assert!(refused.contains("Invalid config(s): producer_byte_rate,request_percentage"), "{refused}");
    let refused = cli.tool(1, CONFIGS, &["--alter", "--user", &user, "--add-config", "no_such_rate=1"], "").err;
    assert!(refused.contains("no_such_rate"), "{refused}");
    cli.tool(1, CONFIGS, &["--alter", "--entity-type", "users", "--add-config", "producer_byte_rate=1"], "");
}

#[test]
fn configs_offsets_and_deleted_records() {
    let cli = Cli::start();
    let topic = cli.name("t");
    cli.run(0, &["topic", "create", &topic]);
    cli.run_given(0, &["produce", &topic], "a\nb\n");
    let of = ["--entity-type", "topics", "--entity-name", &topic];
    let added = cli.tool(
        0,
        CONFIGS,
        &[&["--alter", "--add-config", "retention.ms=5,cleanup.policy=[compact,delete]"], &of[..]].concat(),
        "",
    );
    assert_eq!(added.out, format!("Completed updating config for topic {topic}.\n"));
    // Brokers of Apache Kafka learn of a change a moment after it is answered.
    let describe = || cli.tool(0, CONFIGS, &["--describe", "--topic", &topic], "").out;
    until("they are set", || {
        let described = describe();
        described.starts_with(&format!("Dynamic configs for topic {topic} are:\n  "))
            && described.contains("\n  retention.ms=5 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=5")
            && described.contains("\n  cleanup.policy=compact,delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:")
    });
    cli.tool(0, CONFIGS, &[&["--alter", "--delete-config", "retention.ms,cleanup.policy"], &of[..]].concat(), "");
    until("they are deleted", || describe() == format!("Dynamic configs for topic {topic} are:\n"));
    let refused = cli.tool(1, CONFIGS, &["--alter", "--topic", &topic, "--delete-config", "retention.ms"], "").err;
    assert!(refused.contains("InvalidConfigurationException: Invalid config(s): retention.ms"), "{refused}");
    let refused = cli.tool(1, CONFIGS, &["--alter", "--topic", &topic, "--add-config", "foo=1"], "").err;
    assert!(refused.contains("InvalidConfigurationException: "), "{refused}");

    let offsets = |code, args: &[&str]| cli.tool(code, "kafka-get-offsets.sh", args, "");
    assert_eq!(offsets(0, &["--topic", &topic]).out, format!("{topic}:0:2\n"));
    assert_eq!(
        offsets(0, &["--topic-partitions", &format!("{topic}:0-1"), "--time", "-2"]).out,
        format!("{topic}:0:0\n")
    );
    let none = offsets(1, &["--topic", "nobody.*"]).err;
    assert_eq!(none, "Error occurred: Could not match any topic-partitions with the specified filters\n");

    let json = format!(r#"{{"partitions":[{{"topic":"{topic}","partition":0,"offset":1}}],"version":1}}"#);
    let file = cli.file("delete.json", &json);
    let told = cli.tool(0, "kafka-delete-records.sh", &["--offset-json-file", &file], "").out;
    let head = "Executing records delete operation\nRecords delete operation completed:\n";
    assert_eq!(told, format!("{head}partition: {topic}-0\tlow_watermark: 1\n"));
    assert_eq!(offsets(0, &["--topic", &topic, "--time", "earliest"]).out, format!("{topic}:0:1\n"));
    let told = cli.tool(
        1,
        "kafka-delete-records.sh",
        &["--offset-json-file", &cli.file("d2.json", &json.replace("\"offset\":1", "\"offset\":9"))],
        "",
    );
    assert!(told.out.contains("\terror: org.apache.kafka.common.errors.OffsetOutOfRangeException: "), "{told:?}");
    cli.tool(2, "kafka-acls.sh", &["--list"], "");
}
