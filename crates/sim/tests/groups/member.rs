//! A member of a group with a connection of its own. A call that is not answered in time fails the test.

use std::time::Duration;

use bytes::Bytes;
use chronik_client::Connection;
use chronik_protocol::StrBytes;
use chronik_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use chronik_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use chronik_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use chronik_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use chronik_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use chronik_protocol::messages::{
    DeleteGroupsRequest, GroupId, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest, SyncGroupRequest, TopicName,
};
use chronik_protocol::request::Request;
use chronik_sim::lone::Lone;

pub const ILLEGAL_GENERATION: i16 = 22;
pub const UNKNOWN_MEMBER_ID: i16 = 25;
pub const REBALANCE_IN_PROGRESS: i16 = 27;
pub const NON_EMPTY_GROUP: i16 = 68;
pub const MEMBER_ID_REQUIRED: i16 = 79;

const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The last version that needs no member id first.
const JOIN: i16 = 3;
const JOIN_WITH_ID: i16 = 4;
const SYNC: i16 = 2;

pub struct Member {
    /// `None` between two brokers.
    connection: Option<Connection>,
    group: StrBytes,
    member_id: StrBytes,
    pub generation: i32,
}

impl Member {
    pub async fn connect(lone: &Lone, group: &'static str) -> Self {
        let connection = Some(lone.connect().await);
        let group = StrBytes::from_static_str(group);
        Member { connection, group, member_id: StrBytes::default(), generation: -1 }
    }

    /// The one member of its group, with all assigned to it.
    pub async fn join_alone(lone: &Lone, group: &'static str) -> Self {
        let mut member = Member::connect(lone, group).await;
        member.begin_join().await;
        assert_eq!(member.end_join().await.len(), 1);
        member.begin_sync(&[(&member.member_id(), "all")]).await;
        assert_eq!(member.end_sync().await, (0, "all".into()));
        member
    }

    /// What it knows of itself, without its connection.
    pub fn disconnected(&self) -> Member {
        Member {
            connection: None,
            group: self.group.clone(),
            member_id: self.member_id.clone(),
            generation: self.generation,
        }
    }

    pub async fn reconnected(self, lone: &Lone) -> Member {
        Member { connection: Some(lone.connect().await), ..self }
    }

    pub fn member_id(&self) -> String {
        self.member_id.to_string()
    }

    fn group_id(&self) -> GroupId {
        GroupId(self.group.clone())
    }

    fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("it is connected")
    }

    async fn call<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        in_time(self.connection().call(request, version)).await.expect("an answer")
    }

    pub async fn begin_join(&mut self) {
        let request = JoinGroupRequest::default()
            .with_group_id(self.group_id())
            .with_session_timeout_ms(10_000)
            .with_rebalance_timeout_ms(20_000)
            .with_member_id(self.member_id.clone())
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![range()]);
        in_time(self.connection().send(&request, JOIN)).await.expect("a connection");
    }

    /// Asks for an id to join with, and goes no further. The error code.
    pub async fn ask_for_id(&mut self) -> i16 {
        let request = JoinGroupRequest::default()
            .with_group_id(self.group_id())
            .with_session_timeout_ms(200_000)
            .with_member_id(self.member_id.clone())
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![range()]);
        let response = self.call(&request, JOIN_WITH_ID).await;
        self.member_id = response.member_id;
        response.error_code
    }

    /// The next questions are about another group.
    pub fn turn_to(&mut self, group: String) {
        (self.group, self.member_id) = (StrBytes::from_string(group), StrBytes::default());
    }

    /// Deletes the group; the error code.
    pub async fn delete_group(&mut self) -> i16 {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![self.group_id()]);
        self.call(&request, 1).await.results[0].error_code
    }

    /// Deletes the offsets in partitions 0 and 1; their error codes, or that of the group.
    pub async fn delete_offsets(&mut self, topic: &'static str) -> Result<[i16; 2], i16> {
        let partitions = [0, 1].map(|index| OffsetDeleteRequestPartition::default().with_partition_index(index));
        let topic = OffsetDeleteRequestTopic::default().with_name(name(topic)).with_partitions(partitions.to_vec());
        let request = OffsetDeleteRequest::default().with_group_id(self.group_id()).with_topics(vec![topic]);
        let response = self.call(&request, 0).await;
        match response.error_code {
            0 => Ok([0, 1].map(|index: usize| response.topics[0].partitions[index].error_code)),
            error => Err(error),
        }
    }

    /// The ids of the members that it has to assign to.
    pub async fn end_join(&mut self) -> Vec<String> {
        let response = in_time(self.connection().receive::<JoinGroupRequest>(JOIN)).await.expect("an answer");
        assert_eq!(response.error_code, 0);
        (self.member_id, self.generation) = (response.member_id, response.generation_id);
        response.members.iter().map(|member| member.member_id.to_string()).collect()
    }

    pub async fn begin_sync(&mut self, assignments: &[(&str, &'static str)]) {
        let assignments = assignments.iter().map(|(member_id, assignment)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(StrBytes::from_string((*member_id).to_owned()))
                .with_assignment(Bytes::from_static(assignment.as_bytes()))
        });
        let request = SyncGroupRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(self.generation)
            .with_member_id(self.member_id.clone())
            .with_assignments(assignments.collect());
        in_time(self.connection().send(&request, SYNC)).await.expect("a connection");
    }

    /// The error code and the assignment.
    pub async fn end_sync(&mut self) -> (i16, String) {
        let response = in_time(self.connection().receive::<SyncGroupRequest>(SYNC)).await.expect("an answer");
        (response.error_code, String::from_utf8_lossy(&response.assignment).into_owned())
    }

    /// The error code.
    pub async fn heartbeat(&mut self) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(self.generation)
            .with_member_id(self.member_id.clone());
        self.call(&request, 2).await.error_code
    }

    /// The error code.
    pub async fn leave(&mut self) -> i16 {
        let request =
            LeaveGroupRequest::default().with_group_id(self.group_id()).with_member_id(self.member_id.clone());
        self.call(&request, 2).await.error_code
    }

    /// Commits an offset in partition 0; the error code.
    pub async fn commit(&mut self, topic: &'static str, offset: i64, words: &'static str) -> i16 {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(0)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(StrBytes::from_static_str(words)));
        let topic = OffsetCommitRequestTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(self.member_id.clone())
            .with_topics(vec![topic]);
        self.call(&request, 6).await.topics[0].partitions[0].error_code
    }

    /// The group's offset in partition 0, and what was said with it.
    pub async fn committed(&mut self, topic: &'static str) -> (i64, String) {
        let topic = OffsetFetchRequestTopic::default().with_name(name(topic)).with_partition_indexes(vec![0]);
        let request = OffsetFetchRequest::default().with_group_id(self.group_id()).with_topics(Some(vec![topic]));
        let response = self.call(&request, 5).await;
        let partition = &response.topics[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        (partition.committed_offset, partition.metadata.as_deref().unwrap_or_default().to_owned())
    }
}

/// A subscription to `t`.
fn range() -> JoinGroupRequestProtocol {
    JoinGroupRequestProtocol::default()
        .with_name(StrBytes::from_static_str("range"))
        .with_metadata(Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff"))
}

fn name(topic: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(topic))
}

async fn in_time<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(CALL_TIMEOUT, call).await.expect("an answer in time")
}
