//! The calls the checks are made of. Every one ends by itself within a minute.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use crate::contents::{Item, TOPIC_LIMIT};

pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How long any one condition is waited for.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The broker refused a record for its size.
#[derive(Debug)]
pub struct TooLarge;

impl std::fmt::Display for TooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the broker refused a record for its size")
    }
}

impl Error for TooLarge {}

/// Keeps the answer of each record by its number.
struct Answers(Mutex<Vec<Option<Result<i64, KafkaError>>>>);

impl ClientContext for Answers {}

impl ProducerContext for Answers {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<usize>) {
        let answer = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        let mut answers = self.0.lock().expect("no holder of this lock panics");
        answers[*number] = Some(answer);
    }
}

pub struct Client {
    config: ClientConfig,
    admin: AdminClient<DefaultClientContext>,
    reader: BaseConsumer,
}

impl Client {
    pub fn new(bootstrap: &str) -> Outcome<Client> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap);
        Ok(Client { admin: config.create()?, reader: reader(&config)?, config })
    }

    /// What every client of this broker is made with.
    pub fn config(&self) -> ClientConfig {
        self.config.clone()
    }

    pub fn create_topic(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) -> Outcome<()> {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (name, value) in settings {
            new = new.set(name, value);
        }
        let answers = block_on(self.admin.create_topics([&new], &admin_options()))?;
        first_error(answers)
    }

    pub fn delete_topic(&self, topic: &str) -> Outcome<()> {
        let answers = block_on(self.admin.delete_topics(&[topic], &admin_options()))?;
        first_error(answers)
    }

    /// Topic name → number of partitions that have a leader.
    pub fn topics(&self) -> Outcome<BTreeMap<String, usize>> {
        let metadata = self.reader.fetch_metadata(None, DEADLINE)?;
        let leaders = |topic: &rdkafka::metadata::MetadataTopic| {
            let partitions = topic.partitions().iter();
            partitions.filter(|p| p.leader() >= 0).count()
        };
        let topics = metadata.topics().iter();
        Ok(topics.map(|t| (t.name().to_owned(), leaders(t))).collect())
    }

    /// Sends all and waits for all; the offset of each. `acks` is "all", "1" or "0".
    pub fn produce(&self, topic: &str, items: &[Item], codec: &str, acks: &str) -> Outcome<Vec<i64>> {
        let mut config = self.config.clone();
        config
            .set("compression.type", codec)
            .set("acks", acks)
            .set("enable.idempotence", (acks == "all").to_string())
            .set("message.max.bytes", TOPIC_LIMIT.to_string())
            .set("message.timeout.ms", DEADLINE.as_millis().to_string());
        let answers = Answers(Mutex::new(vec![None; items.len()]));
        let producer: BaseProducer<Answers> = BaseProducer::from_config_and_context(&config, answers)?;
        for (number, item) in items.iter().enumerate() {
            producer.send(record(topic, item, number)).map_err(|(error, _)| error)?;
        }
        producer.flush(DEADLINE + Duration::from_secs(5))?;
        let answers = std::mem::take(&mut *producer.context().0.lock().expect("no holder of this lock panics"));
        answers
            .into_iter()
            .map(|answer| match answer {
                Some(Ok(offset)) => Ok(offset),
                Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                    Err(TooLarge.into())
                }
                Some(Err(error)) => Err(error.into()),
                None => Err("a record was never answered".into()),
            })
            .collect()
    }

    /// `count` records and their offsets from `start` on; fewer when the deadline is over.
    /// `first_read` becomes true with the first.
    pub fn read(
        &self,
        topic: &str,
        partition: i32,
        start: i64,
        count: usize,
        first_read: &AtomicBool,
    ) -> Outcome<Vec<(i64, Item)>> {
        let consumer = reader(&self.config)?;
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, partition, Offset::Offset(start))?;
        consumer.assign(&assignment)?;
        let mut got = Vec::new();
        let end = Instant::now() + DEADLINE;
        while got.len() < count && Instant::now() < end {
            if let Some(message) = consumer.poll(Duration::from_secs(1)) {
                let message = message?;
                got.push((message.offset(), item_of(&message)));
                first_read.store(true, Ordering::Release);
            }
        }
        Ok(got)
    }

    /// First offset and log end of one partition.
    pub fn watermarks(&self, topic: &str, partition: i32) -> Outcome<(i64, i64)> {
        Ok(self.reader.fetch_watermarks(topic, partition, DEADLINE)?)
    }

    /// The first offset whose record is not older than `timestamp`, `None` when there is none.
    pub fn at_time(&self, topic: &str, partition: i32, timestamp: i64) -> Outcome<Option<i64>> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(topic, partition, Offset::Offset(timestamp))?;
        let answers = self.reader.offsets_for_times(asked, DEADLINE)?;
        let answer = answers.find_partition(topic, partition).ok_or("the partition is not in the answer")?;
        answer.error()?;
        Ok(match answer.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        })
    }
}

fn reader(config: &ClientConfig) -> Outcome<BaseConsumer> {
    Ok(config
        .clone()
        .set("group.id", "not-used")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .create()?)
}

fn admin_options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(DEADLINE)).operation_timeout(Some(DEADLINE))
}

fn first_error(answers: Vec<Result<String, (String, RDKafkaErrorCode)>>) -> Outcome<()> {
    for answer in answers {
        answer.map_err(|(topic, code)| format!("{topic}: {code}"))?;
    }
    Ok(())
}

fn record<'a>(topic: &'a str, item: &'a Item, number: usize) -> BaseRecord<'a, [u8], [u8], Box<usize>> {
    let mut record =
        BaseRecord::with_opaque_to(topic, Box::new(number)).partition(item.partition).timestamp(item.timestamp);
    record.key = item.key.as_deref();
    record.payload = item.value.as_deref();
    if !item.headers.is_empty() {
        record.headers =
            Some(item.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header { key, value: value.as_ref() })
            }));
    }
    record
}

fn item_of(message: &BorrowedMessage<'_>) -> Item {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect()
    });
    Item {
        partition: message.partition(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
        timestamp: message.timestamp().to_millis().unwrap_or(-1),
    }
}
