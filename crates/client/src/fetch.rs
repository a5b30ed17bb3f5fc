//! Fetching: from the leaders of all positions at once, records out, positions moved on.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use chronik_protocol::batch::{BatchHeader, HEADER_LEN};
use chronik_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use chronik_protocol::messages::fetch_response::{AbortedTransaction, PartitionData};
use chronik_protocol::messages::{BrokerId, FetchRequest, FetchResponse};
use chronik_protocol::records::{self, Limits, Record};
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::error::{ApiError, ClientError, check};
use crate::metadata::{TopicInfo, topic_name};
use crate::produce::is_passing;

/// A topic and a partition.
pub type Position = (String, i32);

/// Between attempts while a leader is being found.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// The first version of Fetch that names topics by id alone.
const TOPIC_IDS: i16 = 13;
/// The most that one compressed batch may hold, in bytes.
const MAX_BATCH: Limits = Limits { max_output_bytes: 1 << 30 };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    ReadUncommitted = 0,
    ReadCommitted = 1,
}

#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    pub max_wait: Duration,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub partition_max_bytes: i32,
}

impl Default for FetchLimits {
    fn default() -> Self {
        let max_wait = Duration::from_millis(500);
        FetchLimits { max_wait, min_bytes: 1, max_bytes: 50 << 20, partition_max_bytes: 4 << 20 }
    }
}

/// What one fetch brought of one partition.
#[derive(Debug)]
pub struct Fetched {
    pub topic: String,
    pub partition: i32,
    /// How far this reader may read: the high watermark, or the last stable offset.
    pub end: i64,
    pub result: Result<Vec<FetchedRecord>, ApiError>,
}

/// A record, and what only its batch knows.
#[derive(Clone, Debug)]
pub struct FetchedRecord {
    pub record: Record,
    /// The timestamp is the broker's, not the producer's.
    pub log_append_time: bool,
    pub leader_epoch: i32,
    /// Who gave it.
    pub broker: i32,
}

impl std::ops::Deref for FetchedRecord {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}

/// Reads partitions from where it is told on.
pub struct Fetcher {
    pub limits: FetchLimits,
    isolation: Isolation,
    positions: BTreeMap<Position, i64>,
    topics: BTreeMap<String, TopicInfo>,
}

impl Fetcher {
    pub fn new(isolation: Isolation, limits: FetchLimits) -> Self {
        Fetcher { limits, isolation, positions: BTreeMap::new(), topics: BTreeMap::new() }
    }

    /// Begins to read a partition, or goes on elsewhere.
    pub fn seek(&mut self, topic: &str, partition: i32, offset: i64) {
        self.positions.insert((topic.to_owned(), partition), offset);
    }

    /// Stops reading a partition.
    pub fn forget(&mut self, topic: &str, partition: i32) {
        self.positions.remove(&(topic.to_owned(), partition));
    }

    pub fn clear(&mut self) {
        self.positions.clear();
    }

    /// The next offset of each partition.
    pub fn positions(&self) -> &BTreeMap<Position, i64> {
        &self.positions
    }

    /// One fetch from every leader. Errors of a cluster in motion are tried again for the client's request timeout.
    pub async fn poll(&mut self, client: &mut Client) -> Result<Vec<Fetched>, ClientError> {
        let deadline = Instant::now() + client.options.request_timeout;
        loop {
            let failed = match self.attempt(client).await {
                Ok(fetched) => {
                    let passing = fetched.iter().find_map(|f| f.result.as_ref().err().filter(|e| is_passing(e)));
                    match passing.cloned() {
                        None => return Ok(fetched),
                        // What other partitions brought is not lost: they have moved on.
                        Some(_) if fetched.iter().any(|f| f.result.as_ref().is_ok_and(|r| !r.is_empty())) => {
                            self.topics.clear();
                            return Ok(fetched.into_iter().filter(|f| f.result.is_ok()).collect());
                        }
                        Some(e) => ClientError::Api(e),
                    }
                }
                Err(e) if e.is_disconnect() || matches!(e, ClientError::NoLeader { .. }) => {
                    client.disconnect();
                    e
                }
                Err(e) => return Err(e),
            };
            if Instant::now() > deadline {
                return Err(failed);
            }
            self.topics.clear();
            sleep(RETRY_AFTER).await;
        }
    }

    async fn attempt(&mut self, client: &mut Client) -> Result<Vec<Fetched>, ClientError> {
        self.learn(client).await?;
        let mut by_leader: BTreeMap<i32, Vec<(&TopicInfo, i32, i64)>> = BTreeMap::new();
        for ((topic, partition), offset) in &self.positions {
            let Some(info) = self.topics.get(topic) else { continue };
            by_leader.entry(info.leader(*partition)?).or_default().push((info, *partition, *offset));
        }
        let mut sent = Vec::new();
        for (leader, mine) in &by_leader {
            let broker = client.broker(*leader).await?;
            let newest = broker.version_of::<FetchRequest>()?;
            let named = mine.iter().any(|(topic, _, _)| topic.id.is_nil());
            let version = if named { newest.min(TOPIC_IDS - 1) } else { newest };
            broker.send(&self.request(mine, version), version).await?;
            sent.push((*leader, version));
        }
        let mut answers: Vec<(i32, FetchResponse)> = Vec::new();
        for (leader, version) in sent {
            answers.push((leader, client.broker(leader).await?.receive::<FetchRequest>(version).await?));
        }
        let mut fetched = Vec::new();
        for (broker, answer) in answers {
            check(answer.error_code, None)?;
            for topic in answer.responses {
                let name = match topic.topic.is_empty() {
                    false => topic.topic.to_string(),
                    true => match self.topics.values().find(|info| info.id == topic.topic_id) {
                        Some(info) => info.name.clone(),
                        None => continue,
                    },
                };
                for data in topic.partitions {
                    fetched.push(self.take(&name, data, broker)?);
                }
            }
        }
        Ok(fetched)
    }

    /// Asks for the leaders of topics that are not known.
    async fn learn(&mut self, client: &mut Client) -> Result<(), ClientError> {
        let mut names: Vec<&str> = self.positions.keys().map(|(topic, _)| topic.as_str()).collect();
        names.retain(|name| !self.topics.contains_key(*name));
        names.dedup();
        if names.is_empty() {
            return Ok(());
        }
        for (name, topic) in client.metadata(Some(&names), false).await?.topics {
            self.topics.insert(name, topic?);
        }
        Ok(())
    }

    fn request(&self, partitions: &[(&TopicInfo, i32, i64)], version: i16) -> FetchRequest {
        let mut topics: Vec<FetchTopic> = Vec::new();
        let mut last: Option<&str> = None;
        for (info, partition, offset) in partitions {
            let entry = FetchPartition::default()
                .with_partition(*partition)
                .with_current_leader_epoch(-1)
                .with_fetch_offset(*offset)
                .with_last_fetched_epoch(-1)
                .with_log_start_offset(-1)
                .with_partition_max_bytes(self.limits.partition_max_bytes);
            match topics.last_mut() {
                Some(topic) if last == Some(&info.name) => topic.partitions.push(entry),
                _ => {
                    let topic = FetchTopic::default().with_partitions(vec![entry]);
                    topics.push(match version {
                        TOPIC_IDS.. => topic.with_topic_id(info.id),
                        _ => topic.with_topic(topic_name(&info.name)),
                    });
                    last = Some(&info.name);
                }
            }
        }
        FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(i32::try_from(self.limits.max_wait.as_millis()).unwrap_or(i32::MAX))
            .with_min_bytes(self.limits.min_bytes)
            .with_max_bytes(self.limits.max_bytes)
            .with_isolation_level(self.isolation as i8)
            .with_session_id(0)
            .with_session_epoch(-1)
            .with_topics(topics)
    }

    /// Takes the records of a partition and moves its position past them.
    fn take(&mut self, topic: &str, data: PartitionData, broker: i32) -> Result<Fetched, ClientError> {
        let end = match self.isolation {
            Isolation::ReadCommitted if data.last_stable_offset >= 0 => data.last_stable_offset,
            _ => data.high_watermark,
        };
        let partition = data.partition_index;
        let fetched = |result| Fetched { topic: topic.to_owned(), partition, end, result };
        if let Err(e) = check(data.error_code, None) {
            return Ok(fetched(Err(e)));
        }
        let aborted = match self.isolation {
            Isolation::ReadCommitted => data.aborted_transactions.unwrap_or_default(),
            Isolation::ReadUncommitted => Vec::new(),
        };
        let Some(position) = self.positions.get_mut(&(topic.to_owned(), partition)) else {
            return Ok(fetched(Ok(Vec::new())));
        };
        let found = read(data.records.unwrap_or_default(), position, aborted, broker)
            .map_err(|e| ClientError::Records(format!("{topic}-{partition} at offset {position}: {e}")))?;
        Ok(fetched(Ok(found)))
    }
}

/// The records of whole batches from `position` on, without markers and what was aborted. `position` moves past them.
fn read(
    mut bytes: Bytes,
    position: &mut i64,
    mut aborted: Vec<AbortedTransaction>,
    broker: i32,
) -> Result<Vec<FetchedRecord>, String> {
    aborted.sort_by_key(|a| std::cmp::Reverse(a.first_offset));
    // Producers within an aborted transaction.
    let mut open: Vec<i64> = Vec::new();
    let mut found = Vec::new();
    while let Some(header) = BatchHeader::parse(&bytes) {
        let size = header.size().ok_or("a batch of impossible length")?;
        // A response may end within a batch.
        if bytes.len() < size {
            break;
        }
        let batch = bytes.split_to(size);
        while aborted.last().is_some_and(|a| a.first_offset <= header.last_offset()) {
            open.extend(aborted.pop().map(|a| a.producer_id.0));
        }
        if header.is_control() {
            open.retain(|producer| *producer != header.producer_id);
        } else if !(header.is_transactional() && open.contains(&header.producer_id)) {
            let records = records::iterate(&header, &batch.slice(HEADER_LEN..), MAX_BATCH);
            for record in records.map_err(|e| e.to_string())? {
                let record = record.map_err(|e| e.to_string())?;
                if record.offset >= *position {
                    let log_append_time = header.is_log_append_time();
                    found.push(FetchedRecord {
                        record,
                        log_append_time,
                        leader_epoch: header.partition_leader_epoch,
                        broker,
                    });
                }
            }
        }
        *position = (*position).max(header.next_offset());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use chronik_protocol::builder::BatchBuilder;
    use chronik_protocol::messages::ProducerId;

    use super::*;

    /// Two records at an offset; of a transaction where there is a producer.
    fn batch(base_offset: i64, producer: Option<i64>) -> Bytes {
        let mut builder = BatchBuilder::new().base_offset(base_offset);
        if let Some(producer) = producer {
            builder = builder.producer(producer, 0, 0).transactional();
        }
        builder.push(0, None, Some(b"a"), &[]);
        builder.push(0, None, Some(b"b"), &[]);
        builder.build().expect("a small batch")
    }

    fn marker(base_offset: i64, producer: i64) -> Bytes {
        let mut builder =
            BatchBuilder::new().base_offset(base_offset).producer(producer, 0, -1).transactional().control();
        builder.push(0, Some(&[0, 0, 0, 0]), Some(&[0; 6]), &[]);
        builder.build().expect("a small batch")
    }

    fn offsets(bytes: &[Bytes], position: &mut i64, aborted: &[(i64, i64)]) -> Vec<i64> {
        let aborted = aborted.iter().map(|(producer, first)| {
            AbortedTransaction::default().with_producer_id(ProducerId(*producer)).with_first_offset(*first)
        });
        let found = read(bytes.concat().into(), position, aborted.collect(), 1).expect("whole batches");
        found.iter().map(|record| record.offset).collect()
    }

    #[test]
    fn what_was_aborted_is_left_out_until_its_marker() {
        let log = [batch(0, Some(7)), batch(2, Some(8)), marker(4, 7), batch(5, Some(7)), marker(7, 7), batch(8, None)];
        let mut position = 0;
        assert_eq!(offsets(&log, &mut position, &[(7, 0)]), [2, 3, 5, 6, 8, 9]);
        assert_eq!(position, 10);
        // To who reads everything only markers are no records.
        assert_eq!(offsets(&log, &mut 0, &[]), [0, 1, 2, 3, 5, 6, 8, 9]);
    }

    #[test]
    fn reading_begins_and_ends_within_batches() {
        let second = batch(2, None);
        let torn = [batch(0, None), second.slice(..second.len() - 1)];
        let mut position = 1;
        assert_eq!(offsets(&torn, &mut position, &[]), [1]);
        assert_eq!(position, 2);
        let mut position = 0;
        assert!(offsets(&[marker(0, 7)], &mut position, &[]).is_empty());
        assert_eq!(position, 1);
    }
}
