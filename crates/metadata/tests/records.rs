//! The bytes of every record type are pinned: a change of one is a change of the on-disk format.

mod common;

use chronik_metadata::record::*;
use common::Rng;

fn id() -> Id {
    Id { high: 0x0102_0304_0506_0708, low: 0x090a_0b0c_0d0e_0f10 }
}

/// One record of each type with every field set, and its bytes.
fn pinned() -> Vec<(Record, &'static str)> {
    let endpoint = Endpoint { listener: "L".into(), host: "h".into(), port: 9092, security_protocol: 3 };
    vec![
        (Record::ClusterCreated(ClusterCreated { cluster_id: "abc".into(), created_ms: 5 }), "0001010a036162631005"),
        (Record::FeatureLevel(FeatureLevel { level: 1 }), "0002010801"),
        (Record::ControllerElected(ControllerElected { controller_id: 7, elected_ms: 300 }), "000301080710ac02"),
        (
            Record::FinalizedFeature(FinalizedFeature { name: "group.version".into(), level: 1 }),
            "0004010a0d67726f75702e76657273696f6e1001",
        ),
        (
            Record::RegisterBroker(RegisterBroker {
                broker_id: 1,
                broker_epoch: 2,
                incarnation_id: id(),
                endpoints: vec![endpoint],
                rack: Some("r".into()),
                fenced: true,
                registered_ms: 9,
            }),
            "000a01080110021a1209080706050403020111100f0e0d0c0b0a09220b0a014c12016818844720032a017230013809",
        ),
        (Record::UnregisterBroker(UnregisterBroker { broker_id: 1, broker_epoch: 2 }), "000b0108011002"),
        (
            Record::Topic(TopicRecord { topic_id: id(), name: "t".into(), created_ms: 4 }),
            "0014010a1209080706050403020111100f0e0d0c0b0a091201741804",
        ),
        (
            Record::Partition(PartitionRecord {
                topic_id: id(),
                partition: 3,
                replicas: vec![1, 2],
                isr: vec![1],
                leader: 1,
                leader_epoch: 4,
                partition_epoch: 5,
                log_start_offset: 6,
            }),
            "0015010a1209080706050403020111100f0e0d0c0b0a0910031a0201022201012801300438054006",
        ),
        (
            Record::PartitionChange(PartitionChange {
                topic_id: id(),
                partition: 3,
                replicas: Some(BrokerList { ids: vec![2] }),
                isr: Some(BrokerList { ids: vec![] }),
                leader: Some(-1),
                leader_epoch: Some(0),
                partition_epoch: Some(7),
                log_start_offset: Some(8),
            }),
            "0016010a1209080706050403020111100f0e0d0c0b0a0910031a030a0102220028ffffffffffffffffff01300038074008",
        ),
        (Record::RemoveTopic(RemoveTopic { topic_id: id() }), "0017010a1209080706050403020111100f0e0d0c0b0a09"),
        (
            Record::Config(Config {
                resource_type: 2,
                resource_name: "t".into(),
                key: "k".into(),
                value: Some(String::new()),
            }),
            "001e0108021201741a016b2200",
        ),
        (Record::ProducerIds(ProducerIds { broker_id: 1, next_producer_id: 1000 }), "002801080110e807"),
        (
            Record::Group(GroupRecord {
                group_id: "g".into(),
                protocol_type: Some("consumer".into()),
                generation: 2,
                protocol: Some("range".into()),
                leader: Some("m".into()),
                members: vec![GroupMember {
                    member_id: "m".into(),
                    instance_id: Some("i".into()),
                    client_id: "c".into(),
                    client_host: "/h".into(),
                    session_timeout_ms: 45_000,
                    rebalance_timeout_ms: 300_000,
                    metadata: "s".into(),
                    assignment: "a".into(),
                }],
                changed_ms: 5,
            }),
            "0032010a01671208636f6e73756d65721802220572616e67652a016d321b0a016d1201691a016322022f6828c8df0230e0a7123a01734201613805",
        ),
        (Record::RemoveGroup(RemoveGroup { group_id: "g".into() }), "0033010a0167"),
        (
            Record::OffsetCommit(OffsetCommit {
                group_id: "g".into(),
                topics: vec![TopicOffsets {
                    topic_id: id(),
                    partitions: vec![PartitionOffset {
                        partition: 3,
                        offset: 300,
                        leader_epoch: Some(0),
                        metadata: "w".into(),
                        committed_ms: 5,
                        expires_ms: Some(6),
                    }],
                }],
            }),
            "0034010a016712240a1209080706050403020111100f0e0d0c0b0a09120e080310ac02180022017728053006",
        ),
        (
            Record::RemoveOffsets(RemoveOffsets {
                group_id: "g".into(),
                topics: vec![TopicPartitions { topic_id: id(), partitions: vec![3, 4] }],
            }),
            "0035010a016712180a1209080706050403020111100f0e0d0c0b0a0912020304",
        ),
        (
            Record::ConsumerGroup(ConsumerGroupRecord {
                group_id: "g".into(),
                epoch: 3,
                target_epoch: 2,
                topics_digest: 7,
            }),
            "0036010a016710031802210700000000000000",
        ),
        (
            Record::ConsumerMember(ConsumerMember {
                group_id: "g".into(),
                member_id: "m".into(),
                instance_id: Some("i".into()),
                rack_id: Some("r".into()),
                client_id: "c".into(),
                client_host: "/h".into(),
                rebalance_timeout_ms: 300,
                subscribed_names: vec!["t".into()],
                subscribed_regex: Some("u.*".into()),
                server_assignor: Some("range".into()),
                epoch: 3,
                previous_epoch: 2,
                state: 1,
                assigned: vec![OwnedPartitions { topic_id: id(), partitions: vec![3], epochs: vec![2] }],
                revoking: vec![OwnedPartitions { topic_id: id(), partitions: vec![4], epochs: vec![1] }],
                classic: Some(ClassicMembership {
                    session_timeout_ms: 300,
                    protocols: vec![ClassicProtocol { name: "range".into(), metadata: "x".into() }],
                }),
            }),
            "0037010a016712016d1a01692201722a016332022f6838ac024201744a03752e2a520572616e6765580360026801721a0a1209080706050403020111100f0e0d0c0b0a091201031a01027a1a0a1209080706050403020111100f0e0d0c0b0a091201041a010182010f08ac02120a0a0572616e6765120178",
        ),
        (
            Record::RemoveConsumerMembers(RemoveConsumerMembers { group_id: "g".into(), member_ids: vec!["m".into()] }),
            "0038010a016712016d",
        ),
        (
            Record::ConsumerTarget(ConsumerTarget {
                group_id: "g".into(),
                member_id: "m".into(),
                topics: vec![TopicPartitions { topic_id: id(), partitions: vec![3, 4] }],
            }),
            "0039010a016712016d1a180a1209080706050403020111100f0e0d0c0b0a0912020304",
        ),
        (
            Record::ClientQuota(ClientQuota {
                entity: vec![
                    QuotaEntityPart { kind: "client-id".into(), name: None },
                    QuotaEntityPart { kind: "user".into(), name: Some("u".into()) },
                ],
                key: "k".into(),
                value_bits: Some(1.5f64.to_bits()),
            }),
            "0046010a0b0a09636c69656e742d69640a090a047573657212017512016b19000000000000f83f",
        ),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_type_has_its_pinned_bytes() {
    let pinned = pinned();
    let names: Vec<_> = pinned.iter().map(|(record, _)| record.name()).collect();
    assert_eq!(
        names,
        Record::TYPES.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        "a vector for every type, in order"
    );
    for ((record, expected), (name, number)) in pinned.iter().zip(Record::TYPES) {
        let bytes = record.encode();
        assert_eq!(hex(&bytes), *expected, "{name}");
        assert_eq!(bytes.len(), record.encoded_len(), "{name}");
        assert_eq!(bytes[..2], number.to_be_bytes(), "{name}");
        assert_eq!(Record::decode(&bytes).as_ref(), Ok(record), "{name}");
    }
}

#[test]
fn type_numbers_are_used_once_and_rise() {
    assert!(Record::TYPES.is_sorted_by(|a, b| a.1 < b.1));
}

#[test]
fn an_unknown_type_or_version_is_named() {
    let error = Record::decode(&[0x7f, 0xff, 1, 0]).expect_err("type 32767 is unknown");
    assert_eq!(error, RecordError::Unknown { record_type: 32767, version: 1 });
    assert!(error.to_string().contains("32767"), "{error}");
    assert_eq!(Record::decode(&[0, 1, 2]), Err(RecordError::Unknown { record_type: 1, version: 2 }));
    for short in [&[][..], &[0], &[0, 1]] {
        assert_eq!(Record::decode(short), Err(RecordError::Short(short.len())));
    }
}

#[test]
fn unknown_fields_are_skipped() {
    let record = Record::FeatureLevel(FeatureLevel { level: 1 });
    let mut bytes = record.encode();
    // Field 1000, length-delimited, two bytes; field 1001, varint.
    bytes.extend_from_slice(&[0xc2, 0x3e, 2, 1, 2, 0xc8, 0x3e, 5]);
    assert_eq!(Record::decode(&bytes), Ok(record));
}

#[test]
fn an_absent_field_of_a_change_is_not_an_empty_one() {
    let change = PartitionChange { topic_id: id(), isr: Some(BrokerList::default()), ..PartitionChange::default() };
    let Ok(Record::PartitionChange(decoded)) = Record::decode(&Record::PartitionChange(change.clone()).encode()) else {
        panic!("a partition change decodes");
    };
    assert_eq!(decoded, change);
    assert_eq!((decoded.replicas, decoded.leader), (None, None));
}

/// Any bytes are a record or an error.
#[test]
fn hostile_bytes_never_panic() {
    let mut rng = Rng(11);
    let valid: Vec<_> = pinned().into_iter().map(|(record, _)| record.encode()).collect();
    let mut decoded = 0;
    for _ in 0..300_000 {
        let mut bytes = rng.pick(&valid).clone();
        for _ in 0..1 + rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            match rng.below(3) {
                0 => bytes[at] = rng.next() as u8,
                1 => bytes[at] ^= 1 << rng.below(8),
                _ => bytes.truncate(at.max(1)),
            }
        }
        decoded += Record::decode(&bytes).is_ok() as u32;
    }
    assert!(decoded > 1000, "mutations leave some records readable: {decoded}");
}
