use std::io::{Seek, SeekFrom, Write};

use serde_json::json;

use crate::cli::Cli;

#[test]
fn a_data_directory_is_read_without_a_broker() {
    let cli = Cli::start();
    let Some(dir) = cli.broker.as_ref().and_then(|broker| broker.data_dir()) else {
        // The files of a broker that was not started here are out of reach.
        return;
    };
    let dir = dir.display().to_string();
    let topic = cli.name("t");
    cli.run(0, &["topic", "create", &topic]);
    cli.run_given(0, &["produce", &topic, "-K", ":", "-z", "zstd"], "a:1\nb:2\n");
    cli.run_given(0, &["produce", &topic], "c\n");

    let info = cli.run_plain(0, &["storage", "info", &dir, "--output", "json"]).json();
    assert_eq!(info["properties"]["node.id"], "1");
    assert_eq!(info["clean"], false);
    let checked = cli.run_plain(0, &["storage", "check", &dir, "--output", "json"]).json();
    let row = checked.as_array().into_iter().flatten().find(|row| row["topic"] == *topic).cloned().expect("the topic");
    assert_eq!((&row["records"], &row["end_offset"], &row["finding"]), (&json!(3), &json!(3), &json!("good")));

    let partition = format!("{dir}/{topic}-0");
    let batches = cli.run_plain(0, &["storage", "dump", &partition, "--output", "json"]).out;
    assert_eq!(batches.lines().count(), 2);
    assert!(batches.contains("\"codec\":\"zstd\""), "{batches}");
    let deep = cli.run_plain(0, &["storage", "dump", &partition, "--deep", "--from", "2"]).lines();
    assert!(deep.len() == 1 && deep[0].ends_with("- c"), "{deep:?}");

    let records = cli.run_plain(0, &["meta", "dump", &dir]).out;
    assert!(records.contains(&topic) && records.contains("ClusterCreated"), "{records}");
    let verified = cli.run_plain(0, &["meta", "verify", &dir, "--output", "json"]).json();
    assert_eq!((&verified["topics"], &verified["brokers"]), (&json!(1), &json!(1)));

    cli.run_plain(1, &["storage", "check", &dir, "--partition", "nobody-0"]);
    cli.run_plain(1, &["storage", "info", "/no/such/dir"]);
    cli.run_plain(1, &["meta", "verify", "/no/such/dir"]);
    cli.run_plain(1, &["storage", "dump", "/no/such/dir"]);
    cli.run_plain(2, &["meta", "dump", &dir, "--type", "Nonsense"]);
}

#[test]
fn damage_is_found_where_it_is() {
    let cli = Cli::start();
    let Some(dir) = cli.broker.as_ref().and_then(|broker| broker.data_dir()) else { return };
    let topic = cli.name("t");
    cli.run(0, &["topic", "create", &topic]);
    cli.run_given(0, &["produce", &topic], "a\n");
    cli.run_given(0, &["produce", &topic], "b\n");
    let copy = cli.scratch.join("copy");
    let partition = copy.join(format!("{topic}-0"));
    std::fs::create_dir_all(&partition).expect("a directory");
    std::fs::copy(dir.join("meta.properties"), copy.join("meta.properties")).expect("a copy");
    let segment = "00000000000000000000.log";
    let log = partition.join(segment);
    std::fs::copy(dir.join(format!("{topic}-0")).join(segment), &log).expect("a copy");
    let copy = copy.display().to_string();
    let check = ["storage", "check", &copy, "--output", "json"];
    std::fs::write(cli.scratch.join("copy/.kafka_cleanshutdown"), "").expect("a marker");
    cli.run_plain(0, &check);

    let mut file = std::fs::OpenOptions::new().write(true).open(&log).expect("the log");
    let end = file.seek(SeekFrom::End(-1)).expect("the last byte");
    file.write_all(b"~").expect("a changed byte");
    let told = cli.run_plain(1, &check).json();
    assert!(told[0]["error"]["message"].as_str().is_some_and(|text| text.contains("checksum")), "{told}");
    // Without a clean stop the end of the log may be a write that was under way.
    std::fs::remove_file(cli.scratch.join("copy/.kafka_cleanshutdown")).expect("the marker");
    let told = cli.run_plain(0, &check).json();
    assert_eq!((&told[0]["records"], &told[0]["end_offset"]), (&json!(1), &json!(1)));
    file.set_len(end).expect("a shorter log");
    let dumped = cli.run_plain(1, &["storage", "dump", &partition.display().to_string()]);
    assert!(dumped.out.lines().count() == 1 && dumped.err.contains("at byte"), "{dumped:?}");
}
