//! Groups as records, and back.

use std::collections::{BTreeMap, BTreeSet};

use chronik_coordinator::{
    Assignment, ClassicMembership, MemberState, Owned, Protocol, StoredConsumerGroup, StoredConsumerMember,
    StoredGroup, StoredMember,
};
use chronik_metadata::image;
use chronik_metadata::record::{
    self, ClassicProtocol, ConsumerGroupRecord, ConsumerMember, ConsumerTarget, GroupMember, GroupRecord, Id,
    OwnedPartitions, TopicPartitions,
};
use chronik_metadata::request::StoreConsumerGroup;

pub(super) fn classic_record(group_id: &str, stored: StoredGroup) -> GroupRecord {
    let member = |member: StoredMember| GroupMember {
        member_id: member.member_id,
        instance_id: member.instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        session_timeout_ms: member.session_timeout_ms,
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        metadata: member.metadata,
        assignment: member.assignment,
    };
    GroupRecord {
        group_id: group_id.to_owned(),
        protocol_type: stored.protocol_type,
        generation: stored.generation,
        protocol: stored.protocol,
        leader: stored.leader,
        members: stored.members.into_iter().map(member).collect(),
        changed_ms: 0,
    }
}

pub(super) fn classic_group(record: &GroupRecord) -> StoredGroup {
    let member = |member: &GroupMember| StoredMember {
        member_id: member.member_id.clone(),
        instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        session_timeout_ms: member.session_timeout_ms,
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        metadata: member.metadata.clone(),
        assignment: member.assignment.clone(),
    };
    StoredGroup {
        protocol_type: record.protocol_type.clone(),
        generation: record.generation,
        protocol: record.protocol.clone(),
        leader: record.leader.clone(),
        members: record.members.iter().map(member).collect(),
    }
}

pub(super) fn consumer_changes(group_id: &str, stored: StoredConsumerGroup) -> StoreConsumerGroup {
    let target = |(member_id, target): (String, Assignment)| {
        let topic = |(topic_id, partitions): (_, BTreeSet<_>)| TopicPartitions {
            topic_id: Id::from(topic_id),
            partitions: partitions.into_iter().collect(),
        };
        ConsumerTarget { group_id: group_id.to_owned(), member_id, topics: target.into_iter().map(topic).collect() }
    };
    StoreConsumerGroup {
        epochs: ConsumerGroupRecord {
            group_id: group_id.to_owned(),
            epoch: stored.epoch,
            target_epoch: stored.target_epoch,
            topics_digest: stored.topics_digest,
        },
        removed: stored.removed,
        members: stored.members.into_iter().map(|member| consumer_member(group_id, member)).collect(),
        targets: stored.targets.into_iter().map(target).collect(),
    }
}

fn consumer_member(group_id: &str, member: StoredConsumerMember) -> ConsumerMember {
    ConsumerMember {
        group_id: group_id.to_owned(),
        member_id: member.member_id,
        instance_id: member.instance_id,
        rack_id: member.rack_id,
        client_id: member.client_id,
        client_host: member.client_host,
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        subscribed_names: member.subscribed_names,
        subscribed_regex: member.subscribed_regex,
        server_assignor: member.server_assignor,
        epoch: member.epoch,
        previous_epoch: member.previous_epoch,
        state: member.state.number(),
        assigned: owned_record(&member.assigned),
        revoking: owned_record(&member.revoking),
        classic: member.classic.map(|classic| record::ClassicMembership {
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic
                .protocols
                .into_iter()
                .map(|Protocol { name, metadata }| ClassicProtocol { name, metadata })
                .collect(),
        }),
    }
}

fn owned_record(owned: &Owned) -> Vec<OwnedPartitions> {
    let topic = |(topic_id, partitions): (_, &BTreeMap<_, _>)| OwnedPartitions {
        topic_id: Id::from(topic_id),
        partitions: partitions.keys().copied().collect(),
        epochs: partitions.values().copied().collect(),
    };
    owned.iter().map(|(topic_id, partitions)| topic((*topic_id, partitions))).collect()
}

pub(super) fn consumer_group(group: &image::ConsumerGroup) -> StoredConsumerGroup {
    let epochs = group.epochs();
    let target = |target: &ConsumerTarget| {
        let topics =
            target.topics.iter().map(|topic| (topic.topic_id.uuid(), topic.partitions.iter().copied().collect()));
        (target.member_id.clone(), topics.collect())
    };
    StoredConsumerGroup {
        epoch: epochs.epoch,
        target_epoch: epochs.target_epoch,
        topics_digest: epochs.topics_digest,
        members: group.members().map(restored_member).collect(),
        removed: Vec::new(),
        targets: group.targets().map(target).collect(),
    }
}

fn restored_member(member: &ConsumerMember) -> StoredConsumerMember {
    StoredConsumerMember {
        member_id: member.member_id.clone(),
        instance_id: member.instance_id.clone(),
        rack_id: member.rack_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        subscribed_names: member.subscribed_names.clone(),
        subscribed_regex: member.subscribed_regex.clone(),
        server_assignor: member.server_assignor.clone(),
        epoch: member.epoch,
        previous_epoch: member.previous_epoch,
        state: MemberState::from_number(member.state),
        assigned: restored_owned(&member.assigned),
        revoking: restored_owned(&member.revoking),
        classic: member.classic.as_ref().map(restored_classic),
    }
}

fn restored_classic(classic: &record::ClassicMembership) -> ClassicMembership {
    let protocol = |one: &ClassicProtocol| Protocol { name: one.name.clone(), metadata: one.metadata.clone() };
    ClassicMembership {
        session_timeout_ms: classic.session_timeout_ms,
        protocols: classic.protocols.iter().map(protocol).collect(),
    }
}

fn restored_owned(owned: &[OwnedPartitions]) -> Owned {
    let topic = |topic: &OwnedPartitions| {
        let partitions = topic.partitions.iter().copied().zip(topic.epochs.iter().copied());
        (topic.topic_id.uuid(), partitions.collect())
    };
    owned.iter().map(topic).collect()
}
