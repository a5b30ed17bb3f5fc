//! A member of a consumer group by the classic protocol: joins, is given partitions, says that it lives, commits, leaves.

use std::collections::BTreeMap;
use std::time::Duration;

use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use chronik_protocol::messages::leave_group_request::MemberIdentity;
use chronik_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use chronik_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};
use tokio::time::{Instant, sleep};

use crate::assignment::{
    assign_ranges, decode_assignment, decode_subscription, encode_assignment, encode_subscription,
};
use crate::client::Client;
use crate::error::{ApiError, ClientError, check};
use crate::fetch::Position;
use crate::groups::PartitionResult;
use crate::metadata::text;

const PROTOCOL_TYPE: &str = "consumer";
/// The assignor this client knows.
const PROTOCOL: &str = "range";
const RETRY_AFTER: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub struct GroupOptions {
    pub group: String,
    pub topics: Vec<String>,
    /// A member silent for so long is taken for dead.
    pub session_timeout: Duration,
    /// How long members have to come back when partitions are distributed anew.
    pub rebalance_timeout: Duration,
    pub heartbeat_interval: Duration,
}

impl GroupOptions {
    pub fn new(group: String, topics: Vec<String>) -> Self {
        GroupOptions {
            group,
            topics,
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(60),
            heartbeat_interval: Duration::from_secs(3),
        }
    }
}

pub struct GroupMember {
    options: GroupOptions,
    /// Empty until the coordinator has given one.
    member_id: String,
    generation: i32,
    assignment: Vec<Position>,
    heard: Instant,
}

impl GroupMember {
    /// Joins and waits for partitions. A coordinator that is not there yet is waited for.
    pub async fn join(client: &mut Client, options: GroupOptions) -> Result<Self, ClientError> {
        let (member_id, assignment) = (String::new(), Vec::new());
        let mut member = GroupMember { options, member_id, generation: -1, assignment, heard: Instant::now() };
        member.rejoin(client).await?;
        Ok(member)
    }

    pub fn group(&self) -> &str {
        &self.options.group
    }

    pub fn assignment(&self) -> &[Position] {
        &self.assignment
    }

    /// Joins again, as a rebalance asks for.
    pub async fn rejoin(&mut self, client: &mut Client) -> Result<(), ClientError> {
        let deadline = Instant::now() + self.options.rebalance_timeout + client.options.request_timeout;
        loop {
            let failed = match self.join_and_sync(client).await {
                Ok(assignment) => {
                    self.assignment = assignment;
                    self.heard = Instant::now();
                    return Ok(());
                }
                Err(e) => e,
            };
            match failed.code() {
                Some(ErrorCode::UnknownMemberId) => self.member_id.clear(),
                Some(ErrorCode::MemberIdRequired | ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration) => {}
                Some(
                    ErrorCode::CoordinatorNotAvailable
                    | ErrorCode::CoordinatorLoadInProgress
                    | ErrorCode::NotCoordinator,
                ) => sleep(RETRY_AFTER).await,
                // Who has never been a member is told at once that nobody is there.
                _ if failed.is_disconnect() && !self.member_id.is_empty() => {
                    client.disconnect();
                    sleep(RETRY_AFTER).await;
                }
                _ => return Err(failed),
            }
            if Instant::now() > deadline {
                return Err(failed);
            }
        }
    }

    async fn join_and_sync(&mut self, client: &mut Client) -> Result<Vec<Position>, ClientError> {
        let coordinator = client.coordinator(&self.options.group).await?;
        let joined = self.ask_to_join(client, coordinator).await?;
        self.member_id = joined.member_id.to_string();
        check(joined.error_code, None)?;
        self.generation = joined.generation_id;
        let given = if joined.leader == joined.member_id { assign(client, &joined).await? } else { BTreeMap::new() };
        let entry = |(member, partitions): (String, Vec<Position>)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(text(&member))
                .with_assignment(encode_assignment(&partitions))
        };
        let assignments: Vec<_> = given.into_iter().map(entry).collect();
        let request = |version: i16| {
            let request = SyncGroupRequest::default()
                .with_group_id(self.group_id())
                .with_generation_id(self.generation)
                .with_member_id(text(&self.member_id))
                .with_assignments(assignments);
            match version {
                5.. => request.with_protocol_type(Some(text(PROTOCOL_TYPE))).with_protocol_name(Some(text(PROTOCOL))),
                _ => request,
            }
        };
        let response = client.broker(coordinator).await?.call_with(0..=5, request).await?;
        check(response.error_code, None)?;
        decode_assignment(response.assignment)
            .ok_or_else(|| ClientError::Records("an assignment no client reads".into()))
    }

    async fn ask_to_join(&self, client: &mut Client, coordinator: i32) -> Result<JoinGroupResponse, ClientError> {
        let ms = |duration: Duration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text(PROTOCOL))
            .with_metadata(encode_subscription(&self.options.topics));
        let request = JoinGroupRequest::default()
            .with_group_id(self.group_id())
            .with_session_timeout_ms(ms(self.options.session_timeout))
            .with_rebalance_timeout_ms(ms(self.options.rebalance_timeout))
            .with_member_id(text(&self.member_id))
            .with_protocol_type(text(PROTOCOL_TYPE))
            .with_protocols(vec![protocol]);
        let patience = self.options.rebalance_timeout + client.options.request_timeout;
        let broker = client.broker(coordinator).await?;
        let version = broker.version_of::<JoinGroupRequest>()?;
        broker.call_at(&request, version, patience).await
    }

    fn group_id(&self) -> GroupId {
        GroupId(text(&self.options.group))
    }

    /// Says that this member lives, where it is time to. True when it must join again.
    pub async fn heartbeat(&mut self, client: &mut Client) -> Result<bool, ClientError> {
        if self.heard.elapsed() < self.options.heartbeat_interval {
            return Ok(false);
        }
        let request = HeartbeatRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(self.generation)
            .with_member_id(text(&self.member_id));
        let asked = async {
            let coordinator = client.coordinator(&self.options.group).await?;
            client.broker(coordinator).await?.call(&request).await
        };
        let response = match asked.await {
            Err(e) if e.is_disconnect() => return Ok(true),
            response => response?,
        };
        self.heard = Instant::now();
        let Err(e) = check(response.error_code, None) else { return Ok(false) };
        const AGAIN: [ErrorCode; 5] = [
            ErrorCode::RebalanceInProgress,
            ErrorCode::IllegalGeneration,
            ErrorCode::UnknownMemberId,
            ErrorCode::NotCoordinator,
            ErrorCode::CoordinatorNotAvailable,
        ];
        if AGAIN.iter().any(|code| e.is(*code)) { Ok(true) } else { Err(e.into()) }
    }

    /// Commits the next offsets to read.
    pub async fn commit(
        &mut self,
        client: &mut Client,
        offsets: &[(String, i32, i64)],
    ) -> Result<Vec<PartitionResult>, ClientError> {
        if offsets.is_empty() {
            return Ok(Vec::new());
        }
        client.commit_offsets(&self.options.group, self.generation, &self.member_id, offsets).await
    }

    /// Leaves, so that others get the partitions at once.
    pub async fn leave(self, client: &mut Client) -> Result<(), ClientError> {
        let coordinator = client.coordinator(&self.options.group).await?;
        let id = text(&self.member_id);
        let request = |version: i16| {
            let request = LeaveGroupRequest::default().with_group_id(self.group_id());
            match version {
                3.. => request.with_members(vec![MemberIdentity::default().with_member_id(id)]),
                _ => request.with_member_id(id),
            }
        };
        let response = client.broker(coordinator).await?.call_with(0..=5, request).await?;
        match check(response.error_code, None) {
            // Given up for dead already.
            Err(ApiError { code, .. }) if code == ErrorCode::UnknownMemberId.code() => Ok(()),
            result => Ok(result?),
        }
    }
}

/// The leader's part: partitions for everybody.
async fn assign(
    client: &mut Client,
    joined: &JoinGroupResponse,
) -> Result<BTreeMap<String, Vec<Position>>, ClientError> {
    let wants = |metadata: &bytes::Bytes| decode_subscription(metadata.clone()).unwrap_or_default();
    let members: Vec<(String, Vec<String>)> =
        joined.members.iter().map(|m| (m.member_id.to_string(), wants(&m.metadata))).collect();
    let mut topics: Vec<&str> = members.iter().flat_map(|(_, topics)| topics.iter().map(String::as_str)).collect();
    topics.sort_unstable();
    topics.dedup();
    let metadata = client.metadata(Some(&topics), false).await?;
    let count = |topic: &crate::TopicInfo| i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let partitions = metadata.found().map(|topic| (topic.name.clone(), count(topic))).collect();
    Ok(assign_ranges(&members, &partitions))
}
