use std::time::Instant;

use serde_json::json;

use crate::cli::Cli;

#[test]
fn a_cluster_tells_its_state() {
    let cli = Cli::start();
    let topic = cli.name("t");
    cli.run(0, &["topic", "create", &topic, "-p", "3"]);
    let status = cli.json(0, &["cluster", "status"]);
    assert_eq!(status["leaderless_partitions"], 0);
    assert!(status["partitions"].as_i64() >= Some(3));
    assert_eq!(status["brokers"][0]["controller"], true);
    let features = cli.json(0, &["cluster", "features"]);
    let produce = features["apis"].as_array().into_iter().flatten().find(|row| row["api"] == "Produce");
    assert_eq!(produce.map(|row| row["max"].clone()), Some(json!(13)));
    assert_eq!(cli.json(0, &["ready", "--wait", "10s"])["ready"], true);
    let found = cli.json(0, &["doctor"]);
    assert_eq!(found.as_array().map(Vec::len), Some(2));
}

#[test]
fn nobody_there_is_a_failure_of_every_command() {
    let cli = Cli::to_nobody();
    for args in [
        &["topic", "list"][..],
        &["topic", "create", "t"],
        &["topic", "delete", "t"],
        &["topic", "offsets"],
        &["produce", "t"],
        &["consume", "t"],
        &["consume", "t", "-g", "g", "-e"],
        &["group", "list"],
        &["group", "describe", "g"],
        &["group", "lag"],
        &["group", "reset", "g", "--to", "earliest"],
        &["group", "delete", "g"],
        &["config", "describe", "--topic", "t"],
        &["config", "set", "--topic", "t", "retention.ms=1"],
        &["cluster", "status"],
        &["cluster", "features"],
        &["doctor"],
        &["ready"],
        &["perf", "e2e", "t"],
    ] {
        let ended = cli.run(1, args);
        assert!(ended.err.starts_with("chronik: ") && ended.err.contains("refused"), "{args:?}: {ended:?}");
        let told = cli.json(1, args);
        assert!(told["error"]["message"].is_string(), "{args:?}: {told}");
    }
}

#[test]
fn ready_waits_no_longer_than_told() {
    let cli = Cli::to_nobody();
    let began = Instant::now();
    let ended = cli.run(1, &["ready", "--wait", "300ms"]);
    assert!(ended.err.contains("not ready after"), "{ended:?}");
    assert!(began.elapsed().as_millis() >= 200, "it gave up at once");
    cli.run(2, &["ready", "--wait", "soon"]);
}

#[test]
fn arguments_that_make_no_sense_end_with_2() {
    let cli = Cli::to_nobody();
    for args in [
        &["topic"][..],
        &["topic", "nonsense"],
        &["topic", "create"],
        &["topic", "list", "--no-such-flag"],
        &["topic", "list", "--output", "xml"],
        &["topic", "list", "--bootstrap", "nowhere"],
        &["group", "describe"],
        &["nonsense"],
    ] {
        assert!(!cli.run_plain(2, args).err.is_empty());
    }
    for (contents, word) in [
        ("security.protocol=SASL_SSL\n", "only PLAINTEXT"),
        ("ssl.truststore.location=x\n", "TLS"),
        ("sasl.mechanism=PLAIN\n", "SASL"),
        ("group.id=x\n", "not honoured"),
    ] {
        let file = cli.file("client.properties", contents);
        let ended = cli.run(2, &["topic", "list", "--command-config", &file]);
        assert!(ended.err.contains(word), "{ended:?}");
    }
    cli.run(2, &["topic", "list", "--command-config", "/no/such/file"]);
}

#[test]
fn a_file_of_settings_names_the_cluster() {
    let cli = Cli::start();
    let file = cli.file("client.properties", &format!("bootstrap.servers={}\nclient.id=x\n", cli.bootstrap));
    cli.run_plain(0, &["cluster", "status", "--command-config", &file]);
}

#[test]
fn speed_is_measured() {
    let cli = Cli::start();
    let topic = cli.name("t");
    cli.run(0, &["topic", "create", &topic]);
    let sent = cli.json(0, &["perf", "produce", &topic, "-n", "2000", "-s", "100", "-z", "zstd"]);
    assert_eq!((&sent["records"], &sent["bytes"]), (&json!(2000), &json!(200_000)));
    let read = cli.json(0, &["perf", "consume", &topic]);
    assert_eq!((&read["records"], &read["bytes"]), (&json!(2000), &json!(200_000)));
    let there_and_back = cli.json(0, &["perf", "e2e", &topic, "-n", "20"]);
    assert!(there_and_back["latency_p50_ms"].as_f64() > Some(0.0));
    cli.run(1, &["perf", "consume", &topic, "-n", "999999", "--timeout", "1s"]);
    cli.run(2, &["perf", "e2e", &topic, "--acks", "0"]);
}
