//! DescribeProducers (61): the idempotent producers a partition remembers (KIP-664).

use std::collections::BTreeSet;

use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use chronik_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};

use crate::api::RequestContext;

pub(crate) fn handle(cx: &RequestContext, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let image = cx.broker.image();
    let mut seen = BTreeSet::new();
    let topics = request.topics.into_iter().map(|asked| {
        let topic = image.topic(&asked.name);
        // However often a partition is named, it is described once: the answer stays in proportion.
        let partitions = asked.partition_indexes.into_iter().filter(|index| seen.insert((asked.name.clone(), *index)));
        let partitions = partitions.map(|index| {
            let response = PartitionResponse::default().with_partition_index(index).with_error_message(None);
            let partition = topic
                .filter(|topic| topic.partition(index).is_some())
                .ok_or(ErrorCode::UnknownTopicOrPartition)
                .and_then(|topic| cx.broker.partitions().leader(topic, index));
            match partition {
                Ok(partition) => response.with_active_producers(partition.with_producers(|all| {
                    let state = |(producer_id, state): (i64, &chronik_storage::producers::ProducerState)| {
                        ProducerState::default()
                            .with_producer_id(ProducerId(producer_id))
                            .with_producer_epoch(state.epoch.into())
                            .with_last_sequence(state.batches.back().map_or(-1, |batch| batch.last_sequence))
                            .with_last_timestamp(state.last_timestamp)
                            .with_coordinator_epoch(state.coordinator_epoch)
                            .with_current_txn_start_offset(state.current_txn_first_offset)
                    };
                    all.iter().map(state).collect()
                })),
                Err(error) => response.with_error_code(error.code()),
            }
        });
        let partitions = partitions.collect();
        TopicResponse::default().with_partitions(partitions).with_name(asked.name.clone())
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}
