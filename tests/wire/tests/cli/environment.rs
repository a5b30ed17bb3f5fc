//! What the environment asks of a broker at its start.

use chronik_wire_tests::broker::Broker;

use crate::cli::Cli;

const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";

#[test]
fn topics_and_the_cluster_id_are_there_from_the_start() {
    let variables = [("KAFKA_CREATE_TOPICS", "orders:3:1, keys:1:1:compact"), ("CLUSTER_ID", CLUSTER_ID)];
    let broker = Broker::start_in(&variables).expect("a broker");
    let cli = Cli::to(broker.address.to_string());
    let listed = cli.tool(0, "kafka-topics.sh", &["--list"], "");
    assert_eq!(listed.lines(), ["__meta", "keys", "orders"]);
    let orders = cli.tool(0, "kafka-topics.sh", &["--describe", "--topic", "orders"], "");
    assert!(orders.out.contains("PartitionCount: 3"), "{}", orders.out);
    let keys = cli.tool(0, "kafka-topics.sh", &["--describe", "--topic", "keys"], "");
    assert!(keys.out.contains("cleanup.policy=compact"), "{}", keys.out);
    assert!(cli.run(0, &["cluster", "status"]).out.contains(CLUSTER_ID));
}

#[test]
fn what_makes_no_sense_is_a_configuration_error() {
    let cli = Cli::to_nobody();
    let start = |dir: &str| vec!["start".to_owned(), "--data-dir".to_owned(), cli.name(dir)];
    for (variable, value, told) in [
        ("KAFKA_CREATE_TOPICS", "a:x", "KAFKA_CREATE_TOPICS: 'a:x': the number of partitions must be above 0"),
        ("KAFKA_CREATE_TOPICS", "a,a", "topic 'a' is given twice"),
    ] {
        let args = start("never");
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ended = cli.run_in(78, &[(variable, value)], &args);
        assert!(ended.err.contains(told), "{ended:?}");
    }
}

#[test]
fn a_topic_that_cannot_be_made_ends_the_start() {
    let error = Broker::start_in(&[("KAFKA_CREATE_TOPICS", "a:1:3")]).expect_err("one broker holds no three replicas");
    assert!(error.to_string().contains("cannot create the topic 'a' of KAFKA_CREATE_TOPICS"), "{error}");
    let error = Broker::start_in(&[("CLUSTER_ID", "mine")]).expect_err("no cluster id");
    assert!(error.to_string().contains("'mine' is not a cluster id"), "{error}");
}
