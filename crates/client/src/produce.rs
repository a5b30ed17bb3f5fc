//! Producing: records into batches, batches to the leaders of their partitions, again where a leader has moved.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use chronik_protocol::batch::Compression;
use chronik_protocol::builder::{BatchBuilder, HeaderRef};
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use chronik_protocol::messages::produce_response::PartitionProduceResponse;
use chronik_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProduceResponse};
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::error::{ApiError, ClientError, check};
use crate::metadata::{TopicInfo, topic_name};
use crate::partitioner::partition_for_key;

/// Between attempts while a leader is being found.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// The first version of Produce that names topics by id alone.
const TOPIC_IDS: i16 = 13;

/// Whose word is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    None = 0,
    Leader = 1,
    All = -1,
}

#[derive(Clone, Debug)]
pub struct ProducerOptions {
    pub acks: Acks,
    pub codec: Compression,
    /// Numbers the batches so that a repeated one is stored once (KIP-98). Needs [`Acks::All`].
    pub idempotent: bool,
    /// How long a batch is tried before it is given up.
    pub delivery_timeout: Duration,
    /// Let the broker make a topic that is missing, if it does so.
    pub auto_create: bool,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        ProducerOptions {
            acks: Acks::All,
            codec: Compression::None,
            idempotent: true,
            delivery_timeout: Duration::from_secs(30),
            auto_create: true,
        }
    }
}

/// What became of the records of one partition.
#[derive(Debug)]
pub struct Produced {
    pub partition: i32,
    pub records: usize,
    /// The offset of the first; -1 where the broker was not asked to answer.
    pub result: Result<i64, ClientError>,
}

/// Collects records for one topic and sends them when told to.
pub struct Producer {
    options: ProducerOptions,
    topic: TopicInfo,
    /// Producer id and epoch.
    identity: Option<(i64, i16)>,
    /// The next sequence of each partition.
    sequences: BTreeMap<i32, i32>,
    pending: BTreeMap<i32, BatchBuilder>,
    pending_bytes: usize,
    /// Where records without a key go until the next flush.
    sticky: usize,
}

impl Producer {
    /// Finds the topic, waiting for one that is being made.
    pub async fn open(client: &mut Client, topic: &str, options: ProducerOptions) -> Result<Self, ClientError> {
        let deadline = Instant::now() + options.delivery_timeout;
        let topic = loop {
            let metadata = client.metadata(Some(&[topic]), options.auto_create).await?;
            let found = metadata.topics.into_iter().next().ok_or(ClientError::Unanswered("Metadata"))?;
            match found.1 {
                Ok(info) if info.partitions.iter().any(|p| p.leader >= 0) => break info,
                Err(e) if !is_passing(&e) || !options.auto_create => {
                    return Err(ApiError { message: Some(format!("topic {topic}")), ..e }.into());
                }
                _ if Instant::now() > deadline => {
                    return Err(ClientError::NoLeader { topic: topic.to_owned(), partition: 0 });
                }
                _ => sleep(RETRY_AFTER).await,
            }
        };
        let mut producer = Producer {
            options,
            topic,
            identity: None,
            sequences: BTreeMap::new(),
            pending: BTreeMap::new(),
            pending_bytes: 0,
            sticky: 0,
        };
        if producer.options.idempotent && producer.options.acks == Acks::All {
            producer.identify(client).await?;
        }
        Ok(producer)
    }

    async fn identify(&mut self, client: &mut Client) -> Result<(), ClientError> {
        let request = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(60_000);
        let deadline = Instant::now() + self.options.delivery_timeout;
        loop {
            let response = client.any().await?.call(&request).await?;
            match check(response.error_code, None) {
                Ok(()) => {
                    self.identity = Some((response.producer_id.0, response.producer_epoch));
                    return Ok(());
                }
                // A broker that has just started may have no block of ids yet.
                Err(e) if e.is(ErrorCode::CoordinatorLoadInProgress) && Instant::now() < deadline => {
                    sleep(RETRY_AFTER).await;
                }
                Err(e) => return Err(e.into()),
            }
        }
    }

    pub fn topic(&self) -> &TopicInfo {
        &self.topic
    }

    /// Adds a record. Without a partition it goes where its key belongs, without a key to one partition until the next flush.
    pub fn push(
        &mut self,
        partition: Option<i32>,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[HeaderRef<'_>],
    ) {
        let count = self.topic.partitions.len();
        let partition = match (partition, key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_for_key(key, i32::try_from(count).unwrap_or(i32::MAX)),
            (None, None) => self.any_partition(),
        };
        let batch = self.pending.entry(partition).or_default();
        let before = batch.uncompressed_size();
        batch.push(timestamp_ms, key, value, headers);
        self.pending_bytes += batch.uncompressed_size() - before;
    }

    /// One of the partitions that can be written to, another after each flush.
    fn any_partition(&self) -> i32 {
        let led = || self.topic.partitions.iter().filter(|p| p.leader >= 0);
        led().nth(self.sticky % led().count().max(1)).map_or(0, |p| p.index)
    }

    /// Bytes of records waiting for the next flush, uncompressed.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Sends what is waiting, and waits for the answers. Each partition's result stands for itself.
    pub async fn flush(&mut self, client: &mut Client) -> Vec<Produced> {
        self.pending_bytes = 0;
        self.sticky += 1;
        let mut done = Vec::new();
        let mut batches = BTreeMap::new();
        for (partition, builder) in std::mem::take(&mut self.pending) {
            let records = builder.len();
            match self.build(partition, builder) {
                Ok(bytes) => drop(batches.insert(partition, (records, bytes))),
                Err(e) => done.push(Produced { partition, records, result: Err(e) }),
            }
        }
        let deadline = Instant::now() + self.options.delivery_timeout;
        while !batches.is_empty() {
            let again = self.attempt(client, &mut batches, &mut done).await;
            let Some(reason) = again else {
                // Settled, or the broker said nothing of them.
                done.extend(give_up(&mut batches, ClientError::Unanswered("Produce")));
                break;
            };
            if Instant::now() > deadline {
                done.extend(give_up(&mut batches, reason));
                break;
            }
            sleep(RETRY_AFTER).await;
            if reason.is_disconnect() {
                client.disconnect();
            }
            // What cannot be had now is asked for again at the next attempt.
            if let Ok(topic) = client.topic(&self.topic.name.clone()).await {
                self.topic = topic;
            }
        }
        done.sort_by_key(|p| p.partition);
        done
    }

    fn build(&mut self, partition: i32, builder: BatchBuilder) -> Result<Bytes, ClientError> {
        let records = i32::try_from(builder.len()).unwrap_or(i32::MAX);
        let mut builder = builder.compression(self.options.codec, None);
        if let Some((id, epoch)) = self.identity {
            let sequence = self.sequences.entry(partition).or_insert(0);
            builder = builder.producer(id, epoch, *sequence);
            *sequence = sequence.checked_add(records).unwrap_or_else(|| records - (i32::MAX - *sequence) - 1);
        }
        builder.build().map_err(|e| ClientError::Records(e.to_string()))
    }

    /// Sends every batch once. What is settled leaves `batches` for `done`; `Some` is why the rest is to be tried again.
    async fn attempt(
        &self,
        client: &mut Client,
        batches: &mut BTreeMap<i32, (usize, Bytes)>,
        done: &mut Vec<Produced>,
    ) -> Option<ClientError> {
        let mut again = None;
        let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for partition in batches.keys() {
            match self.topic.leader(*partition) {
                Ok(leader) => by_leader.entry(leader).or_default().push(*partition),
                Err(e) => again = Some(e),
            }
        }
        for (leader, partitions) in by_leader {
            match self.ask(client, leader, &partitions, batches).await {
                Ok(answers) => {
                    for (partition, result) in answers {
                        match result {
                            Err(e) if is_passing(&e) => again = Some(e.into()),
                            result => {
                                let Some((records, _)) = batches.remove(&partition) else { continue };
                                let result = result.map_err(ClientError::from);
                                done.push(Produced { partition, records, result });
                            }
                        }
                    }
                }
                Err(e) => {
                    client.drop_broker(leader);
                    if e.is_disconnect() || matches!(e, ClientError::UnknownBroker(_)) {
                        again = Some(e);
                    } else {
                        let reason = e.to_string();
                        let failed = |partition: &i32| {
                            let (records, _) = batches.remove(partition)?;
                            let result = Err(ClientError::Records(reason.clone()));
                            Some(Produced { partition: *partition, records, result })
                        };
                        done.extend(partitions.iter().filter_map(failed));
                    }
                }
            }
        }
        again
    }

    async fn ask(
        &self,
        client: &mut Client,
        leader: i32,
        partitions: &[i32],
        batches: &BTreeMap<i32, (usize, Bytes)>,
    ) -> Result<Vec<(i32, Result<i64, ApiError>)>, ClientError> {
        let timeout_ms = i32::try_from(client.options.request_timeout.as_millis()).unwrap_or(i32::MAX);
        let broker = client.broker(leader).await?;
        let newest = broker.version_of::<ProduceRequest>()?;
        let version = if self.topic.id.is_nil() { newest.min(TOPIC_IDS - 1) } else { newest };
        let data = |partition: &i32| {
            let records = batches.get(partition).map(|(_, bytes)| bytes.clone());
            PartitionProduceData::default().with_index(*partition).with_records(records)
        };
        let topic = TopicProduceData::default().with_partition_data(partitions.iter().map(data).collect());
        let topic = match version {
            TOPIC_IDS.. => topic.with_topic_id(self.topic.id),
            _ => topic.with_name(topic_name(&self.topic.name)),
        };
        let request = ProduceRequest::default()
            .with_transactional_id(None)
            .with_acks(self.options.acks as i16)
            .with_timeout_ms(timeout_ms)
            .with_topic_data(vec![topic]);
        if self.options.acks == Acks::None {
            broker.send_unanswered(&request, version).await?;
            return Ok(partitions.iter().map(|partition| (*partition, Ok(-1))).collect());
        }
        let response: ProduceResponse = broker.call_at(&request, version, self.options.delivery_timeout).await?;
        let answers = response.responses.into_iter().flat_map(|t| t.partition_responses);
        Ok(answers.map(|p| (p.index, outcome(&p))).collect())
    }
}

fn outcome(answer: &PartitionProduceResponse) -> Result<i64, ApiError> {
    const DUPLICATE_SEQUENCE_NUMBER: i16 = 46;
    if answer.error_code == DUPLICATE_SEQUENCE_NUMBER {
        return Ok(answer.base_offset);
    }
    let detail = answer.record_errors.iter().find_map(|e| e.batch_index_error_message.as_ref());
    check(answer.error_code, answer.error_message.as_ref().or(detail)).map(|()| answer.base_offset)
}

fn give_up(batches: &mut BTreeMap<i32, (usize, Bytes)>, reason: ClientError) -> Vec<Produced> {
    let text = format!("given up: {reason}");
    let failed = |(partition, (records, _))| {
        let result = Err(ClientError::Records(text.clone()));
        Produced { partition, records, result }
    };
    std::mem::take(batches).into_iter().map(failed).collect()
}

/// Errors of a cluster in motion: the same request may do well a moment later.
pub(crate) fn is_passing(error: &ApiError) -> bool {
    const PASSING: [ErrorCode; 10] = [
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::UnknownTopicId,
        ErrorCode::LeaderNotAvailable,
        ErrorCode::NotLeaderOrFollower,
        ErrorCode::FencedLeaderEpoch,
        ErrorCode::UnknownLeaderEpoch,
        ErrorCode::InconsistentTopicId,
        ErrorCode::NotEnoughReplicas,
        ErrorCode::RequestTimedOut,
        ErrorCode::NetworkException,
    ];
    PASSING.iter().any(|code| error.is(*code))
}
