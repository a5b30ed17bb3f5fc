//! Administration: counts, replicas, configs, deletions and descriptions that cannot be.

use chronik_wire_tests::errors::*;
use chronik_wire_tests::requests::*;

use crate::row::{Row, Want, call, code};
use crate::{PLAIN_RECORDS, World};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

pub fn rows(world: &World) -> Vec<Row> {
    let mut rows = creations(world);
    rows.extend(deletions(world));
    rows.extend(record_deletions());
    rows.extend(partition_counts());
    rows.extend(config_changes());
    rows.extend(feature_levels());
    rows.extend(descriptions());
    rows.extend(producer_ids());
    rows
}

fn creations(world: &World) -> Vec<Row> {
    let creating = |name: &str, topic, want| call(name, CREATE_TOPICS, 7, &create_topics(7, &[topic], false), want);
    let t = || NewTopic::new("wire.refused", 1);
    let n = |partitions| NewTopic::new("wire.refused", partitions);
    let twice = create_topics(7, &[t(), t()], false);
    let checked_only = create_topics(7, &[NewTopic::new(world.plain, 1)], true);
    vec![
        creating("create with 0 partitions", n(0), code(INVALID_PARTITIONS)),
        creating("create with -2 partitions", n(-2), code(INVALID_PARTITIONS)),
        creating("create with 2^31 - 1 partitions", n(i32::MAX), Want::OneOf(&[INVALID_PARTITIONS, POLICY_VIOLATION])),
        creating("create with 2 replicas on one broker", t().replicas(2), code(INVALID_REPLICATION_FACTOR)),
        creating("create with 0 replicas", t().replicas(0), code(INVALID_REPLICATION_FACTOR)),
        creating("create with -2 replicas", t().replicas(-2), code(INVALID_REPLICATION_FACTOR)),
        creating("create with an unknown config", t().config("no.such.config", Some("1")), code(INVALID_CONFIG)),
        creating("create with retention.ms=soon", t().config("retention.ms", Some("soon")), code(INVALID_CONFIG)),
        creating("create with cleanup.policy=shred", t().config("cleanup.policy", Some("shred")), code(INVALID_CONFIG)),
        creating("create with segment.bytes=-1", t().config("segment.bytes", Some("-1")), code(INVALID_CONFIG)),
        creating("create with a config without value", t().config("retention.ms", None), code(INVALID_CONFIG)),
        creating(
            "create with a config of 30,000 digits",
            t().config("retention.ms", Some(&"9".repeat(30_000))),
            code(INVALID_CONFIG),
        ),
        creating(
            "create with a config longer than a string may be",
            t().config("retention.ms", Some(&"9".repeat(40_000))),
            Want::Closed,
        ),
        creating("create a topic that exists", NewTopic::new(world.plain, 1), code(TOPIC_ALREADY_EXISTS)),
        creating(
            "create with a broker that is not there",
            n(-1).replicas(-1).assigned(0, &[99]),
            code(INVALID_REPLICA_ASSIGNMENT),
        ),
        creating(
            "create with an empty assignment",
            n(-1).replicas(-1).assigned(0, &[]),
            code(INVALID_REPLICA_ASSIGNMENT),
        ),
        creating(
            "create with a broker twice in an assignment",
            n(-1).replicas(-1).assigned(0, &[1, 1]),
            code(INVALID_REPLICA_ASSIGNMENT),
        ),
        creating(
            "create with a gap in the assignments",
            n(-1).replicas(-1).assigned(0, &[1]).assigned(2, &[1]),
            code(INVALID_REPLICA_ASSIGNMENT),
        ),
        creating(
            "create with an assignment of partition -1",
            n(-1).replicas(-1).assigned(-1, &[1]),
            code(INVALID_REPLICA_ASSIGNMENT),
        ),
        creating("create with a count and an assignment", n(1).assigned(0, &[1]), code(INVALID_REQUEST)),
        call("create one topic twice in a request", CREATE_TOPICS, 7, &twice, code(INVALID_REQUEST)),
        call("check a topic that exists", CREATE_TOPICS, 7, &checked_only, code(TOPIC_ALREADY_EXISTS)),
        call("create nothing", CREATE_TOPICS, 7, &create_topics(7, &[], false), Want::Codes(vec![])),
    ]
}

fn deletions(world: &World) -> Vec<Row> {
    let deleting =
        |name: &str, topics: &[Topic<'_>], want| call(name, DELETE_TOPICS, 6, &delete_topics(6, topics), want);
    let both = body(DELETE_TOPICS, 6).arr(1).str(world.doomed).uuid(world.doomed_id).end().i32(1000).end().done();
    let neither = body(DELETE_TOPICS, 6).arr(1).opt_str(None).uuid(NO_UUID).end().i32(1000).end().done();
    let none = Topic::named("wire.none");
    vec![
        deleting("delete an unknown topic", &[none], code(UNKNOWN_TOPIC_OR_PARTITION)),
        deleting("delete an unknown topic id", &[Topic::with_id([0xcd; 16])], code(UNKNOWN_TOPIC_ID)),
        deleting("delete a topic named ..", &[Topic::named("..")], code(UNKNOWN_TOPIC_OR_PARTITION)),
        deleting("delete a topic named ../..", &[Topic::named("../..")], code(UNKNOWN_TOPIC_OR_PARTITION)),
        deleting("delete a topic of no name", &[Topic::named("")], code(UNKNOWN_TOPIC_OR_PARTITION)),
        deleting("delete one topic twice", &[none, none], code(INVALID_REQUEST)),
        call("delete by name and id at once", DELETE_TOPICS, 6, &both, code(INVALID_REQUEST)),
        call("delete by neither name nor id", DELETE_TOPICS, 6, &neither, code(INVALID_REQUEST)),
    ]
}

fn record_deletions() -> Vec<Row> {
    let deleting =
        |name: &str, topic: &str, p, want| call(name, DELETE_RECORDS, 2, &delete_records(2, topic, &[p]), want);
    vec![
        deleting(
            "delete records beyond the high watermark",
            "wire.plain",
            (0, PLAIN_RECORDS + 1),
            code(OFFSET_OUT_OF_RANGE),
        ),
        deleting("delete records to the largest offset", "wire.plain", (0, i64::MAX), code(OFFSET_OUT_OF_RANGE)),
        deleting("delete records to offset -2", "wire.plain", (0, -2), code(OFFSET_OUT_OF_RANGE)),
        deleting("delete records of partition 99", "wire.plain", (99, 0), code(UNKNOWN_TOPIC_OR_PARTITION)),
        deleting("delete records of an unknown topic", "wire.none", (0, 0), code(UNKNOWN_TOPIC_OR_PARTITION)),
        deleting("delete records of a compacted topic", "wire.compacted", (0, 0), code(POLICY_VIOLATION)),
    ]
}

fn partition_counts() -> Vec<Row> {
    let growing = |name: &str, topics: &[(&str, i32)], want| {
        call(name, CREATE_PARTITIONS, 3, &create_partitions(3, topics, false), want)
    };
    let assigned = body(CREATE_PARTITIONS, 3);
    let assigned =
        assigned.arr(1).str("wire.created").i32(4).arr(1).arr(1).i32(99).end().end().i32(1000).bool(false).end().done();
    vec![
        growing("shrink a topic", &[("wire.created", 2)], code(INVALID_PARTITIONS)),
        growing("grow a topic to its own size", &[("wire.created", 3)], code(INVALID_PARTITIONS)),
        growing("grow a topic to 0", &[("wire.created", 0)], code(INVALID_PARTITIONS)),
        growing("grow a topic to -1", &[("wire.created", -1)], code(INVALID_PARTITIONS)),
        growing(
            "grow a topic to 2^31 - 1",
            &[("wire.created", i32::MAX)],
            Want::OneOf(&[INVALID_PARTITIONS, POLICY_VIOLATION]),
        )
        .not_on_kafka("its controller runs out of memory"),
        growing("grow an unknown topic", &[("wire.none", 2)], code(UNKNOWN_TOPIC_OR_PARTITION)),
        growing("grow one topic twice", &[("wire.created", 4), ("wire.created", 5)], code(INVALID_REQUEST)),
        call(
            "grow a topic onto a broker that is not there",
            CREATE_PARTITIONS,
            3,
            &assigned,
            code(INVALID_REPLICA_ASSIGNMENT),
        ),
    ]
}

fn config_changes() -> Vec<Row> {
    let altering = |name: &str, operation, value, want| {
        let body = incremental_alter_configs(1, (TOPIC, "wire.created"), &[("retention.ms", operation, value)]);
        call(name, INCREMENTAL_ALTER_CONFIGS, 1, &body, want)
    };
    let of_all_brokers = incremental_alter_configs(1, (BROKER, ""), &[("log.retention.ms", 4, Some("1"))]);
    const NO_SUCH: &str = "its controller fails on an operation it does not know";
    vec![
        altering("set a config to nothing", 0, None, code(INVALID_REQUEST)),
        altering("append to a config that is no list", 2, Some("1"), code(INVALID_CONFIG)),
        altering("change a config by operation 4", 4, Some("1"), code(INVALID_REQUEST))
            .kafka(code(UNKNOWN_SERVER_ERROR), NO_SUCH),
        altering("change a config by operation -1", -1, Some("1"), code(INVALID_REQUEST))
            .kafka(code(UNKNOWN_SERVER_ERROR), NO_SUCH),
        call(
            "change a config of all brokers by operation 4",
            INCREMENTAL_ALTER_CONFIGS,
            1,
            &of_all_brokers,
            code(INVALID_REQUEST),
        ),
    ]
}

fn feature_levels() -> Vec<Row> {
    const UP: i8 = 1;
    const SAFELY_DOWN: i8 = 2;
    let updating = |name: &str, features: &[(&str, i16, i8)]| {
        call(name, UPDATE_FEATURES, 2, &update_features(2, features), code(INVALID_UPDATE_VERSION))
    };
    let whole = update_features(2, &[("group.version", 0, SAFELY_DOWN)]);
    let half = &whole[..whole.len() / 2];
    let none = update_features(2, &[]);
    vec![
        updating("update an unknown feature", &[("wire.none", 1, UP)]),
        updating("update an unknown feature to level 0", &[("wire.none", 0, SAFELY_DOWN)]),
        updating("update a feature of no name", &[("", 1, UP)]),
        updating("update a feature beyond its highest level", &[("group.version", 99, UP)]),
        updating("update a feature to level 2^15 - 1", &[("group.version", i16::MAX, UP)]),
        updating("update a feature to level -1", &[("group.version", -1, SAFELY_DOWN)]),
        updating("lower a feature by upgrade type 0", &[("group.version", 0, 0)]),
        updating("lower a feature by upgrade type 9", &[("group.version", 0, 9)]),
        updating("lower a feature by upgrade type -1", &[("group.version", 0, -1)]),
        updating("lower a feature by an upgrade", &[("group.version", 0, UP)]),
        updating("lower a feature beside an unknown one", &[("group.version", 0, SAFELY_DOWN), ("wire.none", 1, UP)]),
        call(
            "lower a feature by version 0, which cannot",
            UPDATE_FEATURES,
            0,
            &update_features(0, &[("group.version", 0, 1)]),
            code(INVALID_UPDATE_VERSION),
        ),
        call("half a request to lower a feature", UPDATE_FEATURES, 2, half, Want::Closed),
        call("update no feature", UPDATE_FEATURES, 2, &none, code(NONE)),
    ]
}

fn descriptions() -> Vec<Row> {
    let configs = |name: &str, resource, want| call(name, DESCRIBE_CONFIGS, 4, &describe_configs(4, &[resource]), want);
    let partitions = |name: &str, topics: &[&str], limit, cursor, want| {
        call(name, DESCRIBE_TOPIC_PARTITIONS, 0, &describe_topic_partitions(topics, limit, cursor), want)
    };
    vec![
        configs("configs of an unknown topic", (TOPIC, "wire.none"), code(UNKNOWN_TOPIC_OR_PARTITION)),
        configs("configs of a topic named ..", (TOPIC, ".."), code(INVALID_TOPIC_EXCEPTION)),
        configs("configs of a topic of no name", (TOPIC, ""), code(INVALID_TOPIC_EXCEPTION)),
        configs("configs of resource type 99", (99, "x"), code(INVALID_REQUEST)),
        configs("configs of resource type -1", (-1, "x"), code(INVALID_REQUEST)),
        configs("configs of broker abc", (BROKER, "abc"), code(INVALID_REQUEST)),
        configs("configs of broker 99", (BROKER, "99"), code(INVALID_REQUEST)),
        call(
            "cluster by endpoint type 9",
            DESCRIBE_CLUSTER,
            1,
            &describe_cluster(1, 9),
            code(UNSUPPORTED_ENDPOINT_TYPE),
        ),
        call(
            "cluster by endpoint type 2 on a broker",
            DESCRIBE_CLUSTER,
            1,
            &describe_cluster(1, 2),
            code(MISMATCHED_ENDPOINT_TYPE),
        ),
        partitions("partitions of an unknown topic", &["wire.none"], 100, None, code(UNKNOWN_TOPIC_OR_PARTITION)),
        partitions(
            "partitions of a topic named /",
            &["/"],
            100,
            None,
            Want::OneOf(&[UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION]),
        ),
        partitions("partitions with a limit of -5", &["wire.plain"], -5, None, Want::Answer),
        partitions("partitions with a limit of 2^31 - 1", &["wire.plain"], i32::MAX, None, code(NONE)),
        partitions("partitions from an unknown cursor", &["wire.plain"], 100, Some(("zzz", 5)), code(INVALID_REQUEST)),
        partitions("partitions from a cursor at -1", &["wire.plain"], 100, Some(("wire.plain", -1)), Want::Answer),
    ]
}

fn producer_ids() -> Vec<Row> {
    let init = |name: &str, id, timeout, producer, want| {
        call(name, INIT_PRODUCER_ID, 4, &init_producer_id(4, id, timeout, producer), want)
    };
    vec![
        init("producer id for a transactional id of no length", Some(""), 1000, (-1, -1), code(INVALID_REQUEST)),
        init("producer id with an id but no epoch", None, 1000, (5, -1), code(INVALID_REQUEST)),
        init("producer id with an epoch but no id", None, 1000, (-1, 5), code(INVALID_REQUEST)),
        init("producer id with a negative timeout", None, i32::MIN, (-1, -1), code(NONE)),
    ]
}
