//! A member of a consumer group (KIP-848) with a connection of its own, which does at once what it is told. A call that is
//! not answered in time fails the test.

use std::collections::BTreeSet;
use std::time::Duration;

use chronik_client::Connection;
use chronik_protocol::StrBytes;
use chronik_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use chronik_protocol::messages::consumer_group_heartbeat_response::Assignment;
use chronik_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use chronik_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use chronik_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, GroupId, OffsetCommitRequest, OffsetFetchRequest,
    TopicName,
};
use chronik_protocol::request::Request;
use chronik_protocol::types::TopicId;
use chronik_sim::lone::Lone;

const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const HEARTBEAT: i16 = 1;
/// The first version with member epochs.
const COMMIT: i16 = 9;
const FETCH: i16 = 9;

pub struct Consumer {
    /// `None` between two brokers.
    connection: Option<Connection>,
    group: &'static str,
    pub member_id: &'static str,
    pub epoch: i32,
    pub owned: BTreeSet<(TopicId, i32)>,
}

impl Consumer {
    pub async fn connect(lone: &Lone, group: &'static str, member_id: &'static str) -> Self {
        let connection = Some(lone.connect().await);
        Consumer { connection, group, member_id, epoch: 0, owned: BTreeSet::new() }
    }

    /// What it knows of itself, without its connection.
    pub fn disconnected(&self) -> Consumer {
        Consumer {
            connection: None,
            group: self.group,
            member_id: self.member_id,
            epoch: self.epoch,
            owned: self.owned.clone(),
        }
    }

    pub async fn reconnected(self, lone: &Lone) -> Consumer {
        Consumer { connection: Some(lone.connect().await), ..self }
    }

    async fn call<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        let connection = self.connection.as_mut().expect("it is connected");
        let answer = tokio::time::timeout(CALL_TIMEOUT, connection.call(request, version));
        answer.await.expect("an answer in time").expect("an answer")
    }

    fn group_id(&self) -> GroupId {
        GroupId(StrBytes::from_static_str(self.group))
    }

    fn brief(&self) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(self.group_id())
            .with_member_id(StrBytes::from_static_str(self.member_id))
            .with_member_epoch(self.epoch)
            .with_rebalance_timeout_ms(-1)
            .with_subscribed_topic_names(None)
            .with_topic_partitions(None)
    }

    /// Says that it is there. The error, and whether it was told what to have.
    pub async fn beat(&mut self) -> (i16, bool) {
        let request = self.brief();
        self.said(request).await
    }

    /// Joins, or says all it has to say.
    pub async fn beat_fully(&mut self) -> (i16, bool) {
        let mut owned: Vec<TopicPartitions> = Vec::new();
        for (topic_id, partition) in &self.owned {
            match owned.last_mut().filter(|last| last.topic_id == *topic_id) {
                Some(last) => last.partitions.push(*partition),
                None => {
                    let one = TopicPartitions::default().with_topic_id(*topic_id);
                    owned.push(one.with_partitions(vec![*partition]));
                }
            }
        }
        let request = self
            .brief()
            .with_rebalance_timeout_ms(60_000)
            .with_subscribed_topic_names(Some(vec![TopicName(StrBytes::from_static_str("t"))]))
            .with_topic_partitions(Some(owned));
        self.said(request).await
    }

    pub async fn leave(&mut self) -> i16 {
        let request = self.brief().with_member_epoch(-1);
        self.call(&request, HEARTBEAT).await.error_code
    }

    async fn said(&mut self, request: ConsumerGroupHeartbeatRequest) -> (i16, bool) {
        let response = self.call(&request, HEARTBEAT).await;
        if response.error_code != 0 {
            return (response.error_code, false);
        }
        self.epoch = response.member_epoch;
        let told = response.assignment.is_some();
        if let Some(Assignment { topic_partitions, .. }) = response.assignment {
            let of = topic_partitions.into_iter().flat_map(|topic| {
                let topic_id = topic.topic_id;
                topic.partitions.into_iter().map(move |partition| (topic_id, partition))
            });
            self.owned = of.collect();
        }
        (0, told)
    }

    /// State, group epoch and number of members.
    pub async fn described(&mut self) -> (String, i32, usize) {
        let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![self.group_id()]);
        let group = self.call(&request, 1).await.groups.remove(0);
        assert_eq!(group.error_code, 0, "{:?}", group.error_message);
        (group.group_state.to_string(), group.group_epoch, group.members.len())
    }

    pub async fn commit(&mut self, epoch: i32, offset: i64) -> i16 {
        let partition = OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(offset);
        let topic = OffsetCommitRequestTopic::default()
            .with_name(TopicName(StrBytes::from_static_str("t")))
            .with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id_or_member_epoch(epoch)
            .with_member_id(StrBytes::from_static_str(self.member_id))
            .with_topics(vec![topic]);
        self.call(&request, COMMIT).await.topics[0].partitions[0].error_code
    }

    /// The group's offset in partition 0, asked for as a member in this epoch; or an error.
    pub async fn committed(&mut self, epoch: i32) -> Result<i64, i16> {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(TopicName(StrBytes::from_static_str("t")))
            .with_partition_indexes(vec![0]);
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(self.group_id())
            .with_member_id(Some(StrBytes::from_static_str(self.member_id)))
            .with_member_epoch(epoch)
            .with_topics(Some(vec![topic]));
        let response = self.call(&OffsetFetchRequest::default().with_groups(vec![group]), FETCH).await;
        match response.groups[0].error_code {
            0 => Ok(response.groups[0].topics[0].partitions[0].committed_offset),
            error => Err(error),
        }
    }
}
