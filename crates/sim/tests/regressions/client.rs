//! One connection, topics of one partition, one record a batch. A call that is not answered in time fails the test. And what of a
//! broker is looked up on its disk.

use std::future::Future;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use chronik_client::Connection;
use chronik_env::sim_disk::SimDisk;
use chronik_protocol::batch::{BatchHeader, HEADER_LEN};
use chronik_protocol::builder::BatchBuilder;
use chronik_protocol::compression::Limits;
use chronik_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use chronik_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use chronik_protocol::messages::describe_configs_request::DescribeConfigsResource;
use chronik_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use chronik_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use chronik_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use chronik_protocol::messages::metadata_request::MetadataRequestTopic;
use chronik_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use chronik_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use chronik_protocol::messages::{
    CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeConfigsRequest, FetchRequest,
    FetchResponse, IncrementalAlterConfigsRequest, ListOffsetsRequest, MetadataRequest, OffsetForLeaderEpochRequest,
    ProduceRequest, TopicName,
};
use chronik_protocol::request::{self, Request};
use chronik_protocol::{StrBytes, records};
use chronik_sim::lone::{Lone, simulate};
use chronik_storage::unclean::UncleanPartitions;

pub const LATEST: i64 = -1;
pub const EARLIEST: i64 = -2;

/// Generous in real time, and no time at all in simulated.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const PRODUCE: i16 = 9;
const FETCH: i16 = 11;
const ALTER: i16 = 1;
const DELETE: i16 = 5;
/// Kafka's resource type of a topic.
const TOPIC: i8 = 2;
/// 2026-01-01, in milliseconds since the Unix epoch: when every simulation begins.
const TIMESTAMP_MS: i64 = 1_767_225_600_000;

/// `<name>-<number>` for each number.
pub fn numbered(name: &str, numbers: Range<u32>) -> Vec<String> {
    numbers.map(|number| format!("{name}-{number}")).collect()
}

pub fn disk() -> SimDisk {
    SimDisk::new(1)
}

/// The values in partition 0 of a topic, read by a broker started on this disk, which is killed then.
pub fn read_back(disk: &SimDisk, topic: &'static str) -> Vec<String> {
    simulate(disk, &[], async move |lone| Client::of(&lone).await.read_all(topic).await)
}

/// How many partitions a crash now would leave to be recovered.
pub fn unclean(disk: &SimDisk) -> usize {
    UncleanPartitions::read(disk, Path::new("/data")).expect("a healthy disk").expect("the list is whole").len()
}

pub struct Client(Connection);

impl Client {
    pub fn new(connection: Connection) -> Self {
        Client(connection)
    }

    pub async fn of(lone: &Lone) -> Self {
        Client(lone.connect().await)
    }

    async fn call<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        in_time(self.0.call(request, version)).await.expect("an answer")
    }

    pub async fn create(&mut self, topic: &str, configs: &[(&'static str, &'static str)]) {
        assert_eq!(self.try_create(topic, configs).await, 0);
    }

    /// The error code.
    pub async fn try_create(&mut self, topic: &str, configs: &[(&'static str, &'static str)]) -> i16 {
        let configs = configs.iter().map(|(key, value)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str(key))
                .with_value(Some(StrBytes::from_static_str(value)))
        });
        let topic = CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(1)
            .with_replication_factor(1)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
        self.call(&request, 5).await.topics[0].error_code
    }

    /// Sets one config of a topic.
    pub async fn alter(&mut self, topic: &str, key: &'static str, value: &'static str) {
        let response = self.call(&alter_request(topic, key, value), ALTER).await;
        assert_eq!(response.responses[0].error_code, 0);
    }

    /// Asks for one config of a topic to be set, and goes away soon.
    pub async fn alter_and_leave(mut self, topic: &str, key: &'static str, value: &'static str, wait_ms: u64) {
        in_time(self.0.send(&alter_request(topic, key, value), ALTER)).await.expect("a connection");
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }

    /// One config of a topic, as described.
    pub async fn config(&mut self, topic: &str, key: &'static str) -> String {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(name(topic).0)
            .with_configuration_keys(Some(vec![StrBytes::from_static_str(key)]));
        let response = self.call(&DescribeConfigsRequest::default().with_resources(vec![resource]), 4).await;
        response.results[0].configs[0].value.as_deref().expect("a value").to_owned()
    }

    pub async fn delete(&mut self, topic: &str) {
        assert_eq!(self.call(&delete_request(topic), DELETE).await.responses[0].error_code, 0);
    }

    /// Asks for a topic to be deleted; nobody hears of the answer.
    pub async fn begin_delete(&mut self, topic: &str) {
        in_time(self.0.send(&delete_request(topic), DELETE)).await.expect("a connection");
    }

    pub async fn delete_records(&mut self, topic: &str, before: i64) {
        let partition = DeleteRecordsPartition::default().with_partition_index(0).with_offset(before);
        let topic = DeleteRecordsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
        let answer = &self.call(&request, 2).await.topics[0].partitions[0];
        assert_eq!((answer.error_code, answer.low_watermark), (0, before));
    }

    /// The error code and the offset of the record.
    pub async fn produce(&mut self, topic: &str, acks: i16, value: &str) -> (i16, i64) {
        self.try_produce(topic, acks, value).await.expect("an answer")
    }

    /// As [`Client::produce`]; `None` when the connection ended.
    pub async fn try_produce(&mut self, topic: &str, acks: i16, value: &str) -> Option<(i16, i64)> {
        let response = in_time(self.0.call(&produce_request(topic, acks, value), PRODUCE)).await.ok()?;
        let answer = &response.responses[0].partition_responses[0];
        Some((answer.error_code, answer.base_offset))
    }

    /// Produces values with acks=all, which must succeed.
    pub async fn produce_all(&mut self, topic: &str, values: &[String]) {
        for value in values {
            assert_eq!(self.produce(topic, -1, value).await.0, 0);
        }
    }

    /// A produce with acks=0.
    pub async fn produce_unacknowledged(&mut self, topic: &str, value: &str) {
        in_time(self.0.send_unanswered(&produce_request(topic, 0, value), PRODUCE)).await.expect("a connection");
    }

    /// Whether the broker ends the connection instead of answering.
    pub async fn is_closed(&mut self) -> bool {
        in_time(self.0.call(&MetadataRequest::default(), 7)).await.is_err()
    }

    pub async fn begin_fetch(&mut self, topic: &str, offset: i64, max_wait_ms: i32) {
        self.begin_fetch_of(topic, offset, max_wait_ms, 1, 1 << 20).await;
    }

    /// As [`Client::begin_fetch`], for at least and at most so many bytes.
    pub async fn begin_fetch_of(&mut self, topic: &str, offset: i64, max_wait_ms: i32, min_bytes: i32, max_bytes: i32) {
        let partition =
            FetchPartition::default().with_partition(0).with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default().with_topic(name(topic)).with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_max_wait_ms(max_wait_ms)
            .with_min_bytes(min_bytes)
            .with_max_bytes(max_bytes)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        in_time(self.0.send(&request, FETCH)).await.expect("a connection");
    }

    /// The error code and the values of the fetch begun last.
    pub async fn end_fetch(&mut self) -> (i16, Vec<String>) {
        let response: FetchResponse = in_time(self.0.receive::<FetchRequest>(FETCH)).await.expect("an answer");
        let partition = &response.responses[0].partitions[0];
        (partition.error_code, values(partition.records.as_deref().unwrap_or_default()))
    }

    /// The error code and the values from an offset on, as far as they come at once.
    pub async fn fetch(&mut self, topic: &str, offset: i64) -> (i16, Vec<String>) {
        self.begin_fetch(topic, offset, 0).await;
        self.end_fetch().await
    }

    /// All values from the log start to the high watermark.
    pub async fn read_all(&mut self, topic: &str) -> Vec<String> {
        let mut all = Vec::new();
        let start = self.offset(topic, EARLIEST).await;
        loop {
            let (error, values) = self.fetch(topic, start + all.len() as i64).await;
            assert_eq!(error, 0);
            if values.is_empty() {
                return all;
            }
            all.extend(values);
        }
    }

    /// The offset that [`EARLIEST`] or [`LATEST`] stands for.
    pub async fn offset(&mut self, topic: &str, timestamp: i64) -> i64 {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(0)
            .with_current_leader_epoch(-1)
            .with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_topics(vec![topic]);
        let answer = &self.call(&request, 5).await.topics[0].partitions[0];
        assert_eq!(answer.error_code, 0);
        answer.offset
    }

    pub async fn leader_epoch(&mut self, topic: &str) -> i32 {
        let topic = MetadataRequestTopic::default().with_name(Some(name(topic)));
        let request = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
        let response = self.call(&request, 7).await;
        assert_eq!(response.topics[0].error_code, 0);
        response.topics[0].partitions[0].leader_epoch
    }

    /// The largest epoch not above `epoch`, and its end offset.
    pub async fn end_of_epoch(&mut self, topic: &str, epoch: i32) -> (i32, i64) {
        let partition = OffsetForLeaderPartition::default()
            .with_partition(0)
            .with_current_leader_epoch(-1)
            .with_leader_epoch(epoch);
        let topic = OffsetForLeaderTopic::default().with_topic(name(topic)).with_partitions(vec![partition]);
        let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
        let answer = &self.call(&request, 4).await.topics[0].partitions[0];
        assert_eq!(answer.error_code, 0);
        (answer.leader_epoch, answer.end_offset)
    }
}

async fn in_time<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(CALL_TIMEOUT, call).await.expect("an answer in time")
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

fn delete_request(topic: &str) -> DeleteTopicsRequest {
    DeleteTopicsRequest::default().with_topic_names(vec![name(topic)]).with_timeout_ms(5_000)
}

fn alter_request(topic: &str, key: &'static str, value: &'static str) -> IncrementalAlterConfigsRequest {
    const SET: i8 = 0;
    let config = AlterableConfig::default()
        .with_name(StrBytes::from_static_str(key))
        .with_config_operation(SET)
        .with_value(Some(StrBytes::from_static_str(value)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(name(topic).0)
        .with_configs(vec![config]);
    IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
}

fn produce_request(topic: &str, acks: i16, value: &str) -> ProduceRequest {
    let mut builder = BatchBuilder::new();
    builder.push(TIMESTAMP_MS, None, Some(value.as_bytes()), &[]);
    let batch = builder.build().expect("one record fits");
    let partition = PartitionProduceData::default().with_index(0).with_records(Some(batch));
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![partition]);
    ProduceRequest::default().with_acks(acks).with_timeout_ms(5_000).with_topic_data(vec![topic])
}

/// A produce as it goes over the wire.
pub fn produce_frame(topic: &str, value: &str) -> Bytes {
    request::encode(&produce_request(topic, -1, value), PRODUCE, 1, "raw").expect("a request")
}

fn values(mut batches: &[u8]) -> Vec<String> {
    let mut values = Vec::new();
    while !batches.is_empty() {
        let header = BatchHeader::parse(batches).expect("a batch header");
        let (batch, rest) = batches.split_at(header.size().expect("a size"));
        let body = Bytes::copy_from_slice(&batch[HEADER_LEN..]);
        for record in records::iterate(&header, &body, Limits { max_output_bytes: 1 << 20 }).expect("records") {
            let value = record.expect("a record").value.expect("a value");
            values.push(String::from_utf8_lossy(&value).into_owned());
        }
        batches = rest;
    }
    values
}
