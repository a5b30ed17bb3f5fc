//! ApiVersions, and every advertised version of every request: asked in its own form, answered in its own form.

use chronik_wire_tests::batch::Batch;
use chronik_wire_tests::broker::Broker;
use chronik_wire_tests::conn::{Conn, WireError};
use chronik_wire_tests::errors::*;
use chronik_wire_tests::requests::*;
use chronik_wire_tests::responses;

use crate::client::*;

/// What is advertised: key, first, last. Produce says 0 for the sake of librdkafka and serves from 3 on.
const ADVERTISED: [(i16, i16, i16); 14] = [
    (PRODUCE, 0, 13),
    (FETCH, 4, 18),
    (LIST_OFFSETS, 1, 10),
    (METADATA, 0, 13),
    (API_VERSIONS, 0, 4),
    (CREATE_TOPICS, 2, 7),
    (DELETE_TOPICS, 1, 6),
    (DELETE_RECORDS, 0, 2),
    (INIT_PRODUCER_ID, 0, 5),
    (OFFSET_FOR_LEADER_EPOCH, 2, 4),
    (DESCRIBE_CONFIGS, 1, 4),
    (CREATE_PARTITIONS, 0, 3),
    (DESCRIBE_CLUSTER, 0, 2),
    (DESCRIBE_TOPIC_PARTITIONS, 0, 0),
];

#[test]
fn api_versions_lists_what_works() {
    let broker = broker();
    let mut conn = connect(&broker);
    for version in 0..=4 {
        let body = conn.call(API_VERSIONS, version, &api_versions(version, "wire-tests", "1.0")).expect("an answer");
        // The tag section of later versions is read by the parser and may hold features.
        let answer = responses::api_versions(version, &body).expect("readable");
        assert_eq!(answer.error, NONE);
        for row in ADVERTISED {
            let found =
                answer.keys.iter().find(|k| k.0 == row.0).unwrap_or_else(|| panic!("key {} is not advertised", row.0));
            if broker.is_oracle() {
                assert!(found.1 <= row.1 && found.2 >= row.2, "key {}: {found:?}", row.0);
            } else {
                assert_eq!(*found, row);
            }
        }
    }
}

#[test]
fn every_version_is_answered_in_its_own_form() {
    let broker = broker();
    let name = "versions";
    let id = topic(&broker, name);
    let mut conn = connect(&broker);
    assert_eq!(write(&mut conn, name, 0, &Batch::of(&[b"a", b"b"])).error, NONE);
    let mut failures = Vec::new();
    for (api, first, last) in ADVERTISED {
        let first = if api == PRODUCE { 3 } else { first };
        for version in first..=last {
            let answered = connect(&broker).call(api, version, &ordinary(api, version, name, id));
            let codes = answered.and_then(|answer| Ok(responses::error_codes(api, version, &answer)?));
            match codes {
                Ok(codes) if !codes.is_empty() && codes.iter().all(|c| *c == expected(api)) => {}
                other => failures.push(format!("key {api} version {version}: {other:?}")),
            }
        }
    }
    assert!(failures.is_empty(), "{}\nlog:\n{}", failures.join("\n"), broker.log());
}

/// A request that names the test's topic; a deletion names none that exists.
fn ordinary(api: i16, version: i16, name: &str, id: [u8; 16]) -> Vec<u8> {
    let topic = Topic { name, id };
    match api {
        PRODUCE => produce_one(version, topic, 0, &Batch::one(b"v").encode()),
        FETCH => fetch(version, Fetch::default(), &[(topic, vec![FetchPartition::at(0, 0)])]),
        LIST_OFFSETS => list_offsets(version, 0, name, &[(0, -1, -1)]),
        METADATA => metadata(version, Some(&[Topic::named(name)]), false),
        API_VERSIONS => api_versions(version, "wire-tests", "1.0"),
        CREATE_TOPICS => create_topics(version, &[NewTopic::new("versions-checked", 2)], true),
        DELETE_TOPICS => delete_topics(version, &[Topic::named("versions-none")]),
        DELETE_RECORDS => delete_records(version, name, &[(0, 1)]),
        INIT_PRODUCER_ID => init_producer_id(version, None, 1000, (-1, -1)),
        OFFSET_FOR_LEADER_EPOCH => offset_for_leader_epoch(version, name, &[(0, -1, 0)]),
        DESCRIBE_CONFIGS => describe_configs(version, &[(2, name), (4, "")]),
        CREATE_PARTITIONS => create_partitions(version, &[(name, 5)], true),
        DESCRIBE_CLUSTER => describe_cluster(version, 1),
        _ => describe_topic_partitions(&[name], 100, None),
    }
}

fn expected(api: i16) -> i16 {
    if api == DELETE_TOPICS { UNKNOWN_TOPIC_OR_PARTITION } else { NONE }
}

#[test]
fn advertised_but_refused_produce_versions_close() {
    let broker = broker();
    for version in 0..3 {
        let body = produce_one(version, Topic::named("any"), 0, &Batch::one(b"v").encode());
        assert!(closes(&broker, version, &body), "version {version}");
    }
}

fn closes(broker: &Broker, version: i16, body: &[u8]) -> bool {
    let mut conn: Conn = connect(broker);
    matches!(conn.call(PRODUCE, version, body), Err(WireError::Closed))
}
