//! Finding and creating topics on behalf of requests, and the rules a topic's settings put on them.

use std::sync::Arc;

use chronik_config::{BrokerConfig, TopicConfig};
use chronik_env::task::blocking;
use chronik_metadata::request::{
    CreateTopicResult, CreateTopics, DeleteTopicResult, DeleteTopics, DeletedTopic, NewTopic, TopicRef,
};
use chronik_metadata::{Image, Topic};
use chronik_protocol::Uuid;
use chronik_protocol::batch::Compression;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::types::TopicId;
use chronik_protocol::validate::{ProduceRules, TimestampType, TopicCompression};
use chronik_quorum::SubmitError;
use tracing::warn;

use crate::broker::Broker;

/// The metadata log as a read-only topic of one partition.
pub(crate) const META: &str = "__meta";
/// Its id: Kafka's own reserved id of the metadata log (KIP-516).
pub(crate) const META_ID: TopicId = Uuid::from_u128(1);

/// What a request's topic names.
pub(crate) enum Found<'a> {
    Topic(&'a Topic),
    Meta,
}

pub(crate) fn find_by_name<'a>(image: &'a Image, name: &str) -> Result<Found<'a>, ErrorCode> {
    if name == META {
        return Ok(Found::Meta);
    }
    image.topic(name).map(Found::Topic).ok_or(ErrorCode::UnknownTopicOrPartition)
}

pub(crate) fn find_by_id(image: &Image, id: TopicId) -> Result<Found<'_>, ErrorCode> {
    if id == META_ID {
        return Ok(Found::Meta);
    }
    image.topic_by_id(id).map(Found::Topic).ok_or(ErrorCode::UnknownTopicId)
}

/// The error for a topic that went away after it was found, by how the client named it.
pub(crate) fn gone(error: ErrorCode, by_topic_id: bool) -> ErrorCode {
    if error == ErrorCode::UnknownTopicId && !by_topic_id { ErrorCode::UnknownTopicOrPartition } else { error }
}

/// Creates a topic with the broker's defaults. A topic that another request has just created is as good.
pub(crate) async fn auto_create(broker: &Broker, name: &str) -> Result<(), ErrorCode> {
    let topics =
        vec![NewTopic { name: name.to_owned(), num_partitions: -1, replication_factor: -1, ..NewTopic::default() }];
    let request = CreateTopics { topics, validate_only: false, defaults: broker.topic_defaults() };
    let results = broker.controller().create_topics(request).await.map_err(|e| {
        warn!(topic = name, "cannot create the topic: {e}");
        ErrorCode::LeaderNotAvailable
    })?;
    match results.into_iter().next() {
        Some(CreateTopicResult { result: Ok(_), .. }) => Ok(()),
        Some(CreateTopicResult { result: Err(e), .. }) if e.code() == ErrorCode::TopicAlreadyExists.code() => Ok(()),
        Some(CreateTopicResult { result: Err(e), .. }) => {
            Err(ErrorCode::from_code(e.code()).unwrap_or(ErrorCode::UnknownServerError))
        }
        None => Err(ErrorCode::UnknownServerError),
    }
}

/// Deletes topics and everything they have on this broker's disk. Goes on to its end when the client that asked goes away.
pub(crate) async fn delete(broker: &Arc<Broker>, topics: Vec<TopicRef>) -> Result<Vec<DeleteTopicResult>, SubmitError> {
    let shared = broker.clone();
    let deleted = broker.carry_through(async move {
        let result = shared.controller().delete_topics(DeleteTopics { topics }).await;
        if let Ok(results) = &result {
            let gone: Vec<DeletedTopic> = results.iter().filter_map(|r| r.result.clone().ok()).collect();
            remove_files(&shared, gone).await;
        }
        result
    });
    deleted.await.unwrap_or(Err(SubmitError::Stopping))
}

async fn remove_files(broker: &Arc<Broker>, topics: Vec<DeletedTopic>) {
    let partitions = broker.partitions().clone();
    let remove = move || {
        for topic in topics {
            partitions.topic_deleted(topic.topic_id, &topic.name, topic.partitions);
        }
    };
    blocking(&*broker.env().tasks, remove).await;
}

/// What a produced batch must obey.
pub(crate) fn produce_rules(broker: &BrokerConfig, config: &TopicConfig, request_version: i16) -> ProduceRules {
    let max_message_bytes = config.max_message_bytes as usize;
    ProduceRules {
        request_version,
        max_message_bytes,
        segment_bytes: config.segment_bytes as usize,
        max_decompressed_bytes: ProduceRules::decompressed_limit(max_message_bytes)
            .min(usize::try_from(broker.batch_max_decompressed_bytes).unwrap_or(usize::MAX)),
        timestamp_type: match config.message_timestamp_type {
            chronik_config::TimestampType::CreateTime => TimestampType::CreateTime,
            chronik_config::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: config.message_timestamp_before_max_ms,
        timestamp_after_max_ms: config.message_timestamp_after_max_ms,
        compacted: config.cleanup_policy.compact,
        compression: compression(config),
    }
}

fn compression(config: &TopicConfig) -> TopicCompression {
    use chronik_config::CompressionType as T;
    let (codec, level) = match config.compression_type {
        T::Producer => return TopicCompression::Producer,
        T::Uncompressed => (Compression::None, None),
        T::Gzip => (Compression::Gzip, Some(config.compression_gzip_level)),
        T::Snappy => (Compression::Snappy, None),
        T::Lz4 => (Compression::Lz4, Some(config.compression_lz4_level)),
        T::Zstd => (Compression::Zstd, Some(config.compression_zstd_level)),
    };
    TopicCompression::Codec { codec, level }
}
