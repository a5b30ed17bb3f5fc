//! ElectLeaders (43). Where every partition has its one replica as its leader, no election is ever needed.

use chronik_metadata::Topic;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use chronik_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

use crate::api::RequestContext;
use crate::handlers::text;

/// Kafka's types of elections.
const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

pub(crate) fn handle(cx: &RequestContext, request: ElectLeadersRequest) -> ElectLeadersResponse {
    if ![PREFERRED, UNCLEAN].contains(&request.election_type) {
        return ElectLeadersResponse::default().with_error_code(ErrorCode::InvalidRequest.code());
    }
    let image = cx.broker.image();
    // Of all partitions only those are named that had an election.
    let topics = request.topic_partitions.unwrap_or_default().into_iter().map(|asked| {
        let topic = image.topic(&asked.topic);
        let results = asked.partitions.into_iter().map(|index| {
            let error = outcome(topic, index, request.election_type);
            PartitionResult::default()
                .with_partition_id(index)
                .with_error_code(error.code())
                .with_error_message(Some(text(message(error))))
        });
        ReplicaElectionResult::default().with_partition_result(results.collect()).with_topic(asked.topic)
    });
    ElectLeadersResponse::default().with_replica_election_results(topics.collect())
}

fn outcome(topic: Option<&Topic>, index: i32, election_type: i8) -> ErrorCode {
    let Some(partition) = topic.and_then(|topic| topic.partition(index)) else {
        return ErrorCode::UnknownTopicOrPartition;
    };
    let needed = match election_type {
        PREFERRED => partition.replicas().first() != Some(&partition.leader),
        _ => partition.leader < 0,
    };
    match election_type {
        _ if !needed => ErrorCode::ElectionNotNeeded,
        PREFERRED => ErrorCode::PreferredLeaderNotAvailable,
        _ => ErrorCode::EligibleLeadersNotAvailable,
    }
}

fn message(error: ErrorCode) -> &'static str {
    match error {
        ErrorCode::ElectionNotNeeded => "Leader election not needed for topic partition.",
        ErrorCode::UnknownTopicOrPartition => "No such topic or partition.",
        ErrorCode::PreferredLeaderNotAvailable => "The preferred leader was not available.",
        _ => "Eligible topic partition leaders are not available.",
    }
}
