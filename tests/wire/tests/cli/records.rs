use serde_json::{Value, json};

use crate::cli::Cli;

#[test]
fn what_is_produced_is_consumed() {
    let cli = Cli::start();
    let topic = cli.name("t");
    cli.run(0, &["topic", "create", &topic]);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let sent = ["produce", &topic, "-K", ":", "-H", "from=test", "-z", codec];
        cli.run_given(0, &sent, &format!("{codec}:value\nno key\n"));
    }
    let format = "%p %o %k=%s (%K, %S) %h\\n";
    let lines = cli.run(0, &["consume", &topic, "-e", "-f", format]).lines();
    assert_eq!(lines.len(), 10);
    assert_eq!(lines[0], "0 0 none=value (4, 5) from=test");
    assert_eq!(lines[9], "0 9 =no key (-1, 6) from=test");

    let told = cli.run(0, &["consume", &topic, "-J", "-e", "--from", "8"]).out;
    let records: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(records.len(), 2);
    assert_eq!((&records[0]["key"], &records[0]["payload"]), (&json!("zstd"), &json!("value")));
    assert_eq!(records[1]["key"], Value::Null);
    assert_eq!(records[1]["headers"], json!(["from", "test"]));

    assert_eq!(cli.run(0, &["consume", &topic, "-c", "1"]).out, "value\n");
    assert_eq!(cli.run(0, &["consume", &topic, "-e", "--from", "-1"]).out, "no key\n");
    assert_eq!(cli.run(0, &["consume", &topic, "-e", "--from", "end"]).out, "");
    assert_eq!(cli.run(0, &["consume", &topic, "-e", "--from", "@9999-01-01"]).out, "");
}

#[test]
fn keys_choose_partitions_and_partitions_can_be_named() {
    let cli = Cli::start();
    let topic = cli.name("t");
    cli.run(0, &["topic", "create", &topic, "-p", "3"]);
    let sent = cli.run_given(0, &["produce", &topic, "-p", "2", "--output", "json"], "a\nb").json();
    assert_eq!(
        (&sent[0]["partition"], &sent[0]["records"], &sent[0]["first_offset"]),
        (&json!(2), &json!(2), &json!(0))
    );
    assert_eq!(cli.run(0, &["consume", &topic, "-p", "2", "-e"]).out, "a\nb\n");
    assert_eq!(cli.run(0, &["consume", &topic, "-p", "0", "-e"]).out, "");
    // Kafka's own producers put these there.
    cli.run_given(0, &["produce", &topic, "-K", ":"], "21:x\nfoobar:y\n");
    let lines = cli.run(0, &["consume", &topic, "-e", "-f", "%k %p\\n"]).lines();
    let murmur2 = |hash: i32| (hash & 0x7fff_ffff) % 3;
    assert!(lines.contains(&format!("21 {}", murmur2(-973_932_308))), "{lines:?}");
    assert!(lines.contains(&format!("foobar {}", murmur2(-790_332_482))), "{lines:?}");
}

#[test]
fn nulls_and_binary_lengths_survive() {
    let cli = Cli::start();
    let topic = cli.name("t");
    cli.run(0, &["topic", "create", &topic]);
    cli.run_given(0, &["produce", &topic, "-K", "\\t", "-Z"], "k\t\nk\tv\n");
    assert_eq!(
        cli.run(0, &["consume", &topic, "-e", "-f", "%S %R%s;"]).out.as_bytes(),
        b"-1 \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd;1 \0\0\0\x01v;"
    );
}

#[test]
fn many_records_arrive_once_and_in_order() {
    let cli = Cli::start();
    let topic = cli.name("t");
    cli.run(0, &["topic", "create", &topic]);
    let lines: String = (0..100_000).map(|n| format!("record {n}\n")).collect();
    for acks in ["all", "1"] {
        cli.run_given(0, &["produce", &topic, "--acks", acks, "-z", "lz4"], &lines);
    }
    assert_eq!(cli.first_line_only(&["consume", &topic]), ("record 0\n".to_owned(), 0));
    assert!(cli.run(0, &["consume", &topic, "-e"]).out == lines.repeat(2), "other records than were sent");
}

#[test]
fn batches_are_no_larger_than_the_topic_takes() {
    let cli = Cli::start();
    let (topic, small) = (cli.name("t"), cli.name("small"));
    cli.run(0, &["topic", "create", &topic]);
    cli.run(0, &["topic", "create", &small, "-c", "max.message.bytes=1000"]);
    let large = format!("{}\n{}\n", "x".repeat(500_000), "y".repeat(900_000));
    cli.run_given(0, &["produce", &topic], &large);
    assert!(cli.run(0, &["consume", &topic, "-e"]).out == large, "other records than were sent");
    let lines: String = (0..1_000).map(|n| format!("record {n}\n")).collect();
    cli.run_given(0, &["produce", &small], &lines);
    assert!(cli.run(0, &["consume", &small, "-e"]).out == lines, "other records than were sent");
}

#[test]
fn failures_are_told_and_coded() {
    let cli = Cli::start();
    let (topic, missing) = (cli.name("t"), cli.name("missing"));
    cli.run(0, &["topic", "create", &topic]);
    assert!(cli.run(1, &["consume", &missing, "-e"]).err.contains("UNKNOWN_TOPIC_OR_PARTITION"));
    assert!(cli.run(1, &["consume", &topic, "--from", "77", "-e"]).err.contains("beyond the end"));
    cli.run_given(0, &["produce", &topic], "a\nb\n");
    cli.run(0, &["topic", "trim", &topic, "--to", "1"]);
    assert!(cli.run(1, &["consume", &topic, "--from", "0"]).err.contains("OFFSET_OUT_OF_RANGE"));
    assert!(cli.run_given(1, &["produce", &topic, "-p", "9"], "x").err.contains("no partition 9"));
    let large = "x".repeat(2_000_000);
    let told = cli.run_given(1, &["produce", &topic, "--output", "json"], &format!("small\n{large}\n")).json();
    assert_eq!((&told[0]["records"], &told[0]["error"]), (&json!(1), &Value::Null));
    assert!(told[1]["error"]["message"].as_str().is_some_and(|text| text.contains("MESSAGE_TOO_LARGE")), "{told}");
    assert!(cli.run_given(1, &["produce", &topic], &large).err.contains("MESSAGE_TOO_LARGE"));
    for bad in [["consume", "t", "-f", "%y"], ["produce", "t", "-z", "rar"], ["consume", "t", "--from", "soon"]] {
        assert!(!cli.run(2, &bad).err.is_empty());
    }
    cli.run(2, &["consume"]);
    let told = cli.run_given(1, &["produce", &topic, "-p", "9", "--output", "json"], "x").json();
    assert!(told["error"]["message"].is_string(), "{told}");
}
