//! The one function that changes an image, and its inverse: the records that make one.

use std::cmp::Ordering;
use std::sync::Arc;

use chronik_protocol::types::{LeaderEpoch, Offset, TopicId};
use imbl::OrdMap;

use super::partition::Partition;
use super::{Broker, Configs, Image, RESOURCE_BROKER, RESOURCE_TOPIC};
use crate::record::{
    ClusterCreated, Config, ControllerElected, FeatureLevel, FinalizedFeature, Id, PartitionChange, PartitionRecord,
    ProducerIds, Record, RegisterBroker, TopicRecord, UnregisterBroker,
};

impl Image {
    /// Applies one record at its place in the log. Total and deterministic: reads nothing but its arguments and cannot
    /// fail. A record about something that is not there changes nothing but offset and epoch.
    pub fn apply(&mut self, offset: Offset, epoch: LeaderEpoch, record: &Record) {
        self.offset = offset;
        self.epoch = epoch;
        match record {
            Record::ClusterCreated(r) => {
                self.cluster_id = Some(r.cluster_id.as_str().into());
                self.created_ms = r.created_ms;
            }
            Record::FeatureLevel(r) => self.feature_level = r.level,
            Record::ControllerElected(r) => self.controller = Some((r.controller_id, r.elected_ms)),
            Record::FinalizedFeature(r) => drop(self.features.insert(r.name.as_str().into(), r.level)),
            Record::RegisterBroker(r) => self.register_broker(r),
            Record::UnregisterBroker(r) => self.unregister_broker(r),
            Record::Topic(r) => self.add_topic(r),
            Record::Partition(r) => self.put_partition(r),
            Record::PartitionChange(r) => self.change_partition(r),
            Record::RemoveTopic(r) => self.remove_topic(r.topic_id.uuid()),
            Record::Config(r) => self.set_config(r),
            Record::Group(r) => self.groups.put(r),
            Record::RemoveGroup(r) => self.groups.remove(&r.group_id),
            Record::OffsetCommit(r) => self.groups.commit(r, |topic_id| self.topics.by_id(topic_id).is_some()),
            Record::RemoveOffsets(r) => self.groups.remove_offsets(r),
            Record::ConsumerGroup(r) => self.groups.put_consumer(r),
            Record::ConsumerMember(r) => self.groups.put_consumer_member(r),
            Record::RemoveConsumerMembers(r) => self.groups.remove_consumer_members(r),
            Record::ConsumerTarget(r) => self.groups.put_consumer_target(r),
            Record::ClientQuota(r) => self.quotas.set(r),
            Record::ProducerIds(r) => self.next_producer_id = self.next_producer_id.max(r.next_producer_id),
        }
    }

    /// Sets the place in the log that a loaded snapshot stands for.
    pub(crate) fn set_position(&mut self, offset: Offset, epoch: LeaderEpoch) {
        self.offset = offset;
        self.epoch = epoch;
        self.topics_version = offset;
    }

    fn register_broker(&mut self, r: &RegisterBroker) {
        let broker = Broker {
            id: r.broker_id,
            epoch: r.broker_epoch,
            incarnation_id: r.incarnation_id.uuid(),
            endpoints: r.endpoints.clone(),
            rack: r.rack.clone(),
            fenced: r.fenced,
            registered_ms: r.registered_ms,
        };
        self.brokers.insert(r.broker_id, Arc::new(broker));
    }

    fn unregister_broker(&mut self, r: &UnregisterBroker) {
        if self.broker(r.broker_id).is_some_and(|broker| broker.epoch == r.broker_epoch) {
            self.brokers.remove(&r.broker_id);
            self.remove_configs(RESOURCE_BROKER, &r.broker_id.to_string());
        }
    }

    /// A record for an id or a name in use replaces what holds it, wholly.
    fn add_topic(&mut self, r: &TopicRecord) {
        self.topics_version = self.offset;
        while let Err(holder) = self.topics.insert(r.topic_id.uuid(), &r.name, r.created_ms) {
            self.remove_topic(holder);
        }
    }

    fn remove_topic(&mut self, id: TopicId) {
        let Some(topic) = self.topics.remove(id) else { return };
        self.topics_version = self.offset;
        for partition in topic.partitions() {
            self.loads.remove(partition);
        }
        self.partitions -= topic.partitions().len() as u64;
        self.remove_configs(RESOURCE_TOPIC, topic.name());
        self.groups.remove_topic(id);
    }

    fn put_partition(&mut self, r: &PartitionRecord) {
        let Ok(index) = usize::try_from(r.partition) else { return };
        let Some(partitions) = self.topics.partitions_mut(r.topic_id.uuid()) else { return };
        let partition = Partition {
            holders: self.interner.share(&r.replicas, &r.isr),
            log_start_offset: r.log_start_offset,
            leader: r.leader,
            leader_epoch: r.leader_epoch,
            partition_epoch: r.partition_epoch,
        };
        match index.cmp(&partitions.as_slice().len()) {
            Ordering::Greater => {}
            Ordering::Equal => {
                self.loads.add(&partition);
                self.partitions += 1;
                self.topics_version = self.offset;
                partitions.push(partition);
            }
            Ordering::Less => self.loads.replace(partitions, index, partition),
        }
    }

    fn change_partition(&mut self, r: &PartitionChange) {
        let Ok(index) = usize::try_from(r.partition) else { return };
        let Some(partitions) = self.topics.partitions_mut(r.topic_id.uuid()) else { return };
        let Some(mut partition) = partitions.as_slice().get(index).cloned() else { return };
        if r.replicas.is_some() || r.isr.is_some() {
            let replicas = r.replicas.as_ref().map_or(partition.replicas(), |list| &list.ids);
            let isr = r.isr.as_ref().map_or(partition.isr(), |list| &list.ids);
            partition.holders = self.interner.share(replicas, isr);
        }
        partition.leader = r.leader.unwrap_or(partition.leader);
        partition.leader_epoch = r.leader_epoch.unwrap_or(partition.leader_epoch);
        partition.partition_epoch = r.partition_epoch.unwrap_or(partition.partition_epoch);
        partition.log_start_offset = r.log_start_offset.unwrap_or(0).max(partition.log_start_offset);
        self.loads.replace(partitions, index, partition);
    }

    /// Configs of a topic that is not there are dropped, so that a later namesake cannot inherit them.
    fn set_config(&mut self, r: &Config) {
        if r.resource_type == RESOURCE_TOPIC && self.topic(&r.resource_name).is_none() {
            return;
        }
        let of_type = self.configs.entry(r.resource_type).or_default();
        match &r.value {
            Some(value) => {
                let configs = of_type.entry(r.resource_name.as_str().into()).or_default();
                Arc::make_mut(configs).insert(r.key.clone(), value.clone());
            }
            None => {
                if let Some(configs) = of_type.get_mut(r.resource_name.as_str()) {
                    Arc::make_mut(configs).remove(&r.key);
                    if configs.is_empty() {
                        of_type.remove(r.resource_name.as_str());
                    }
                }
            }
        }
        if of_type.is_empty() {
            self.configs.remove(&r.resource_type);
        }
    }

    fn remove_configs(&mut self, resource_type: i32, name: &str) {
        if let Some(of_type) = self.configs.get_mut(&resource_type) {
            of_type.remove(name);
            if of_type.is_empty() {
                self.configs.remove(&resource_type);
            }
        }
    }

    /// The records that make this state out of nothing, in the one canonical order: cluster, features, brokers by id, topics by
    /// name each with its partitions, configs by resource and key, producer ids, groups by id each with its
    /// offsets, quotas by entity and key.
    pub(crate) fn for_each_record(&self, mut visit: impl FnMut(&Record)) {
        if let Some(cluster_id) = &self.cluster_id {
            let cluster_id = cluster_id.as_ref().to_owned();
            visit(&Record::ClusterCreated(ClusterCreated { cluster_id, created_ms: self.created_ms }));
        }
        if self.feature_level != 0 {
            visit(&Record::FeatureLevel(FeatureLevel { level: self.feature_level }));
        }
        if let Some((controller_id, elected_ms)) = self.controller {
            visit(&Record::ControllerElected(ControllerElected { controller_id, elected_ms }));
        }
        for (name, level) in &self.features {
            visit(&Record::FinalizedFeature(FinalizedFeature { name: name.as_ref().to_owned(), level: *level }));
        }
        self.brokers().for_each(|broker| visit(&broker_record(broker)));
        for topic in self.topics() {
            let topic_id = Id::from(topic.id);
            visit(&Record::Topic(TopicRecord {
                topic_id,
                name: topic.name().to_owned(),
                created_ms: topic.created_ms,
            }));
            for (index, partition) in topic.partitions().iter().enumerate() {
                visit(&partition_record(topic_id, index as i32, partition));
            }
        }
        self.configs.iter().for_each(|(resource_type, of_type)| config_records(*resource_type, of_type, &mut visit));
        if self.next_producer_id != 0 {
            visit(&Record::ProducerIds(ProducerIds { broker_id: -1, next_producer_id: self.next_producer_id }));
        }
        self.groups.for_each_record(&mut visit);
        self.quotas.for_each_record(&mut visit);
    }
}

fn broker_record(broker: &Broker) -> Record {
    Record::RegisterBroker(RegisterBroker {
        broker_id: broker.id,
        broker_epoch: broker.epoch,
        incarnation_id: broker.incarnation_id.into(),
        endpoints: broker.endpoints.clone(),
        rack: broker.rack.clone(),
        fenced: broker.fenced,
        registered_ms: broker.registered_ms,
    })
}

fn partition_record(topic_id: Id, index: i32, partition: &Partition) -> Record {
    Record::Partition(PartitionRecord {
        topic_id,
        partition: index,
        replicas: partition.replicas().to_vec(),
        isr: partition.isr().to_vec(),
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        log_start_offset: partition.log_start_offset,
    })
}

fn config_records(resource_type: i32, of_type: &OrdMap<Arc<str>, Arc<Configs>>, visit: &mut impl FnMut(&Record)) {
    for (name, configs) in of_type {
        for (key, value) in configs.iter() {
            let (resource_name, key, value) = (name.as_ref().to_owned(), key.clone(), Some(value.clone()));
            visit(&Record::Config(Config { resource_type, resource_name, key, value }));
        }
    }
}
