//! Groups and their offsets, as their coordinators have decided.

use super::Draft;
use crate::error::GroupError;
use crate::image::{CommittedOffset, Group};
use crate::record::{
    OffsetCommit, PartitionOffset, Record, RemoveConsumerMembers, RemoveGroup, RemoveOffsets, TopicOffsets,
};
use crate::request::{CommitOffsets, DeleteOffsets, RemoveGroups, StoreConsumerGroup, StoreGroup};

impl Draft<'_> {
    pub(super) fn store_group(&mut self, request: StoreGroup) -> Result<(), GroupError> {
        let StoreGroup { mut group } = request;
        self.check_room(&group.group_id, 0)?;
        group.changed_ms = self.now_ms;
        Ok(self.add(vec![Record::Group(group)])?)
    }

    pub(super) fn store_consumer_group(&mut self, request: StoreConsumerGroup) -> Result<(), GroupError> {
        let StoreConsumerGroup { epochs, removed: member_ids, members, targets } = request;
        let group_id = epochs.group_id.clone();
        self.check_room(&group_id, 0)?;
        let known = self.image.group(&group_id).and_then(|group| group.consumer.as_deref());
        let mut records = Vec::with_capacity(2 + members.len() + targets.len());
        if known.is_none_or(|known| *known.epochs() != epochs) {
            records.push(Record::ConsumerGroup(epochs));
        }
        if !member_ids.is_empty() {
            records.push(Record::RemoveConsumerMembers(RemoveConsumerMembers { group_id, member_ids }));
        }
        records.extend(members.into_iter().map(Record::ConsumerMember));
        records.extend(targets.into_iter().map(Record::ConsumerTarget));
        Ok(self.add(records)?)
    }

    /// Offsets in topics that are gone meanwhile are dropped.
    pub(super) fn commit_offsets(&mut self, request: CommitOffsets) -> Result<(), GroupError> {
        let CommitOffsets { group_id, topics, retention_ms } = request;
        let known = self.image.group(&group_id);
        let mut added = 0;
        let mut kept = Vec::with_capacity(topics.len());
        for (topic_id, offsets) in
            topics.into_iter().filter(|(topic_id, _)| self.image.topic_by_id(*topic_id).is_some())
        {
            let partitions = offsets.into_iter().map(|new| PartitionOffset {
                partition: new.partition,
                offset: new.offset,
                leader_epoch: (new.leader_epoch >= 0).then_some(new.leader_epoch),
                metadata: new.metadata,
                committed_ms: self.now_ms,
                expires_ms: retention_ms.map(|retention_ms| self.now_ms.saturating_add(retention_ms)),
            });
            let partitions: Vec<_> = partitions.collect();
            let is_new =
                |new: &&PartitionOffset| known.is_none_or(|group| group.offset(topic_id, new.partition).is_none());
            added += partitions.iter().filter(is_new).count() as u64;
            kept.push(TopicOffsets { topic_id: topic_id.into(), partitions });
        }
        if kept.is_empty() {
            return Ok(());
        }
        self.check_room(&group_id, added)?;
        Ok(self.add(vec![Record::OffsetCommit(OffsetCommit { group_id, topics: kept })])?)
    }

    fn check_room(&self, group_id: &str, added_offsets: u64) -> Result<(), GroupError> {
        let limits = self.limits;
        if self.image.group(group_id).is_none() && self.image.group_count() >= limits.max_groups {
            return Err(GroupError::Groups(limits.max_groups));
        }
        if added_offsets > 0 && self.image.committed_offset_count() + added_offsets > limits.max_committed_offsets {
            return Err(GroupError::CommittedOffsets(limits.max_committed_offsets));
        }
        Ok(())
    }

    /// Groups that are not there are passed over.
    pub(super) fn remove_groups(&mut self, request: RemoveGroups) -> Result<(), GroupError> {
        let goes = |group: &Group| !request.only_without_offsets || group.offsets().is_empty();
        let there = request.group_ids.into_iter().filter(|group_id| self.image.group(group_id).is_some_and(goes));
        let records: Vec<_> = there.map(|group_id| Record::RemoveGroup(RemoveGroup { group_id })).collect();
        Ok(self.add(records)?)
    }

    /// Offsets that are not there are passed over.
    pub(super) fn delete_offsets(&mut self, request: DeleteOffsets) -> Result<(), GroupError> {
        let DeleteOffsets { group_id, mut topics, committed_until_ms } = request;
        let Some(group) = self.image.group(&group_id) else { return Ok(()) };
        for topic in &mut topics {
            let topic_id = topic.topic_id.uuid();
            let goes = |known: &CommittedOffset| known.committed_ms <= committed_until_ms;
            topic.partitions.retain(|partition| group.offset(topic_id, *partition).is_some_and(goes));
        }
        topics.retain(|topic| !topic.partitions.is_empty());
        if topics.is_empty() {
            return Ok(());
        }
        Ok(self.add(vec![Record::RemoveOffsets(RemoveOffsets { group_id, topics })])?)
    }
}
