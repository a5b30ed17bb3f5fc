//! Produce (0): one v2 batch per partition, appended at once, acknowledged when held as widely as was asked for.

use bytes::Bytes;
use chronik_metadata::Image;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use chronik_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use chronik_protocol::messages::{ProduceRequest, ProduceResponse};
use chronik_protocol::validate;
use chronik_replication::Acks;
use tokio::sync::oneshot;

use crate::api::RequestContext;
use crate::handlers::text;
use crate::partition::ProduceError;
use crate::quotas::Use;
use crate::topics::{self, Found};

/// The first version that names topics by id.
const FIRST_WITH_TOPIC_IDS: i16 = 13;

pub(crate) enum Answer {
    Response(ProduceResponse),
    Silence,
    Close(String),
}

/// A partition's answer, and what still has to happen before it is given.
struct Outcome {
    response: PartitionProduceResponse,
    ack: Option<oneshot::Receiver<Result<(), ProduceError>>>,
}

/// Everything up to the first await appends, so that requests of one connection append in their order.
pub(crate) async fn handle(cx: &RequestContext, request: ProduceRequest) -> Answer {
    let acks = match request.acks {
        0 => Some(Acks::None),
        1 => Some(Acks::Leader),
        -1 => Some(Acks::All),
        _ => None,
    };
    let image = cx.broker.image();
    let bytes = bytes_of(&request);
    let mut topics: Vec<(TopicProduceResponse, Vec<Outcome>)> = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        topics.push(append_topic(cx, &image, topic, acks));
    }
    let mut responses = Vec::with_capacity(topics.len());
    for (mut topic, outcomes) in topics {
        for outcome in outcomes {
            topic.partition_responses.push(settle(outcome).await);
        }
        responses.push(topic);
    }
    cx.charge(Use::Produce, bytes);
    if acks == Some(Acks::None) {
        return silence(&responses);
    }
    Answer::Response(ProduceResponse::default().with_responses(responses))
}

/// Bytes of records.
fn bytes_of(request: &ProduceRequest) -> usize {
    let partitions = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    partitions.filter_map(|partition| partition.records.as_ref()).map(Bytes::len).sum()
}

/// With acks=0 there is no response to carry an error: the connection ends instead.
fn silence(responses: &[TopicProduceResponse]) -> Answer {
    let failed = responses
        .iter()
        .flat_map(|t| t.partition_responses.iter().map(move |p| (t, p)))
        .find(|(_, p)| p.error_code != 0);
    match failed {
        None => Answer::Silence,
        Some((topic, partition)) => {
            let error = ErrorCode::from_code(partition.error_code).map_or("an error", ErrorCode::name);
            Answer::Close(format!("produce with acks=0 to {}-{} failed: {error}", topic.name.0, partition.index))
        }
    }
}

fn append_topic(
    cx: &RequestContext,
    image: &Image,
    topic: TopicProduceData,
    acks: Option<Acks>,
) -> (TopicProduceResponse, Vec<Outcome>) {
    let found = if cx.version() >= FIRST_WITH_TOPIC_IDS {
        topics::find_by_id(image, topic.topic_id)
    } else {
        topics::find_by_name(image, &topic.name)
    };
    let outcomes = topic.partition_data.into_iter().map(|data| {
        let index = data.index;
        append_partition(cx, &found, data, acks)
            .unwrap_or_else(|refused| Outcome { response: refused.response(index), ack: None })
    });
    let outcomes = outcomes.collect();
    (TopicProduceResponse::default().with_name(topic.name).with_topic_id(topic.topic_id), outcomes)
}

fn append_partition(
    cx: &RequestContext,
    found: &Result<Found<'_>, ErrorCode>,
    data: PartitionProduceData,
    acks: Option<Acks>,
) -> Result<Outcome, Refused> {
    let acks = acks.ok_or_else(|| refused(ErrorCode::InvalidRequiredAcks, None))?;
    let topic = match found {
        Ok(Found::Topic(topic)) => topic,
        Ok(Found::Meta) => return Err(refused(ErrorCode::InvalidTopicException, Some("__meta is read-only".into()))),
        Err(error) => return Err(refused(*error, None)),
    };
    let partition = cx
        .broker
        .partitions()
        .leader(topic, data.index)
        .map_err(|e| refused(topics::gone(e, cx.version() >= FIRST_WITH_TOPIC_IDS), None))?;
    let now_ms = cx.broker.now_ms();
    let config = partition.config();
    let rules = topics::produce_rules(&cx.broker.config(), &config, cx.version());
    let records = data.records.unwrap_or_default();
    let size = records.len();
    let batch = validate::validate(&records, &rules, now_ms).map_err(|e| invalid(&e))?;
    if batch.header.is_transactional() {
        return Err(refused(ErrorCode::InvalidTxnState, Some("no transaction is open for this producer".into())));
    }
    let count = batch.header.records_count;
    let appended = partition.append(batch, acks, now_ms).map_err(|e| {
        let gone_by_id = e.code() == ErrorCode::UnknownTopicOrPartition && cx.version() >= FIRST_WITH_TOPIC_IDS;
        refused(if gone_by_id { ErrorCode::UnknownTopicId } else { e.code() }, Some(e.to_string()))
    })?;
    cx.broker.metrics().produced(count as u64, size as u64);
    partition.traffic().produced(count as u64, size as u64);
    let response = PartitionProduceResponse::default()
        .with_index(data.index)
        .with_base_offset(appended.base_offset)
        .with_log_append_time_ms(appended.log_append_time_ms)
        .with_log_start_offset(appended.log_start_offset);
    Ok(Outcome { response: response.with_error_message(None), ack: appended.ack })
}

/// Waits until the records are held as widely as was asked for. The request's timeout is for other replicas to catch up, of which
/// there are none: a local sync ends or fails by itself.
async fn settle(outcome: Outcome) -> PartitionProduceResponse {
    let Outcome { response, ack } = outcome;
    let Some(ack) = ack else { return response };
    let error = match ack.await {
        Ok(Ok(())) => return response,
        Ok(Err(e)) => refused(e.code(), Some(e.to_string())),
        // The partition was dropped with the answer pending: the broker is stopping.
        Err(_) => refused(ErrorCode::NotLeaderOrFollower, None),
    };
    error.response(response.index)
}

/// Why a partition's records were not taken.
struct Refused {
    error: ErrorCode,
    message: Option<String>,
    record_errors: Vec<BatchIndexAndErrorMessage>,
}

impl Refused {
    fn response(self, index: i32) -> PartitionProduceResponse {
        PartitionProduceResponse::default()
            .with_index(index)
            .with_error_code(self.error.code())
            .with_base_offset(-1)
            .with_log_append_time_ms(-1)
            .with_log_start_offset(-1)
            .with_error_message(self.message.map(text))
            .with_record_errors(self.record_errors)
    }
}

fn refused(error: ErrorCode, message: Option<String>) -> Refused {
    Refused { error, message, record_errors: Vec::new() }
}

fn invalid(e: &validate::InvalidBatch) -> Refused {
    let errors = e.record_errors().iter().map(|r| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(r.batch_index)
            .with_batch_index_error_message(Some(text(r.message.to_string())))
    });
    Refused { record_errors: errors.collect(), ..refused(e.error_code(), Some(e.to_string())) }
}
