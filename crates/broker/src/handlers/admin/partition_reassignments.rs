//! AlterPartitionReassignments (45) and ListPartitionReassignments (46). With one broker every partition is where it can be:
//! nothing is ever under way, and the only assignment to ask for is the one there is.

use chronik_metadata::Partition;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::alter_partition_reassignments_request::ReassignablePartition;
use chronik_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use chronik_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ListPartitionReassignmentsResponse,
};

use crate::api::RequestContext;
use crate::handlers::text;

pub(crate) fn alter(
    cx: &RequestContext,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let image = cx.broker.image();
    let responses = request.topics.into_iter().map(|topic| {
        let known = image.topic(&topic.name);
        let partitions = topic.partitions.into_iter().map(|asked| {
            let partition = known.and_then(|known| known.partition(asked.partition_index));
            let response = ReassignablePartitionResponse::default().with_partition_index(asked.partition_index);
            match reassign(partition, &asked) {
                Ok(()) => response.with_error_message(None),
                Err((error, message)) => response.with_error_code(error.code()).with_error_message(Some(text(message))),
            }
        });
        ReassignableTopicResponse::default().with_partitions(partitions.collect()).with_name(topic.name)
    });
    AlterPartitionReassignmentsResponse::default()
        .with_allow_replication_factor_change(request.allow_replication_factor_change)
        .with_error_message(None)
        .with_responses(responses.collect())
}

fn reassign(partition: Option<&Partition>, asked: &ReassignablePartition) -> Result<(), (ErrorCode, String)> {
    let unknown = || (ErrorCode::UnknownTopicOrPartition, "no such topic or partition".to_owned());
    let partition = partition.ok_or_else(unknown)?;
    let Some(replicas) = &asked.replicas else {
        return Err((ErrorCode::NoReassignmentInProgress, "No partition reassignment is in progress.".into()));
    };
    let same = replicas.iter().map(|replica| replica.0).eq(partition.replicas().iter().copied());
    if same {
        return Ok(());
    }
    let here = partition.replicas();
    Err((
        ErrorCode::InvalidReplicaAssignment,
        format!("this cluster has one broker: the replicas can only be {here:?}"),
    ))
}

pub(crate) fn list() -> ListPartitionReassignmentsResponse {
    ListPartitionReassignmentsResponse::default().with_error_message(None)
}
