//! OffsetCommit (8): answered once the offsets are durable.

use std::collections::BTreeMap;

use chronik_metadata::request::{CommitOffsets, NewOffset};
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use chronik_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use chronik_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use crate::api::RequestContext;
use crate::groups::Committer;

/// The last version in which a client says how long it wants its offsets kept.
const LAST_WITH_RETENTION: i16 = 4;
/// The first version that members of consumer groups may commit with (KIP-848).
const FIRST_WITH_MEMBER_EPOCH: i16 = 9;

pub(crate) async fn handle(cx: &RequestContext, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let image = cx.broker.image();
    let max_metadata = cx.broker.config().groups.offset_metadata_max_bytes;
    // Of each partition, why it is refused whatever the group says.
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut commits = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let known = image.topic(&topic.name);
        let check = |partition: &OffsetCommitRequestPartition| {
            if known.is_none_or(|known| known.partition(partition.partition_index).is_none()) {
                return Some(ErrorCode::UnknownTopicOrPartition);
            }
            let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
            (metadata.len() > max_metadata).then_some(ErrorCode::OffsetMetadataTooLarge)
        };
        let refusals: Vec<_> =
            topic.partitions.iter().map(|partition| (partition.partition_index, check(partition))).collect();
        let allowed = topic.partitions.into_iter().zip(&refusals).filter(|(_, (_, refusal))| refusal.is_none());
        let offsets: Vec<_> = allowed.map(|(partition, _)| new_offset(partition)).collect();
        if let Some(known) = known.filter(|_| !offsets.is_empty()) {
            commits.push((known.id, offsets));
        }
        topics.push((topic.name, refusals));
    }
    let retention_ms = Some(request.retention_time_ms).filter(|ms| cx.version() <= LAST_WITH_RETENTION && *ms >= 0);
    let commit = CommitOffsets { group_id: request.group_id.to_string(), topics: commits, retention_ms };
    let by = Committer {
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation: request.generation_id_or_member_epoch,
        knows_epochs: cx.version() >= FIRST_WITH_MEMBER_EPOCH,
    };
    let (outcome, not_given) = match cx.broker.groups().commit(by, commit).await {
        Ok(not_given) => (ErrorCode::None, not_given),
        Err(error) => (error, BTreeMap::new()),
    };
    let topics = topics.into_iter().map(|(name, refusals)| {
        let topic_id = image.topic(&name).map(|topic| topic.id);
        let outcome_of = |index| match topic_id {
            Some(topic_id) => not_given.get(&(topic_id, index)).copied().unwrap_or(outcome),
            None => outcome,
        };
        let partitions = refusals.into_iter().map(|(index, refusal)| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(refusal.unwrap_or_else(|| outcome_of(index)).code())
        });
        OffsetCommitResponseTopic::default().with_name(name).with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

fn new_offset(partition: OffsetCommitRequestPartition) -> NewOffset {
    NewOffset {
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.map(|metadata| metadata.to_string()).unwrap_or_default(),
    }
}
