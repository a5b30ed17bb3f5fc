//! Reading whole answers: every field is consumed and nothing may be left over.

mod admin;

use crate::api::*;
use crate::dec::{Dec, DecError};
pub use admin::*;

type Parsed<T> = Result<T, DecError>;

fn dec(api: i16, version: i16, body: &[u8]) -> Dec<'_> {
    Dec::new(body, version >= flexible_from(api))
}

fn whole<T>(mut d: Dec<'_>, get: impl FnOnce(&mut Dec<'_>) -> Parsed<T>) -> Parsed<T> {
    let value = get(&mut d)?;
    d.end()?;
    d.finish()?;
    Ok(value)
}

/// Error code and advertised (key, min, max) rows. `version` is the body's, 0 for the fallback answer (KIP-511).
#[derive(Debug)]
pub struct ApiVersions {
    pub error: i16,
    pub keys: Vec<(i16, i16, i16)>,
}

pub fn api_versions(version: i16, body: &[u8]) -> Parsed<ApiVersions> {
    whole(dec(API_VERSIONS, version, body), |d| {
        let error = d.i16()?;
        let keys = d.each(|d| {
            let row = (d.i16()?, d.i16()?, d.i16()?);
            d.end()?;
            Ok(row)
        })?;
        if version >= 1 {
            d.i32()?;
        }
        Ok(ApiVersions { error, keys })
    })
}

#[derive(Debug)]
pub struct ProducedPartition {
    pub index: i32,
    pub error: i16,
    pub base_offset: i64,
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
    /// Indexes of the records refused one by one (KIP-467).
    pub record_errors: Vec<i32>,
}

pub fn produce(version: i16, body: &[u8]) -> Parsed<Vec<ProducedPartition>> {
    whole(dec(PRODUCE, version, body), |d| {
        let topics = d.each(|d| {
            topic_key(d, version >= 13)?;
            let partitions = d.each(|d| produced_partition(d, version))?;
            d.end()?;
            Ok(partitions)
        })?;
        d.i32()?;
        Ok(topics.into_iter().flatten().collect())
    })
}

fn topic_key(d: &mut Dec<'_>, by_id: bool) -> Parsed<()> {
    if by_id { d.uuid().map(drop) } else { d.str().map(drop) }
}

fn produced_partition(d: &mut Dec<'_>, version: i16) -> Parsed<ProducedPartition> {
    let (index, error, base_offset) = (d.i32()?, d.i16()?, d.i64()?);
    let log_append_time_ms = d.i64()?;
    let log_start_offset = if version >= 5 { d.i64()? } else { -1 };
    let mut record_errors = Vec::new();
    if version >= 8 {
        record_errors = d.each(|d| {
            let at = d.i32()?;
            d.opt_str()?;
            d.end()?;
            Ok(at)
        })?;
        d.opt_str()?;
    }
    d.end()?;
    Ok(ProducedPartition { index, error, base_offset, log_append_time_ms, log_start_offset, record_errors })
}

#[derive(Debug)]
pub struct Fetched {
    pub error: i16,
    pub session_id: i32,
    pub partitions: Vec<FetchedPartition>,
}

#[derive(Clone, Debug)]
pub struct FetchedPartition {
    pub index: i32,
    pub error: i16,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    pub records: Vec<u8>,
}

pub fn fetch(version: i16, body: &[u8]) -> Parsed<Fetched> {
    whole(dec(FETCH, version, body), |d| {
        d.i32()?;
        let (error, session_id) = if version >= 7 { (d.i16()?, d.i32()?) } else { (0, 0) };
        let topics = d.each(|d| {
            topic_key(d, version >= 13)?;
            let partitions = d.each(|d| fetched_partition(d, version))?;
            d.end()?;
            Ok(partitions)
        })?;
        Ok(Fetched { error, session_id, partitions: topics.into_iter().flatten().collect() })
    })
}

fn fetched_partition(d: &mut Dec<'_>, version: i16) -> Parsed<FetchedPartition> {
    let (index, error, high_watermark, last_stable_offset) = (d.i32()?, d.i16()?, d.i64()?, d.i64()?);
    let log_start_offset = if version >= 5 { d.i64()? } else { -1 };
    d.each(|d| {
        d.i64()?;
        d.i64()?;
        d.end()
    })?;
    if version >= 11 {
        d.i32()?;
    }
    let records = d.opt_bytes()?.unwrap_or_default().to_vec();
    d.end()?;
    Ok(FetchedPartition { index, error, high_watermark, last_stable_offset, log_start_offset, records })
}

#[derive(Debug)]
pub struct ListedOffset {
    pub error: i16,
    pub timestamp: i64,
    pub offset: i64,
}

pub fn list_offsets(version: i16, body: &[u8]) -> Parsed<Vec<ListedOffset>> {
    whole(dec(LIST_OFFSETS, version, body), |d| {
        if version >= 2 {
            d.i32()?;
        }
        let topics = d.each(|d| {
            d.str()?;
            let rows = d.each(|d| {
                d.i32()?;
                let row = ListedOffset { error: d.i16()?, timestamp: d.i64()?, offset: d.i64()? };
                if version >= 4 {
                    d.i32()?;
                }
                d.end()?;
                Ok(row)
            })?;
            d.end()?;
            Ok(rows)
        })?;
        Ok(topics.into_iter().flatten().collect())
    })
}

#[derive(Debug)]
pub struct TopicMetadata {
    pub error: i16,
    pub name: Option<String>,
    pub id: [u8; 16],
    /// (error, index, leader, leader epoch).
    pub partitions: Vec<(i16, i32, i32, i32)>,
}

#[derive(Debug)]
pub struct Metadata {
    pub brokers: Vec<(i32, String, i32)>,
    pub topics: Vec<TopicMetadata>,
}

pub fn metadata(version: i16, body: &[u8]) -> Parsed<Metadata> {
    whole(dec(METADATA, version, body), |d| {
        if version >= 3 {
            d.i32()?;
        }
        let brokers = d.each(|d| {
            let broker = (d.i32()?, d.str()?.to_owned(), d.i32()?);
            if version >= 1 {
                d.opt_str()?;
            }
            d.end()?;
            Ok(broker)
        })?;
        if version >= 2 {
            d.opt_str()?;
        }
        if version >= 1 {
            d.i32()?;
        }
        let topics = d.each(|d| topic_metadata(d, version))?;
        if (8..=10).contains(&version) {
            d.i32()?;
        }
        if version >= 13 {
            d.i16()?;
        }
        Ok(Metadata { brokers, topics })
    })
}

fn topic_metadata(d: &mut Dec<'_>, version: i16) -> Parsed<TopicMetadata> {
    let error = d.i16()?;
    let name = d.opt_str()?.map(str::to_owned);
    let id = if version >= 10 { d.uuid()? } else { NO_UUID };
    if version >= 1 {
        d.bool()?;
    }
    let partitions = d.each(|d| {
        let (error, index, leader) = (d.i16()?, d.i32()?, d.i32()?);
        let epoch = if version >= 7 { d.i32()? } else { -1 };
        d.each(Dec::i32)?;
        d.each(Dec::i32)?;
        if version >= 5 {
            d.each(Dec::i32)?;
        }
        d.end()?;
        Ok((error, index, leader, epoch))
    })?;
    if version >= 8 {
        d.i32()?;
    }
    d.end()?;
    Ok(TopicMetadata { error, name, id, partitions })
}

/// Every error code of an answer, in order: the request's own first where it has one and is not 0, then each topic's or
/// partition's.
pub fn error_codes(api: i16, version: i16, body: &[u8]) -> Parsed<Vec<i16>> {
    Ok(match api {
        PRODUCE => produce(version, body)?.iter().map(|p| p.error).collect(),
        FETCH => {
            let answer = fetch(version, body)?;
            let of_partitions = answer.partitions.iter().map(|p| p.error);
            if answer.error == 0 {
                of_partitions.collect()
            } else {
                std::iter::once(answer.error).chain(of_partitions).collect()
            }
        }
        LIST_OFFSETS => list_offsets(version, body)?.iter().map(|o| o.error).collect(),
        METADATA => {
            let answer = metadata(version, body)?;
            answer.topics.iter().map(|t| t.error).collect()
        }
        API_VERSIONS => vec![api_versions(version, body)?.error],
        CREATE_TOPICS => create_topics(version, body)?.iter().map(|t| t.0).collect(),
        DELETE_TOPICS => delete_topics(version, body)?,
        DELETE_RECORDS => delete_records(version, body)?.iter().map(|p| p.1).collect(),
        INIT_PRODUCER_ID => vec![init_producer_id(version, body)?.0],
        OFFSET_FOR_LEADER_EPOCH => offset_for_leader_epoch(version, body)?.iter().map(|p| p.0).collect(),
        DESCRIBE_CONFIGS => describe_configs(version, body)?,
        CREATE_PARTITIONS => create_partitions(version, body)?,
        INCREMENTAL_ALTER_CONFIGS => incremental_alter_configs(version, body)?,
        UPDATE_FEATURES => vec![update_features(version, body)?],
        DESCRIBE_CLUSTER => describe_cluster(version, body)?,
        DESCRIBE_TOPIC_PARTITIONS => describe_topic_partitions(body)?,
        _ => Vec::new(),
    })
}
