//! Fetch (1): whole batches below the high watermark, at once or when enough has come. Nothing polls: an append wakes the waiter.

use std::sync::Arc;

use bytes::Bytes;
use chronik_metadata::Image;
use chronik_protocol::batch::BatchHeader;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::fetch_response::{EpochEndOffset, FetchableTopicResponse, PartitionData};
use chronik_protocol::messages::{BrokerId, FetchRequest, FetchResponse};
use chronik_storage::ReadError;
use tokio::sync::{Notify, watch};
use tokio::time::{Duration, Instant, timeout_at};
use tracing::warn;

use crate::api::RequestContext;
use crate::fetch_session::{FetchKind, Target, TargetKey, Told};
use crate::metrics::TopicTraffic;
use crate::partition::{Offsets, Registration};
use crate::quotas::Use;
use crate::readable::{NO_EPOCH, Readable};
use crate::topics;

/// The first version that names topics by id.
const FIRST_WITH_TOPIC_IDS: i16 = 13;
/// The first version with fetch sessions.
const FIRST_WITH_SESSIONS: i16 = 7;
const READ_COMMITTED: i8 = 1;

/// What one request wants.
struct Wanted {
    max_bytes: usize,
    min_bytes: usize,
    deadline: Instant,
    read_committed: bool,
    by_topic_id: bool,
}

/// What one look at all partitions found.
struct Found {
    answers: Vec<Answer>,
    bytes: usize,
    /// An error, or a log that diverged: the client is told at once.
    urgent: bool,
}

struct Answer {
    data: PartitionData,
    told: Option<Told>,
    /// Where the records are counted; none of a partition that is not a topic's.
    traffic: Option<Arc<TopicTraffic>>,
}

pub(crate) async fn handle(cx: &RequestContext, mut request: FetchRequest) -> FetchResponse {
    let max_bytes = (request.max_bytes.min(cx.broker.fetch_max_bytes()).max(0) as usize)
        .min(cx.broker.response_room())
        .min(cx.most_to_fetch());
    let wanted = Wanted {
        max_bytes,
        // As Kafka: nobody waits for more than may be had.
        min_bytes: (request.min_bytes.max(0) as usize).min(max_bytes),
        deadline: Instant::now() + Duration::from_millis(request.max_wait_ms.max(0) as u64),
        read_committed: request.isolation_level == READ_COMMITTED,
        by_topic_id: cx.version() >= FIRST_WITH_TOPIC_IDS,
    };
    if cx.version() < FIRST_WITH_SESSIONS {
        request.session_id = 0;
        request.session_epoch = -1;
    }
    let kind = match cx.broker.fetch_sessions().begin(request, wanted.by_topic_id, cx.broker.monotonic_ms()) {
        Ok(kind) => kind,
        Err(e) => return FetchResponse::default().with_error_code(e.code()),
    };
    let targets = match &kind {
        FetchKind::Sessionless(targets) | FetchKind::New(targets) => targets,
        FetchKind::Incremental(session) => &session.targets,
    };
    let found = read_enough(cx, targets, &wanted).await;
    if cx.charge(Use::Fetch, found.bytes).max(cx.charge_time().into()) > 0 {
        // As Kafka: the client gets nothing now, and asks again when it may.
        cx.take_back(Use::Fetch, found.bytes);
        let session_id = if let FetchKind::Incremental(session) = &kind { session.id() } else { 0 };
        return FetchResponse::default().with_session_id(session_id);
    }
    cx.broker.metrics().fetched(found.bytes as u64);
    for answer in &found.answers {
        if let (Some(traffic), Some(records)) = (&answer.traffic, &answer.data.records) {
            traffic.fetched(records.len() as u64);
        }
    }
    respond(cx, kind, found, wanted.by_topic_id)
}

/// Reads until there is enough, something urgent, or no more time.
async fn read_enough(cx: &RequestContext, targets: &[Target], wanted: &Wanted) -> Found {
    let mut found = read_all(cx, &cx.broker.image(), targets, wanted);
    let registered = targets.iter().map(|_| None).collect();
    let mut wait = Wait { waiter: Arc::new(Notify::new()), registered, metadata: None };
    while found.bytes < wanted.min_bytes && !found.urgent && !targets.is_empty() && !is_cut(targets, &found) {
        // Too few: they are read again rather than held while the fetch waits, for memory nobody counts.
        let has_records = found.bytes > 0;
        if has_records {
            found.answers.clear();
        }
        // What came between the look and the registration would wake nobody: then look again at once.
        let over = !wait.register(cx, targets, wanted) && timeout_at(wanted.deadline, wait.progress()).await.is_err();
        let over = over || wanted.deadline <= Instant::now();
        if has_records || !over {
            found = read_all(cx, &cx.broker.image(), targets, wanted);
        }
        if over {
            break;
        }
    }
    found
}

/// Whether there are records, and more of them that came after a limit or in another segment: as for Kafka, which counts those
/// bytes, waiting would change nothing.
fn is_cut(targets: &[Target], found: &Found) -> bool {
    let next_offset = |mut records: &[u8]| {
        let mut next = None;
        while let Some(header) = BatchHeader::parse(records) {
            next = Some(header.next_offset());
            records = header.size().and_then(|size| records.get(size..)).unwrap_or_default();
        }
        next
    };
    let is_cut = |(target, answer): (&Target, &Answer)| {
        let data = &answer.data;
        let next = data.records.as_deref().and_then(next_offset).unwrap_or(target.asked.fetch_offset);
        next < data.high_watermark
    };
    found.bytes > 0 && targets.iter().zip(&found.answers).any(is_cut)
}

/// A fetch that waits for its partitions.
struct Wait {
    waiter: Arc<Notify>,
    registered: Vec<Option<Registration>>,
    metadata: Option<watch::Receiver<Arc<Image>>>,
}

impl Wait {
    /// Registers with the partitions that are new or have fired. Whether there were any, so that there may be more to read.
    fn register(&mut self, cx: &RequestContext, targets: &[Target], wanted: &Wanted) -> bool {
        let image = cx.broker.image();
        let mut any = false;
        for (target, registered) in targets.iter().zip(&mut self.registered) {
            match find(cx, &image, target, wanted.by_topic_id) {
                Ok(Readable::Data(partition)) => {
                    if let Some(anew) = partition.wake_on_progress(&self.waiter, registered.as_ref()) {
                        *registered = Some(anew);
                        any = true;
                    }
                }
                Ok(Readable::Meta(_)) if self.metadata.is_none() => {
                    self.metadata = Some(cx.broker.controller().subscribe());
                    any = true;
                }
                Ok(Readable::Meta(_)) => {}
                // It was there a moment ago: the next look tells what became of it.
                Err(_) => any = true,
            }
        }
        any
    }

    async fn progress(&mut self) {
        match &mut self.metadata {
            Some(metadata) => {
                tokio::select! {
                    biased;
                    () = self.waiter.notified() => {}
                    // An error means that the broker stops, which ends the connection.
                    _ = metadata.changed() => {}
                }
            }
            None => self.waiter.notified().await,
        }
    }
}

/// One look at all partitions, in their order, within the limits (KIP-74): the first batch found is returned whole whatever its size.
fn read_all(cx: &RequestContext, image: &Image, targets: &[Target], wanted: &Wanted) -> Found {
    let mut found = Found { answers: Vec::with_capacity(targets.len()), bytes: 0, urgent: false };
    for target in targets {
        let left = wanted.max_bytes.saturating_sub(found.bytes);
        let answer = read_one(cx, image, target, wanted, left, found.bytes == 0).unwrap_or_else(|e| refused(target, e));
        found.bytes += answer.data.records.as_ref().map_or(0, Bytes::len);
        found.urgent |= answer.data.error_code != 0 || answer.data.diverging_epoch.end_offset >= 0;
        found.answers.push(answer);
    }
    found
}

fn read_one(
    cx: &RequestContext,
    image: &Image,
    target: &Target,
    wanted: &Wanted,
    left: usize,
    first: bool,
) -> Result<Answer, ErrorCode> {
    let partition = find(cx, image, target, wanted.by_topic_id)?;
    let asked = &target.asked;
    // As Kafka: here every negative epoch is none.
    partition.check_epoch(asked.current_leader_epoch.max(NO_EPOCH))?;
    let offsets = partition.offsets();
    let mut data = answer_with(target, &offsets, wanted.read_committed);
    let told = Some(Told { high_watermark: offsets.high_watermark, log_start: offsets.log_start });
    if let Some(diverging) = divergence(&partition, asked.last_fetched_epoch, asked.fetch_offset)? {
        data.diverging_epoch = diverging;
        return Ok(Answer { data, told, traffic: None });
    }
    if asked.fetch_offset < offsets.log_start || asked.fetch_offset > offsets.log_end {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let limit = left.min(asked.partition_max_bytes.max(0) as usize);
    if asked.fetch_offset < offsets.high_watermark && (limit > 0 || first) {
        data.records = Some(
            partition
                .read(asked.fetch_offset, limit, first, &offsets)
                .map_err(|e| unreadable(target, &e, wanted.by_topic_id))?,
        );
    }
    Ok(Answer { data, told, traffic: partition.traffic().cloned() })
}

/// KIP-595: the client's last record is of an epoch that ended earlier here.
fn divergence(
    partition: &Readable,
    last_fetched_epoch: i32,
    fetch_offset: i64,
) -> Result<Option<EpochEndOffset>, ErrorCode> {
    if last_fetched_epoch < 0 {
        return Ok(None);
    }
    let (epoch, end_offset) = partition.end_offset_for_epoch(last_fetched_epoch);
    if epoch < 0 {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let diverged = epoch < last_fetched_epoch || end_offset < fetch_offset;
    Ok(diverged.then(|| EpochEndOffset::default().with_epoch(epoch).with_end_offset(end_offset)))
}

fn unreadable(target: &Target, error: &ReadError, by_topic_id: bool) -> ErrorCode {
    match error {
        ReadError::Removed => topics::gone(ErrorCode::UnknownTopicId, by_topic_id),
        ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::Damaged { .. } => {
            warn!(
                partition = target.key.index,
                offset = target.asked.fetch_offset,
                "a fetch reached damaged records: {error}"
            );
            ErrorCode::CorruptMessage
        }
        _ => {
            warn!(partition = target.key.index, offset = target.asked.fetch_offset, "cannot read: {error}");
            ErrorCode::KafkaStorageError
        }
    }
}

fn find(cx: &RequestContext, image: &Image, target: &Target, by_topic_id: bool) -> Result<Readable, ErrorCode> {
    let TargetKey { topic_id, topic, index } = &target.key;
    let found = if by_topic_id { topics::find_by_id(image, *topic_id)? } else { topics::find_by_name(image, topic)? };
    cx.broker.partitions().readable(image, &found, *index).map_err(|e| topics::gone(e, by_topic_id))
}

fn answer_with(target: &Target, offsets: &Offsets, read_committed: bool) -> PartitionData {
    PartitionData::default()
        .with_partition_index(target.key.index)
        .with_high_watermark(offsets.high_watermark)
        // Without transactions every record below the high watermark is stable.
        .with_last_stable_offset(offsets.high_watermark)
        .with_log_start_offset(offsets.log_start)
        .with_aborted_transactions(read_committed.then(Vec::new))
        .with_preferred_read_replica(BrokerId(-1))
        .with_records(Some(Bytes::new()))
}

fn refused(target: &Target, error: ErrorCode) -> Answer {
    let none = Offsets { high_watermark: -1, log_start: -1, log_end: -1, leader_epoch: -1 };
    Answer { data: answer_with(target, &none, false).with_error_code(error.code()), told: None, traffic: None }
}

fn respond(cx: &RequestContext, kind: FetchKind, found: Found, by_topic_id: bool) -> FetchResponse {
    let sessions = cx.broker.fetch_sessions();
    let mut response = FetchResponse::default();
    match kind {
        FetchKind::Sessionless(targets) => {
            for (target, answer) in targets.iter().zip(found.answers) {
                add(&mut response, &target.key, answer.data);
            }
        }
        FetchKind::New(targets) => {
            let mut answered = Vec::with_capacity(targets.len());
            for (target, answer) in targets.into_iter().zip(found.answers) {
                add(&mut response, &target.key, answer.data);
                answered.push((target, answer.told.unwrap_or(Told { high_watermark: -1, log_start: -1 })));
            }
            if cx.version() >= FIRST_WITH_SESSIONS {
                response.session_id = sessions.create(answered, by_topic_id, cx.broker.monotonic_ms());
            }
        }
        FetchKind::Incremental(session) => {
            response.session_id = session.id();
            for (target, answer) in session.targets.iter().zip(found.answers) {
                let has_records = answer.data.records.as_ref().is_some_and(|r| !r.is_empty());
                let news = match answer.told {
                    Some(told) => {
                        session.tell(&target.key, told, has_records) || answer.data.diverging_epoch.end_offset >= 0
                    }
                    None => {
                        session.failed(&target.key);
                        true
                    }
                };
                if news {
                    add(&mut response, &target.key, answer.data);
                }
            }
        }
    }
    response
}

/// Adds a partition's answer to its topic's, which is the last one as long as partitions come topic by topic.
fn add(response: &mut FetchResponse, key: &TargetKey, data: PartitionData) {
    let same = |t: &FetchableTopicResponse| t.topic == key.topic && t.topic_id == key.topic_id;
    if !response.responses.last().is_some_and(same) {
        response
            .responses
            .push(FetchableTopicResponse::default().with_topic(key.topic.clone()).with_topic_id(key.topic_id));
    }
    if let Some(topic) = response.responses.last_mut() {
        topic.partitions.push(data);
    }
}
