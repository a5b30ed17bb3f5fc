//! What a scrape looks at, taken once. Label sets are bounded: of so many partitions, and groups' offsets, and no more.

use std::collections::HashMap;
use std::sync::Arc;

use chronik_metadata::{Image, Topic};
use chronik_protocol::types::{Offset, PartitionId, TopicId};

use crate::broker::Broker;
use crate::metrics::TopicTraffic;
use crate::partition::Partition;

/// Lags in seconds that one scrape looks up; each may read the disk.
const MOST_LAGS_IN_SECONDS: usize = 1_000;

/// Wall-clock milliseconds at which the record at an offset of a partition was appended.
pub(super) type AppendedAt = HashMap<(TopicId, PartitionId, Offset), i64>;

pub(super) struct Snapshot {
    pub(super) image: Arc<Image>,
    pub(super) node_id: i32,
    pub(super) partitions: Vec<PartitionRow>,
    pub(super) groups: Vec<GroupRow>,
    pub(super) traffic: Vec<TrafficRow>,
    pub(super) log_bytes: HashMap<TopicId, u64>,
    /// Of all partitions, also of those left out.
    pub(super) counts: PartitionCounts,
    /// Partitions and committed offsets that were left out.
    pub(super) left_out: u64,
}

#[derive(Clone, Copy, Default)]
pub(super) struct PartitionCounts {
    pub(super) led_here: u64,
    pub(super) under_replicated: u64,
    pub(super) offline: u64,
}

pub(super) struct PartitionRow {
    pub(super) topic: Arc<str>,
    pub(super) index: PartitionId,
    pub(super) leader: i32,
    pub(super) preferred: bool,
    pub(super) replicas: usize,
    pub(super) in_sync: usize,
    pub(super) oldest: Offset,
    pub(super) end: Offset,
}

pub(super) struct GroupRow {
    pub(super) id: String,
    pub(super) members: usize,
    pub(super) offsets: Vec<OffsetRow>,
}

pub(super) struct OffsetRow {
    pub(super) topic: Arc<str>,
    pub(super) index: PartitionId,
    pub(super) offset: Offset,
    pub(super) lag: i64,
    /// Since the first record not consumed was appended; 0 without lag, `None` where it was not looked up.
    pub(super) lag_seconds: Option<f64>,
}

pub(super) struct TrafficRow {
    pub(super) topic: Arc<str>,
    pub(super) traffic: Arc<TopicTraffic>,
}

impl Snapshot {
    /// Blocks: a lag in seconds may read the disk.
    pub(super) fn take(broker: &Broker) -> Self {
        let image = broker.image();
        let mut room = broker.config().max_metric_partitions;
        let mut left_out = 0;
        let (mut partitions, mut traffic) = (Vec::new(), Vec::new());
        for topic in image.topics() {
            let name: Arc<str> = topic.name().into();
            if topic.partitions().len() > room {
                left_out += topic.partitions().len() as u64;
                continue;
            }
            room -= topic.partitions().len();
            if let Some(counted) = broker.partitions().metrics().get(topic.id) {
                traffic.push(TrafficRow { topic: name.clone(), traffic: counted });
            }
            partitions.extend((0..).zip(topic.partitions()).map(|(index, known)| {
                let (oldest, end) = broker.partitions().bounds(topic, index);
                PartitionRow {
                    topic: name.clone(),
                    index,
                    leader: known.leader,
                    preferred: known.replicas().first() == Some(&known.leader),
                    replicas: known.replicas().len(),
                    in_sync: known.isr().len(),
                    oldest,
                    end,
                }
            }));
        }
        let (groups, offsets_left_out) = groups(broker, &image);
        Snapshot {
            node_id: broker.config().node_id,
            partitions,
            groups,
            traffic,
            log_bytes: broker.partitions().open_bytes_by_topic(),
            left_out: left_out + offsets_left_out,
            counts: counts(&image, broker.config().node_id),
            image,
        }
    }
}

fn counts(image: &Image, node_id: i32) -> PartitionCounts {
    let mut counts = PartitionCounts::default();
    for partition in image.topics().flat_map(|topic| topic.partitions()) {
        counts.led_here += u64::from(partition.leader == node_id);
        counts.under_replicated += u64::from(partition.isr().len() < partition.replicas().len());
        counts.offline += u64::from(partition.leader < 0);
    }
    counts
}

fn groups(broker: &Broker, image: &Image) -> (Vec<GroupRow>, u64) {
    let mut lag_times = LagTimes { before: broker.metrics().take_lag_times(), now: HashMap::new() };
    let mut room = broker.config().max_metric_partitions;
    let mut lags_in_seconds = MOST_LAGS_IN_SECONDS;
    let mut left_out = 0;
    let mut rows = Vec::new();
    for (id, group) in image.groups() {
        if group.offsets().len() >= room {
            left_out += group.offsets().len() as u64;
            continue;
        }
        // One for the group itself, which may have no offsets.
        room -= group.offsets().len() + 1;
        let offsets = group.offsets().iter().filter_map(|committed| {
            let topic = image.topic_by_id(committed.topic_id)?;
            let (_, end) = broker.partitions().bounds(topic, committed.partition);
            // A partition that was recreated or cut may end before what was committed.
            let lag = (end - committed.offset).max(0);
            let lag_seconds = match lag {
                0 => Some(0.0),
                _ if lags_in_seconds == 0 => {
                    left_out += 1;
                    None
                }
                _ => {
                    lags_in_seconds -= 1;
                    lag_times.seconds(broker, topic, committed.partition, committed.offset)
                }
            };
            let (index, offset) = (committed.partition, committed.offset);
            Some(OffsetRow { topic: topic.name().into(), index, offset, lag, lag_seconds })
        });
        let offsets = offsets.collect();
        let members = match (&group.consumer, &group.generation) {
            (Some(consumer), _) => consumer.members().len(),
            (None, Some(generation)) => generation.members.len(),
            (None, None) => 0,
        };
        rows.push(GroupRow { id: id.to_owned(), members, offsets });
    }
    broker.metrics().keep_lag_times(lag_times.now);
    (rows, left_out)
}

/// When records were appended that groups have not consumed.
struct LagTimes {
    /// As the scrape before found it.
    before: AppendedAt,
    now: AppendedAt,
}

impl LagTimes {
    fn seconds(&mut self, broker: &Broker, topic: &Topic, index: PartitionId, offset: Offset) -> Option<f64> {
        let key = (topic.id, index, offset);
        let appended_ms = match (broker.partitions().opened(topic.id, index), self.before.get(&key)) {
            (Some(partition), _) => appended_ms(&partition, offset)?,
            // A log that is closed stays so: nothing has come to it since, and looking would keep it open for ever.
            (None, Some(known)) => *known,
            (None, None) => appended_ms(&*broker.partitions().leader(topic, index).ok()?, offset)?,
        };
        self.now.insert(key, appended_ms);
        Some((broker.now_ms() - appended_ms).max(0) as f64 / 1_000.0)
    }
}

fn appended_ms(partition: &Partition, offset: Offset) -> Option<i64> {
    partition.appended_ms(offset.max(partition.offsets().log_start))
}
