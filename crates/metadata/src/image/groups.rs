//! The groups of an image: their last stored generation and their offsets.

use std::ops::Range;
use std::sync::Arc;

use chronik_protocol::types::{LeaderEpoch, Offset, PartitionId, TopicId};
use imbl::{OrdMap, OrdSet};

use super::consumer::ConsumerGroup;
use crate::record::{
    ConsumerGroupRecord, ConsumerMember, ConsumerTarget, GroupRecord, OffsetCommit, PartitionOffset, Record,
    RemoveConsumerMembers, RemoveOffsets, TopicOffsets,
};

/// Offsets of one group in one record of a snapshot.
const OFFSETS_A_RECORD: usize = 1000;

/// How far a group has got in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    pub topic_id: TopicId,
    pub partition: PartitionId,
    /// -1 = the client did not say.
    pub leader_epoch: LeaderEpoch,
    pub offset: Offset,
    /// Milliseconds since the Unix epoch.
    pub committed_ms: i64,
    /// -1 = when the group's offsets do.
    pub expires_ms: i64,
    metadata: Option<Arc<str>>,
}

/// A million offsets take at most 100 MB.
const _: () = assert!(size_of::<CommittedOffset>() <= 64);

impl CommittedOffset {
    /// The client's own words.
    pub fn metadata(&self) -> &str {
        self.metadata.as_deref().unwrap_or_default()
    }

    fn key(&self) -> (TopicId, PartitionId) {
        (self.topic_id, self.partition)
    }
}

/// What is stored of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The last generation stored; `None` for a group that nobody has joined, or a consumer group.
    pub generation: Option<Arc<GroupRecord>>,
    /// `None` unless it is a consumer group. Invariant: at most one of this and `generation`.
    pub consumer: Option<Arc<ConsumerGroup>>,
    /// By topic id and partition, ascending.
    offsets: Vec<CommittedOffset>,
}

impl Group {
    /// All offsets, by topic id and partition.
    pub fn offsets(&self) -> &[CommittedOffset] {
        &self.offsets
    }

    /// Grows by an eighth, not to double: a million offsets take at most 100 MB.
    fn insert(&mut self, at: usize, offset: CommittedOffset) {
        if self.offsets.len() == self.offsets.capacity() {
            self.offsets.reserve_exact((self.offsets.len() / 8).max(4));
        }
        self.offsets.insert(at, offset);
    }

    /// The offsets of one topic, by partition.
    pub fn offsets_of(&self, topic_id: TopicId) -> &[CommittedOffset] {
        &self.offsets[self.places_of(topic_id)]
    }

    fn places_of(&self, topic_id: TopicId) -> Range<usize> {
        let first = self.offsets.partition_point(|known| known.topic_id < topic_id);
        let count = self.offsets[first..].partition_point(|known| known.topic_id == topic_id);
        first..first + count
    }

    fn remove_topic(&mut self, topic_id: TopicId) {
        let places = self.places_of(topic_id);
        self.offsets.drain(places);
    }

    pub fn offset(&self, topic_id: TopicId, partition: PartitionId) -> Option<&CommittedOffset> {
        self.find(topic_id, partition).ok().map(|at| &self.offsets[at])
    }

    fn find(&self, topic_id: TopicId, partition: PartitionId) -> Result<usize, usize> {
        self.offsets.binary_search_by_key(&(topic_id, partition), CommittedOffset::key)
    }

    fn is_nothing(&self) -> bool {
        self.generation.is_none() && self.consumer.is_none() && self.offsets.is_empty()
    }
}

/// All groups, by id.
#[derive(Clone, Default)]
pub(super) struct Groups {
    by_id: OrdMap<Arc<str>, Arc<Group>>,
    /// Topics with the groups that have offsets in them: a topic's end is to visit no others.
    by_topic: OrdSet<(TopicId, Arc<str>)>,
    offsets: u64,
}

impl Groups {
    pub fn get(&self, group_id: &str) -> Option<&Group> {
        self.by_id.get(group_id).map(|group| &**group)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.by_id.iter().map(|(id, group)| (&**id, &**group))
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The ids of the groups with offsets in a topic, ascending.
    pub fn of_topic(&self, topic_id: TopicId) -> impl Iterator<Item = &Arc<str>> {
        let from_first = (topic_id, Arc::default())..;
        self.by_topic.range(from_first).take_while(move |(of, _)| *of == topic_id).map(|(_, group_id)| group_id)
    }

    /// Offsets of all groups.
    pub fn offset_count(&self) -> u64 {
        self.offsets
    }

    pub fn put(&mut self, r: &GroupRecord) {
        self.change(&r.group_id, |group| {
            group.generation = Some(Arc::new(r.clone()));
            group.consumer = None;
        });
    }

    pub fn put_consumer(&mut self, r: &ConsumerGroupRecord) {
        self.change(&r.group_id, |group| {
            group.generation = None;
            Arc::make_mut(group.consumer.get_or_insert_default()).put(r);
        });
    }

    pub fn put_consumer_member(&mut self, r: &ConsumerMember) {
        self.change_consumer(&r.group_id, |consumer| consumer.put_member(r));
    }

    pub fn remove_consumer_members(&mut self, r: &RemoveConsumerMembers) {
        self.change_consumer(&r.group_id, |consumer| consumer.remove_members(r));
    }

    pub fn put_consumer_target(&mut self, r: &ConsumerTarget) {
        self.change_consumer(&r.group_id, |consumer| consumer.put_target(r));
    }

    fn change_consumer(&mut self, group_id: &str, change: impl FnOnce(&mut ConsumerGroup)) {
        if self.get(group_id).is_some_and(|group| group.consumer.is_some()) {
            self.change(group_id, |group| change(Arc::make_mut(group.consumer.get_or_insert_default())));
        }
    }

    pub fn remove(&mut self, group_id: &str) {
        let Some((group_id, group)) = self.by_id.remove_with_key(group_id) else { return };
        self.offsets -= group.offsets.len() as u64;
        for of_topic in group.offsets.chunk_by(|a, b| a.topic_id == b.topic_id) {
            self.by_topic.remove(&(of_topic[0].topic_id, group_id.clone()));
        }
    }

    /// Offsets of topics that `exists` does not know are dropped, so that a later namesake cannot inherit them.
    pub fn commit(&mut self, r: &OffsetCommit, exists: impl Fn(TopicId) -> bool) {
        let mut gained = Vec::new();
        self.change(&r.group_id, |group| {
            for topic in r.topics.iter().filter(|topic| exists(topic.topic_id.uuid())) {
                let topic_id = topic.topic_id.uuid();
                if !topic.partitions.is_empty() && group.offsets_of(topic_id).is_empty() {
                    gained.push(topic_id);
                }
                for one in &topic.partitions {
                    let offset = CommittedOffset {
                        topic_id,
                        partition: one.partition,
                        leader_epoch: one.leader_epoch.unwrap_or(-1),
                        offset: one.offset,
                        committed_ms: one.committed_ms,
                        expires_ms: one.expires_ms.unwrap_or(-1),
                        metadata: (!one.metadata.is_empty()).then(|| one.metadata.as_str().into()),
                    };
                    match group.find(topic_id, one.partition) {
                        Ok(at) => group.offsets[at] = offset,
                        Err(at) => group.insert(at, offset),
                    }
                }
            }
        });
        if gained.is_empty() {
            return;
        }
        let Some((group_id, _)) = self.by_id.get_key_value(&*r.group_id) else { return };
        self.by_topic.extend(gained.into_iter().map(|topic_id| (topic_id, group_id.clone())));
    }

    pub fn remove_offsets(&mut self, r: &RemoveOffsets) {
        if self.get(&r.group_id).is_none() {
            return;
        }
        let mut lost = Vec::new();
        self.change(&r.group_id, |group| {
            for topic in &r.topics {
                let topic_id = topic.topic_id.uuid();
                for partition in &topic.partitions {
                    if let Ok(at) = group.find(topic_id, *partition) {
                        group.offsets.remove(at);
                    }
                }
                if group.offsets_of(topic_id).is_empty() {
                    lost.push(topic_id);
                }
            }
        });
        for topic_id in lost {
            self.by_topic.remove(&(topic_id, r.group_id.as_str().into()));
        }
    }

    /// A topic is gone: no group has an offset in it any more.
    pub fn remove_topic(&mut self, topic_id: TopicId) {
        let holders: Vec<_> = self.of_topic(topic_id).cloned().collect();
        for group_id in holders {
            self.change(&group_id, |group| group.remove_topic(topic_id));
            self.by_topic.remove(&(topic_id, group_id));
        }
    }

    /// Changes a group, which is made for it and goes away again if nothing is left.
    fn change(&mut self, group_id: &str, change: impl FnOnce(&mut Group)) {
        let group = self.by_id.entry(group_id.into()).or_default();
        let group = Arc::make_mut(group);
        self.offsets -= group.offsets.len() as u64;
        change(group);
        self.offsets += group.offsets.len() as u64;
        if group.is_nothing() {
            self.by_id.remove(group_id);
        }
    }

    /// The records that make these groups out of nothing, by id.
    pub fn for_each_record(&self, visit: &mut impl FnMut(&Record)) {
        for (group_id, group) in self.iter() {
            if let Some(generation) = &group.generation {
                visit(&Record::Group(GroupRecord::clone(generation)));
            }
            if let Some(consumer) = &group.consumer {
                consumer.for_each_record(visit);
            }
            for some in group.offsets.chunks(OFFSETS_A_RECORD) {
                let topics = some.chunk_by(|a, b| a.topic_id == b.topic_id).map(topic_offsets).collect();
                visit(&Record::OffsetCommit(OffsetCommit { group_id: group_id.to_owned(), topics }));
            }
        }
    }

    pub fn memory_bytes(&self) -> usize {
        let texts = |offset: &CommittedOffset| offset.metadata.as_ref().map_or(0, |metadata| 16 + metadata.len());
        let of = |(id, group): (&str, &Group)| {
            let generation = group.generation.as_ref().map_or(0, |generation| generation_bytes(generation));
            let offsets = group.offsets.capacity() * size_of::<CommittedOffset>();
            2 * 16
                + id.len()
                + size_of::<Group>()
                + generation
                + group.consumer.as_ref().map_or(0, |consumer| consumer.memory_bytes())
                + offsets
                + group.offsets.iter().map(texts).sum::<usize>()
        };
        // The id in `by_topic` is the one in `by_id`.
        self.iter().map(of).sum::<usize>() + self.by_topic.len() * size_of::<(TopicId, Arc<str>)>()
    }
}

fn generation_bytes(generation: &GroupRecord) -> usize {
    let members = generation.members.iter().map(|member| {
        size_of_val(member)
            + member.member_id.len()
            + member.client_id.len()
            + member.client_host.len()
            + member.metadata.len()
            + member.assignment.len()
    });
    size_of::<GroupRecord>() + generation.group_id.len() + members.sum::<usize>()
}

fn topic_offsets(of_topic: &[CommittedOffset]) -> TopicOffsets {
    let partitions = of_topic.iter().map(|known| PartitionOffset {
        partition: known.partition,
        offset: known.offset,
        leader_epoch: (known.leader_epoch >= 0).then_some(known.leader_epoch),
        metadata: known.metadata().to_owned(),
        committed_ms: known.committed_ms,
        expires_ms: (known.expires_ms >= 0).then_some(known.expires_ms),
    });
    TopicOffsets { topic_id: of_topic[0].topic_id.into(), partitions: partitions.collect() }
}
