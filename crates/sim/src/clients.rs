//! The simulated clients: producers, a reader, an administrator, and the auditor that reads everything at the end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronik_client::{CallError, Connection};
use chronik_env::random::Random;
use chronik_protocol::batch::{BatchHeader, HEADER_LEN};
use chronik_protocol::builder::BatchBuilder;
use chronik_protocol::compression::Limits;
use chronik_protocol::messages::create_topics_request::CreatableTopic;
use chronik_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use chronik_protocol::messages::metadata_request::MetadataRequestTopic;
use chronik_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use chronik_protocol::messages::{
    CreateTopicsRequest, FetchRequest, InitProducerIdRequest, MetadataRequest, ProduceRequest, TopicName,
};
use chronik_protocol::{StrBytes, records};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use crate::history::{At, History, Value};
use crate::world::{SimNet, elapsed_ms, wall_ms};

pub const TOPIC: &str = "audited";
pub const PARTITIONS: i32 = 2;
const PORT: u16 = 9092;
const CALL_TIMEOUT: Duration = Duration::from_millis(1_500);
const RETRY_AFTER: Duration = Duration::from_millis(50);
const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
const TOPIC_ALREADY_EXISTS: i16 = 36;
const OFFSET_OUT_OF_RANGE: i16 = 1;

/// What the clients of one run share.
#[derive(Clone)]
pub struct Run {
    pub history: Arc<Mutex<History>>,
    pub random: Random,
    /// When faults end and producers stop, in simulated milliseconds.
    pub until_ms: u64,
}

impl Run {
    fn over(&self) -> bool {
        elapsed_ms() >= self.until_ms
    }

    fn note(&self, line: String) {
        self.history.lock().note(format!("{} {line}", elapsed_ms()));
    }
}

/// A connection that is made anew after each failure.
struct Client {
    run: Run,
    name: String,
    connection: Option<Connection>,
}

impl Client {
    fn new(run: &Run, name: &str) -> Self {
        Client { run: run.clone(), name: name.to_owned(), connection: None }
    }

    async fn call<R: chronik_protocol::request::Request>(&mut self, request: &R, version: i16) -> Option<R::Response> {
        let result = timeout(CALL_TIMEOUT, self.try_call(request, version)).await;
        let error = match result {
            Ok(Ok(response)) => return Some(response),
            Ok(Err(e)) => e.to_string(),
            Err(_) => "timed out".to_owned(),
        };
        self.connection = None;
        self.run.history.lock().failed_calls += 1;
        self.run.note(format!("{} failed: {error}", self.name));
        sleep(RETRY_AFTER).await;
        None
    }

    async fn try_call<R: chronik_protocol::request::Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<R::Response, CallError> {
        if self.connection.is_none() {
            let address = SocketAddr::new(turmoil::lookup("broker"), PORT);
            self.connection = Some(Connection::connect(&SimNet, address, &self.name).await?);
        }
        match &mut self.connection {
            Some(connection) => connection.call(request, version).await,
            None => Err(CallError::NothingAsked),
        }
    }
}

fn topic_name() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}

/// Writes numbered records to one partition until the time is over, one batch at a time. An idempotent producer repeats a batch whose
/// outcome it does not know until it does; another goes on with the next numbers.
pub async fn produce(run: Run, producer: u32, partition: i32, idempotent: bool) {
    run.history.lock().producer(producer, idempotent);
    let mut client = Client::new(&run, &format!("producer-{producer}"));
    let producer_id = if idempotent { Some(init_producer_id(&mut client).await) } else { None };
    let (mut number, mut sequence) = (0u64, 0i32);
    while !run.over() {
        let count = 1 + run.random.next_u64() % 5;
        let acks = if run.random.next_u64().is_multiple_of(2) { 1 } else { -1 };
        let batch = batch(producer, number, count, producer_id, sequence, run.random.next_u64() % 400);
        loop {
            match send(&mut client, partition, acks, &batch).await {
                Sent::Acked(base) => {
                    let mut history = run.history.lock();
                    history.acked_batches += 1;
                    history.note(format!("{} acked {producer}:{number}+{count} at {partition}@{base}", elapsed_ms()));
                    for i in 0..count {
                        history.acked(Value { producer, number: number + i }, (partition, base + i as i64));
                    }
                    break;
                }
                Sent::Refused(OUT_OF_ORDER_SEQUENCE_NUMBER) => {
                    run.history
                        .lock()
                        .violate(format!("D4: producer {producer} was told that record {number} is out of order"));
                    return;
                }
                Sent::Refused(error) => {
                    run.note(format!("producer-{producer} refused: {error}"));
                    sleep(RETRY_AFTER).await;
                }
                Sent::Unknown => {}
            }
            if !idempotent {
                break;
            }
        }
        number += count;
        sequence += count as i32;
        sleep(Duration::from_millis(run.random.next_u64() % 40)).await;
    }
}

async fn init_producer_id(client: &mut Client) -> i64 {
    loop {
        if let Some(response) = client.call(&InitProducerIdRequest::default().with_transactional_id(None), 4).await
            && response.error_code == 0
        {
            return response.producer_id.0;
        }
        sleep(RETRY_AFTER).await;
    }
}

fn batch(producer: u32, number: u64, count: u64, producer_id: Option<i64>, sequence: i32, padding: u64) -> Bytes {
    let mut builder = BatchBuilder::new();
    if let Some(id) = producer_id {
        builder = builder.producer(id, 0, sequence);
    }
    let padding = vec![b'.'; padding as usize];
    for i in 0..count {
        let key = format!("{producer}:{}", number + i);
        builder.push(wall_ms(), Some(key.as_bytes()), Some(&padding), &[]);
    }
    builder.build().expect("a batch of a few records fits")
}

enum Sent {
    Acked(i64),
    Refused(i16),
    Unknown,
}

async fn send(client: &mut Client, partition: i32, acks: i16, batch: &Bytes) -> Sent {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch.clone()));
    let topic = TopicProduceData::default().with_name(topic_name()).with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_acks(acks).with_timeout_ms(2_000).with_topic_data(vec![topic]);
    let Some(response) = client.call(&request, 9).await else { return Sent::Unknown };
    match response.responses.first().and_then(|t| t.partition_responses.first()) {
        Some(answer) if answer.error_code == 0 => Sent::Acked(answer.base_offset),
        Some(answer) => Sent::Refused(answer.error_code),
        None => Sent::Unknown,
    }
}

/// Follows one partition until the time is over and notes all it sees.
pub async fn follow(run: Run, partition: i32) {
    let mut client = Client::new(&run, &format!("reader-{partition}"));
    let mut offset = 0;
    while !run.over() {
        if let Some(records) = fetch(&mut client, partition, offset, 500).await {
            let mut history = run.history.lock();
            for (at, value) in records {
                offset = at.1 + 1;
                history.read(at, value);
            }
        }
    }
}

/// Records from `offset` on; `None` when the call failed or was refused.
async fn fetch(client: &mut Client, partition: i32, offset: i64, max_wait_ms: i32) -> Option<Vec<(At, Value)>> {
    let asked =
        FetchPartition::default().with_partition(partition).with_fetch_offset(offset).with_partition_max_bytes(4_096);
    let topic = FetchTopic::default().with_topic(topic_name()).with_partitions(vec![asked]);
    let request = FetchRequest::default()
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(8_192)
        .with_session_epoch(-1)
        .with_topics(vec![topic]);
    let response = client.call(&request, 11).await?;
    let data = response.responses.into_iter().next()?.partitions.into_iter().next()?;
    if data.error_code == OFFSET_OUT_OF_RANGE {
        client.run.history.lock().violate(format!(
            "D2: offset {offset} of partition {partition} went out of range, high watermark {}",
            data.high_watermark
        ));
    }
    if data.error_code != 0 {
        client.run.note(format!("{} refused: {}", client.name, data.error_code));
        sleep(RETRY_AFTER).await;
        return None;
    }
    let records = data.records.unwrap_or_default();
    match decode(partition, &records) {
        Ok(found) => Some(found.into_iter().filter(|((_, o), _)| *o >= offset).collect()),
        Err(problem) => {
            client.run.history.lock().violate(format!("D11: partition {partition} from {offset}: {problem}"));
            None
        }
    }
}

fn decode(partition: i32, mut batches: &[u8]) -> Result<Vec<(At, Value)>, String> {
    let mut found = Vec::new();
    while !batches.is_empty() {
        let header = BatchHeader::parse(batches).ok_or("a short batch header")?;
        let size = header.size().filter(|size| *size <= batches.len()).ok_or("a short batch")?;
        let (batch, rest) = batches.split_at(size);
        if chronik_protocol::batch::crc_of(batch) != header.crc {
            return Err(format!("a wrong CRC at {}", header.base_offset));
        }
        let body = Bytes::copy_from_slice(&batch[HEADER_LEN..]);
        let limits = Limits { max_output_bytes: 1 << 20 };
        for record in records::iterate(&header, &body, limits).map_err(|e| e.to_string())? {
            let record = record.map_err(|e| e.to_string())?;
            let key = record.key.as_deref().and_then(|k| std::str::from_utf8(k).ok()).unwrap_or_default();
            let (producer, number) = key.split_once(':').ok_or("a foreign key")?;
            let value = Value {
                producer: producer.parse().map_err(|_| "a foreign key")?,
                number: number.parse().map_err(|_| "a foreign key")?,
            };
            found.push(((partition, record.offset), value));
        }
        batches = rest;
    }
    Ok(found)
}

/// Creates the audited topic and then, now and then, another one.
pub async fn administrate(run: Run) {
    let mut client = Client::new(&run, "admin");
    create(&mut client, TOPIC, PARTITIONS).await;
    let mut count = 0;
    while !run.over() {
        sleep(Duration::from_millis(500 + run.random.next_u64() % 3_000)).await;
        let name = format!("other-{count}");
        if run.over() {
            return;
        }
        create(&mut client, &name, 1).await;
        run.note(format!("created {name}"));
        run.history.lock().topics_created.push(name);
        count += 1;
    }
}

async fn create(client: &mut Client, name: &str, partitions: i32) {
    let topic = CreatableTopic::default()
        .with_name(TopicName(StrBytes::from_string(name.to_owned())))
        .with_num_partitions(partitions)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(2_000);
    loop {
        if let Some(response) = client.call(&request, 5).await
            && response.topics.first().is_some_and(|t| matches!(t.error_code, 0 | TOPIC_ALREADY_EXISTS))
        {
            return;
        }
        sleep(RETRY_AFTER).await;
    }
}

/// Waits until the topic is there.
pub async fn topic_exists(run: &Run) {
    let mut client = Client::new(run, "waiter");
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name()));
    let request = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
    loop {
        if let Some(response) = client.call(&request, 4).await
            && response.topics.first().is_some_and(|t| t.error_code == 0)
        {
            return;
        }
        sleep(RETRY_AFTER).await;
    }
}

/// After all faults: reads everything and compares it with what was promised.
pub async fn audit(run: Run) {
    let mut client = Client::new(&run, "auditor");
    let mut last = BTreeMap::new();
    for partition in 0..PARTITIONS {
        let mut offset = 0;
        loop {
            match fetch(&mut client, partition, offset, 0).await {
                Some(records) if records.is_empty() => break,
                Some(records) => {
                    for (at, value) in records {
                        offset = at.1 + 1;
                        last.insert(at, value);
                    }
                }
                None => {}
            }
        }
    }
    let names: Vec<String> = run.history.lock().topics_created.clone();
    let topics = names
        .iter()
        .map(|n| MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_string(n.clone())))));
    let request = MetadataRequest::default().with_topics(Some(topics.collect())).with_allow_auto_topic_creation(false);
    let response = loop {
        if let Some(response) = client.call(&request, 4).await {
            break response;
        }
    };
    let mut history = run.history.lock();
    for topic in response.topics.iter().filter(|t| t.error_code != 0) {
        history.violate(format!("M4: topic {:?} was created and is gone: {}", topic.name, topic.error_code));
    }
    history.check(&last);
    history.note(format!("{} audited {} records", elapsed_ms(), last.len()));
}
