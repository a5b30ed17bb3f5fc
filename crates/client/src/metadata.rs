//! What a cluster consists of, as its brokers tell.

use chronik_protocol::StrBytes;
use chronik_protocol::Uuid;
use chronik_protocol::messages::{MetadataResponse, TopicName};

use crate::address::HostPort;
use crate::error::{ApiError, ClientError, check};

#[derive(Clone, Debug)]
pub struct BrokerInfo {
    pub id: i32,
    pub address: HostPort,
    pub rack: Option<String>,
}

#[derive(Clone, Debug)]
pub struct PartitionInfo {
    pub index: i32,
    /// -1 = none.
    pub leader: i32,
    /// -1 = unknown.
    pub leader_epoch: i32,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    pub offline: Vec<i32>,
}

#[derive(Clone, Debug)]
pub struct TopicInfo {
    pub name: String,
    /// Nil where the broker is too old to tell.
    pub id: Uuid,
    pub internal: bool,
    /// By index.
    pub partitions: Vec<PartitionInfo>,
}

impl TopicInfo {
    pub fn partition(&self, index: i32) -> Option<&PartitionInfo> {
        self.partitions.iter().find(|p| p.index == index)
    }

    /// The leader of a partition.
    pub fn leader(&self, index: i32) -> Result<i32, ClientError> {
        let leader = self.partition(index).map(|p| p.leader).filter(|leader| *leader >= 0);
        leader.ok_or_else(|| ClientError::NoLeader { topic: self.name.clone(), partition: index })
    }
}

#[derive(Clone, Debug)]
pub struct Metadata {
    pub cluster_id: Option<String>,
    /// Where administrative requests go; -1 = unknown.
    pub controller_id: i32,
    pub brokers: Vec<BrokerInfo>,
    /// By name. Topics that were asked for by name and have an error carry it.
    pub topics: Vec<(String, Result<TopicInfo, ApiError>)>,
}

impl Metadata {
    /// The topics without an error.
    pub fn found(&self) -> impl Iterator<Item = &TopicInfo> {
        self.topics.iter().filter_map(|(_, topic)| topic.as_ref().ok())
    }
}

impl From<MetadataResponse> for Metadata {
    fn from(response: MetadataResponse) -> Self {
        let brokers = response.brokers.into_iter().map(|broker| BrokerInfo {
            id: broker.node_id.0,
            address: HostPort { host: broker.host.to_string(), port: u16::try_from(broker.port).unwrap_or(0) },
            rack: broker.rack.map(|rack| rack.to_string()),
        });
        let ids = |ids: Vec<chronik_protocol::messages::BrokerId>| ids.into_iter().map(|id| id.0).collect();
        let topics = response.topics.into_iter().map(|topic| {
            let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
            let mut partitions: Vec<PartitionInfo> = topic
                .partitions
                .into_iter()
                .map(|p| PartitionInfo {
                    index: p.partition_index,
                    leader: p.leader_id.0,
                    leader_epoch: p.leader_epoch,
                    replicas: ids(p.replica_nodes),
                    isr: ids(p.isr_nodes),
                    offline: ids(p.offline_replicas),
                })
                .collect();
            partitions.sort_by_key(|p| p.index);
            let info = TopicInfo { name: name.clone(), id: topic.topic_id, internal: topic.is_internal, partitions };
            (name, check(topic.error_code, None).map(|()| info))
        });
        let mut topics: Vec<_> = topics.collect();
        topics.sort_by(|a, b| a.0.cmp(&b.0));
        Metadata {
            cluster_id: response.cluster_id.map(|id| id.to_string()),
            controller_id: response.controller_id.0,
            brokers: brokers.collect(),
            topics,
        }
    }
}

/// A topic's name as messages carry it.
pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
