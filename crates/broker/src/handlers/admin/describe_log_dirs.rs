//! DescribeLogDirs (35): what each partition takes on the disk, and how full that is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_env::task::blocking;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use chronik_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};

use crate::api::RequestContext;
use crate::broker::Broker;
use crate::handlers::{text, wire_name};

/// The partitions asked for; `None` for all.
type Wanted = Option<BTreeSet<(String, i32)>>;

pub(crate) async fn handle(cx: &RequestContext, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let wanted: Wanted = request.topics.map(|topics| {
        let of = topics.into_iter().flat_map(|topic| {
            let name = topic.topic.to_string();
            topic.partitions.into_iter().map(move |index| (name.clone(), index))
        });
        of.collect()
    });
    let broker = cx.broker.clone();
    let result = blocking(&*cx.broker.env().tasks, move || describe(&broker, &wanted)).await;
    let failed = || DescribeLogDirsResult::default().with_error_code(ErrorCode::KafkaStorageError.code());
    DescribeLogDirsResponse::default().with_results(vec![result.unwrap_or_else(failed)])
}

/// Looks at files: blocks.
fn describe(broker: &Arc<Broker>, wanted: &Wanted) -> DescribeLogDirsResult {
    let dir = broker.dir();
    let result = DescribeLogDirsResult::default().with_log_dir(text(dir.path().display().to_string()));
    if dir.has_failed() {
        return result.with_error_code(ErrorCode::KafkaStorageError.code());
    }
    let (sizes, space) =
        match (broker.partitions().sizes(&broker.image(), wanted.as_ref()), dir.disk().space(dir.path())) {
            (Ok(sizes), Ok(space)) => (sizes, space),
            (Err(e), _) | (_, Err(e)) => {
                tracing::warn!(dir = %dir.path().display(), "cannot be described: {e}");
                return result.with_error_code(ErrorCode::KafkaStorageError.code());
            }
        };
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for (topic, index, bytes) in sizes {
        let partition = DescribeLogDirsPartition::default()
            .with_partition_index(index)
            .with_partition_size(i64::try_from(bytes).unwrap_or(i64::MAX));
        topics.entry(topic).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        DescribeLogDirsTopic::default().with_name(wire_name(&name)).with_partitions(partitions)
    });
    result
        .with_topics(topics.collect())
        .with_total_bytes(i64::try_from(space.total_bytes).unwrap_or(i64::MAX))
        .with_usable_bytes(i64::try_from(space.free_bytes).unwrap_or(i64::MAX))
}
