//! What a scrape looks at, taken once. Label sets are bounded: of so many partitions, and groups' offsets, and no more.

use std::collections::HashMap;
use std::sync::Arc;

use chronik_metadata::{Image, Topic};
use chronik_protocol::types::{Offset, PartitionId, TopicId};

use crate::broker::Broker;
use crate::metrics::TopicTraffic;

/// Lags in seconds that one scrape looks up; each may read the disk.
const MOST_LAGS_IN_SECONDS: usize = 1_000;

pub(super) struct Snapshot {
    pub(super) image: Arc<Image>,
    pub(super) node_id: i32,
    pub(super) partitions: Vec<PartitionRow>,
    pub(super) groups: Vec<GroupRow>,
    pub(super) traffic: Vec<TrafficRow>,
    pub(super) log_bytes: HashMap<TopicId, u64>,
    /// Partitions and committed offsets that were left out.
    pub(super) left_out: u64,
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
            image,
        }
    }

    pub(super) fn under_replicated(&self) -> usize {
        self.partitions.iter().filter(|p| p.in_sync < p.replicas).count()
    }
}

fn groups(broker: &Broker, image: &Image) -> (Vec<GroupRow>, u64) {
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
                    lag_seconds(broker, topic, committed.partition, committed.offset)
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
    (rows, left_out)
}

fn lag_seconds(broker: &Broker, topic: &Topic, index: PartitionId, offset: Offset) -> Option<f64> {
    let partition = broker.partitions().leader(topic, index).ok()?;
    let first = offset.max(partition.offsets().log_start);
    let appended_ms = partition.appended_ms(first)?;
    Some((broker.now_ms() - appended_ms).max(0) as f64 / 1_000.0)
}
