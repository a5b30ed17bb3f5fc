//! Well-formed request bodies, one builder per API, written for any version the tests use.

pub use crate::api::*;
use crate::enc::Enc;

/// An empty body of `api` at `version`.
pub fn body(api: i16, version: i16) -> Enc {
    Enc::new(version >= flexible_from(api))
}

/// A topic by name, or by id where the version carries ids only.
#[derive(Clone, Copy, Debug)]
pub struct Topic<'a> {
    pub name: &'a str,
    pub id: [u8; 16],
}

impl<'a> Topic<'a> {
    pub fn named(name: &'a str) -> Self {
        Topic { name, id: NO_UUID }
    }

    pub fn with_id(id: [u8; 16]) -> Self {
        Topic { name: "", id }
    }

    fn put(&self, e: Enc, by_id: bool) -> Enc {
        if by_id { e.uuid(self.id) } else { e.str(self.name) }
    }
}

pub fn api_versions(version: i16, software: &str, software_version: &str) -> Vec<u8> {
    let e = body(API_VERSIONS, version);
    if version >= 3 { e.str(software).str(software_version).end().done() } else { e.done() }
}

/// `None` = every topic.
pub fn metadata(version: i16, topics: Option<&[Topic<'_>]>, auto_create: bool) -> Vec<u8> {
    let e = body(METADATA, version);
    let e = match topics {
        None => e.null_arr(),
        Some(topics) => e.each(topics, |e, t| {
            if version < 10 {
                return e.str(t.name).end();
            }
            let name = (t.id == NO_UUID).then_some(t.name);
            e.uuid(t.id).opt_str(name).end()
        }),
    };
    let e = if version >= 4 { e.bool(auto_create) } else { e };
    let e = if (8..=10).contains(&version) { e.bool(false) } else { e };
    let e = if version >= 8 { e.bool(false) } else { e };
    e.end().done()
}

/// One topic's partitions and their records.
pub type Records<'a> = &'a [(i32, Option<&'a [u8]>)];

pub fn produce(version: i16, acks: i16, topics: &[(Topic<'_>, Records<'_>)]) -> Vec<u8> {
    produce_in(version, None, acks, topics)
}

/// A produce request that names a transactional id.
pub fn produce_in(
    version: i16,
    transactional_id: Option<&str>,
    acks: i16,
    topics: &[(Topic<'_>, Records<'_>)],
) -> Vec<u8> {
    let e = body(PRODUCE, version);
    let e = if version >= 3 { e.opt_str(transactional_id) } else { e };
    let e = e.i16(acks).i32(10_000);
    let e = e.each(topics, |e, (topic, partitions)| {
        let e = topic.put(e, version >= 13);
        e.each(partitions, |e, (index, records)| e.i32(*index).opt_bytes(*records).end()).end()
    });
    e.end().done()
}

/// One batch to one partition, acks=all.
pub fn produce_one(version: i16, topic: Topic<'_>, partition: i32, records: &[u8]) -> Vec<u8> {
    produce(version, -1, &[(topic, &[(partition, Some(records))])])
}

/// One partition of a fetch.
#[derive(Clone, Copy, Debug)]
pub struct FetchPartition {
    pub index: i32,
    pub current_leader_epoch: i32,
    pub offset: i64,
    pub last_fetched_epoch: i32,
    pub max_bytes: i32,
}

impl FetchPartition {
    pub fn at(index: i32, offset: i64) -> Self {
        FetchPartition { index, current_leader_epoch: -1, offset, last_fetched_epoch: -1, max_bytes: 1 << 20 }
    }
}

/// A fetch, without its topics.
#[derive(Clone, Copy, Debug)]
pub struct Fetch {
    pub replica_id: i32,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub isolation: i8,
    pub session_id: i32,
    pub session_epoch: i32,
}

impl Default for Fetch {
    /// No session, no waiting, up to 50 MiB.
    fn default() -> Self {
        Fetch {
            replica_id: -1,
            max_wait_ms: 0,
            min_bytes: 1,
            max_bytes: 50 << 20,
            isolation: 0,
            session_id: 0,
            session_epoch: -1,
        }
    }
}

pub fn fetch(version: i16, how: Fetch, topics: &[(Topic<'_>, Vec<FetchPartition>)]) -> Vec<u8> {
    fetch_forgetting(version, how, topics, &[])
}

/// A fetch that also takes partitions out of its session.
pub fn fetch_forgetting(
    version: i16,
    how: Fetch,
    topics: &[(Topic<'_>, Vec<FetchPartition>)],
    forgotten: &[(Topic<'_>, Vec<i32>)],
) -> Vec<u8> {
    let by_id = version >= 13;
    let e = body(FETCH, version);
    let e = if version < 15 { e.i32(how.replica_id) } else { e };
    let e = e.i32(how.max_wait_ms).i32(how.min_bytes).i32(how.max_bytes).i8(how.isolation);
    let e = if version >= 7 { e.i32(how.session_id).i32(how.session_epoch) } else { e };
    let e = e.each(topics, |e, (topic, partitions)| {
        topic.put(e, by_id).each(partitions, |e, p| fetch_partition(e, version, p)).end()
    });
    let e = if version >= 7 {
        e.each(forgotten, |e, (topic, partitions)| topic.put(e, by_id).each(partitions, |e, p| e.i32(*p)).end())
    } else {
        e
    };
    let e = if version >= 11 { e.str("") } else { e };
    e.end().done()
}

fn fetch_partition(e: Enc, version: i16, p: &FetchPartition) -> Enc {
    let e = e.i32(p.index);
    let e = if version >= 9 { e.i32(p.current_leader_epoch) } else { e };
    let e = e.i64(p.offset);
    let e = if version >= 12 { e.i32(p.last_fetched_epoch) } else { e };
    let e = if version >= 5 { e.i64(-1) } else { e };
    e.i32(p.max_bytes).end()
}

/// Partitions as (index, current leader epoch, timestamp).
pub fn list_offsets(version: i16, isolation: i8, topic: &str, partitions: &[(i32, i32, i64)]) -> Vec<u8> {
    let e = body(LIST_OFFSETS, version).i32(-1);
    let e = if version >= 2 { e.i8(isolation) } else { e };
    let e = e.arr(1).str(topic).each(partitions, |e, (index, epoch, timestamp)| {
        let e = e.i32(*index);
        let e = if version >= 4 { e.i32(*epoch) } else { e };
        e.i64(*timestamp).end()
    });
    let e = e.end();
    let e = if version >= 10 { e.i32(10_000) } else { e };
    e.end().done()
}

/// A topic to create; assignments as (partition, brokers).
#[derive(Clone, Debug)]
pub struct NewTopic<'a> {
    pub name: &'a str,
    pub partitions: i32,
    pub replication_factor: i16,
    pub assignments: Vec<(i32, Vec<i32>)>,
    pub configs: Vec<(&'a str, Option<&'a str>)>,
}

impl<'a> NewTopic<'a> {
    pub fn new(name: &'a str, partitions: i32) -> Self {
        NewTopic { name, partitions, replication_factor: 1, assignments: Vec::new(), configs: Vec::new() }
    }

    pub fn config(mut self, key: &'a str, value: Option<&'a str>) -> Self {
        self.configs.push((key, value));
        self
    }

    pub fn replicas(mut self, factor: i16) -> Self {
        self.replication_factor = factor;
        self
    }

    pub fn assigned(mut self, partition: i32, brokers: &[i32]) -> Self {
        self.assignments.push((partition, brokers.to_vec()));
        self
    }
}

pub fn create_topics(version: i16, topics: &[NewTopic<'_>], validate_only: bool) -> Vec<u8> {
    body(CREATE_TOPICS, version)
        .each(topics, |e, t| {
            e.str(t.name)
                .i32(t.partitions)
                .i16(t.replication_factor)
                .each(&t.assignments, |e, (p, brokers)| e.i32(*p).each(brokers, |e, b| e.i32(*b)).end())
                .each(&t.configs, |e, (k, v)| e.str(k).opt_str(*v).end())
                .end()
        })
        .i32(10_000)
        .bool(validate_only)
        .end()
        .done()
}

/// From version 6 on topics go by id when it is not zero, else by name.
pub fn delete_topics(version: i16, topics: &[Topic<'_>]) -> Vec<u8> {
    let e = body(DELETE_TOPICS, version);
    let e = if version >= 6 {
        e.each(topics, |e, t| e.opt_str((t.id == NO_UUID).then_some(t.name)).uuid(t.id).end())
    } else {
        e.each(topics, |e, t| e.str(t.name))
    };
    e.i32(10_000).end().done()
}

/// Partitions as (index, offset).
pub fn delete_records(version: i16, topic: &str, partitions: &[(i32, i64)]) -> Vec<u8> {
    body(DELETE_RECORDS, version)
        .arr(1)
        .str(topic)
        .each(partitions, |e, (p, offset)| e.i32(*p).i64(*offset).end())
        .end()
        .i32(10_000)
        .end()
        .done()
}

pub fn init_producer_id(
    version: i16,
    transactional_id: Option<&str>,
    timeout_ms: i32,
    producer: (i64, i16),
) -> Vec<u8> {
    let e = body(INIT_PRODUCER_ID, version).opt_str(transactional_id).i32(timeout_ms);
    let e = if version >= 3 { e.i64(producer.0).i16(producer.1) } else { e };
    e.end().done()
}

/// Partitions as (index, current leader epoch, asked epoch).
pub fn offset_for_leader_epoch(version: i16, topic: &str, partitions: &[(i32, i32, i32)]) -> Vec<u8> {
    let e = body(OFFSET_FOR_LEADER_EPOCH, version);
    let e = if version >= 3 { e.i32(-1) } else { e };
    e.arr(1)
        .str(topic)
        .each(partitions, |e, (p, current, asked)| e.i32(*p).i32(*current).i32(*asked).end())
        .end()
        .end()
        .done()
}

/// Topics as (name, wanted partition count).
pub fn create_partitions(version: i16, topics: &[(&str, i32)], validate_only: bool) -> Vec<u8> {
    body(CREATE_PARTITIONS, version)
        .each(topics, |e, (name, count)| e.str(name).i32(*count).null_arr().end())
        .i32(10_000)
        .bool(validate_only)
        .end()
        .done()
}

/// Resources as (Kafka's type number, name), every key.
pub fn describe_configs(version: i16, resources: &[(i8, &str)]) -> Vec<u8> {
    let e = body(DESCRIBE_CONFIGS, version)
        .each(resources, |e, (kind, name)| e.i8(*kind).str(name).null_arr().end())
        .bool(true);
    let e = if version >= 3 { e.bool(false) } else { e };
    e.end().done()
}

pub fn describe_cluster(version: i16, endpoint_type: i8) -> Vec<u8> {
    let e = body(DESCRIBE_CLUSTER, version).bool(false);
    let e = if version >= 1 { e.i8(endpoint_type) } else { e };
    let e = if version >= 2 { e.bool(false) } else { e };
    e.end().done()
}

/// `cursor` as (topic, partition).
pub fn describe_topic_partitions(topics: &[&str], limit: i32, cursor: Option<(&str, i32)>) -> Vec<u8> {
    let e = body(DESCRIBE_TOPIC_PARTITIONS, 0).each(topics, |e, t| e.str(t).end()).i32(limit);
    let e = match cursor {
        None => e.i8(-1),
        Some((topic, partition)) => e.i8(1).str(topic).i32(partition).end(),
    };
    e.end().done()
}

/// One resource, and of each key the operation and the value.
pub fn incremental_alter_configs(version: i16, resource: (i8, &str), keys: &[(&str, i8, Option<&str>)]) -> Vec<u8> {
    let e = body(INCREMENTAL_ALTER_CONFIGS, version).arr(1).i8(resource.0).str(resource.1);
    let e = e.each(keys, |e, (key, operation, value)| e.str(key).i8(*operation).opt_str(*value).end());
    e.end().bool(false).end().done()
}

/// Of each feature the level and the upgrade type; version 0 has a flag in its place.
pub fn update_features(version: i16, features: &[(&str, i16, i8)]) -> Vec<u8> {
    let e = body(UPDATE_FEATURES, version).i32(10_000);
    let e = e.each(features, |e, (feature, level, upgrade_type)| e.str(feature).i16(*level).i8(*upgrade_type).end());
    let e = if version >= 1 { e.bool(false) } else { e };
    e.end().done()
}
