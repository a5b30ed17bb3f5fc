//! Topics: ids, creation on demand, deletion and creation anew.

use std::time::{Duration, Instant};

use chronik_wire_tests::batch::{Batch, parse_batches};
use chronik_wire_tests::errors::*;
use chronik_wire_tests::requests::*;
use chronik_wire_tests::responses;

use crate::client::*;

#[test]
fn a_topic_is_known_by_its_id() {
    let broker = broker();
    let name = "ids";
    let id = topic(&broker, name);
    assert_ne!(id, NO_UUID);
    let mut conn = connect(&broker);
    let by_id = &describe(&mut conn, Some(&[Topic::with_id(id)]), false).topics[0];
    assert_eq!((by_id.error, by_id.name.as_deref(), by_id.id), (NONE, Some(name), id));

    let answer = conn
        .call(PRODUCE, 13, &produce_one(13, Topic::with_id(id), 0, &Batch::one(b"by id").encode()))
        .expect("an answer");
    assert_eq!(responses::produce(13, &answer).expect("readable")[0].error, NONE);
    let body = fetch(13, Fetch::default(), &[(Topic::with_id(id), vec![FetchPartition::at(0, 0)])]);
    let answer = conn.call(FETCH, 13, &body).expect("an answer");
    let got = responses::fetch(13, &answer).expect("readable").partitions.remove(0);
    assert_eq!(parse_batches(&got.records).expect("batches")[0].values, vec![b"by id".to_vec()]);
}

#[test]
fn metadata_creates_a_topic_and_answers_with_it() {
    let broker = broker();
    let name = format!("demand.{}", chronik_wire_tests::batch::now_ms());
    let mut conn = connect(&broker);
    let asked = [Topic::named(&name)];
    assert_eq!(
        describe(&mut conn, Some(&asked), false).topics[0].error,
        UNKNOWN_TOPIC_OR_PARTITION,
        "not without leave"
    );
    let deadline = Instant::now() + Duration::from_secs(20);
    let created = loop {
        let topic = describe(&mut conn, Some(&asked), true).topics.remove(0);
        if topic.error == NONE {
            break topic;
        }
        // Kafka creates it behind the request and lets the client ask again; here the first answer already has it.
        assert!(broker.is_oracle(), "error {} in the answer that creates the topic", topic.error);
        assert!(Instant::now() < deadline, "still error {}", topic.error);
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_ne!(created.id, NO_UUID);
    assert_eq!(created.partitions.len(), 1);
    assert!(created.partitions[0].2 >= 0, "a leader is named");
    assert_eq!(write(&mut conn, &name, 0, &Batch::one(b"v")).error, NONE);
}

#[test]
fn null_asks_for_all_topics_and_an_empty_list_for_none() {
    let broker = broker();
    topic(&broker, "all.1");
    topic(&broker, "all.2");
    let mut conn = connect(&broker);
    let all = describe(&mut conn, None, false);
    for name in ["all.1", "all.2"] {
        assert!(all.topics.iter().any(|t| t.name.as_deref() == Some(name)), "{name}");
    }
    assert!(describe(&mut conn, Some(&[]), false).topics.is_empty());
    let v0 = conn.call(METADATA, 0, &metadata(0, Some(&[]), false)).expect("an answer");
    assert!(responses::metadata(0, &v0).expect("readable").topics.len() >= 2, "version 0 means all by an empty list");
    let brokers = all.brokers;
    assert_eq!(brokers.len(), 1);
    assert_eq!(i32::from(broker.address.port()), brokers[0].2, "the address that was dialed");
}

#[test]
fn a_topic_created_anew_has_a_new_id_and_nothing_of_the_old_one() {
    let broker = broker();
    let name = "anew";
    let old = topic(&broker, name);
    let mut conn = connect(&broker);
    for _ in 0..3 {
        write(&mut conn, name, 0, &Batch::one(b"old"));
    }
    let new = topic(&broker, name);
    assert_ne!(old, new);
    let deadline = Instant::now() + Duration::from_secs(20);
    // Kafka answers from the old log until it has replayed the deletion; here the new topic is there when its creation is answered.
    while broker.is_oracle() && list_offset(&mut conn, name, -1).offset != 0 {
        assert!(Instant::now() < deadline, "the old log stays");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!([-2, -1].map(|at| list_offset(&mut conn, name, at).offset), [0, 0]);
    assert_eq!(describe(&mut conn, Some(&[Topic::with_id(old)]), false).topics[0].error, UNKNOWN_TOPIC_ID);
    let written = conn
        .call(PRODUCE, 13, &produce_one(13, Topic::with_id(old), 0, &Batch::one(b"v").encode()))
        .expect("an answer");
    assert_eq!(responses::produce(13, &written).expect("readable")[0].error, UNKNOWN_TOPIC_ID);
    assert_eq!(write(&mut conn, name, 0, &Batch::one(b"new")).base_offset, 0);
    let got = read(&mut conn, name, 0);
    assert_eq!(parse_batches(&got.records).expect("batches")[0].values, vec![b"new".to_vec()]);
}

#[test]
fn a_check_creates_nothing() {
    let broker = broker();
    let name = format!("checked.{}", chronik_wire_tests::batch::now_ms());
    let mut conn = connect(&broker);
    let answer = conn.call(CREATE_TOPICS, 7, &create_topics(7, &[NewTopic::new(&name, 1)], true)).expect("an answer");
    assert_eq!(responses::create_topics(7, &answer).expect("readable")[0].0, NONE);
    assert_eq!(describe(&mut conn, Some(&[Topic::named(&name)]), false).topics[0].error, UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn a_topic_grows_by_partitions() {
    let broker = broker();
    let name = "grow";
    topic(&broker, name);
    let mut conn = connect(&broker);
    let answer = conn.call(CREATE_PARTITIONS, 3, &create_partitions(3, &[(name, 3)], false)).expect("an answer");
    assert_eq!(responses::error_codes(CREATE_PARTITIONS, 3, &answer).expect("readable"), [NONE]);
    let deadline = Instant::now() + Duration::from_secs(20);
    while write(&mut conn, name, 2, &Batch::one(b"v")).error != NONE {
        assert!(Instant::now() < deadline, "the new partition takes no record");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(describe(&mut conn, Some(&[Topic::named(name)]), false).topics[0].partitions.len(), 3);
}
