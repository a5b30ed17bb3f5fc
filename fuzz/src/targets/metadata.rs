//! Metadata records, and snapshots of the image they make.

use chronik_metadata::record::{
    BrokerList, ClientQuota, ClusterCreated, Config, ControllerElected, Endpoint, FeatureLevel, FinalizedFeature, GroupMember,
    GroupRecord, Id, OffsetCommit, PartitionChange, PartitionOffset, PartitionRecord, ProducerIds, QuotaEntityPart,
    RegisterBroker, RemoveGroup, RemoveOffsets, RemoveTopic, TopicOffsets, TopicPartitions, TopicRecord,
    UnregisterBroker,
};
use chronik_metadata::{Image, Record, snapshot};

use super::steer;
use crate::budget;

/// Two bytes can be an empty endpoint, or a partition of a topic with its place in the indexes of the image.
const PER_BYTE: usize = 512;
/// A snapshot is written in pieces of 256 KiB, and the bytes gathered.
const FIXED: usize = 1024 * 1024;
const CRC_LEN: usize = 4;

/// Bits of the first byte.
const SNAPSHOT: u8 = 1;
/// The snapshot's magic number, format, feature level, record count and checksum are put right, so that the records are reached.
const REPAIR: u8 = 2;

pub(super) fn run(input: &[u8]) {
    let ([mode], rest) = steer(input);
    if mode & SNAPSHOT == 0 {
        return record(rest);
    }
    let bytes = if mode & REPAIR == 0 { rest.to_vec() } else { repaired(rest) };
    budget::proportional(bytes.len(), PER_BYTE, FIXED, || whole_snapshot(&bytes));
}

/// What decodes must encode again, and decode to the same; and be applied.
fn record(bytes: &[u8]) {
    budget::proportional(bytes.len(), PER_BYTE, FIXED, || {
        let record = match Record::decode(bytes) {
            Ok(record) => record,
            Err(error) => return drop(error.to_string()),
        };
        let again = record.encode();
        assert_eq!(again.len(), record.encoded_len());
        assert_eq!(Record::decode(&again).as_ref(), Ok(&record));
        Image::default().apply(0, 0, &record);
    });
}

/// What loads must be written again and load to the same.
fn whole_snapshot(bytes: &[u8]) {
    let image = match snapshot::decode(bytes) {
        Ok(image) => image,
        Err(error) => return drop(error.to_string()),
    };
    let canonical = snapshot::encode(&image);
    let again = snapshot::decode(&canonical).expect("an image can be written and read");
    assert_eq!(again.hash(), image.hash());
    assert_eq!((again.offset(), again.epoch()), (image.offset(), image.epoch()));
    assert_eq!(snapshot::encode(&again), canonical, "equal state has equal bytes");
    assert_eq!(again.partition_count(), image.topics().map(|topic| topic.partitions().len() as u64).sum::<u64>());
}

/// `bytes` with a header that fits the records in it, and their checksum.
pub(super) fn repaired(bytes: &[u8]) -> Vec<u8> {
    let empty = snapshot::encode(&Image::default());
    let (header, _) = empty.split_at(empty.len() - CRC_LEN);
    let mut out = header.to_vec();
    let ([offset, epoch], body) = steer(bytes);
    out[14..22].copy_from_slice(&i64::from(offset as i8).to_be_bytes());
    out[22..26].copy_from_slice(&i32::from(epoch as i8).to_be_bytes());
    let mut records = 0u64;
    let mut level = 0;
    let mut rest = body;
    // One byte of length is enough for the records that a short input holds.
    while let Some((&length, after)) = rest.split_first() {
        let (record, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        if let Ok(Record::FeatureLevel(found)) = Record::decode(record) {
            level = found.level;
        }
        out.extend_from_slice(&(record.len() as u32).to_be_bytes());
        out.extend_from_slice(record);
        records += 1;
    }
    out[10..14].copy_from_slice(&level.to_be_bytes());
    out[26..34].copy_from_slice(&records.to_be_bytes());
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out
}

/// One record of each type, and of some a second.
pub(super) fn records() -> Vec<Record> {
    let topic_id = Id { high: 1, low: 2 };
    let endpoint = Endpoint { listener: "PLAINTEXT".into(), host: "h".into(), port: 9092, security_protocol: 0 };
    let broker = RegisterBroker {
        broker_id: 1,
        broker_epoch: 3,
        incarnation_id: Id { high: 3, low: 4 },
        endpoints: vec![endpoint],
        rack: Some("r".into()),
        fenced: false,
        registered_ms: 6,
    };
    let partition = PartitionRecord {
        topic_id,
        partition: 0,
        replicas: vec![1, 2],
        isr: vec![1],
        leader: 1,
        leader_epoch: 0,
        partition_epoch: 0,
        log_start_offset: 0,
    };
    let change = PartitionChange {
        topic_id,
        partition: 0,
        replicas: None,
        isr: Some(BrokerList { ids: vec![1, 2] }),
        leader: Some(-1),
        leader_epoch: Some(1),
        partition_epoch: Some(1),
        log_start_offset: Some(7),
    };
    let config =
        Config { resource_type: 2, resource_name: "t".into(), key: "retention.ms".into(), value: Some("5".into()) };
    let unset = Config { value: None, ..config.clone() };
    vec![
        Record::ClusterCreated(ClusterCreated { cluster_id: "AAECAwQFBgcICQoLDA0ODw".into(), created_ms: 1 }),
        Record::FeatureLevel(FeatureLevel { level: 1 }),
        Record::ControllerElected(ControllerElected { controller_id: 1, elected_ms: 2 }),
        Record::FinalizedFeature(FinalizedFeature { name: "group.version".into(), level: 0 }),
        Record::RegisterBroker(broker),
        Record::Topic(TopicRecord { topic_id, name: "t".into(), created_ms: 3 }),
        Record::Partition(partition),
        Record::Config(config),
        Record::ProducerIds(ProducerIds { broker_id: 1, next_producer_id: 1000 }),
        Record::PartitionChange(change),
        Record::Config(unset),
        Record::Group(GroupRecord {
            group_id: "g".into(),
            protocol_type: Some("consumer".into()),
            generation: 1,
            protocol: Some("range".into()),
            leader: Some("m".into()),
            members: vec![GroupMember { member_id: "m".into(), assignment: "all".into(), ..GroupMember::default() }],
            changed_ms: 8,
        }),
        Record::OffsetCommit(OffsetCommit {
            group_id: "g".into(),
            topics: vec![TopicOffsets {
                topic_id,
                partitions: vec![PartitionOffset { offset: 5, leader_epoch: Some(1), ..PartitionOffset::default() }],
            }],
        }),
        Record::RemoveOffsets(RemoveOffsets {
            group_id: "g".into(),
            topics: vec![TopicPartitions { topic_id, partitions: vec![0] }],
        }),
        Record::ClientQuota(ClientQuota {
            entity: vec![QuotaEntityPart { kind: "user".into(), name: None }],
            key: "producer_byte_rate".into(),
            value_bits: Some(1024f64.to_bits()),
        }),
        Record::RemoveGroup(RemoveGroup { group_id: "g".into() }),
        Record::RemoveTopic(RemoveTopic { topic_id }),
        Record::UnregisterBroker(UnregisterBroker { broker_id: 1, broker_epoch: 3 }),
    ]
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let records = records();
    let mut seeds: Vec<_> = records.iter().map(|record| [&[0], &record.encode()[..]].concat()).collect();
    // Snapshots after each record, and the same records as they came.
    let mut image = Image::default();
    let mut sequence = vec![SNAPSHOT | REPAIR, 5, 1];
    for (offset, record) in (0..).zip(&records) {
        image.apply(offset, 1, record);
        seeds.push([&[SNAPSHOT], &snapshot::encode(&image)[..]].concat());
        let bytes = record.encode();
        sequence.push(bytes.len() as u8);
        sequence.extend_from_slice(&bytes);
        seeds.push(sequence.clone());
    }
    seeds
}
