use serde_json::json;

use crate::cli::{Cli, until};

#[test]
fn configs_are_set_shown_and_unset() {
    let cli = Cli::start();
    let topic = cli.name("t");
    cli.run(0, &["topic", "create", &topic]);
    let of = ["--topic", &topic];
    let dry = [&["config", "set", "retention.ms=5", "--dry-run"], &of[..]].concat();
    assert_eq!(cli.json(0, &dry)[0]["result"], "would be set");
    cli.run(0, &[&["config", "set", "retention.ms=6", "cleanup.policy=compact"], &of[..]].concat());
    // Brokers of Apache Kafka learn of a change a moment after it is answered.
    let shows = |key: &'static str, value: &str, source: &str| {
        let described = cli.json(0, &[&["config", "describe", key], &of[..]].concat());
        described[0]["value"] == *value && described[0]["source"] == *source
    };
    until("it is set", || shows("retention.ms", "6", "DYNAMIC_TOPIC_CONFIG"));
    cli.run(0, &[&["config", "unset", "retention.ms"], &of[..]].concat());
    until("it is unset", || shows("retention.ms", "604800000", "DEFAULT_CONFIG"));
    let all = cli.json(0, &[&["config", "describe", "--all"], &of[..]].concat());
    assert!(all.as_array().is_some_and(|rows| rows.len() > 20), "{all}");

    assert!(cli.run(1, &[&["config", "set", "no.such.key=1"], &of[..]].concat()).err.contains("INVALID_CONFIG"));
    assert_eq!(cli.run(1, &[&["config", "describe", "no.such.key"], &of[..]].concat()).err.lines().count(), 1);
    assert!(cli.run(1, &["config", "describe", "--topic", &cli.name("missing")]).err.contains("UNKNOWN_TOPIC"));
    cli.run(2, &["config", "describe"]);
    cli.run(2, &["config", "describe", "--topic", "a", "--group", "b"]);
    cli.run(2, &[&["config", "set", "novalue"], &of[..]].concat());
}

#[test]
fn brokers_have_configs() {
    let cli = Cli::start();
    let id = cli.json(0, &["cluster", "status"])["brokers"][0]["broker"].to_string();
    let described = cli.json(0, &["config", "describe", "--broker", &id]);
    let keys: Vec<_> = described.as_array().into_iter().flatten().map(|row| row["key"].clone()).collect();
    assert!(keys.contains(&json!("listeners")), "{keys:?}");
    cli.run(0, &["config", "set", "message.max.bytes=2000000", "--all-brokers"]);
    until("it is set", || {
        let all = cli.json(0, &["config", "describe", "--all-brokers"]);
        let row = all.as_array().into_iter().flatten().find(|row| row["key"] == "message.max.bytes").cloned();
        row.is_some_and(|row| row["value"] == "2000000" && row["source"] == "DYNAMIC_DEFAULT_BROKER_CONFIG")
    });
    // What one broker has of its own is not what holds for all.
    cli.run(0, &["config", "set", "message.max.bytes=3000000", "--broker", &id]);
    let shown = |of: &[&str]| {
        let row = cli.json(0, &[&["config", "describe", "message.max.bytes"], of].concat())[0].clone();
        (row["value"].clone(), row["source"].clone())
    };
    let own = (json!("3000000"), json!("DYNAMIC_BROKER_CONFIG"));
    until("it is set for the one", || shown(&["--broker", &id]) == own);
    assert_eq!(shown(&["--all-brokers"]), (json!("2000000"), json!("DYNAMIC_DEFAULT_BROKER_CONFIG")));
    cli.run(0, &["config", "unset", "message.max.bytes", "--broker", &id]);
    cli.run(0, &["config", "unset", "message.max.bytes", "--all-brokers"]);
}

#[test]
fn a_setting_that_others_rule_out_is_refused_and_stops_no_other() {
    let cli = Cli::start();
    let id = cli.json(0, &["cluster", "status"])["brokers"][0]["broker"].to_string();
    for (wrong, of) in [
        ("group.consumer.assignment.interval.ms=999999999", &["--all-brokers"][..]),
        ("listeners=rubbish", &["--broker", &id]),
    ] {
        let refused = cli.run(1, &[&["config", "set", wrong], of].concat()).err;
        assert!(refused.contains("INVALID_"), "{refused}");
    }
    cli.run(0, &["config", "set", "message.max.bytes=2000000", "--all-brokers"]);
    until("another takes effect", || {
        cli.json(0, &["config", "describe", "message.max.bytes", "--broker", &id])[0]["value"] == "2000000"
    });
    cli.run(0, &["config", "unset", "message.max.bytes", "--all-brokers"]);
}

#[test]
fn where_a_setting_comes_from_is_shown_without_a_broker() {
    let cli = Cli::to_nobody();
    let file = cli.file("server.properties", "log.retention.hours=5\nnum.partitions=4\n");
    let show = ["config", "show", "--origin", "--output", "json", "--config", &file, "--set", "num.partitions=7"];
    let told = cli.run_plain(0, &show).json();
    let row = |key: &str| told.as_array().into_iter().flatten().find(|row| row["key"] == *key).cloned().expect(key);
    assert_eq!(row("log.retention.hours")["origin"], json!(format!("{file}, line 1")));
    assert_eq!(row("num.partitions")["value"], "7");
    assert_eq!(row("num.partitions")["origin"], "flag --set num.partitions");
    assert_eq!(row("num.partitions")["overrides"][0], json!(format!("4 ({file}, line 2)")));
    let all = cli.run_plain(0, &["config", "show", "--all", "--output", "json"]).json();
    assert!(all.as_array().is_some_and(|rows| rows.len() > 50));
    cli.run_plain(78, &["config", "show", "--set", "num.partitions=x"]);
    cli.run_plain(78, &["config", "show", "--config", "/no/such/file"]);
}

#[test]
fn quotas_are_set_listed_and_unset() {
    let cli = Cli::start();
    let client = cli.name("client");
    let of = ["--client-id", client.as_str()];
    cli.run(0, &[&["quota", "set"], &of[..], &["producer_byte_rate=1024", "request_percentage=12.5"]].concat());
    let listed = cli.json(0, &[&["quota", "list"], &of[..]].concat());
    let rows: Vec<_> = listed.as_array().expect("rows").iter().map(|row| (&row["quota"], &row["value"])).collect();
    assert_eq!(rows, [(&json!("producer_byte_rate"), &json!(1024.0)), (&json!("request_percentage"), &json!(12.5))]);
    let refused = cli.run(1, &[&["quota", "set"], &of[..], &["producer_byte_rate=-1"]].concat());
    assert!(refused.err.contains("must be greater than 0"), "{refused:?}");
    cli.run(2, &["quota", "set", "producer_byte_rate=1"]);
    cli.run(2, &[&["quota", "set"], &of[..], &["producer_byte_rate=fast"]].concat());
    cli.run(0, &[&["quota", "unset", "--dry-run"], &of[..], &["producer_byte_rate"]].concat());
    cli.run(0, &[&["quota", "unset"], &of[..], &["request_percentage"]].concat());
    let listed = cli.json(0, &[&["quota", "list"], &of[..]].concat());
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    cli.run(0, &[&["quota", "unset"], &of[..], &["producer_byte_rate"]].concat());
}
