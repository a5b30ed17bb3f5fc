use chronik_wire_tests::broker::Broker;
use serde_json::json;

use crate::cli::{Cli, until};

#[test]
fn a_group_goes_on_where_it_was() {
    let cli = Cli::start();
    let (topic, group) = (cli.name("t"), cli.name("g"));
    cli.run(0, &["topic", "create", &topic, "-p", "2"]);
    cli.run_given(0, &["produce", &topic, "-p", "0"], "a\nb\nc\n");
    cli.run_given(0, &["produce", &topic, "-p", "1"], "d\n");
    let first = cli.run(0, &["consume", &topic, "-g", &group, "-c", "2"]).out;
    let rest = cli.run(0, &["consume", &topic, "-g", &group, "-e"]).out;
    let mut all: Vec<&str> = first.lines().chain(rest.lines()).collect();
    all.sort_unstable();
    assert_eq!(all, ["a", "b", "c", "d"]);
    assert_eq!(cli.run(0, &["consume", &topic, "-g", &group, "-e"]).out, "");

    let listed = cli.json(0, &["group", "list"]);
    assert!(listed.as_array().into_iter().flatten().any(|row| row["group"] == *group && row["state"] == "Empty"));
    cli.run_given(0, &["produce", &topic, "-p", "0"], "e\nf\n");
    let described = cli.json(0, &["group", "describe", &group]);
    assert_eq!(described[0]["offsets"][0]["lag"], 2);
    assert_eq!(described[0]["members"], json!([]));
    let lag = cli.json(0, &["group", "lag", &group]);
    assert_eq!((&lag[0]["topic"], &lag[0]["partitions"], &lag[0]["lag"]), (&json!(topic), &json!(2), &json!(2)));
}

#[test]
fn commits_that_are_not_waited_for_are_kept_all_the_same() {
    let broker = Broker::start_with(&["offset.commit.acks=none"]).expect("a broker");
    let cli = Cli::to(broker.address.to_string());
    let (topic, group) = (cli.name("topic"), cli.name("group"));
    cli.run_given(0, &["produce", &topic], "one\ntwo\n");
    cli.run(0, &["consume", &topic, "--group", &group, "--from", "beginning", "--count", "2"]);
    until("the offset is there", || {
        let described = cli.json(0, &["group", "describe", &group]);
        described[0]["offsets"][0]["current_offset"] == 2
    });
}

#[test]
fn offsets_are_reset_within_the_log() {
    let cli = Cli::start();
    let (topic, group) = (cli.name("t"), cli.name("g"));
    cli.run(0, &["topic", "create", &topic]);
    cli.run_given(0, &["produce", &topic, "--timestamp", "1000"], "a\nb\n");
    cli.run_given(0, &["produce", &topic, "--timestamp", "2000"], "c\nd\n");
    let new = |flags: &[&str]| {
        let told = cli.json(0, &[&["group", "reset", &group, "--topic", &topic], flags].concat());
        (told[0]["old_offset"].clone(), told[0]["new_offset"].clone())
    };
    assert_eq!(new(&["--to", "latest", "--dry-run"]), (json!(null), json!(4)));
    cli.run(1, &["group", "describe", &group]);
    assert_eq!(new(&["--to", "latest"]), (json!(null), json!(4)));
    assert_eq!(new(&["--shift-by", "-3"]), (json!(4), json!(1)));
    assert_eq!(new(&["--to", "1970-01-01T00:00:01.500Z"]), (json!(1), json!(2)));
    assert_eq!(new(&["--to", "99"]), (json!(2), json!(4)));
    assert_eq!(new(&["--shift-by", "-99"]), (json!(4), json!(0)));
    assert_eq!(cli.run(0, &["consume", &topic, "-g", &group, "-e"]).out, "a\nb\nc\nd\n");
    // Without a topic: what the group has committed for.
    assert_eq!(cli.json(0, &["group", "reset", &group, "--to", "earliest"])[0]["new_offset"], 0);

    cli.run(2, &["group", "reset", &group]);
    cli.run(2, &["group", "reset", &group, "--to", "soon"]);
    cli.run(2, &["group", "reset", &group, "--to", "1", "--shift-by", "1"]);
    cli.run(1, &["group", "reset", &group, "--topic", &cli.name("missing"), "--to", "earliest"]);
    cli.run(1, &["group", "reset", &cli.name("new"), "--to", "earliest"]);
}

#[test]
fn groups_and_their_offsets_are_deleted() {
    let cli = Cli::start();
    let (topic, group) = (cli.name("t"), cli.name("g"));
    cli.run(0, &["topic", "create", &topic]);
    cli.run_given(0, &["produce", &topic], "a\n");
    cli.run(0, &["group", "reset", &group, "--topic", &topic, "--to", "latest"]);
    assert_eq!(cli.json(0, &["group", "delete", &group, "--topic", &topic])[0]["result"], "deleted");
    cli.run(0, &["group", "reset", &group, "--topic", &topic, "--to", "latest"]);
    let told = cli.json(1, &["group", "delete", &group, &cli.name("nobody")]);
    assert_eq!(told[0]["result"], "deleted");
    assert_eq!(told[1]["error"]["name"], "GROUP_ID_NOT_FOUND");
    assert!(cli.run(1, &["group", "describe", &group]).err.contains("GROUP_ID_NOT_FOUND"));
    cli.run(1, &["group", "lag", &group]);
}

#[test]
fn a_signal_ends_a_member_that_has_committed_and_left() {
    let cli = Cli::start();
    let (topic, group) = (cli.name("t"), cli.name("g"));
    cli.run(0, &["topic", "create", &topic]);
    cli.run_given(0, &["produce", &topic], "a\nb\n");
    for (signal, expect) in [("-TERM", "a\nb\n"), ("-INT", "c\n")] {
        let member = cli.spawn(&["consume", &topic, "-g", &group]);
        until("the records are read", || member.out() == expect);
        assert!(cli.run(1, &["group", "reset", &group, "--to", "earliest"]).err.contains("members must leave first"));
        assert!(cli.run(1, &["group", "delete", &group]).err.contains("NON_EMPTY_GROUP"));
        assert_eq!(member.stop(signal), 0);
        let left = cli.json(0, &["group", "describe", &group]);
        assert_eq!((&left[0]["state"], &left[0]["offsets"][0]["lag"]), (&json!("Empty"), &json!(0)));
        cli.run_given(0, &["produce", &topic], "c\n");
    }
}

#[test]
fn members_share_partitions_and_take_over() {
    let cli = Cli::start();
    let (topic, group) = (cli.name("t"), cli.name("g"));
    cli.run(0, &["topic", "create", &topic, "-p", "2"]);
    let first = cli.spawn(&["consume", &topic, "-g", &group]);
    let second = cli.spawn(&["consume", &topic, "-g", &group]);
    until("each has a partition", || {
        let described = cli.run_given(0, &["group", "list", "--output", "json"], "").json();
        if !described.as_array().into_iter().flatten().any(|row| row["group"] == *group) {
            return false;
        }
        let described = cli.json(0, &["group", "describe", &group]);
        let members = described[0]["members"].as_array().cloned().unwrap_or_default();
        members.len() == 2 && members.iter().all(|m| m["assignment"].as_array().map(Vec::len) == Some(1))
    });
    for partition in ["0", "1"] {
        cli.run_given(0, &["produce", &topic, "-p", partition], partition);
    }
    until("each reads its own", || first.out().len() == 2 && second.out().len() == 2);
    assert_ne!(first.out(), second.out());
    assert_eq!(second.stop("-TERM"), 0);
    for partition in ["0", "1"] {
        cli.run_given(0, &["produce", &topic, "-p", partition], "later");
    }
    until("the first reads both", || first.out().matches("later").count() == 2);
    assert_eq!(first.stop("-TERM"), 0);
}
