//! Adding partitions, checking assignments by hand, moving log start offsets.

use std::collections::{BTreeMap, BTreeSet};

use chronik_protocol::types::{BrokerId, Offset, PartitionId};

use super::Draft;
use crate::error::{AssignmentError, ChangeLogStartError, CreatePartitionsError, LimitError};
use crate::placement;
use crate::record::{Id, PartitionChange, PartitionRecord, Record};
use crate::request::{ChangeLogStart, CreatePartitions, CreatePartitionsResult, NewPartitions, RaiseLeaderEpochs};

impl Draft<'_> {
    /// One result per distinct name, in the order of first mention.
    pub(super) fn create_partitions(&mut self, request: CreatePartitions) -> Vec<CreatePartitionsResult> {
        let mut mentions = BTreeMap::<String, usize>::new();
        for topic in &request.topics {
            *mentions.entry(topic.name.clone()).or_default() += 1;
        }
        let mut results = Vec::with_capacity(mentions.len());
        for topic in request.topics {
            let name = topic.name.clone();
            let result = match mentions.remove(&name) {
                None => continue,
                Some(1) => self.grow_topic(topic),
                Some(_) => Err(CreatePartitionsError::Duplicate(name.clone())),
            };
            results.push(CreatePartitionsResult { name, result });
        }
        results
    }

    fn grow_topic(&mut self, request: NewPartitions) -> Result<(), CreatePartitionsError> {
        let Some(topic) = self.image.topic(&request.name) else {
            return Err(CreatePartitionsError::UnknownTopic(request.name));
        };
        let id = Id::from(topic.id);
        let current = topic.partitions().len() as i32;
        let replication_factor = topic.partition(0).map_or(1, |partition| partition.replicas().len());
        if request.count <= current {
            return Err(CreatePartitionsError::NotMore { current, asked: request.count });
        }
        let added = request.count - current;
        self.check_partition_limits(request.count as usize, added as usize)?;
        let replicas = match request.assignments {
            None => placement::place(&self.image, added as usize, replication_factor)?,
            Some(assignments) if assignments.len() != added as usize => {
                return Err(AssignmentError::Count { assignments: assignments.len(), partitions: added }.into());
            }
            Some(assignments) => {
                for (index, replicas) in (current..).zip(&assignments) {
                    self.check_assignment(index, replicas, replication_factor)?;
                }
                assignments
            }
        };
        let records =
            (current..).zip(replicas).map(|(index, replicas)| self.new_partition(id, index, replicas)).collect();
        Ok(self.add(records)?)
    }

    /// A new partition: everyone who is up is in sync, and the first of them leads.
    pub(super) fn new_partition(&self, topic_id: Id, partition: PartitionId, replicas: Vec<BrokerId>) -> Record {
        let isr: Vec<_> = replicas.iter().copied().filter(|broker| self.is_unfenced(*broker)).collect();
        let leader = isr.first().copied().unwrap_or(-1);
        Record::Partition(PartitionRecord {
            topic_id,
            partition,
            replicas,
            isr,
            leader,
            leader_epoch: 0,
            partition_epoch: 0,
            log_start_offset: 0,
        })
    }

    fn is_unfenced(&self, broker: BrokerId) -> bool {
        self.image.broker(broker).is_some_and(|broker| !broker.fenced)
    }

    /// The replicas given by hand for one partition: registered, distinct, as many as `expected`, at least one of them
    /// up.
    pub(super) fn check_assignment(
        &self,
        partition: PartitionId,
        replicas: &[BrokerId],
        expected: usize,
    ) -> Result<(), AssignmentError> {
        if replicas.is_empty() {
            return Err(AssignmentError::NoReplicas(partition));
        }
        let mut seen = BTreeSet::new();
        for broker in replicas.iter().copied() {
            if !seen.insert(broker) {
                return Err(AssignmentError::Twice { partition, broker });
            }
            if self.image.broker(broker).is_none() {
                return Err(AssignmentError::UnknownBroker { partition, broker });
            }
        }
        if replicas.len() != expected {
            return Err(AssignmentError::Uneven { partition, found: replicas.len(), expected });
        }
        if !replicas.iter().any(|broker| self.is_unfenced(*broker)) {
            return Err(AssignmentError::AllFenced(partition));
        }
        Ok(())
    }

    /// Answers the offset in force. The partition epoch stays: neither replicas nor leader change.
    pub(super) fn change_log_start(&mut self, request: ChangeLogStart) -> Result<Offset, ChangeLogStartError> {
        let topic =
            self.image.topic_by_id(request.topic_id).ok_or(ChangeLogStartError::UnknownTopic(request.topic_id))?;
        let partition =
            topic.partition(request.partition).ok_or(ChangeLogStartError::UnknownPartition(request.partition))?;
        if request.offset < 0 {
            return Err(ChangeLogStartError::Offset(request.offset));
        }
        let current = partition.log_start_offset;
        if request.offset <= current {
            return Ok(current);
        }
        self.add(vec![Record::PartitionChange(PartitionChange {
            topic_id: request.topic_id.into(),
            partition: request.partition,
            log_start_offset: Some(request.offset),
            ..PartitionChange::default()
        })])?;
        Ok(request.offset)
    }

    /// Raises leader and partition epoch of the partitions that the broker leads.
    pub(super) fn raise_leader_epochs(&mut self, request: &RaiseLeaderEpochs) -> Result<u32, LimitError> {
        let mut records = Vec::new();
        for &(topic_id, index) in &request.partitions {
            let Some(partition) = self.image.partition(topic_id, index) else { continue };
            if partition.leader != request.broker_id {
                continue;
            }
            records.push(Record::PartitionChange(PartitionChange {
                topic_id: topic_id.into(),
                partition: index,
                leader_epoch: Some(partition.leader_epoch + 1),
                partition_epoch: Some(partition.partition_epoch + 1),
                ..PartitionChange::default()
            }));
        }
        let raised = records.len() as u32;
        if raised > 0 {
            self.add(records)?;
        }
        Ok(raised)
    }
}
