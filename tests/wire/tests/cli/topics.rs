use serde_json::json;

use crate::cli::{Cli, until};

#[test]
fn topics_are_made_shown_changed_and_deleted() {
    let cli = Cli::start();
    let (a, b) = (cli.name("a"), cli.name("b"));
    let made = cli.json(0, &["topic", "create", &a, &b, "-p", "2", "-c", "retention.ms=86400000"]);
    assert_eq!(made.as_array().map(Vec::len), Some(2));
    assert_eq!(made[0]["result"], "created");

    let again = cli.run(1, &["topic", "create", &a]);
    assert!(again.err.contains("TOPIC_ALREADY_EXISTS") && again.out.is_empty(), "{again:?}");
    assert_eq!(cli.json(0, &["topic", "create", &a, "--if-not-exists"])[0]["result"], "exists");
    let dry = cli.name("dry");
    assert_eq!(cli.json(0, &["topic", "create", &dry, "--dry-run"])[0]["result"], "would be created");

    let listed = cli.json(0, &["topic", "list"]);
    let row = |name: &str| listed.as_array().into_iter().flatten().find(|row| row["topic"] == *name).cloned();
    assert_eq!(row(&a).map(|row| row["partitions"].clone()), Some(json!(2)));
    assert_eq!(row(&dry), None);

    let described = cli.json(0, &["topic", "describe", &a]);
    assert_eq!(described[0]["configs"]["retention.ms"], "86400000");
    assert_eq!(described[0]["partitions"][1]["partition"], 1);
    let table = cli.run(0, &["topic", "describe", &a]).lines();
    assert!(table.iter().any(|line| line == "PARTITION LEADER EPOCH REPLICAS ISR OFFLINE"), "{table:?}");

    cli.run(0, &["topic", "alter", &a, "-p", "3", "-c", "retention.ms=5", "--delete-config", "cleanup.policy"]);
    // Brokers of Apache Kafka learn of a change a moment after it is answered.
    until("it is altered", || {
        let described = cli.json(0, &["topic", "describe", &a]);
        described[0]["partitions"].as_array().map(Vec::len) == Some(3) && described[0]["configs"]["retention.ms"] == "5"
    });
    assert!(cli.run(1, &["topic", "alter", &a, "-p", "1"]).err.contains("INVALID_PARTITIONS"));
    assert_eq!(cli.run(2, &["topic", "alter", &a]).err.lines().count(), 1);

    assert_eq!(cli.json(0, &["topic", "delete", &a, &b])[1]["result"], "deleted");
    cli.run(0, &["topic", "delete", &a, "--if-exists"]);
    assert_eq!(cli.json(1, &["topic", "delete", &a])[0]["error"]["name"], "UNKNOWN_TOPIC_OR_PARTITION");
}

#[test]
fn one_failed_item_fails_the_command_and_spoils_no_other() {
    let cli = Cli::start();
    let (good, missing) = (cli.name("good"), cli.name("missing"));
    cli.run(0, &["topic", "create", &good]);
    for command in [["topic", "describe"], ["topic", "offsets"]] {
        let told = cli.json(1, &[&command[..], &[&good, &missing]].concat());
        let errors: Vec<_> = told.as_array().into_iter().flatten().map(|row| row["error"]["name"].clone()).collect();
        assert!(errors.contains(&json!(null)) && errors.contains(&json!("UNKNOWN_TOPIC_OR_PARTITION")), "{told}");
        let table = cli.run(1, &[&command[..], &[&good, &missing]].concat());
        assert!(table.out.contains(&good) && table.err.contains(&missing), "{table:?}");
    }
    let bad = cli.run(1, &["topic", "create", &cli.name("x"), "no/topic"]);
    assert!(bad.out.contains(&cli.name("x")) && bad.err.contains("INVALID_TOPIC_EXCEPTION"), "{bad:?}");
}

#[test]
fn offsets_are_told_and_records_trimmed() {
    let cli = Cli::start();
    let topic = cli.name("t");
    cli.run(0, &["topic", "create", &topic]);
    cli.run_given(0, &["produce", &topic, "--timestamp", "1000"], "a\nb\n");
    cli.run_given(0, &["produce", &topic, "--timestamp", "2000"], "c\nd\n");
    let told = cli.json(0, &["topic", "offsets", &topic]);
    assert_eq!((&told[0]["start_offset"], &told[0]["end_offset"]), (&json!(0), &json!(4)));
    assert_eq!(cli.json(0, &["topic", "offsets", &topic, "--at", "1500"])[0]["offset"], 2);
    assert_eq!(cli.json(0, &["topic", "offsets", &topic, "--at", "9000"])[0]["offset"], json!(null));
    assert_eq!(cli.json(0, &["topic", "offsets", &format!("{topic}:0"), "--at", "max-timestamp"])[0]["offset"], 2);
    cli.run(2, &["topic", "offsets", &format!("{topic}:x")]);

    let dry = cli.json(0, &["topic", "trim", &topic, "--before", "1970-01-01T00:00:02Z", "--dry-run"]);
    assert_eq!(dry[0]["start_offset"], 2);
    assert_eq!(cli.json(0, &["topic", "offsets", &topic])[0]["start_offset"], 0);
    assert_eq!(cli.json(0, &["topic", "trim", &topic, "--to", "1"])[0]["start_offset"], 1);
    assert!(cli.run(1, &["topic", "trim", &topic, "--to", "99"]).err.contains("OFFSET_OUT_OF_RANGE"));
    assert_eq!(cli.json(0, &["topic", "trim", &topic, "--all"])[0]["start_offset"], 4);
    cli.run(2, &["topic", "trim", &topic]);
    cli.run(2, &["topic", "trim", &topic, "--all", "--to", "1"]);
}
