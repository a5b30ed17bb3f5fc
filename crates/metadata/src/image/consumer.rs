//! A consumer group of an image (KIP-848): its epochs, its members and what each is to have.

use std::sync::Arc;

use imbl::OrdMap;
use prost::Message;

use crate::record::{ConsumerGroupRecord, ConsumerMember, ConsumerTarget, Record, RemoveConsumerMembers};

/// What is stored of a consumer group besides its offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerGroup {
    epochs: ConsumerGroupRecord,
    members: OrdMap<Arc<str>, Arc<ConsumerMember>>,
    targets: OrdMap<Arc<str>, Arc<ConsumerTarget>>,
}

impl ConsumerGroup {
    pub fn epochs(&self) -> &ConsumerGroupRecord {
        &self.epochs
    }

    /// All members, by id.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &ConsumerMember> {
        self.members.values().map(|member| &**member)
    }

    /// What members are to have, by id.
    pub fn targets(&self) -> impl Iterator<Item = &ConsumerTarget> {
        self.targets.values().map(|target| &**target)
    }

    pub(super) fn put(&mut self, r: &ConsumerGroupRecord) {
        self.epochs = r.clone();
    }

    pub(super) fn put_member(&mut self, r: &ConsumerMember) {
        self.members.insert(r.member_id.as_str().into(), Arc::new(r.clone()));
    }

    pub(super) fn put_target(&mut self, r: &ConsumerTarget) {
        self.targets.insert(r.member_id.as_str().into(), Arc::new(r.clone()));
    }

    pub(super) fn remove_members(&mut self, r: &RemoveConsumerMembers) {
        for member_id in &r.member_ids {
            self.members.remove(member_id.as_str());
            self.targets.remove(member_id.as_str());
        }
    }

    /// The records that make it out of nothing.
    pub(super) fn for_each_record(&self, visit: &mut impl FnMut(&Record)) {
        visit(&Record::ConsumerGroup(self.epochs.clone()));
        self.members().for_each(|member| visit(&Record::ConsumerMember(member.clone())));
        self.targets().for_each(|target| visit(&Record::ConsumerTarget(target.clone())));
    }

    /// Roughly what it takes: a record in memory is a small multiple of its bytes on the disk.
    pub(super) fn memory_bytes(&self) -> usize {
        const OF_ONE: usize = 64;
        let members = self.members().map(|member| OF_ONE + size_of_val(member) + 2 * member.encoded_len());
        let targets = self.targets().map(|target| OF_ONE + size_of_val(target) + 2 * target.encoded_len());
        size_of::<Self>() + self.epochs.group_id.len() + members.sum::<usize>() + targets.sum::<usize>()
    }
}
