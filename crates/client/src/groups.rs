//! Consumer groups seen from outside: which there are, who is in them, where they are.

use std::collections::BTreeMap;

use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use chronik_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use chronik_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use chronik_protocol::messages::{
    ConsumerGroupDescribeRequest, DeleteGroupsRequest, DescribeGroupsRequest, GroupId, ListGroupsRequest,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
};

use crate::assignment::decode_assignment;
use crate::client::Client;
use crate::error::{ApiError, ClientError, check};
use crate::fetch::Position;
use crate::metadata::{text, topic_name};

#[derive(Clone, Debug)]
pub struct ListedGroup {
    pub group: String,
    /// `classic`, `consumer`, `share`; empty where the broker is too old to tell.
    pub group_type: String,
    pub protocol_type: String,
    pub state: String,
    pub coordinator: i32,
}

#[derive(Clone, Debug)]
pub struct GroupDescription {
    pub group: String,
    pub group_type: &'static str,
    pub state: String,
    pub protocol_type: String,
    /// The assignor.
    pub protocol: String,
    pub coordinator: i32,
    pub members: Vec<MemberDescription>,
}

#[derive(Clone, Debug)]
pub struct MemberDescription {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub host: String,
    pub assignment: Vec<Position>,
}

#[derive(Clone, Debug)]
pub struct CommittedOffset {
    pub topic: String,
    pub partition: i32,
    /// -1 = none.
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
}

/// The result of one partition of a commit or of its deletion.
pub type PartitionResult = (String, i32, Result<(), ApiError>);

impl Client {
    /// All groups of all brokers, by name.
    pub async fn list_groups(&mut self) -> Result<Vec<ListedGroup>, ClientError> {
        let brokers = self.metadata(Some(&[]), false).await?.brokers;
        let mut groups = Vec::new();
        for broker in brokers {
            let response = self.broker(broker.id).await?.call(&ListGroupsRequest::default()).await?;
            check(response.error_code, None)?;
            groups.extend(response.groups.into_iter().map(|g| ListedGroup {
                group: g.group_id.to_string(),
                group_type: g.group_type.to_lowercase(),
                protocol_type: g.protocol_type.to_string(),
                state: g.group_state.to_string(),
                coordinator: broker.id,
            }));
        }
        groups.sort_by(|a, b| a.group.cmp(&b.group));
        Ok(groups)
    }

    /// One group, of either protocol. A group that does not exist is GROUP_ID_NOT_FOUND.
    pub async fn describe_group(&mut self, group: &str) -> Result<GroupDescription, ClientError> {
        let coordinator = self.coordinator(group).await?;
        let broker = self.broker(coordinator).await?;
        let id = GroupId(text(group));
        if broker.version_of::<ConsumerGroupDescribeRequest>().is_ok() {
            let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![id.clone()]);
            let found = broker.call(&request).await?.groups.into_iter().next();
            if let Some(found) = found.filter(|found| found.error_code == 0) {
                let members = found.members.into_iter().map(|m| MemberDescription {
                    member_id: m.member_id.to_string(),
                    instance_id: m.instance_id.map(|id| id.to_string()),
                    client_id: m.client_id.to_string(),
                    host: m.client_host.to_string(),
                    assignment: m
                        .assignment
                        .topic_partitions
                        .into_iter()
                        .flat_map(|t| t.partitions.into_iter().map(move |p| (t.topic_name.to_string(), p)))
                        .collect(),
                });
                return Ok(GroupDescription {
                    group: group.to_owned(),
                    group_type: "consumer",
                    state: found.group_state.to_string(),
                    protocol_type: "consumer".into(),
                    protocol: found.assignor_name.to_string(),
                    coordinator,
                    members: members.collect(),
                });
            }
        }
        let request = DescribeGroupsRequest::default().with_groups(vec![id]);
        let found = broker.call(&request).await?.groups.into_iter().next();
        let found = found.ok_or(ClientError::Unanswered("DescribeGroups"))?;
        check(found.error_code, found.error_message.as_ref())?;
        // So older versions tell of a group that does not exist.
        if found.group_state.as_str() == "Dead" {
            return Err(ApiError::from(ErrorCode::GroupIdNotFound).into());
        }
        let members = found.members.into_iter().map(|m| MemberDescription {
            member_id: m.member_id.to_string(),
            instance_id: m.group_instance_id.map(|id| id.to_string()),
            client_id: m.client_id.to_string(),
            host: m.client_host.to_string(),
            // Members of other protocols have assignments in a form of their own.
            assignment: decode_assignment(m.member_assignment).unwrap_or_default(),
        });
        Ok(GroupDescription {
            group: group.to_owned(),
            group_type: "classic",
            state: found.group_state.to_string(),
            protocol_type: found.protocol_type.to_string(),
            protocol: found.protocol_data.to_string(),
            coordinator,
            members: members.collect(),
        })
    }

    /// What a group has committed: for some partitions, or for all it has.
    pub async fn committed_offsets(
        &mut self,
        group: &str,
        partitions: Option<&[Position]>,
    ) -> Result<Vec<CommittedOffset>, ClientError> {
        let by_topic = partitions.map(by_topic);
        let coordinator = self.coordinator(group).await?;
        let id = GroupId(text(group));
        let request = |version: i16| match version {
            // From version 8 on several groups go into one request (KIP-709).
            8.. => {
                let topics = by_topic.as_ref().map(|topics| {
                    let entry = |(topic, partitions): (&String, &Vec<i32>)| {
                        OffsetFetchRequestTopics::default()
                            .with_name(topic_name(topic))
                            .with_partition_indexes(partitions.clone())
                    };
                    topics.iter().map(entry).collect()
                });
                let group = OffsetFetchRequestGroup::default().with_group_id(id).with_topics(topics);
                OffsetFetchRequest::default().with_groups(vec![group])
            }
            _ => {
                let topics = by_topic.as_ref().map(|topics| {
                    let entry = |(topic, partitions): (&String, &Vec<i32>)| {
                        OffsetFetchRequestTopic::default()
                            .with_name(topic_name(topic))
                            .with_partition_indexes(partitions.clone())
                    };
                    topics.iter().map(entry).collect()
                });
                OffsetFetchRequest::default().with_group_id(id).with_topics(topics)
            }
        };
        let response = self.broker(coordinator).await?.call_with(2..=9, request).await?;
        check(response.error_code, None)?;
        let mut offsets = Vec::new();
        let mut take = |topic: &str, partition, code, offset, leader_epoch, metadata: Option<String>| {
            check(code, None)?;
            let metadata = metadata.unwrap_or_default();
            offsets.push(CommittedOffset { topic: topic.to_owned(), partition, offset, leader_epoch, metadata });
            Ok::<_, ApiError>(())
        };
        for topic in response.topics {
            for p in topic.partitions {
                let metadata = p.metadata.map(|m| m.to_string());
                let (epoch, offset) = (p.committed_leader_epoch, p.committed_offset);
                take(&topic.name, p.partition_index, p.error_code, offset, epoch, metadata)?;
            }
        }
        for group in response.groups {
            check(group.error_code, None)?;
            for topic in group.topics {
                for p in topic.partitions {
                    let metadata = p.metadata.map(|m| m.to_string());
                    let (epoch, offset) = (p.committed_leader_epoch, p.committed_offset);
                    take(&topic.name, p.partition_index, p.error_code, offset, epoch, metadata)?;
                }
            }
        }
        offsets.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(offsets)
    }

    /// Commits offsets for a group. From outside (`generation` -1, no member) only an empty group takes them.
    pub async fn commit_offsets(
        &mut self,
        group: &str,
        generation: i32,
        member_id: &str,
        offsets: &[(String, i32, i64)],
    ) -> Result<Vec<PartitionResult>, ClientError> {
        let coordinator = self.coordinator(group).await?;
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for (topic, partition, offset) in offsets {
            let entry = OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_leader_epoch(-1)
                .with_committed_metadata(Some(text("")));
            topics.entry(topic).or_default().push(entry);
        }
        let entry = |(topic, partitions): (&str, Vec<_>)| {
            OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(partitions)
        };
        let topics = topics.into_iter().map(entry).collect();
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_generation_id_or_member_epoch(generation)
            .with_member_id(text(member_id))
            .with_retention_time_ms(-1)
            .with_topics(topics);
        let response = self.broker(coordinator).await?.call_with(2..=9, |_| request).await?;
        let results = response.topics.into_iter().flat_map(|topic| {
            let name = topic.name.to_string();
            topic.partitions.into_iter().map(move |p| (name.clone(), p.partition_index, check(p.error_code, None)))
        });
        Ok(results.collect())
    }

    /// Deletes a group with all it has committed. It must be empty.
    pub async fn delete_group(&mut self, group: &str) -> Result<(), ClientError> {
        let coordinator = self.coordinator(group).await?;
        let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text(group))]);
        let response = self.broker(coordinator).await?.call(&request).await?;
        let result = response.results.into_iter().next().ok_or(ClientError::Unanswered("DeleteGroups"))?;
        Ok(check(result.error_code, None)?)
    }

    /// Deletes what a group has committed for partitions. Topics it is subscribed to are refused.
    pub async fn delete_offsets(
        &mut self,
        group: &str,
        partitions: &[Position],
    ) -> Result<Vec<PartitionResult>, ClientError> {
        let coordinator = self.coordinator(group).await?;
        let entry = |(topic, partitions): (String, Vec<i32>)| {
            let partition = |p: i32| OffsetDeleteRequestPartition::default().with_partition_index(p);
            OffsetDeleteRequestTopic::default()
                .with_name(topic_name(&topic))
                .with_partitions(partitions.into_iter().map(partition).collect())
        };
        let request = OffsetDeleteRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_topics(by_topic(partitions).into_iter().map(entry).collect());
        let response = self.broker(coordinator).await?.call(&request).await?;
        check(response.error_code, None)?;
        let results = response.topics.into_iter().flat_map(|topic| {
            let name = topic.name.to_string();
            topic.partitions.into_iter().map(move |p| (name.clone(), p.partition_index, check(p.error_code, None)))
        });
        Ok(results.collect())
    }
}

fn by_topic(partitions: &[Position]) -> BTreeMap<String, Vec<i32>> {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in partitions {
        topics.entry(topic.clone()).or_default().push(*partition);
    }
    topics
}
